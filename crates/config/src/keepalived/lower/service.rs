//! `virtual_server`: services, their quorum, and what keepalived corrects
//! (`validate_check_config` of its `check_data.c`).

use std::net::IpAddr;

use xlvs_model::{
    Change, Family, Method, Protocol, ServiceKey, Tunnel,
    health::{SorryServer, VirtualServer},
};

use super::{
    Lower,
    group::{Entry, mark_of},
    index,
    server::ServerDraft,
    terms::{Draft, family_of},
    title,
};
use crate::keepalived::{
    keywords::{self, Within},
    read::{self, Known},
};
use crate::{source::Span, suggest::nearest};

/// What a `virtual_server` is of.
struct Of {
    entries: Vec<Entry>,
    is_group: bool,
}

impl Lower<'_> {
    pub(super) fn virtual_server(&mut self, known: &Known<'_>) {
        let at = known.span();
        let of = self.of(known);
        let named = known.directive.items().iter().map(|item| item.name().text.as_str());
        let says = named.filter_map(|name| keywords::find(Within::Service, name));
        let says = says.map(keywords::Keyword::name).collect();
        let mut draft = Draft { says, ..Draft::default() };
        let (mut servers, mut sorry) = (Vec::new(), None);
        for known in read::block(known.directive.items(), Within::Service, self.report) {
            match known.name() {
                "real_server" => servers.extend(self.real_server(&known)),
                "sorry_server" => {
                    let server =
                        self.address_and_port(&known).map(|(key, at)| ServerDraft::new(key, at));
                    self.once(&mut sorry, server, &known);
                }
                "sorry_server_inhibit" | "sorry_server_lvs_method" if sorry.is_none() => {
                    self.report
                        .error(known.span(), format!("`{}` without a sorry_server", known.name()))
                        .help("put it behind the sorry_server line");
                }
                "sorry_server_inhibit" => {
                    if let Some(sorry) = &mut sorry {
                        sorry.inhibit = Some(true);
                    }
                }
                "sorry_server_lvs_method" => {
                    let way = self.method(&known);
                    if let Some(sorry) = &mut sorry {
                        sorry.way = way;
                    }
                }
                _ => {
                    if !self.term(&mut draft, &known) {
                        self.forgotten(&known);
                    }
                }
            }
        }
        let Some(of) = of else { return };
        if servers.is_empty() {
            self.report
                .warning(at, "a virtual_server without a real_server")
                .means("keepalived leaves it out, and so does xlvs");
            return;
        }
        self.told_of_terms(&draft, at);
        self.join(title(known.directive), &of, draft, servers, sorry, at);
    }

    /// `ADDRESS [PORT]`, `fwmark N`, `group NAME`.
    fn of(&mut self, known: &Known<'_>) -> Option<Of> {
        let words = known.directive.arguments();
        let (first, second) = (words.first()?, words.get(1));
        let alone = |entry| Some(Of { entries: vec![entry], is_group: false });
        match (first.text.as_str(), second) {
            ("group" | "fwmark", None) => {
                self.report.error(first.span, format!("`{}` of what?", first.text));
                None
            }
            ("fwmark", Some(word)) => {
                let mark = mark_of(&word.text);
                if mark.is_none() {
                    self.report.error(word.span, "a fwmark is a number from 1 to 4294967295");
                }
                alone(Entry::Mark(mark?, None))
            }
            ("group", Some(name)) => {
                if let Some(group) = self.groups.get_mut(&name.text) {
                    group.used = true;
                    return Some(Of { entries: group.entries.clone(), is_group: true });
                }
                let near = nearest(&name.text, self.groups.keys().map(String::as_str));
                let label = near.map(|near| format!("did you mean `{near}`?"));
                let message = format!("there is no virtual_server_group {}", name.text);
                self.report.error(name.span, message).label(label.unwrap_or_default());
                None
            }
            _ => {
                let (key, _) = self.address_and_port(known)?;
                alone(Entry::Address(key.ip(), key.port()))
            }
        }
    }

    fn join(
        &mut self,
        name: String,
        of: &Of,
        mut draft: Draft,
        mut servers: Vec<ServerDraft>,
        mut sorry: Option<ServerDraft>,
        at: Span,
    ) {
        let way = self.way(&draft, &servers, sorry.as_ref(), at);
        for server in servers.iter_mut().chain(&mut sorry) {
            server.way = server.way.or(Some(way));
            // Of a group keepalived leaves the port open.
            if let ([Entry::Address(_, port)], false, 0) =
                (&of.entries[..], of.is_group, server.key.port())
            {
                server.key.set_port(*port);
            }
        }
        let keys = self.keys(of, &draft, &servers, sorry.as_ref(), at);
        let has_mark = keys.iter().any(|key| key.mark().is_some());
        if let Some(span) = draft.ha_suspend.filter(|_| has_mark) {
            self.report
                .warning(span, "a fwmark has no address to wait for")
                .means("ha_suspend is left out");
            draft.ha_suspend = None;
        }
        if let Some(span) = draft.one_packet {
            let not_udp = |key: &ServiceKey| key.protocol().is_some_and(|p| p != Protocol::Udp);
            if keys.iter().any(not_udp) {
                self.report
                    .warning(span, "one-packet scheduling is for UDP")
                    .means("it is left out");
                draft.one_packet = None;
            }
        }
        let mut made = Vec::new();
        let persistent = self.must_persist(&keys, &draft, at);
        for key in keys {
            let change =
                Change::AddService { service: key, terms: draft.terms(key.family(), persistent) };
            match self.model.apply(&change) {
                Ok(()) => {
                    self.services.insert(index(&key), at);
                    made.push(key);
                }
                Err(fault) => {
                    let before = self.services.get(&index(&key)).copied();
                    let note = self.report.error(at, format!("{key}: {fault}"));
                    if let Some(before) = before {
                        note.see(before, "it is here already");
                    }
                }
            }
        }
        self.finish(name, made, &draft, servers, sorry, at);
    }

    /// The method of servers that name none.
    fn way(
        &mut self,
        draft: &Draft,
        servers: &[ServerDraft],
        sorry: Option<&ServerDraft>,
        at: Span,
    ) -> (Method, Tunnel) {
        let silent = servers.iter().chain(sorry).any(|server| server.way.is_none());
        draft.way.unwrap_or_else(|| {
            if silent && !draft.says("lvs_method") {
                self.report
                    .note(at, "no method is named: NAT")
                    .help("say it: lvs_method NAT, DR or TUN");
            }
            (Method::Masq, Tunnel::Ipip)
        })
    }

    /// The services, each of its family and protocol.
    fn keys(
        &mut self,
        of: &Of,
        draft: &Draft,
        servers: &[ServerDraft],
        sorry: Option<&ServerDraft>,
        at: Span,
    ) -> Vec<ServiceKey> {
        let addresses = of.entries.iter().any(|entry| matches!(entry, Entry::Address(..)));
        match draft.protocol {
            Some((_, span)) if !addresses => {
                self.report
                    .note(span, "a fwmark has no protocol")
                    .means("it takes packets of every protocol that carry the mark");
            }
            None if addresses && !draft.says("protocol") => {
                self.report
                    .warning(at, "no protocol is named: UDP")
                    .means("this is what keepalived makes of it")
                    .help("say it: protocol TCP, UDP or SCTP");
            }
            _ => {}
        }
        let protocol = draft.protocol.map_or(Protocol::Udp, |(protocol, _)| protocol);
        let marks = marks_family(draft, servers, sorry);
        let keys = of.entries.iter().map(|entry| match *entry {
            Entry::Address(address, port) => ServiceKey::socket(protocol, address, port),
            Entry::Mark(mark, family) => ServiceKey::Mark { mark, family: family.unwrap_or(marks) },
        });
        let keys: Vec<ServiceKey> = keys.collect();
        let contradicts = |family| keys.first().is_some_and(|key| key.family() != family);
        if !of.is_group && draft.family.is_some_and(contradicts) {
            self.report
                .error(at, "ip_family contradicts the address of the service")
                .help("leave ip_family out: it is for fwmarks");
        }
        keys
    }

    /// Every port of an address: that is for services whose clients keep their server.
    fn must_persist(&mut self, keys: &[ServiceKey], draft: &Draft, at: Span) -> bool {
        let persists = draft.persistence_s.is_some() || draft.mask.is_some();
        let every_port = keys.iter().any(|key| key.mark().is_none() && key.port() == 0);
        if persists || !every_port {
            return persists;
        }
        self.report
            .warning(at, "a service of every port must keep clients at their server")
            .means("persistence_timeout 360 is in force, as keepalived has it")
            .help("name a port, or say it: persistence_timeout 360");
        true
    }

    fn finish(
        &mut self,
        name: String,
        services: Vec<ServiceKey>,
        draft: &Draft,
        servers: Vec<ServerDraft>,
        sorry: Option<ServerDraft>,
        at: Span,
    ) {
        let mut virtual_server = VirtualServer {
            name,
            origin: Some(self.origin(at)),
            quorum_up: draft.quorum_up.clone(),
            quorum_down: draft.quorum_down.clone(),
            alpha: draft.inherited.alpha.unwrap_or(false),
            omega: draft.omega,
            ha_suspend: draft.ha_suspend.is_some(),
            inhibit_on_failure: draft.inhibit,
            smtp_alert: draft.smtp_alert.or(self.mail_by_default).unwrap_or(false),
            virtualhost: draft.virtualhost.clone(),
            snmp_name: draft.snmp_name.clone(),
            inherited: draft.inherited.clone(),
            services,
            ..VirtualServer::default()
        };
        for server in servers {
            let server = self.join_server(&virtual_server, draft, server);
            virtual_server.servers.extend(server);
        }
        if let Some(sorry) = sorry {
            let (key, inhibit) = (sorry.key, sorry.inhibit.unwrap_or(false));
            let mut server = sorry.server(1);
            if let [one] = virtual_server.services[..] {
                server = VirtualServer::server_of(&one, &server);
            }
            let same = virtual_server.servers.iter().find(|real| real.server.key == key);
            let inhibit = same.map_or(inhibit, |real| real.inhibit_on_failure);
            virtual_server.sorry_server = Some(SorryServer { server, inhibit });
        }
        self.quorum(&mut virtual_server, draft);
        self.config.virtual_servers.push(virtual_server);
    }

    /// The quorum, as far as the servers' weights allow it.
    fn quorum(&mut self, of: &mut VirtualServer, draft: &Draft) {
        let sum: u64 = of.servers.iter().map(|server| u64::from(server.server.weight)).sum();
        let sum = u32::try_from(sum).unwrap_or(u32::MAX);
        of.quorum = draft.quorum.map_or(1, |(quorum, _)| quorum);
        if of.quorum > sum {
            if let Some((quorum, span)) = draft.quorum {
                self.report
                    .warning(span, format!("a quorum of {quorum} can never be had"))
                    .means(format!("all servers together weigh {sum}: {sum} is in force"));
            }
            of.quorum = sum;
        }
        let Some((hysteresis, span)) = draft.hysteresis else { return };
        of.hysteresis = hysteresis.min(of.quorum.saturating_sub(1));
        if of.hysteresis != hysteresis {
            let means = format!("{} is in force", of.hysteresis);
            self.report
                .warning(
                    span,
                    format!("a hysteresis of {hysteresis} with a quorum of {}", of.quorum),
                )
                .means(format!("it must be less than the quorum: {means}"));
        }
    }
}

/// The family of marks that name none: as said, else of the servers that are not reached by a
/// tunnel, else of all if they agree, else IPv4 (keepalived's `vs_end_handler`).
fn marks_family(draft: &Draft, servers: &[ServerDraft], sorry: Option<&ServerDraft>) -> Family {
    let all = || servers.iter().chain(sorry);
    let of = |address: IpAddr| family_of(address);
    let tunnelled = |server: &&ServerDraft| server.way.is_some_and(|(m, _)| m == Method::Tunnel);
    let plain = all().find(|server| !tunnelled(server)).map(|server| of(server.key.ip()));
    let first = all().next().map(|server| of(server.key.ip()));
    let agree = first.filter(|first| all().all(|server| of(server.key.ip()) == *first));
    let mask = draft.mask.map(xlvs_model::ClientMask::family);
    draft.family.or(mask).or(plain).or(agree).unwrap_or(Family::V4)
}

//! `real_server`.

use std::net::{IpAddr, SocketAddr};

use xlvs_model::{
    Change, Fault, Method, Server, ServiceKey, Tunnel,
    health::{Check, Inherited, Kind, RealServer, Script, VirtualServer},
};

use super::{
    Lower,
    check::Drafted,
    method::Way,
    terms::{Draft, inherit},
};
use crate::keepalived::{
    keywords::Within,
    read::{self, Known},
};
use crate::source::Span;

/// A server as it is written.
pub(super) struct ServerDraft {
    pub(super) key: SocketAddr,
    pub(super) at: Span,
    pub(super) way: Option<Way>,
    pub(super) inhibit: Option<bool>,
    weight: Option<u32>,
    upper: u32,
    lower: u32,
    notify_up: Option<Script>,
    notify_down: Option<Script>,
    smtp_alert: Option<bool>,
    virtualhost: Option<String>,
    snmp_name: Option<String>,
    inherited: Inherited,
    checks: Vec<Drafted>,
}

impl ServerDraft {
    pub(super) fn new(key: SocketAddr, at: Span) -> Self {
        Self {
            key,
            at,
            way: None,
            inhibit: None,
            weight: None,
            upper: 0,
            lower: 0,
            notify_up: None,
            notify_down: None,
            smtp_alert: None,
            virtualhost: None,
            snmp_name: None,
            inherited: Inherited::default(),
            checks: Vec::new(),
        }
    }

    /// The model's server; `weight` is for one that says none.
    pub(super) fn server(&self, weight: u32) -> Server {
        let (method, tunnel) = self.way.unwrap_or((Method::Masq, Tunnel::Ipip));
        Server {
            key: self.key,
            method,
            weight: self.weight.unwrap_or(weight),
            upper: self.upper,
            lower: self.lower,
            tunnel,
            leaving: false,
        }
    }
}

impl Lower<'_> {
    /// `ADDRESS [PORT]`, and where it stands.
    pub(super) fn address_and_port(&mut self, known: &Known<'_>) -> Option<(SocketAddr, Span)> {
        let [address, rest @ ..] = known.directive.arguments() else { return None };
        let ip: Option<IpAddr> = address.text.parse().ok();
        if ip.is_none() {
            self.report
                .error(address.span, format!("`{}` is not an IP address", address.text))
                .help("such as 10.0.0.1 or fd00::1; names are not looked up");
        }
        let port = match rest {
            [] => 0,
            [port, ..] => self.port(port)?,
        };
        Some((SocketAddr::new(ip?, port), known.span()))
    }

    pub(super) fn real_server(&mut self, known: &Known<'_>) -> Option<ServerDraft> {
        let server = self.address_and_port(known);
        // An address that cannot be read is no reason not to look at the block.
        let (key, at) = server.unwrap_or((SocketAddr::from(([0, 0, 0, 0], 0)), known.span()));
        let mut written = ServerDraft::new(key, at);
        for known in read::block(known.directive.items(), Within::Server, self.report) {
            if !self.server_term(&mut written, &known) && !inherit(&mut written.inherited, &known) {
                let check = self.check(&known);
                written.checks.extend(check);
            }
        }
        server.is_some().then_some(written)
    }

    fn server_term(&mut self, written: &mut ServerDraft, known: &Known<'_>) -> bool {
        match known.name() {
            "lvs_method" => {
                let way = self.method(known);
                self.once(&mut written.way, way, known);
            }
            "weight" => {
                let weight = known.number();
                self.once(&mut written.weight, weight, known);
            }
            "uthreshold" => written.upper = known.number().unwrap_or(0),
            "lthreshold" => written.lower = known.number().unwrap_or(0),
            "inhibit_on_failure" => written.inhibit = Some(known.is_on()),
            "notify_up" => {
                let script = self.as_user(known.script());
                self.once(&mut written.notify_up, script, known);
            }
            "notify_down" => {
                let script = self.as_user(known.script());
                self.once(&mut written.notify_down, script, known);
            }
            "smtp_alert" => written.smtp_alert = Some(known.is_on()),
            "virtualhost" => written.virtualhost = known.text(),
            "snmp_name" => written.snmp_name = known.text(),
            _ => return false,
        }
        true
    }

    /// Puts a server into each of the services; None: none of them takes it.
    pub(super) fn join_server(
        &mut self,
        of: &VirtualServer,
        draft: &Draft,
        written: ServerDraft,
    ) -> Option<RealServer> {
        let server = written.server(draft.weight.unwrap_or(1));
        let mut known = None;
        for service in &of.services {
            let server = VirtualServer::server_of(service, &server);
            let change = Change::AddServer { service: *service, server };
            match self.model.apply(&change) {
                Ok(()) => known = Some(server),
                Err(Fault::ServerExists) => {
                    self.report
                        .warning(
                            written.at,
                            format!("{} is in this virtual_server already", server.key),
                        )
                        .means("this second one is left out, as by keepalived");
                    return None;
                }
                Err(fault) => {
                    self.report.error(written.at, format!("{}: {fault}", server.key));
                    return None;
                }
            }
        }
        let known = known?;
        self.told_of_port(&written, &server, of);
        let alike =
            of.services.iter().all(|s| VirtualServer::server_of(s, &server).key == known.key);
        let server = if alike { known } else { server };
        let virtualhost = written.virtualhost.clone().or_else(|| of.virtualhost.clone());
        let log = self.config.globals.log_all_failures;
        let checks = written.checks.into_iter().map(|check| {
            let mut check =
                check.resolve(&written.inherited, &of.inherited, virtualhost.as_deref(), log);
            // Whatever port packets go to, checks ask the one that is written.
            // But for those that go where clients' packets go.
            let own = !check.common.via_forwarding && written.key.port() != 0;
            if own && server.key.port() != written.key.port() {
                check.common.connect_port = check.common.connect_port.or(Some(written.key.port()));
            }
            check
        });
        let mut checks: Vec<Check> = checks.collect();
        self.told_of_forwarding(&mut checks, &server, &of.services, written.at);
        self.told_of_checks(&checks, server.key.port(), written.at);
        Some(RealServer {
            origin: Some(self.origin(written.at)),
            inhibit_on_failure: written.inhibit.unwrap_or(of.inhibit_on_failure),
            notify_up: written.notify_up,
            notify_down: written.notify_down,
            smtp_alert: written.smtp_alert.or(self.mail_by_default).unwrap_or(true),
            virtualhost: written.virtualhost,
            snmp_name: written.snmp_name,
            inherited: written.inherited,
            checks,
            ..RealServer::new(server)
        })
    }

    /// Checks that have no port to go to.
    fn told_of_checks(&mut self, checks: &[Check], port: u16, at: Span) {
        for check in checks {
            let connects = !check.common.via_forwarding
                && !matches!(check.kind, Kind::Misc(_) | Kind::Ping | Kind::File(_) | Kind::Bfd(_));
            if connects && port == 0 && check.common.connect_port.is_none() {
                let keyword = check.kind.keyword();
                self.report
                    .warning(at, format!("{keyword} has no port to go to"))
                    .means("the server has none of its own: the check will fail")
                    .help("connect_port in the check, or a port of the real_server");
            }
        }
    }

    /// `via_forwarding` where that cannot be, or is nothing else.
    fn told_of_forwarding(
        &mut self,
        checks: &mut [Check],
        server: &Server,
        services: &[ServiceKey],
        at: Span,
    ) {
        for check in checks.iter_mut().filter(|check| check.common.via_forwarding) {
            let common = &mut check.common;
            let v4 = services.iter().filter_map(ServiceKey::address).any(|a| a.is_ipv4());
            let others = common.connect_ip.is_some() || common.connect_port.is_some();
            let by = common.bind_if.is_some() || common.bind_port.is_some() || common.fwmark != 0;
            if server.method == Method::Masq {
                common.via_forwarding = false;
                self.report
                    .warning(at, "via_forwarding changes nothing by NAT")
                    .means("the server's own address is asked, where clients' packets go, too");
            } else if services.iter().all(|service| service.mark().is_some()) {
                self.report
                    .error(at, "via_forwarding without a virtual address")
                    .means("a service of a firewall mark has none that could be asked");
            } else if !v4 || server.key.is_ipv6() {
                self.report
                    .error(at, "via_forwarding for IPv6")
                    .means("xlvs does not forward IPv6 yet");
            } else if others {
                self.report
                    .error(at, "via_forwarding beside connect_ip or connect_port")
                    .means("it asks the virtual address at its own port, and nothing else");
            } else if by {
                self.report
                    .error(at, "via_forwarding beside bind_if, bind_port or fwmark")
                    .means("its packets leave as clients' packets are forwarded")
                    .help("bindto says from which address");
            }
        }
    }

    /// A port that DR and tunnels cannot go to.
    fn told_of_port(&mut self, written: &ServerDraft, server: &Server, of: &VirtualServer) {
        let port = written.key.port();
        if port == 0 || !server.method.keeps_port() {
            return;
        }
        let Some(other) = of.services.iter().find(|service| service.port() != port) else { return };
        let what = "packets keep the port that the client asked for";
        let only = format!("{port} is where checks go");
        if other.mark().is_some() {
            self.report
                .note(written.at, format!("port {port} is for checks alone"))
                .means(format!("to a fwmark's server by DR or a tunnel {what}; {only}"));
        } else {
            self.report
                .warning(written.at, format!("packets go to port {}, not {port}", other.port()))
                .means(format!("by DR or a tunnel {what}; {only}"))
                .help("lvs_method NAT can change the port");
        }
    }
}

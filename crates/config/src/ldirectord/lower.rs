//! Keywords to the model.

use std::{net::SocketAddr, time::Duration};

use xlvs_model::{
    ClientMask, Family, Persistence, Protocol, Scheduler, Server, ServiceKey, Terms as Served,
    health::{Alert, Check, RealServer, Script, SorryServer, Talks, VirtualServer},
};

use super::{
    check::{Terms, Type},
    keywords::VIRTUAL,
    read::Source,
    real::{self, Fallback, Real},
    scope::{STATUSES, Scope},
};
use crate::{Config, assemble::Assembly, source::Span, suggest::nearest, table::Given};

/// A file, and those that it has executed.
pub(super) fn lower(files: &[Source], assembly: Assembly<'_>) -> Config {
    let mut lower = Lower { assembly, scope: Scope::default(), first: None };
    for file in files {
        lower.file(&file.given);
        let scope = std::mem::take(&mut lower.scope);
        if lower.first.is_none() {
            lower.assembly.config.globals.mail = scope.mail.clone();
            lower.first = Some((file.path.clone(), scope));
        }
    }
    let itself = lower.first.map(|(_, scope)| Box::new(scope.itself));
    lower.assembly.config.globals.ldirectord = itself;
    lower.assembly.finish()
}

struct Lower<'a> {
    assembly: Assembly<'a>,
    /// What holds for all services of the file that is read now.
    scope: Scope,
    /// The first file, and what it says; none: it is read now.
    first: Option<(String, Scope)>,
}

/// What a service says, before it is known what it is.
struct Draft {
    terms: Terms,
    served: Served,
    protocol: Option<(String, Span)>,
    /// `service` was said.
    speaks: bool,
    mask: Option<(String, Span)>,
    persistent: Option<u32>,
    flags: Option<(String, Span)>,
    fallback: Option<Fallback>,
    command: Option<String>,
    alert: Alert,
    of: VirtualServer,
}

impl Lower<'_> {
    /// One file.
    fn file(&mut self, given: &[Given]) {
        // What holds for all may stand anywhere.
        for given in given.iter().filter(|given| !given.name().starts_with(VIRTUAL)) {
            self.global(given);
        }
        let mail = &mut self.scope.mail;
        if mail.server.is_none() && !mail.to.is_empty() {
            mail.server = Some("127.0.0.1".into());
        }
        if let Some((path, first)) = &self.first {
            self.scope.agrees(first, path, given, self.assembly.report);
        }
        for given in given.iter().filter(|given| given.name().starts_with(VIRTUAL)) {
            self.virtual_server(given);
        }
    }

    fn global(&mut self, given: &Given) {
        let text = || given.text().to_owned();
        let during = self.during(given);
        let Self { assembly, scope, .. } = self;
        let Scope { mail, itself, .. } = scope;
        match given.name() {
            "quiescent" => scope.quiescent = given.is_on(),
            "fallback" => scope.fallback[0] = real::fallback(given, false, assembly),
            "fallback6" => scope.fallback[1] = real::fallback(given, true, assembly),
            "fallbackcommand" => scope.command = Some(text()),
            "emailalert" => mail.to = addresses(given.text()),
            "emailalertfrom" => mail.from = Some(text()),
            "smtp" => mail.server = Some(text()),
            "emailalertfreq" => itself.repeat = repeat(given).filter(|often| !often.is_zero()),
            "emailalertstatus" => {
                itself.during = Some(during).filter(|during| during.len() < STATUSES.len());
            }
            "cleanstop" => itself.clean_stop = Some(given.is_on()),
            "readdquiescent" => itself.readd_quiescent = given.is_on(),
            "maintenancedir" => itself.maintenance = Some(text()),
            "autoreload" => itself.autoreload = given.is_on(),
            "callback" => itself.callback = Some(command(given.text(), &[])),
            "logfile" => itself.log = Some(text()),
            "supervised" => itself.supervised = given.is_on(),
            "fork" => itself.fork = given.is_on(),
            _ => {
                scope.pace.take(given, assembly.report);
            }
        }
    }

    /// `all`, `none`, or some of the four.
    fn during(&mut self, given: &Given) -> Vec<String> {
        let mut during: Vec<String> = Vec::new();
        if given.name() != "emailalertstatus" {
            return during;
        }
        let words: Vec<&str> = given.text().split(',').map(str::trim).collect();
        for word in &words {
            match *word {
                "all" => during = STATUSES.map(str::to_owned).to_vec(),
                "none" if words.len() == 1 => {}
                word if during.iter().any(|known| known == word) => {}
                word if STATUSES.contains(&word) => during.push(word.to_owned()),
                word => {
                    let label = nearest(word, STATUSES).map_or_else(
                        || "starting, running, stopping, reloading, all, or none alone".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let message = format!("`{word}` is nothing for `emailalertstatus`");
                    self.assembly.report.error(given.value_at(), message).label(label);
                }
            }
        }
        during
    }

    fn virtual_server(&mut self, block: &Given) {
        let v6 = block.name() == "virtual6";
        let mut draft = self.draft(block, v6);
        let Some((key, name, shown)) = self.key(block, &mut draft, v6) else { return };
        self.spoken(&mut draft, &key);
        self.served(&mut draft, &key);
        let mut of = std::mem::take(&mut draft.of);
        of.name = name;
        of.services.push(key);
        of.origin = Some(self.assembly.origin(block.at));
        if !self.assembly.service(key, draft.served.clone(), block.at) {
            return;
        }
        let word = key.protocol().map_or("fwm", Protocol::name);
        let target = format!("{shown}:{}", key.port());
        if let Some(text) = draft.command.clone().or_else(|| self.scope.command.clone()) {
            of.quorum_down = Some(command(&text, &["start", &target, word]));
            of.quorum_up = Some(command(&text, &["stop", &target, word]));
        }
        let fallback =
            draft.fallback.clone().or_else(|| self.scope.fallback[usize::from(v6)].clone());
        of.sorry_server = fallback.map(|fallback| {
            let port = fallback.port.unwrap_or(key.port());
            let server = Server::new(SocketAddr::new(fallback.address, port), fallback.method, 1);
            SorryServer { server: VirtualServer::server_of(&key, &server), inhibit: false }
        });
        if let Some((_, first)) = &self.first {
            self.scope.resolve(first, &mut draft.alert, &mut of.clean_stop);
        }
        let mails = !self.scope.mail.to.is_empty() || !draft.alert.to.is_empty();
        of.smtp_alert = mails;
        of.alert = (draft.alert != Alert::default()).then_some(draft.alert.clone());
        of.alpha = true;
        of.inherited.alpha = Some(true);
        let mut servers = Vec::new();
        let name = if v6 { "real6" } else { "real" };
        for given in block.block.iter().filter(|given| given.name() == name) {
            if let Some(real) = real::real(given, v6, &mut self.assembly) {
                servers.extend(self.servers(&real, &of, &draft.terms, &shown, mails));
            }
        }
        if draft.terms.how == Type::Off {
            self.assembly.report.note(block.at, "checktype = off: its servers get nothing").means(
                if of.inhibit_on_failure {
                    "they are in the list with weight 0"
                } else {
                    "they are not in the list"
                },
            );
            servers.retain(|_| of.inhibit_on_failure);
        }
        self.assembly.virtual_server(of, servers);
    }

    /// All keywords but the servers.
    fn draft(&mut self, block: &Given, v6: bool) -> Draft {
        let mut draft = Draft {
            terms: Terms::new(),
            served: Served::from(Scheduler::Wrr),
            protocol: None,
            speaks: false,
            mask: None,
            persistent: None,
            flags: None,
            fallback: None,
            command: None,
            alert: Alert::default(),
            of: VirtualServer {
                inhibit_on_failure: self.scope.quiescent,
                ..VirtualServer::default()
            },
        };
        for given in &block.block {
            let text = || given.text().to_owned();
            match given.name() {
                "real" | "real6" | "fallback" | "fallback6"
                    if given.name().ends_with('6') != v6 =>
                {
                    let right = given.name().trim_end_matches('6');
                    let six = if v6 { "6" } else { "" };
                    self.assembly
                        .report
                        .error(given.at, format!("`{}` in a {}", given.name(), block.name()))
                        .label(format!("`{right}{six}` belongs here"));
                }
                "real" | "real6" => {}
                "fallback" | "fallback6" => {
                    draft.fallback = real::fallback(given, v6, &mut self.assembly);
                }
                "fallbackcommand" => draft.command = Some(text()),
                "quiescent" => draft.of.inhibit_on_failure = given.is_on(),
                "cleanstop" => draft.of.clean_stop = Some(given.is_on()),
                "emailalert" => draft.alert.to = addresses(given.text()),
                "emailalertfreq" => draft.alert.repeat = repeat(given),
                "emailalertstatus" => draft.alert.during = Some(self.during(given)),
                "smtp" => draft.alert.server = Some(text()),
                "monitorfile" => draft.of.monitor_file = Some(text()),
                "servicename" => draft.of.snmp_name = Some(text()),
                "comment" => draft.of.comment = Some(text()),
                "protocol" => draft.protocol = Some((text(), given.value_at())),
                "scheduler" => self.scheduler(&mut draft.served, given),
                "schedflags" => draft.flags = Some((text(), given.value_at())),
                "persistent" => draft.persistent = given.number(),
                "netmask" => draft.mask = Some((text(), given.value_at())),
                "ops" => draft.served.one_packet = given.is_on(),
                _ => {
                    draft.speaks |= given.name() == "service";
                    draft.terms.take(given, self.assembly.report);
                    self.told_of_interval(given);
                }
            }
        }
        draft
    }

    fn told_of_interval(&mut self, given: &Given) {
        if given.name() == "checkinterval" && !self.scope.itself.fork {
            self.assembly
                .report
                .warning(given.at, "`checkinterval` of a virtual has no effect")
                .means("it counts with fork = yes alone, as in ldirectord")
                .help("set it at the top level, or say fork = yes");
        }
    }

    fn scheduler(&mut self, served: &mut Served, given: &Given) {
        let known = Scheduler::ALL.into_iter().find(|known| known.name() == given.text());
        if let Some(known) = known {
            served.scheduler = known;
            return;
        }
        let names = Scheduler::ALL.map(Scheduler::name);
        let label = nearest(given.text(), names)
            .map_or_else(|| names.join(", "), |near| format!("did you mean `{near}`?"));
        self.assembly
            .report
            .error(given.value_at(), format!("`{}` is no scheduler", given.text()))
            .label(label);
    }

    /// What the service is: its key, its name, and its address or mark as programs get it.
    fn key(
        &mut self,
        block: &Given,
        draft: &mut Draft,
        v6: bool,
    ) -> Option<(ServiceKey, String, String)> {
        let (text, at) = (block.text(), block.value_at());
        let protocol = draft.protocol.clone();
        let wrong = |this: &mut Self, what: &str, wanted: &str| {
            let at = protocol.as_ref().map_or(at, |(_, at)| *at);
            this.assembly.report.error(at, what.to_owned()).label(wanted.to_owned());
        };
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            if protocol.as_ref().is_some_and(|(word, _)| word != "fwm") {
                wrong(self, "a mark has no protocol", "fwm");
                return None;
            }
            let mark = text.parse().ok().filter(|mark| *mark != 0);
            let Some(mark) = mark else {
                self.assembly.report.error(at, format!("`{text}` is no mark"));
                return None;
            };
            let family = if v6 { Family::V6 } else { Family::V4 };
            let key = ServiceKey::Mark { mark, family };
            return Some((key, format!("fwmark {mark}"), mark.to_string()));
        }
        if text.starts_with('[') && !v6 {
            self.assembly.report.error(at, "an IPv6 address").label("of a `virtual6`");
            return None;
        }
        let (name, port) = real::host_and_port(text);
        let Some(port) = port else {
            self.assembly
                .report
                .error(at, format!("`{text}` is no service"))
                .help("ADDRESS:PORT, or the number of a mark");
            return None;
        };
        let udp = match protocol.as_ref().map(|(word, _)| word.as_str()) {
            Some("udp") => true,
            Some("tcp") => false,
            Some(_) => {
                wrong(self, "an address and port are of a protocol", "tcp or udp");
                return None;
            }
            None => port == "53" || port == "domain",
        };
        let address = self.assembly.address(name, at, v6)?;
        let number = self.assembly.port(port, if udp { "udp" } else { "tcp" }, at)?;
        draft.terms.udp = udp;
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        let shown = if v6 { format!("[{address}]") } else { address.to_string() };
        let key = ServiceKey::socket(protocol, address, number);
        Some((key, format!("{address} {number}"), shown))
    }

    /// What is spoken, where the file does not say; and who it is spoken as.
    fn spoken(&self, draft: &mut Draft, key: &ServiceKey) {
        let terms = &mut draft.terms;
        if !draft.speaks {
            let known = Talks::ALL.into_iter().find(|(.., port)| *port == key.port() && *port > 0);
            terms.service = known.map(|(service, ..)| service).filter(|_| key.mark().is_none());
            return;
        }
        let me = || format!("ldirectord@{}", self.assembly.host.config_id());
        match terms.service {
            Some(Talks::Ftp) => {
                if terms.login.is_empty() {
                    terms.login = "anonymous".into();
                }
                if terms.passwd.is_empty() {
                    terms.passwd = me();
                }
            }
            Some(Talks::Sip) if terms.login.is_empty() => terms.login = me(),
            _ => {}
        }
    }

    /// Persistence, flags, and one packet at a time.
    fn served(&mut self, draft: &mut Draft, key: &ServiceKey) {
        draft.served.one_packet &= draft.terms.udp;
        if let Some(timeout_s) = draft.persistent {
            let mask = match &draft.mask {
                None => Some(ClientMask::host(key.family())),
                Some((text, _)) if key.family() == Family::V4 => {
                    text.parse().ok().map(ClientMask::V4)
                }
                Some((text, _)) => {
                    text.parse().ok().filter(|bits| (1..=128).contains(bits)).map(ClientMask::V6)
                }
            };
            draft.served.persistence = mask.map(|mask| Persistence { timeout_s, mask });
            if let (None, Some((text, at))) = (mask, &draft.mask) {
                let help = "such as 255.255.255.0; of IPv6 a number of bits from 1 to 128";
                self.assembly.report.error(*at, format!("`{text}` is no netmask")).help(help);
            }
        } else if let Some((_, at)) = &draft.mask {
            self.assembly
                .report
                .note(*at, "`netmask` without `persistent`")
                .means("it says which clients are one, and none is kept");
        }
        let Some((flags, at)) = &draft.flags else { return };
        let names = draft.served.scheduler.flag_names();
        for flag in flags.split(',').map(str::trim) {
            let plain = ["flag-1", "flag-2", "flag-3"];
            let bit =
                names.iter().position(|n| *n == flag).or(plain.iter().position(|n| *n == flag));
            match bit {
                Some(bit) => draft.served.scheduler_flags |= 1 << bit,
                None => {
                    self.assembly
                        .report
                        .error(*at, format!("`{flag}` is no flag of this scheduler"))
                        .label(names.join(", "));
                }
            }
        }
    }

    fn servers(
        &mut self,
        real: &Real,
        of: &VirtualServer,
        terms: &Terms,
        shown: &str,
        mails: bool,
    ) -> Vec<(RealServer, Span)> {
        let Some(key) = of.services.first() else { return Vec::new() };
        let origin = self.assembly.origin(real.at);
        let mut servers = Vec::new();
        for address in &real.addresses {
            let port = real.port.unwrap_or(key.port());
            let weight = if terms.how == Type::Off { 0 } else { real.weight };
            let server = Server {
                upper: real.upper,
                lower: real.lower,
                ..Server::new(SocketAddr::new(*address, port), real.method, weight)
            };
            let server = VirtualServer::server_of(key, &server);
            let own = real.request.as_ref();
            let said = (*address, real.port.unwrap_or(0));
            let kind = terms.kind((shown, key.port()), said, own, &self.scope.pace);
            let mut common = terms.common(port, &self.scope.pace, self.scope.itself.fork);
            if server.key.port() != port && common.connect_port.is_none() {
                common.connect_port = Some(port);
            }
            let check = |kind| Check { kind, common: common.clone(), origin: Some(origin.clone()) };
            let written = RealServer {
                origin: Some(origin.clone()),
                inhibit_on_failure: of.inhibit_on_failure,
                smtp_alert: mails,
                checks: kind.map(check).into_iter().collect(),
                ..RealServer::new(server)
            };
            servers.push((written, real.at));
        }
        servers
    }
}

fn addresses(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn repeat(given: &Given) -> Option<Duration> {
    given.number().map(|n: u32| Duration::from_secs(n.into()))
}

/// A command as Perl's `system` runs it: by a shell where it has anything for one.
fn command(text: &str, arguments: &[&str]) -> Script {
    let shell =
        text.contains(['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?']);
    let argv = if shell {
        let text = std::iter::once(text).chain(arguments.iter().copied());
        vec!["/bin/sh".to_owned(), "-c".to_owned(), text.collect::<Vec<_>>().join(" ")]
    } else {
        text.split_ascii_whitespace().chain(arguments.iter().copied()).map(str::to_owned).collect()
    };
    Script { argv, user: None }
}

//! Who is told by mail, when, and how often; and what is written of each answer.
//!
//! keepalived's mails go out whenever something turns. ldirectord's may be for some of the daemon's
//! phases alone (`emailalertstatus`), come again while a server is down (`emailalertfreq`), go to
//! others for one service, and say what the service is called.

use std::{fmt::Write as _, time::Duration};

use xlvs_model::{
    Method, Protocol, ServiceKey,
    health::{Kind, ServiceCheck, Talks},
};

use super::{Core, Probe, ProbeId, Server, Service, User};
use crate::{Alert, Effect, Moment, Outcome, effect::Line};

/// What the daemon is about. A file is being taken up until each of its checks was answered once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first file.
    #[default]
    Starting,
    /// All is known.
    Running,
    /// Another file.
    Reloading,
    /// The end.
    Stopping,
}

impl Phase {
    /// ldirectord's word.
    const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Reloading => "reloading",
            Self::Stopping => "stopping",
        }
    }
}

impl Core {
    /// A file is taken up.
    pub(super) fn take_up(&mut self) {
        let first = self.phase == Phase::Starting && self.services.is_empty();
        self.phase = if first { Phase::Starting } else { Phase::Reloading };
    }

    /// All is known when nothing is left to be answered for the first time.
    pub(super) fn settle_phase(&mut self) {
        if self.unanswered == 0 && !self.services.is_empty() {
            self.phase = Phase::Running;
        }
    }

    pub(super) fn mail_server(
        &self,
        service: &Service,
        server: &Server,
        state: &str,
        body: String,
        effects: &mut Vec<Effect>,
    ) {
        let about = format!(
            "Realserver {} of virtual server {} - {state}",
            server.terms.key(),
            service.terms.name
        );
        self.letter(service, &about, body, effects);
    }

    pub(super) fn mail_service(
        &self,
        service: &Service,
        state: &str,
        body: String,
        effects: &mut Vec<Effect>,
    ) {
        let about = format!("Virtualserver {} - {state}", service.terms.name);
        self.letter(service, &about, body, effects);
    }

    /// A mail of a service, unless it is of a phase that nobody wants to hear of.
    fn letter(&self, of: &Service, about: &str, mut body: String, effects: &mut Vec<Effect>) {
        let own = of.terms.alert.clone().unwrap_or_default();
        let all = self.config.alerts.as_ref();
        let during = own.during.as_ref().or_else(|| all?.during.as_ref());
        if during.is_some_and(|during| !during.iter().any(|word| word == self.phase.name())) {
            return;
        }
        if all.is_some() {
            let name = of.terms.snmp_name.as_ref().map(|name| ("Service name", &**name));
            let comment = of.terms.comment.as_ref().map(|comment| ("Comment", &**comment));
            let phase = Some(("Daemon-Status", self.phase.name()));
            for (what, text) in [phase, name, comment].into_iter().flatten() {
                // Writing to a string cannot fail.
                let _ = write!(body, "\n{what}: {text}");
            }
        }
        let subject = format!("[{}] {about}", self.config.router_id);
        let (to, from, host) = (own.to, own.from, own.server);
        effects.push(Effect::Alert(Alert { subject, body, to, from, host }));
    }

    /// Takes note of a server that is down: mails come again.
    pub(super) fn remember(&mut self, user: User, now: Moment) {
        let often = self.often(user.service);
        let (_, server) = self.places(user);
        let is_down = !server.up && server.terms.smtp_alert && self.is_known(server);
        let next = match (often, is_down) {
            (Some(often), true) => server.remind_at.or(Some(now + often)),
            _ => None,
        };
        self.services[user.service].servers[user.server].remind_at = next;
        self.next_reminder = self.next_reminder.into_iter().chain(next).min();
    }

    /// Mails of servers that are still down.
    pub fn remind(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.next_reminder.is_none_or(|at| at > now) {
            return;
        }
        self.next_reminder = None;
        for at in 0..self.services.len() {
            let often = self.often(at);
            for number in 0..self.services[at].servers.len() {
                let user = User { service: at, server: number };
                let due = self.places(user).1.remind_at;
                let next = match (due, often) {
                    (Some(due), Some(often)) if due <= now => {
                        let cause = self.health(user).cause;
                        let (service, server) = self.places(user);
                        let body = format!("=> Still inaccessible <=\n{cause}");
                        self.mail_server(service, server, "DOWN", body, effects);
                        Some(now + often)
                    }
                    (due, Some(_)) => due,
                    (_, None) => None,
                };
                self.services[at].servers[number].remind_at = next;
                self.next_reminder = self.next_reminder.into_iter().chain(next).min();
            }
        }
    }

    /// `emailalertfreq` of a service; none: mails come once.
    fn often(&self, service: usize) -> Option<Duration> {
        let own = self.services[service].terms.alert.as_ref().and_then(|alert| alert.repeat);
        let often = own.or_else(|| self.config.alerts.as_ref()?.repeat)?;
        Some(often).filter(|often| !often.is_zero())
    }

    /// Somebody asked it, or it is in maintenance: it is not only taken for down.
    fn is_known(&self, server: &Server) -> bool {
        let bad = |probe: &Probe| probe.life.has_run() && !probe.life.is_up();
        self.held.contains_key(&server.terms.key())
            || server.probes.iter().filter_map(|id| self.probes.get(id)).any(bad)
    }

    /// `monitorfile`: a line of an answer, for each service that asked.
    pub(super) fn monitor(&self, id: ProbeId, outcome: &Outcome, effects: &mut Vec<Effect>) {
        let Some(probe) = self.probes.get(&id) else { return };
        for user in &probe.users {
            let (service, server) = self.places(*user);
            let Some(path) = service.terms.monitor_file.clone() else { continue };
            let held = self.held.contains_key(&server.terms.key());
            let (up, text) = match outcome {
                Outcome::Unasked(_) if !held => continue,
                _ if held => (false, "Server in maintenance".to_owned()),
                Outcome::Good(good) => (true, good.code.map_or("-".into(), |c| c.to_string())),
                outcome => (false, outcome.to_string()),
            };
            let server = identity(service.terms.services.first(), server, probe);
            effects.push(Effect::Monitor(Line { path, server, up, text: escaped(&text) }));
        }
    }
}

/// A server and its check as ldirectord names them, without the colons.
fn identity(service: Option<&ServiceKey>, server: &Server, probe: &Probe) -> String {
    let service_of = |check: &ServiceCheck| {
        let how = if check.connects > 0 { "combined" } else { "negotiate" };
        let known = Talks::ALL.into_iter().find(|(talks, ..)| *talks == check.service);
        format!("{how}:{}", known.map_or("none", |(_, name, _)| name))
    };
    let kind = &probe.ask.kind;
    let (mut host, mut request, mut receive) = ("", "/", "");
    let how = match kind {
        Kind::Tcp => "connect".into(),
        Kind::Ping => "ping".into(),
        Kind::Service(check) => {
            host = check.virtualhost.as_deref().unwrap_or_default();
            (request, receive) = (&check.request, &check.receive);
            service_of(check)
        }
        Kind::Misc(misc) => {
            format!("external:{}", misc.script.argv.first().map_or("", String::as_str))
        }
        Kind::External(check) => format!("external-perl:{}", check.program),
        other => other.keyword().to_owned(),
    };
    let protocol = service.and_then(ServiceKey::protocol).map_or("fwm", Protocol::name);
    let written = &server.terms.server;
    let (key, weight) = (written.key, written.weight);
    let method = match written.method {
        Method::Masq => "masq",
        Method::Route => "gate",
        Method::Tunnel => "ipip",
    };
    let port = probe.ask.target.port();
    let port = if port == key.port() { String::new() } else { port.to_string() };
    bare(&format!(
        "{how}:{protocol}:{}:{}:{host}:{port}:{weight}:{method}:{request}:{receive}",
        key.ip(),
        key.port()
    ))
}

/// Colons in a row are one blank, and there are no backslashes.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut colon = false;
    for character in text.chars() {
        match character {
            ':' if colon => {}
            ':' => out.push(' '),
            '\\' => {}
            other => out.push(other),
        }
        colon = character == ':';
    }
    out
}

/// What would be taken for the line's own signs.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '%' | '|' | '\r' | '\n' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{:02x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_ldirectords() {
        for (text, expected) in [
            (
                "negotiate:http:tcp:10.0.0.1:80:::1:masq:/:",
                "negotiate http tcp 10.0.0.1 80 1 masq / ",
            ),
            (r"a\.b", "a.b"),
        ] {
            assert_eq!(bare(text), expected);
        }
        assert_eq!(escaped("50% |\r\n"), "50%25 %7c%0d%0a");
    }
}

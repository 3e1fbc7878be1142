//! From the services as they are to the services as somebody wants them: the changes that lead
//! there, and the same as differences for people.
//!
//! What is added comes before what is deleted, so that all of it can reach the tables as one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Change, Method, Model, Server, ServerKey, Service, ServiceKey,
    health::{Check, Origin, RealServer, VirtualServer},
};

/// What a service is to be; none: not there.
pub type Wanted = (ServiceKey, Option<Service>);

/// The changes that make these services what they are to be. Who is not named stays as it is, and
/// so does what IPVS does not know of a service that is there (its [`Tuning`](crate::Tuning)).
pub fn plan(model: &Model, wanted: &[Wanted]) -> Vec<Change> {
    let (mut changes, mut deletions) = (Vec::new(), Vec::new());
    for (key, wanted) in wanted {
        let service = *key;
        match (model.service(key), wanted) {
            (None, None) => {}
            (Some(_), None) => deletions.push(Change::DeleteService { service }),
            (None, Some(new)) => {
                changes.push(Change::AddService { service, terms: new.terms.clone() });
                if new.tuning != crate::Tuning::default() {
                    let tuning = new.tuning.clone();
                    changes.push(Change::TuneService { service, tuning });
                }
                let servers = new.servers.iter().rev();
                changes
                    .extend(servers.map(|server| Change::AddServer { service, server: *server }));
            }
            (Some(old), Some(new)) => between(old, new, &mut changes, &mut deletions),
        }
    }
    changes.extend(deletions);
    changes
}

fn between(old: &Service, new: &Service, changes: &mut Vec<Change>, deletions: &mut Vec<Change>) {
    let service = old.key;
    if old.terms != new.terms {
        changes.push(Change::EditService { service, terms: new.terms.clone() });
    }
    for server in new.servers.iter().rev() {
        match old.server(&server.key) {
            None => changes.push(Change::AddServer { service, server: *server }),
            Some(before) if before != server => {
                changes.push(Change::EditServer { service, server: *server });
            }
            Some(_) => {}
        }
    }
    let gone = old.servers.iter().filter(|server| new.server(&server.key).is_none());
    deletions.extend(gone.map(|server| Change::DeleteServer { service, server: server.key }));
}

/// What becomes of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It comes.
    Add,
    /// It is another.
    Change,
    /// It goes.
    Remove,
}

/// One difference between what is in force and what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What becomes of it.
    pub turn: Turn,
    /// The service; none: of the director.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceKey>,
    /// The server; none: of the service itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerKey>,
    /// In words: `weight 1 -> 3`.
    pub what: String,
}

/// `~ tcp:10.0.0.1:80  10.0.1.1:80  weight 1 -> 3`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.turn {
            Turn::Add => "+",
            Turn::Change => "~",
            Turn::Remove => "-",
        })?;
        self.service.map_or(Ok(()), |service| write!(f, " {service}"))?;
        self.server.map_or(Ok(()), |server| write!(f, "  {server}"))?;
        if self.what.is_empty() { Ok(()) } else { write!(f, "  {}", self.what) }
    }
}

/// Changes of [`plan`] as differences.
pub fn differences(model: &Model, changes: &[Change]) -> Vec<Difference> {
    changes.iter().filter_map(|change| difference(model, change)).collect()
}

fn difference(model: &Model, change: &Change) -> Option<Difference> {
    let of = |turn, service: &ServiceKey, server: Option<ServerKey>, what: String| {
        Some(Difference { turn, service: Some(*service), server, what })
    };
    let old = |service: &ServiceKey, server: &ServerKey| {
        model.service(service).and_then(|found| found.server(server)).copied()
    };
    match change {
        Change::AddService { service, terms } => {
            of(Turn::Add, service, None, format!("scheduler {}", terms.scheduler.name()))
        }
        Change::EditService { service, terms } => {
            let before = model.service(service).map(|found| &found.terms);
            let what = match before.filter(|old| old.scheduler != terms.scheduler) {
                Some(old) => {
                    format!("scheduler {} -> {}", old.scheduler.name(), terms.scheduler.name())
                }
                None => "persistence, flags or one-packet scheduling".to_owned(),
            };
            of(Turn::Change, service, None, what)
        }
        Change::TuneService { service, .. } => {
            of(Turn::Change, service, None, "timeouts, limits or slow start".to_owned())
        }
        Change::DeleteService { service } => of(Turn::Remove, service, None, String::new()),
        Change::AddServer { service, server } => {
            of(Turn::Add, service, Some(server.key), terms(server))
        }
        Change::EditServer { service, server } => {
            let what =
                old(service, &server.key).map_or_else(|| terms(server), |o| edited(&o, server));
            of(Turn::Change, service, Some(server.key), what)
        }
        Change::DeleteServer { service, server } => {
            of(Turn::Remove, service, Some(*server), String::new())
        }
        Change::SetTimeouts { timeouts } => {
            let (old, new) = (&model.timeouts, timeouts);
            let kept = |new: u32, old: u32| if new == 0 { old } else { new };
            let same =
                (kept(new.tcp, old.tcp), kept(new.tcp_fin, old.tcp_fin), kept(new.udp, old.udp))
                    == (old.tcp, old.tcp_fin, old.udp);
            let what = format!("timeouts {} {} {}", new.tcp, new.tcp_fin, new.udp);
            (!same).then_some(Difference { turn: Turn::Change, service: None, server: None, what })
        }
        _ => None,
    }
}

/// `nat, weight 3`.
fn terms(server: &Server) -> String {
    format!("{}, weight {}", method(server.method), server.weight)
}

const fn method(method: Method) -> &'static str {
    match method {
        Method::Masq => "nat",
        Method::Tunnel => "tunnel",
        Method::Route => "route",
    }
}

fn edited(old: &Server, new: &Server) -> String {
    let mut what = Vec::new();
    if old.weight != new.weight {
        what.push(format!("weight {} -> {}", old.weight, new.weight));
    }
    if old.method != new.method {
        what.push(format!("{} -> {}", method(old.method), method(new.method)));
    }
    if (old.upper, old.lower) != (new.upper, new.lower) {
        let (old, new) = ((old.upper, old.lower), (new.upper, new.lower));
        what.push(format!("limits {}, {} -> {}, {}", old.0, old.1, new.0, new.1));
    }
    if old.tunnel != new.tunnel {
        what.push("another kind of tunnel".to_owned());
    }
    if old.leaving != new.leaving {
        what.push(if new.leaving { "it leaves" } else { "it stays" }.to_owned());
    }
    what.join(", ")
}

/// How checks, quorums and what follows from them differ.
pub fn check_differences(old: &[VirtualServer], new: &[VirtualServer]) -> Vec<Difference> {
    let mut found = Vec::new();
    for new in new {
        let before = old.iter().find(|old| is_same(old, new));
        for service in &new.services {
            let old = before.filter(|old| old.services.contains(service));
            between_terms(*service, old, new, &mut found);
            for server in &new.servers {
                let key = VirtualServer::server_of(service, &server.server).key;
                let old = old.and_then(|old| old.servers.iter().find(|o| o.key() == server.key()));
                let difference = |(turn, what)| Difference {
                    turn,
                    service: Some(*service),
                    server: Some(key),
                    what,
                };
                found.extend(between_checks(old, server).map(difference));
            }
        }
    }
    found
}

/// The same service in another version of the file.
fn is_same(old: &VirtualServer, new: &VirtualServer) -> bool {
    old.services.iter().any(|key| new.services.contains(key))
}

fn between_terms(
    service: ServiceKey,
    old: Option<&VirtualServer>,
    new: &VirtualServer,
    found: &mut Vec<Difference>,
) {
    let default = VirtualServer::default();
    let old = old.unwrap_or(&default);
    let mut say = |what: String| {
        let turn = Turn::Change;
        found.push(Difference { turn, service: Some(service), server: None, what });
    };
    if (old.quorum, old.hysteresis) != (new.quorum, new.hysteresis) {
        let (o, n) = ((old.quorum, old.hysteresis), (new.quorum, new.hysteresis));
        say(format!("quorum {}, hysteresis {} -> {}, {}", o.0, o.1, n.0, n.1));
    }
    match (old.sorry_server, new.sorry_server) {
        (None, Some(sorry)) => say(format!("sorry server {}", sorry.server.key)),
        (Some(_), None) => say("no sorry server any more".to_owned()),
        (old, new) if old != new => say("another sorry server".to_owned()),
        _ => {}
    }
    if (&old.quorum_up, &old.quorum_down) != (&new.quorum_up, &new.quorum_down) {
        say("scripts of the quorum".to_owned());
    }
}

fn between_checks(old: Option<&RealServer>, new: &RealServer) -> Option<(Turn, String)> {
    let none: &[Check] = &[];
    let before = old.map_or(none, |old| &old.checks);
    let names = |checks: &[Check]| -> String {
        checks.iter().map(|check| check.kind.keyword()).collect::<Vec<_>>().join(", ")
    };
    let (was, is) = (names(before), names(&new.checks));
    if was != is {
        let turn = if before.is_empty() { Turn::Add } else { Turn::Change };
        let is = if is.is_empty() { "none".to_owned() } else { is };
        let what =
            if was.is_empty() { format!("checks {is}") } else { format!("checks {was} -> {is}") };
        return Some((turn, what));
    }
    if without_places(before) != without_places(&new.checks) {
        return Some((Turn::Change, format!("terms of {is}")));
    }
    let rest = |server: &RealServer| {
        (server.inhibit_on_failure, server.notify_up.clone(), server.notify_down.clone())
    };
    let differs = old.is_some_and(|old| rest(old) != rest(new));
    differs.then(|| (Turn::Change, "inhibit_on_failure or scripts".to_owned()))
}

/// A check that only moved in its file is the same.
fn without_places(checks: &[Check]) -> Vec<Check> {
    let none: Option<Origin> = None;
    checks.iter().map(|check| Check { origin: none.clone(), ..check.clone() }).collect()
}

#[cfg(test)]
mod tests;

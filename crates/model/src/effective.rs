//! Effective state: what is in force beside what is written, and why it is not the same.
//!
//! A server's presence and weight follow from what is written of it, what checks found, what a
//! person said ([`Override`]) and whether a sorry server stands in for its service. This is worked
//! out for each service that something touched, and nothing of it is ever written back. The rules:
//!
//! | | in the list | weight |
//! |---|---|---|
//! | disabled, or drained and its deadline reset the rest | no | - |
//! | checks say that it is down | no; `inhibit`: yes | 0 |
//! | drained | yes | 0 |
//! | a sorry server stands in | no; `inhibit`: yes | 0 |
//! | else | yes | what checks ask for, else the written one |
//!
//! Clients of a server whose drain's deadline resets the rest are reset at once; with
//! [`reset_on_down`](crate::Tuning::reset_on_down) those of one that is down or disabled are, too.

use std::{collections::BTreeMap, mem};

use serde::{Deserialize, Serialize};

use crate::{Model, Override, Server, ServerKey, Service, ServiceKey, Touched, change::MAX_WEIGHT};

/// What checks found of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// It works.
    pub up: bool,
    /// While it may get nothing it stays in the list with weight 0 (`inhibit_on_failure`).
    pub inhibit: bool,
    /// The weight that checks ask for (`misc_dynamic`); none: as written.
    pub weight: Option<u32>,
    /// Why, for people: `HTTP_GET / answered 500`.
    pub cause: String,
}

/// What checks found of a service as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Enough of its servers work.
    pub holds: bool,
    /// Who stands in when not.
    pub sorry: Option<Server>,
    /// Who stands in stays in the list with weight 0 meanwhile (`sorry_server_inhibit`).
    pub inhibit: bool,
    /// Why, for people: `1 of 3 servers is up, 2 are wanted`.
    pub cause: String,
}

/// News of the checks. None: nobody checks this (any more). What it says of a server holds while
/// the server is written; of one that is not, it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Of a server.
    Server {
        /// Its service.
        service: ServiceKey,
        /// Which.
        server: ServerKey,
        /// What was found.
        health: Option<Health>,
    },
    /// Of a service.
    Service {
        /// Which.
        service: ServiceKey,
        /// What was found.
        quorum: Option<Quorum>,
    },
}

impl Finding {
    /// The service that it is about.
    pub const fn service(&self) -> &ServiceKey {
        match self {
            Self::Server { service, .. } | Self::Service { service, .. } => service,
        }
    }
}

/// How it is with a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In service.
    #[default]
    Up,
    /// Checks say that it does not work: out of the list.
    Down,
    /// The same, and it stays in the list with weight 0.
    Inhibited,
    /// It gets no new connections.
    Draining,
    /// Its drain is over and the rest of its connections was reset.
    Drained,
    /// A person took it out.
    Disabled,
    /// It works, and too few others do: a sorry server stands in.
    Relieved,
    /// A sorry server that stands in.
    Sorry,
    /// A sorry server that waits.
    Standby,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Up,
        Self::Down,
        Self::Inhibited,
        Self::Draining,
        Self::Drained,
        Self::Disabled,
        Self::Relieved,
        Self::Sorry,
        Self::Standby,
    ];

    /// Clients of such a server are reset; `on_down`: the service wants it for those that are down.
    pub const fn resets(self, on_down: bool) -> bool {
        match self {
            Self::Drained => true,
            Self::Down | Self::Inhibited | Self::Disabled => on_down,
            Self::Up | Self::Draining | Self::Relieved | Self::Sorry | Self::Standby => false,
        }
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Inhibited => "inhibited",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Disabled => "disabled",
            Self::Relieved => "relieved",
            Self::Sorry => "sorry",
            Self::Standby => "standby",
        }
    }
}

/// What is in force for a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// In a word.
    pub state: State,
    /// The weight in force; 0 where it is not in the list.
    pub weight: u32,
    /// It is in the list that packets see.
    pub listed: bool,
    /// Why it is not as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Standing {
    /// As it is written.
    pub const fn plain(server: &Server) -> Self {
        Self { state: State::Up, weight: server.weight, listed: true, cause: None }
    }

    /// What follows for a server.
    pub fn of(
        server: &Server,
        health: Option<&Health>,
        quorum: Option<&Quorum>,
        person: Option<&Override>,
    ) -> Self {
        let inhibit = health.is_some_and(|h| h.inhibit);
        let out = |state, listed, cause: String| {
            let cause = Some(cause).filter(|cause| !cause.is_empty());
            Self { state, weight: 0, listed, cause }
        };
        if let Some(person) = person.filter(|person| person.takes_out()) {
            let state = if person.is_drain() { State::Drained } else { State::Disabled };
            return out(state, false, person.to_string());
        }
        if let Some(health) = health.filter(|health| !health.up) {
            let state = if inhibit { State::Inhibited } else { State::Down };
            let cause = match person {
                Some(person) if health.cause.is_empty() => person.to_string(),
                Some(person) => format!("{}; {person}", health.cause),
                None => health.cause.clone(),
            };
            return out(state, inhibit, cause);
        }
        if let Some(person) = person {
            return out(State::Draining, true, person.to_string());
        }
        if let Some(quorum) = quorum.filter(|quorum| !quorum.holds && quorum.sorry.is_some()) {
            return out(State::Relieved, inhibit, quorum.cause.clone());
        }
        let Some((weight, health)) = health.and_then(|h| Some((h.weight?.min(MAX_WEIGHT), h)))
        else {
            return Self::plain(server);
        };
        let cause = Some(health.cause.clone()).filter(|c| weight != server.weight && !c.is_empty());
        Self { weight, cause, ..Self::plain(server) }
    }

    /// Nothing is to be said of it.
    pub fn is_plain(&self, server: &Server) -> bool {
        *self == Self::plain(server)
    }
}

/// What checks found of a service and its servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    quorum: Option<Quorum>,
    servers: BTreeMap<ServerKey, Health>,
}

/// See the module. Kept in step with the written state by [`Effective::follow`].
#[derive(Clone, Debug, Default)]
pub struct Effective {
    model: Model,
    found: BTreeMap<ServiceKey, Found>,
}

impl Effective {
    /// Of a written state that nobody checked yet.
    pub fn of(written: &Model) -> Self {
        let mut this = Self::default();
        let all: Touched = written.services.iter().map(|service| service.key).collect();
        this.follow(written, &all);
        this
    }

    /// What the tables are to say.
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Works out anew the services that were touched. Costs what they cost.
    pub fn follow(&mut self, written: &Model, touched: &Touched) {
        let mut services = mem::take(&mut self.model.services);
        for key in touched {
            services.mirror(&written.services, key, |service| self.list(written, service));
        }
        self.model = Model { services, ..written.without_services() };
    }

    /// Forgets what checks found of servers that are no longer written, among the services that
    /// were touched; gives the sorry servers that nobody waits for any more.
    pub fn prune(&mut self, written: &Model, touched: &Touched) -> Vec<(ServiceKey, Server)> {
        let mut gone = Vec::new();
        for key in touched {
            let service = written.service(key);
            if let Some(found) = self.found.get_mut(key) {
                found
                    .servers
                    .retain(|server, _| service.is_some_and(|s| s.server(server).is_some()));
            }
            if service.is_none() {
                let quorum = self.found.remove(key).and_then(|found| found.quorum);
                gone.extend(quorum.and_then(|quorum| Some((*key, quorum.sorry?))));
            }
        }
        gone
    }

    /// Takes note of what checks found; [`Effective::follow`] its service then. False: that is no
    /// news, or of something that is not written.
    pub fn hear(&mut self, written: &Model, finding: Finding) -> bool {
        let Some(service) = written.service(finding.service()) else { return false };
        let found = self.found.entry(service.key).or_default();
        let is_news = match finding {
            Finding::Server { server, .. } if service.server(&server).is_none() => false,
            Finding::Server { server, health: Some(health), .. } => {
                found.servers.insert(server, health.clone()) != Some(health)
            }
            Finding::Server { server, health: None, .. } => found.servers.remove(&server).is_some(),
            Finding::Service { quorum, .. } => {
                mem::replace(&mut found.quorum, quorum.clone()) != quorum
            }
        };
        if *found == Found::default() {
            self.found.remove(&service.key);
        }
        is_news
    }

    /// What is in force for a server that is written.
    pub fn standing(&self, written: &Model, service: &ServiceKey, server: &Server) -> Standing {
        let found = self.found.get(service);
        let health = found.and_then(|found| found.servers.get(&server.key));
        let quorum = found.and_then(|found| found.quorum.as_ref());
        Standing::of(server, health, quorum, written.overrides.get(service, &server.key))
    }

    /// What checks found of a service as a whole.
    pub fn quorum(&self, service: &ServiceKey) -> Option<&Quorum> {
        self.found.get(service)?.quorum.as_ref()
    }

    /// What checks found of a server.
    pub fn health(&self, service: &ServiceKey, server: &ServerKey) -> Option<&Health> {
        self.found.get(service)?.servers.get(server)
    }

    /// Who stands in for a service's servers when too few work, and whether that is now.
    pub fn sorry(&self, service: &ServiceKey) -> Option<(Server, Standing)> {
        let quorum = self.found.get(service)?.quorum.as_ref()?;
        let server = quorum.sorry?;
        let cause = Some(quorum.cause.clone()).filter(|cause| !quorum.holds && !cause.is_empty());
        let (state, weight) =
            if quorum.holds { (State::Standby, 0) } else { (State::Sorry, server.weight) };
        let listed = !quorum.holds || quorum.inhibit;
        Some((server, Standing { state, weight, listed, cause }))
    }

    /// The list that packets see, and whose clients are reset; none: it is as it is written.
    fn list(&self, written: &Model, service: &Service) -> Option<(Vec<Server>, Vec<ServerKey>)> {
        if !self.found.contains_key(&service.key) && written.overrides.of(&service.key).is_none() {
            return None;
        }
        let sorry = self.sorry(&service.key).filter(|(_, standing)| standing.listed);
        let weighed = |server: Server, standing: &Standing| {
            let weight = standing.weight;
            Server { weight, ..server }
        };
        let mut list: Vec<Server> = sorry.iter().map(|(server, s)| weighed(*server, s)).collect();
        let mut resets = Vec::new();
        for server in &service.servers {
            let standing = self.standing(written, &service.key, server);
            if list.iter().any(|other| other.key == server.key) {
                continue;
            }
            if standing.state.resets(service.tuning.reset_on_down) {
                resets.push(server.key);
            }
            if standing.listed {
                list.push(weighed(*server, &standing));
            }
        }
        let differs = list != service.servers || !resets.is_empty();
        differs.then_some((list, resets))
    }
}

#[cfg(test)]
mod tests;

//! New terms: what did not change keeps its state.
//!
//! A question with the same terms goes on as if nothing had happened, one that is under way too. A
//! question whose pace alone changed keeps what it knows. Servers and services keep their state by
//! their keys.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use xlvs_model::{
    Finding,
    health::{Check, VirtualServer},
};

use super::{Core, Probe, ProbeId, Server, Service, User, resolve};
use crate::{Ask, Config, Effect, History, Life, Moment, Pace, Quorate, Via, memory::Memory};

impl Core {
    /// Puts new terms into force.
    pub fn apply(&mut self, config: Config, now: Moment, effects: &mut Vec<Effect>) {
        self.take_up();
        let old: Vec<_> = mem::take(&mut self.services);
        let old_keys = mem::take(&mut self.by_key);
        self.config = config;
        for probe in self.probes.values_mut() {
            probe.users.clear();
        }
        let mut old: HashMap<String, Service> =
            old.into_iter().map(|service| (identity(&service.terms), service)).collect();
        let mut begun = Vec::new();
        let by_ask: HashMap<String, ProbeId> =
            self.probes.iter().map(|(id, probe)| (probe.ask_key.clone(), *id)).collect();
        for terms in mem::take(&mut self.config.virtual_servers) {
            let before = old.remove(&identity(&terms));
            let (service, fresh) = self.join(terms, before, (&old_keys, &by_ask), now, effects);
            self.services.push(service);
            begun.push(fresh);
        }
        let mut left: Vec<_> = old.into_values().collect();
        left.sort_by(|a, b| a.terms.name.cmp(&b.terms.name));
        for service in &left {
            self.leave(service, effects);
        }
        self.forget_unused();
        for (at, fresh) in begun.into_iter().enumerate() {
            self.begin(at, &fresh, now, effects);
        }
        self.settle_phase();
        if !self.probes.is_empty() {
            // Whatever comes later begins anew.
            self.memory = Memory::default();
        }
    }

    /// A virtual server with what was known of it; and which of its servers are new.
    fn join(
        &mut self,
        terms: VirtualServer,
        before: Option<Service>,
        known: (&HashMap<String, ProbeId>, &HashMap<String, ProbeId>),
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> (Service, Vec<bool>) {
        let place = self.services.len();
        let mut before = before.unwrap_or_else(|| Service::new(terms.clone()));
        let mut servers = Vec::new();
        let mut fresh = Vec::new();
        for (at, real) in terms.servers.iter().enumerate() {
            let user = User { service: place, server: at };
            let at = before.servers.iter().position(|old| old.terms.key() == real.key());
            let old = at.map(|at| before.servers.remove(at));
            let target = resolve(real.key(), terms.services.first().unwrap_or(&NO_SERVICE));
            let mut probes = Vec::with_capacity(real.checks.len());
            for check in &real.checks {
                let via = Via::of(check, &terms.services, &real.server);
                let id = self.probe((check, target, via), user, known, now);
                // The same check written twice is one.
                if !probes.contains(&id) {
                    probes.push(id);
                }
            }
            fresh.push(old.is_none());
            let well = |id| self.probes.get(id).is_none_or(|p: &Probe| p.life.is_up());
            let up = !self.held.contains_key(&real.key()) && probes.iter().all(well);
            let since = probes.iter().filter_map(|id| self.probes.get(id)).map(|p| p.since).max();
            let since = since.unwrap_or(now);
            servers.push(match old {
                Some(old) => Server { terms: real.clone(), probes, ..old },
                None => {
                    Server { terms: real.clone(), up, since, told: None, remind_at: None, probes }
                }
            });
        }
        for gone in &before.servers {
            if gone.up {
                self.say_farewell(&before, gone, "=> Removing <=", effects);
            }
            before.forget(gone, effects);
        }
        for key in before.terms.services.iter().filter(|key| !terms.services.contains(key)) {
            effects.push(Effect::Found(Finding::Service { service: *key, quorum: None }));
            for server in &servers {
                let (service, server) = (*key, resolve(server.terms.key(), key));
                effects.push(Effect::Found(Finding::Server { service, server, health: None }));
            }
        }
        if before.terms.services != terms.services {
            // A group has other services now: all of them are to be told.
            before.quorum_told = None;
            for server in &mut servers {
                server.told = None;
            }
        }
        let sorry_in = before.sorry_in && terms.sorry_server.is_some();
        (Service { terms, sorry_in, servers, ..before }, fresh)
    }

    /// The first news of a service, and its quorum by its new terms.
    fn begin(&mut self, at: usize, fresh: &[bool], now: Moment, effects: &mut Vec<Effect>) {
        for (server, fresh) in fresh.iter().enumerate() {
            let user = User { service: at, server };
            if !fresh {
                self.settle(user, now, effects);
                self.remember(user, now);
                continue;
            }
            let health = self.health(user);
            let state = &mut self.services[at].servers[server];
            state.told = Some(health.clone());
            let (up, key) = (state.up, state.terms.key());
            for (service, server) in self.services[at].keys(key) {
                let health = Some(health.clone());
                effects.push(Effect::Found(Finding::Server { service, server, health }));
            }
            if up && self.config.rs_init_notifies {
                self.run_notify(user, effects);
            }
            self.remember(user, now);
        }
        self.settle_quorum(at, true, now, effects);
    }

    /// A virtual server is not checked any more.
    fn leave(&self, service: &Service, effects: &mut Vec<Effect>) {
        for server in &service.servers {
            if server.up {
                self.say_farewell(service, server, "=> Removing <=", effects);
            }
            service.forget(server, effects);
        }
        for key in &service.terms.services {
            effects.push(Effect::Found(Finding::Service { service: *key, quorum: None }));
        }
    }

    /// The question of a check: the same as before, or one that somebody else asks too.
    fn probe(
        &mut self,
        (check, server, via): (&Check, xlvs_model::ServerKey, Via),
        user: User,
        (by_key, by_ask): (&HashMap<String, ProbeId>, &HashMap<String, ProbeId>),
        now: Moment,
    ) -> ProbeId {
        let ask = Ask::new(check, server, via);
        let pace = Pace::of(check);
        let ask_key = ask.key();
        let key = format!("{ask_key} {pace:?} {:?}", ask.manner());
        let known = self.by_key.get(&key).or_else(|| by_key.get(&key)).copied();
        let id = known.filter(|id| self.probes.contains_key(id)).unwrap_or_else(|| {
            let before = by_ask.get(&ask_key).copied();
            self.make(ask, ask_key, pace, before, now)
        });
        self.by_key.insert(key, id);
        let log_all = check.common.log_all_failures;
        if let Some(probe) = self.probes.get_mut(&id) {
            probe.log_all = log_all || (!probe.users.is_empty() && probe.log_all);
            if !probe.users.contains(&user) {
                probe.users.push(user);
            }
        }
        id
    }

    /// A question with a new pace, or a new one: that waits for a random part of its warm-up.
    fn make(
        &mut self,
        ask: Ask,
        ask_key: String,
        pace: Pace,
        before: Option<ProbeId>,
        now: Moment,
    ) -> ProbeId {
        let id = ProbeId(self.next_id);
        self.next_id += 1;
        let manner = ask.manner();
        let roll = self.roll();
        let spread = |whole: Duration| {
            let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
            let part = (u128::from(micros) * u128::from(roll)) >> 64;
            Duration::from_micros(u64::try_from(part).unwrap_or(micros))
        };
        let mut probe = Probe {
            ask: Arc::new(ask),
            ask_key,
            manner,
            life: Life::new(&pace),
            history: History::default(),
            since: now,
            next: now + spread(pace.warmup),
            turn: 0,
            asked: None,
            weight: None,
            log_all: false,
            users: Vec::new(),
            pace,
        };
        if let Some(old) = before.and_then(|id| self.probes.get(&id)) {
            probe.life = old.life.clone();
            probe.life.migrate(&probe.pace, manner);
            probe.history = old.history.clone();
            probe.since = old.since;
            probe.weight = old.weight;
            let soonest = if old.asked.is_some() { now + probe.pace.interval } else { old.next };
            probe.next = soonest.min(now + probe.pace.interval);
        } else if let Some(verdict) = self.memory.recall(&probe.ask_key) {
            probe.life = verdict.life(&probe.pace);
            probe.history = verdict.history();
            probe.since = verdict.since;
            probe.weight = verdict.weight;
        }
        let next = probe.next;
        self.unanswered += usize::from(!probe.is_answered());
        self.probes.insert(id, probe);
        self.schedule(id, Some(next), now);
        id
    }

    fn forget_unused(&mut self) {
        let (asking, unanswered) = (&mut self.asking, &mut self.unanswered);
        self.probes.retain(|_, probe| {
            if probe.users.is_empty() && !probe.is_answered() {
                *unanswered -= 1;
            }
            if probe.users.is_empty() && probe.asked.is_some() {
                *asking -= 1;
            }
            !probe.users.is_empty()
        });
    }
}

impl Service {
    fn new(terms: VirtualServer) -> Self {
        Self {
            terms,
            quorate: Quorate::default(),
            sorry_in: false,
            quorum_told: None,
            servers: Vec::new(),
        }
    }
}

/// What makes a virtual server the same in new terms: its service; of a group its name and
/// protocol, since services come and go there.
fn identity(terms: &VirtualServer) -> String {
    match &terms.services[..] {
        [only] => only.to_string(),
        several => {
            let first = several.first();
            let protocol = first.and_then(xlvs_model::ServiceKey::protocol);
            format!("{} {protocol:?}", terms.name)
        }
    }
}

/// A real server without a service has no port to take over.
const NO_SERVICE: xlvs_model::ServiceKey =
    xlvs_model::ServiceKey::Mark { mark: 0, family: xlvs_model::Family::V4 };

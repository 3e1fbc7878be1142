//! All checks, and what follows from them. Pure: questions due come out, verdicts go in.
//!
//! One [`BinaryHeap`] is the clock of all questions. A question belongs to all servers that ask it;
//! a server is up while all of its checks count as good. Orders of effects are keepalived's: the
//! server first, then its script, then the quorum with its scripts, then mail.

mod alerts;
mod apply;
mod hold;
mod settle;
mod snapshot;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use xlvs_model::{
    Health, Quorum, ServerKey, ServiceKey,
    health::{Kind, RealServer, VirtualServer},
};

use self::alerts::Phase;
use crate::{
    Ask, Change, Config, Effect, Event, History, Life, Manner, Moment, Occasion, Outcome, Pace,
    Quorate, Verdict, Weight, dialogue::follow_load, memory::Memory,
};

/// A question, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(u64);

/// A question to be asked now.
#[derive(Clone, Debug)]
pub struct Start {
    /// Its number, for [`Core::done`].
    pub probe: ProbeId,
    /// What to ask.
    pub ask: Arc<Ask>,
    /// Of an HTTP check, which of its URLs; of a service's, 0 is a dialogue and more a connection.
    pub url: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Core {
    config: Config,
    services: Vec<Service>,
    probes: BTreeMap<ProbeId, Probe>,
    by_key: HashMap<String, ProbeId>,
    clock: BinaryHeap<Reverse<(Moment, ProbeId, u32)>>,
    suspended: HashSet<ServiceKey>,
    /// What the last daemon knew.
    memory: Memory,
    /// Servers that are in maintenance, and why.
    held: BTreeMap<ServerKey, String>,
    phase: Phase,
    /// Questions that were never answered.
    unanswered: usize,
    /// When a mail comes again next.
    next_reminder: Option<Moment>,
    asking: usize,
    next_id: u64,
    random: u64,
}

/// A question's state.
#[derive(Debug)]
struct Probe {
    ask: Arc<Ask>,
    ask_key: String,
    pace: Pace,
    manner: Manner,
    life: Life,
    history: History,
    since: Moment,
    next: Moment,
    /// Which entry of the clock is meant.
    turn: u32,
    /// When the question that is under way was asked.
    asked: Option<Moment>,
    /// What its last good answer asked of the weight.
    weight: Option<Weight>,
    log_all: bool,
    users: Vec<User>,
}

/// A server that asks a question, by its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    service: usize,
    server: usize,
}

/// A virtual server's state.
#[derive(Debug)]
struct Service {
    terms: VirtualServer,
    quorate: Quorate,
    /// The sorry server is in.
    sorry_in: bool,
    quorum_told: Option<Quorum>,
    servers: Vec<Server>,
}

/// A server's state.
#[derive(Debug)]
struct Server {
    terms: RealServer,
    up: bool,
    since: Moment,
    told: Option<Health>,
    /// When it is told of again; none: it is up, or nobody wants to know.
    remind_at: Option<Moment>,
    probes: Vec<ProbeId>,
}

impl Core {
    /// Without checks. The seed spreads the first questions.
    pub fn new(seed: u64) -> Self {
        Self {
            config: Config::default(),
            services: Vec::new(),
            probes: BTreeMap::new(),
            by_key: HashMap::new(),
            clock: BinaryHeap::new(),
            suspended: HashSet::new(),
            memory: Memory::default(),
            held: BTreeMap::new(),
            phase: Phase::Starting,
            unanswered: 0,
            next_reminder: None,
            asking: 0,
            next_id: 0,
            random: seed,
        }
    }

    /// What the last daemon knew, for the first terms that come with checks.
    pub fn recall(&mut self, verdicts: Vec<Verdict>, now: Moment) {
        let verdicts = verdicts.into_iter().map(|verdict| verdict.until(now));
        self.memory = Memory::of(verdicts.collect());
    }

    /// The terms that are in force.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// All questions, with their keys.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (ProbeId, &str, &Ask)> {
        self.probes.iter().map(|(id, probe)| (*id, &*probe.ask_key, &*probe.ask))
    }

    /// When there is something to do next: [`Core::remind`], [`Core::due`].
    pub fn next_wake(&mut self) -> Option<Moment> {
        self.next_question().into_iter().chain(self.next_reminder).min()
    }

    /// When the next question is due.
    fn next_question(&mut self) -> Option<Moment> {
        while let Some(Reverse((at, id, turn))) = self.clock.peek() {
            if self.probes.get(id).is_some_and(|p| p.turn == *turn && p.asked.is_none()) {
                return Some(*at);
            }
            self.clock.pop();
        }
        None
    }

    /// The questions that are due. Each is under way until [`Core::done`].
    pub fn due(&mut self, now: Moment, starts: &mut Vec<Start>) {
        while self.next_question().is_some_and(|at| at <= now) {
            let Some(Reverse((_, id, _))) = self.clock.pop() else { return };
            if self.is_suspended(id) || self.is_idle(id) {
                self.schedule(id, None, now);
                continue;
            }
            let Some(probe) = self.probes.get_mut(&id) else { continue };
            probe.asked = Some(now);
            self.asking += 1;
            let url = probe.life.url();
            starts.push(Start { probe: id, ask: Arc::clone(&probe.ask), url });
        }
    }

    /// A question was answered; of one that is not asked any more, nothing follows.
    pub fn done(
        &mut self,
        id: ProbeId,
        outcome: &Outcome,
        took: Duration,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(probe) = self.probes.get_mut(&id) else { return };
        let Some(asked) = probe.asked.take() else { return };
        self.asking -= 1;
        let is_news = probe.history.last().is_none_or(|last| !last.outcome.is_like(outcome));
        if !probe.is_answered() {
            self.unanswered -= 1;
        }
        probe.history.add(outcome, took, now);
        let step = match outcome {
            Outcome::Unasked(_) => None,
            outcome => Some(probe.life.on(outcome.is_good(), &probe.pace, probe.manner)),
        };
        let change = step.and_then(|step| step.change);
        if matches!(change, Some(Change::Up | Change::Down)) {
            probe.since = now;
        }
        let mut weight_changed = false;
        if let Outcome::Good(good) = outcome {
            let weight = probe.wish(good.weight);
            weight_changed = probe.weight != weight;
            probe.weight = weight;
        }
        let is_down = !probe.life.is_up();
        let delay = step.map(|step| step.delay);
        let from = if probe.manner == Manner::Program { asked } else { now };
        self.schedule(id, delay.map(|delay| (from + delay).max(now)), now);
        if change.is_some() || weight_changed || (is_down && is_news) {
            self.spread(id, change, now, effects);
        } else if !outcome.is_good() && !is_down {
            self.tell_failing(id, outcome, now, effects);
        }
        self.monitor(id, outcome, effects);
        self.settle_phase();
    }

    /// The engine ends: with `omega`, `notify_down` and `quorum_down` are run and mail says so.
    /// What packets see stays as it is.
    pub fn stop(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Stopping;
        for at in 0..self.services.len() {
            self.stop_service(at, effects);
        }
    }

    /// `ha_suspend`: this host does not own the virtual address now, or does again. A suspended
    /// service's servers stay as they are.
    pub fn suspend(&mut self, service: ServiceKey, suspended: bool) {
        if suspended {
            self.suspended.insert(service);
        } else {
            self.suspended.remove(&service);
        }
    }

    /// None of those who ask wants to know.
    fn is_suspended(&self, id: ProbeId) -> bool {
        if self.suspended.is_empty() {
            return false;
        }
        let Some(probe) = self.probes.get(&id) else { return false };
        probe.users.iter().all(|user| {
            let terms = &self.services[user.service].terms;
            terms.ha_suspend && terms.services.iter().all(|key| self.suspended.contains(key))
        })
    }

    /// A load of servers that are all down: nobody wants to know it, and when one of them comes
    /// back its weight is what is written, as of a new nanny.
    fn is_idle(&mut self, id: ProbeId) -> bool {
        let Some(probe) = self.probes.get(&id) else { return false };
        let is_up = |user: &User| self.places(*user).1.up;
        let idle = matches!(probe.ask.kind, Kind::Load(_)) && !probe.users.iter().any(is_up);
        if idle && let Some(probe) = self.probes.get_mut(&id) {
            probe.weight = None;
        }
        idle
    }

    /// Sets when a question is asked next; none: after its interval.
    fn schedule(&mut self, id: ProbeId, at: Option<Moment>, now: Moment) {
        let Some(probe) = self.probes.get_mut(&id) else { return };
        probe.next = at.unwrap_or(now + probe.pace.interval);
        probe.turn = probe.turn.wrapping_add(1);
        self.clock.push(Reverse((probe.next, id, probe.turn)));
    }

    /// A bad answer that changes nothing yet.
    fn tell_failing(&self, id: ProbeId, outcome: &Outcome, now: Moment, out: &mut Vec<Effect>) {
        let Some(probe) = self.probes.get(&id).filter(|probe| probe.log_all) else { return };
        for user in &probe.users {
            let (service, server) = self.places(*user);
            out.push(Effect::Event(Event {
                at: now,
                occasion: Occasion::CheckFailing,
                services: service.terms.services.clone(),
                server: Some(server.terms.key()),
                text: format!("{}: {outcome}", probe.ask.name()),
            }));
        }
    }

    fn places(&self, user: User) -> (&Service, &Server) {
        let service = &self.services[user.service];
        (service, &service.servers[user.server])
    }

    /// A number that nobody expects (splitmix64).
    fn roll(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Probe {
    /// Something is known of it. Loads of servers that are down are not asked for.
    fn is_answered(&self) -> bool {
        let is_load = matches!(self.ask.kind, Kind::Load(_));
        is_load || self.life.has_run() || self.history.last().is_some()
    }

    /// What an answer asks of the weight: a load by the weight that there is.
    fn wish(&self, said: Option<Weight>) -> Option<Weight> {
        let (Kind::Load(check), Some(Weight::Load(load))) = (&self.ask.kind, said) else {
            return said;
        };
        let last = match self.weight {
            Some(Weight::Follow { weight, .. }) => weight,
            _ => check.weight,
        };
        let weight = follow_load(check.weight, last, load);
        if weight == last { self.weight } else { Some(Weight::Follow { weight, load }) }
    }
}

impl Service {
    /// The keys of one of its servers: one for each service. Port 0 is the service's own port.
    fn keys(&self, server: ServerKey) -> impl Iterator<Item = (ServiceKey, ServerKey)> {
        self.terms.services.iter().map(move |service| (*service, resolve(server, service)))
    }
}

/// A server's key within a service.
fn resolve(mut server: ServerKey, service: &ServiceKey) -> ServerKey {
    if server.port() == 0 {
        server.set_port(service.port());
    }
    server
}

#[cfg(test)]
mod tests;

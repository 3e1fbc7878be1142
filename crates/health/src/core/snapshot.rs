//! What is shown of it.

use xlvs_model::Quorum;

use super::{Core, Probe, User};
use crate::{
    CheckView, LastView, Moment, ServerView, ServiceView, Snapshot, Verdict, memory::digest,
};

impl Core {
    /// All that is known.
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let services = (0..self.services.len()).map(|at| self.service_view(at)).collect();
        Snapshot { now, services, asking: self.asking, probes: self.probes.len() }
    }

    /// What is to be kept over a restart: of each check that was answered, what was made of it.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let answered = self.probes.values().filter(|probe| probe.life.has_run());
        let verdict = |probe: &Probe| Verdict {
            key: digest(&probe.ask_key),
            up: probe.life.is_up(),
            since: probe.since,
            weight: probe.weight,
            last: last(probe),
        };
        answered.map(verdict).collect()
    }

    fn service_view(&self, at: usize) -> ServiceView {
        let service = &self.services[at];
        let sum = service.servers.iter().filter(|s| s.up).map(|s| u64::from(s.weight())).sum();
        ServiceView {
            name: service.terms.name.clone(),
            services: service.terms.services.clone(),
            quorum: Quorum {
                holds: service.quorate.holds,
                sorry: service.terms.sorry_server.map(|sorry| sorry.server),
                inhibit: service.terms.sorry_server.is_some_and(|sorry| sorry.inhibit),
                cause: service.quorum_cause(sum),
            },
            servers: (0..service.servers.len())
                .map(|server| self.server_view(User { service: at, server }))
                .collect(),
        }
    }

    fn server_view(&self, user: User) -> ServerView {
        let (_, server) = self.places(user);
        ServerView {
            server: server.terms.key(),
            health: self.health(user),
            since: server.since,
            checks: server.probes.iter().filter_map(|id| self.probes.get(id)).map(check).collect(),
        }
    }
}

fn check(probe: &Probe) -> CheckView {
    CheckView {
        name: probe.ask.name(),
        up: probe.life.is_up(),
        has_run: probe.life.has_run(),
        since: probe.since,
        next: probe.asked.is_none().then_some(probe.next),
        tries: probe.life.tries(),
        last: last(probe),
        history: probe.history.entries().cloned().collect(),
        shared_by: probe.users.len(),
    }
}

fn last(probe: &Probe) -> Option<LastView> {
    probe.history.last().map(|entry| LastView {
        text: entry.outcome.to_string(),
        good: entry.outcome.is_good(),
        code: entry.outcome.code(),
        latency: entry.latency,
        at: entry.last,
    })
}

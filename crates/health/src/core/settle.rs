//! What a verdict means for servers and services.

use xlvs_model::{Finding, Health, Quorum, health::Kind};

use super::{Core, ProbeId, Server, Service, User, resolve};
use crate::{Change, Effect, Event, Moment, Occasion, Run, Threshold, Turn, history::Entry};

impl Core {
    /// A question's state changed: works that out for all who ask it.
    pub(super) fn spread(
        &mut self,
        id: ProbeId,
        change: Option<Change>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(users) = self.probes.get(&id).map(|probe| probe.users.clone()) else { return };
        for user in users {
            if matches!(change, Some(Change::Up | Change::Down)) {
                self.tell_check(id, user, now, effects);
            }
            let was_up = self.places(user).1.up;
            self.settle(user, now, effects);
            let turned = self.places(user).1.up != was_up;
            if change == Some(Change::FirstBad) && !turned {
                self.run_notify(user, effects);
            }
            if let Some(Change::Up | Change::Down) = change
                && (turned || !self.config.no_checker_emails)
                && !self.held.contains_key(&self.places(user).1.terms.key())
            {
                self.mail_check(id, user, effects);
            }
            self.remember(user, now);
        }
    }

    /// Works out a server anew, and its service if that changed.
    pub(super) fn settle(&mut self, user: User, now: Moment, effects: &mut Vec<Effect>) {
        let health = self.health(user);
        let server = &mut self.services[user.service].servers[user.server];
        if server.told.as_ref() == Some(&health) {
            return;
        }
        let turned = server.up != health.up;
        let before = server.told.replace(health.clone());
        server.up = health.up;
        if turned {
            server.since = now;
        }
        let key = server.terms.key();
        for (service, server) in self.services[user.service].keys(key) {
            let health = Some(health.clone());
            effects.push(Effect::Found(Finding::Server { service, server, health }));
        }
        if turned && health.up {
            self.ask_for_load(user, now);
        }
        if turned {
            let occasion = if health.up { Occasion::ServerUp } else { Occasion::ServerDown };
            self.tell_server(user, occasion, &health.cause, now, effects);
            self.run_notify(user, effects);
        } else if before.is_some_and(|before| before.weight != health.weight) {
            self.tell_server(user, Occasion::Weight, &health.cause, now, effects);
        }
        self.settle_quorum(user.service, false, now, effects);
    }

    /// A server is up: its load is of interest at once.
    fn ask_for_load(&mut self, user: User, now: Moment) {
        let probes = &self.services[user.service].servers[user.server].probes;
        let is_load = |id: &&ProbeId| {
            self.probes.get(id).is_some_and(|probe| matches!(probe.ask.kind, Kind::Load(_)))
        };
        for id in probes.iter().filter(is_load).copied().collect::<Vec<_>>() {
            self.schedule(id, Some(now), now);
        }
    }

    /// Works out a service's quorum anew.
    pub(super) fn settle_quorum(
        &mut self,
        at: usize,
        begin: bool,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let sum: u64 =
            self.services[at].servers.iter().filter(|s| s.up).map(|s| u64::from(s.weight())).sum();
        let service = &mut self.services[at];
        let threshold = service.threshold();
        let fresh = service.quorum_told.is_none();
        let sorry_waits = service.terms.sorry_server.is_some() && !service.sorry_in;
        let turn = service.quorate.on(sum, threshold, begin, sorry_waits);
        service.sorry_in = !service.quorate.holds
            && service.terms.sorry_server.is_some()
            && (service.sorry_in || turn.is_some());
        let quorum = Quorum {
            holds: service.quorate.holds,
            sorry: service.terms.sorry_server.map(|sorry| sorry.server),
            inhibit: service.terms.sorry_server.is_some_and(|sorry| sorry.inhibit),
            cause: service.quorum_cause(sum),
        };
        // Causes carry the sum: a service that stays as it is is told of once all the same.
        let same = |told: &Quorum| {
            let terms = |q: &Quorum| (q.holds, q.sorry, q.inhibit);
            terms(told) == terms(&quorum)
        };
        if !service.quorum_told.as_ref().is_some_and(same) {
            service.quorum_told = Some(quorum.clone());
            for service in &service.terms.services {
                let (service, quorum) = (*service, Some(quorum.clone()));
                effects.push(Effect::Found(Finding::Service { service, quorum }));
            }
        }
        if let Some(turn) = turn {
            self.tell_quorum(at, (turn, fresh), sum, now, effects);
        }
    }

    pub(super) fn stop_service(&self, at: usize, effects: &mut Vec<Effect>) {
        let service = &self.services[at];
        let cleaned = service.terms.clean_stop.unwrap_or(self.config.clean_stop);
        if cleaned && self.config.alerts.is_some() {
            for server in service.servers.iter().filter(|s| s.up && s.terms.smtp_alert) {
                self.mail_server(service, server, "DOWN", "=> Purged (stop) <=".into(), effects);
            }
        }
        if !service.terms.omega {
            return;
        }
        for server in service.servers.iter().filter(|server| server.up) {
            self.say_farewell(service, server, "=> Shutting down <=", effects);
        }
        if let Some(script) = service.terms.quorum_down.clone() {
            effects.push(Effect::Run(Run { script, occasion: Occasion::Stop }));
        }
        if service.terms.smtp_alert {
            self.mail_service(service, "DOWN", "=> Shutting down <=".into(), effects);
        }
    }

    /// A server that is up is not there any more.
    pub(super) fn say_farewell(
        &self,
        service: &Service,
        server: &Server,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(script) = server.terms.notify_down.clone() {
            effects.push(Effect::Run(Run { script, occasion: Occasion::ServerDown }));
        }
        if server.terms.smtp_alert {
            self.mail_server(service, server, "DOWN", why.into(), effects);
        }
    }

    /// What checks found of a server.
    pub(super) fn health(&self, user: User) -> Health {
        let (_, server) = self.places(user);
        let probes = server.probes.iter().filter_map(|id| self.probes.get(id));
        let written = server.terms.server.weight;
        let (mut faults, mut wishes) = (Vec::new(), Vec::new());
        if let Some(why) = self.held.get(&server.terms.key()) {
            let (inhibit, cause) = (server.terms.inhibit_on_failure, why.clone());
            return Health { up: false, inhibit, weight: None, cause };
        }
        let mut asked = None;
        for probe in probes {
            if !probe.life.is_up() {
                let last = probe.history.last().map_or_else(
                    || "not checked yet".to_owned(),
                    |Entry { outcome, .. }| outcome.to_string(),
                );
                faults.push(format!("{}: {last}", probe.ask.name()));
            } else if let Some(weight) = probe.weight {
                // One program says the weight; of several each adds what it differs by.
                let sum = asked.get_or_insert(i64::from(written));
                *sum = sum.saturating_add(weight.of(written) - i64::from(written));
                wishes.push(format!("{} asks for {weight}", probe.ask.name()));
            }
        }
        let up = faults.is_empty();
        let weight = asked.map(|sum| u32::try_from(sum.max(0)).unwrap_or(u32::MAX));
        Health {
            up,
            inhibit: server.terms.inhibit_on_failure,
            weight: weight.filter(|_| up),
            cause: if up { wishes } else { faults }.join("; "),
        }
    }

    pub(super) fn run_notify(&self, user: User, effects: &mut Vec<Effect>) {
        let (_, server) = self.places(user);
        let (script, occasion) = if server.up {
            (&server.terms.notify_up, Occasion::ServerUp)
        } else {
            (&server.terms.notify_down, Occasion::ServerDown)
        };
        if let Some(script) = script.clone() {
            effects.push(Effect::Run(Run { script, occasion }));
        }
    }

    fn tell_check(&self, id: ProbeId, user: User, now: Moment, effects: &mut Vec<Effect>) {
        let Some(probe) = self.probes.get(&id) else { return };
        let occasion = if probe.life.is_up() { Occasion::CheckGood } else { Occasion::CheckBad };
        let last = probe.history.last().map(|entry| entry.outcome.to_string());
        let text = format!("{}: {}", probe.ask.name(), last.unwrap_or_default());
        self.tell_server(user, occasion, &text, now, effects);
    }

    fn tell_server(
        &self,
        user: User,
        occasion: Occasion,
        text: &str,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let (service, server) = self.places(user);
        effects.push(Effect::Event(Event {
            at: now,
            occasion,
            services: service.terms.services.clone(),
            server: Some(server.terms.key()),
            text: text.to_owned(),
        }));
    }

    fn tell_quorum(
        &self,
        at: usize,
        (turn, fresh): (Turn, bool),
        sum: u64,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let service = &self.services[at];
        let terms = service.threshold();
        let (occasion, script, word, sign, bound, is) = match turn {
            Turn::Gained => (
                Occasion::QuorumGained,
                &service.terms.quorum_up,
                if fresh { "Starting with quorum up" } else { "Gained quorum" },
                '+',
                i64::try_from(terms.gained_at()).unwrap_or(i64::MAX),
                "<=",
            ),
            Turn::Lost | Turn::BeginsWithout => (
                Occasion::QuorumLost,
                &service.terms.quorum_down,
                if fresh { "Starting with quorum down" } else { "Lost quorum" },
                '-',
                i64::from(terms.quorum) - i64::from(terms.hysteresis),
                ">",
            ),
        };
        let text = format!("{word} {}{sign}{}={bound} {is} {sum}", terms.quorum, terms.hysteresis);
        effects.push(Effect::Event(Event {
            at: now,
            occasion,
            services: service.terms.services.clone(),
            server: None,
            text: text.clone(),
        }));
        if let Some(script) = script.clone() {
            effects.push(Effect::Run(Run { script, occasion }));
        }
        if service.terms.smtp_alert {
            let state = if turn == Turn::Gained { "UP" } else { "DOWN" };
            self.mail_service(service, state, format!("=> {text} <="), effects);
        }
    }

    fn mail_check(&self, id: ProbeId, user: User, effects: &mut Vec<Effect>) {
        let (service, server) = self.places(user);
        let Some(probe) = self.probes.get(&id).filter(|_| server.terms.smtp_alert) else { return };
        let (state, word) = if probe.life.is_up() { ("UP", "succeed") } else { ("DOWN", "failed") };
        let kind = probe.ask.kind.keyword().replace('_', " ");
        let mut text = format!("=> {kind} {word} on service <=");
        if let Some(last) = probe.history.last().filter(|_| state == "DOWN") {
            text = format!("{text}\n{}: {}", probe.ask.name(), last.outcome);
        }
        self.mail_server(service, server, state, text, effects);
    }
}

impl Service {
    pub(super) const fn threshold(&self) -> Threshold {
        Threshold { quorum: self.terms.quorum, hysteresis: self.terms.hysteresis }
    }

    pub(super) fn quorum_cause(&self, sum: u64) -> String {
        let up = self.servers.iter().filter(|server| server.up).count();
        let all = self.servers.len();
        let terms = self.threshold();
        let wanted = if self.quorate.holds { terms.lost_below().max(1) } else { terms.gained_at() };
        format!("{up} of {all} servers up with weight {sum}, {wanted} wanted")
    }

    /// News to those who are to forget a server.
    pub(super) fn forget(&self, server: &Server, effects: &mut Vec<Effect>) {
        for service in &self.terms.services {
            let server = resolve(server.terms.key(), service);
            let service = *service;
            effects.push(Effect::Found(Finding::Server { service, server, health: None }));
        }
    }
}

impl Server {
    /// The weight that counts for the quorum.
    pub(super) fn weight(&self) -> u32 {
        self.told.as_ref().and_then(|told| told.weight).unwrap_or(self.terms.server.weight)
    }
}

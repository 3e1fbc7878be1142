//! From what is written to what is in force: changes, what checks find, and what follows for the
//! tables.

use std::{mem, time::Instant};

use xlvs_api::{Actor, CheckView, EventKind};
use xlvs_model::{
    Change, Edit, Finding, Quorum, Server, ServerKey, Service, ServiceKey, Standing, State, Touched,
};

use super::{
    Engine, EngineError, Work,
    chronicle::{News, unix_ms},
    tell::{self, Made},
};

/// What is known of servers' checks beside their verdicts; asked when somebody looks.
pub(crate) trait Checks: Send {
    /// The checks of a server.
    fn of(&self, service: &ServiceKey, server: &ServerKey) -> Vec<CheckView>;
}

impl Engine {
    /// From now on this is asked for the checks that are shown.
    pub(crate) fn set_checks(&mut self, checks: Box<dyn Checks>) {
        self.checks = Some(checks);
    }

    /// News of the checks: the one way by which they act. What cannot be put into the tables now is
    /// tried again every second. Of what is not written (any more) nothing is taken note: whoever
    /// checks tells of new servers when they are written.
    pub(crate) fn find(&mut self, findings: Vec<Finding>) {
        let touched = self.hear(findings);
        self.publish_servers();
        self.overdue.extend(touched);
        self.catch_up();
    }

    /// Takes note of what checks found, and gives the services that the tables are to follow.
    pub(super) fn hear(&mut self, findings: Vec<Finding>) -> Touched {
        let mut touched = Touched::new();
        for finding in findings {
            let key = *finding.service();
            let Some(service) = self.model.service(&key).cloned() else { continue };
            let before = self.standings(&service);
            let sorry = self.effective.sorry(&key).map(|(server, _)| server);
            let was = self.effective.quorum(&key).cloned();
            if !self.effective.hear(&self.model, finding) {
                continue;
            }
            touched.insert(key);
            let after = self.effective.sorry(&key).map(|(server, _)| server);
            if sorry != after {
                let alone = |server: Server| pseudo(key, server);
                let (old, new) = (sorry.map(alone), after.map(alone));
                self.roster.replace(old.as_ref(), new.as_ref());
            }
            if let Some(message) = quorum_turn(was.as_ref(), self.effective.quorum(&key)) {
                let news = News::of(EventKind::Check, message);
                self.tell(None, News { service: Some(key), ..news });
            }
            for ((server, old), (_, new)) in before.iter().zip(self.standings(&service)) {
                if let Some(message) = turn(old, &new) {
                    self.tell(None, News::of_server(EventKind::Check, (key, *server), message));
                }
            }
        }
        touched
    }

    /// Puts into the tables what checks found and the tables do not say yet.
    pub(super) fn catch_up(&mut self) {
        if self.overdue.is_empty() {
            return;
        }
        let touched = mem::take(&mut self.overdue);
        self.next_catch_up = Instant::now() + super::RAMP_PERIOD;
        let applied = self.put_in_force(&touched);
        if applied.is_err() {
            self.overdue = touched;
        }
        let waits = |e| format!("what checks found is not in force: {e}");
        self.report(Work::Health, applied.err().map(waits));
    }

    /// Works out what follows for these services, and has the tables say it.
    pub(super) fn put_in_force(&mut self, touched: &Touched) -> Result<(), EngineError> {
        let Some(plane) = &mut self.plane else { return Err(EngineError::Detached) };
        self.effective.follow(&self.model, touched);
        Ok(plane.apply(self.effective.model(), Some(touched))?)
    }

    /// An edit cannot be in force: as if it had not been.
    pub(super) fn take_back(&mut self, edit: Edit) {
        let touched = edit.touched();
        self.model.undo(edit);
        self.effective.follow(&self.model, &touched);
    }

    /// An edit is in force: what goes with it.
    pub(super) fn note_edit(&mut self, edit: Edit) {
        let touched = edit.touched();
        for (key, before) in edit.before() {
            let service = self.model.service(key);
            match (before, service) {
                (_, None) => self.rates.forget(key),
                (None, Some(_)) => self.rates.begin(*key, Instant::now()),
                (Some(_), Some(_)) => {}
            }
            self.roster.replace(before, service);
        }
        for (key, server) in self.effective.prune(&self.model, &touched) {
            self.roster.remove(&pseudo(key, server));
        }
        // What a server was is told where changes are told one by one.
        let is_told = edit.made.len() <= tell::ONE_BY_ONE;
        for change in &edit.made {
            let old = match change {
                Change::EditServer { service, server } if is_told => {
                    let before = edit.before().find(|(key, _)| *key == service);
                    before.and_then(|(_, service)| service?.server(&server.key).copied())
                }
                _ => None,
            };
            self.made.push(Made { change: change.clone(), old });
        }
        self.unsaved.changes.extend(edit.made);
    }

    /// Tells of the changes that were just made. True: somebody began a drain, or took one back.
    pub(super) fn tell_changes(&mut self, by: &Actor) -> bool {
        let made = mem::take(&mut self.made);
        self.note_hands(by, &made);
        for news in tell::news(&made) {
            self.tell(Some(by), news);
        }
        let is_override = |change: &Change| {
            matches!(change, Change::SetOverride { .. } | Change::ClearOverride { .. })
        };
        made.iter().any(|made| is_override(&made.change))
    }

    /// Writes an event down.
    pub(super) fn tell(&mut self, by: Option<&Actor>, news: News) {
        self.chronicle.tell(unix_ms(), by, news);
    }

    fn standings(&self, service: &Service) -> Vec<(ServerKey, Standing)> {
        let standing = |server: &Server| self.effective.standing(&self.model, &service.key, server);
        service.servers.iter().map(|server| (server.key, standing(server))).collect()
    }
}

/// Overrides get their owner and their beginning, where the request does not say.
pub(super) fn signed(changes: &[Change], by: &Actor, now_s: u64) -> Option<Vec<Change>> {
    let is_override = |change: &Change| matches!(change, Change::SetOverride { .. });
    changes.iter().any(is_override).then(|| {
        let mut changes = changes.to_vec();
        for change in &mut changes {
            let Change::SetOverride { value, .. } = change else { continue };
            if value.owner.is_empty() {
                value.owner = by.name();
            }
            if value.since == 0 {
                value.since = now_s;
            }
        }
        changes
    })
}

/// What is told of a server whose standing changed; none: nothing that anybody would notice.
fn turn(old: &Standing, new: &Standing) -> Option<String> {
    let cause = new.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
    if old.state != new.state {
        return Some(format!("{}{cause}", new.state.name()));
    }
    let is_weighed = new.state == State::Up && old.weight != new.weight;
    is_weighed.then(|| format!("weight {} -> {}{cause}", old.weight, new.weight))
}

/// What is told of a service whose quorum changed. One that holds from the beginning is no news.
fn quorum_turn(old: Option<&Quorum>, new: Option<&Quorum>) -> Option<String> {
    let new = new?;
    if old.is_none_or(|old| old.holds) == new.holds {
        return None;
    }
    let cause = if new.cause.is_empty() { String::new() } else { format!(": {}", new.cause) };
    if new.holds {
        return Some(format!("quorum regained{cause}"));
    }
    let sorry = new.sorry.map(|sorry| format!("; {} stands in", sorry.key)).unwrap_or_default();
    Some(format!("quorum lost{cause}{sorry}"))
}

/// A service of a sorry server, for its address to be looked for.
fn pseudo(key: ServiceKey, server: Server) -> Service {
    let mut service = Service::new(key, xlvs_model::Scheduler::Rr);
    service.servers.push(server);
    service
}

//! What the checking engine knows, as the API shows it and as the engine hears it. Pure.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use xlvs_api::{CheckResult, CheckView};
use xlvs_health::{Entry, Moment, Snapshot};
use xlvs_model::{Finding, ServerKey, ServiceKey, Touched};

use crate::engine::{Checks, unix_ms};

/// Checks by service and server.
pub(crate) type Shown = BTreeMap<(ServiceKey, ServerKey), Vec<CheckView>>;

/// What was known when somebody looked last.
pub(crate) struct Known(pub(super) Arc<Mutex<Shown>>);

impl Checks for Known {
    fn of(&self, service: &ServiceKey, server: &ServerKey) -> Vec<CheckView> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.get(&(*service, *server)).cloned().unwrap_or_default()
    }
}

/// A snapshot as it is shown.
pub(super) fn known(snapshot: &Snapshot) -> Shown {
    let clock = Clock { now: snapshot.now, now_ms: unix_ms() };
    let mut shown = Shown::new();
    for service in &snapshot.services {
        for server in &service.servers {
            let checks: Vec<CheckView> =
                server.checks.iter().map(|check| view(check, &clock)).collect();
            for key in &service.services {
                shown.insert((*key, own_port(*key, server.server)), checks.clone());
            }
        }
    }
    shown
}

/// A snapshot as findings, of these services or of all.
pub(super) fn restated(snapshot: &Snapshot, only: Option<&Touched>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for of in &snapshot.services {
        let is_meant = |key: &&ServiceKey| only.is_none_or(|only| only.contains(key));
        for service in of.services.iter().filter(is_meant).copied() {
            for server in &of.servers {
                let health = Some(server.health.clone());
                let server = own_port(service, server.server);
                findings.push(Finding::Server { service, server, health });
            }
            let quorum = Some(of.quorum.clone());
            findings.push(Finding::Service { service, quorum });
        }
    }
    findings
}

/// A server of a group whose services have different ports has each one's own.
fn own_port(service: ServiceKey, mut server: ServerKey) -> ServerKey {
    if server.port() == 0 {
        server.set_port(service.port());
    }
    server
}

/// Two clocks at one moment.
pub(super) struct Clock {
    pub(super) now: Moment,
    pub(super) now_ms: u64,
}

impl Clock {
    pub(super) fn unix_ms(&self, at: Moment) -> u64 {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        if at >= self.now {
            self.now_ms.saturating_add(ms(at.saturating_sub(self.now)))
        } else {
            self.now_ms.saturating_sub(ms(self.now.saturating_sub(at)))
        }
    }
}

fn view(check: &xlvs_health::CheckView, clock: &Clock) -> CheckView {
    let results = check.history.iter().rev().map(|entry| result(entry, clock));
    CheckView {
        name: check.name.clone(),
        up: check.up,
        since_ms: Some(clock.unix_ms(check.since)),
        next_ms: check.next.map(|next| clock.unix_ms(next)),
        results: results.collect(),
    }
}

fn result(entry: &Entry, clock: &Clock) -> CheckResult {
    let times = if entry.times > 1 {
        let since = entry.last.saturating_sub(entry.first).as_secs();
        format!(" ({} times within {since} s)", entry.times)
    } else {
        String::new()
    };
    CheckResult {
        at_ms: clock.unix_ms(entry.last),
        good: entry.outcome.is_good(),
        result: format!("{}{times}", entry.outcome),
        code: entry.outcome.code().map(i32::from),
        latency_us: Some(u64::try_from(entry.latency.as_micros()).unwrap_or(u64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_by_the_calendar() {
        let clock = Clock { now: Duration::from_secs(100), now_ms: 1_000_000 };
        for (at, expected) in [(100, 1_000_000), (90, 990_000), (160, 1_060_000), (0, 900_000)] {
            assert_eq!(clock.unix_ms(Duration::from_secs(at)), expected, "{at}");
        }
    }
}

//! Drains on their way: once a second the connections that are left are counted, and what reached
//! its deadline is over. Costs nothing while nobody drains.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use xlvs_api::{Actor, DrainView, EventKind};
use xlvs_model::{Action, Change, OnDeadline, Override, Protocol, ServerKey, ServiceKey};

use super::{
    Engine, Work,
    chronicle::{News, unix_ms},
    forecast::Departures,
};
use crate::plane::ServerCounters;

/// See the module.
#[derive(Debug)]
pub(super) struct Drains {
    under_way: BTreeMap<(ServiceKey, ServerKey), Drain>,
    next: Instant,
    /// What [`Departures`] count their seconds from.
    start: Instant,
}

/// One of them.
#[derive(Clone, Debug)]
struct Drain {
    departures: Departures,
    /// It was told that no connection is left.
    empty: bool,
}

impl Default for Drains {
    fn default() -> Self {
        let now = Instant::now();
        Self { under_way: BTreeMap::new(), next: now, start: now }
    }
}

impl Drains {
    /// What is shown of one.
    pub(super) fn view(
        &self,
        key: &(ServiceKey, ServerKey),
        value: &Override,
        counted: &ServerCounters,
        now_s: u64,
    ) -> Option<DrainView> {
        let Action::Drain { deadline, on_deadline, over } = value.action else { return None };
        let known = self.under_way.get(key);
        let left = left(&key.0, counted);
        let estimate = known.and_then(|drain| drain.departures.estimate_s());
        let is_cut = on_deadline == OnDeadline::Reset && !over;
        let until = deadline.filter(|_| is_cut).map(|deadline| deadline.saturating_sub(now_s));
        let estimate_s = match estimate.map(whole_seconds).filter(|_| left > 0) {
            Some(estimate) => Some(until.map_or(estimate, |until| until.min(estimate))),
            None if left == 0 => Some(0),
            None => until,
        };
        let began_with = known.map_or(left, |drain| drain.departures.began_with()).max(left);
        Some(DrainView { began_with, left, estimate_s, deadline, on_deadline, over })
    }
}

impl Engine {
    /// See the module.
    pub(super) fn tend_drains(&mut self) {
        let now = Instant::now();
        if now < self.drains.next {
            return;
        }
        self.tend_drains_at(now, unix_ms() / 1000);
        // Thousands of drains at once are looked at less often.
        self.drains.next = now + PERIOD.max(now.elapsed() * SPARING);
    }

    pub(super) fn tend_drains_at(&mut self, now: Instant, now_s: u64) {
        self.count_drains(now, false);
        let is_over = |value: &Override| value.pending().is_some_and(|at| at <= now_s);
        let over = self.model.overrides.iter().filter(|(_, _, value)| is_over(value));
        let ended: Vec<Change> = over
            .map(|(service, server, value)| {
                let value = value.clone().ended();
                Change::SetOverride { service: *service, server: *server, value }
            })
            .collect();
        if ended.is_empty() {
            return;
        }
        let failed = self.change_by(&Actor::default(), &ended).err();
        let waits = |e| format!("drains whose deadline is reached wait: {e}");
        self.report(Work::Drain, failed.map(waits));
    }

    /// Counts what is left of each drain, or only of those that just began: what one begins with is
    /// what it is measured by.
    pub(super) fn count_drains(&mut self, now: Instant, only_new: bool) {
        let drains = self.model.overrides.iter().filter(|(_, _, value)| value.is_drain());
        let drains: BTreeSet<_> = drains.map(|(service, server, _)| (*service, *server)).collect();
        self.drains.under_way.retain(|key, _| drains.contains(key));
        for key in drains {
            if only_new && self.drains.under_way.contains_key(&key) {
                continue;
            }
            if let Some(left) = self.count_left(&key) {
                self.note_left(key, left, now);
            }
        }
    }

    /// None: it is not there now, or not to be counted.
    fn count_left(&mut self, (service, server): &(ServiceKey, ServerKey)) -> Option<u32> {
        let written = self.model.service(service)?;
        let at = written.servers.iter().position(|s| s.key == *server)?;
        let counted = self.plane.as_mut()?.counters(written).ok()?;
        Some(left(service, counted.servers.get(at)?))
    }

    fn note_left(&mut self, key: (ServiceKey, ServerKey), left: u32, now: Instant) {
        let at_s = now.saturating_duration_since(self.drains.start).as_secs_f64();
        let drain = self
            .drains
            .under_way
            .entry(key)
            .or_insert_with(|| Drain { departures: Departures::new(at_s, left), empty: false });
        drain.departures.see(at_s, left);
        let was = std::mem::replace(&mut drain.empty, left == 0);
        if left == 0 && !was {
            let taken = whole_seconds(drain.departures.taken_s());
            let message = match drain.departures.began_with() {
                0 => "drained: it has no connections".to_owned(),
                began => format!("drained: the last of {began} connections ended after {taken} s"),
            };
            self.tell(None, News::of_server(EventKind::Drain, key, message));
        }
    }
}

/// Connections that a drain waits for. A TCP connection that is closed on one side is as good as
/// over, and stays in the table for a while; a UDP flow is never anything but inactive.
fn left(service: &ServiceKey, counted: &ServerCounters) -> u32 {
    match service.protocol() {
        Some(Protocol::Tcp | Protocol::Sctp) => counted.active,
        Some(Protocol::Udp) | None => counted.active.saturating_add(counted.inactive),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped before")]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil().clamp(0.0, 1e9) as u64
}

const PERIOD: Duration = Duration::from_secs(1);
/// The looks take one in so many moments at most.
const SPARING: u32 = 20;

//! Packets that are dropped: told when it begins for a reason, and when it is over. The counters
//! are looked at every few seconds; nothing is asked of the way of a packet.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use xlvs_api::EventKind;
use xlvs_datapath::{Reason, Verdict};

use super::{Engine, chronicle::News};

/// See the module.
#[derive(Debug)]
pub(super) struct Drops {
    counted: Option<BTreeMap<String, u64>>,
    episodes: BTreeMap<&'static str, Episode>,
    next: Instant,
}

/// A time in which packets are dropped for one reason.
#[derive(Clone, Copy, Debug)]
struct Episode {
    began: Instant,
    /// What the counter was before.
    before: u64,
    /// When it grew last.
    last: Instant,
}

impl Default for Drops {
    fn default() -> Self {
        Self { counted: None, episodes: BTreeMap::new(), next: Instant::now() }
    }
}

impl Drops {
    /// What is to be told, given the counters as they are now.
    fn look(&mut self, counted: BTreeMap<String, u64>, now: Instant) -> Vec<String> {
        let mut told = Vec::new();
        // What was counted before anybody looked is no news.
        let old = self.counted.take().unwrap_or_else(|| counted.clone());
        for reason in Reason::ALL.iter().filter(|reason| reason.verdict() == Verdict::Drop) {
            let name = reason.name();
            let of = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
            let (before, after) = (of(&old), of(&counted));
            match self.episodes.get_mut(name) {
                Some(episode) if after > before => episode.last = now,
                Some(episode) => {
                    let quiet = now.saturating_duration_since(episode.last);
                    if quiet >= QUIET {
                        let lasted = episode.last.saturating_duration_since(episode.began);
                        let (count, lasted) = (after - episode.before.min(after), lasted.as_secs());
                        told.push(format!("{name}: over, {count} packets in {lasted} s"));
                        self.episodes.remove(name);
                    }
                }
                None if after > before => {
                    told.push(format!("{name}: {} packets are dropped", after - before));
                    self.episodes.insert(name, Episode { began: now, before, last: now });
                }
                None => {}
            }
        }
        self.counted = Some(counted);
        told
    }
}

impl Engine {
    /// See the module.
    pub(super) fn watch_drops(&mut self) {
        let now = Instant::now();
        if now < self.drops.next {
            return;
        }
        self.drops.next = now + PERIOD;
        self.watch_drops_at(now);
    }

    pub(super) fn watch_drops_at(&mut self, now: Instant) {
        let Some(plane) = &mut self.plane else { return };
        // Tables that cannot be read are told of by whoever must read them.
        let Ok(counted) = plane.packets() else { return };
        for message in self.drops.look(counted, now) {
            self.tell(None, News::of(EventKind::Drop, message));
        }
    }
}

const PERIOD: Duration = Duration::from_secs(5);
/// So long nothing is dropped before it counts as over.
const QUIET: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_is_told_at_its_beginning_and_its_end() {
        let (mut drops, start) = (Drops::default(), Instant::now());
        for (at_s, no_neighbour, sent, expected, why) in [
            (0, 7, 1, "", "from before the start"),
            (5, 7, 900, "", "sent packets are nobody's business"),
            (10, 10, 900, "no_neighbour: 3 packets are dropped", "it begins"),
            (15, 400, 900, "", "and goes on"),
            (60, 400, 900, "", "a pause"),
            (70, 407, 900, "", "and goes on"),
            (125, 407, 900, "", "a pause"),
            (130, 407, 900, "no_neighbour: over, 400 packets in 60 s", "it is over"),
            (200, 407, 900, "", "and stays over"),
            (205, 408, 900, "no_neighbour: 1 packets are dropped", "another"),
        ] {
            let counted = [("no_neighbour", no_neighbour), ("sent_direct", sent)];
            let counted = counted.map(|(name, count)| (name.to_owned(), count)).into();
            let told = drops.look(counted, start + Duration::from_secs(at_s));
            assert_eq!(told.join(", "), expected, "{why}");
        }
    }
}

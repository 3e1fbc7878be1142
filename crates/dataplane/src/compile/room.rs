//! Room in the arrays of plans and orders. What is given back rests for a while: a packet that
//! began before the swap may still be reading it.

use std::collections::VecDeque;

use super::undo::Undo;

/// How long given-back room rests. A packet takes microseconds; the rest is generosity.
pub(crate) const REST_NS: u64 = 1_000_000_000;

/// Runs of entries in an array.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// Free runs: first entry and length; never adjacent to each other.
    free: Undo<u32, u32>,
    /// Given back at this time, in order.
    resting: VecDeque<(u64, u32, u32)>,
    /// How many rested when the change under way began.
    before: Option<usize>,
}

impl Room {
    pub(crate) fn new(size: u32) -> Self {
        Self { free: [(0, size)].into_iter().collect(), resting: VecDeque::new(), before: None }
    }

    /// From here on changes can be taken back. What has rested enough wakes now and not later.
    pub(crate) fn begin(&mut self, now: u64) {
        self.wake(now);
        self.free.begin();
        self.before = Some(self.resting.len());
    }

    /// They will not be.
    pub(crate) fn commit(&mut self) {
        self.free.commit();
        self.before = None;
    }

    /// Takes them back.
    pub(crate) fn roll_back(&mut self) {
        self.free.roll_back();
        self.resting.truncate(self.before.take().unwrap_or(usize::MAX));
    }

    /// Takes `len` entries, the first fit; nought needs none.
    pub(crate) fn take(&mut self, len: u32, now: u64) -> Option<u32> {
        if len == 0 {
            return Some(0);
        }
        self.wake(now);
        let (&first, &found) = self.free.iter().find(|&(_, &l)| l >= len)?;
        self.free.remove(&first);
        if found > len {
            self.free.insert(first + len, found - len);
        }
        Some(first)
    }

    /// Takes exactly this run (of adopted tables); false if it is not free.
    pub(crate) fn claim(&mut self, first: u32, len: u32) -> bool {
        if len == 0 {
            return true;
        }
        let Some((&start, &found)) = self.free.range(..=first).next_back() else { return false };
        let (Some(end), run_end) = (first.checked_add(len), start + found) else { return false };
        if end > run_end {
            return false;
        }
        self.free.remove(&start);
        if first > start {
            self.free.insert(start, first - start);
        }
        if run_end > end {
            self.free.insert(end, run_end - end);
        }
        true
    }

    /// Gives a run back; it is free again when it has rested.
    pub(crate) fn give(&mut self, first: u32, len: u32, now: u64) {
        if len > 0 {
            self.resting.push_back((now, first, len));
        }
    }

    /// When the next of the resting runs becomes free.
    pub(crate) fn next_wake(&self) -> Option<u64> {
        self.resting.front().map(|&(given, ..)| given.saturating_add(REST_NS))
    }

    fn wake(&mut self, now: u64) {
        if self.before.is_some() {
            return;
        }
        while let Some(&(given, first, len)) = self.resting.front() {
            if now.saturating_sub(given) < REST_NS {
                break;
            }
            self.resting.pop_front();
            self.insert(first, len);
        }
    }

    fn insert(&mut self, mut first: u32, mut len: u32) {
        if let Some((&before, &l)) = self.free.range(..first).next_back()
            && before + l == first
        {
            self.free.remove(&before);
            first = before;
            len += l;
        }
        if let Some(l) = self.free.remove(&(first + len)) {
            len += l;
        }
        self.free.insert(first, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rests_before_reuse() {
        let mut room = Room::new(4);
        assert_eq!(room.take(4, 0), Some(0));
        room.give(0, 4, 10);
        assert_eq!(room.take(1, 10 + REST_NS - 1), None, "still resting");
        assert_eq!(room.next_wake(), Some(10 + REST_NS));
        assert_eq!(room.take(1, 10 + REST_NS), Some(0), "rested");
    }

    #[test]
    fn what_was_taken_and_given_can_be_taken_back() {
        let mut room = Room::new(6);
        assert_eq!(room.take(2, 0), Some(0));
        room.begin(0);
        assert_eq!(room.take(4, 0), Some(2));
        room.give(0, 2, 0);
        assert_eq!(room.take(1, REST_NS), None, "nothing wakes in the middle of a change");
        room.roll_back();
        assert_eq!(room.next_wake(), None, "nothing was given back");
        room.begin(0);
        assert_eq!(room.take(4, 0), Some(2), "nor taken");
        room.give(0, 2, 0);
        room.commit();
        assert_eq!(room.take(2, REST_NS), Some(0), "rested");
    }

    #[test]
    fn nothing_takes_nothing() {
        let mut room = Room::new(0);
        assert_eq!(room.take(0, 0), Some(0), "an empty list");
        assert_eq!(room.take(1, 0), None);
    }

    #[test]
    fn claims_only_what_is_free() {
        let mut room = Room::new(10);
        assert!(room.claim(3, 4));
        assert!(!room.claim(6, 1), "taken");
        assert!(!room.claim(8, 3), "beyond the end");
        assert!(room.claim(0, 3) && room.claim(7, 3), "both sides");
        assert_eq!(room.take(1, 0), None);
    }

    proptest! {
        /// Runs in use never overlap, and all room comes back.
        #[test]
        fn disjoint(steps in prop::collection::vec((any::<bool>(), 1u32..9), 1..200)) {
            let mut room = Room::new(64);
            let mut used: Vec<(u32, u32)> = Vec::new();
            for (at, (take, n)) in (0u64..).zip(steps) {
                let now = at * REST_NS;
                if take {
                    if let Some(first) = room.take(n, now) {
                        let apart = used.iter().all(|&(f, l)| first + n <= f || f + l <= first);
                        prop_assert!(apart && first + n <= 64);
                        used.push((first, n));
                    }
                } else if !used.is_empty() {
                    let (first, len) = used.remove(n as usize % used.len());
                    room.give(first, len, now);
                }
            }
            for (first, len) in used {
                room.give(first, len, 0);
            }
            prop_assert_eq!(room.take(64, u64::MAX), Some(0));
        }
    }
}

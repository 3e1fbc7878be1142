//! What a check found before: the last few different answers, each with how often it came in a row.
//!
//! A check that finds the same a thousand times keeps one entry, so that memory is bounded and the
//! history reaches far back.

use std::{collections::VecDeque, time::Duration};

use crate::{Moment, Outcome};

/// So many different answers in a row are kept.
pub const HISTORY: usize = 16;

/// An answer that came once or several times in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was found.
    pub outcome: Outcome,
    /// When it was found first.
    pub first: Moment,
    /// When it was found last.
    pub last: Moment,
    /// How often in a row.
    pub times: u64,
    /// How long the last of these took.
    pub latency: Duration,
}

/// The last answers, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: VecDeque<Entry>,
}

impl History {
    /// Adds an answer. One like that before only counts.
    pub fn add(&mut self, outcome: &Outcome, latency: Duration, now: Moment) {
        if let Some(entry) = self.entries.back_mut().filter(|entry| entry.outcome == *outcome) {
            entry.last = now;
            entry.times += 1;
            entry.latency = latency;
            return;
        }
        if self.entries.len() == HISTORY {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            outcome: outcome.clone(),
            first: now,
            last: now,
            times: 1,
            latency,
        });
    }

    /// The last answer.
    pub fn last(&self) -> Option<&Entry> {
        self.entries.back()
    }

    /// All that is kept, the oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

    #[test]
    fn the_same_again_only_counts_and_the_oldest_goes() {
        let mut history = History::default();
        for at in 0..1000u64 {
            history.add(&Outcome::GOOD, Duration::ZERO, Duration::from_secs(at));
        }
        let only = history.last().expect("an entry");
        assert_eq!((only.times, only.first, only.last.as_secs()), (1000, Duration::ZERO, 999));
        for code in 0..40u8 {
            history.add(
                &Outcome::Bad(Fault::Exit(code)),
                Duration::ZERO,
                Duration::from_secs(2000),
            );
        }
        assert_eq!(history.entries().count(), HISTORY);
        assert_eq!(history.last().map(|e| &e.outcome), Some(&Outcome::Bad(Fault::Exit(39))));
    }
}

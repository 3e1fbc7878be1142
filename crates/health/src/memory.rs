//! What is kept of checks over a restart of the daemon.
//!
//! A question is known again by its terms ([`crate::Ask::key`]), as at a reload: another address,
//! another URL or another program is another question, of which nothing is known.

use std::{collections::HashMap, time::Duration};

use md5::{Digest as _, Md5};

use crate::{Good, History, LastView, Life, Moment, Outcome, Pace, Weight, outcome::Fault};

/// What answers made of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which check: a digest of its question.
    pub key: String,
    /// It counts as good.
    pub up: bool,
    /// Since when.
    pub since: Moment,
    /// What its last good answer asked of the weight.
    pub weight: Option<Weight>,
    /// The last answer.
    pub last: Option<LastView>,
}

/// Verdicts of another life of the daemon, until somebody asks the same.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<String, Verdict>);

impl Memory {
    pub(crate) fn of(verdicts: Vec<Verdict>) -> Self {
        Self(verdicts.into_iter().map(|verdict| (verdict.key.clone(), verdict)).collect())
    }

    /// What is known of a question.
    pub(crate) fn recall(&self, ask_key: &str) -> Option<&Verdict> {
        // Most of the time there is nothing to be known, and so nothing to be summed.
        if self.0.is_empty() { None } else { self.0.get(&digest(ask_key)) }
    }
}

impl Verdict {
    /// The life that goes on from it: retries begin anew.
    pub(crate) fn life(&self, pace: &Pace) -> Life {
        Life::known(self.up, pace)
    }

    /// Its last answer as an entry; the weight belongs to a good one.
    pub(crate) fn history(&self) -> History {
        let mut history = History::default();
        if let Some(LastView { text, good, code, latency, at }) = &self.last {
            let outcome = if *good {
                Outcome::Good(Good { code: *code, weight: self.weight })
            } else {
                Outcome::Bad(Fault::Before { what: text.clone(), code: *code })
            };
            history.add(&outcome, *latency, *at);
        }
        history
    }

    /// No moment of it is to come: a clock may have been put back.
    pub(crate) fn until(mut self, now: Moment) -> Self {
        self.since = self.since.min(now);
        if let Some(last) = &mut self.last {
            last.at = last.at.min(now);
            last.latency = last.latency.min(LONGEST);
        }
        self
    }
}

/// The digest of a question's terms.
pub(crate) fn digest(ask_key: &str) -> String {
    xlvs_model::health::Digest(Md5::digest(ask_key).into()).to_string()
}

/// No answer takes longer.
const LONGEST: Duration = Duration::from_hours(1);

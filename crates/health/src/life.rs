//! A check's life: what a row of verdicts makes of it, and when it asks again.
//!
//! The order of retries and delays is keepalived's (2.2 to 2.4): the `*_epilog` functions of its
//! checkers. One departure in words alone: a check counts rounds (`rise`), and a round of an HTTP
//! check is all of its URLs.
//!
//! | | found | then | asks again after |
//! |---|---|---|---|
//! | up | good | up | `delay_loop` |
//! | up, retries left | bad | up | `delay_before_retry` |
//! | up, none left | bad | **down** | `delay_loop` |
//! | down | good | **up** | `delay_loop` |
//! | down | bad | down | `delay_loop`; TCP goes on with its retries |
//!
//! The first answer of all needs no retries: a bad one is believed at once. An HTTP check fetches
//! one URL at a time, with `delay_loop` between them; it is up after a round in which all are good,
//! and while it is down it stays with the URL that failed, then begins the round anew.

use std::time::Duration;

/// How often, how patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `delay_loop`: from the end of one question to the next; of a program from start to start.
    pub interval: Duration,
    /// `retry`: so many more bad answers in a row before it is down.
    pub retry: u32,
    /// `delay_before_retry`.
    pub retry_after: Duration,
    /// `warmup`: the first question comes at a random moment within it.
    pub warmup: Duration,
    /// `alpha`: down until the first good answer.
    pub alpha: bool,
    /// So many good rounds in a row before it is up; keepalived's is 1.
    pub rise: u32,
}

/// What differs between kinds of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// `TCP_CHECK`: retries also while it is down.
    Connection,
    /// `PING_CHECK` and the like.
    Plain,
    /// `MISC_CHECK`: delays count from the start of the program, not from its end.
    Program,
    /// `HTTP_GET` and `SSL_GET`.
    Urls {
        /// How many.
        count: usize,
        /// `fast_recovery`: on the way up no delay between them.
        fast_recovery: bool,
    },
    /// ldirectord's `checktype = N`: a dialogue, then so many connections.
    Combined {
        /// How many.
        connects: u32,
    },
}

/// What a verdict changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is up now.
    Up,
    /// It is down now.
    Down,
    /// It was taken for up, and the first answer says so too.
    FirstGood,
    /// It was taken for down (`alpha`), and the first answer says so too.
    FirstBad,
}

/// What follows from a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it changed, if anything.
    pub change: Option<Change>,
    /// When to ask again, from the end of this question (of a program: from its start).
    pub delay: Duration,
}

/// The state of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    up: bool,
    has_run: bool,
    tries: u32,
    url: usize,
    url_failed: bool,
    rounds: u32,
}

impl Life {
    /// Before the first question.
    pub const fn new(pace: &Pace) -> Self {
        Self {
            up: !pace.alpha,
            has_run: false,
            tries: pace.retry,
            url: 0,
            url_failed: false,
            rounds: 0,
        }
    }

    /// Of which it is known what answers made of it, before the daemon began.
    pub(crate) const fn known(up: bool, pace: &Pace) -> Self {
        Self { up, has_run: true, tries: 0, ..Self::new(pace) }
    }

    /// It counts as good.
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// An answer decided this; before, it is an assumption.
    pub const fn has_run(&self) -> bool {
        self.has_run
    }

    /// The URL to fetch next, by its place; of connections with a dialogue before them, 0 is that.
    pub const fn url(&self) -> usize {
        self.url
    }

    /// Bad answers in a row that did not bring it down yet.
    pub const fn tries(&self) -> u32 {
        if self.has_run { self.tries } else { 0 }
    }

    /// The same check with other terms, after a reload (keepalived's `migrate_checkers`): what is
    /// known stays known, and retries already made count.
    pub fn migrate(&mut self, pace: &Pace, manner: Manner) {
        if self.has_run {
            self.tries = self.tries.min(pace.retry);
        } else {
            *self = Self::new(pace);
        }
        let places = match manner {
            Manner::Urls { count, .. } => count,
            Manner::Combined { connects } => places(connects),
            Manner::Connection | Manner::Plain | Manner::Program => 1,
        };
        if self.url >= places {
            self.url = 0;
            self.url_failed = false;
        }
    }

    /// Takes a verdict.
    pub fn on(&mut self, good: bool, pace: &Pace, manner: Manner) -> Step {
        match manner {
            Manner::Urls { count, fast_recovery } => {
                let change = if good { self.url_good(count, pace) } else { self.url_bad(pace) };
                let delay = self.url_delay(good, pace);
                // keepalived hurries after a bad answer too, and so asks without a pause.
                let on_the_way = !self.has_run || (!self.up && !self.url_failed);
                let hurry = fast_recovery && good && on_the_way;
                Step { change, delay: if hurry { Duration::ZERO } else { delay } }
            }
            Manner::Connection | Manner::Plain | Manner::Program => {
                let retries_while_down = manner == Manner::Connection;
                if good { self.plain_good(pace) } else { self.plain_bad(pace, retries_while_down) }
            }
            Manner::Combined { connects } => {
                // Whatever went wrong, a dialogue has to show that it is right again.
                let next = self.url + 1;
                self.url = if good && next < places(connects) { next } else { 0 };
                if good { self.plain_good(pace) } else { self.plain_bad(pace, false) }
            }
        }
    }

    fn plain_good(&mut self, pace: &Pace) -> Step {
        self.tries = 0;
        let change = self.round_good(pace);
        Step { change, delay: pace.interval }
    }

    fn plain_bad(&mut self, pace: &Pace, retries_while_down: bool) -> Step {
        self.rounds = 0;
        let counts = self.up || !self.has_run;
        if self.tries >= pace.retry && (counts || retries_while_down) {
            self.tries = 0;
            let change = counts.then(|| self.go(false)).flatten();
            return Step { change, delay: pace.interval };
        }
        if !counts && !retries_while_down {
            return Step { change: None, delay: pace.interval };
        }
        self.tries += 1;
        self.has_run = true;
        Step { change: None, delay: pace.retry_after }
    }

    /// A round was good: it is up once there were enough of them.
    fn round_good(&mut self, pace: &Pace) -> Option<Change> {
        if self.up && self.has_run {
            return None;
        }
        self.rounds += 1;
        // The first answer of all needs no others: nobody knows of a fault that it has to outweigh.
        if !self.up && self.has_run && self.rounds < pace.rise {
            return None;
        }
        self.rounds = 0;
        self.go(true)
    }

    fn url_good(&mut self, count: usize, pace: &Pace) -> Option<Change> {
        self.url += 1;
        self.tries = if self.has_run { 0 } else { pace.retry };
        if self.url_failed {
            // The URL that failed is good again: all of them have to be, so begin anew.
            self.url_failed = false;
            self.url = 0;
            return None;
        }
        if self.url < count {
            return None;
        }
        self.url = 0;
        self.tries = 0;
        self.round_good(pace)
    }

    fn url_bad(&mut self, pace: &Pace) -> Option<Change> {
        self.rounds = 0;
        if !self.up && self.has_run {
            // No retries of what is known to be down. It stays with this URL.
            return None;
        }
        self.tries += 1;
        if self.tries <= pace.retry {
            self.has_run = true;
            return None;
        }
        self.tries = 0;
        self.url_failed = true;
        self.go(false)
    }

    fn url_delay(&self, good: bool, pace: &Pace) -> Duration {
        if good {
            pace.interval
        } else if self.url_failed {
            pace.retry_after.max(pace.interval)
        } else {
            pace.retry_after
        }
    }

    fn go(&mut self, up: bool) -> Option<Change> {
        let first = !self.has_run;
        let turned = self.up != up;
        self.up = up;
        self.has_run = true;
        match (turned, up, first) {
            (true, true, _) => Some(Change::Up),
            (true, false, _) => Some(Change::Down),
            (false, true, true) => Some(Change::FirstGood),
            (false, false, true) => Some(Change::FirstBad),
            (false, _, false) => None,
        }
    }
}

/// Of connections with a dialogue before them.
fn places(connects: u32) -> usize {
    usize::try_from(connects).unwrap_or(usize::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests;

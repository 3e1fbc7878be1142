//! Why is it down: what the engine knows, to be shown.

use std::time::Duration;

use xlvs_model::{Health, Quorum, ServerKey, ServiceKey};

use crate::{Entry, Moment};

/// All that the engine knows, at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The moment.
    pub now: Moment,
    /// The virtual servers, in the order of the file.
    pub services: Vec<ServiceView>,
    /// Questions that are under way.
    pub asking: usize,
    /// Different questions.
    pub probes: usize,
}

/// A virtual server.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// How a person knows it.
    pub name: String,
    /// Its services.
    pub services: Vec<ServiceKey>,
    /// Whether enough servers work.
    pub quorum: Quorum,
    /// Its servers, in the order of the file.
    pub servers: Vec<ServerView>,
}

/// A server.
#[derive(Clone, Debug)]
pub struct ServerView {
    /// Which.
    pub server: ServerKey,
    /// What checks found.
    pub health: Health,
    /// Since when it is up or down.
    pub since: Moment,
    /// Its checks, in the order of the file.
    pub checks: Vec<CheckView>,
}

/// A check.
#[derive(Clone, Debug)]
pub struct CheckView {
    /// What it asks of whom: `TCP_CHECK 10.0.0.5:80`.
    pub name: String,
    /// It counts as good.
    pub up: bool,
    /// An answer decided that; before, it is an assumption.
    pub has_run: bool,
    /// Since when it counts so.
    pub since: Moment,
    /// When it asks next; none: it is asking.
    pub next: Option<Moment>,
    /// Bad answers in a row that did not bring it down yet.
    pub tries: u32,
    /// The last answer.
    pub last: Option<LastView>,
    /// The answers before, the oldest first, with how often each came in a row.
    pub history: Vec<Entry>,
    /// So many servers of services share this question.
    pub shared_by: usize,
}

/// The last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastView {
    /// In a sentence.
    pub text: String,
    /// It was good.
    pub good: bool,
    /// A status or exit code.
    pub code: Option<u16>,
    /// How long it took.
    pub latency: Duration,
    /// When it came.
    pub at: Moment,
}

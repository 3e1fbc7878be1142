//! One server, with all that is known of it.

use serde::{Deserialize, Serialize};
use xlvs_model::{OnDeadline, ServiceKey};

use crate::{Event, ServerView};

/// How far a drain got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainView {
    /// Connections that there were when it began.
    pub began_with: u32,
    /// Connections that are left.
    pub left: u32,
    /// Seconds until the last one is gone, nine times in ten; none: nothing is known that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_s: Option<u64>,
    /// When it ends all the same, in seconds of Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// What happens to the rest then.
    pub on_deadline: OnDeadline,
    /// The deadline was reached.
    pub over: bool,
}

/// One answer of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
    /// It was what was asked for.
    pub good: bool,
    /// In words: `HTTP status 500`, `connection refused`.
    pub result: String,
    /// The status, exit code or the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u64>,
}

/// A check of a server, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// What is asked: `HTTP_GET http://10.0.1.1:80/alive`.
    pub name: String,
    /// It says that the server works.
    pub up: bool,
    /// Since when it says so, in milliseconds of Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// When it asks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// The last answers, the newest first.
    #[serde(default)]
    pub results: Vec<CheckResult>,
}

/// `GET /v1/servers`: a server of a service, its checks and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerDetail {
    /// The service.
    pub service: ServiceKey,
    /// The server.
    pub server: ServerView,
    /// Its checks; none while nobody checks it.
    #[serde(default)]
    pub checks: Vec<CheckView>,
    /// What is remembered of it, the oldest first.
    #[serde(default)]
    pub events: Vec<Event>,
}

//! Files: putting them in force, and how that stands.

use serde::{Deserialize, Serialize};
use xlvs_model::Difference;

/// `POST /v1/apply`: a file is to be in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// The file, by a path that the daemon can read.
    pub file: String,
    /// Nothing is to be done: what would be?
    #[serde(default)]
    pub plan: bool,
    /// It is taken back after so many seconds, unless [`Confirm`] comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_s: Option<u64>,
    /// What the file is, by the name that `xlvs apply --format` takes; none: as it was read the
    /// last time if it is the one in force, else what it looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What `@id` lines are compared with; none: as it was read the last time if it is the one in
    /// force, else as the daemon was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_id: Option<String>,
}

/// What became of [`Apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// It is in force.
    pub in_force: bool,
    /// Why not, and nothing was changed; none where only the plan was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What is to be told of the file, as text with places.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub report: String,
    /// How it differs from what was in force.
    pub differences: Vec<Difference>,
    /// When it is taken back, in milliseconds of Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_until_ms: Option<u64>,
}

/// `POST /v1/confirm`: what was applied for a time stays, or goes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// It stays.
    pub keep: bool,
}

/// A file that is in force, as the status shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// The file.
    pub file: String,
    /// Since when, in milliseconds of Unix time.
    pub since_ms: u64,
    /// How many services are its own.
    pub services: usize,
    /// How many of its servers have checks.
    pub checked_servers: usize,
    /// What somebody changed by hand and is not put right (yet).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Difference>,
    /// It is taken back then, unless it is confirmed; in milliseconds of Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_until_ms: Option<u64>,
}

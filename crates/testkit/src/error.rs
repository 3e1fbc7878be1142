//! What can go wrong while hosts are made: each says what was tried and where.

use std::{io, time::Duration};

use thiserror::Error;

/// A step that failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Namespaces and links need root.
    #[error("network namespaces can only be made by root: try it with sudo")]
    NotRoot,
    /// The kernel or the file system refused.
    #[error("{what}: {source}")]
    Refused {
        /// What was tried, and on what.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Ctrl-C, SIGTERM or SIGHUP came.
    #[error("interrupted")]
    Interrupted,
    /// It did not happen in time.
    #[error("waited {} s in vain for {what}", waited.as_secs())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
    },
    /// A plan that cannot be built.
    #[error("{0}")]
    Plan(String),
}

/// Of a step.
pub type Result<T> = std::result::Result<T, Error>;

/// Says what was tried when the system refuses.
pub(crate) trait Tried<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Tried<T> for std::result::Result<T, E> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Refused { what: what(), source: source.into() })
    }
}

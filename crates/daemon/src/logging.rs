//! Logs go to stderr, as people and journald expect; what they contain is `XLVS_LOG`'s to say, in
//! the manner of `RUST_LOG`.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Starts logging. A second call (tests) does nothing.
pub(crate) fn start() {
    let filter = EnvFilter::builder()
        .with_default_directive(DEFAULT.into())
        .with_env_var("XLVS_LOG")
        .from_env_lossy();
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    drop(started);
}

const DEFAULT: tracing::level_filters::LevelFilter = tracing::level_filters::LevelFilter::INFO;

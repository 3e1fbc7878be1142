//! Bounded waiting.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{Error, Result, interrupt};

/// Asks `condition` again and again until it has an answer: [`Error::TimedOut`] after `limit`,
/// [`Error::Interrupted`] after Ctrl-C.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        interrupt::check()?;
        if let Some(answer) = condition() {
            return Ok(answer);
        }
        if start.elapsed() >= limit {
            return Err(Error::TimedOut { what: what.to_owned(), waited: limit });
        }
        sleep(STEP);
    }
}

/// It was the time that ran out, nothing else.
pub fn is_timeout(error: &Error) -> bool {
    matches!(error, Error::TimedOut { .. })
}

const STEP: Duration = Duration::from_millis(10);

//! Logs go to stderr, as people and journald expect; what they contain is `XLVS_LOG`'s to say, in
//! the manner of `RUST_LOG`.
//!
//! On a terminal or in a file a line has its time and level. Where stderr is the journal, which
//! knows the time by itself, each line begins with its priority instead (`sd-daemon(3)`), so that
//! `journalctl -p warning` finds it.

use std::{
    env, fmt,
    io::{self, IsTerminal},
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Writer, format},
    },
    registry::LookupSpan,
};

/// Starts logging. A second call (tests) does nothing.
pub(crate) fn start() {
    let filter = EnvFilter::builder()
        .with_default_directive(DEFAULT.into())
        .with_env_var("XLVS_LOG")
        .from_env_lossy();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false);
    let started = if is_journal(env::var("JOURNAL_STREAM").ok().as_deref(), stderr_file()) {
        let line = format().without_time().with_level(false).with_target(false).with_ansi(false);
        logs.with_ansi(false).event_format(Prioritised(line)).try_init()
    } else {
        logs.with_ansi(io::stderr().is_terminal()).try_init()
    };
    drop(started);
}

/// `JOURNAL_STREAM` names the file that systemd connected us to. Who redirected stderr since then
/// has another one.
fn is_journal(stream: Option<&str>, stderr: Option<(u64, u64)>) -> bool {
    let named = stream.and_then(|stream| {
        let (device, inode) = stream.split_once(':')?;
        Some((device.parse().ok()?, inode.parse().ok()?))
    });
    named.is_some() && named == stderr
}

fn stderr_file() -> Option<(u64, u64)> {
    let stat = rustix::fs::fstat(io::stderr()).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// An event's lines, each with the event's priority before it: journald reads line by line.
struct Prioritised<F>(F);

impl<S, N, F> FormatEvent<S, N> for Prioritised<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(ctx, Writer::new(&mut text), event)?;
        let priority = priority(*event.metadata().level());
        text.lines().try_for_each(|line| writeln!(writer, "<{priority}>{}", line.trim_start()))
    }
}

/// The number that `syslog(3)` has for a level.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

const DEFAULT: tracing::level_filters::LevelFilter = tracing::level_filters::LevelFilter::INFO;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn the_journal_is_what_systemd_connected_us_to() {
        let rows = [
            (Some("8:1234"), Some((8, 1234)), true, "the same file"),
            (Some("8:1234"), Some((8, 1235)), false, "redirected since"),
            (Some("8:1234"), None, false, "closed"),
            (Some("nonsense"), Some((8, 1234)), false, "not systemd's"),
            (None, Some((8, 1234)), false, "started by hand"),
            (None, None, false, "by hand, and closed"),
        ];
        for (stream, stderr, expected, sentence) in rows {
            assert_eq!(is_journal(stream, stderr), expected, "{sentence}");
        }
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_for_the_journal_has_its_priority() {
        let sink = Sink::default();
        let line = format().without_time().with_level(false).with_target(false).with_ansi(false);
        let to = sink.clone();
        let logs = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_writer(move || to.clone())
            .event_format(Prioritised(line))
            .finish();
        tracing::subscriber::with_default(logs, || {
            tracing::error!("it broke");
            tracing::warn!("two\nlines");
            tracing::info!(service = "web", "added");
            tracing::debug!("detail");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "<3>it broke\n<4>two\n<4>lines\n<6>added service=\"web\"\n<7>detail\n");
    }
}

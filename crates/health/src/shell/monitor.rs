//! ldirectord's `monitorfile`: each answer, a line. A file is opened for each batch of lines, so
//! that it can be rotated without a word to the daemon; how long it gets is up to who rotates it.

use std::{collections::BTreeMap, fs::OpenOptions, io, io::Write as _};

use jiff::Zoned;
use tokio::{sync::mpsc, task::spawn_blocking};
use tracing::warn;

use crate::Line;

/// Writes lines until nobody has any more.
pub(super) async fn write(mut lines: mpsc::Receiver<Line>) {
    let mut batch = Vec::new();
    let mut broken = BTreeMap::new();
    while lines.recv_many(&mut batch, BATCH).await > 0 {
        let now = Zoned::now();
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for line in batch.drain(..) {
            let text = render(&line, &now, std::process::id());
            files.entry(line.path).or_default().push_str(&text);
        }
        for (path, text) in files {
            let place = path.clone();
            let written = spawn_blocking(move || append(&place, &text)).await;
            let fault = match written {
                Ok(Ok(())) => None,
                Ok(Err(fault)) => Some(fault.to_string()),
                Err(fault) => Some(fault.to_string()),
            };
            // ldirectord dies of it; here it is told of once.
            if let Some(fault) = &fault
                && broken.get(&path) != Some(fault)
            {
                warn!("cannot write to the monitorfile {path}: {fault}");
            }
            match fault {
                Some(fault) => drop(broken.insert(path, fault)),
                None => drop(broken.remove(&path)),
            }
        }
    }
}

/// `[Sat Nov 21 17:12:28 2026] [4711] negotiate http tcp 10.0.0.5 80 1 masq / [up] 200`.
fn render(line: &Line, now: &Zoned, process: u32) -> String {
    let state = if line.up { "up" } else { "down" };
    let now = now.strftime("%a %b %e %H:%M:%S %Y");
    format!("[{now}] [{process}] {} [{state}] {}\n", line.server, line.text)
}

fn append(path: &str, text: &str) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

/// Lines that are written together, at most.
const BATCH: usize = 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::{Timestamp, tz::TimeZone};

    use super::*;

    #[test]
    fn a_line_is_ldirectords() {
        let now: Timestamp = "2026-11-01T07:02:08Z".parse().expect("a moment");
        let now = now.to_zoned(TimeZone::UTC);
        let server = "negotiate http tcp 10.0.0.5 80 1 masq /".into();
        let line = Line { path: String::new(), server, up: false, text: "-".into() };
        let expected =
            "[Sun Nov  1 07:02:08 2026] [7] negotiate http tcp 10.0.0.5 80 1 masq / [down] -\n";
        assert_eq!(render(&line, &now, 7), expected);
    }

    #[tokio::test]
    async fn lines_are_added_each_to_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        fs::write(path("a"), "before\n").expect("a file");
        let (sender, lines) = mpsc::channel(8);
        for name in ["a", "b", "nowhere/c", "a"] {
            let line = Line { path: path(name), server: name.into(), up: true, text: "-".into() };
            sender.send(line).await.expect("there is room");
        }
        drop(sender);
        write(lines).await;
        let ends = |name: &str| {
            let text = fs::read_to_string(path(name)).expect(name);
            text.lines().map(|l| l.rsplit("] ").nth(1).unwrap_or(l).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ends("a"), ["before", "a [up", "a [up"]);
        assert_eq!(ends("b"), ["b [up"]);
    }
}

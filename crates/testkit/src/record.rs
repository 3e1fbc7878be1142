//! What a lab made, written down while it makes it, so that all of it can be taken away by whoever
//! comes later: processes (by id and start time, never by name), namespaces, mounts, files.
//!
//! One folder for each lab, `/run/xlvs-labs/PREFIX`, with the file `record` in it: a line is
//! `owner PID START`, `process PID START` or `kept`.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::{
    mount::{UnmountFlags, unmount},
    process::{Pid, Signal, kill_process},
};

use crate::{Result, error::Tried, netns};

/// Where labs keep their records, logs and run-time files.
pub(crate) const FOLDER: &str = "/run/xlvs-labs";

/// The open record of a lab.
#[derive(Debug)]
pub(crate) struct Record {
    prefix: String,
    file: Mutex<File>,
}

impl Record {
    pub(crate) fn create(prefix: &str) -> Result<Self> {
        let folder = folder(prefix);
        fs::create_dir_all(&folder).tried(|| format!("make {}", folder.display()))?;
        let path = folder.join(FILE);
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .tried(|| format!("create {}", path.display()))?;
        let record = Self { prefix: prefix.to_owned(), file: Mutex::new(file) };
        record.write(&format!("owner {}\n", Identity::of(std::process::id())));
        Ok(record)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        folder(&self.prefix)
    }

    pub(crate) fn process(&self, pid: u32) {
        self.write(&format!("process {}\n", Identity::of(pid)));
    }

    /// From here on nobody sweeps it; [`remove`] still takes it away.
    pub(crate) fn keep(&self) {
        self.write("kept\n");
    }

    fn write(&self, line: &str) {
        // A line less makes the sweep know less: no reason to stop a lab that works.
        if let Ok(mut file) = self.file.lock() {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Takes away what labs of dead processes left behind; says which.
pub fn sweep() -> Vec<String> {
    let mut swept = Vec::new();
    for (prefix, text) in records() {
        let kept = text.lines().any(|line| line == "kept");
        // Without an owner it is being written this instant.
        let dead = identities(&text, "owner").next().is_some_and(|owner| !owner.is_alive());
        if !kept && dead && remove(&prefix).is_ok() {
            swept.push(prefix);
        }
    }
    swept
}

/// The labs that are up, kept ones too.
pub fn labs() -> Vec<String> {
    records().into_iter().map(|(prefix, _)| prefix).collect()
}

/// The labs that were left standing on purpose.
pub fn kept() -> Vec<String> {
    let kept = |text: &str| text.lines().any(|line| line == "kept");
    records().into_iter().filter(|(_, text)| kept(text)).map(|(prefix, _)| prefix).collect()
}

/// Takes a lab away: its processes, its namespaces, what is mounted in its folder, its folder.
pub fn remove(prefix: &str) -> Result<()> {
    let folder = folder(prefix);
    let text = fs::read_to_string(folder.join(FILE)).unwrap_or_default();
    let processes: Vec<_> = identities(&text, "process").collect();
    end(&processes);
    let start = format!("{prefix}-");
    let names = fs::read_dir(netns::FOLDER).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    for name in names.filter(|name| name.starts_with(&start)) {
        netns::delete(&name)?;
    }
    for point in mounts_below(&folder) {
        unmount(&point, UnmountFlags::DETACH).tried(|| format!("unmount {}", point.display()))?;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).tried(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

/// A process that cannot be mistaken for a later one with the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    pid: u32,
    /// When it started, in the kernel's own count since boot.
    start: u64,
}

impl Identity {
    fn of(pid: u32) -> Self {
        Self { pid, start: start_time(pid).unwrap_or(0) }
    }

    fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_alive()) {
            let _ = kill_process(pid, signal); // it may have ended this instant
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pid, self.start)
    }
}

/// Asks them to end, and after a while makes them.
fn end(processes: &[Identity]) {
    for process in processes {
        process.signal(Signal::TERM);
    }
    let start = Instant::now();
    while start.elapsed() < PATIENCE && processes.iter().any(Identity::is_alive) {
        sleep(Duration::from_millis(10));
    }
    for process in processes {
        process.signal(Signal::KILL);
    }
}

/// Field 22 of `/proc/PID/stat`; `None` once it is gone or only waits to be reaped.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_start_time(&stat)
}

fn parse_start_time(stat: &str) -> Option<u64> {
    // The name, in brackets, may itself contain blanks and brackets.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn records() -> Vec<(String, String)> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join(FILE)).ok()?;
            Some((entry.file_name().into_string().ok()?, text))
        })
        .collect();
    found.sort();
    found
}

fn identities<'a>(text: &'a str, role: &'a str) -> impl Iterator<Item = Identity> + 'a {
    text.lines().filter_map(move |line| {
        let mut words = line.split(' ');
        if words.next()? != role {
            return None;
        }
        Some(Identity { pid: words.next()?.parse().ok()?, start: words.next()?.parse().ok()? })
    })
}

/// What is mounted below a folder, the innermost first.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut points: Vec<_> = points.filter(|point| point.starts_with(folder)).collect();
    points.reverse();
    points
}

fn folder(prefix: &str) -> PathBuf {
    Path::new(FOLDER).join(prefix)
}

const FILE: &str = "record";
/// How long a process that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let fields = "S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        for name in ["sh", "a b", "x) S 1 (y"] {
            assert_eq!(parse_start_time(&format!("7 ({name}) {fields}")), Some(4242), "{name}");
        }
        let zombie = format!("7 (sh) {}", fields.replacen('S', "Z", 1));
        assert_eq!(parse_start_time(&zombie), None);
        assert_eq!(parse_start_time(""), None);
    }

    #[test]
    fn a_record_tells_owners_from_processes() {
        let text = "owner 12 34\nprocess 5 6\nprocess 7 8\nnonsense\nprocess x y\n";
        let pids = |role| identities(text, role).map(|one| one.pid).collect::<Vec<_>>();
        assert_eq!(pids("owner"), [12]);
        assert_eq!(pids("process"), [5, 7]);
    }

    #[test]
    fn this_process_is_alive_and_an_earlier_one_is_not() {
        let own = Identity::of(std::process::id());
        assert!(own.is_alive());
        assert!(!Identity { start: own.start + 1, ..own }.is_alive());
    }
}

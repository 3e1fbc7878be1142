//! A program running on a host, its output in a file.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, Result, error::Tried, record::Record, wait_until};

/// A running program. Dropped, it is ended, unless [`Process::leave`] was called.
#[derive(Debug)]
pub struct Process {
    label: String,
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
    left: bool,
}

impl Process {
    /// Starts `command` with its output and its complaints going to `log`.
    pub(crate) fn start(
        label: &str,
        mut command: Command,
        log: &Path,
        record: &Arc<Record>,
    ) -> Result<Self> {
        let out = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .tried(|| format!("create {}", log.display()))?;
        let complaints = out.try_clone().tried(|| "duplicate a file descriptor".to_owned())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(complaints)
            .spawn()
            .tried(|| format!("start {label} ({})", command.get_program().to_string_lossy()))?;
        record.process(child.id());
        let (label, log) = (label.to_owned(), log.to_owned());
        Ok(Self { label, child, log, status: None, left: false })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until what it has written contains `text`. Fails at once if it ends before.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<()> {
        let what = format!("{} to say `{text}`", self.label);
        let ended = wait_until(&what, limit, || {
            if self.log().contains(text) {
                return Some(None);
            }
            self.ended().map(Some)
        });
        let complaint = match ended {
            Ok(None) => return Ok(()),
            // It may have said it in its last breath.
            Ok(Some(_)) if self.log().contains(text) => return Ok(()),
            Ok(Some(status)) => format!("{} ended ({status}) before it said `{text}`", self.label),
            Err(error @ Error::TimedOut { .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        Err(Error::Plan(format!("{complaint}; its output:\n{}", self.log().trim_end())))
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.label);
        wait_until(&what, limit, || self.ended())
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            // Not reaped yet, so the id is still its own.
            let _ = pid.map(|pid| kill_process(pid, signal));
        }
    }

    /// Asks it to end (SIGTERM) and waits; after a while it is killed.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let mut waited = Duration::ZERO;
        // Not `wait_until`: after Ctrl-C it would not wait at all.
        while self.ended().is_none() && waited < PATIENCE {
            std::thread::sleep(STEP);
            waited += STEP;
        }
        self.kill()
    }

    /// Kills it (SIGKILL), as a crash would.
    pub fn kill(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::KILL);
        if self.status.is_none() {
            self.status = self.child.wait().ok();
        }
        self.status
    }

    /// Lets it run on when this value is dropped; the lab's removal still ends it.
    pub fn leave(&mut self) {
        self.left = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.left {
            self.stop();
        }
    }
}

/// Where a program that a test needs lies; the error says what is missing, for a skip with a
/// printed reason.
pub fn find_program(name: &str) -> std::result::Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let is_program = |file: &PathBuf| {
        fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let found = folders.map(|folder| folder.join(name)).find(is_program);
    found.ok_or_else(|| format!("`{name}` is not installed on this machine"))
}

const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test is a panic")]
    use super::*;

    #[test]
    fn programs_are_found_or_named() {
        assert!(find_program("sh").is_ok());
        let missing = "`no-such-program-here` is not installed on this machine";
        assert_eq!(find_program("no-such-program-here").unwrap_err(), missing);
    }
}

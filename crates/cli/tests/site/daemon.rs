//! A server of a Debian package on a host of a lab: run from its binary in the foreground, with
//! files of its own in the lab's folder. It can be halted and killed with all that it has started.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, Signal, kill_process};
use xlvs_testkit::{Process, find_program, wait_until};

use super::{LONG, Site, skip};

/// A server that runs.
pub(crate) struct Daemon {
    process: Process,
}

impl Daemon {
    /// Starts a program of this name and waits until it takes connections at this port.
    pub(crate) fn start(site: &Site, host: &str, name: &str, args: &[&str], port: u16) -> Self {
        let mut command = site.command(host, &find_program(name).unwrap());
        command.args(args);
        let label = name.rsplit('/').next().unwrap();
        Self::start_command(site, host, label, command, port)
    }

    /// The same with a command (of [`Site::command`]); `label` names its log.
    pub(crate) fn start_command(
        site: &Site,
        host: &str,
        label: &str,
        command: Command,
        port: u16,
    ) -> Self {
        let host = site.lab.host(host);
        let process = host.spawn(label, command).unwrap();
        let mut this = Self { process };
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let serves = || host.enter(|| TcpStream::connect(local).is_ok()).unwrap();
        let waited = wait_until(&format!("{label} to listen"), LONG, || {
            (this.process.ended().is_some() || serves()).then_some(())
        });
        let runs = waited.is_ok() && this.process.ended().is_none();
        assert!(runs, "{label}: {}", this.process.log());
        this
    }

    /// Halts it: connections are still taken by the host's kernel, and nothing is answered.
    pub(crate) fn halt(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it, as a crash of its host would.
    pub(crate) fn die(&mut self) {
        // What is halted starts nothing more.
        self.halt();
        self.signal(Signal::KILL);
        self.process.kill();
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    fn signal(&self, signal: Signal) {
        for pid in family(self.process.id()) {
            // One that has just gone needs no signal.
            let _ =
                i32::try_from(pid).ok().and_then(Pid::from_raw).map(|p| kill_process(p, signal));
        }
    }
}

impl Drop for Daemon {
    /// A halted one would not hear a request to end.
    fn drop(&mut self) {
        if self.process.ended().is_none() {
            self.die();
        }
    }
}

/// Whether all of these are installed; else it is said.
pub(crate) fn are_installed(programs: &[&str]) -> bool {
    let missing = programs.iter().find_map(|name| find_program(name).err());
    if let Some(reason) = &missing {
        skip(reason);
    }
    missing.is_none()
}

/// A folder of its own for a program, which any user may read.
pub(crate) fn folder(site: &Site, name: &str) -> PathBuf {
    let folder = site.lab.folder().join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Writes a file into a folder; `@` in it is the folder.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text.replace('@', &folder.to_string_lossy())).unwrap();
    path.to_string_lossy().into_owned()
}

/// A process and all that descend from it, the eldest first.
fn family(first: u32) -> Vec<u32> {
    let parents = parents();
    let mut found = vec![first];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

/// Every process and its parent.
fn parents() -> Vec<(u32, u32)> {
    let parent = |entry: std::io::Result<fs::DirEntry>| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // `PID (NAME) STATE PARENT`; a name may have blanks and brackets.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    };
    fs::read_dir("/proc").unwrap().filter_map(parent).collect()
}

//! A lab with `xlvs` on its hosts: what the tests in namespaces share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "each test uses its part, and a failing test is a panic"
)]

pub(crate) mod board;
pub(crate) mod daemon;
pub(crate) mod dial;
pub(crate) mod held;
pub(crate) mod mariadb;
pub(crate) mod nginx;
pub(crate) mod ports;
pub(crate) mod rows;
pub(crate) mod servers;
pub(crate) mod talk;

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use xlvs_testkit::{Lab, Plan, Process, wait_until};

/// The program under test.
pub(crate) const XLVS: &str = env!("CARGO_BIN_EXE_xlvs");
/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// Hosts, and the programs that run on them.
pub(crate) struct Site {
    /// Ended before the lab goes.
    processes: Vec<Process>,
    /// The hosts.
    pub(crate) lab: Lab,
    /// One site at a time, also where the tests' runner starts several at once.
    _turn: File,
}

impl Site {
    /// Builds it, with `ipvsadm` on every host's path; `None`, with a reason printed, without root.
    pub(crate) fn build(plan: &Plan) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("making network namespaces needs root");
            return None;
        }
        let turn = turn();
        let site = Self { processes: Vec::new(), lab: Lab::build(plan).unwrap(), _turn: turn };
        let folder = site.lab.folder();
        site.xlvs("director", &format!("install-faces {}", folder.display()));
        Some(site)
    }

    /// Where a failing test's evidence goes.
    pub(crate) fn evidence_folder() -> PathBuf {
        target().join("ring3")
    }

    /// A program on a host, with the site's folders and `ipvsadm`.
    pub(crate) fn command(&self, host: &str, program: &Path) -> Command {
        let mut command = self.lab.host(host).command(program).unwrap();
        self.furnish(&mut command);
        command
    }

    /// Gives a program the site's folders and `ipvsadm`.
    pub(crate) fn furnish(&self, command: &mut Command) {
        let path = env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}:/usr/sbin:/sbin", self.lab.folder().display()))
            .env("XLVS_RUN_DIR", self.lab.folder().join("run"))
            .env("XLVS_STATE_DIR", self.lab.folder().join("state"))
            .env_remove("XLVS_INSTANCE");
    }

    /// Runs `xlvs` with these words, whatever comes of it.
    pub(crate) fn attempt(&self, host: &str, args: &str) -> Output {
        let mut command = self.command(host, Path::new(XLVS));
        command.args(args.split_whitespace());
        self.lab.host(host).run(command, LONG).unwrap()
    }

    /// Runs a program to its end; it must succeed and complain of nothing.
    pub(crate) fn run(&self, host: &str, program: impl AsRef<Path>, args: &[&str]) -> String {
        let mut command = self.command(host, program.as_ref());
        command.args(args);
        let output = self.lab.host(host).run(command, LONG).unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let good = output.status.success() && told.is_empty();
        assert!(good, "{args:?} on {host}: {told}\n{}", self.lab.logs());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `xlvs` with these words.
    pub(crate) fn xlvs(&self, host: &str, args: &str) -> String {
        self.run(host, XLVS, &args.split_whitespace().collect::<Vec<_>>())
    }

    /// Starts `xlvs` with these words and waits until it says that it is ready. The number of the
    /// process is for [`Self::kill`].
    pub(crate) fn start(&mut self, host: &str, args: &str, ready: &str) -> usize {
        let mut command = self.command(host, Path::new(XLVS));
        command.args(args.split_whitespace());
        self.start_command(host, command, args.split(' ').next().unwrap(), ready)
    }

    /// The same with any program; `label` names its log.
    pub(crate) fn start_command(
        &mut self,
        host: &str,
        command: Command,
        label: &str,
        ready: &str,
    ) -> usize {
        let log = self.lab.host(host).log_path(label);
        let before = fs::read_to_string(log).unwrap_or_default().matches(ready).count();
        let mut process = self.lab.host(host).spawn(label, command).unwrap();
        let started = wait_until(&format!("{label} to be ready"), LONG, || {
            let ready = process.log().matches(ready).count() > before;
            (ready || process.ended().is_some()).then_some(())
        });
        let runs = started.is_ok() && process.ended().is_none();
        assert!(runs, "{label} on {host}: {}", process.log());
        self.processes.push(process);
        self.processes.len() - 1
    }

    /// Starts the director's daemon.
    pub(crate) fn start_director(&mut self, args: &str) -> usize {
        self.start("director", &format!("run {args}"), "xlvs: ready")
    }

    /// Kills a process of [`Self::start`], as a crash would.
    pub(crate) fn kill(&mut self, number: usize) {
        self.processes[number].kill();
    }

    /// Asks a process of [`Self::start`] to end, and waits for that.
    pub(crate) fn terminate(&mut self, number: usize) {
        self.processes[number].signal(rustix::process::Signal::TERM);
        self.processes[number].wait(LONG).unwrap();
    }

    /// Waits until the director knows every server's Ethernet address: a SYN before that would be
    /// dropped and tried again a second later, and rounds would not come out even.
    pub(crate) fn await_next_hops(&self) {
        wait_until("the director to find its servers", LONG, || {
            let list = self.xlvs("director", "server list -o json");
            (!list.contains("unresolved")).then_some(())
        })
        .unwrap();
    }

    /// Packets of which this became.
    pub(crate) fn packets(&self, reason: &str) -> u64 {
        let status = self.xlvs("director", "status -o json");
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["packets"][reason].as_u64().unwrap_or(0)
    }

    /// What a host's program has written.
    pub(crate) fn log(&self, host: &str, label: &str) -> String {
        fs::read_to_string(self.lab.host(host).log_path(label)).unwrap()
    }
}

/// What a test needs is not here: said, and where CI promises it, a failure.
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why}");
    assert!(env::var("CI").as_deref() != Ok("true"), "CI must be able to run this: {why}");
}

/// Cargo's folder for what is built.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

/// Waits until no other site stands.
fn turn() -> File {
    let file = File::create(target().join("ring3.lock")).unwrap();
    file.lock().unwrap();
    file
}

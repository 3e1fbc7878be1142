//! A script of failures that real keepalived was given, driving real IPVS (`cargo xtask failures`):
//! with the same file, the same table and the same notifications after each step. Needs root; says
//! so when skipped.
//!
//! `ipvsadm -S` is not compared: the kernel has forgotten a server that is out, xlvs saves what is
//! written.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use xlvs_testkit::{Host, Plan, wait_until};

use site::{
    LONG, Site,
    ports::{How, Port, steps},
};

#[test]
fn failures_leave_the_table_that_keepalived_leaves() {
    let Some(mut stage) = Stage::build() else { return };
    let (steps, recorded) = (steps(STEPS), excepted(recorded()));
    let mut before = None;
    for (step, expected) in steps.iter().zip(&recorded) {
        assert_eq!(step.name, expected.name, "recorded with other steps: play them again");
        for line in &step.lines {
            stage.act(line);
        }
        if before.is_none() {
            stage.start();
        }
        stage.await_table(&step.name, &expected.after);
        // Where nothing is to change, a check must have had the time to find out.
        let still = before.as_ref() == Some(&&expected.after);
        stage.stays(&step.name, &expected.after, if still { PATIENT } else { BRIEF });
        stage.heard += expected.after.told.len();
        before = Some(&expected.after);
    }
    let [end] = &recorded[steps.len()..] else { panic!("recorded with other steps") };
    stage.stop();
    let waited =
        wait_until("the last words", LONG, || (stage.told() == end.after.told).then_some(()));
    assert!(waited.is_ok(), "{}: {:?}, not {:?}", end.name, stage.told(), end.after.told);
}

/// What the steps are played on.
struct Stage {
    site: Site,
    ports: BTreeMap<SocketAddr, Port>,
    /// So many bytes of what was told are of earlier steps.
    heard: usize,
}

impl Stage {
    fn build() -> Option<Self> {
        let site = Site::build(&Plan::two_arm(4, 1))?;
        let stage = Self { site, ports: BTreeMap::new(), heard: 0 };
        fs::create_dir_all(stage.folder()).unwrap();
        for (name, text) in [("keepalived.conf", FILE), ("script", SCRIPT), ("tell", TELL)] {
            let path = stage.folder().join(name);
            fs::write(&path, text.replace("/run/failures", stage.folder().to_str().unwrap()))
                .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(stage.folder().join("told"), "").unwrap();
        Some(stage)
    }

    fn folder(&self) -> PathBuf {
        self.site.lab.folder().join("failures")
    }

    fn start(&mut self) {
        let file = self.folder().join("keepalived.conf");
        let line = format!("--interface eth0 --interface eth1 -c {}", file.display());
        self.site.start_director(&line);
    }

    /// As a service manager does.
    fn stop(&self) {
        let status = self.site.xlvs("director", "status -o json");
        let status: Value = serde_json::from_str(&status).unwrap();
        let pid = status["pid"].to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// One line of a step: `golden/failures/steps` says what they mean.
    fn act(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["script", name, ..] => {
                let (new, path) = (self.folder().join(".new"), self.folder().join(name));
                fs::write(&new, format!("{}\n", words[2..].join(" "))).unwrap();
                fs::rename(new, path).unwrap();
            }
            [host, "up" | "down"] => {
                let host = self.host(host.parse().unwrap());
                host.netlink().set_up("eth0", words[1] == "up").unwrap();
            }
            [address, ref how @ ..] => self.set(address.parse().unwrap(), how),
            [] => panic!("an empty line"),
        }
    }

    fn set(&mut self, address: SocketAddr, how: &[&str]) {
        let how = match how {
            ["refuse"] => {
                self.ports.remove(&address).unwrap();
                return;
            }
            how => How::of(how),
        };
        if let Some(port) = self.ports.get(&address) {
            port.turn(how);
        } else {
            let port = Port::open(self.host(address.ip()), address.port(), how);
            self.ports.insert(address, port);
        }
    }

    fn host(&self, address: IpAddr) -> &Host {
        let IpAddr::V4(address) = address else { panic!("{address}") };
        self.site.lab.host(&format!("rs{}", address.octets()[3] - 20))
    }

    /// What was told in this step, in the order of letters: programs overtake each other.
    fn told(&self) -> String {
        let told = fs::read_to_string(self.folder().join("told")).unwrap();
        let mut lines: Vec<&str> = told[self.heard..].split_inclusive('\n').collect();
        lines.sort_unstable();
        lines.concat()
    }

    fn table(&self) -> Table {
        let list = self.site.xlvs("director", "ipvsadm -Ln");
        let list = list.split_once('\n').unwrap().1.to_owned();
        Table { list, told: self.told() }
    }

    fn await_table(&self, step: &str, expected: &Table) {
        let waited = wait_until(step, LONG, || (self.table() == *expected).then_some(()));
        assert!(waited.is_ok(), "{}", self.difference(step, expected, &self.table()));
    }

    fn stays(&self, step: &str, expected: &Table, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            let table = self.table();
            assert!(table == *expected, "{}", self.difference(step, expected, &table));
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn difference(&self, step: &str, expected: &Table, table: &Table) -> String {
        let events = self.site.xlvs("director", "events --kind check");
        format!("{step}:\n== keepalived\n{expected}\n== xlvs\n{table}\n== events\n{events}")
    }
}

/// What is seen of a table.
#[derive(PartialEq, Eq)]
struct Table {
    list: String,
    told: String,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}--- told\n{}", self.list, self.told)
    }
}

struct Recorded {
    name: String,
    after: Table,
}

/// `# STEP`, and what was seen after it in two parts; after the end only what was told.
fn recorded() -> Vec<Recorded> {
    let blocks = RECORDED.split("# ").skip(1);
    let read = |block: &str| {
        let (name, parts) = block.split_once('\n').unwrap();
        let part = |head: &str| {
            let after = parts.split_once(&format!("--- {head}\n")).map_or("", |(_, after)| after);
            let lines = after.split_inclusive('\n').take_while(|line| !line.starts_with("---"));
            lines.filter(|line| *line != "\n").collect::<String>()
        };
        let after = Table { list: part("ipvsadm -Ln"), told: part("told") };
        Recorded { name: name.to_owned(), after }
    };
    blocks.map(read).collect()
}

/// What xlvs is to show: as recorded, but for the weights that `golden/failures/exceptions` gives
/// reasons for.
fn excepted(mut recorded: Vec<Recorded>) -> Vec<Recorded> {
    for exception in steps(EXCEPTIONS) {
        let from = recorded.iter().position(|step| step.name == exception.name).unwrap();
        for line in &exception.lines {
            let [server, theirs, ours] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("SERVER WEIGHT WEIGHT: {line}")
            };
            let row = |weight| format!("  -> {server:<28} Masq    {weight:<6}");
            let (theirs, ours) = (row(theirs), row(ours));
            assert!(recorded[from].after.list.contains(&theirs), "not so any more: {line}");
            for step in &mut recorded[from..] {
                step.after.list = step.after.list.replace(&theirs, &ours);
            }
        }
    }
    recorded
}

/// Longer than a check that may change something takes.
const PATIENT: Duration = Duration::from_secs(10);
/// Long enough for a few checks.
const BRIEF: Duration = Duration::from_secs(2);
const FILE: &str = include_str!("golden/failures/keepalived.conf");
const SCRIPT: &str = include_str!("golden/failures/script");
const TELL: &str = include_str!("golden/failures/tell");
const STEPS: &str = include_str!("golden/failures/steps");
const EXCEPTIONS: &str = include_str!("golden/failures/exceptions");
const RECORDED: &str = include_str!("golden/failures/listings");

//! A script of failures that real ldirectord is given, driving our `ipvsadm`, and xlvs beside it
//! with the same file: after each step both directors have the same table and told the same. Needs
//! root and the package `ldirectord`; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use xlvs_testkit::{Host, HostPlan, Net, Plan, find_program, wait_until};

use site::{
    LONG, Site, XLVS,
    ports::{How, Port, steps},
    skip,
};

#[test]
fn failures_leave_the_table_that_ldirectord_leaves() {
    let Some(mut stage) = Stage::build() else { return };
    let mut before = String::new();
    for step in steps(STEPS) {
        stage.forget();
        for line in &step.lines {
            stage.act(line);
        }
        if before.is_empty() {
            stage.start();
        }
        let table = stage.settle(&step.name);
        stage.begins = false;
        assert!(table != before, "{}: nothing follows from it\n{table}", step.name);
        before = table;
    }
    stage.stop();
}

/// What the steps are played on.
struct Stage {
    site: Site,
    ports: BTreeMap<SocketAddr, Port>,
    ldirectord: usize,
    /// The first step: see `golden/ldirectord/differences`.
    begins: bool,
}

impl Stage {
    fn build() -> Option<Self> {
        if let Err(reason) = find_program("ldirectord").and_then(|_| find_program("perl")) {
            skip(&format!("{reason}, and xlvs is compared with it"));
            return None;
        }
        let mut plan = Plan::two_arm(4, 1);
        let net = |c, d, prefix| Net { address: Ipv4Addr::new(10, c, 0, d), prefix };
        let second = HostPlan::new(XLVS_HOST).link("eth0", "outside", vec![net(1, 2, 16)]).link(
            "eth1",
            "inside",
            vec![net(2, 2, 24)],
        );
        plan.hosts.push(second);
        let (site, ports) = (Site::build(&plan)?, BTreeMap::new());
        let stage = Self { site, ports, ldirectord: 0, begins: true };
        for host in HOSTS {
            let folder = stage.folder(host);
            fs::create_dir_all(folder.join("maintenance")).unwrap();
            for (name, text) in FILES {
                let path = folder.join(name);
                fs::write(&path, text.replace("/run/ldirectord", folder.to_str().unwrap()))
                    .unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            fs::write(folder.join("told"), "").unwrap();
        }
        Some(stage)
    }

    /// Each director has its own of everything that is written.
    fn folder(&self, host: &str) -> PathBuf {
        self.site.lab.folder().join(format!("of-{host}"))
    }

    fn start(&mut self) {
        let interfaces = "--interface eth0 --interface eth1";
        self.site.start_director(interfaces);
        let file = self.folder(XLVS_HOST).join("ldirectord.cf");
        let line = format!("run {interfaces} -c {}", file.display());
        self.site.start(XLVS_HOST, &line, "xlvs: ready");
        // With `-d` it takes the `ipvsadm` of the folder that it stands in.
        let mut command = self.site.command(LDIRECTORD_HOST, &find_program("ldirectord").unwrap());
        let file = self.folder(LDIRECTORD_HOST).join("ldirectord.cf");
        command.current_dir(self.site.lab.folder()).arg("-d").arg(file).arg("start");
        self.ldirectord =
            self.site.start_command(LDIRECTORD_HOST, command, "ldirectord", FIRST_CHECK);
    }

    /// As a service manager does: both were told to delete their services at the end.
    fn stop(&mut self) {
        let status = self.site.xlvs(XLVS_HOST, "status -o json");
        let status: Value = serde_json::from_str(&status).unwrap();
        let pid = status["pid"].to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.site.terminate(self.ldirectord);
        let empty = wait_until("ldirectord to delete its services", LONG, || {
            self.list(LDIRECTORD_HOST).trim().is_empty().then_some(())
        });
        assert!(empty.is_ok(), "{}", self.list(LDIRECTORD_HOST));
        let deleted = || self.site.log(XLVS_HOST, "run").contains("as cleanstop says");
        let waited = wait_until("xlvs to do so", LONG, || deleted().then_some(()));
        assert!(waited.is_ok(), "{}", self.site.log(XLVS_HOST, "run"));
    }

    /// What was told before a step is not of it.
    fn forget(&self) {
        for host in HOSTS {
            fs::write(self.folder(host).join("told"), "").unwrap();
        }
    }

    /// One line of a step: `golden/ldirectord/steps` says what they mean.
    fn act(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["script", name, ..] => {
                for host in HOSTS {
                    let (new, path) =
                        (self.folder(host).join(".new"), self.folder(host).join(name));
                    fs::write(&new, format!("{}\n", words[2..].join(" "))).unwrap();
                    fs::rename(new, path).unwrap();
                }
            }
            [verb @ ("maintain" | "release"), name] => {
                for host in HOSTS {
                    let path = self.folder(host).join("maintenance").join(name);
                    if verb == "maintain" {
                        fs::write(path, "").unwrap();
                    } else {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
            [host, "up" | "down"] => {
                let host = self.host(host.parse().unwrap());
                host.netlink().set_up("eth0", words[1] == "up").unwrap();
            }
            [address, "refuse"] => drop(self.ports.remove(&address.parse().unwrap()).unwrap()),
            [address, ref how @ ..] => {
                let address: SocketAddr = address.parse().unwrap();
                let how = How::of(how);
                if let Some(port) = self.ports.get(&address) {
                    port.turn(how);
                } else {
                    let port = Port::open(self.host(address.ip()), address.port(), how);
                    self.ports.insert(address, port);
                }
            }
            [] => panic!("an empty line"),
        }
    }

    fn host(&self, address: IpAddr) -> &Host {
        let IpAddr::V4(address) = address else { panic!("{address}") };
        self.site.lab.host(&format!("rs{}", address.octets()[3] - 20))
    }

    /// Waits until both had the time to find out and say the same, for a while; what that is.
    fn settle(&self, step: &str) -> String {
        let rounds = || self.site.log(LDIRECTORD_HOST, "ldirectord").matches(FIRST_CHECK).count();
        let until = rounds() + ROUNDS;
        let waited = wait_until("ldirectord's rounds", LONG, || (rounds() >= until).then_some(()));
        assert!(waited.is_ok(), "{step}: {}", self.site.log(LDIRECTORD_HOST, "ldirectord"));
        let same = || {
            let [theirs, ours] = HOSTS.map(|host| self.table(host));
            (theirs == ours).then_some(theirs)
        };
        let table = wait_until(step, LONG, same).unwrap_or_else(|_| self.differ(step));
        let start = Instant::now();
        while start.elapsed() < BRIEF {
            if HOSTS.iter().any(|host| self.table(host) != table) {
                self.differ(step);
            }
            thread::sleep(Duration::from_millis(200));
        }
        table
    }

    fn differ(&self, step: &str) -> ! {
        let [theirs, ours] = HOSTS.map(|host| self.table(host));
        let events = self.site.xlvs(XLVS_HOST, "events --kind check");
        panic!("{step}:\n== ldirectord\n{theirs}\n== xlvs\n{ours}\n== events\n{events}")
    }

    /// What is seen of a director: its list, and what was told.
    fn table(&self, host: &str) -> String {
        let told = fs::read_to_string(self.folder(host).join("told")).unwrap();
        // Programs of different services overtake each other.
        let mut lines: Vec<&str> = told.split_inclusive('\n').filter(|_| !self.begins).collect();
        lines.sort_by_key(|line| line.split(' ').next());
        format!("{}--- told\n{}", self.list(host), lines.concat())
    }

    /// `ipvsadm -Ln`, the servers of a service in the order of letters: see
    /// `golden/ldirectord/differences`.
    fn list(&self, host: &str) -> String {
        let mut command = self.site.command(host, XLVS.as_ref());
        command.args(["ipvsadm", "-Ln"]);
        let output = self.site.lab.host(host).run(command, LONG).unwrap();
        let list = String::from_utf8(output.stdout).unwrap();
        let mut services: Vec<Vec<&str>> = Vec::new();
        for line in list.lines().skip(3) {
            match services.last_mut() {
                Some(service) if line.starts_with("  ->") => service.push(line),
                _ => services.push(vec![line]),
            }
        }
        for service in &mut services {
            service[1..].sort_unstable();
        }
        services.concat().join("\n") + "\n"
    }
}

/// Real ldirectord's director, and the one of xlvs alone.
const HOSTS: [&str; 2] = [LDIRECTORD_HOST, XLVS_HOST];
const LDIRECTORD_HOST: &str = "director";
const XLVS_HOST: &str = "second";
/// With what a round of ldirectord's begins.
const FIRST_CHECK: &str = "Checking negotiate: real server=negotiate:http:tcp:10.2.0.21:80:";
/// One more than the failures in a row that it takes, and the round that was under way.
const ROUNDS: usize = 4;
/// Long enough for a few checks of xlvs.
const BRIEF: Duration = Duration::from_secs(3);
const STEPS: &str = include_str!("golden/ldirectord/steps");
const FILES: [(&str, &str); 4] = [
    ("ldirectord.cf", include_str!("golden/ldirectord/ldirectord.cf")),
    ("check", include_str!("golden/ldirectord/check")),
    ("check.pl", include_str!("golden/ldirectord/check.pl")),
    ("tell", include_str!("golden/ldirectord/tell")),
];

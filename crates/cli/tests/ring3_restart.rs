//! The daemon killed, replaced and replaced by one whose tables have another layout, while
//! connections are open and new ones come: nobody notices, and what was counted stays counted.
//! Needs root; says so when skipped.
//!
//! `XLVS_NEXT` may name a program with the next tables (`cargo build -p xlvs-cli --features
//! abi-next`); without it the test builds one.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread::{self, JoinHandle},
};

use xlvs_testkit::{
    Evidence, addresses, find_program, netns,
    peers::{Load, Tally},
};

use site::{
    Site, XLVS,
    rows::{Row, Running, direct_routing, load, nat, start, tunnel},
    skip,
    talk::Talk,
    target,
};

/// A director with traffic of both kinds.
struct Busy {
    running: Running,
    row: Row,
    talks: Vec<Talk>,
}

impl Busy {
    /// Short connections go to port 80, long ones to port 2100.
    fn start(row: Row) -> Option<Self> {
        let mut running = start(&row, "wrr", FLAGS)?;
        let site = &mut running.site;
        for name in ["rs1", "rs2", "rs3"] {
            let line = format!("testserver 2100 --quiet --name {name}");
            site.start(name, &line, "Listening Port is 2100...");
        }
        let service = SocketAddr::new(row.vip.parse().unwrap(), 2100);
        site.xlvs("director", &format!("ipvsadm -A -t {service} -s rr"));
        for address in addresses(row.first, 3) {
            let line = format!("ipvsadm -a -t {service} -r {address}:2100 {}", row.method);
            site.xlvs("director", &line);
        }
        site.await_next_hops();
        let talks = (0..9).map(|_| Talk::open(site, service)).collect();
        Some(Self { running, row, talks })
    }

    fn site(&self) -> &Site {
        &self.running.site
    }

    /// New connections, from now until all of them are answered.
    fn load(&self, requests: usize) -> JoinHandle<Tally> {
        let load: Load = load(&self.row, self.running.target, requests);
        let client = self.site().lab.host("client").file().try_clone().unwrap();
        thread::spawn(move || netns::enter(&client, || load.run_here()).unwrap())
    }

    fn everybody_answers(&mut self, when: &str) {
        for talk in &mut self.talks {
            talk.goes_on(when);
        }
    }

    /// What is known of the open connections, but for the time that is left to them.
    fn open(&self) -> Vec<String> {
        let listing = self.site().xlvs("director", "ipvsadm -Lcn");
        let words = |line: &str| {
            let words: Vec<_> = line.split_whitespace().collect();
            words
                .get(4)
                .is_some_and(|virt| virt.ends_with(":2100"))
                .then(|| format!("{} {}", words[0], words[2..].join(" ")))
        };
        let mut open: Vec<_> = listing.lines().filter_map(words).collect();
        open.sort();
        open
    }

    fn counters(&self) -> String {
        self.site().xlvs("director", "ipvsadm -Ln --stats --exact")
    }

    /// Connections that a service has had.
    fn connections(&self, port: u16) -> usize {
        let service = format!("{}:{port}", self.row.vip);
        let counters = self.counters();
        let line = counters.lines().find(|line| line.contains(&service)).unwrap();
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    }

    /// Kills the daemon and starts another program, while nobody counts.
    fn replace(&mut self, program: &Path, exec: bool) {
        let daemon = self.running.daemon;
        self.running.site.kill(daemon);
        self.run(program, exec);
    }

    fn run(&mut self, program: &Path, exec: bool) {
        let site = &mut self.running.site;
        let mut command = if exec {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", site.lab.host("director").namespace()]).arg(program);
            site.furnish(&mut command);
            command
        } else {
            site.command("director", program)
        };
        command.arg("run").args(self.row.interfaces.split(' '));
        self.running.daemon = site.start_command("director", command, "run", "xlvs: ready");
    }
}

fn whole(tally: &Tally, requests: usize) {
    assert_eq!(tally.faults, Vec::<String>::new());
    assert_eq!(tally.hosts.values().sum::<usize>(), requests);
}

#[test]
fn without_a_daemon_everything_goes_on() {
    for row in [direct_routing(), nat(), tunnel()] {
        let Some(mut busy) = Busy::start(row) else { return };
        let evidence_folder = Site::evidence_folder();
        let (open, counters) = (busy.open(), busy.counters());
        assert_eq!(open.len(), 9, "{open:?}");
        // Idle: what a new daemon finds is what the old one knew, to the byte.
        busy.replace(Path::new(XLVS), false);
        assert_eq!(busy.open(), open);
        assert_eq!(busy.counters(), counters);

        // Under load, and a while without any daemon.
        let loading = busy.load(REQUESTS);
        let daemon = busy.running.daemon;
        busy.running.site.kill(daemon);
        busy.everybody_answers("nobody watches");
        whole(&busy.load(600).join().unwrap(), 600);
        busy.run(Path::new(XLVS), false);
        busy.everybody_answers("somebody watches again");
        whole(&loading.join().unwrap(), REQUESTS);
        let evidence = Evidence::collect(&busy.running.site.lab, &evidence_folder).unwrap();
        assert_eq!(busy.open(), open);
        assert_eq!((busy.connections(80), busy.connections(2100)), (REQUESTS + 600, 9));
        drop(evidence);
    }
}

#[test]
fn daemons_of_ip_netns_exec_hand_over_to_each_other() {
    if let Err(why) = find_program("ip") {
        return skip(&why);
    }
    let Some(mut busy) = Busy::start(direct_routing()) else { return };
    let open = busy.open();
    for _ in 0..2 {
        busy.replace(Path::new(XLVS), true);
        busy.everybody_answers("started by ip netns exec");
        whole(&busy.load(300).join().unwrap(), 300);
        assert_eq!(busy.open(), open);
    }
    assert_eq!((busy.connections(80), busy.connections(2100)), (600, 9));
}

#[test]
fn connections_move_to_other_tables_and_back() {
    let next = next();
    for row in [direct_routing(), nat(), tunnel()] {
        let Some(mut busy) = Busy::start(row) else { return };
        let (open, counters) = (busy.open(), busy.counters());
        busy.replace(&next, false);
        assert_eq!(busy.open(), open);
        assert_eq!(busy.counters(), counters);
        busy.everybody_answers("in the next tables");
        for (round, program) in [Path::new(XLVS), &next, Path::new(XLVS)].into_iter().enumerate() {
            let loading = busy.load(REQUESTS);
            busy.replace(program, false);
            busy.everybody_answers("in other tables");
            whole(&loading.join().unwrap(), REQUESTS);
            assert_eq!(busy.open(), open, "round {round}");
            let so_far = REQUESTS * (round + 1);
            assert_eq!((busy.connections(80), busy.connections(2100)), (so_far, 9));
        }
    }
}

/// A program whose tables have the next layout.
fn next() -> PathBuf {
    if let Some(program) = env::var_os("XLVS_NEXT") {
        return program.into();
    }
    let folder = target().join("abi-next");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "-p", "xlvs-cli", "--features", "abi-next", "--target-dir"])
        .arg(&folder);
    assert!(cargo.status().unwrap().success(), "the next program does not build");
    folder.join("debug/xlvs")
}

const FLAGS: &str = "--connections 262144";
/// Enough to be under way for seconds.
const REQUESTS: usize = 6_000;

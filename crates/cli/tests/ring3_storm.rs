//! A storm of reloads under load: a hundred files in a row, each with one server in another place,
//! and no client notices. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use xlvs_testkit::{
    Plan, addresses, netns,
    peers::{HttpServer, Load, Tally, download},
    wait_until,
};

use site::{
    LONG, Site,
    rows::{Row, direct_routing, nat},
    talk::Talk,
};

/// What a file has: the service of web pages, the one that keeps clients on their servers, and the
/// one of long connections, each with the numbers of its servers.
#[derive(Clone)]
struct Places {
    web: Vec<usize>,
    sticky: Vec<usize>,
    long: Vec<usize>,
}

impl Places {
    fn first() -> Self {
        Self { web: vec![0, 2, 3], sticky: vec![1, 4], long: vec![0, 1, 2, 3, 4] }
    }

    /// One server moves: from one service to the other, out of all, back in at another place. The
    /// first two are always somewhere, so that there is always somebody to ask.
    fn moved(&self, round: usize) -> Self {
        let mover = 2 + round % 3;
        let mut next = self.clone();
        for list in [&mut next.web, &mut next.sticky, &mut next.long] {
            list.retain(|server| *server != mover);
        }
        let put = |list: &mut Vec<usize>| list.insert(round % (list.len() + 1), mover);
        if self.web.contains(&mover) {
            put(&mut next.sticky);
            put(&mut next.long);
        } else if !self.sticky.contains(&mover) {
            put(&mut next.web);
            put(&mut next.long);
        }
        next
    }
}

/// A director with a file in force, its five servers, and clients that hold connections.
struct Storm {
    site: Site,
    row: Row,
    _servers: Vec<HttpServer>,
    talks: Vec<Talk>,
}

impl Storm {
    fn start(mut row: Row, plan: Plan) -> Option<Self> {
        row.plan = plan;
        let mut site = Site::build(&row.plan)?;
        let mut servers = Vec::new();
        for name in NAMES {
            site.xlvs(name, row.prepare);
            for port in [WEB, STICKY] {
                let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
                servers.push(HttpServer::start(site.lab.host(name), everywhere).unwrap());
            }
            let line = format!("testserver {HELD} --quiet --name {name}");
            site.start(name, &line, &format!("Listening Port is {HELD}..."));
        }
        let path = site.lab.folder().join("keepalived.conf");
        fs::write(&path, file(&row, &Places::first())).unwrap();
        let line = format!("{} -c {} --connections 1000000", row.interfaces, path.display());
        site.start_director(&line);
        site.await_next_hops();
        let long = SocketAddr::new(row.vip.parse().unwrap(), HELD);
        let talks = (0..TALKS).map(|_| Talk::open(&site, long)).collect();
        Some(Self { site, row, _servers: servers, talks })
    }

    fn path(&self) -> PathBuf {
        self.site.lab.folder().join("keepalived.conf")
    }

    fn target(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.row.vip.parse().unwrap(), port)
    }

    fn client(&self) -> File {
        self.site.lab.host("client").file().try_clone().unwrap()
    }

    /// How often a file came into force.
    fn applied(&self) -> usize {
        self.site.log("director", "run").matches("keepalived.conf is in force").count()
    }

    /// Puts the next file in force, by a signal or by hand.
    fn reload(&self, places: &Places, round: usize, pid: &str) {
        fs::write(self.path(), file(&self.row, places)).unwrap();
        if round.is_multiple_of(4) {
            self.site.xlvs("director", &format!("apply {}", self.path().display()));
            return;
        }
        let before = self.applied();
        assert!(Command::new("kill").args(["-HUP", pid]).status().unwrap().success());
        let waited = wait_until("the reload", LONG, || (self.applied() > before).then_some(()));
        assert!(waited.is_ok(), "{}", self.site.lab.logs());
    }

    fn everybody_answers(&mut self, when: &str) {
        for talk in &mut self.talks {
            talk.goes_on(when);
        }
    }

    /// A hundred reloads within a minute, where the machine can.
    fn rage(&mut self) {
        let status = self.site.xlvs("director", "status -o json");
        let status: Value = serde_json::from_str(&status).unwrap();
        let pid = status["pid"].to_string();
        let (mut places, before) = (Places::first(), self.applied());
        for round in 0..RELOADS {
            let began = Instant::now();
            places = places.moved(round);
            self.reload(&places, round, &pid);
            if round % 10 == 9 {
                self.everybody_answers(&format!("after reload {}", round + 1));
            }
            thread::sleep(PACE.saturating_sub(began.elapsed()));
        }
        assert_eq!(self.applied() - before, RELOADS);
        self.is_in_force(&places);
    }

    /// In the end the tables have what the last file has.
    fn is_in_force(&self, places: &Places) {
        let lists = [(WEB, &places.web), (STICKY, &places.sticky), (HELD, &places.long)];
        for (port, servers) in lists {
            let mut expected: Vec<String> =
                servers.iter().map(|server| self.row.server(*server).to_string()).collect();
            expected.sort();
            let line = format!("ipvsadm -Ln -t {}", self.target(port));
            let listed = || {
                let list = self.site.xlvs("director", &line);
                // Those that leave have weight 0 until their last connection is over.
                let stays = |words: &Vec<&str>| words.len() == 6 && words[3] == "1";
                let rows = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
                let server = |words: Vec<&str>| words[1].split(':').next().unwrap().to_owned();
                let mut found: Vec<String> = rows.filter(stays).map(server).collect();
                found.sort();
                found
            };
            let waited = wait_until("the last file", LONG, || (listed() == expected).then_some(()));
            assert!(waited.is_ok(), "{expected:?}, {:?}\n{}", listed(), self.site.lab.logs());
        }
    }
}

impl Row {
    fn server(&self, number: usize) -> Ipv4Addr {
        addresses(self.first, 5).nth(number).unwrap()
    }
}

/// The configuration with these servers in these places.
fn file(row: &Row, places: &Places) -> String {
    let method = if row.method == "-m" { "NAT" } else { "DR" };
    let lists = [
        (WEB, &places.web, "", HTTP_CHECK),
        (STICKY, &places.sticky, " persistence_timeout 60\n", TCP_CHECK),
        (HELD, &places.long, "", TCP_CHECK),
    ];
    let mut text = String::new();
    for (port, servers, more, check) in lists {
        writeln!(text, "virtual_server {} {port} {{", row.vip).unwrap();
        writeln!(text, " delay_loop 1\n lvs_sched rr\n lvs_method {method}\n protocol TCP")
            .unwrap();
        text.push_str(more);
        for server in servers {
            let address = row.server(*server);
            writeln!(text, " real_server {address} {port} {{\n  weight 1\n{check} }}").unwrap();
        }
        text.push_str("}\n");
    }
    text
}

/// Requests until it is over, from a thread that stands on the client.
fn requests(load: &Load, over: &AtomicBool) -> Tally {
    let mut all = Tally::default();
    while !over.load(Ordering::Relaxed) {
        let Tally { hosts, faults, failed } = load.run_here();
        for (host, count) in hosts {
            *all.hosts.entry(host).or_default() += count;
        }
        all.faults.extend(faults);
        all.failed += failed;
        thread::sleep(BREATH);
    }
    all
}

/// Downloads until it is over; how many.
fn downloads(target: SocketAddr, over: &AtomicBool) -> usize {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        download(target, DOWNLOAD).unwrap();
        count += 1;
        thread::sleep(BREATH);
    }
    count
}

fn nobody_notices(row: Row, plan: Plan) {
    let Some(mut storm) = Storm::start(row, plan) else { return };
    let over = AtomicBool::new(false);
    let load = |port| Load {
        target: storm.target(port),
        sources: addresses(storm.row.client, CLIENTS).map(IpAddr::V4).collect(),
        requests: 30,
        at_once: 10,
    };
    let loads = [load(WEB), load(STICKY)];
    let web = storm.target(WEB);
    let clients = [storm.client(), storm.client(), storm.client()];
    let (tallies, files) = thread::scope(|scope| {
        let [first, second, third] = &clients;
        let run = |file, load| {
            let over = &over;
            scope.spawn(move || netns::enter(file, || requests(load, over)).unwrap())
        };
        let running = [run(first, &loads[0]), run(second, &loads[1])];
        let over = &over;
        let loading = scope.spawn(move || netns::enter(third, || downloads(web, over)).unwrap());
        // The clients are to end also where the storm does not come to its end.
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| storm.rage()));
        over.store(true, Ordering::Relaxed);
        let tallies = running.map(|thread| thread.join().unwrap());
        let files = loading.join().unwrap();
        told.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (tallies, files)
    });
    let status = storm.site.xlvs("director", "status -o json");
    for (what, tally) in ["web", "sticky"].iter().zip(&tallies) {
        assert_eq!((&tally.faults, tally.failed), (&Vec::new(), 0), "{what}: {status}");
        let asked: usize = tally.hosts.values().sum();
        assert!(asked > RELOADS, "it was under load all the while: {asked}");
        assert!(tally.hosts.len() >= 3, "those that move get their share: {:?}", tally.hosts);
    }
    assert!(files > 0, "long answers too");
    storm.everybody_answers("in the end");
}

#[test]
fn a_storm_of_reloads_fails_no_request_by_nat() {
    let mut plan = Plan::two_arm(5, 251);
    plan.hosts.iter_mut().find(|host| host.name == "director").unwrap().sysctls =
        vec![("net.ipv4.ip_forward".to_owned(), "1".to_owned())];
    nobody_notices(nat(), plan);
}

#[test]
fn a_storm_of_reloads_fails_no_request_by_direct_routing() {
    nobody_notices(direct_routing(), Plan::one_arm(5, 251));
}

const NAMES: [&str; 5] = ["rs1", "rs2", "rs3", "rs4", "rs5"];
const WEB: u16 = 80;
const STICKY: u16 = 81;
const HELD: u16 = 2100;
/// Servers keep a neighbour for each of them, and the kernel has room for 1024 in all namespaces.
const CLIENTS: u16 = 50;
const TALKS: usize = 20;
/// Between rounds of requests: some hundred a second are enough to meet every reload.
const BREATH: Duration = Duration::from_millis(200);
const RELOADS: usize = 100;
/// A hundred of these are well under a minute.
const PACE: Duration = Duration::from_millis(400);
/// An answer that is under way while servers move.
const DOWNLOAD: u64 = 4 << 20;
const HTTP_CHECK: &str = "  HTTP_GET {
   url {
    path /
    status_code 200
   }
   connect_timeout 5
   retry 3
  }
";
const TCP_CHECK: &str = "  TCP_CHECK {
   connect_timeout 5
   retry 3
  }
";

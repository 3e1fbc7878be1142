//! HTTP through a director by each method, from many client addresses, MTU 1500, tunnels through a
//! router: nothing is lost, rounds come out even, no byte is wrong, and a killed daemon is not
//! noticed. Needs root; says so when skipped.
//!
//! `XLVS_REQUESTS=100000` is the full load for each method; the default suits every day.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    collections::BTreeMap,
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    thread,
};

use site::Site;
use xlvs_testkit::{
    Evidence, Plan, addresses,
    peers::{HttpServer, Load, Tally, download, upload},
};

/// One method in one topology.
struct Row {
    plan: Plan,
    vip: &'static str,
    /// The first server's address; the others follow.
    first: Ipv4Addr,
    /// The first of 250 client addresses.
    client: Ipv4Addr,
    /// Of `xlvs run`.
    interfaces: &'static str,
    /// `ipvsadm`'s letter.
    method: &'static str,
    /// The servers' own preparation.
    prepare: &'static str,
}

fn direct_routing() -> Row {
    Row {
        plan: Plan::one_arm(3, 251),
        vip: "172.16.0.113",
        first: Ipv4Addr::new(172, 16, 0, 114),
        client: Ipv4Addr::new(172, 16, 16, 1),
        interfaces: "--interface eth0",
        method: "-g",
        prepare: "realserver start --vip 172.16.0.113",
    }
}

fn nat() -> Row {
    Row {
        plan: nat_plan(),
        vip: "10.1.0.10",
        first: Ipv4Addr::new(10, 2, 0, 21),
        client: Ipv4Addr::new(10, 1, 16, 1),
        interfaces: "--interface eth0 --interface eth1",
        method: "-m",
        prepare: "realserver status",
    }
}

/// The director's kernel must be willing to route, for NAT's answers.
fn nat_plan() -> Plan {
    let mut plan = Plan::two_arm(3, 251);
    let director = plan.hosts.iter_mut().find(|host| host.name == "director").unwrap();
    director.sysctls.push(("net.ipv4.ip_forward".to_owned(), "1".to_owned()));
    plan
}

fn tunnel() -> Row {
    Row {
        plan: Plan::behind_router(3, 251),
        vip: "10.1.0.10",
        first: Ipv4Addr::new(10, 3, 0, 21),
        client: Ipv4Addr::new(10, 1, 16, 1),
        interfaces: "--interface eth0",
        method: "-i",
        prepare: "realserver start --vip 10.1.0.10 --mode tun",
    }
}

/// A site that is up: servers, director, the service with its servers of weights 3, 2, 1.
struct Running {
    site: Site,
    daemon: usize,
    servers: Vec<HttpServer>,
    target: SocketAddr,
}

fn start(row: &Row, scheduler: &str) -> Option<Running> {
    let mut site = Site::build(&row.plan)?;
    let mut servers = Vec::new();
    let everywhere = "0.0.0.0:80".parse().unwrap();
    for name in ["rs1", "rs2", "rs3"] {
        site.xlvs(name, row.prepare);
        servers.push(HttpServer::start(site.lab.host(name), everywhere).unwrap());
    }
    let daemon = site.start_director(&format!("{} --connections 524288", row.interfaces));
    let service = format!("{}:80", row.vip);
    site.xlvs("director", &format!("ipvsadm -A -t {service} -s {scheduler}"));
    for (address, weight) in addresses(row.first, 3).zip([3, 2, 1]) {
        let method = row.method;
        let line = format!("ipvsadm -a -t {service} -r {address}:80 {method} -w {weight}");
        site.xlvs("director", &line);
    }
    site.await_next_hops();
    Some(Running { site, daemon, servers, target: service.parse().unwrap() })
}

impl Running {
    fn load(&self, row: &Row, requests: usize) -> Tally {
        let sources = addresses(row.client, 250).map(IpAddr::V4).collect();
        let load = Load { target: self.target, sources, requests, at_once: 50 };
        load.run(self.site.lab.host("client")).unwrap()
    }
}

/// A multiple of six, so that rounds of 3, 2, 1 come out even.
fn requests() -> usize {
    let asked = env::var("XLVS_REQUESTS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(6_000_usize).next_multiple_of(6)
}

fn check(row: &Row) {
    let Some(running) = start(row, "wrr") else { return };
    let evidence = (requests() <= 6_000)
        .then(|| Evidence::collect(&running.site.lab, &Site::evidence_folder()).unwrap());
    let all = requests();
    let tally = running.load(row, all);
    let name = |number| format!("rs{number}");
    let shares = [(name(1), all / 2), (name(2), all / 3), (name(3), all / 6)];
    assert_eq!(tally, Tally { hosts: BTreeMap::from(shares), ..Tally::default() });
    drop(evidence);

    let client = running.site.lab.host("client");
    let target = running.target;
    client.enter(|| download(target, TRANSFER)).unwrap().unwrap();
    client.enter(|| upload(target, TRANSFER)).unwrap().unwrap();

    running.site.xlvs("director", &format!("ipvsadm -E -t {target} -s rr"));
    let tally = running.load(row, 300);
    let even = (1..=3).map(|number| (name(number), 100)).collect();
    assert_eq!(tally, Tally { hosts: even, ..Tally::default() });
    assert_eq!(running.servers.len(), 3);
}

#[test]
fn direct_routing_loses_nothing() {
    check(&direct_routing());
}

#[test]
fn nat_loses_nothing() {
    check(&nat());
}

#[test]
fn a_tunnel_through_a_router_loses_nothing() {
    check(&tunnel());
}

#[test]
fn a_killed_daemon_is_not_noticed() {
    for row in [direct_routing(), nat()] {
        let Some(mut running) = start(&row, "wrr") else { return };
        let all = requests();
        let sources = addresses(row.client, 250).map(IpAddr::V4).collect();
        let load = Load { target: running.target, sources, requests: all, at_once: 50 };
        let listing = "ipvsadm -Ln --stats --exact";
        let (site, daemon) = (&mut running.site, running.daemon);
        let client = site.lab.host("client").file().try_clone().unwrap();
        let loading =
            thread::spawn(move || xlvs_testkit::netns::enter(&client, || load.run_here()).unwrap());
        site.kill(daemon);
        site.start_director(&format!("{} --connections 524288", row.interfaces));
        let tally = loading.join().unwrap();
        assert_eq!(tally.faults, Vec::<String>::new());
        assert_eq!(tally.hosts.values().sum::<usize>(), all);
        // The counters count the whole load: what came before the crash too.
        let service = running.target.to_string();
        let line = site.xlvs("director", listing);
        let line = line.lines().find(|line| line.contains(&service)).unwrap().to_owned();
        let connections: usize = line.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert_eq!(connections, all, "{line}");
    }
}

/// Each way.
const TRANSFER: u64 = 100 << 20;

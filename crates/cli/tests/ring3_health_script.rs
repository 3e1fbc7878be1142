//! Seed 004's health script as it is, and the six lines of `docs/health.md` that do the same
//! better. Needs root, bash and curl; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    thread,
    time::Duration,
};

use serde_json::Value;
use xlvs_testkit::{HostPlan, Net, Plan, find_program, peers::HttpServer, wait_until};

use site::{LONG, Site, skip};

/// One network, with the seed's own addresses.
fn plan() -> Plan {
    let lan = |last| Net { address: Ipv4Addr::new(192, 168, 1, last), prefix: 24 };
    let vip = Net::host(Ipv4Addr::new(192, 168, 1, 200));
    let hosts = vec![
        HostPlan::new("director").link("eth0", "lan", vec![lan(1), vip]),
        HostPlan::new("rs1").link("eth0", "lan", vec![lan(10)]),
        HostPlan::new("rs2").link("eth0", "lan", vec![lan(20)]),
    ];
    Plan::of(&["lan"], hosts)
}

fn serve(site: &Site, name: &str) -> HttpServer {
    HttpServer::start(site.lab.host(name), WEB).unwrap()
}

/// Servers and weights of `ipvsadm -Ln`.
fn listed(site: &Site) -> String {
    let listing = site.xlvs("director", "ipvsadm -Ln");
    let row = |line: &str| {
        let words: Vec<&str> = line.strip_prefix("  -> ")?.split_whitespace().collect();
        let server: SocketAddr = words[0].parse().ok()?;
        Some(format!("{}={}", server.ip(), words[2]))
    };
    let mut rows: Vec<_> = listing.lines().filter_map(row).collect();
    rows.sort();
    rows.join(" ")
}

fn await_list(site: &Site, what: &str, expected: &str) {
    let waited = wait_until(what, LONG, || (listed(site) == expected).then_some(()));
    assert!(waited.is_ok(), "{what}: {}\n{}", listed(site), site.lab.logs());
}

/// The page's block of code that begins so.
fn block(begins: &str) -> &'static str {
    let page = include_str!("../../../docs/health.md");
    let from = page.find(begins).unwrap();
    &page[from..from + page[from..].find("```").unwrap()]
}

#[test]
fn the_script_works_and_six_lines_do_it_better() {
    if let Err(reason) = find_program("curl").and_then(|_| find_program("bash")) {
        skip(&format!("{reason}, and the seed's script calls it"));
        return;
    }
    let Some(mut site) = Site::build(&plan()) else { return };
    for name in ["rs1", "rs2"] {
        site.xlvs(name, "realserver start --vip 192.168.1.200");
    }
    let (first, second) = (serve(&site, "rs1"), serve(&site, "rs2"));
    site.start_director("--interface eth0");
    site.xlvs("director", "ipvsadm -A -t 192.168.1.200:80 -s wlc");
    for (server, weight) in [("192.168.1.10", 2), ("192.168.1.20", 1)] {
        let line = format!("ipvsadm -a -t 192.168.1.200:80 -r {server}:80 -g -w {weight}");
        site.xlvs("director", &line);
    }
    site.await_next_hops();

    // The script: one goes, and comes back with its weight.
    let mut command = site.command("director", &find_program("bash").unwrap());
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/seeds/004-health.sh"));
    let mut script = site.lab.host("director").spawn("health", command).unwrap();
    drop(first);
    await_list(&site, "the script to take it out", "192.168.1.20=1");
    let first = serve(&site, "rs1");
    await_list(&site, "the script to put it back", BOTH);

    // The second accepts and never answers: the script waits with curl, and sees no other either.
    drop(second);
    let open = || TcpListener::bind(WEB).unwrap();
    let mute =
        wait_until("the port to be free", LONG, || Some(site.lab.host("rs2").enter(open).unwrap()));
    let mute = mute.unwrap();
    let held = loop {
        let (stream, peer) = mute.accept().unwrap();
        if peer.ip() == Ipv4Addr::new(192, 168, 1, 1) {
            break stream;
        }
    };
    // It may have met the second while nobody listened there; the first is in the list.
    let stands = listed(&site);
    assert!(stands.contains("192.168.1.10=2"), "{stands}");
    drop(first);
    thread::sleep(A_ROUND_AND_MORE);
    assert_eq!(listed(&site), stands, "nobody notices that the first is gone");
    script.kill();

    // The page's six lines: both are noticed, and told why.
    let config = block("virtual_server 192.168.1.200");
    assert_eq!(config.lines().count(), 6, "{config}");
    assert_eq!(block("#!/bin/bash"), include_str!("seeds/004-health.sh"), "the page's script");
    let path = site.lab.folder().join("keepalived.conf");
    fs::write(&path, config).unwrap();
    site.xlvs("director", &format!("apply {}", path.display()));
    await_list(&site, "both to be out", "");
    for (server, why) in [("192.168.1.10", "refused"), ("192.168.1.20", "")] {
        let shown = site.xlvs("director", &format!("server show {server} -o json"));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown[0]["server"]["standing"]["state"], "down", "{shown}");
        let told = shown[0]["checks"][0]["results"][0]["result"].as_str().unwrap();
        assert!(!told.is_empty() && told.contains(why), "{shown}");
        assert!(shown[0]["checks"][0]["next_ms"].as_u64().is_some(), "{shown}");
    }
    drop((held, mute));
    let _servers = [serve(&site, "rs1"), serve(&site, "rs2")];
    await_list(&site, "both to be back with their weights", BOTH);
}

const WEB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);
const BOTH: &str = "192.168.1.10=2 192.168.1.20=1";
/// The script sleeps for five seconds between its rounds.
const A_ROUND_AND_MORE: Duration = Duration::from_secs(8);

//! HTTP through a director by each method, from many client addresses, MTU 1500, tunnels through a
//! router: nothing is lost, rounds come out even, no byte is wrong, and a killed daemon is not
//! noticed. Needs root; says so when skipped.
//!
//! Each method gets 100,000 requests; with `XLVS_QUICK=1` 6,000, with `XLVS_REQUESTS` so many.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{collections::BTreeMap, env, thread};

use xlvs_testkit::{
    Evidence,
    peers::{Tally, download, upload},
};

use site::{
    Site,
    rows::{Row, direct_routing, load, nat, start, tunnel},
};

/// A multiple of six, so that rounds of 3, 2, 1 come out even.
fn requests() -> usize {
    let asked = env::var("XLVS_REQUESTS").ok().and_then(|text| text.parse().ok());
    let usual = if env::var_os("XLVS_QUICK").is_some() { 6_000_usize } else { 100_000 };
    asked.unwrap_or(usual).next_multiple_of(6)
}

fn check(row: &Row) {
    let Some(running) = start(row, "wrr", FLAGS) else { return };
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
        let Some(mut running) = start(&row, "wrr", FLAGS) else { return };
        let all = requests();
        let load = load(&row, running.target, all);
        let listing = "ipvsadm -Ln --stats --exact";
        let (site, daemon) = (&mut running.site, running.daemon);
        let client = site.lab.host("client").file().try_clone().unwrap();
        let loading =
            thread::spawn(move || xlvs_testkit::netns::enter(&client, || load.run_here()).unwrap());
        site.kill(daemon);
        site.start_director(&format!("{} {FLAGS}", row.interfaces));
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

/// Room for the full load.
const FLAGS: &str = "--connections 524288";
/// Each way.
const TRANSFER: u64 = 100 << 20;

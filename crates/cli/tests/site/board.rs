//! Services with one server each, told apart by their ports: which of them have it in their list,
//! and why not.

use std::{collections::BTreeMap, fs};

use serde_json::Value;
use xlvs_testkit::{Plan, wait_until};

use super::{LONG, Site};

/// The virtual address of all services.
pub(crate) const VIP: &str = "10.1.0.10";
/// The server of all services, on the host `rs1`.
pub(crate) const SERVER: &str = "10.2.0.21";

/// The hosts. A host tells another of a closed UDP port once a second, unless it is told
/// otherwise; here more than one service asks it.
pub(crate) fn plan() -> Plan {
    let mut plan = Plan::two_arm(1, 1);
    let server = plan.hosts.iter_mut().find(|host| host.name == "rs1").unwrap();
    server.sysctls.push(("net.ipv4.icmp_ratelimit".to_owned(), "0".to_owned()));
    plan
}

/// Starts the director with a file of its own.
pub(crate) fn start_director(site: &mut Site, file: &str, text: &str) {
    let path = site.lab.folder().join(file);
    fs::write(&path, text).unwrap();
    let line = format!("--interface eth0 --interface eth1 -c {}", path.display());
    site.start_director(&line);
}

/// The weight of the server in each service that lists it, by the services' ports.
pub(crate) fn listed(site: &Site) -> BTreeMap<u16, u32> {
    let listing = site.xlvs("director", "ipvsadm -Ln");
    let mut port = 0;
    let mut found = BTreeMap::new();
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["TCP" | "UDP", service, ..] => {
                port = service.rsplit_once(':').unwrap().1.parse().unwrap();
            }
            ["->", server, _, weight, ..] if server.starts_with(SERVER) => {
                found.insert(port, weight.parse().unwrap());
            }
            _ => {}
        }
    }
    found
}

/// Waits until these services, and no others, have their server in their lists.
pub(crate) fn await_listed(site: &Site, what: &str, expected: &[(u16, u32)]) {
    let expected: BTreeMap<_, _> = expected.iter().copied().collect();
    let waited = wait_until(what, LONG, || (listed(site) == expected).then_some(()));
    assert!(
        waited.is_ok(),
        "{what}: {:?}, not {expected:?}\n{:#?}\n{}",
        listed(site),
        causes(site),
        site.lab.logs()
    );
}

/// What the last questions to the server found, by the services' ports.
pub(crate) fn causes(site: &Site) -> BTreeMap<u16, Vec<String>> {
    let shown = site.xlvs("director", &format!("server show {SERVER} -o json"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let mut found: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for row in shown.as_array().unwrap() {
        let port = row["service"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap();
        let last = |check: &Value| check["results"][0]["result"].as_str().map(str::to_owned);
        let results = row["checks"].as_array().unwrap().iter().filter_map(last);
        found.entry(port).or_default().extend(results);
    }
    found
}

/// Waits until the last question of a service found what says this; also events tell it.
pub(crate) fn await_cause(site: &Site, port: u16, what: &str, says: &str) {
    let says_it = |all: &BTreeMap<u16, Vec<String>>| {
        all.get(&port).is_some_and(|results| results.iter().any(|result| result.contains(says)))
    };
    let waited = wait_until(what, LONG, || says_it(&causes(site)).then_some(()));
    let found = causes(site).remove(&port);
    assert!(waited.is_ok(), "{what}: {found:?} does not say `{says}`");
}

//! A server that comes back to a service with slow start: how much of the new connections it gets,
//! and what the director says of it meanwhile. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use serde_json::Value;
use xlvs_testkit::{
    Evidence, Plan,
    peers::{HttpServer, Load},
    wait_until,
};

use site::{LONG, Site};

const SERVICE: &str = "tcp:172.16.0.113:80";

/// Of so many new connections, those that `rs2` got.
fn share(site: &Site) -> usize {
    let target = "172.16.0.113:80".parse().unwrap();
    let load = Load { target, sources: Vec::new(), requests: 60, at_once: 1 };
    let tally = load.run(site.lab.host("client")).unwrap();
    assert_eq!(tally.faults, Vec::<String>::new());
    tally.hosts.get("rs2").copied().unwrap_or(0)
}

/// The weight that `rs2` has now, while that is another than its own.
fn ramping(site: &Site) -> Option<Value> {
    let listed = site.xlvs("director", "server list -o json");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let servers = listed[0]["servers"].as_array().unwrap();
    let (back, others): (Vec<_>, Vec<_>) =
        servers.iter().partition(|server| server["address"] == "172.16.0.115:80");
    assert!(others.iter().all(|server| server.get("effective_weight").is_none()), "{listed}");
    back[0].get("effective_weight").cloned()
}

#[test]
fn a_server_that_comes_back_begins_slowly() {
    let Some(mut site) = Site::build(&Plan::one_arm(2, 1)) else { return };
    let evidence_folder = Site::evidence_folder();
    let mut servers = Vec::new();
    for name in ["rs1", "rs2"] {
        site.xlvs(name, "realserver start --vip 172.16.0.113");
        let everywhere = "0.0.0.0:80".parse().unwrap();
        servers.push(HttpServer::start(site.lab.host(name), everywhere).unwrap());
    }
    let daemon = site.start_director("--interface eth0");
    site.xlvs("director", &format!("service add {SERVICE} -s wrr"));
    for number in [114, 115] {
        site.xlvs("director", &format!("server add {SERVICE} 172.16.0.{number} --weight 10"));
    }
    site.await_next_hops();
    let set = |site: &Site, line: &str| drop(site.xlvs("director", line));
    set(&site, &format!("service set {SERVICE} --slow-start 600"));
    assert_eq!((ramping(&site), share(&site)), (None, 30), "who was there is there");

    set(&site, &format!("server set {SERVICE} 172.16.0.115 --weight 0"));
    assert_eq!(share(&site), 0);
    set(&site, &format!("server set {SERVICE} 172.16.0.115 --weight 10"));
    assert!(ramping(&site).is_some(), "{}", site.xlvs("director", "server list"));
    let listing = site.xlvs("director", "server list");
    assert!(listing.contains(" now)"), "{listing}");
    let got = share(&site);
    assert!(got <= 15, "{got} of 60 at the beginning");
    set(&site, &format!("service set {SERVICE} --slow-start 0"));
    assert_eq!((ramping(&site), share(&site)), (None, 30), "all at once");
    // A ramp that is under way when the daemon ends, ends with it.
    set(&site, &format!("service set {SERVICE} --slow-start 600"));
    set(&site, &format!("server set {SERVICE} 172.16.0.115 --weight 0"));
    set(&site, &format!("server set {SERVICE} 172.16.0.115 --weight 10"));
    assert!(ramping(&site).is_some());
    site.kill(daemon);
    site.start_director("");
    site.await_next_hops();
    let evidence = Evidence::collect(&site.lab, &evidence_folder).unwrap();
    assert_eq!((ramping(&site), share(&site)), (None, 30));
    // One that is soon over, of a server that went wholly.
    set(&site, &format!("service set {SERVICE} --slow-start 2"));
    set(&site, &format!("server remove {SERVICE} 172.16.0.115 --yes"));
    set(&site, &format!("server add {SERVICE} 172.16.0.115 --weight 10"));
    wait_until("the end of slow start", LONG, || ramping(&site).is_none().then_some(())).unwrap();
    assert_eq!(share(&site), 30);
    drop(evidence);
}

//! Seed 000, its scripts as they are: an engineer takes a real server out of service without
//! breaking a connection. Needs root and net-tools; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::path::PathBuf;

use xlvs_testkit::{Evidence, Plan, find_program};

use site::{Site, skip, talk::Talk};

const SERVICE: &str = "172.16.0.113:2100";
/// The seed's real servers.
const CEPH1: (&str, &str) = ("rs1", "ceph1");
const CEPH2: (&str, &str) = ("rs2", "ceph2");

/// A long connection, as the seed's sockettest holds it.
fn connect(site: &Site) -> Talk {
    Talk::open(site, SERVICE.parse().unwrap())
}

/// Runs one of the seed's scripts.
fn script(site: &Site, host: &str, name: &str, args: &[&str]) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(name);
    site.run(host, "/bin/sh", &[&[script.to_str().unwrap()], args].concat())
}

/// What `ipvsadm -Ln` shows: weight and active connections of ceph1, the latter of ceph2.
fn table((weight, first): (u32, u32), second: u32) -> String {
    let server = |address: &str, weight: u32, active: u32| {
        format!("  -> {:<28} {:<7} {weight:<6} {active:<10} {:<10}\n", address, "Route", 0)
    };
    [
        "IP Virtual Server version 1.2.1 (size=1048576)\n",
        "Prot LocalAddress:Port Scheduler Flags\n",
        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n",
        "TCP  172.16.0.113:2100 wrr\n",
        &server("172.16.0.114:2100", weight, first),
        &server("172.16.0.115:2100", 1, second),
    ]
    .concat()
}

#[test]
fn a_server_is_taken_out_by_weight_zero() {
    for program in ["ifconfig", "route"] {
        if let Err(reason) = find_program(program) {
            return skip(&format!("{reason}, and the seed's script calls it"));
        }
    }
    // The seed's addresses are the lab's own.
    let Some(mut site) = Site::build(&Plan::one_arm(2, 1)) else { return };

    // 2. The real servers and their TCP servers, ready before the director asks for them.
    for (host, name) in [CEPH1, CEPH2] {
        assert_eq!(
            script(&site, host, "000-realserver.sh", &["start"]),
            "reparing for Real Server\n"
        );
        site.start(host, &format!("testserver 2100 --name {name}"), "Listening Port is 2100...");
    }
    // 1. The director, two records of distribution.
    site.start_director("--interface eth0");
    assert_eq!(script(&site, "director", "000-director.sh", &[]), "");
    site.await_next_hops();
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();

    // 3. Long connections to both.
    let mut talks: Vec<_> = (0..4).map(|_| connect(&site)).collect();
    let on = |talks: &[Talk], name: &str| talks.iter().filter(|talk| talk.host == name).count();
    assert_eq!((on(&talks, "ceph1"), on(&talks, "ceph2")), (2, 2));
    assert_eq!(site.run("director", "ipvsadm", &["-Ln"]), table((1, 2), 2));

    // 4. Weight 0.
    assert_eq!(script(&site, "director", "000-quiesce.sh", &[]), "");

    assert_eq!(site.run("director", "ipvsadm", &["-Ln"]), table((0, 2), 2));

    // 5. The open connections are not broken and go on to be served, by the same host.
    for round in 0..3 {
        for talk in &mut talks {
            talk.goes_on(&format!("still there? {round}"));
        }
    }
    assert!(site.log(CEPH1.0, "testserver").contains(" still there? 2"));

    // 6. New ones go to the other host alone.
    let new: Vec<_> = (0..100).map(|_| connect(&site)).collect();
    assert_eq!((on(&new, "ceph1"), on(&new, "ceph2")), (0, 100));
    assert_eq!(site.run("director", "ipvsadm", &["-Ln"]), table((0, 2), 102));

    // 7. The end: each side closes, and the scripts undo.
    for mut talk in talks.into_iter().chain(new) {
        talk.goes_on("shutdown");
    }
    drop(evidence);
    for (host, _) in [CEPH1, CEPH2] {
        assert_eq!(script(&site, host, "000-realserver.sh", &["stop"]), "stop Real Server\n");
    }
    site.run("director", "ipvsadm", &["-C"]);
}

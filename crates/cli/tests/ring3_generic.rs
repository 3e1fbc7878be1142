//! Generic XDP, for drivers that have no other: the same by each method, and what the status says
//! when an offload merges frames. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::collections::BTreeMap;

use xlvs_testkit::{
    Evidence, Plan,
    offload::Offload,
    peers::{HttpServer, Tally, download, upload},
};

use site::{
    Site,
    rows::{direct_routing, nat, start, tunnel},
};

#[test]
fn every_method_works_in_generic_mode() {
    for row in [direct_routing(), nat(), tunnel()] {
        let flags = "--xdp-mode generic --connections 65536";
        let Some(running) = start(&row, "wrr", flags) else { return };
        let site = &running.site;
        let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
        let shares = [("rs1", 300), ("rs2", 200), ("rs3", 100)];
        let hosts: BTreeMap<_, _> = shares.map(|(name, count)| (name.to_owned(), count)).into();
        assert_eq!(running.load(&row, 600), Tally { hosts, ..Tally::default() });
        drop(evidence);
        let client = site.lab.host("client");
        client.enter(|| download(running.target, 10 << 20)).unwrap().unwrap();
        client.enter(|| upload(running.target, 10 << 20)).unwrap().unwrap();
        let status = site.xlvs("director", "status");
        assert!(status.contains("eth0 (generic)"), "{status}");
    }
}

#[test]
fn merged_frames_are_counted_and_the_offload_is_named() {
    let Some(mut site) = Site::build(&Plan::one_arm(1, 1)) else { return };
    let server = HttpServer::start(site.lab.host("rs1"), "0.0.0.0:80".parse().unwrap()).unwrap();
    site.xlvs("rs1", "realserver start --vip 172.16.0.113");
    site.start_director("--interface eth0 --xdp-mode generic --connections 65536");
    site.xlvs("director", "ipvsadm -A -t 172.16.0.113:80 -s rr");
    site.xlvs("director", "ipvsadm -a -t 172.16.0.113:80 -r 172.16.0.114:80 -g");
    site.await_next_hops();
    // Its network card's driver puts segments together before XDP sees them.
    let director = site.lab.host("director");
    director.offload("eth0", Offload::ReceiveMerging, true).unwrap();
    let client = site.lab.host("client");
    let target = "172.16.0.113:80".parse().unwrap();
    // It comes through in the end, or not: TCP's own repetitions may be short enough.
    let _ = client.enter(|| upload(target, 1 << 20)).unwrap();
    assert!(site.packets("merged") > 0, "{}", site.xlvs("director", "status"));
    let status = site.xlvs("director", "status");
    assert!(status.contains("merges frames before XDP sees them"), "{status}");
    assert!(status.contains("ethtool -K eth0 gro off"), "{status}");

    director.offload("eth0", Offload::ReceiveMerging, false).unwrap();
    client.enter(|| upload(target, 1 << 20)).unwrap().unwrap();
    drop(server);
}

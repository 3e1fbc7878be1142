//! Generic XDP, for drivers that have no other: the same by each method, and what the status says
//! when an offload merges frames. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    collections::BTreeMap,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

use xlvs_testkit::{
    Evidence, Plan,
    offload::Offload,
    peers::{HttpServer, Tally, download, upload},
    wait_until,
};

use site::{
    LONG, Site,
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
    // As a virtual machine's host would: it hands over what it sent itself without cutting it.
    let (director, switch) = (site.lab.host("director"), site.lab.switch());
    switch.netlink().add_address("lan", Ipv4Addr::new(172, 16, 0, 99), 16).unwrap();
    let cutting = [Offload::TxChecksum, Offload::TcpSegmentation, Offload::LateSegmentation];
    for offload in cutting {
        switch.offload("director.0", offload, true).unwrap();
    }
    director.offload("eth0", Offload::ReceiveMerging, true).unwrap();
    let target: SocketAddr = "172.16.0.113:80".parse().unwrap();
    let mut stream = switch.enter(|| TcpStream::connect(target)).unwrap().unwrap();
    stream.write_all(&vec![b'x'; 64 << 10]).unwrap(); // many frames' worth
    let merged = || (site.packets("merged") > 0).then_some(());
    wait_until("merged frames to be counted", LONG, merged).unwrap();
    drop(stream);
    let status = site.xlvs("director", "status");
    assert!(status.contains("merges frames before XDP sees them"), "{status}");
    assert!(status.contains("ethtool -K eth0 gro off"), "{status}");

    director.offload("eth0", Offload::ReceiveMerging, false).unwrap();
    for offload in cutting {
        switch.offload("director.0", offload, false).unwrap();
    }
    switch.enter(|| upload(target, 1 << 20)).unwrap().unwrap();
    drop(server);
}

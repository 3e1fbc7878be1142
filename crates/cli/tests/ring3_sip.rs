//! Calls by SIP's Call-ID, as they are usually kept: whatever client a call's datagrams come from,
//! one server gets them all, also after the daemon was killed; other calls spread. Needs root; says
//! so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use xlvs_testkit::{Evidence, Plan, wait_until};

use site::{LONG, Site};

const VIP: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 113);
const PORT: u16 = 5060;
const CLIENTS: [Ipv4Addr; 2] = [Ipv4Addr::new(172, 16, 16, 1), Ipv4Addr::new(172, 16, 16, 2)];

/// A server on the service's port of a host.
fn server(site: &Site, host: &str) -> UdpSocket {
    site.xlvs(host, &format!("realserver start --vip {VIP}"));
    let listen = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
    let socket = site.lab.host(host).enter(listen).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Sends a datagram of a call and says which server got it.
fn ask(site: &Site, servers: &[UdpSocket], client: Ipv4Addr, call: &str) -> usize {
    let text = format!("OPTIONS sip:a@b SIP/2.0\r\nTo: <sip:b>\r\nCall-ID: {call}\r\n\r\n");
    let send = || {
        let socket = UdpSocket::bind((client, 0)).unwrap();
        socket.send_to(text.as_bytes(), SocketAddr::new(VIP.into(), PORT)).unwrap();
    };
    site.lab.host("client").enter(send).unwrap();
    let got = |server: &UdpSocket| {
        let mut bytes = [0; 512];
        server.recv(&mut bytes).is_ok_and(|n| bytes[..n] == *text.as_bytes())
    };
    wait_until("a server to get the datagram", LONG, || servers.iter().position(got)).unwrap()
}

#[test]
fn a_call_keeps_its_server_whatever_client_speaks() {
    let Some(mut site) = Site::build(&Plan::one_arm(3, 251)) else { return };
    let servers = ["rs1", "rs2", "rs3"].map(|host| server(&site, host));
    let daemon = site.start_director("--interface eth0");
    let service = format!("{VIP}:{PORT}");
    let line = format!("ipvsadm -A -u {service} -s rr -p 60 -M 0.0.0.0 --pe sip -o");
    site.xlvs("director", &line);
    for n in 114..=116 {
        site.xlvs("director", &format!("ipvsadm -a -u {service} -r 172.16.0.{n}:{PORT} -g"));
    }
    site.await_next_hops();
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    assert!(!site.xlvs("director", "status").contains("not forwarded"), "it is in force");

    let calls: Vec<_> = (0..9).map(|n| format!("call{n}@example.org")).collect();
    let homes: Vec<_> = calls.iter().map(|c| ask(&site, &servers, CLIENTS[0], c)).collect();
    assert_eq!(BTreeSet::from_iter(&homes).len(), 3, "calls spread: {homes:?}");
    let again = |site: &Site, client| {
        let homes: Vec<_> = calls.iter().map(|c| ask(site, &servers, client, c)).collect();
        homes
    };
    assert_eq!(again(&site, CLIENTS[1]), homes, "from another client");
    drop(evidence);
    site.kill(daemon);
    assert_eq!(again(&site, CLIENTS[0]), homes, "without a daemon");
    site.start_director("--interface eth0");
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    assert_eq!(again(&site, CLIENTS[1]), homes, "with another daemon");

    let list = site.xlvs("director", "ipvsadm -Lnc --persistent-conn");
    for (call, home) in calls.iter().zip(homes) {
        let line = list.lines().find(|line| line.ends_with(&format!(" {call}"))).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let server = format!("172.16.0.{}:{PORT}", 114 + home);
        assert_eq!(words[2..7], ["NONE", "0.0.0.0:0", &service, &server, "sip"], "{list}");
    }
    drop(evidence);
}

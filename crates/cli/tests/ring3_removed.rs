//! Servers that are removed while they have connections, seen by the kernels of client and server.
//! Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use xlvs_testkit::{udp::UdpServer, wait_until};

use site::{
    LONG, Site,
    held::{Held, PORT, add},
    rows::{self, Row},
};

/// An answer that is under way for a while.
const ANSWER: usize = 10 << 20;

impl Held {
    fn remove_server(&self) {
        let Row { vip, first, .. } = &self.row;
        self.site.xlvs("director", &format!("ipvsadm -d -t {vip}:{PORT} -r {first}:{PORT}"));
    }

    /// The server says much, and the client nothing; then the client speaks.
    fn is_reset_after_its_answer(&mut self) {
        self.remove_server();
        let mut server = self.server.try_clone().unwrap();
        let answer: Vec<u8> = (0..ANSWER).map(|i| (i / 7).to_le_bytes()[0]).collect();
        let sent = answer.clone();
        let sender = thread::spawn(move || server.write_all(&sent).unwrap());
        let mut heard = vec![0; ANSWER];
        self.client.read_exact(&mut heard).unwrap();
        sender.join().unwrap();
        assert!(heard == answer, "the answer under way arrives whole");
        self.client.write_all(b"more").unwrap();
        for (name, stream) in [("client", &mut self.client), ("server", &mut self.server)] {
            let error = stream.read(&mut [0; 16]).unwrap_err();
            let told = format!("the {name} is told: {error}\n{}", self.site.lab.logs());
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{told}");
        }
        assert!(self.site.packets("reset_both") > 0);
    }
}

#[test]
fn both_sides_are_reset_by_direct_routing() {
    let Some(mut held) = Held::start(rows::direct_routing()) else { return };
    held.is_reset_after_its_answer();
}

#[test]
fn both_sides_are_reset_by_nat() {
    let Some(mut held) = Held::start(rows::nat()) else { return };
    held.is_reset_after_its_answer();
}

#[test]
fn both_sides_are_reset_by_tunnel() {
    let Some(mut held) = Held::start(rows::tunnel()) else { return };
    held.is_reset_after_its_answer();
}

#[test]
fn both_sides_are_reset_in_generic_mode() {
    let mut row = rows::direct_routing();
    row.interfaces = "--interface eth0 --xdp-mode generic";
    let Some(mut held) = Held::start(row) else { return };
    held.is_reset_after_its_answer();
}

#[test]
fn a_flow_of_datagrams_moves_at_once() {
    let row = rows::direct_routing();
    let Some(mut site) = Site::build(&row.plan) else { return };
    let target: SocketAddr = format!("{}:{PORT}", row.vip).parse().unwrap();
    let mut servers = Vec::new();
    for name in ["rs1", "rs2"] {
        site.xlvs(name, row.prepare);
        servers.push(UdpServer::start(site.lab.host(name), target).unwrap());
    }
    site.start_director(row.interfaces);
    site.xlvs("director", &format!("ipvsadm -A -u {target} -s rr"));
    let names = ["172.16.0.114", "172.16.0.115"];
    for name in names {
        site.xlvs("director", &format!("ipvsadm -a -u {target} -r {name}:{PORT} -g"));
    }
    site.await_next_hops();
    let open = || UdpSocket::bind("0.0.0.0:0").unwrap();
    let client = site.lab.host("client").enter(open).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client.connect(target).unwrap();
    let ask = || {
        let mut answer = [0; 64];
        client.send(b"who?").unwrap();
        let length = client.recv(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    let before = ask();
    assert_eq!(ask(), before, "a flow keeps its server");
    let gone = names[usize::from(before == "rs2")];
    site.xlvs("director", &format!("ipvsadm -d -u {target} -r {gone}:{PORT}"));
    let after = ask();
    assert!(after != before && after.starts_with("rs"), "{before}, then {after}");
    assert_eq!(ask(), after);
}

#[test]
fn the_kernels_way_is_silence_and_revival() {
    let Some(mut held) = Held::start(rows::direct_routing()) else { return };
    held.site.xlvs("director", "set profile=kernel");
    held.remove_server();
    held.client.write_all(b"ping").unwrap();
    wait_until("the segment to be dropped", LONG, || {
        (held.site.packets("server_removed") > 0).then_some(())
    })
    .unwrap();
    held.server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let silence = held.server.read(&mut [0; 4]).unwrap_err();
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
    held.server.set_read_timeout(Some(LONG)).unwrap();
    add(&held.site, &held.row);
    let mut heard = [0; 4];
    held.server.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ping", "the client repeats it, and the connection lives again");
    held.talk();
}

#[test]
fn the_kernels_way_with_expire_nodest_conn_ends_the_entry() {
    let Some(mut held) = Held::start(rows::direct_routing()) else { return };
    held.site.xlvs("director", "set profile=kernel");
    held.site.xlvs("director", "set expire_nodest_conn=1");
    held.remove_server();
    let entries = |site: &Site| site.xlvs("director", "ipvsadm -lnc").lines().count();
    assert_eq!(entries(&held.site), 3, "two lines of headings, and the connection");
    held.client.write_all(b"ping").unwrap();
    let error = held.client.read(&mut [0; 4]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "by the director's own stack: {error}");
    assert_eq!(entries(&held.site), 2);
}

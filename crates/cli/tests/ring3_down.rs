//! Servers that go down while clients wait for their answers (`reset_on_down`), seen by the kernels
//! of client and server. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use serde_json::Value;
use xlvs_testkit::{find_program, wait_until};

use site::{
    LONG,
    held::{Held, PORT},
    rows::{self, Row},
    skip,
};

/// Of an answer, before the server goes down; the client has not read it.
const UNREAD: usize = 10_000;

impl Held {
    fn service(&self) -> String {
        format!("tcp:{}:{PORT}", self.row.vip)
    }

    fn server(&self, n: u32) -> SocketAddr {
        (Ipv4Addr::from(u32::from(self.row.first) + n), PORT).into()
    }

    /// `xlvs server VERB` of the first server.
    fn server_verb(&self, verb: &str) {
        self.site.xlvs("director", &format!("server {verb} {}", self.server(0)));
    }

    fn disable(&self) {
        self.server_verb("disable --reason dead");
    }

    fn reset_on_down(&self) {
        let words = format!("service set {} --reset-on-down", self.service());
        self.site.xlvs("director", &words);
    }

    /// Another client of the service, on its second server.
    fn another(&self) -> (TcpStream, TcpStream) {
        let Row { prepare, .. } = self.row;
        self.site.xlvs("rs2", prepare);
        let everywhere = SocketAddr::from(([0, 0, 0, 0], PORT));
        let listen = || TcpListener::bind(everywhere).unwrap();
        let listener = self.site.lab.host("rs2").enter(listen).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (vip, method) = (self.row.vip, self.row.method);
        let words = format!("ipvsadm -a -t {vip}:{PORT} -r {} {method}", self.server(1));
        self.site.xlvs("director", &words);
        self.site.await_next_hops();
        let target: SocketAddr = format!("{vip}:{PORT}").parse().unwrap();
        let mut elsewhere = Vec::new();
        loop {
            assert!(elsewhere.len() < 4, "one of two goes to the second server");
            let dial = || TcpStream::connect_timeout(&target, LONG).unwrap();
            let client = self.site.lab.host("client").enter(dial).unwrap();
            let short = Duration::from_millis(200);
            if let Ok((server, peer)) = wait_until("a connection", short, || listener.accept().ok())
            {
                assert_eq!(peer, client.local_addr().unwrap());
                server.set_nonblocking(false).unwrap();
                for stream in [&client, &server] {
                    stream.set_read_timeout(Some(LONG)).unwrap();
                }
                return (client, server);
            }
            elsewhere.push(client);
        }
    }

    /// What either side reads to its end, which must be a reset.
    fn is_reset(&mut self, unread: usize) {
        let sides = [("client", &mut self.client, unread), ("server", &mut self.server, 0)];
        for (name, stream, unread) in sides {
            let (mut heard, mut piece) = (0, vec![0; 1 << 16]);
            let error = loop {
                match stream.read(&mut piece) {
                    Ok(0) => panic!("the {name} hears a farewell, which nobody said"),
                    Ok(length) => heard += length,
                    Err(error) => break error,
                }
            };
            let told = format!("the {name} is told: {error}\n{}", self.site.lab.logs());
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{told}");
            assert_eq!(heard, unread, "what was under way before, the {name} has");
        }
        assert!(self.site.packets("reset_both") > 0);
    }

    /// The client asks, and owes not even an acknowledgement: it is silent from now on.
    fn ask(&mut self) {
        self.client.write_all(b"ask?").unwrap();
        self.server.read_exact(&mut [0; 4]).unwrap();
    }

    /// Somebody was made to say something.
    fn was_asked(&self) {
        assert!(self.site.packets("clients_asked") > 0);
    }

    /// Counters of the service's connections, and how many the table has.
    fn counted(&self) -> (u64, u64) {
        let json = |words: &str| -> Value {
            serde_json::from_str(&self.site.xlvs("director", words)).unwrap()
        };
        let servers = json("server list -o json");
        let servers = servers[0]["servers"].as_array().unwrap();
        let sum = |name: &str| servers.iter().map(|s| s[name].as_u64().unwrap()).sum::<u64>();
        let table = json("conn list -o json");
        let table = table.get("connections").unwrap_or(&table).as_array().unwrap().len();
        (sum("active") + sum("inactive"), table as u64)
    }
}

fn talk((client, server): &mut (TcpStream, TcpStream)) {
    let mut heard = [0; 4];
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut heard).unwrap();
    server.write_all(b"pong").unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"pong");
}

/// The client asked and waits for the answer; it says nothing more.
fn a_waiting_client_is_told(row: Row) {
    let Some(mut held) = Held::start(row) else { return };
    held.reset_on_down();
    let mut other = held.another();
    held.ask();
    held.disable();
    held.is_reset(0);
    held.was_asked();
    talk(&mut other);
    let (counted, there) = held.counted();
    assert_eq!(counted, there, "counters equal the table");
}

#[test]
fn a_waiting_client_is_told_by_direct_routing() {
    a_waiting_client_is_told(rows::direct_routing());
}

#[test]
fn a_waiting_client_is_told_by_nat() {
    a_waiting_client_is_told(rows::nat());
}

#[test]
fn a_waiting_client_is_told_by_tunnel() {
    a_waiting_client_is_told(rows::tunnel());
}

#[test]
fn a_waiting_client_is_told_in_generic_mode() {
    let mut row = rows::direct_routing();
    row.interfaces = "--interface eth0 --xdp-mode generic";
    a_waiting_client_is_told(row);
}

/// Half of an answer came, and more than the client has read: whatever it acknowledged last, it is
/// told, and has what came before.
fn a_client_in_the_middle_of_an_answer_is_told(row: Row) {
    let Some(mut held) = Held::start(row) else { return };
    held.reset_on_down();
    held.ask();
    held.server.write_all(&[7; UNREAD]).unwrap();
    let mut peeked = vec![0; UNREAD];
    wait_until("the half to arrive", LONG, || {
        (held.client.peek(&mut peeked).unwrap() == UNREAD).then_some(())
    })
    .unwrap();
    held.disable();
    held.is_reset(UNREAD);
}

#[test]
fn a_client_in_the_middle_of_an_answer_is_told_by_direct_routing() {
    a_client_in_the_middle_of_an_answer_is_told(rows::direct_routing());
}

#[test]
fn a_client_in_the_middle_of_an_answer_is_told_by_nat() {
    a_client_in_the_middle_of_an_answer_is_told(rows::nat());
}

#[test]
fn a_client_that_said_its_last_word_is_told_by_nat() {
    let Some(mut held) = Held::start(rows::nat()) else { return };
    held.reset_on_down();
    held.client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(held.server.read(&mut [0; 4]).unwrap(), 0);
    held.disable();
    let error = held.client.read(&mut [0; 4]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

#[test]
fn the_kernels_way_of_removing_is_no_hindrance() {
    let Some(mut held) = Held::start(rows::direct_routing()) else { return };
    held.site.xlvs("director", "set profile=kernel");
    held.reset_on_down();
    held.ask();
    held.disable();
    held.is_reset(0);
    held.was_asked();
}

#[test]
fn a_drain_resets_what_its_deadline_finds() {
    let Some(mut held) = Held::start(rows::direct_routing()) else { return };
    held.server_verb("drain --deadline 1h --on-deadline reset");
    held.talk();
    held.server_verb("drain --deadline 1s --on-deadline reset");
    held.is_reset(0);
}

#[test]
fn without_the_option_nothing_happens() {
    let Some(mut held) = Held::start(rows::direct_routing()) else { return };
    held.ask();
    held.disable();
    // The answer was under way, and arrives.
    let mut server = held.server.try_clone().unwrap();
    let sender = thread::spawn(move || server.write_all(&[7; UNREAD]).unwrap());
    held.client.read_exact(&mut [0; UNREAD]).unwrap();
    sender.join().unwrap();
    held.server_verb("enable");
    held.talk();
    assert_eq!(held.site.packets("clients_asked") + held.site.packets("reset_both"), 0);
}

#[test]
fn a_client_that_no_question_reached_goes_on_when_the_server_is_back() {
    let Some(mut held) = Held::start(rows::direct_routing()) else { return };
    held.reset_on_down();
    let ip = |words: &[&str]| {
        held.site.run("client", "ip", words);
    };
    ip(&["link", "set", "eth0", "down"]);
    held.disable();
    wait_until("the client to be asked", LONG, || {
        (held.site.packets("clients_asked") > 0).then_some(())
    })
    .unwrap();
    held.server_verb("enable");
    ip(&["link", "set", "eth0", "up"]);
    held.talk();
    assert_eq!(held.site.packets("reset_both"), 0);
}

/// As behind a router that translates addresses: what does not belong to a connection as it knows
/// it is dropped, also by the client's own firewall.
#[test]
fn a_client_behind_a_firewall_that_follows_connections_is_told() {
    let Ok(program) = find_program("iptables") else { return skip("there is no iptables") };
    let Some(mut held) = Held::start(rows::direct_routing()) else { return };
    let rule = "-A INPUT -m conntrack --ctstate INVALID -j DROP";
    let words: Vec<&str> = rule.split(' ').collect();
    let mut command = held.site.command("client", Path::new(&program));
    command.args(&words);
    let output = held.site.lab.host("client").run(command, LONG).unwrap();
    if !output.status.success() {
        return skip(&format!("no connections to follow: {output:?}"));
    }
    held.talk();
    held.reset_on_down();
    held.ask();
    held.disable();
    held.is_reset(0);
    held.was_asked();
}

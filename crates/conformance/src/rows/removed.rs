//! Servers that were removed while they had connections.

use etherparse::{Ethernet2Header, IpNumber, Ipv4Header, TcpHeader};
use xlvs_datapath::{
    Reason,
    policy::{POLICY_EXPIRE_NODEST, POLICY_RESET_REMOVED},
    state,
    tables::{METHOD_MASQ, METHOD_TUNNEL, SETTING_REMOVED},
};
use xlvs_sched::Scheduler;

use super::{Hook, Out, Row, TCP, Then, UDP, direct, nat, tunnel};
use crate::{
    CLIENT, CLIENT_MAC, DIRECTOR, Flags, Given, L4, OTHER_PORT, Packet, Real, SECOND, VIP,
    client_key, reply_key, server, server_mac,
};

/// What `Packet` puts into every segment.
const SEQ: u32 = 0x1020_3040;
const ACKED: u32 = 0x5060_7080;

pub(super) fn methods() -> [Real; 3] {
    [Real::direct(1), Real::nat(1), Real::tunnel(1)]
}

/// A connection to a server that was removed; the second one takes its place.
pub(super) fn given(protocol: u8, real: Real, policy: u32, state: u8) -> Given {
    let reals = [real.removed(), Real { dest: Real::direct(2).dest, ..real }];
    Given::service(protocol, Scheduler::Rr, &reals).conn(40000, 0, state).but(|g| {
        g.orders[0].slot = 1;
        g.plans[0].count = 1;
        g.settings.policy.flags |= policy;
        g.settings.flags |= SETTING_REMOVED;
    })
}

pub(super) fn tcp(flags: u8, payload: bool) -> Packet {
    Packet::new(L4::Tcp(flags)).with(|p| {
        if !payload {
            p.payload.clear();
        }
    })
}

pub(super) fn sent(real: &Real, p: &Packet) -> (Reason, Out) {
    match real.dest.method {
        METHOD_MASQ => (Reason::SentNat, Out::On(nat(p, 1))),
        METHOD_TUNNEL => (Reason::SentTunnel, Out::On(tunnel(p, 1))),
        _ => (Reason::SentDirect, Out::On(direct(p, 1))),
    }
}

/// A reset between these ends, another's idea of it.
fn reset(from: ([u8; 4], u16), to: ([u8; 4], u16), seq: u32, acked: Option<u32>) -> Vec<u8> {
    let mut ip = Ipv4Header::new(20, 64, IpNumber::TCP, from.0, to.0).unwrap();
    ip.dont_fragment = true;
    ip.header_checksum = ip.calc_header_checksum();
    let mut tcp = TcpHeader::new(from.1, to.1, seq, 0);
    tcp.rst = true;
    tcp.ack = acked.is_some();
    tcp.acknowledgment_number = acked.unwrap_or(0);
    tcp.checksum = tcp.calc_checksum_ipv4(&ip, &[]).unwrap();
    [ip.to_bytes().to_vec(), tcp.to_bytes().to_vec()].concat()
}

fn framed(source: [u8; 6], destination: [u8; 6], datagram: &[u8]) -> Vec<u8> {
    let ether_type = etherparse::EtherType::IPV4;
    let header = Ethernet2Header { source, destination, ether_type };
    [&header.to_bytes(), datagram].concat()
}

/// As the server of this method gets it.
pub(super) fn to_server(real: &Real) -> Vec<u8> {
    let dst = if real.dest.method == METHOD_MASQ { (server(1), 8080) } else { (VIP, 80) };
    let mut datagram = reset((CLIENT, 40000), dst, SEQ, Some(ACKED));
    if real.dest.method == METHOD_TUNNEL {
        let mut outer = Ipv4Header::new(40, 64, IpNumber(4), SECOND, server(1)).unwrap();
        outer.dont_fragment = true;
        outer.header_checksum = outer.calc_header_checksum();
        datagram = [outer.to_bytes().to_vec(), datagram].concat();
    }
    framed(OTHER_PORT, server_mac(1), &datagram)
}

pub(super) fn to_client() -> Vec<u8> {
    framed(DIRECTOR, CLIENT_MAC, &reset((VIP, 80), (CLIENT, 40000), ACKED, None))
}

/// What `removed_server=reset` lets through, and what not.
fn by_reset() -> Vec<Row> {
    let mut rows = Vec::new();
    let both = Reason::ResetBoth;
    for real in methods() {
        let method = real.dest.method;
        let world = |more| given(TCP, real, POLICY_RESET_REMOVED | more, state::ESTABLISHED);
        for flags in [Flags::ACK, Flags::ACK | Flags::FIN, Flags::RST, Flags::RST | Flags::ACK] {
            let p = tcp(flags, false);
            let (reason, out) = sent(&real, &p);
            let says = format!("without payload it reaches a removed server: {method}, {flags}");
            rows.push(Row::new(says, world(0), p.bytes(), reason, out));
        }
        let p = tcp(Flags::ACK | Flags::PSH, true);
        let says = format!("with payload it is for the next program: {method}");
        let row = Row::new(says, world(0), p.bytes(), both, Out::Untouched);
        let key = client_key(&row.given.dests[0], 40000);
        let same = [Then::State(key, state::ESTABLISHED), Then::Stats(0, [0; 5])];
        rows.push(row.then(same));
        let bare = tcp(Flags::ACK, false);
        let says = format!("with expire_nodest_conn so is any: {method}");
        let world_2 = world(POLICY_EXPIRE_NODEST);
        rows.push(Row::new(says, world_2, bare.bytes(), both, Out::Untouched));
        let nobody = world(0).but(|g| g.settings.flags = 0);
        let says = format!("nobody there to reset: {method}");
        rows.push(Row::new(says, nobody, p.bytes(), Reason::ServerRemoved, Out::Dropped));
    }
    rows
}

/// What the program before the stack makes of it.
fn both_sides() -> Vec<Row> {
    let mut rows = Vec::new();
    let p = tcp(Flags::ACK | Flags::PSH, true);
    let row = |says: String, given: &Given, out| {
        let dest = given.dests[0];
        let (key, entries) = (client_key(&dest, 40000), given.conns.len());
        let row = Row::new(says, given.clone(), p.bytes(), Reason::ResetBoth, out);
        let mut then = vec![
            Then::State(key, state::CLOSE),
            Then::Life(key, 10),
            Then::Live(0, 0, 1),
            Then::Entries(entries),
        ];
        if dest.method == METHOD_MASQ {
            let answers = reply_key(&dest, 40000);
            then.extend([Then::State(answers, state::CLOSE), Then::Life(answers, 10)]);
        }
        row.then(then).hook(Hook::Ingress)
    };
    for real in methods() {
        let world = |real| given(TCP, real, POLICY_RESET_REMOVED, state::ESTABLISHED);
        let method = real.dest.method;
        let says = format!("the server's reset begins where the segment did: {method}");
        rows.push(row(says, &world(real), Out::On(to_server(&real))));
        let says = format!("the client's is what it waits for next: {method}");
        rows.push(row(says, &world(real.unknown()), Out::On(to_client())));
    }
    let here = |real: Real| given(TCP, real.local(), POLICY_RESET_REMOVED, state::ESTABLISHED);
    for (real, dst) in [(Real::nat(1), (server(1), 8080)), (Real::direct(1), (VIP, 80))] {
        let local = reset((CLIENT, 40000), dst, SEQ, Some(ACKED));
        let local = Out::Local(framed(CLIENT_MAC, DIRECTOR, &local));
        let says = format!("a server on this host gets it, too: {}", real.dest.method);
        rows.push(row(says, &here(real), local));
    }
    rows
}

/// Connections that end at once.
fn anew() -> Vec<Row> {
    let mut rows = Vec::new();
    for real in methods() {
        let method = real.dest.method;
        let world = given(TCP, real, POLICY_EXPIRE_NODEST, state::ESTABLISHED);
        let key = client_key(&world.dests[0], 40000);
        for p in [tcp(Flags::ACK, true), tcp(Flags::ACK, false), tcp(Flags::RST, false)] {
            let length = p.payload.len();
            let says = format!("by expire_nodest_conn it ends: {method}, {:?}, {length}", p.l4);
            let no = Reason::NoConnection;
            let row = Row::new(says, world.clone(), p.bytes(), no, Out::Untouched);
            let gone = [Then::Gone(key), Then::Entries(0), Then::Live(0, 0, 0)];
            rows.push(row.then(gone));
        }
        let policies = [
            POLICY_EXPIRE_NODEST,
            POLICY_RESET_REMOVED,
            POLICY_EXPIRE_NODEST | POLICY_RESET_REMOVED,
        ];
        for policy in policies {
            let moved = [Then::Slot(key, 1), Then::Live(0, 0, 0), Then::Live(1, 1, 0)];
            let p = tcp(Flags::SYN, false);
            let out = || Out::On(direct(&p, 2));
            let world = given(TCP, real, policy, state::ESTABLISHED);
            let says = format!("a SYN goes to another server: {method}, policy {policy:#x}");
            let row = Row::new(says, world, p.bytes(), Reason::SentDirect, out());
            rows.push(row.then(moved).then([Then::Entries(1)]));
            let p = Packet::new(L4::Udp);
            let world = given(UDP, real, policy, state::NONE);
            let key = client_key(&world.dests[0], 40000);
            let says = format!("a flow of UDP, too: {method}, policy {policy:#x}");
            let out = Out::On(direct(&p, 2));
            let row = Row::new(says, world.clone(), p.bytes(), Reason::SentDirect, out);
            let moved = [Then::Slot(key, 1), Then::Live(0, 0, 0), Then::Live(1, 0, 1)];
            rows.push(row.then(moved).then([Then::Entries(1)]));
        }
    }
    rows
}

pub(super) fn rows() -> Vec<Row> {
    [by_reset(), both_sides(), anew()].concat()
}

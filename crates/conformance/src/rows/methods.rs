//! Every method, new and known connections, TCP and UDP, and what a packet may carry along.

use xlvs_datapath::{Reason, state};
use xlvs_sched::Scheduler;

use super::{Hook, Out, Row, TCP, Then, UDP, answer, direct, nat, tunnel, tunnel_with};
use crate::{
    DIRECTOR, Flags, Given, L4, Packet, Real, VIP, client_key, reply_key, server, server_mac,
};

const SYN: L4 = L4::Tcp(Flags::SYN);
const ACK: L4 = L4::Tcp(Flags::ACK);
type Build = fn(&Packet, u8) -> Vec<u8>;
type Method = (&'static str, fn(u8) -> Real, Reason, Build);
const METHODS: [Method; 3] = [
    ("direct routing", Real::direct, Reason::SentDirect, direct),
    ("NAT", Real::nat, Reason::SentNat, nat),
    ("tunnel", Real::tunnel, Reason::SentTunnel, tunnel),
];

/// Packets that are special on the outside only.
fn shapes() -> Vec<(&'static str, Packet)> {
    let p = Packet::new(ACK);
    vec![
        ("a segment", p.clone()),
        ("a segment without payload", p.with(|p| p.payload.clear())),
        ("an odd payload", p.with(|p| p.payload.push(b'x'))),
        (
            "padding behind a short segment",
            p.with(|p| {
                p.payload.clear();
                p.trailer = vec![0; 6];
            }),
        ),
        ("a trailer that is not zero", p.with(|p| p.trailer = vec![0xee; 11])),
        ("IP options", p.with(|p| p.options = vec![7, 7, 4, 0, 0, 0, 0, 0])),
        ("the most IP options", p.with(|p| p.options = vec![1; 40])),
        ("TCP options", p.with(|p| p.tcp_options = vec![1; 12])),
        (
            "options of both",
            p.with(|p| {
                p.options = vec![1; 4];
                p.tcp_options = vec![1; 40];
            }),
        ),
        ("without DF", p.with(|p| p.df = false)),
        ("a type of service", p.with(|p| p.tos = 0xb8)),
        ("the last hop but one", p.with(|p| p.ttl = 2)),
        ("all the hops there are", p.with(|p| p.ttl = 255)),
        ("exactly the MTU less a tunnel's header", p.measuring(1480)),
        ("an identification of ones", p.with(|p| p.id = 0xffff)),
        ("a PSH", p.with(|p| p.l4 = L4::Tcp(Flags::PSH | Flags::ACK))),
        ("an URG", p.with(|p| p.l4 = L4::Tcp(Flags::URG | Flags::ACK))),
    ]
}

fn known() -> Vec<Row> {
    let mut rows = Vec::new();
    for (method, real, reason, build) in METHODS {
        for (shape, p) in shapes() {
            let given = Given::service(TCP, Scheduler::Rr, &[real(1)]).established(40000, 0);
            let key = client_key(&given.dests[0], 40000);
            let len = p.datagram().len() as u64;
            let then = [
                Then::State(key, state::ESTABLISHED),
                Then::Life(key, 900),
                Then::Live(0, 1, 0),
                Then::Stats(0, [0, 1, len, 0, 0]),
            ];
            let says = format!("{shape} goes on by {method}");
            let out = Out::On(build(&p, 1));
            rows.push(Row::new(says, given, p.bytes(), reason, out).then(then));
            // The same as the first of its connection goes another way through the code.
            let p = p.with(|p| p.l4 = SYN);
            let given = Given::service(TCP, Scheduler::Rr, &[real(1)]);
            let says = format!("{shape} and a SYN goes on by {method}");
            let out = Out::On(build(&p, 1));
            rows.push(Row::new(says, given, p.bytes(), reason, out));
        }
    }
    rows
}

fn begins() -> Vec<Row> {
    let mut rows = Vec::new();
    let kinds = [
        ("a SYN", TCP, SYN, state::SYN_RECV, 60, (1, 0)),
        ("a SYN of ECN's kind", TCP, L4::Tcp(Flags::SYN | Flags::PSH), state::SYN_RECV, 60, (1, 0)),
        ("a SYN with an ACK", TCP, L4::Tcp(Flags::SYN | Flags::ACK), state::SYN_RECV, 60, (1, 0)),
        ("a SYN with a FIN", TCP, L4::Tcp(Flags::SYN | Flags::FIN), state::SYN_RECV, 60, (1, 0)),
        ("a datagram", UDP, L4::Udp, state::NONE, 300, (0, 1)),
        ("a datagram without checksum", UDP, L4::UdpUnsummed, state::NONE, 300, (0, 1)),
    ];
    for (method, real, reason, build) in METHODS {
        for (says, protocol, l4, state, seconds, (active, inactive)) in kinds {
            let p = Packet::new(l4);
            let given = Given::service(protocol, Scheduler::Rr, &[real(1)]);
            let dest = given.dests[0];
            let key = client_key(&dest, 40000);
            let mut then = vec![
                Then::State(key, state),
                Then::Life(key, seconds),
                Then::Live(0, active, inactive),
                Then::Stats(0, [1, 1, p.datagram().len() as u64, 0, 0]),
            ];
            let reply = reply_key(&dest, 40000);
            if method == "NAT" {
                then.extend([Then::State(reply, state), Then::Life(reply, seconds)]);
            } else {
                then.push(Then::Gone(reply));
            }
            let says = format!("{says} begins a connection by {method}");
            let out = Out::On(build(&p, 1));
            rows.push(Row::new(says, given, p.bytes(), reason, out).then(then));
        }
    }
    rows
}

fn datagrams() -> Vec<Row> {
    let mut rows = Vec::new();
    for (method, real, reason, build) in METHODS {
        for (says, l4) in [("with", L4::Udp), ("without", L4::UdpUnsummed)] {
            let p = Packet::new(l4);
            let given = Given::service(UDP, Scheduler::Rr, &[real(1)]).conn(40000, 0, state::NONE);
            let key = client_key(&given.dests[0], 40000);
            let then = [Then::Life(key, 300), Then::Live(0, 0, 1)];
            let says = format!("a datagram {says} checksum of a known flow goes by {method}");
            let out = Out::On(build(&p, 1));
            rows.push(Row::new(says, given, p.bytes(), reason, out).then(then));
        }
    }
    rows
}

/// A payload that makes the checksum of the packet, as the server gets it, all ones.
fn until(p: &Packet, at: usize, wanted: [u8; 2], build: impl Fn(&Packet) -> Vec<u8>) -> Packet {
    let candidates = (0..=u16::MAX).map(|n| p.with(|p| p.payload = n.to_be_bytes().to_vec()));
    candidates.into_iter().find(|p| build(p)[at..at + 2] == wanted).expect("one of all payloads")
}

fn checksums() -> Vec<Row> {
    let given = || Given::service(UDP, Scheduler::Rr, &[Real::nat(1)]).conn(40000, 0, state::NONE);
    let p = Packet::new(L4::Udp);
    let to_ones = until(&p, 40, [0xff, 0xff], |p| nat(p, 1));
    let from_ones = until(&p, 40, [0xff, 0xff], Packet::bytes);
    let tcp = |p: &Packet| p.with(|p| p.l4 = ACK);
    let to_zero = until(&tcp(&p), 50, [0, 0], |p| nat(p, 1));
    let rows = [
        ("a UDP checksum that becomes zero is sent as ones", to_ones, given()),
        ("a UDP checksum of ones is no special one", from_ones, given()),
        (
            "a TCP checksum may become zero",
            to_zero,
            Given::service(TCP, Scheduler::Rr, &[Real::nat(1)]).established(40000, 0),
        ),
    ];
    let sent = |(says, p, given): (&str, Packet, Given)| {
        Row::new(says, given, p.bytes(), Reason::SentNat, Out::On(nat(&p, 1)))
    };
    let mut rows: Vec<Row> = rows.into_iter().map(sent).collect();
    // What came damaged leaves damaged, by as much.
    let p = Packet::new(ACK);
    let (mut damaged, mut out) = (p.bytes(), nat(&p, 1));
    damaged[60] ^= 0x40;
    out[60] ^= 0x40;
    let given = Given::service(TCP, Scheduler::Rr, &[Real::nat(1)]).established(40000, 0);
    let says = "a damaged payload is not made good by a new checksum";
    rows.push(Row::new(says, given, damaged, Reason::SentNat, Out::On(out)));
    rows
}

fn ecn() -> Vec<Row> {
    let rows = [(0x00, 0x00), (0x01, 0x01), (0x02, 0x02), (0x03, 0x02), (0xbb, 0xba)];
    let row = |(inner, outer): (u8, u8)| {
        let p = Packet::new(ACK).with(|p| p.tos = inner);
        let given = Given::service(TCP, Scheduler::Rr, &[Real::tunnel(1)]).established(40000, 0);
        let says = format!("type of service {inner:#x} within is {outer:#x} without (RFC 6040)");
        let out = Out::On(tunnel_with(&p, 1, outer));
        Row::new(says, given, p.bytes(), Reason::SentTunnel, out)
    };
    rows.into_iter().map(row).collect()
}

fn ports() -> Vec<Row> {
    let p = Packet::new(SYN);
    let on = |p: &Packet, port| {
        p.on(crate::OTHER_PORT, server_mac(1))
            .with(|p| (p.dst, p.dport) = (server(1), port))
            .bytes()
    };
    let row = |says: &str, real: Real, out| {
        let given = Given::service(TCP, Scheduler::Rr, &[real]);
        Row::new(says, given, p.bytes(), Reason::SentNat, Out::On(out))
    };
    vec![
        row("NAT to the same port", Real::nat(1).port(80), on(&p, 80)),
        row("NAT to a server without a port keeps the service's", Real::nat(1).port(0), on(&p, 80)),
        row("NAT to the highest port", Real::nat(1).port(65535), on(&p, 65535)),
    ]
}

/// One arm, another hop, this very host.
fn places() -> Vec<Row> {
    let mut rows = Vec::new();
    for (method, real, reason, build) in METHODS {
        let p = Packet::new(SYN);
        let given = Given::service(TCP, Scheduler::Rr, &[real(1).one_arm()]);
        let mut out = build(&p, 1);
        out[6..12].copy_from_slice(&DIRECTOR);
        let says = format!("a director with one arm sends back by {method}");
        rows.push(Row::new(says, given, p.bytes(), reason, Out::Back(out)));
        let given = Given::service(TCP, Scheduler::Rr, &[real(1).second_hop()]);
        let says = format!("the second hop is in force, by {method}");
        rows.push(Row::new(says, given, p.bytes(), reason, Out::On(build(&p, 1))));
        let given = Given::service(TCP, Scheduler::Rr, &[real(1).unknown()]);
        let key = client_key(&given.dests[0], 40000);
        let says = format!("no neighbour by {method}: nothing, but the connection has begun");
        let row = Row::new(says, given, p.bytes(), Reason::NoNeighbour, Out::Dropped);
        rows.push(row.then([Then::State(key, state::SYN_RECV)]));
    }
    for (l4, protocol) in [(SYN, TCP), (L4::Udp, UDP), (L4::UdpUnsummed, UDP)] {
        let p = Packet::new(l4);
        let given = Given::service(protocol, Scheduler::Rr, &[Real::nat(1).local()]);
        let out = p.with(|p| (p.dst, p.dport) = (server(1), 8080)).bytes();
        let says = format!("{l4:?} to a local server by NAT: rewritten, with all its hops");
        rows.push(Row::new(says, given, p.bytes(), Reason::LocalNat, Out::Local(out)));
        for real in [Real::direct(1), Real::tunnel(1)] {
            let given = Given::service(protocol, Scheduler::Rr, &[real.local()]);
            let says = format!("{l4:?} to a local server, method {}: as it came", real.dest.method);
            let row = Row::new(says, given, p.bytes(), Reason::LocalDirect, Out::Untouched);
            rows.push(row.then([Then::Stats(0, [1, 1, p.datagram().len() as u64, 0, 0])]));
        }
    }
    let p = Packet::new(SYN).with(|p| p.ttl = 1);
    let given = Given::service(TCP, Scheduler::Rr, &[Real::direct(1).local()]);
    let says = "a local server may have the last hop";
    rows.push(Row::new(says, given, p.bytes(), Reason::LocalDirect, Out::Untouched));
    rows
}

/// The answers of a local server on their way out.
fn local_answers() -> Vec<Row> {
    let mut rows = Vec::new();
    let syn_ack = L4::Tcp(Flags::SYN | Flags::ACK);
    for (l4, protocol, state) in
        [(ACK, TCP, 1), (syn_ack, TCP, 3), (L4::Udp, UDP, 0), (L4::UdpUnsummed, UDP, 0)]
    {
        let p = answer(l4);
        let given = Given::service(protocol, Scheduler::Rr, &[Real::nat(1).local()]);
        let given = given.conn(40000, 0, state);
        let out = p.with(|p| (p.src, p.sport) = (VIP, 80)).bytes();
        let says = format!("{l4:?} of a local server leaves as the service's");
        let len = p.datagram().len() as u64;
        let row = Row::new(says, given, p.bytes(), Reason::LocalNatReply, Out::Local(out));
        rows.push(row.hook(Hook::Out).then([Then::Stats(0, [0, 0, 0, 1, len])]));
    }
    rows
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [known(), begins(), datagrams(), checksums(), ecn(), ports(), places(), local_answers()]
        .concat()
}

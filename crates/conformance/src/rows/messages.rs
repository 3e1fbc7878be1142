//! ICMP errors of the director's own, and packets that are too long.

use etherparse::{Icmpv4Type, icmpv4::DestUnreachableHeader, icmpv4::TimeExceededCode};
use xlvs_datapath::{Reason, state, tick_of};
use xlvs_sched::Scheduler;

use super::{Hook, Out, Row, TCP, Then, UDP, direct, nat, tunnel};
use crate::{Flags, Given, L4, NOW, Packet, Real, client_key, icmp};

const SCHEDULERS: [Scheduler; 6] =
    [Scheduler::Rr, Scheduler::Wrr, Scheduler::Lc, Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq];

type Build = fn(&Packet, u8) -> Vec<u8>;

const ACK: L4 = L4::Tcp(Flags::ACK);
const SYN: L4 = L4::Tcp(Flags::SYN);
const PORT: Icmpv4Type = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
const TIME: Icmpv4Type = Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit);

const fn too_big(next_hop_mtu: u16) -> Icmpv4Type {
    Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded { next_hop_mtu })
}

/// So many messages were sent in this tick.
fn sent(count: u64) -> impl FnOnce(&mut Given) {
    move |g| g.limiter = u64::from(tick_of(NOW)) << 32 | count
}

fn unreachable() -> Vec<Row> {
    let p = Packet::new(SYN);
    let packets = [
        ("a SYN", p.clone()),
        ("a SYN without payload", p.with(|p| p.payload.clear())),
        ("an odd length", p.with(|p| p.payload = vec![1, 2, 3])),
        ("a length of four and one", p.with(|p| p.payload = vec![9; 5])),
        ("a length of four and two", p.with(|p| p.payload = vec![8; 6])),
        ("the longest that is quoted whole", p.measuring(548)),
        ("one byte more is cut", p.measuring(549)),
        ("a long one is cut", p.measuring(1500)),
        ("options are quoted", p.with(|p| p.options = vec![1; 40])),
        ("padding is not", p.with(|p| p.trailer = vec![0xaa; 9])),
        ("the kernel's type of service", p.with(|p| p.tos = 0xff)),
        ("a precedence is replaced", p.with(|p| p.tos = 0xe0)),
        ("a datagram", p.with(|p| p.l4 = L4::Udp)),
        ("a datagram without checksum", p.with(|p| p.l4 = L4::UdpUnsummed)),
        ("an empty datagram", p.with(|p| (p.l4, p.payload) = (L4::Udp, Vec::new()))),
        ("the last hop", p.with(|p| p.ttl = 1)),
        ("without DF", p.with(|p| p.df = false)),
    ];
    let row = |(says, p): (&str, Packet)| {
        let protocol = if matches!(p.l4, L4::Tcp(_)) { TCP } else { UDP };
        let given = Given::service(protocol, Scheduler::Rr, &[]);
        let says = format!("no server, port unreachable: {says}");
        let out = Out::Back(icmp(PORT, &p));
        Row::new(says, given, p.bytes(), Reason::SentUnreachable, out).then([Then::Entries(0)])
    };
    packets.into_iter().map(row).collect()
}

fn no_server() -> Vec<Row> {
    let p = Packet::new(SYN);
    let mut rows = Vec::new();
    for scheduler in SCHEDULERS {
        for reals in [vec![], vec![Real::direct(1).weight(0), Real::nat(2).weight(0)]] {
            let says = format!("{scheduler:?} with {} servers of weight 0", reals.len());
            let given = Given::service(TCP, scheduler, &reals);
            let out = Out::Back(icmp(PORT, &p));
            rows.push(Row::new(says, given, p.bytes(), Reason::SentUnreachable, out));
        }
    }
    let given = || Given::service(TCP, Scheduler::Rr, &[]);
    let silent = Row::new(
        "a thousand were told in this tick: silence",
        given().but(sent(1000)),
        p.bytes(),
        Reason::NoServer,
        Out::Dropped,
    );
    let last = Row::new(
        "the thousandth is told",
        given().but(sent(999)),
        p.bytes(),
        Reason::SentUnreachable,
        Out::Back(icmp(PORT, &p)),
    );
    let anew = Row::new(
        "another tick counts anew",
        given().but(|g| g.limiter = u64::from(tick_of(NOW) - 1) << 32 | 0xffff),
        p.bytes(),
        Reason::SentUnreachable,
        Out::Back(icmp(PORT, &p)),
    );
    let says = "no room for a message";
    let cramped = Row::new(says, given(), p.bytes(), Reason::NoHeadroom, Out::Dropped);
    rows.extend([silent, last, anew, cramped.hook(Hook::NoRoom)]);
    rows
}

fn hops_left() -> Vec<Row> {
    let mut rows = Vec::new();
    for real in [Real::direct(1), Real::nat(1), Real::tunnel(1)] {
        for ttl in [0, 1] {
            let given = || Given::service(TCP, Scheduler::Rr, &[real]);
            let p = Packet::new(ACK).with(|p| p.ttl = ttl);
            let method = real.dest.method;
            let says = format!("time exceeded at {ttl} hops, method {method}, known connection");
            let (reason, out) = (Reason::SentTimeExceeded, Out::Back(icmp(TIME, &p)));
            let row = Row::new(says, given().established(40000, 0), p.bytes(), reason, out);
            rows.push(row.then([Then::Live(0, 1, 0)]));
            let p = p.with(|p| p.l4 = SYN);
            let key = client_key(&given().dests[0], 40000);
            let says = format!("time exceeded at {ttl} hops, method {method}, new connection");
            let out = Out::Back(icmp(TIME, &p));
            let row = Row::new(says, given(), p.bytes(), reason, out);
            rows.push(row.then([Then::State(key, state::SYN_RECV)]));
        }
    }
    let p = Packet::new(ACK).with(|p| p.ttl = 1);
    let given = Given::service(TCP, Scheduler::Rr, &[Real::direct(1)]).established(40000, 0);
    let says = "time exceeded was told often enough";
    let row = Row::new(says, given.but(sent(1000)), p.bytes(), Reason::TtlExpired, Out::Dropped);
    rows.push(row);
    rows
}

fn lengths() -> Vec<Row> {
    let mut rows = Vec::new();
    let methods: [(Real, Reason, Build, usize); 3] = [
        (Real::direct(1).mtu(1400), Reason::SentDirect, direct, 1400),
        (Real::nat(1).mtu(1400), Reason::SentNat, nat, 1400),
        (Real::tunnel(1).mtu(1400), Reason::SentTunnel, tunnel, 1380),
    ];
    for (real, reason, build, room) in methods {
        let given = || Given::service(TCP, Scheduler::Rr, &[real]).established(40000, 0);
        let (says, p) = (format!("{reason}, MTU 1400"), Packet::new(ACK));
        for df in [true, false] {
            let p = p.measuring(room).with(|p| p.df = df);
            let says = format!("{says}: {room} bytes go, DF {df}");
            rows.push(Row::new(says, given(), p.bytes(), reason, Out::On(build(&p, 1))));
            let given = Given::service(TCP, Scheduler::Rr, &[real]);
            let p = p.with(|p| p.l4 = SYN);
            let says = format!("{reason}, MTU 1400: a new connection's {room} bytes, DF {df}");
            rows.push(Row::new(says, given, p.bytes(), reason, Out::On(build(&p, 1))));
        }
        for len in [room + 1, 1500] {
            let p = p.measuring(len);
            let needed = format!("{says}: {len} bytes and DF are told");
            let out = Out::Back(icmp(too_big(room as u16), &p));
            rows.push(Row::new(needed, given(), p.bytes(), Reason::SentFragNeeded, out));
            let silent = format!("{says}: {len} bytes and DF were told often enough");
            let given_ = given().but(sent(1000));
            rows.push(Row::new(silent, given_, p.bytes(), Reason::TooBig, Out::Dropped));
            let p = p.with(|p| p.df = false);
            let without = format!("{says}: {len} bytes without DF");
            rows.push(Row::new(without, given(), p.bytes(), Reason::TooBig, Out::Dropped));
        }
        let merged = format!("{says}: longer than the interface carries");
        let p = p.measuring(1501);
        rows.push(Row::new(merged, given(), p.bytes(), Reason::Merged, Out::Dropped));
        let p = p.measuring(3000).with(|p| p.df = false);
        let merged = format!("{says}: much longer, without DF");
        rows.push(Row::new(merged, given(), p.bytes(), Reason::Merged, Out::Dropped));
    }
    let jumbo = Given::service(TCP, Scheduler::Rr, &[Real::direct(1).mtu(9000)]);
    let p = Packet::new(ACK).measuring(3000);
    let given = jumbo.established(40000, 0);
    let out = Out::On(direct(&p, 1));
    let says = "a merged frame goes where it fits";
    rows.push(Row::new(says, given, p.bytes(), Reason::SentDirect, out));
    let p = Packet::new(ACK).measuring(1500);
    let given = Given::service(TCP, Scheduler::Rr, &[Real::tunnel(1)]).established(40000, 0);
    let says = "a tunnel over 1500 takes no 1500";
    let out = Out::Back(icmp(too_big(1480), &p));
    rows.push(Row::new(says, given.clone(), p.bytes(), Reason::SentFragNeeded, out));
    let p = p.measuring(1000);
    let says = "no room for a tunnel's header";
    let row = Row::new(says, given, p.bytes(), Reason::NoHeadroom, Out::Dropped);
    rows.push(row.hook(Hook::NoRoom));
    rows
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [unreachable(), no_server(), hops_left(), lengths()].concat()
}

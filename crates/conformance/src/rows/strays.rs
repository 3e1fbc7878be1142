//! Packets of servers by NAT that belong to no connection (`nat_icmp_send`).

use etherparse::{Icmpv4Type, icmpv4::DestUnreachableHeader};
use xlvs_datapath::{Reason, policy::POLICY_NAT_ICMP, tick_of};
use xlvs_sched::Scheduler;

use super::{Out, Row, TCP, Then, UDP, answer, direct};
use crate::{Flags, Given, L4, NOW, Packet, Real, SECOND, VIP, icmp_from, server};

const ACK: L4 = L4::Tcp(Flags::ACK);
const PORT: Icmpv4Type = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);

/// A service by NAT, and its server known by its own end.
fn given(protocol: u8) -> Given {
    Given::service(protocol, Scheduler::Rr, &[Real::nat(1)]).knowing_servers()
}

fn told(says: &str, given: Given, p: &Packet) -> Row {
    let out = Out::Back(icmp_from(SECOND, PORT, p));
    Row::new(says, given, p.bytes(), Reason::SentStray, out).then([Then::Entries(0)])
}

fn left(says: &str, given: Given, p: &Packet) -> Row {
    Row::new(says, given, p.bytes(), Reason::NoService, Out::Untouched)
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    let p = answer(ACK);
    let often = u64::from(tick_of(NOW)) << 32 | 0x3e8;
    let to_service = p.with(|p| (p.dst, p.dport, p.l4) = (VIP, 80, L4::Tcp(Flags::SYN)));
    let client = Packet::new(L4::Tcp(Flags::SYN));
    let direct_too =
        given(TCP).and_service([10, 9, 0, 2], 80, TCP, Scheduler::Rr, &[Real::direct(2)]);
    let other = client.with(|p| p.dst = [10, 9, 0, 2]);
    vec![
        told(
            "a segment that nobody waits for: port unreachable, from our own address",
            given(TCP),
            &p,
        ),
        told("a SYN of a server by NAT", given(TCP), &answer(L4::Tcp(Flags::SYN))),
        told("a long one is quoted in part", given(TCP), &p.measuring(1500)),
        told("a datagram", given(UDP), &answer(L4::Udp)),
        told("one to a service, too: the kernel asks this first", given(TCP), &to_service),
        Row::new(
            "an answer of a connection that is over",
            given(TCP).established(40000, 0).expiring(-1),
            p.bytes(),
            Reason::SentStray,
            Out::Back(icmp_from(SECOND, PORT, &p)),
        ),
        left("a reset is not answered", given(TCP), &answer(L4::Tcp(Flags::RST))),
        left(
            "nor a reset that acknowledges",
            given(TCP),
            &answer(L4::Tcp(Flags::RST | Flags::ACK)),
        ),
        left("another port is the server's own", given(TCP), &p.with(|p| p.sport = 22)),
        left("another host's segment", given(TCP), &p.with(|p| p.src = server(2))),
        left("a datagram from a service's port of TCP", given(TCP), &answer(L4::Udp)),
        left(
            "it is not asked for",
            given(TCP).but(|g| g.settings.policy.flags &= !POLICY_NAT_ICMP),
            &p,
        ),
        Row::new(
            "a frame that a switch flooded",
            given(TCP),
            p.with(|p| p.dmac = [2, 0, 0, 0, 9, 9]).bytes(),
            Reason::NoService,
            Out::Untouched,
        ),
        Row::new(
            "the server was told often enough",
            given(TCP).but(|g| g.limiter = often),
            p.bytes(),
            Reason::Stray,
            Out::Dropped,
        ),
        Row::new(
            "clients of the director notice nothing of it",
            direct_too,
            other.bytes(),
            Reason::SentDirect,
            Out::On(direct(&other, 2)),
        ),
    ]
}

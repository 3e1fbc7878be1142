//! Exactly what the server's side carries, and a byte more, along each way through the code: the
//! short one has rows among the messages.

use etherparse::{Icmpv4Type, icmpv4::DestUnreachableHeader};
use xlvs_datapath::{
    Reason,
    tables::{CONN_TIMED, SETTING_CAREFUL, Word},
};
use xlvs_sched::Scheduler;

use super::{Out, Row, TCP, direct, nat, tunnel};
use crate::{Flags, Given, L4, Packet, Real, icmp};

const SYN: L4 = L4::Tcp(Flags::SYN);
const ACK: L4 = L4::Tcp(Flags::ACK);
const FIN: L4 = L4::Tcp(Flags::FIN | Flags::ACK);

/// Which way a packet takes, the packet, and its world.
fn ways(real: Real) -> Vec<(&'static str, Packet, Given)> {
    let new = || Given::service(TCP, Scheduler::Rr, &[real]);
    let known = || new().established(40000, 0);
    let options = Packet::new(ACK).with(|p| p.options = vec![1; 8]);
    let timed = known().but(|g| {
        for (_, entry) in &mut g.conns {
            entry.word = Word(entry.word.0 | u64::from(CONN_TIMED) << 8);
        }
    });
    let careful = new().but(|g| g.settings.flags |= SETTING_CAREFUL);
    vec![
        ("that changes the state", Packet::new(FIN), known()),
        ("with IP options", options.clone(), known()),
        ("of a service with timeouts of its own", Packet::new(ACK), timed),
        ("that begins a connection with IP options", options.with(|p| p.l4 = SYN), new()),
        ("that begins a connection with care", Packet::new(SYN), careful),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let methods = [
        (Real::direct(1).mtu(1400), Reason::SentDirect, direct as fn(&Packet, u8) -> _, 1400),
        (Real::nat(1).mtu(1400), Reason::SentNat, nat, 1400),
        (Real::tunnel(1).mtu(1400), Reason::SentTunnel, tunnel, 1380),
    ];
    for (real, reason, build, room) in methods {
        for (way, p, given) in ways(real) {
            let whole = p.measuring(room);
            let says = format!("{reason}: {room} bytes {way} fit");
            let out = Out::On(build(&whole, 1));
            rows.push(Row::new(says, given.clone(), whole.bytes(), reason, out));
            let long = p.measuring(room + 1);
            let says = format!("{reason}: a byte more than {room} {way} is told");
            let next_hop_mtu = room as u16;
            let needed = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu };
            let out = Out::Back(icmp(Icmpv4Type::DestinationUnreachable(needed), &long));
            rows.push(Row::new(says, given, long.bytes(), Reason::SentFragNeeded, out));
        }
    }
    rows
}

//! The kernel's table of TCP states (`ip_vs_proto_tcp.c`), written down a second time, one row for
//! each of its cells.

use xlvs_datapath::{Reason, state};
use xlvs_sched::Scheduler;

use super::{Out, Row, TCP, Then, answer, answered, direct, nat};
use crate::{Flags, Given, L4, Packet, Real, client_key, reply_key};

const NAMES: &str = "NO ES SS SR FW TW CL CW LA LI SA";

/// Seconds, in the order of [`NAMES`].
const SECONDS: [u64; 11] = [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120];

/// Whose packet, what it says, and the state after each of [`NAMES`].
const TABLE: &[(Way, &str, u8, &str)] = &[
    (Way::In, "SYN", Flags::SYN, "SR ES ES SR SR SR SR SR SR SR SR"),
    (Way::In, "FIN", Flags::FIN | Flags::ACK, "CL CW SS TW TW TW CL CW LA LI TW"),
    (Way::In, "ACK", Flags::ACK | Flags::PSH, "ES ES SS ES FW TW CL CW CL LI ES"),
    (Way::In, "RST", Flags::RST | Flags::ACK, "CL CL CL SR CL CL CL CL LA LI SR"),
    (Way::In, "nothing", 0, "CL CL CL CL CL CL CL CL CL CL CL"),
    (Way::Out, "SYN", Flags::SYN | Flags::ACK, "SS ES SS SR SS SS SS SS SS LI SR"),
    (Way::Out, "FIN", Flags::FIN | Flags::ACK, "TW FW SS TW FW TW CL TW LA LI TW"),
    (Way::Out, "ACK", Flags::ACK, "ES ES SS ES FW TW CL CW LA ES ES"),
    (Way::Out, "RST", Flags::RST, "CL CL SS CL CL TW CL CL CL CL CL"),
    (Way::Out, "nothing", Flags::PSH, "CL CL CL CL CL CL CL CL CL CL CL"),
    (Way::InOnly, "SYN", Flags::SYN, "SR ES ES SR SR SR SR SR SR SR SR"),
    (Way::InOnly, "FIN", Flags::FIN | Flags::ACK, "CL FW SS TW FW TW CL CW LA LI TW"),
    (Way::InOnly, "ACK", Flags::ACK, "ES ES SS ES FW TW CL CW CL LI ES"),
    (Way::InOnly, "RST", Flags::RST, "CL CL CL SR CL CL CL CL LA LI CL"),
    (Way::InOnly, "nothing", Flags::URG, "CL CL CL CL CL CL CL CL CL CL CL"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The client's packet by NAT.
    In,
    /// The server's answer by NAT.
    Out,
    /// The client's packet by direct routing.
    InOnly,
}

fn number(name: &str) -> u8 {
    NAMES.split(' ').position(|n| n == name).unwrap() as u8
}

fn row(way: Way, says: &str, flags: u8, before: &str, after: &str) -> Row {
    let real = if way == Way::InOnly { Real::direct(1) } else { Real::nat(1) };
    let (old, new) = (number(before), number(after));
    let given = Given::service(TCP, Scheduler::Rr, &[real]).conn(40000, 0, old);
    let dest = given.dests[0];
    let (client, reply) = (client_key(&dest, 40000), reply_key(&dest, 40000));
    let p = if way == Way::Out { answer(L4::Tcp(flags)) } else { Packet::new(L4::Tcp(flags)) };
    let (reason, out) = match way {
        Way::In => (Reason::SentNat, Out::On(nat(&p, 1))),
        Way::Out => (Reason::SentNatReply, Out::Back(answered(&p))),
        Way::InOnly => (Reason::SentDirect, Out::On(direct(&p, 1))),
    };
    let mut then = vec![Then::State(client, new)];
    let life = SECONDS[usize::from(new)];
    let active = matches!(after, "ES" | "SS" | "SR" | "SA");
    then.push(Then::Live(0, active.into(), (!active).into()));
    let closing = matches!(before, "TW" | "CL") || before == "FW" && way == Way::InOnly;
    let again = way != Way::Out && says == "SYN" && closing;
    let len = p.datagram().len() as u64;
    then.push(Then::Stats(
        0,
        match way {
            Way::Out => [0, 0, 0, 1, len],
            _ => [again.into(), 1, len, 0, 0],
        },
    ));
    // The entry that the packet met is good for the state's time; the other one too, if there was a
    // change to tell it.
    let changed = old != new || again;
    if changed || way != Way::Out {
        then.push(Then::Life(client, life));
    }
    if way != Way::InOnly {
        then.push(Then::State(reply, new));
        if changed || way == Way::Out {
            then.push(Then::Life(reply, life));
        }
    }
    let says = format!("{way:?}: {says} takes {before} to {after}");
    Row::new(says, given, p.bytes(), reason, out).then(then)
}

/// One row for each cell.
pub(super) fn rows() -> Vec<Row> {
    const { assert!(state::SYNACK == 10 && state::LAST_ACK == 8 && state::ESTABLISHED == 1) };
    let cells = TABLE.iter().flat_map(|(way, says, flags, after)| {
        let pairs = NAMES.split(' ').zip(after.split(' '));
        pairs.map(|(before, after)| row(*way, says, *flags, before, after))
    });
    cells.collect()
}

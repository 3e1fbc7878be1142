//! Thresholds of servers.

use etherparse::{Icmpv4Type, icmpv4::DestUnreachableHeader};
use xlvs_datapath::{Reason, state};
use xlvs_sched::Scheduler;

use super::{Out, Row, TCP, Then, direct};
use crate::{Flags, Given, L4, Packet, Real, client_key, icmp};

fn syn() -> Packet {
    Packet::new(L4::Tcp(Flags::SYN))
}

/// Two servers, the first with these thresholds and so many connections.
fn two(scheduler: Scheduler, thresholds: (u32, u32), connections: u16) -> Given {
    let (upper, lower) = thresholds;
    let reals = [Real::direct(1).thresholds(upper, lower), Real::direct(2)];
    let given = Given::service(TCP, scheduler, &reals);
    (0..connections).fold(given, |given, n| given.established(1000 + n, 0))
}

/// Who gets the next connection, and whether the first server then has too many.
fn next(says: &str, given: Given, chosen: u32, overloaded: bool) -> Row {
    let key = client_key(&given.dests[0], 40000);
    let out = Out::On(direct(&syn(), chosen as u8 + 1));
    let row = Row::new(says, given, syn().bytes(), Reason::SentDirect, out);
    row.then([Then::Slot(key, chosen), Then::Overloaded(0, overloaded)])
}

fn thresholds() -> Vec<Row> {
    use Scheduler::{Fo, Lc, Nq, Ovf, Rr, Sed, Wlc, Wrr};
    let mut rows = vec![
        next("below the upper threshold", two(Rr, (3, 0), 1), 0, false),
        next("the one that reaches it", two(Rr, (3, 0), 2), 0, true),
        next("no upper threshold, though a lower one", two(Rr, (0, 1), 2), 0, false),
        next("still too many, as it has not come down", two(Rr, (5, 2), 3).overloaded(0), 1, true),
    ];
    for scheduler in [Rr, Wrr, Lc, Wlc, Sed, Nq, Fo, Ovf] {
        let says = format!("{scheduler:?} passes over who has too many");
        // By number of connections or weight the first would be next.
        let given = two(scheduler, (1, 0), 1).overloaded(0);
        let given = [2000, 2001, 2002].into_iter().fold(given, |g, port| g.established(port, 1));
        let given = if scheduler == Ovf { given.but(|g| g.orders[1].weight = 9) } else { given };
        rows.push(next(&says, given, 1, true));
    }
    rows
}

/// A connection of the same client ends where the next begins.
fn another_life() -> Vec<Row> {
    let closed = |thresholds| two(Scheduler::Rr, thresholds, 0).conn(40000, 0, state::CLOSE);
    vec![
        next("the new life begins before the old one ends: too many", closed((2, 1)), 0, true),
        next("and the old one's end brings it down", closed((2, 0)), 0, false),
        next(
            "who had too many gives its only one away, and may have more",
            closed((1, 0)).overloaded(0),
            1,
            false,
        ),
    ]
}

/// Nobody may have the client's next connection; the one before it has ended all the same.
fn nobody() -> Vec<Row> {
    let real = |real: Real| real.thresholds(1, 0);
    let row = |says: &str, real: Real, entries| {
        let given = Given::service(TCP, Scheduler::Rr, &[real]);
        let given = given.conn(40000, 0, state::TIME_WAIT).overloaded(0);
        let key = client_key(&given.dests[0], 40000);
        let port = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
        let refusal = Out::Back(icmp(port, &syn()));
        let row = Row::new(says, given, syn().bytes(), Reason::SentUnreachable, refusal);
        row.then([Then::Life(key, 0), Then::Entries(entries), Then::Overloaded(0, true)])
    };
    vec![
        row("the connection before one that nobody may have ends", real(Real::direct(1)), 1),
        row("so it does by NAT", real(Real::nat(1)), 2),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [thresholds(), another_life(), nobody()].concat()
}

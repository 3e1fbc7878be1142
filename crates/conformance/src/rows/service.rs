//! Which packets begin a connection, and with whom.

use xlvs_datapath::{
    Cell64, Reason, state,
    tables::{Plan, SETTING_MIGRATING},
};
use xlvs_sched::{Scheduler, wrr_state};

use super::{Out, Row, TCP, Then, UDP, direct};
use crate::{Flags, Given, L4, Packet, Real, client_key};

fn syn() -> Packet {
    Packet::new(L4::Tcp(Flags::SYN))
}

/// Segments that begin nothing.
fn no_beginning() -> Vec<Row> {
    let flags = [
        ("an ACK", Flags::ACK),
        ("a FIN", Flags::FIN | Flags::ACK),
        ("a bare FIN", Flags::FIN),
        ("an RST", Flags::RST),
        ("an RST with a SYN", Flags::RST | Flags::SYN),
        ("a segment without flags", 0),
        ("a PSH", Flags::PSH),
        ("an URG", Flags::URG),
    ];
    let row = |(says, flags): (&str, u8)| {
        let p = Packet::new(L4::Tcp(flags));
        let given = Given::service(TCP, Scheduler::Rr, &[Real::direct(1)]);
        let says = format!("{says} of no connection is the kernel's");
        let then = [Then::Entries(0), Then::Stats(0, [0; 5])];
        Row::new(says, given, p.bytes(), Reason::NoConnection, Out::Untouched).then(then)
    };
    let mut rows: Vec<Row> = flags.into_iter().map(row).collect();
    for (l4, protocol) in [(L4::Tcp(Flags::SYN), TCP), (L4::Udp, UDP)] {
        let p = Packet::new(l4).with(|p| p.sport = 20);
        let given = Given::service(protocol, Scheduler::Rr, &[Real::direct(1)]);
        let says = format!("{l4:?} from FTP's data port begins nothing");
        rows.push(Row::new(says, given, p.bytes(), Reason::NoConnection, Out::Untouched));
        let p = p.with(|p| p.sport = 21);
        let given = Given::service(protocol, Scheduler::Rr, &[Real::direct(1)]);
        let says = format!("{l4:?} from the port beside it does");
        rows.push(Row::new(says, given, p.bytes(), Reason::SentDirect, Out::On(direct(&p, 1))));
    }
    rows
}

/// While connections move from an older table.
fn migrating() -> Vec<Row> {
    let given = |protocol| {
        Given::service(protocol, Scheduler::Rr, &[Real::direct(1)])
            .but(|g| g.settings.flags = SETTING_MIGRATING)
    };
    let (ack, udp) = (Packet::new(L4::Tcp(Flags::ACK)), Packet::new(L4::Udp));
    vec![
        Row::new(
            "migrating: a SYN begins a connection",
            given(TCP),
            syn().bytes(),
            Reason::SentDirect,
            Out::On(direct(&syn(), 1)),
        ),
        Row::new(
            "migrating: a segment of a connection that has not come yet waits",
            given(TCP),
            ack.bytes(),
            Reason::Migrating,
            Out::Dropped,
        ),
        Row::new(
            "migrating: so does a datagram",
            given(UDP),
            udp.bytes(),
            Reason::Migrating,
            Out::Dropped,
        ),
        Row::new(
            "migrating: a connection that is here goes on",
            given(TCP).established(40000, 0),
            ack.bytes(),
            Reason::SentDirect,
            Out::On(direct(&ack, 1)),
        ),
        Row::new(
            "migrating: an address without services is none of ours",
            given(TCP),
            ack.with(|p| p.dport = 99).bytes(),
            Reason::NoService,
            Out::Untouched,
        ),
    ]
}

/// Scheduler, weights, active and inactive connections, who is chosen, and why.
type Choice = (Scheduler, [u32; 3], [(u16, u16); 3], u32, &'static str);

/// The schedulers' choices, by the load that is there.
fn choices() -> Vec<Row> {
    use Scheduler::{Lc, Nq, Rr, Sed, Wlc, Wrr};
    let idle = [(0, 0); 3];
    let rows: [Choice; 19] = [
        (Rr, [1, 1, 1], idle, 0, "the first of the list"),
        (Rr, [0, 1, 1], idle, 1, "not who has no weight"),
        (Rr, [0, 0, 1], idle, 2, "the only one"),
        (Wrr, [2, 3, 4], idle, 2, "the heaviest"),
        (Wrr, [4, 3, 2], idle, 0, "the heaviest again"),
        (Lc, [1, 9, 1], [(1, 0), (1, 0), (0, 0)], 2, "the least, whatever the weights"),
        (Lc, [1, 1, 1], [(1, 0), (0, 3), (0, 4)], 1, "one active is worth 257 inactive"),
        (Lc, [0, 1, 1], [(0, 0), (2, 0), (1, 0)], 2, "not who has no weight"),
        (Lc, [1, 1, 1], [(1, 1), (1, 0), (1, 0)], 1, "ties go to the first"),
        (Wlc, [4, 1, 1], [(3, 0), (1, 0), (1, 0)], 0, "the least for its weight"),
        (Wlc, [2, 1, 1], [(2, 0), (1, 0), (1, 0)], 0, "ties go to the first"),
        (Wlc, [1, 1, 3], [(0, 2), (0, 1), (0, 4)], 1, "inactive ones count too"),
        (Wlc, [0, 0, 1], [(0, 0), (0, 0), (9, 0)], 2, "the only one"),
        (Sed, [1, 2, 1], idle, 1, "the strongest first"),
        (Sed, [1, 2, 1], [(0, 0), (1, 0), (0, 0)], 0, "one more for its weight"),
        (Sed, [1, 2, 1], [(0, 9), (1, 0), (1, 0)], 0, "inactive ones do not count"),
        (Nq, [1, 9, 1], [(1, 0), (1, 0), (0, 0)], 2, "the idle one"),
        (Nq, [1, 9, 1], [(1, 0), (1, 0), (1, 0)], 1, "else as sed"),
        (Nq, [0, 9, 1], [(0, 0), (1, 0), (0, 5)], 2, "inactive is idle"),
    ];
    rows.into_iter().map(choice).collect()
}

fn choice((scheduler, weights, load, chosen, says): Choice) -> Row {
    let reals = [1, 2, 3].map(|n| Real::direct(n).weight(weights[usize::from(n) - 1]));
    let mut given = Given::service(TCP, scheduler, &reals);
    let mut sport = 1000;
    for (slot, (active, inactive)) in (0..).zip(load) {
        for n in 0..active + inactive {
            let state = if n < active { state::ESTABLISHED } else { state::FIN_WAIT };
            given = given.conn(sport, slot, state);
            sport += 1;
        }
    }
    let key = client_key(&given.dests[0], 40000);
    let says = format!("{scheduler:?} {weights:?} {load:?}: {says}");
    let out = Out::On(direct(&syn(), chosen as u8 + 1));
    Row::new(says, given, syn().bytes(), Reason::SentDirect, out).then([Then::Slot(key, chosen)])
}

/// The schedulers' memory.
fn memory() -> Vec<Row> {
    let row = |says: &str, scheduler, state, weights: [u32; 3], chosen: u32, then| {
        let reals = [1, 2, 3].map(|n| Real::direct(n).weight(weights[usize::from(n) - 1]));
        let given = Given::service(TCP, scheduler, &reals).but(|g| {
            let plan = g.plans[0].clone();
            g.plans[0] = Plan { state: Cell64::new(state), ..plan };
        });
        let key = client_key(&given.dests[0], 40000);
        let out = Out::On(direct(&syn(), chosen as u8 + 1));
        let row = Row::new(says, given, syn().bytes(), Reason::SentDirect, out);
        row.then([Then::Slot(key, chosen), Then::Memory(0, then)])
    };
    vec![
        row("rr goes on behind the last choice", Scheduler::Rr, 1, [1, 1, 1], 1, 2),
        row("rr goes round", Scheduler::Rr, 3, [1, 1, 1], 0, 1),
        row("rr passes over who has no weight", Scheduler::Rr, 1, [1, 0, 1], 2, 3),
        row("rr survives a shorter list", Scheduler::Rr, 77, [1, 1, 1], 0, 1),
        row(
            "wrr goes on in its pass",
            Scheduler::Wrr,
            wrr_state(1, 3),
            [4, 3, 2],
            1,
            wrr_state(2, 3),
        ),
        row(
            "wrr lowers the threshold",
            Scheduler::Wrr,
            wrr_state(2, 3),
            [4, 3, 2],
            0,
            wrr_state(1, 2),
        ),
        row(
            "wrr begins anew at the greatest",
            Scheduler::Wrr,
            wrr_state(3, 1),
            [2, 3, 4],
            2,
            wrr_state(3, 4),
        ),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [no_beginning(), migrating(), choices(), memory()].concat()
}

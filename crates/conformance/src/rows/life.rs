//! Entries that expire, begin again, stand in each other's way, or find no room.

use xlvs_datapath::{
    Reason, state,
    tables::{CONN_DEAD, Order, Word},
};
use xlvs_sched::Scheduler;

use super::{Out, Row, TCP, Then, UDP, direct, nat};
use crate::{
    CLIENT, CONNS, Entry, Flags, Given, L4, NOW, Packet, Real, VIP, addr, client_key, reply_key,
};

fn tcp(flags: u8) -> Packet {
    Packet::new(L4::Tcp(flags))
}

fn one(real: Real) -> Given {
    Given::service(TCP, Scheduler::Rr, &[real])
}

fn expired() -> Vec<Row> {
    let (syn, ack) = (tcp(Flags::SYN), tcp(Flags::ACK));
    let given = |seconds| one(Real::direct(1)).established(40000, 0).expiring(seconds);
    let key = client_key(&given(0).dests[0], 40000);
    let no = Reason::NoConnection;
    let sent = Reason::SentDirect;
    let mut rows = vec![
        Row::new("expired now: an ACK is nobody's", given(0), ack.bytes(), no, Out::Untouched),
        Row::new("expired long ago", given(-500), ack.bytes(), no, Out::Untouched),
        Row::new("a second left", given(1), ack.bytes(), sent, Out::On(direct(&ack, 1))),
        Row::new(
            "expired: a SYN begins anew",
            given(0),
            syn.bytes(),
            sent,
            Out::On(direct(&syn, 1)),
        )
        .then([
            Then::State(key, state::SYN_RECV),
            Then::Life(key, 60),
            Then::Live(0, 1, 0),
            Then::Stats(0, [1, 1, syn.datagram().len() as u64, 0, 0]),
        ]),
    ];
    let udp = Packet::new(L4::Udp);
    let given = Given::service(UDP, Scheduler::Rr, &[Real::direct(1), Real::direct(2)])
        .conn(40000, 1, state::NONE)
        .expiring(0);
    let key = client_key(&given.dests[0], 40000);
    let says = "an expired flow is scheduled anew";
    let row = Row::new(says, given, udp.bytes(), sent, Out::On(direct(&udp, 1)));
    rows.push(row.then([Then::Slot(key, 0), Then::Live(0, 0, 1), Then::Live(1, 0, 0)]));
    // With NAT a connection lives by its answers.
    let given = one(Real::nat(1)).established(40000, 0).but(|g| g.conns[0].1.expires = NOW);
    let says = "the client's entry has expired, that for answers lives";
    let out = Out::On(nat(&ack, 1));
    rows.push(Row::new(says, given.clone(), ack.bytes(), Reason::SentNat, out));
    let given = given.but(|g| g.conns[1].1.expires = NOW);
    rows.push(Row::new("neither lives", given, ack.bytes(), no, Out::Untouched));
    rows
}

fn timeouts() -> Vec<Row> {
    let ack = tcp(Flags::ACK);
    let given = || one(Real::direct(1)).established(40000, 0);
    let key = client_key(&given().dests[0], 40000);
    let row = |says: &str, given| {
        let out = Out::On(direct(&ack, 1));
        Row::new(says, given, ack.bytes(), Reason::SentDirect, out)
    };
    let (old, due) = (900_000_000_000 - (1 << 28), NOW + 1);
    vec![
        row(
            "a timeout that was set since counts",
            given().but(|g| {
                g.settings.timeouts[1] = 10_000_000_000;
            }),
        )
        .then([Then::Life(key, 10)]),
        row(
            "a quarter of a second is not worth a write",
            given().but(|g| {
                g.conns[0].1.expires = NOW + old;
                g.conns[0].1.origin = due;
            }),
        )
        .then([Then::LifeNs(key, old)]),
        row(
            "when it is due it is",
            given().but(|g| {
                g.conns[0].1.expires = NOW + old;
                g.conns[0].1.origin = due - 1;
            }),
        )
        .then([Then::Life(key, 900)]),
    ]
}

fn removed() -> Vec<Row> {
    let mut rows = Vec::new();
    for real in [Real::direct(1), Real::nat(1), Real::tunnel(1)] {
        let given = one(real.removed()).established(40000, 0);
        let says = format!("the server was removed, method {}", real.dest.method);
        let frame = tcp(Flags::ACK).bytes();
        let row = Row::new(says, given, frame, Reason::ServerRemoved, Out::Dropped);
        rows.push(row.then([Then::Live(0, 1, 0), Then::Stats(0, [0; 5])]));
    }
    // In its place another serves: the closing entry of the removed one begins again there.
    let given = Given::service(TCP, Scheduler::Rr, &[Real::direct(1).removed(), Real::direct(2)])
        .conn(40000, 0, state::TIME_WAIT)
        .but(|g| {
            g.orders[0] = Order { slot: 1, weight: 1 };
            g.plans[0].count = 1;
        });
    let syn = tcp(Flags::SYN);
    let key = client_key(&given.dests[0], 40000);
    let says = "a closing connection of a removed server begins again elsewhere";
    let out = Out::On(direct(&syn, 2));
    let row = Row::new(says, given, syn.bytes(), Reason::SentDirect, out);
    rows.push(row.then([Then::Slot(key, 1), Then::Live(0, 0, 0), Then::Live(1, 1, 0)]));
    rows
}

/// A SYN on a closing entry.
fn again() -> Vec<Row> {
    let syn = tcp(Flags::SYN);
    let mut rows = Vec::new();
    for state in [state::TIME_WAIT, state::CLOSE] {
        let given =
            Given::service(TCP, Scheduler::Rr, &[Real::nat(2), Real::nat(1)]).conn(40000, 1, state);
        let (key, old) = (client_key(&given.dests[0], 40000), reply_key(&given.dests[1], 40000));
        let new = reply_key(&given.dests[0], 40000);
        let says = format!("from state {state} another server may follow, by NAT");
        let out = Out::On(nat(&syn, 2));
        let row = Row::new(says, given, syn.bytes(), Reason::SentNat, out);
        rows.push(row.then([
            Then::Slot(key, 0),
            Then::Gone(old),
            Then::State(new, state::SYN_RECV),
            Then::Live(0, 1, 0),
            Then::Live(1, 0, 0),
            Then::Entries(2),
        ]));
    }
    let given = Given::service(TCP, Scheduler::Rr, &[Real::direct(2), Real::nat(1)]).conn(
        40000,
        1,
        state::TIME_WAIT,
    );
    let old = reply_key(&given.dests[1], 40000);
    let says = "and another method: the entry for answers goes";
    let out = Out::On(direct(&syn, 2));
    let row = Row::new(says, given, syn.bytes(), Reason::SentDirect, out);
    rows.push(row.then([Then::Gone(old), Then::Entries(1)]));
    let given = Given::service(TCP, Scheduler::Rr, &[Real::nat(2), Real::direct(1)]).conn(
        40000,
        1,
        state::CLOSE,
    );
    let new = reply_key(&given.dests[0], 40000);
    let says = "or one comes";
    let row = Row::new(says, given, syn.bytes(), Reason::SentNat, Out::On(nat(&syn, 2)));
    rows.push(row.then([Then::State(new, state::SYN_RECV), Then::Entries(2)]));
    rows
}

/// Two services whose answers would look alike.
fn crossed() -> Vec<Row> {
    let given = || {
        Given::service(TCP, Scheduler::Rr, &[Real::nat(1)])
            .and_service(VIP, 81, TCP, Scheduler::Rr, &[Real::nat(1)])
            .established(40000, 0)
    };
    let syn = tcp(Flags::SYN).with(|p| p.dport = 81);
    let second = client_key(&given().dests[1], 40000);
    let reply = reply_key(&given().dests[1], 40000);
    let taken = Reason::ReplyKeyTaken;
    let out = || Out::On(nat(&syn, 1));
    let mut rows = vec![
        Row::new("the server's end is taken", given(), syn.bytes(), taken, Out::Dropped)
            .then([Then::Gone(second), Then::Entries(2)]),
        Row::new(
            "from another port it is free",
            given(),
            syn.with(|p| p.sport = 40001).bytes(),
            Reason::SentNat,
            Out::On(nat(&syn.with(|p| p.sport = 40001), 1)),
        ),
        Row::new(
            "whose connection has expired gives way",
            given().expiring(0),
            syn.bytes(),
            Reason::SentNat,
            out(),
        )
        .then([Then::Slot(reply, 1), Then::State(reply, state::SYN_RECV)]),
        Row::new(
            "an entry for answers without its connection gives way",
            given().but(|g| {
                g.conns.remove(0);
            }),
            syn.bytes(),
            Reason::SentNat,
            out(),
        )
        .then([Then::Slot(reply, 1), Then::Entries(2)]),
    ];
    let client = given().but(|g| {
        g.conns.truncate(2);
        let entry = Entry { word: Word::new(1, 0x07, 0), ..g.conns[0].1 };
        g.conns[1] = (reply, entry);
    });
    let says = "the server's own connection to the client has the key";
    rows.push(Row::new(says, client, syn.bytes(), taken, Out::Dropped));
    let dead = given().expiring(0).but(|g| {
        g.conns[1].1.word = Word(g.conns[1].1.word.0 | u64::from(CONN_DEAD) << 8);
    });
    let says = "the entry for answers is being removed";
    rows.push(Row::new(says, dead, syn.bytes(), Reason::EntryBusy, Out::Dropped));
    rows
}

/// Other clients' connections.
fn crowd(given: Given, n: u32) -> Given {
    given.but(|g| {
        for i in 0..n {
            let src = [10, 0, 1, i as u8];
            let key = client_key(&g.dests[0], 1000).with_src(addr(src));
            let word = Word::new(state::ESTABLISHED, 0x07, 0);
            let expires = NOW + 1_000_000_000;
            g.conns.push((key, Entry { expires, word, hop: 0, origin: 0 }));
        }
    })
}

fn full() -> Vec<Row> {
    let (syn, ack) = (tcp(Flags::SYN), tcp(Flags::ACK));
    let (direct_, nat_) = (|| one(Real::direct(1)), || one(Real::nat(1)));
    let full = Reason::TableFull;
    let room = CONNS as usize;
    vec![
        Row::new("a full table", crowd(direct_(), CONNS), syn.bytes(), full, Out::Dropped)
            .then([Then::Entries(room), Then::Stats(0, [0; 5])]),
        Row::new(
            "the last place",
            crowd(direct_(), CONNS - 1),
            syn.bytes(),
            Reason::SentDirect,
            Out::On(direct(&syn, 1)),
        )
        .then([Then::Entries(room)]),
        Row::new("NAT and a full table", crowd(nat_(), CONNS), syn.bytes(), full, Out::Dropped)
            .then([Then::Entries(room)]),
        Row::new("NAT needs two places", crowd(nat_(), CONNS - 1), syn.bytes(), full, Out::Dropped)
            .then([Then::Entries(room - 1)]),
        Row::new(
            "NAT with two places",
            crowd(nat_(), CONNS - 2),
            syn.bytes(),
            Reason::SentNat,
            Out::On(nat(&syn, 1)),
        )
        .then([Then::Entries(room)]),
        Row::new(
            "a full table harms nobody in it",
            crowd(direct_().established(40000, 0), CONNS - 1),
            ack.bytes(),
            Reason::SentDirect,
            Out::On(direct(&ack, 1)),
        )
        .then([Then::Entries(room)]),
        Row::new(
            "an expired entry of a full table begins again",
            crowd(direct_().established(40000, 0).expiring(0), CONNS - 1),
            syn.bytes(),
            Reason::SentDirect,
            Out::On(direct(&syn, 1)),
        )
        .then([Then::Entries(room)]),
    ]
}

fn torn() -> Vec<Row> {
    let (syn, ack) = (tcp(Flags::SYN), tcp(Flags::ACK));
    let given = || one(Real::direct(1)).established(40000, 0);
    let (torn, busy) = (Reason::Inconsistent, Reason::EntryBusy);
    let nowhere = given().but(|g| g.conns[0].1.word = Word::new(1, 0x07, 5000));
    let no_slot = one(Real::direct(1)).but(|g| g.orders[0].slot = 5000);
    let dead = given().but(|g| g.conns[0].1.word = Word::new(1, 0x27, 0));
    let no_plan = one(Real::direct(1)).but(|g| g.services[1].1.plan = 5000);
    let no_scheduler = one(Real::direct(1)).but(|g| g.services[1].1.scheduler = 99);
    debug_assert!(ack.src == CLIENT);
    let kind = etherparse::Icmpv4Type::DestinationUnreachable(
        etherparse::icmpv4::DestUnreachableHeader::Port,
    );
    let told = || Out::Back(crate::icmp(kind.clone(), &syn));
    let unreachable = Reason::SentUnreachable;
    vec![
        Row::new("a connection to a slot that is none", nowhere, ack.bytes(), torn, Out::Dropped),
        Row::new("a list with a slot that is none", no_slot, syn.bytes(), torn, Out::Dropped),
        Row::new("an entry that is being removed", dead.clone(), ack.bytes(), busy, Out::Dropped),
        Row::new("no SYN wakes the dead", dead, syn.bytes(), busy, Out::Dropped),
        Row::new("a plan that is none has no server", no_plan, syn.bytes(), unreachable, told()),
        Row::new("nor an unknown scheduler", no_scheduler, syn.bytes(), unreachable, told()),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [expired(), timeouts(), removed(), again(), crossed(), full(), torn()].concat()
}

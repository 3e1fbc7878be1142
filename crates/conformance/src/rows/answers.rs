//! The answers of servers by NAT, and the way back to the client.

use etherparse::{Icmpv4Type, icmpv4::DestUnreachableHeader, icmpv4::TimeExceededCode};
use xlvs_datapath::{
    Reason, Route, conn, state,
    tables::{CONN_DEAD, ConnKey, Word},
    tick_of,
};
use xlvs_sched::Scheduler;
use xlvs_wire::Mac;

use super::{Hook, Out, Row, TCP, Then, UDP, answer, answered};
use crate::{
    CLIENT, Entry, Flags, GATEWAY, Given, L4, NOW, OTHER_PORT, Packet, Real, SECOND, VIP,
    client_key, icmp_from, reply_key,
};

const ACK: L4 = L4::Tcp(Flags::ACK);

fn given() -> Given {
    Given::service(TCP, Scheduler::Rr, &[Real::nat(1)]).established(40000, 0)
}

fn keys() -> (ConnKey, ConnKey) {
    let dest = given().dests[0];
    (client_key(&dest, 40000), reply_key(&dest, 40000))
}

fn set(given: &mut Given, key: ConnKey, change: impl FnOnce(&mut Entry)) {
    let (_, entry) = given.conns.iter_mut().find(|(k, _)| *k == key).unwrap();
    change(entry);
}

fn row(says: &str, given: Given, p: &Packet, reason: Reason) -> Row {
    let out = match reason {
        Reason::SentNatReply => Out::Back(answered(p)),
        Reason::NoConnection => Out::Untouched,
        _ => Out::Dropped,
    };
    Row::new(says, given, p.bytes(), reason, out)
}

/// With the way to the client known.
fn found(given: Given) -> Given {
    given.but(|g| {
        g.route = Route::None;
        let dest = g.dests[0];
        set(g, reply_key(&dest, 40000), |e| {
            e.hop = Mac::new(GATEWAY).to_u64();
            e.origin = conn::origin(dest.vaddr, dest.vport, tick_of(NOW) as u16 | 1);
        });
    })
}

fn shapes() -> Vec<Row> {
    let p = answer(ACK);
    let packets = [
        ("an answer", p.clone()),
        ("an answer without payload", p.with(|p| p.payload.clear())),
        ("an odd answer", p.with(|p| p.payload.push(1))),
        ("an answer with IP options", p.with(|p| p.options = vec![1; 24])),
        ("an answer with TCP options", p.with(|p| p.tcp_options = vec![1; 24])),
        ("an answer with padding", p.with(|p| p.trailer = vec![3; 5])),
        ("an answer without DF", p.with(|p| p.df = false)),
        ("an answer's last hop but one", p.with(|p| p.ttl = 2)),
        ("an answer of the whole MTU", p.measuring(1500)),
        ("an answer with a type of service", p.with(|p| p.tos = 0x2e << 2)),
    ];
    let (client, reply) = keys();
    let sent = |(says, p): (&str, Packet)| {
        let len = p.datagram().len() as u64;
        let then = [
            Then::Life(reply, 900),
            Then::LifeNs(client, 675_000_000_000),
            Then::Stats(0, [0, 0, 0, 1, len]),
            Then::Live(0, 1, 0),
        ];
        let known = row(says, given(), &p, Reason::SentNatReply).then(then);
        // The same along a way that was found in this tick.
        let found = row(&format!("{says}, way known"), found(given()), &p, Reason::SentNatReply);
        [known, found]
    };
    let mut rows: Vec<Row> = packets.into_iter().flat_map(sent).collect();
    for l4 in [L4::Udp, L4::UdpUnsummed] {
        let given = Given::service(UDP, Scheduler::Rr, &[Real::nat(1)]).conn(40000, 0, state::NONE);
        rows.push(row(&format!("{l4:?} as an answer"), given, &answer(l4), Reason::SentNatReply));
    }
    let candidates =
        (0..=u16::MAX).map(|n| answer(L4::Udp).with(|p| p.payload = n.to_be_bytes().to_vec()));
    let p = candidates.into_iter().find(|p| answered(p)[40..42] == [0xff, 0xff]).unwrap();
    let given = Given::service(UDP, Scheduler::Rr, &[Real::nat(1)]).conn(40000, 0, state::NONE);
    rows.push(row("an answer whose sum becomes zero", given, &p, Reason::SentNatReply));
    let given = Given::service(TCP, Scheduler::Rr, &[Real::nat(1).port(0)]).established(40000, 0);
    let p = answer(ACK).with(|p| p.sport = 80);
    rows.push(row("the answer of a server without a port", given, &p, Reason::SentNatReply));
    rows
}

fn ways() -> Vec<Row> {
    let p = answer(ACK);
    let by = |route| given().but(|g| g.route = route);
    let neighbour = Route::NoNeighbour;
    let found = |port| Route::Found { port, mac: Mac::new(GATEWAY).to_u64() };
    let cached = |routes: u32, tick: u16, mac: [u8; 6]| {
        given().but(|g| {
            g.route = Route::None;
            g.settings.routes = routes;
            set(g, keys().1, |e| {
                e.hop = Mac::new(mac).to_u64();
                let dest = given().dests[0];
                e.origin = conn::origin(dest.vaddr, dest.vport, tick);
            });
        })
    };
    let tick = tick_of(NOW) as u16 | 1;
    let mut rows = vec![
        row("no route to the client", by(Route::None), &p, Reason::NoRoute),
        row("the host must not forward", by(Route::ForwardingOff), &p, Reason::ForwardingOff),
        row("the client's neighbour is unknown", by(neighbour), &p, Reason::NoNeighbour),
        row(
            "the client's neighbour is unknown, but the way it came by is there",
            cached(0, tick - 2, GATEWAY).but(|g| g.route = neighbour),
            &p,
            Reason::SentNatReply,
        ),
        row("a way by a port that is none", by(found(2000)), &p, Reason::NoRoute),
        row("the way was found in this tick", cached(0, tick, GATEWAY), &p, Reason::SentNatReply),
        row("the way is of another tick", cached(0, tick - 2, GATEWAY), &p, Reason::NoRoute),
        row("routes have changed since", cached(2, tick, GATEWAY), &p, Reason::NoRoute),
        row("found since they changed", cached(2, tick + 2, GATEWAY), &p, Reason::SentNatReply),
    ];
    let other = p.on(OTHER_PORT, GATEWAY).with(|p| (p.src, p.sport) = (VIP, 80)).bytes();
    let says = "the client is on the other side";
    rows.push(Row::new(says, by(found(1)), p.bytes(), Reason::SentNatReply, Out::On(other)));
    rows
}

/// Answers that fit, and that do not, whether their way is known or must be found.
fn lengths() -> Vec<Row> {
    let p = answer(ACK);
    let port = 1;
    let sought = given().but(|g| {
        g.ports[1].mtu = 1400;
        g.route = Route::Found { port, mac: Mac::new(GATEWAY).to_u64() };
    });
    let known = found(sought.clone()).but(|g| {
        set(g, keys().1, |e| e.hop |= u64::from(port) << 48);
    });
    let mut rows = Vec::new();
    for (way, given) in [("sought", sought), ("known", known)] {
        let whole = p.measuring(1400);
        let out = whole.on(OTHER_PORT, GATEWAY).with(|p| (p.src, p.sport) = (VIP, 80)).bytes();
        let says = format!("exactly the MTU, way {way}");
        let frame = whole.bytes();
        rows.push(Row::new(says, given.clone(), frame, Reason::SentNatReply, Out::On(out)));
        let long = p.measuring(1401);
        let needed = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
        let told = Out::Back(icmp_from(SECOND, Icmpv4Type::DestinationUnreachable(needed), &long));
        let says = format!("one byte too long, way {way}: the server is told");
        let frame = long.bytes();
        rows.push(Row::new(says, given.clone(), frame, Reason::SentFragNeeded, told));
        let long = long.with(|p| p.df = false);
        let says = format!("one byte too long without DF, way {way}");
        rows.push(row(&says, given.clone(), &long, Reason::TooBig));
        let says = format!("an answer merged by an offload, way {way}");
        rows.push(row(&says, given, &p.measuring(1501), Reason::Merged));
    }
    rows
}

fn ends() -> Vec<Row> {
    let p = answer(ACK);
    let (client, reply) = keys();
    let late = |e: &mut Entry| e.expires = NOW;
    let dead = |e: &mut Entry| e.word = Word(e.word.0 | u64::from(CONN_DEAD) << 8);
    let without = |key: ConnKey| given().but(|g| g.conns.retain(|(k, _)| *k != key));
    let fin = answer(L4::Tcp(Flags::FIN | Flags::ACK));
    let none = Reason::NoConnection;
    let other_life = |e: &mut Entry| e.word = e.word.reborn(1, e.word.flags(), 0);
    vec![
        row("both entries have expired", given().expiring(0), &p, none),
        row("both have just not expired", given().expiring(1), &p, Reason::SentNatReply),
        row(
            "its own has, the client's lives",
            given().but(|g| set(g, reply, late)),
            &p,
            Reason::SentNatReply,
        )
        .then([Then::Life(reply, 900), Then::Life(client, 900)]),
        row(
            "its own lives, the client's has expired",
            given().but(|g| set(g, client, late)),
            &p,
            Reason::SentNatReply,
        )
        .then([Then::Life(reply, 900)]),
        row("no entry for answers", without(reply), &p, Reason::NoService).untouched(),
        row("a change of state without a client's entry", without(client), &fin, none),
        row(
            "a change of state of another life",
            given().but(|g| set(g, client, other_life)),
            &fin,
            none,
        ),
        row(
            "its entry is being removed",
            given().but(|g| set(g, reply, dead)),
            &p,
            Reason::EntryBusy,
        ),
        row(
            "the client's is, and the state changes",
            given().but(|g| set(g, client, dead)),
            &fin,
            Reason::EntryBusy,
        ),
        row("another port of the server", given(), &p.with(|p| p.sport = 8081), Reason::NoService)
            .untouched(),
        row("to another port of the client", given(), &p.with(|p| p.dport = 1), Reason::NoService)
            .untouched(),
    ]
}

impl Row {
    fn untouched(mut self) -> Self {
        self.out = Out::Untouched;
        self
    }
}

fn messages() -> Vec<Row> {
    let time = Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit);
    let p = answer(ACK).with(|p| p.ttl = 1);
    let says = "an answer's last hop: the server is told";
    let out = Out::Back(icmp_from(SECOND, time, &p));
    vec![Row::new(says, given(), p.bytes(), Reason::SentTimeExceeded, out)]
}

/// What the host sends that is none of ours stays as it is, uncounted: no rows can be made of that,
/// but of the states of what is.
fn local() -> Vec<Row> {
    let p = answer(L4::Tcp(Flags::FIN | Flags::ACK));
    let given = Given::service(TCP, Scheduler::Rr, &[Real::nat(1).local()]).established(40000, 0);
    let (client, reply) = keys();
    let out = p.with(|p| (p.src, p.sport) = (VIP, 80)).bytes();
    let says = "a local server closes";
    let row = Row::new(says, given, p.bytes(), Reason::LocalNatReply, Out::Local(out));
    let state = state::FIN_WAIT;
    let then = [Then::State(client, state), Then::State(reply, state), Then::Live(0, 0, 1)];
    debug_assert!(p.dst == CLIENT);
    vec![row.hook(Hook::Out).then(then)]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [shapes(), ways(), lengths(), ends(), messages(), local()].concat()
}

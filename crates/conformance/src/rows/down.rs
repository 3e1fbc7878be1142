//! Servers that are down and whose clients are reset.

use xlvs_datapath::{
    Reason,
    policy::{POLICY_EXPIRE_NODEST, POLICY_RESET_REMOVED},
    state,
    tables::{DEST_AVAILABLE, METHOD_MASQ},
};

use super::{
    Hook, Out, Row, TCP, Then, UDP, direct,
    removed::{given, methods, sent, tcp, to_client, to_server},
};
use crate::{Flags, Given, L4, Packet, Real, client_key, reply_key};

/// What is set for servers that are removed makes no difference.
const POLICIES: [u32; 3] = [0, POLICY_RESET_REMOVED, POLICY_EXPIRE_NODEST];

/// As [`given()`], and its server is down: out of the list, or in it with weight 0.
fn down(protocol: u8, real: Real, policy: u32, state: u8, listed: bool) -> Given {
    given(protocol, real.down(), policy, state).but(|g| {
        if listed {
            g.dests[0].flags |= DEST_AVAILABLE;
        }
    })
}

/// What its clients send.
fn from_clients() -> Vec<Row> {
    let mut rows = Vec::new();
    for (real, policy, listed) in each() {
        let world = || down(TCP, real, policy, state::ESTABLISHED, listed);
        let key = client_key(&world().dests[0], 40000);
        let place = format!("{}, {policy:#x}, {listed}", real.dest.method);
        for p in [
            tcp(Flags::ACK, false),
            tcp(Flags::ACK | Flags::FIN, false),
            tcp(Flags::ACK | Flags::PSH, true),
        ] {
            let says =
                format!("{:?} to a server that is down is for the next program: {place}", p.l4);
            let row = Row::new(says, world(), p.bytes(), Reason::ResetBoth, Out::Untouched);
            let same = [Then::State(key, state::ESTABLISHED), Then::Stats(0, [0; 5])];
            rows.push(row.then(same));
        }
        let p = tcp(Flags::RST, false);
        let (reason, out) = sent(&real, &p);
        let says = format!("a reset of the client's own reaches it: {place}");
        rows.push(Row::new(says, world(), p.bytes(), reason, out));
        let says = format!("what is over is over: {place}");
        let expired = world().expiring(0);
        let p = tcp(Flags::ACK, false);
        let no = Reason::NoConnection;
        rows.push(Row::new(says, expired, p.bytes(), no, Out::Untouched));
        for (protocol, state, p, live) in [
            (TCP, state::ESTABLISHED, tcp(Flags::SYN, false), (1, 0)),
            (TCP, state::SYN_RECV, tcp(Flags::SYN, false), (1, 0)),
            (UDP, state::NONE, Packet::new(L4::Udp), (0, 1)),
        ] {
            let world = down(protocol, real, policy, state, listed);
            let key = client_key(&world.dests[0], 40000);
            let says = format!("{:?} in state {state} moves at once: {place}", p.l4);
            let out = Out::On(direct(&p, 2));
            let row = Row::new(says, world, p.bytes(), Reason::SentDirect, out);
            let moved = [Then::Slot(key, 1), Then::Live(0, 0, 0), Then::Live(1, live.0, live.1)];
            rows.push(row.then(moved).then([Then::Entries(1)]));
        }
    }
    rows
}

fn each() -> impl Iterator<Item = (Real, u32, bool)> {
    let policies = || POLICIES.into_iter().flat_map(|p| [(p, true), (p, false)]);
    methods().into_iter().flat_map(move |real| policies().map(move |(p, l)| (real, p, l)))
}

/// A mere acknowledgement, as a question brings it about.
fn both_sides() -> Vec<Row> {
    let mut rows = Vec::new();
    let p = tcp(Flags::ACK, false);
    for (real, policy, listed) in each() {
        let place = format!("{}, {policy:#x}, {listed}", real.dest.method);
        for (real, out, who) in [
            (real, Out::On(to_server(&real)), "the server's"),
            (real.unknown(), Out::On(to_client()), "the client's, though nobody finds the server"),
        ] {
            for state in [state::ESTABLISHED, state::FIN_WAIT] {
                let world = down(TCP, real, policy, state, listed);
                let dest = world.dests[0];
                let (key, entries) = (client_key(&dest, 40000), world.conns.len());
                let says = format!("an acknowledgement makes resets, {who}: {place}, {state}");
                let row = Row::new(says, world, p.bytes(), Reason::ResetBoth, out.clone());
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
                rows.push(row.then(then).hook(Hook::Ingress));
            }
        }
    }
    rows
}

pub(super) fn rows() -> Vec<Row> {
    [from_clients(), both_sides()].concat()
}

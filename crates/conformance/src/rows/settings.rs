//! What is set by the kernel's names: `conn_reuse_mode`, `expire_nodest_conn`, `sloppy_tcp`.

use xlvs_datapath::{
    Reason,
    policy::{
        ACCESS_DENY, AccessKey, ClientKey, EVERY_SERVICE, NANOSECONDS, POLICY_ACCESS,
        POLICY_EXPIRE_NODEST, POLICY_RESET_REMOVED, POLICY_REUSE, POLICY_REUSE_FIN_WAIT,
        POLICY_SLOPPY_TCP, ServicePolicy, network_mask,
    },
    state,
    tables::{
        CONN_TIMED, DEST_LEAVING, DEST_QUIESCED, METER_CONNECTIONS, METER_DROPS, SETTING_REMOVED,
    },
};
use xlvs_sched::Scheduler;

use super::{Hook, Out, Row, Sweep, TCP, Then, direct};
use crate::{Flags, Given, L4, NOW, Packet, Real, addr, client_key};

fn tcp(flags: u8) -> Packet {
    Packet::new(L4::Tcp(flags))
}

/// A connection to the first of two servers; a next one would go to the second.
fn known(state: u8, flags: u32) -> Given {
    let reals = [Real::direct(1), Real::direct(2)];
    let given = Given::service(TCP, Scheduler::Rr, &reals).conn(40000, 0, state);
    given.but(|g| {
        g.plans[0].state.set(1);
        g.settings.policy.flags = flags;
    })
}

fn goes(says: &str, given: Given, p: &Packet, slot: u8) -> Row {
    let key = client_key(&given.dests[0], 40000);
    let out = Out::On(direct(p, slot + 1));
    let row = Row::new(says, given, p.bytes(), Reason::SentDirect, out);
    row.then([Then::Slot(key, slot.into())])
}

fn reuse() -> Vec<Row> {
    let syn = tcp(Flags::SYN);
    let both = POLICY_REUSE | POLICY_REUSE_FIN_WAIT;
    let mut rows = Vec::new();
    for (flags, mode) in [(0, 0), (POLICY_REUSE, 1), (both, 3)] {
        for (state, name, from) in [
            (state::TIME_WAIT, "TIME_WAIT", 1),
            (state::CLOSE, "CLOSE", 1),
            (state::FIN_WAIT, "FIN_WAIT", 3),
        ] {
            let says = format!("conn_reuse_mode {mode}: a SYN meets {name}");
            rows.push(goes(&says, known(state, flags), &syn, u8::from(mode >= from)));
        }
    }
    let quiesced =
        |flags| known(state::ESTABLISHED, flags).but(|g| g.dests[0].flags |= DEST_QUIESCED);
    rows.push(goes("a SYN of a known connection to a quiesced server", quiesced(both), &syn, 0));
    let says = "with expire_nodest_conn it goes elsewhere";
    rows.push(goes(says, quiesced(both | POLICY_EXPIRE_NODEST), &syn, 1));
    let leaving = |state, flags| {
        known(state, flags).but(|g| g.dests[0].flags |= DEST_QUIESCED | DEST_LEAVING)
    };
    for (state, name, slot) in [
        (state::TIME_WAIT, "TIME_WAIT", 1),
        (state::CLOSE, "CLOSE", 1),
        (state::FIN_WAIT, "FIN_WAIT", 1),
        (state::CLOSE_WAIT, "CLOSE_WAIT", 1),
        (state::LAST_ACK, "LAST_ACK", 1),
        (state::ESTABLISHED, "ESTABLISHED", 0),
        (state::SYN_RECV, "SYN_RECV", 0),
    ] {
        for flags in [0, POLICY_REUSE] {
            let says = format!("a server that is leaving: a SYN meets {name}, policy {flags:#x}");
            rows.push(goes(&says, leaving(state, flags), &syn, slot));
        }
    }
    let says = "where the server is not quiesced it does not";
    rows.push(goes(says, known(state::ESTABLISHED, both | POLICY_EXPIRE_NODEST), &syn, 0));
    rows
}

fn sloppy() -> Vec<Row> {
    let given = || {
        let given = Given::service(TCP, Scheduler::Rr, &[Real::direct(1)]);
        given.asking(|policy| policy.flags |= POLICY_SLOPPY_TCP)
    };
    let (ack, rst) = (tcp(Flags::ACK), tcp(Flags::RST | Flags::ACK));
    let key = client_key(&given().dests[0], 40000);
    vec![
        goes("sloppy_tcp: an ACK begins a connection", given(), &ack, 0)
            .then([Then::State(key, state::ESTABLISHED)]),
        Row::new(
            "sloppy_tcp: an RST does not",
            given(),
            rst.bytes(),
            Reason::NoConnection,
            Out::Untouched,
        )
        .then([Then::Entries(0)]),
    ]
}

/// Whom limits and lists do not concern.
fn bystanders() -> Vec<Row> {
    let ack = tcp(Flags::ACK);
    let web = || Given::service(TCP, Scheduler::Rr, &[Real::direct(1)]);
    let row = |says: &str, given| {
        let row = Row::new(says, given, ack.bytes(), Reason::NoConnection, Out::Untouched);
        row.then([Then::Entries(0)])
    };
    let others = AccessKey::of_network(EVERY_SERVICE, addr([10, 7, 0, 0]), 16);
    let listed = web().asking(|policy| {
        policy.flags |= POLICY_ACCESS;
        policy.drop_rate = 3;
    });
    let listed = listed.but(|g| {
        g.access.push((others, ACCESS_DENY));
        g.meters[METER_DROPS as usize] = 1;
    });
    let says = "a segment of no connection of a client that may come in is not counted";
    let dropping = web().asking(|policy| policy.drop_rate = 3).but(|g| g.meters[0] = 1);
    vec![
        row(says, listed).then([Then::Meter(METER_DROPS, 1)]),
        row("nor is it dropped by a rate", dropping).then([Then::Meter(METER_DROPS, 1)]),
    ]
}

/// A segment that acknowledges nothing tells no number to reset the client with.
fn resets() -> Vec<Row> {
    let given = Given::service(TCP, Scheduler::Rr, &[Real::direct(1).removed()])
        .established(40000, 0)
        .but(|g| {
            g.settings.policy.flags |= POLICY_RESET_REMOVED;
            g.settings.flags |= SETTING_REMOVED;
        });
    let key = client_key(&given.dests[0], 40000);
    let (says, p) = ("a segment without an ACK resets nobody", tcp(Flags::PSH));
    let row = Row::new(says, given, p.bytes(), Reason::ResetBoth, Out::Dropped);
    vec![row.hook(Hook::Ingress).then([Then::State(key, state::ESTABLISHED)])]
}

/// What limits count, when connections end.
pub(super) fn sweeps() -> Vec<Sweep> {
    let policy =
        ServicePolicy { client_max: 9, client_mask: network_mask(24), ..ServicePolicy::default() };
    let web = |real| Given::service(TCP, Scheduler::Rr, &[real]);
    let own = |real| {
        let given = web(real).policy(policy).established(40000, 0).expiring(0);
        let key = ClientKey { service: given.services[1].0, network: addr([10, 0, 0, 0]) };
        (given.but(|g| g.clients.push((key, (3, 0)))), key)
    };
    let (direct, key) = own(Real::direct(1));
    let (nat, _) = own(Real::nat(1));
    let most = web(Real::direct(1)).asking(|policy| policy.conn_max = 9);
    let most = most.established(40000, 0).expiring(0).but(|g| g.meters[1] = 3);
    let nobody = most.clone().but(|g| g.meters[1] = 0);
    let timed = |left| {
        web(Real::direct(1)).established(40000, 0).but(|g| {
            let word = g.conns[0].1.word;
            g.conns[0].1.word = word.with(word.state(), word.flags() | CONN_TIMED);
            g.conns[0].1.expires = NOW + left * NANOSECONDS;
        })
    };
    let sweep = |says, given, then| Sweep { says, given, then };
    let connections = |n| Then::Meter(METER_CONNECTIONS, n);
    vec![
        sweep("a network's connection ends", direct, vec![Then::Entries(0), Then::Client(key, 2)]),
        sweep("by NAT it is one too", nat, vec![Then::Entries(0), Then::Client(key, 2)]),
        sweep("one of all ends", most, vec![Then::Entries(0), connections(2)]),
        sweep("there are never less than none", nobody, vec![connections(0)]),
        sweep("own timeouts: a second left", timed(1), vec![Then::Entries(1)]),
        sweep("own timeouts: due", timed(0), vec![Then::Entries(0)]),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [reuse(), sloppy(), bystanders(), resets()].concat()
}

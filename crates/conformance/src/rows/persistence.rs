//! Templates: who keeps a server, and for how long.

use xlvs_datapath::{
    Reason,
    policy::{POLICY_EXPIRE_TEMPLATE, network_mask},
    state,
    tables::{
        CONN_DEAD, CONN_TEMPLATE, ConnKey, DEST_AVAILABLE, DEST_LEAVING, DEST_QUIESCED, DEST_RESET,
        SERVICE_PERSISTENT, SETTING_ALL_PORTS, Word,
    },
    template::{ASSURED, TEMPLATE_PROTOCOL},
};
use xlvs_sched::Scheduler;

use super::{Out, Row, Sweep, TCP, Then, UDP, direct, nat, tunnel};
use crate::{
    CLIENT, CONNS, Entry, Flags, Given, L4, NOW, Packet, Real, VIP, addr, client_key, reply_key,
};

/// How long a client keeps its server.
const SECONDS: u32 = 300;
const NS: u64 = 1_000_000_000;

fn syn() -> Packet {
    Packet::new(L4::Tcp(Flags::SYN))
}

/// Two servers; clients are told apart by this many bits.
fn given(prefix: u8) -> Given {
    persistent(Given::service(TCP, Scheduler::Rr, &[Real::direct(1), Real::direct(2)]), prefix)
}

fn persistent(given: Given, prefix: u8) -> Given {
    given.but(|g| {
        for (_, service) in g.services.iter_mut().filter(|(key, _)| key.protocol != 0) {
            service.scheduler |= SERVICE_PERSISTENT;
            service.persistence = SECONDS;
            service.mask = network_mask(prefix);
        }
    })
}

/// The template of a client, or of a network by its first address.
fn key_of(client: [u8; 4], port: u16, protocol: u8) -> ConnKey {
    let protocol = u32::from(protocol) | TEMPLATE_PROTOCOL;
    ConnKey::new(addr(client), addr(VIP), 0, port.to_be(), protocol)
}

fn template() -> ConnKey {
    key_of(CLIENT, 80, TCP)
}

/// A template to this slot with so many seconds left that controls so many connections.
fn with(given: Given, key: ConnKey, slot: u32, seconds: i64, controls: u64) -> Given {
    given.but(|g| {
        let expires = NOW.wrapping_add_signed(seconds * NS.cast_signed());
        let word = Word::new(0, CONN_TEMPLATE, slot);
        g.conns.push((key, Entry { expires, word, hop: controls, origin: 0 }));
    })
}

/// What a connection notes of the template that controls it: mask, port, generation, and that there
/// is one.
fn control(generation: u64) -> u64 {
    u64::from(u32::MAX) | u64::from(80_u16.to_be()) << 32 | generation << 48 | 1 << 63
}

/// A connection to slot 1 in this state that the client's template controls.
fn controlled(state: u8, left: i64, generation: u64) -> Given {
    let given = given(32).conn(40000, 1, state).but(|g| g.conns[0].1.hop = control(generation));
    with(given, template(), 1, left, 1)
}

/// The SYN goes to the server in this slot.
fn goes(says: &str, given: Given, slot: u8) -> Row {
    let key = client_key(&given.dests[0], 40000);
    let out = Out::On(direct(&syn(), slot + 1));
    let row = Row::new(says, given, syn().bytes(), Reason::SentDirect, out);
    row.then([Then::Slot(key, slot.into()), Then::State(key, state::SYN_RECV)])
}

fn newcomers() -> Vec<Row> {
    let own = template();
    let network = key_of([10, 0, 0, 0], 80, TCP);
    let kept = |slot, controls, entries| {
        let life = Then::Life(own, SECONDS.into());
        [Then::Slot(own, slot), life, Then::Controls(own, controls), Then::Entries(entries)]
    };
    let full = given(32).but(|g| {
        for n in 0..CONNS {
            let key = client_key(&g.dests[0], 7).with_src(addr([10, 0, 9, n as u8]));
            let word = Word::new(state::ESTABLISHED, 0x07, 0);
            g.conns.push((key, Entry { expires: NOW + NS, word, hop: 0, origin: 0 }));
        }
    });
    let dead = with(given(32), own, 1, 100, 0).but(|g| {
        g.conns[0].1.word = Word(g.conns[0].1.word.0 | u64::from(CONN_DEAD) << 8);
    });
    let refused =
        |says: &str, given, reason| Row::new(says, given, syn().bytes(), reason, Out::Dropped);
    let foreign = key_of([10, 0, 1, 0], 80, TCP);
    vec![
        goes("a client's first connection leaves a template", given(32), 0)
            .then(kept(0, 1, 2))
            .then([Then::State(own, 0), Then::Live(0, 1, 0)]),
        goes("the client's next goes where its template leads", with(given(32), own, 1, 100, 0), 1)
            .then(kept(1, 1, 2)),
        goes("another that the template controls", with(given(32), own, 1, 100, 3), 1)
            .then(kept(1, 4, 2)),
        goes("a neighbour's template leads the client", with(given(24), network, 1, 100, 0), 1)
            .then([Then::Controls(network, 1), Then::Entries(2)]),
        goes("that of another network does not", with(given(24), foreign, 1, 100, 0), 0).then([
            Then::Controls(network, 1),
            Then::Controls(foreign, 0),
            Then::Entries(3),
        ]),
        goes("a network's first leaves a template of the network", given(24), 0)
            .then([Then::Slot(network, 0), Then::Entries(2)]),
        refused("a template finds no room", full, Reason::TableFull),
        refused("a template that is being removed", dead, Reason::EntryBusy),
    ]
}

/// Templates that lead nowhere, or look so.
fn over() -> Vec<Row> {
    let own = template();
    let expiring = |given: Given| given.asking(|policy| policy.flags |= POLICY_EXPIRE_TEMPLATE);
    let quiesced = || with(given(32), own, 1, 100, 0).but(|g| g.dests[1].flags |= DEST_QUIESCED);
    let leaving = quiesced().but(|g| g.dests[1].flags |= DEST_LEAVING);
    let removed = with(given(32), own, 1, 100, 5).but(|g| g.dests[1].flags &= !DEST_AVAILABLE);
    let down = with(given(32), own, 1, 100, 0).but(|g| g.dests[1].flags |= DEST_RESET);
    let anew = [Then::Slot(own, 0), Then::Controls(own, 1), Then::Entries(2)];
    vec![
        goes("a template that has just expired", with(given(32), own, 1, 0, 0), 0)
            .then(anew.clone()),
        goes("a second left of a template", with(given(32), own, 1, 1, 0), 1),
        goes("an expired one leads on while it controls one", with(given(32), own, 1, -9, 1), 1)
            .then([Then::Controls(own, 2), Then::Life(own, SECONDS.into())]),
        goes("a quiesced server keeps its clients", quiesced(), 1),
        goes("but with expire_quiescent_template", expiring(quiesced()), 0).then(anew.clone()),
        goes(
            "which is nothing to others",
            expiring(with(given(32), own, 1, 100, 0).but(|g| g.dests[0].flags |= DEST_QUIESCED)),
            1,
        ),
        goes("one that is leaving keeps nobody", leaving, 0).then(anew.clone()),
        goes("a removed server keeps nobody", removed, 0).then(anew.clone()),
        goes("nor does one that is down and resets its clients", down, 0).then(anew),
    ]
}

/// Connections that a template controls.
fn controls() -> Vec<Row> {
    let own = template();
    let ack = Packet::new(L4::Tcp(Flags::ACK));
    let on = |p: &Packet| Out::On(direct(p, 2));
    let sent = Reason::SentDirect;
    let expired =
        |left| controlled(state::ESTABLISHED, left, 0).but(|g| g.conns[0].1.expires = NOW - NS);
    let counted = [Then::Controls(own, 1), Then::Life(own, SECONDS.into()), Then::Entries(2)];
    vec![
        Row::new(
            "a connection that is established assures its template",
            controlled(state::SYN_RECV, 100, 0),
            ack.bytes(),
            sent,
            on(&ack),
        )
        .then([Then::State(own, ASSURED), Then::Controls(own, 1), Then::Life(own, 100)]),
        Row::new(
            "a connection that no template controls assures none",
            controlled(state::SYN_RECV, 100, 0).but(|g| g.conns[0].1.hop = 0),
            ack.bytes(),
            sent,
            on(&ack),
        )
        .then([Then::State(own, 0)]),
        goes("a SYN begins no other in a closing one's place", controlled(6, 100, 0), 1)
            .then([Then::Stats(1, [0, 1, syn().datagram().len() as u64, 0, 0])]),
        goes("one begins in the place of one that ended", expired(100), 1).then(counted.clone()),
        goes(
            "of another generation's nothing is taken",
            {
                let other = expired(100);
                other.but(|g| g.conns[0].1.hop = control(5))
            },
            1,
        )
        .then([Then::Controls(own, 2)]),
        goes("though the template's time was up", expired(-9), 1).then(counted),
    ]
}

/// By every method, by UDP, and by FTP's two ports.
fn kinds() -> Vec<Row> {
    let mut rows = Vec::new();
    let methods = [
        (Real::nat(2), Reason::SentNat, nat as fn(&Packet, u8) -> _, 3),
        (Real::tunnel(2), Reason::SentTunnel, tunnel, 2),
    ];
    for (real, reason, build, entries) in methods {
        let given = persistent(Given::service(TCP, Scheduler::Rr, &[Real::direct(1), real]), 32);
        let reply = reply_key(&given.dests[1], 40000);
        let given = with(given, template(), 1, 100, 0);
        let says = format!("a template leads to a server, {reason}");
        let row = Row::new(says, given, syn().bytes(), reason, Out::On(build(&syn(), 2)));
        let row = row.then([Then::Entries(entries), Then::Controls(template(), 1)]);
        let answers = Then::Slot(reply, 1);
        rows.push(if entries == 3 { row.then([answers]) } else { row });
    }
    let p = Packet::new(L4::Udp);
    let reals = [Real::direct(1), Real::direct(2)];
    let udp = key_of(CLIENT, 80, UDP);
    let given = with(persistent(Given::service(UDP, Scheduler::Rr, &reals), 32), udp, 1, 9, 0);
    let row = Row::new(
        "a datagram's template leads it",
        with(given, template(), 0, 100, 0),
        p.bytes(),
        Reason::SentDirect,
        Out::On(direct(&p, 2)),
    );
    rows.push(row.then([Then::Controls(udp, 1), Then::Controls(template(), 0)]));
    let ftp = Given::default().and_service(VIP, 21, TCP, Scheduler::Rr, &reals);
    let ftp = || persistent(ftp.clone(), 32).but(|g| g.settings.flags |= SETTING_ALL_PORTS);
    let both = key_of(CLIENT, 0, TCP);
    let control = syn().with(|p| p.dport = 21);
    let on = |p: &Packet, n| Out::On(direct(p, n));
    let says = "FTP's template is for all ports";
    let row = Row::new(says, ftp(), control.bytes(), Reason::SentDirect, on(&control, 1));
    rows.push(row.then([Then::Controls(both, 1), Then::Entries(2)]));
    let data = syn().with(|p| p.dport = 4000);
    let given = with(ftp(), both, 1, 100, 1);
    let says = "FTP's data connection goes to the server of the other";
    let row = Row::new(says, given, data.bytes(), Reason::SentDirect, on(&data, 2));
    rows.push(row.then([Then::Controls(both, 2), Then::Entries(2)]));
    rows
}

/// What the sweep makes of templates.
pub(super) fn sweeps() -> Vec<Sweep> {
    let own = template();
    let key = client_key(&given(32).dests[0], 40000);
    let sweep = |says, given, then| Sweep { says, given, then };
    let ended = |left| controlled(state::ESTABLISHED, left, 0).but(|g| g.conns[0].1.expires = NOW);
    vec![
        sweep(
            "a template whose time is up goes",
            with(given(32), own, 1, 0, 0),
            vec![Then::Entries(0)],
        ),
        sweep(
            "one that controls a connection stays",
            with(given(32), own, 1, -5, 1),
            vec![Then::Controls(own, 1), Then::Entries(1)],
        ),
        sweep(
            "a connection ends, and its template controls one less",
            ended(100),
            vec![Then::Gone(key), Then::Controls(own, 0), Then::Life(own, 100)],
        ),
        sweep(
            "a template that was over when its connection ended has a minute more",
            ended(-10),
            vec![Then::Gone(key), Then::Controls(own, 0), Then::Life(own, 50)],
        ),
        sweep(
            "or as many minutes as it takes",
            ended(-70),
            vec![Then::Gone(key), Then::Controls(own, 0), Then::Life(own, 50)],
        ),
        sweep(
            "a connection of an earlier template of the client is not its",
            ended(-10).but(|g| g.conns[0].1.hop = control(3)),
            vec![Then::Gone(key), Then::Entries(1), Then::Controls(own, 1)],
        ),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [newcomers(), over(), controls(), kinds()].concat()
}

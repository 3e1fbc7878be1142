//! ICMP errors about packets of connections, and of flows that are not known (`schedule_icmp`).

use etherparse::{Icmpv4Type, icmpv4::DestUnreachableHeader, icmpv4::TimeExceededCode};
use xlvs_datapath::{
    Reason, Route,
    policy::POLICY_SCHEDULE_ICMP,
    state,
    tables::{CONN_DEAD, ConnKey, SETTING_CAREFUL},
};
use xlvs_sched::Scheduler;

use super::{Out, Row, TCP, Then, UDP, direct, tunnel};
use crate::{
    CLIENT, DIRECTOR, Flags, GATEWAY, Given, L4, OTHER_PORT, Packet, Real, VIP, client_key,
    icmp_error, reply_key, server, server_mac,
};

/// On the way between clients and the director, or the director and servers.
const ROUTER: [u8; 4] = [10, 0, 0, 254];
const ACK: L4 = L4::Tcp(Flags::ACK);
const NEEDED: Icmpv4Type =
    Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded {
        next_hop_mtu: 1400,
    });
const TIME: Icmpv4Type = Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit);
const PORT: Icmpv4Type = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
const QUENCH: Icmpv4Type = Icmpv4Type::Unknown { type_u8: 4, code_u8: 0, bytes5to8: [0; 4] };
const ECHO: Icmpv4Type = Icmpv4Type::Unknown { type_u8: 8, code_u8: 0, bytes5to8: [0, 1, 0, 1] };

/// What the router says of a packet, of which it quotes so many bytes.
fn error(kind: Icmpv4Type, about: &Packet, quoted: usize) -> Packet {
    let datagram = about.datagram();
    message(kind, about.src, &datagram[..datagram.len().min(quoted)])
}

fn message(kind: Icmpv4Type, to: [u8; 4], quote: &[u8]) -> Packet {
    icmp_error(kind, ROUTER, to, quote).with(|p| p.ttl = 60)
}

/// The same with other addresses and ports in the quoted header, whose own checksum nobody mends.
fn renamed(
    kind: Icmpv4Type,
    about: &Packet,
    quoted: usize,
    change: impl Fn(&mut Packet),
) -> Packet {
    let old = about.datagram();
    let mut new = about.with(change).datagram();
    let ihl = usize::from(old[0] & 15) * 4;
    let at = ihl + if matches!(about.l4, L4::Tcp(_)) { 16 } else { 6 };
    new[at..at + 2].copy_from_slice(&old[at..at + 2]);
    message(kind, about.src, &new[..new.len().min(quoted)])
}

/// What the service sends to the client's port 40000.
fn answer_of_service(l4: L4) -> Packet {
    Packet::new(l4).with(|p| {
        (p.src, p.sport, p.dst, p.dport) = (VIP, 80, CLIENT, 40000);
    })
}

fn to_nat(about: &Packet, kind: Icmpv4Type, quoted: usize) -> Vec<u8> {
    renamed(kind, about, quoted, |p| (p.src, p.sport) = (server(1), 8080))
        .with(|p| p.dst = server(1))
        .on(OTHER_PORT, server_mac(1))
        .bytes()
}

fn known() -> Vec<Row> {
    let mut rows = Vec::new();
    let about = answer_of_service(ACK);
    let long = about.measuring(700);
    let options = about.with(|p| p.options = vec![1; 12]);
    let quotes = [
        ("eight bytes", about.clone(), 28),
        ("a whole packet", about.clone(), 2000),
        ("a long one", long, 548),
        ("one with options", options, 40),
    ];
    for (kind, name) in [(NEEDED, "needed"), (TIME, "time"), (PORT, "port"), (QUENCH, "quench")] {
        for (what, about, quoted) in &quotes {
            let p = error(kind.clone(), about, *quoted);
            for (real, reason, out) in [
                (Real::direct(1), Reason::SentDirect, direct(&p, 1)),
                (Real::tunnel(1), Reason::SentTunnel, tunnel(&p, 1)),
                (Real::nat(1), Reason::SentNat, to_nat(about, kind.clone(), *quoted)),
            ] {
                let given = Given::service(TCP, Scheduler::Rr, &[real]).established(40000, 0);
                let key = client_key(&given.dests[0], 40000);
                let says = format!("an error ({name}) that quotes {what}: {reason}");
                let len = p.datagram().len() as u64;
                rows.push(Row::new(says, given, p.bytes(), reason, Out::On(out)).then([
                    // It moves neither state nor time.
                    Then::State(key, state::ESTABLISHED),
                    Then::Life(key, 675),
                    Then::Stats(0, [0, 1, len, 0, 0]),
                ]));
            }
        }
    }
    for l4 in [L4::Udp, L4::UdpUnsummed] {
        let about = answer_of_service(l4);
        let given = Given::service(UDP, Scheduler::Rr, &[Real::nat(1)]).conn(40000, 0, state::NONE);
        let out = Out::On(to_nat(&about, PORT, 48));
        let says = format!("an error about {l4:?} of a service by NAT");
        rows.push(Row::new(says, given, error(PORT, &about, 48).bytes(), Reason::SentNat, out));
    }
    rows
}

fn unusual() -> Vec<Row> {
    let about = answer_of_service(ACK);
    let p = error(NEEDED, &about, 28);
    let given = |real| Given::service(TCP, Scheduler::Rr, &[real]).established(40000, 0);
    let local = renamed(NEEDED, &about, 28, |p| (p.src, p.sport) = (server(1), 8080))
        .with(|p| p.dst = server(1))
        .bytes();
    let options = p.with(|p| p.options = vec![1; 40]);
    let row = Row::new;
    vec![
        row(
            "an error with IP options",
            given(Real::direct(1)),
            options.bytes(),
            Reason::SentDirect,
            Out::On(direct(&options, 1)),
        ),
        row(
            "an error for a server on this host",
            given(Real::direct(1).local()),
            p.bytes(),
            Reason::LocalDirect,
            Out::Untouched,
        ),
        row(
            "an error for a server by NAT on this host",
            given(Real::nat(1).local()),
            p.bytes(),
            Reason::LocalNat,
            Out::Local(local),
        ),
    ]
}

/// What becomes of an error that does not reach its end, or reaches one that is removed.
fn undelivered() -> Vec<Row> {
    let p = error(NEEDED, &answer_of_service(ACK), 28);
    let given = |real| Given::service(TCP, Scheduler::Rr, &[real]).established(40000, 0);
    let dead = |g: &mut Given| {
        let word = &mut g.conns[0].1.word;
        *word = word.with(word.state(), word.flags() | CONN_DEAD);
    };
    let last = p.with(|p| p.ttl = 1);
    let row = Row::new;
    vec![
        row(
            "an error for a server whose neighbour is unknown",
            given(Real::direct(1).unknown()),
            p.bytes(),
            Reason::NoNeighbour,
            Out::Dropped,
        ),
        row(
            "an error for a removed server still reaches it",
            given(Real::direct(1).removed()),
            p.bytes(),
            Reason::SentDirect,
            Out::On(direct(&p, 1)),
        ),
        row(
            "nobody is told that an error's hops ran out",
            given(Real::direct(1)),
            last.bytes(),
            Reason::TtlExpired,
            Out::Dropped,
        ),
        row(
            "nor that it is too long",
            given(Real::tunnel(1).mtu(70)),
            p.bytes(),
            Reason::TooBig,
            Out::Dropped,
        ),
        row(
            "an error about an entry that is being removed",
            given(Real::direct(1)).but(dead),
            p.bytes(),
            Reason::EntryBusy,
            Out::Dropped,
        ),
    ]
}

/// What is left to the host.
fn none_of_ours() -> Vec<Row> {
    let about = answer_of_service(ACK);
    let given = || Given::service(TCP, Scheduler::Rr, &[Real::direct(1)]).established(40000, 0);
    let fragment = about.with(|p| (p.df, p.offset) = (false, 100));
    let mut version = error(NEEDED, &about, 28);
    version.payload[8] = 0x65;
    let mut short = error(NEEDED, &about, 28);
    short.payload[8] = 0x44;
    [
        ("an echo request", error(ECHO, &about, 28)),
        ("a fragment of an error", error(NEEDED, &about, 28).with(|p| p.mf = true)),
        ("an error about a later fragment", error(NEEDED, &fragment, 28)),
        ("an error that quotes no ports", error(NEEDED, &about, 22)),
        ("an error that quotes no header", error(NEEDED, &about, 12)),
        ("an error about IPv6", version),
        ("an error about a header that is too short", short),
        ("an error about ICMP", error(NEEDED, &about.with(|p| p.l4 = L4::Other(1)), 28)),
        ("an error about another flow", error(NEEDED, &about.with(|p| p.dport = 4), 28)),
        ("an error for somebody else", error(NEEDED, &about, 28).with(|p| p.dst = [10, 9, 9, 9])),
    ]
    .into_iter()
    .map(|(says, p)| Row::new(says, given(), p.bytes(), Reason::OtherProtocol, Out::Untouched))
    .collect()
}

/// From the servers' side: about what NAT sent there.
fn to_clients() -> Vec<Row> {
    let given = || Given::service(TCP, Scheduler::Rr, &[Real::nat(1)]).established(40000, 0);
    let about = Packet::new(ACK).with(|p| (p.dst, p.dport) = (server(1), 8080));
    let p = error(NEEDED, &about, 28);
    let told = renamed(NEEDED, &about, 28, |p| (p.dst, p.dport) = (VIP, 80))
        .with(|p| p.src = VIP)
        .on(DIRECTOR, GATEWAY)
        .bytes();
    let keys = (client_key(&given().dests[0], 40000), reply_key(&given().dests[0], 40000));
    let set = |g: &mut Given, key: ConnKey, expires| {
        g.conns.iter_mut().filter(|(k, _)| *k == key).for_each(|(_, e)| e.expires = expires);
    };
    let len = p.datagram().len() as u64;
    let row = |says: &str, given: Given, reason, out| Row::new(says, given, p.bytes(), reason, out);
    let (sent, back) = (Reason::SentNatReply, || Out::Back(told.clone()));
    vec![
        row("an error on the way to a server by NAT", given(), sent, back())
            .then([Then::Stats(0, [0, 0, 0, 1, len])]),
        row("the client's entry lives", given().but(|g| set(g, keys.1, 0)), sent, back()),
        row("the entry for answers lives", given().but(|g| set(g, keys.0, 0)), sent, back()),
        row(
            "neither entry of the connection lives",
            given().expiring(-1),
            Reason::OtherProtocol,
            Out::Untouched,
        ),
        row(
            "the client is not to be reached",
            given().but(|g| g.route = Route::None),
            Reason::NoRoute,
            Out::Dropped,
        ),
        Row::new(
            "its last hop",
            given(),
            p.with(|p| p.ttl = 1).bytes(),
            Reason::TtlExpired,
            Out::Dropped,
        ),
        row(
            "the client's side carries no more",
            given().but(|g| g.ports[0].mtu = 50),
            Reason::TooBig,
            Out::Dropped,
        ),
    ]
}

fn scheduled() -> Vec<Row> {
    let about = answer_of_service(ACK);
    let p = error(NEEDED, &about, 28);
    let ask = |given: Given| given.but(|g| g.settings.policy.flags |= POLICY_SCHEDULE_ICMP);
    let given = |reals: &[Real]| ask(Given::service(TCP, Scheduler::Rr, reals));
    let two = || given(&[Real::direct(1), Real::nat(1)]);
    let key = client_key(&two().dests[0], 40000);
    let begun = [Then::State(key, state::NONE), Then::Life(key, 3), Then::Live(0, 0, 1)];
    let one = || given(&[Real::direct(1)]);
    let datagram = answer_of_service(L4::Udp);
    let q = error(PORT, &datagram, 48);
    let of_datagrams = ask(Given::service(UDP, Scheduler::Rr, &[Real::direct(1)]));
    vec![
        Row::new(
            "an error about an unknown flow finds a server",
            one(),
            p.bytes(),
            Reason::SentDirect,
            Out::On(direct(&p, 1)),
        )
        .then(begun.clone()),
        Row::new(
            "one by NAT",
            given(&[Real::nat(1)]),
            p.bytes(),
            Reason::SentNat,
            Out::On(to_nat(&about, NEEDED, 28)),
        )
        .then(begun.clone())
        .then([Then::Entries(2)]),
        Row::new(
            "on a careful director, too",
            one().but(|g| g.settings.flags |= SETTING_CAREFUL),
            p.bytes(),
            Reason::SentDirect,
            Out::On(direct(&p, 1)),
        ),
        Row::new(
            "about an unknown datagram",
            of_datagrams,
            q.bytes(),
            Reason::SentDirect,
            Out::On(direct(&q, 1)),
        ),
        Row::new(
            "in the place of a connection that is over",
            one().established(40000, 0).expiring(-1),
            p.bytes(),
            Reason::SentDirect,
            Out::On(direct(&p, 1)),
        )
        .then(begun),
    ]
}

/// Errors about unknown flows that find no server.
fn not_scheduled() -> Vec<Row> {
    let about = answer_of_service(ACK);
    let p = error(NEEDED, &about, 28);
    let plain = |reals: &[Real]| Given::service(TCP, Scheduler::Rr, reals);
    let given =
        |reals: &[Real]| plain(reals).but(|g| g.settings.policy.flags |= POLICY_SCHEDULE_ICMP);
    let one = || given(&[Real::direct(1)]);
    let untouched = |says: &str, given: Given, p: &Packet, reason| {
        Row::new(says, given, p.bytes(), reason, Out::Untouched)
    };
    let flooded = p.with(|p| p.dmac = [2, 0, 0, 0, 9, 9]);
    vec![
        Row::new(
            "nobody is told that no server is left",
            given(&[]),
            p.bytes(),
            Reason::NoServer,
            Out::Dropped,
        ),
        untouched(
            "no service sent what is quoted",
            one(),
            &error(NEEDED, &about.with(|p| p.sport = 81), 28),
            Reason::OtherProtocol,
        ),
        untouched(
            "a frame with an error that a switch flooded",
            one(),
            &flooded,
            Reason::OtherHost,
        ),
        untouched(
            "it is not asked for, and the flow is unknown",
            Given::service(TCP, Scheduler::Rr, &[Real::direct(1)]),
            &p,
            Reason::OtherProtocol,
        ),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [known(), unusual(), undelivered(), none_of_ours(), to_clients(), scheduled(), not_scheduled()]
        .concat()
}

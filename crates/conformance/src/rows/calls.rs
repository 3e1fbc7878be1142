//! Templates of SIP's calls: how a call is told, and which server it keeps. What is found in which
//! datagram is what Linux 6.12 said of the same ones.

use xlvs_datapath::{
    Reason,
    policy::{POLICY_EXPIRE_TEMPLATE, network_mask},
    sip::{CALL_BYTES, call_number},
    tables::{
        CONN_TEMPLATE, ConnKey, DEST_QUIESCED, METER_CALL_KEY, SERVICE_CALLS, SERVICE_ONE_PACKET,
        SERVICE_PERSISTENT, Word,
    },
    template::CALL_PROTOCOL,
};
use xlvs_sched::Scheduler;

use super::{Out, Row, Sweep, TCP, Then, UDP, direct};
use crate::{CLIENT, Entry, Flags, Given, L4, NOW, Packet, Real, SECOND, VIP, addr};

const KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3211];
const SECONDS: u32 = 300;
const NS: u64 = 1_000_000_000;

/// Two servers, one packet at a time; clients are told apart by this many bits, and by calls.
fn given(protocol: u8, prefix: u8) -> Given {
    let given = Given::service(protocol, Scheduler::Rr, &[Real::direct(1), Real::direct(2)]);
    given.but(|g| {
        for (_, service) in g.services.iter_mut().filter(|(key, _)| key.protocol != 0) {
            service.scheduler |= SERVICE_PERSISTENT | SERVICE_CALLS | SERVICE_ONE_PACKET;
            service.persistence = SECONDS;
            service.mask = network_mask(prefix);
        }
        g.meters[METER_CALL_KEY as usize..][..2].copy_from_slice(&KEY);
    })
}

/// A datagram with these header lines.
fn invite(lines: &[u8]) -> Packet {
    const FIRST: &[u8] = b"INVITE sip:a@10.1.0.109 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.1.8:23012\r\n";
    datagram(&[FIRST, lines, b"\r\nCSeq: 1 INVITE\r\n\r\n"].concat())
}

fn datagram(payload: &[u8]) -> Packet {
    Packet::new(L4::Udp).with(|p| p.payload = payload.to_vec())
}

fn key_of(network: [u8; 4], identifier: &str) -> ConnKey {
    let number = call_number(KEY, addr(network), identifier.as_bytes());
    let (low, high) = (number as u32, (number >> 32) as u16);
    ConnKey::new(low, addr(VIP), high, 80_u16.to_be(), u32::from(UDP) | CALL_PROTOCOL)
}

const EVERYBODY: [u8; 4] = [0; 4];

/// A template of this call to slot 1, with so many seconds left.
fn with(given: Given, key: ConnKey, seconds: i64) -> Given {
    given.but(|g| {
        let expires = NOW.wrapping_add_signed(seconds * NS.cast_signed());
        g.conns.push((
            key,
            Entry { expires, word: Word::new(0, CONN_TEMPLATE, 1), hop: 0, origin: 0 },
        ));
    })
}

/// The datagram goes to the server in this slot.
fn goes(says: impl Into<String>, given: Given, p: &Packet, slot: u8) -> Row {
    Row::new(says, given, p.bytes(), Reason::SentDirect, Out::On(direct(p, slot + 1)))
}

/// Header lines, and the identifier in them.
fn found() -> Vec<Row> {
    let long = "x".repeat(CALL_BYTES as usize);
    let long_line = format!("Call-ID: {long}");
    let cases: [(&[u8], &str); 13] = [
        (b"Call-ID: f81d4fae-7dec@10.1.1.8", "f81d4fae-7dec@10.1.1.8"),
        (b"call-id:lower", "lower"),
        (b"CALL-ID: UPPER", "UPPER"),
        (b"i: compact", "compact"),
        (b"I : spaced", "spaced"),
        (b"Call-ID:\r\n folded", "folded"),
        (b"Call-ID\r\n\t: fold2", "fold2"),
        (long_line.as_bytes(), &long),
        (b"Call-ID: quote'x", "quote'x"),
        (b"Call-ID: @lead\r\nCall-ID: 012345678901234567890", "012345678901234567890"),
        (b"Call-ID: local-of-some-length@\r\nCall-ID: next@one", "next@one"),
        (b"\r\nCall-ID: behind-an-empty-line", "behind-an-empty-line"),
        (b"ix: no\r\nCall-ID: later", "later"),
    ];
    let whole: [(&[u8], &str); 3] = [
        (b"BYE sip:a S\r\nCall-ID: early\r\nTo: x\r\n\r\n", "early"),
        (b"INVITE sip:a@10.1.0.109 SIP/2.0\rCall-ID: cr\r\r", "cr"),
        (b"INVITE sip:a@10.1.0.109 SIP/2.0\nCall-ID: lf\n", "lf"),
    ];
    let all = cases.map(|(lines, id)| (invite(lines), id)).into_iter();
    let row = |(p, id): (Packet, &str)| {
        let key = key_of(EVERYBODY, id);
        goes(format!("a call is told: {id}"), given(UDP, 0), &p, 0).then([
            Then::Slot(key, 0),
            Then::Life(key, SECONDS.into()),
            Then::Entries(1),
            Then::Call(key, id.to_owned()),
        ])
    };
    all.chain(whole.map(|(payload, id)| (datagram(payload), id))).map(row).collect()
}

/// Datagrams whose call cannot be told: the kernel drops them.
fn none() -> Vec<Row> {
    let long = format!("Call-ID: {}", "y".repeat(CALL_BYTES as usize + 1));
    let cases: [(&str, &[u8]); 13] = [
        ("no such header", b"To: x"),
        ("another header", b"ix: no"),
        ("a blank behind it", b"Call-ID: trail "),
        ("nothing behind its @", b"Call-ID: a@"),
        ("two @", b"Call-ID: a@b@c"),
        ("folded twice", b"Call-ID: \r\n\t \r\n twice"),
        ("too long", long.as_bytes()),
        ("a comma", b"Call-ID: comma,x"),
        ("a semicolon", b"Call-ID: semi;x"),
        ("an i without a colon before it", b"i=sdp\r\nCall-ID: afteri"),
        ("an empty line of a single end hides it", b"a: b\n\nCall-ID: blank1"),
        ("no line's end behind it", b"Call-ID"),
        ("a letter of Latin-1 behind the i", b"i\xe9: latin"),
    ];
    let whole: [(&str, &[u8]); 3] = [
        ("the datagram ends in it", b"INVITE sip:a@10.1.0.109 SIP/2.0\r\nCall-ID: nonl"),
        ("an empty datagram", b""),
        ("the first line is none", b"Call-ID: first\r\n\r\n"),
    ];
    let all = cases.map(|(says, lines)| (says, invite(lines))).into_iter();
    let all = all.chain(whole.map(|(says, payload)| (says, datagram(payload))));
    let row = |(says, p): (&str, Packet)| {
        let says = format!("no call: {says}");
        let row = Row::new(says, given(UDP, 0), p.bytes(), Reason::NoCall, Out::Dropped);
        row.then([Then::Entries(0), Then::Live(0, 0, 0)])
    };
    all.map(row).collect()
}

fn kept() -> Vec<Row> {
    let p = invite(b"Call-ID: one@a");
    let key = key_of(EVERYBODY, "one@a");
    let other = p.clone().with(|p| (p.src, p.sport) = (SECOND, 5061));
    let all = || with(given(UDP, 0), key, 100);
    let own = key_of(CLIENT, "one@a");
    let expiring = all().but(|g| g.dests[1].flags |= DEST_QUIESCED);
    let connected = |given: Given| {
        given.but(|g| g.services.iter_mut().for_each(|(_, s)| s.scheduler &= !SERVICE_ONE_PACKET))
    };
    let syn = Packet::new(L4::Tcp(Flags::SYN));
    vec![
        goes("a call goes where its template leads", all(), &p, 1).then([
            Then::Controls(key, 0),
            Then::Life(key, SECONDS.into()),
            Then::Entries(1),
        ]),
        goes("from whatever client", all(), &other, 1).then([Then::Entries(1)]),
        goes("another call does not", all(), &invite(b"Call-ID: two@a"), 0)
            .then([Then::Entries(2)]),
        goes("case tells calls apart", all(), &invite(b"Call-ID: ONE@a"), 0)
            .then([Then::Entries(2)]),
        goes("clients may be told apart as well", with(given(UDP, 32), own, 100), &p, 1),
        goes("and are", with(given(UDP, 32), own, 100), &other, 0).then([Then::Entries(2)]),
        goes("a template that has expired", with(given(UDP, 0), key, 0), &p, 0)
            .then([Then::Slot(key, 0), Then::Entries(1)]),
        goes("a quiesced server keeps its calls", expiring.clone(), &p, 1),
        goes(
            "but not with expire_quiescent_template",
            expiring.asking(|policy| policy.flags |= POLICY_EXPIRE_TEMPLATE),
            &p,
            0,
        ),
        goes("a call's template controls connections", connected(all()), &p, 1).then([
            Then::Controls(key, 1),
            Then::Entries(2),
            Then::Live(1, 0, 1),
        ]),
        Row::new(
            "no segment is of a call",
            given(TCP, 0),
            syn.bytes(),
            Reason::NoCall,
            Out::Dropped,
        )
        .then([Then::Entries(0)]),
    ]
}

/// What the sweep makes of them.
pub(super) fn sweeps() -> Vec<Sweep> {
    let key = key_of(EVERYBODY, "one@a");
    let client = ConnKey::new(addr(CLIENT), addr(VIP), 7, 80_u16.to_be(), UDP.into());
    let ended = with(given(UDP, 0), key, 100).but(|g| {
        let number = call_number(KEY, 0, b"one@a");
        let word = Word::new(0, 0x0f, 1);
        g.conns[0].1.hop = 1;
        g.conns.push((client, Entry { expires: NOW, word, hop: number | 1 << 63, origin: 0 }));
    });
    vec![
        Sweep {
            says: "a call's template whose time is up goes",
            given: with(given(UDP, 0), key, 0),
            then: vec![Then::Entries(0)],
        },
        Sweep {
            says: "a connection of a call ends, and its template controls one less",
            given: ended,
            then: vec![Then::Gone(client), Then::Controls(key, 0), Then::Life(key, 100)],
        },
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [found(), none(), kept()].concat()
}

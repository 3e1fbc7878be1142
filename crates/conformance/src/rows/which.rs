//! Which service wants a newcomer: a mark's, its own, FTP's, or one for all ports; and services
//! that keep no connection.

use xlvs_datapath::{
    Reason,
    mark::{MARKS_END, MarkRule, PortRange, SIDE_DESTINATION},
    state,
    tables::{
        ConnKey, MARK_PROTOCOL, SERVICE_ONE_PACKET, SETTING_ALL_PORTS, SETTING_CAREFUL, ServiceKey,
    },
};
use xlvs_sched::Scheduler;

use super::{Out, Row, TCP, Then, UDP, direct};
use crate::{CLIENT, Flags, Given, L4, Packet, Real, VIP, addr};

fn to(port: u16) -> Packet {
    Packet::new(L4::Tcp(Flags::SYN)).with(|p| p.dport = port)
}

fn key(p: &Packet, protocol: u8) -> ConnKey {
    let (sport, dport) = (p.sport.to_be(), p.dport.to_be());
    ConnKey::new(addr(CLIENT), addr(VIP), sport, dport, protocol.into())
}

/// It goes to the `n`th server.
fn goes(says: &str, given: Given, p: &Packet, n: u8) -> Row {
    let out = Out::On(direct(p, n));
    Row::new(says, given, p.bytes(), Reason::SentDirect, out)
}

fn nobodys(says: &str, given: Given, p: &Packet) -> Row {
    let row = Row::new(says, given, p.bytes(), Reason::NoService, Out::Untouched);
    row.then([Then::Entries(0)])
}

/// Port 80's service has the first server, the mark 7's the second.
fn marked(rules: Vec<MarkRule>, skip: u32) -> Given {
    let given = Given::service(TCP, Scheduler::Rr, &[Real::direct(1)]);
    let of = ServiceKey { addr: 7_u32.to_be(), port: 0, protocol: MARK_PROTOCOL };
    let given = given.and_service(VIP, 0, 0, Scheduler::Rr, &[Real::direct(2)]);
    given.but(|g| {
        let (key, service) = g.services.pop().unwrap();
        assert_eq!((key.port, key.protocol), (0, 0), "made as the address's own");
        g.services.push((of, service));
        g.dests[1].vaddr = of.addr;
        g.settings.flags |= SETTING_CAREFUL;
        g.settings.marks = skip << 16 | (rules.len() as u32 - skip);
        g.marks = rules;
    })
}

fn marks() -> Vec<Row> {
    let all = |mark| MarkRule { flip: mark, ..MarkRule::ANY };
    let port = |port| {
        let mut ranges = MarkRule::ANY.ranges;
        ranges[0] = PortRange { first: port, last: port };
        MarkRule { sides: SIDE_DESTINATION, ranges, ..all(7) }
    };
    let other = MarkRule { hit: 1, miss: 1, ..port(81) };
    let p = to(80);
    vec![
        goes("a mark's service comes before the port's own", marked(vec![all(7)], 0), &p, 2)
            .then([Then::Slot(key(&p, TCP), 1), Then::State(key(&p, TCP), state::SYN_RECV)]),
        goes("a mark of no service is none", marked(vec![all(8)], 0), &p, 1),
        goes("a packet that no rule is about", marked(vec![port(81)], 0), &p, 1),
        goes("a packet that one is about", marked(vec![port(80)], 0), &p, 2),
        goes("the rules begin where the settings say", marked(vec![all(9), all(7)], 1), &p, 2),
        goes("a second rule is about it", marked(vec![other, all(7)], 0), &p, 2),
        goes(
            "the walk ends where a rule says so",
            marked(vec![MarkRule { miss: MARKS_END, ..port(81) }, all(7)], 0),
            &p,
            1,
        ),
        goes(
            "a port without a service of its own has the mark's",
            marked(vec![all(7)], 0),
            &to(9),
            2,
        ),
    ]
}

/// A service of this port with the second server, beside port 80's with the first.
fn beside(port: u16) -> Given {
    let given = Given::service(TCP, Scheduler::Rr, &[Real::direct(1)]);
    let given = given.and_service(VIP, port, TCP, Scheduler::Rr, &[Real::direct(2)]);
    given.but(|g| g.settings.flags |= SETTING_ALL_PORTS)
}

fn ports() -> Vec<Row> {
    let udp = Packet::new(L4::Udp).with(|p| p.dport = 4000);
    vec![
        goes("a service for all ports", beside(0), &to(81), 2),
        goes("a service of the port comes before it", beside(0), &to(80), 1),
        nobodys("it is for its protocol alone", beside(0), &udp),
        goes("FTP's own port", beside(21), &to(21), 2),
        goes("FTP may have opened a port", beside(21), &to(4000), 2),
        goes("the lowest of these", beside(21), &to(1024), 2),
        nobodys("the highest of the others", beside(21), &to(1023)),
        goes("FTP's data port", beside(21), &to(20), 2),
        nobodys("FTP opens no ports of UDP", beside(21), &udp),
        goes("a service of a port that FTP may have opened", beside(21), &to(80), 1),
    ]
}

/// `ipvsadm --ops`.
fn one_packet() -> Vec<Row> {
    let given = |protocol| {
        let given = Given::service(protocol, Scheduler::Rr, &[Real::direct(1)]);
        given.but(|g| g.services[1].1.scheduler |= SERVICE_ONE_PACKET)
    };
    let (udp, syn) = (Packet::new(L4::Udp), to(80));
    let len = udp.datagram().len() as u64;
    vec![
        goes("a datagram of a service for single packets leaves nothing", given(UDP), &udp, 1)
            .then([Then::Entries(0), Then::Live(0, 0, 0), Then::Stats(0, [1, 1, len, 0, 0])]),
        goes("TCP is never for single packets", given(TCP), &syn, 1)
            .then([Then::Entries(1), Then::Live(0, 1, 0)]),
    ]
}

/// A switch that does not know whose a frame is sends it everywhere.
fn flooded() -> Vec<Row> {
    let (given, p) = (Given::service(TCP, Scheduler::Rr, &[Real::direct(1)]), to(80));
    let given = given.but(|g| g.settings.flags |= SETTING_CAREFUL);
    let p = p.with(|p| p.dmac[5] ^= 0xff);
    let says = "where newcomers need care, what was flooded begins nothing, too";
    let row = Row::new(says, given, p.bytes(), Reason::OtherHost, Out::Untouched);
    vec![row.then([Then::Entries(0), Then::Stats(0, [0; 5])])]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [marks(), ports(), one_packet(), flooded()].concat()
}

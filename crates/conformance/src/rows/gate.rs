//! Who may come in, how many may, and what is set for a service.

use xlvs_datapath::{
    Reason,
    policy::{
        ACCESS_ALLOW, ACCESS_DENY, AccessKey, ClientKey, EVERY_SERVICE, NANOSECONDS, POLICY_ACCESS,
        POLICY_SECURE_TCP, ServicePolicy, network_mask,
    },
    state,
    tables::{CONN_TIMED, METER_CONNECTIONS, METER_DROPS, ServiceKey, Word},
};
use xlvs_sched::Scheduler;

use super::{Out, Row, TCP, Then, UDP, answer, answered, direct, nat};
use crate::{CLIENT, Flags, Given, L4, NOW, Packet, Real, addr, client_key, reply_key};

fn syn() -> Packet {
    Packet::new(L4::Tcp(Flags::SYN))
}

fn web() -> Given {
    Given::service(TCP, Scheduler::Rr, &[Real::direct(1)])
}

fn service(given: &Given) -> ServiceKey {
    given.services[1].0
}

fn comes_in(says: &str, given: Given) -> Row {
    Row::new(says, given, syn().bytes(), Reason::SentDirect, Out::On(direct(&syn(), 1)))
}

fn stays_out(says: &str, given: Given, reason: Reason) -> Row {
    Row::new(says, given, syn().bytes(), reason, Out::Dropped).then([Then::Entries(0)])
}

/// With a list: of the service or the director, who, and what it says.
fn listed(entries: &[(bool, [u8; 4], u8, u32)]) -> Given {
    let given = web().asking(|policy| policy.flags |= POLICY_ACCESS);
    let own = service(&given);
    given.but(|g| {
        for (of_service, address, prefix, verdict) in entries {
            let scope = if *of_service { own } else { EVERY_SERVICE };
            let key = AccessKey::of_network(scope, addr(*address), *prefix);
            g.access.push((key, *verdict));
        }
    })
}

fn lists() -> Vec<Row> {
    let denied = Reason::Denied;
    let net = [10, 0, 0, 0];
    let all = [0, 0, 0, 0];
    let allow_all = (false, all, 0, ACCESS_ALLOW);
    let other = ServiceKey { addr: addr([10, 9, 0, 2]), port: 80_u16.to_be(), protocol: 6 };
    let others = AccessKey::of_network(other, 0, 0);
    vec![
        stays_out("a client on the deny list", listed(&[(false, CLIENT, 32, ACCESS_DENY)]), denied),
        Row::new(
            "a segment of no connection of a client on the deny list",
            listed(&[(false, CLIENT, 32, ACCESS_DENY)]),
            Packet::new(L4::Tcp(Flags::ACK)).bytes(),
            denied,
            Out::Dropped,
        ),
        stays_out("of a network on it", listed(&[(false, net, 24, ACCESS_DENY)]), denied),
        comes_in("another network is on it", listed(&[(false, [10, 0, 1, 0], 24, ACCESS_DENY)])),
        comes_in(
            "a longer entry lets the client in",
            listed(&[(false, net, 24, ACCESS_DENY), (false, CLIENT, 32, ACCESS_ALLOW)]),
        ),
        stays_out(
            "none of those that may come in",
            listed(&[(true, all, 0, ACCESS_DENY), (true, [10, 7, 0, 0], 16, ACCESS_ALLOW)]),
            denied,
        ),
        stays_out(
            "the service's list decides, too",
            listed(&[allow_all, (true, CLIENT, 32, ACCESS_DENY)]),
            denied,
        ),
        comes_in(
            "another service's list does not",
            listed(&[]).but(|g| g.access.push((others, ACCESS_DENY))),
        ),
    ]
}

fn rates() -> Vec<Row> {
    let dropping = |rate, counter| {
        web().asking(|policy| policy.drop_rate = rate).but(|g| g.meters[0] = counter)
    };
    vec![
        comes_in("not the one that is dropped", dropping(3, 3)).then([Then::Meter(METER_DROPS, 2)]),
        stays_out("one of three is dropped", dropping(3, 1), Reason::DroppedByRate)
            .then([Then::Meter(METER_DROPS, 3)]),
    ]
}

fn all_connections() -> Vec<Row> {
    let limited =
        |most, count| web().asking(|policy| policy.conn_max = most).but(|g| g.meters[1] = count);
    let closed = web().conn(40000, 0, state::TIME_WAIT).asking(|policy| policy.conn_max = 5);
    vec![
        comes_in("the last that fits", limited(5, 4)).then([Then::Meter(METER_CONNECTIONS, 5)]),
        stays_out("no connection fits any more", limited(5, 5), Reason::ConnMax)
            .then([Then::Meter(METER_CONNECTIONS, 5)]),
        comes_in("one in the place of another is none more", closed.but(|g| g.meters[1] = 1))
            .then([Then::Meter(METER_CONNECTIONS, 1)]),
    ]
}

/// What is set for a service about networks of 24 bits.
fn networks(client_max: u32, rate: u64) -> ServicePolicy {
    let rate_interval = NANOSECONDS.checked_div(rate).unwrap_or(0);
    ServicePolicy {
        client_max,
        client_mask: network_mask(24),
        rate_interval,
        rate_burst: rate_interval * rate,
        ..ServicePolicy::default()
    }
}

fn clients() -> Vec<Row> {
    let given = |policy: ServicePolicy, has: u32, whole_at: u64| {
        let given = web().policy(policy);
        let key = ClientKey { service: service(&given), network: addr([10, 0, 0, 0]) };
        (given.but(|g| g.clients.push((key, (has, whole_at)))), key)
    };
    let (first, key) = given(networks(2, 0), 0, 0);
    let fresh = first.clone().but(|g| g.clients.clear());
    let (last, _) = given(networks(2, 0), 1, 0);
    let (full, _) = given(networks(2, 0), 2, 0);
    let (elsewhere, _) = given(networks(2, 0), 0, 0);
    let other = ClientKey { network: addr([10, 0, 1, 0]), ..key };
    let elsewhere = elsewhere.but(|g| g.clients.push((other, (2, 0))));
    // Ten in a second: of a bucket that is whole in so many tenths of one, so many are used.
    let tenths = |n: u64| NOW + n * NANOSECONDS / 10;
    let (nine, _) = given(networks(0, 10), 0, tenths(9));
    let (ten, _) = given(networks(0, 10), 0, tenths(10));
    vec![
        comes_in("a network's first connection is counted", fresh).then([Then::Client(key, 1)]),
        comes_in("so is the last that it may have", last).then([Then::Client(key, 2)]),
        stays_out("it has as many as it may", full, Reason::ClientConnections)
            .then([Then::Client(key, 2)]),
        comes_in("another network has as many", elsewhere).then([Then::Client(key, 1)]),
        comes_in("the tenth in a second", nine),
        stays_out("and no more", ten, Reason::ClientRate),
    ]
}

fn timeouts() -> Vec<Row> {
    let own =
        ServicePolicy { timeouts: [7, 8, 9].map(|s| s * NANOSECONDS), ..ServicePolicy::default() };
    // Of a service with timeouts of its own.
    let timed = |given: Given| {
        given.policy(own).but(|g| {
            for (_, entry) in &mut g.conns {
                let flags = entry.word.flags() | CONN_TIMED;
                entry.word = Word(entry.word.0 | u64::from(flags) << 8);
            }
        })
    };
    let (ack, fin) = (Packet::new(L4::Tcp(Flags::ACK)), Packet::new(L4::Tcp(Flags::FIN)));
    let known = || timed(web().established(40000, 0));
    let key = client_key(&web().dests[0], 40000);
    let on = |p: &Packet| Out::On(direct(p, 1));
    let sent = Reason::SentDirect;
    let udp = Packet::new(L4::Udp);
    let dns = Given::service(UDP, Scheduler::Rr, &[Real::direct(1)]).policy(own);
    let flow = client_key(&dns.dests[0], 40000);
    let by_nat = timed(Given::service(TCP, Scheduler::Rr, &[Real::nat(1)]).established(40000, 0));
    let reply = reply_key(&by_nat.dests[0], 40000);
    let back = answer(L4::Tcp(Flags::ACK));
    vec![
        comes_in("no own timeout for SYN_RECV", web().policy(own)).then([Then::Life(key, 60)]),
        Row::new("an own one in ESTABLISHED", known(), ack.bytes(), sent, on(&ack))
            .then([Then::Life(key, 7)]),
        Row::new("and in FIN_WAIT", known(), fin.bytes(), sent, on(&fin))
            .then([Then::Life(key, 8)]),
        Row::new("and for datagrams", dns, udp.bytes(), sent, on(&udp)).then([Then::Life(flow, 9)]),
        Row::new(
            "and of answers by NAT",
            by_nat,
            back.bytes(),
            Reason::SentNatReply,
            Out::Back(answered(&back)),
        )
        .then([Then::Life(reply, 7)]),
    ]
}

/// Rows of the stricter table that the normal one does not have; all cells are a test of `state`.
fn secure() -> Vec<Row> {
    let on = |given: Given| given.asking(|policy| policy.flags |= POLICY_SECURE_TCP);
    let web_by_nat = || Given::service(TCP, Scheduler::Rr, &[Real::nat(1)]);
    let key = client_key(&web().dests[0], 40000);
    let (ack, syn_ack) =
        (Packet::new(L4::Tcp(Flags::ACK)), answer(L4::Tcp(Flags::SYN | Flags::ACK)));
    let half = || on(web_by_nat().conn(40000, 0, state::SYN_RECV));
    vec![
        comes_in("secure_tcp: whose answers are not seen begins in SYNACK", on(web()))
            .then([Then::State(key, state::SYNACK)]),
        Row::new(
            "secure_tcp: the client alone does not make a connection established",
            half(),
            ack.bytes(),
            Reason::SentNat,
            Out::On(nat(&ack, 1)),
        )
        .then([Then::State(key, state::SYN_RECV)]),
        Row::new(
            "secure_tcp: the server's SYN is news",
            half(),
            syn_ack.bytes(),
            Reason::SentNatReply,
            Out::Back(answered(&syn_ack)),
        )
        .then([Then::State(key, state::SYNACK)]),
        Row::new(
            "secure_tcp: an established one goes on",
            on(web_by_nat().established(40000, 0)),
            ack.bytes(),
            Reason::SentNat,
            Out::On(nat(&ack, 1)),
        )
        .then([Then::State(key, state::ESTABLISHED)]),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [lists(), rates(), all_connections(), clients(), timeouts(), secure()].concat()
}

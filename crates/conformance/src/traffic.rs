//! Random worlds and random frames in them, whole and spoilt.

use xlvs_datapath::{
    Route,
    policy::{
        ACCESS_DENY, AccessKey, EVERY_SERVICE, POLICY_ACCESS, POLICY_EXPIRE_NODEST,
        POLICY_RESET_REMOVED, POLICY_SCHEDULE_ICMP, ServicePolicy,
    },
    state::ESTABLISHED,
    tables::{
        CONN_NO_OUTPUT, DEST_AVAILABLE, HOP_LOCAL, HOP_NEIGHBOUR, HOP_UNKNOWN, METHOD_MASQ,
        METHOD_ROUTE, METHOD_TUNNEL, SETTING_MIGRATING, SETTING_REMOVED, Word,
    },
    tick_of,
};
use xlvs_sched::{Scheduler, Weights, wrr_state};
use xlvs_wire::Mac;

use crate::{
    CLIENT_MAC, CONNS, Entry, Flags, GATEWAY, Given, L4, Packet, Random, Real, addr, client_key,
    icmp_error,
};

const SCHEDULERS: [Scheduler; 6] =
    [Scheduler::Rr, Scheduler::Wrr, Scheduler::Lc, Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq];

/// The flags of real segments, the usual ones more often.
const FLAGS: [u8; 16] = [
    Flags::SYN,
    Flags::SYN,
    Flags::SYN,
    Flags::ACK,
    Flags::ACK,
    Flags::ACK,
    Flags::ACK | Flags::PSH,
    Flags::SYN | Flags::ACK,
    Flags::FIN | Flags::ACK,
    Flags::FIN | Flags::ACK,
    Flags::FIN,
    Flags::RST,
    Flags::RST | Flags::ACK,
    Flags::RST | Flags::SYN,
    0,
    0x3f,
];

/// Any server.
fn real(r: &mut Random, n: u8) -> Real {
    let mut real = match r.below(3) {
        0 => Real::direct(n),
        1 => Real::tunnel(n),
        _ => Real::nat(n).port(r.of(&[80, 8080, 0])),
    };
    real = real.weight(r.of(&[0, 1, 1, 2, 3, 5])).mtu(r.of(&[1500, 1500, 1500, 1400, 576]));
    match r.below(12) {
        0 => real.local(),
        1 => real.unknown(),
        2 => real.removed(),
        3 => real.one_arm(),
        4 => real.second_hop(),
        _ => real,
    }
}

/// Any world: services, servers, the way back, and how often clients were told.
pub fn world(r: &mut Random) -> Given {
    let mut given = Given::default();
    // Services whose answers look alike: the same servers, by NAT to the same port.
    let crossed = r.one_in(6);
    for service in 0..=r.below(3) {
        // Two services of one address now and then, with the same servers behind them.
        let vip = [10, 9, 0, r.of(&[1, 1, 2])];
        let protocol = r.of(&[6, 6, 6, 17]);
        let mut reals: Vec<Real> = (0..r.below(5)).map(|n| real(r, n as u8 + 1)).collect();
        if crossed {
            reals = vec![Real::nat(1)];
        }
        let port = 80 + service as u16;
        given = given.and_service(vip, port, protocol, r.of(&SCHEDULERS), &reals);
    }
    given.route = match r.below(10) {
        0 => Route::None,
        1 => Route::ForwardingOff,
        2 => Route::NoNeighbour,
        n => Route::Found { port: (n & 1) as u16, mac: Mac::new(GATEWAY).to_u64() },
    };
    if r.one_in(12) {
        given.settings.flags = SETTING_MIGRATING;
    }
    removal(r, &mut given);
    let mut given = limited(r, given);
    if r.one_in(6) {
        given.limiter = u64::from(tick_of(given.now)) << 32 | 0x3e7;
    }
    if r.one_in(8) && !given.dests.is_empty() {
        let crowd = CONNS as usize - r.below(4);
        given = given.but(|g| fill(g, crowd));
    }
    given
}

/// Now and then not everybody may come in, or servers are told of answers that nobody waits for.
fn limited(r: &mut Random, given: Given) -> Given {
    let own = ServicePolicy { client_mask: u32::MAX, ..ServicePolicy::default() };
    match r.below(29) {
        0 => given.asking(|policy| policy.flags |= POLICY_ACCESS).but(|g| {
            let network = AccessKey::of_network(EVERY_SERVICE, addr([10, 0, 0, 0]), 30);
            g.access.push((network, ACCESS_DENY));
        }),
        1 => given.asking(|policy| policy.drop_rate = 2),
        2 => given.asking(|policy| policy.conn_max = 2),
        3 => given.policy(ServicePolicy { client_max: 1, ..own }),
        4 => {
            let minute = 60_000_000_000;
            given.policy(ServicePolicy { rate_interval: minute, rate_burst: minute, ..own })
        }
        5 | 6 => given.knowing_servers(),
        7 | 8 => given.but(|g| g.settings.policy.flags |= POLICY_SCHEDULE_ICMP),
        _ => given,
    }
}

/// What a person or the network may change meanwhile.
pub fn edit(r: &mut Random, given: &mut Given) {
    given.settings.routes += r.below(3) as u32;
    given.ports[1].mtu = r.of(&[1500, 1400]);
    if r.one_in(3) {
        given.settings.timeouts[r.below(13)] = r.of(&[1, 30, 900]) * 1_000_000_000;
    }
    removal(r, given);
    if given.dests.is_empty() {
        return;
    }
    let slot = r.below(given.dests.len());
    let dest = &mut given.dests[slot];
    match r.below(4) {
        0 => dest.flags ^= DEST_AVAILABLE,
        1 => dest.hops[usize::from(dest.hop)].kind = r.of(&[HOP_UNKNOWN, HOP_NEIGHBOUR, HOP_LOCAL]),
        2 => dest.method = r.of(&[METHOD_MASQ, METHOD_TUNNEL, METHOD_ROUTE]),
        _ => dest.hops[usize::from(dest.hop)].mtu = r.of(&[1500, 1300]),
    }
    let order = r.below(given.orders.len());
    given.orders[order].weight = r.of(&[0, 1, 2, 4]);
    for plan in &mut given.plans {
        let orders = given.orders.iter().skip(plan.first as usize).take(plan.count as usize);
        let weights = Weights::of(orders.map(|o| o.weight));
        (plan.divisor, plan.max_weight) = (weights.divisor, weights.max);
        plan.state.set(wrr_state(0, weights.max));
    }
}

/// What connections of removed servers meet.
fn removal(r: &mut Random, given: &mut Given) {
    let policy = &mut given.settings.policy.flags;
    *policy &= !(POLICY_RESET_REMOVED | POLICY_EXPIRE_NODEST);
    *policy |= r.of(&[0, POLICY_RESET_REMOVED, POLICY_RESET_REMOVED, POLICY_EXPIRE_NODEST]);
    given.settings.flags &= !SETTING_REMOVED;
    given.settings.flags |= r.of(&[0, SETTING_REMOVED]);
}

/// So many connections of clients that send nothing more.
fn fill(given: &mut Given, crowd: usize) {
    let dest = given.dests[0];
    for n in 0..crowd {
        let key = client_key(&dest, 1000).with_src(addr([10, 0, 9, n as u8]));
        let word = Word::new(ESTABLISHED, METHOD_ROUTE | CONN_NO_OUTPUT, 0);
        let expires = given.now + 500_000_000_000;
        given.conns.push((key, Entry { expires, word, hop: 0, origin: 0 }));
    }
}

/// A frame that somebody in this world may well send: a client to a service, or a server of NAT.
pub fn packet(r: &mut Random, given: &Given) -> Packet {
    let (key, _) = given.services[r.below(given.services.len())];
    let tcp = key.protocol != 17;
    let l4 = if tcp { L4::Tcp(r.of(&FLAGS)) } else { r.of(&[L4::Udp, L4::UdpUnsummed]) };
    let client = [10, 0, 0, 1 + r.below(5) as u8];
    let port = r.of(&[40000, 40001, 40002, 20]);
    let mut p = Packet::new(l4).with(|p| {
        (p.src, p.dst) = (client, key.addr.to_ne_bytes());
        (p.sport, p.dport) = (port, u16::from_be(key.port));
    });
    if !given.dests.is_empty() && r.one_in(3) {
        let dest = given.dests[r.below(given.dests.len())];
        if dest.method == METHOD_MASQ {
            let from = if dest.port == 0 { dest.vport } else { dest.port };
            let answers = if dest.protocol == 6 { L4::Tcp(r.of(&FLAGS)) } else { L4::Udp };
            p = p.with(|p| {
                (p.src, p.sport) = (dest.addr.to_ne_bytes(), u16::from_be(from));
                (p.dst, p.dport) = (client, port);
                p.l4 = answers;
            });
        }
    }
    dress(r, &mut p);
    if r.one_in(15) { error(r, &p) } else { p }
}

/// What a router on the way says of an answer to this packet, or of the packet itself.
fn error(r: &mut Random, p: &Packet) -> Packet {
    let answers = p.with(|a| {
        ((a.src, a.sport), (a.dst, a.dport)) = ((p.dst, p.dport), (p.src, p.sport));
    });
    let about = if r.one_in(5) { p } else { &answers };
    let (type_u8, code_u8) = r.of(&[(3, 3), (3, 4), (4, 0), (11, 0), (8, 0)]);
    let kind = etherparse::Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8: [0, 0, 5, 0x78] };
    let datagram = about.datagram();
    let quote = &datagram[..datagram.len().min(r.of(&[28, 28, 548, 24]))];
    let router = [10, 0, 0, 254];
    icmp_error(kind, router, about.src, quote)
        .with(|e| (e.ttl, e.smac) = (r.of(&[64, 64, 1]), p.smac))
}

/// What is unusual about a packet without making it wrong.
fn dress(r: &mut Random, p: &mut Packet) {
    p.tos = if r.one_in(4) { r.number() as u8 } else { 0 };
    p.id = r.number() as u16;
    p.df = !r.one_in(3);
    p.ttl = r.of(&[64, 64, 64, 255, 2, 1, 0]);
    p.smac = CLIENT_MAC;
    let len = match r.below(8) {
        0 => 1360 + r.below(160),
        1 => 1900 + r.below(100),
        2 => 500 + r.below(60),
        _ => r.below(40),
    };
    p.payload = (0..len).map(|_| r.number() as u8).collect();
    if r.one_in(6) {
        p.options = vec![1; 4 * (1 + r.below(10))];
    }
    if matches!(p.l4, L4::Tcp(_)) && r.one_in(4) {
        p.tcp_options = vec![1; 4 * (1 + r.below(10))];
    }
    if r.one_in(8) {
        p.trailer = vec![0xcc; r.below(20)];
    }
    if r.one_in(40) {
        p.dmac[5] ^= 1;
    }
    if r.one_in(25) {
        (p.df, p.mf, p.offset) = (false, r.one_in(2), r.below(200) as u16);
    }
}

/// Damages a frame: bits, bytes, its end.
pub fn spoil(r: &mut Random, frame: &mut Vec<u8>) {
    for _ in 0..=r.below(3) {
        // Headers are where it matters.
        let reach = if r.one_in(4) { frame.len() } else { frame.len().min(70) };
        let at = r.below(reach);
        match r.below(8) {
            0..=2 => frame[at] ^= 1 << r.below(8),
            3 | 4 => frame[at] = r.number() as u8,
            5 => frame[at] = r.of(&[0, 0xff, 0x45, 0x7f, 0x80]),
            6 => frame.truncate(at.max(MIN_FRAME)),
            _ => frame.extend((0..r.below(30)).map(|_| 0x5a)),
        }
    }
}

/// What `BPF_PROG_TEST_RUN` takes at the least.
const MIN_FRAME: usize = 14;

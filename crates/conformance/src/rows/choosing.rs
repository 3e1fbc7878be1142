//! Schedulers that ask a table of buckets or a cache. How tables are made is a matter of `sched`
//! and of what the kernel did; here, which bucket a packet asks, and what it makes of the answer.

use etherparse::{Icmpv4Type, icmpv4::DestUnreachableHeader};
use xlvs_datapath::{Reason, tables::CacheKey};
use xlvs_sched::{FALLBACK, PORT, Scheduler};

use super::{Out, Row, TCP, Then, direct};
use crate::{CLIENT, Flags, Given, L4, Packet, Real, VIP, addr, client_key, icmp};

fn syn() -> Packet {
    Packet::new(L4::Tcp(Flags::SYN))
}

/// Words of buckets before the service's table.
const BEFORE: usize = 3;

/// A service with this table, which says which place in the list a bucket has.
fn given(
    scheduler: Scheduler,
    flags: u32,
    buckets: usize,
    weights: [u32; 3],
    place: impl Fn(usize) -> u16,
) -> Given {
    let reals = [1, 2, 3].map(|n| Real::direct(n).weight(weights[usize::from(n) - 1]));
    Given::service(TCP, scheduler, &reals).but(|g| {
        let service = &mut g.services[1].1;
        service.scheduler |= flags << 8;
        service.table = BEFORE as u32;
        service.buckets = buckets as u32;
        g.buckets = vec![u64::MAX; BEFORE];
        let places: Vec<u16> = (0..buckets.next_multiple_of(4)).map(place).collect();
        let word = |four: &[u16]| four.iter().rev().fold(0, |word, p| word << 16 | u64::from(*p));
        g.buckets.extend(places.chunks(4).map(word));
    })
}

fn goes(says: &str, given: Given, slot: u8) -> Row {
    let key = client_key(&given.dests[0], 40000);
    let out = Out::On(direct(&syn(), slot + 1));
    let row = Row::new(says, given, syn().bytes(), Reason::SentDirect, out);
    row.then([Then::Slot(key, slot.into())])
}

fn nobody(says: &str, given: Given) -> Row {
    let port = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
    let out = Out::Back(icmp(port, &syn()));
    Row::new(says, given, syn().bytes(), Reason::SentUnreachable, out)
}

/// The bucket of 256 of a number: the kernel's `hash_32`, written down a second time.
fn hash(number: u32) -> usize {
    (number.wrapping_mul(0x61c8_8647) >> 24) as usize
}

fn hashed() -> Vec<Row> {
    use Scheduler::{Dh, Sh};
    let (client, vip) = (hash(u32::from_be_bytes(CLIENT)), hash(u32::from_be_bytes(VIP)));
    let with_port = hash(u32::from_be_bytes(CLIENT) + 40000);
    let only = |at: usize| move |bucket: usize| u16::from(bucket == at);
    let (all, fallback) = ([1, 1, 1], 2 * client % 256);
    let after = move |bucket: usize| match bucket {
        _ if bucket == client => 1,
        _ if bucket == fallback => 2,
        _ => 0,
    };
    let given = |scheduler, flags, weights, at| given(scheduler, flags, 256, weights, only(at));
    let falls = |weights| self::given(Sh, FALLBACK, 256, weights, after);
    let other = [10, 9, 0, 2];
    let beyond = self::given(Sh, 0, 256, all, |_| 3);
    let beyond = beyond.and_service(other, 80, TCP, Scheduler::Rr, &[Real::direct(4)]);
    let full = given(Sh, 0, all, client).but(|g| {
        g.orders[1] = xlvs_datapath::tables::Order::new(1, 1, true);
        g.limits.push((1, 5, 0, true));
    });
    vec![
        goes("sh asks the client's bucket", given(Sh, 0, all, client), 1),
        goes("and no other", given(Sh, 0, all, client ^ 1), 0),
        goes("sh-port adds the client's port", given(Sh, PORT, all, with_port), 1),
        goes("and then asks no other", given(Sh, PORT, all, client), 0),
        goes("dh asks the service address's bucket", given(Dh, 0, all, vip), 1),
        goes("dh does not ask the client's", given(Dh, 0, all, client), 0),
        nobody("a bucket's server without a weight", given(Sh, 0, [1, 0, 1], client)),
        nobody("a bucket's server that has too many connections", full),
        goes("sh-fallback looks on", falls([1, 0, 1]), 2),
        goes("sh-fallback need not", falls([1, 1, 1]), 1),
        nobody("sh-fallback finds nobody", falls([0, 0, 0])),
        nobody("a bucket beyond the list, where another service's begins", beyond),
        nobody("a service without a table", self::given(Sh, 0, 0, all, |_| 0)),
        goes("mh asks a bucket", self::given(Scheduler::Mh, 0, 4093, all, |_| 1), 1),
    ]
}

/// Of four connections in all nobody may have more than five quarters of its part, rounded up.
fn bounded() -> Vec<Row> {
    let given = |load: [u16; 2]| {
        let given = given(Scheduler::Chbl, 0, 4093, [1, 1, 0], |_| 1);
        let ports = (1000..).zip([0; 9].into_iter().take(load[0].into()));
        let given = ports.fold(given, |g, (port, slot)| g.established(port, slot));
        (0..load[1]).fold(given, |g, n| g.established(2000 + n, 1))
    };
    vec![
        goes("chbl asks a bucket", given([0, 0]), 1),
        goes("chbl: who is within the bound keeps its clients", given([0, 1]), 1),
        goes("chbl: who is above it does not", given([0, 2]), 0),
        goes("chbl: the bound grows with all connections", given([2, 2]), 1),
    ]
}

/// A cache at the service's address with these slots, and so many connections of each server.
fn cached(scheduler: Scheduler, slots: &[u32], load: [u16; 3], weights: [u32; 3]) -> Given {
    let given = given(scheduler, 0, 0, weights, |_| 0).but(|g| {
        let (service, destination) = (g.services[1].0, addr(VIP));
        if !slots.is_empty() {
            let key = CacheKey { service, destination, reserved: 0 };
            g.caches.push((key, slots.to_vec(), g.now));
        }
    });
    let all = (0..).zip(load).flat_map(|(slot, n)| (0..n).map(move |n| (slot, n)));
    all.fold(given, |g, (slot, n)| g.established(1000 * (slot as u16 + 1) + n, slot))
}

fn caches() -> Vec<Row> {
    use Scheduler::{Lblc, Lblcr};
    let elsewhere =
        cached(Lblc, &[2], [0; 3], [1; 3]).but(|g| g.caches[0].0.destination = addr([10, 9, 0, 2]));
    vec![
        goes("lblc without a cache is wlc", cached(Lblc, &[], [1, 0, 0], [1; 3]), 1),
        goes("lblc goes where it went before", cached(Lblc, &[2], [0, 0, 1], [1; 3]), 2),
        goes("lblc: another destination's cache is none", elsewhere, 0),
        goes("lblc: but not to who has no weight", cached(Lblc, &[2], [0; 3], [1, 1, 0]), 0),
        goes("lblc: nor to who has too many", cached(Lblc, &[2], [0, 0, 3], [2; 3]), 0),
        goes("lblc: though all have half of it", cached(Lblc, &[2], [2, 2, 3], [2; 3]), 2),
        goes("lblcr without a cache is wlc", cached(Lblcr, &[], [1, 0, 0], [1; 3]), 1),
        goes("lblcr: the least burdened of the set", cached(Lblcr, &[1, 2], [0, 2, 1], [3; 3]), 2),
        goes("lblcr: nobody beside the set", cached(Lblcr, &[1], [0, 1, 0], [3; 3]), 1),
    ]
}

/// All of this module.
pub(super) fn rows() -> Vec<Row> {
    [hashed(), bounded(), caches()].concat()
}

//! What hashing keeps where it was, and slow start.

use std::{vec, vec::Vec};

use super::world::{Dest, Rng, World, member};
use crate::{
    build::{EMPTY, Member, table},
    *,
};

fn members(weights: &[u32]) -> Vec<Member> {
    let member = |(n, &weight): (u32, &u32)| Member {
        address: 0x0a02_0015 + n,
        port: 80,
        weight,
        last_weight: weight,
        share: FULL,
    };
    (0..).zip(weights).map(member).collect()
}

/// How many buckets each server has.
fn buckets(table: &[u16], servers: usize) -> Vec<usize> {
    (0..servers).map(|n| table.iter().filter(|p| usize::from(**p) == n).count()).collect()
}

#[test]
fn tables_share_by_weight() {
    use Scheduler::{Dh, Mh, Sh};
    let rows: &[(Scheduler, &[u32], &[usize], &str)] = &[
        (Dh, &[4, 3, 0], &[86, 85, 85], "dh does not heed weights"),
        (Sh, &[4, 3, 2], &[116, 84, 56], "sh gives each its weight's run"),
        (Sh, &[1, 0], &[128, 128], "and a slot to who has none"),
        (Sh, &[1000, 1], &[256, 0], "or all to the first"),
        (Mh, &[4, 3, 2], &[1820, 1365, 908], "mh turns"),
        (Mh, &[5, 0], &[4093, 0], "nobody who never had a weight"),
        (Mh, &[0, 0], &[0, 0], "nobody at all"),
        (Mh, &[2_000_000_000, 1], &[4025, 68], "great weights are cut, small ones stay"),
    ];
    for (scheduler, weights, expected, sentence) in rows {
        let table = table(*scheduler, &members(weights)).unwrap();
        assert_eq!(&buckets(&table, weights.len()), expected, "{scheduler:?} {sentence}");
    }
    assert_eq!(table(Mh, &members(&vec![1; 4094])), None, "more servers than buckets");
    assert_eq!(table(Dh, &[]), Some(vec![EMPTY; 256]), "no servers");
    assert_eq!(table(Scheduler::Wlc, &members(&[1])), Some(vec![]), "no table");
}

/// Of n equal servers one is removed: its own buckets move, and of the others' only some. Measured:
/// 0.1 % of three, 1.4 % of ten, 2.7 % of a hundred.
#[test]
fn few_clients_move_when_a_server_of_mh_goes() {
    let rows = [(3, 0.002), (10, 0.02), (100, 0.03)];
    for (servers, most) in rows {
        let all = members(&vec![1; servers]);
        let before = table(Scheduler::Mh, &all).unwrap();
        let mut moved = 0;
        for gone in 0..servers {
            let mut rest = all.clone();
            rest.remove(gone);
            let after = table(Scheduler::Mh, &rest).unwrap();
            let stays = |(old, new): (&u16, &u16)| {
                let (old, new) = (usize::from(*old), usize::from(*new));
                old == gone || (if new >= gone { new + 1 } else { new }) == old
            };
            moved += before.iter().zip(&after).filter(|pair| !stays(*pair)).count();
        }
        let share = moved as f64 / (servers * before.len()) as f64;
        assert!(share < most, "{servers} servers: {share} of the buckets moved beside the gone");
        assert!(share > 0.0, "{servers} servers: mh is not perfect");
    }
}

/// A weight of 0 keeps its buckets: nobody else moves.
#[test]
fn a_quiesced_server_of_mh_keeps_its_buckets() {
    let mut all = members(&[4, 3, 2]);
    let before = table(Scheduler::Mh, &all).unwrap();
    all[1].weight = 0;
    assert_eq!(table(Scheduler::Mh, &all).unwrap(), before);
}

/// Ten servers, one of ten times the others' weight, clients of a skewed kind: never above the
/// bound, and a client that comes again while there is room finds its server.
#[test]
fn chbl_is_bounded_and_mostly_faithful() {
    let mut rng = Rng(11);
    let mut world = World::new(Scheduler::Chbl);
    for _ in 0..200 {
        world.change(&mut rng);
    }
    for server in &mut world.servers {
        (server.upper, server.overloaded) = (0, false);
        server.weight = if server.id == 0 { 10 } else { 1 };
        server.last_weight = server.weight;
    }
    world.list = (0..world.servers.len() as u32).collect();
    let all: Vec<Member> = world.servers.iter().map(member).collect();
    world.table = table(Scheduler::Chbl, &all).unwrap();
    let hashed = |world: &World, client| find(Scheduler::Mh, 0, world, client);
    let (mut faithful, mut asked) = (0, 0);
    for _ in 0..100_000 {
        if world.open() > 1500 {
            world.close(&mut rng);
            continue;
        }
        // Few clients make most of the connections.
        let client = rng.below(400) * rng.below(400) / 400;
        let id = bounded(&world, &world, client);
        let total: u32 = world.servers.iter().map(|s| s.active + s.inactive).sum();
        let server: &Dest = &world.servers[id as usize];
        let bound = (5.0 / 4.0 * f64::from(total + 1) * f64::from(server.weight) / 18.0).ceil();
        assert!(f64::from(server.active + server.inactive + 1) <= bound, "{server:?}");
        asked += 1;
        faithful += u32::from(id == hashed(&world, client));
        world.connect(id, true);
    }
    assert!(faithful * 100 > asked * 90, "{faithful} of {asked} where they hash to");
}

#[test]
fn a_share_grows_with_time() {
    let rows = [
        (0, 60, 1, "never nothing"),
        (1, 60, 1, "a sixtieth"),
        (30, 60, 32, "half the time, half the share"),
        (59, 60, 62, "almost"),
        (60, 60, FULL, "all"),
        (0, 0, FULL, "no slow start"),
        (4_000_000_000, u32::MAX, 59, "great numbers"),
    ];
    for (since, slow_start, expected, sentence) in rows {
        assert_eq!(share(since, slow_start), expected, "{sentence}");
    }
}

#[test]
fn effective_weights_keep_proportions() {
    use Scheduler::{Fo, Lc, Mh, Ovf, Rr, Wlc, Wrr};
    let rows: &[(Scheduler, u32, u32, u32, u32, &str)] = &[
        (Wlc, 1, 1, 3, 1, "a weight of 1 ramps, too"),
        (Wlc, 3, FULL, 3, 192, "since the others' are 64 times as great"),
        (Wrr, 100, 16, 100, 1600, "a quarter"),
        (Wrr, 1 << 30, 16, 1 << 30, 1 << 28, "unless that is too great"),
        (Wrr, 1, 16, 1 << 30, 1, "and then never 0"),
        (Rr, 50, 16, 100, 16, "rr gives shares alone"),
        (Lc, 50, FULL, 100, FULL, "so does lc"),
        (Fo, 100, 16, 100, 25, "fo compares weights with each other"),
        (Ovf, 3, 1, 3, 1, "never 0"),
        (Mh, 3, 1, 3, 3, "tables have another way"),
        (Wlc, 0, FULL, 3, 0, "0 stays 0"),
    ];
    for &(scheduler, weight, share, greatest, expected, sentence) in rows {
        assert_eq!(effective(scheduler, weight, share, greatest), expected, "{sentence}");
    }
    assert_eq!(stand_in(Rr), Wrr);
    assert_eq!(stand_in(Lc), Wlc);
    assert_eq!(stand_in(Mh), Mh);
}

/// A returning server's buckets come to it one after the other, and lead meanwhile where they would
/// without it.
#[test]
fn a_ramping_server_takes_its_buckets_one_by_one() {
    for scheduler in [Scheduler::Dh, Scheduler::Sh, Scheduler::Mh, Scheduler::Chbl] {
        let mut all = members(&[2, 1, 1, 2]);
        let full = table(scheduler, &all).unwrap();
        let without: Vec<Member> = [&all[..2], &all[3..]].concat();
        let without = table(scheduler, &without).unwrap();
        let mut before: Vec<u16> = vec![];
        for share in 1..=FULL {
            all[2].share = share;
            let now = table(scheduler, &all).unwrap();
            for (bucket, position) in now.iter().enumerate() {
                let other = without[bucket] + u16::from(without[bucket] >= 2);
                if full[bucket] == 2 {
                    assert!(*position == 2 || *position == other, "{scheduler:?} {bucket}");
                } else {
                    assert_eq!(*position, full[bucket], "{scheduler:?}: nobody else's move");
                }
                if before.get(bucket) == Some(&2) {
                    assert_eq!(*position, 2, "{scheduler:?}: what came to it stays");
                }
            }
            let (has, whole) = (buckets(&now, 4)[2], buckets(&full, 4)[2]);
            let part = whole as f64 * f64::from(share) / f64::from(FULL);
            assert!((has as f64 - part).abs() < 4.0 * part.sqrt() + 2.0, "{scheduler:?} {share}");
            before = now;
        }
        assert_eq!(before, full, "{scheduler:?}");
    }
}

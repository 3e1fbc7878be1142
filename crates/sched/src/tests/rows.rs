//! Rows for what churn meets too rarely.

use std::{collections::HashMap, vec, vec::Vec};

use super::{
    List, Real,
    naive::Model,
    naive_caches::Caches,
    world::{At, Cached, Entries, Rng, World},
};
use crate::{
    build::{ENTRY_IDLE, Expiry, TICK},
    *,
};

#[test]
fn thresholds_set_and_clear_overload() {
    let connect: &[(bool, u32, u32, bool, &str)] = &[
        (false, 4, 5, false, "below the upper one"),
        (false, 5, 5, true, "reached"),
        (false, 9, 0, false, "no threshold"),
        (true, 1, 5, true, "it stays"),
    ];
    for &(was, total, upper, is, sentence) in connect {
        assert_eq!(overload::after_connect(was, total, upper), is, "{sentence}");
    }
    let close: &[(bool, u32, u32, u32, bool, &str)] = &[
        (true, 2, 5, 2, true, "at the lower one"),
        (true, 1, 5, 2, false, "below it"),
        (true, 6, 8, 0, true, "three quarters"),
        (true, 5, 8, 0, false, "less"),
        (true, 9, 0, 0, false, "no threshold any more"),
        (true, 3, 5, 0, false, "a quarter is rounded down: four stay, three do not"),
        (true, 4, 5, 0, true, "four stay"),
        (false, 9, 5, 2, false, "only connecting sets it"),
    ];
    for &(was, total, upper, lower, is, sentence) in close {
        assert_eq!(overload::after_close(was, total, upper, lower), is, "{sentence}");
    }
    let edit: &[(bool, u32, u32, u32, bool, &str)] = &[
        (true, 8, 30, 2, true, "raised, but not below the lower one"),
        (true, 7, 12, 0, false, "raised, and below three quarters"),
        (true, 9, 12, 0, true, "raised, and not below three quarters"),
        (true, 5, 0, 0, false, "taken away"),
        (false, 5, 4, 0, true, "lowered onto the connections"),
        (false, 3, 4, 0, false, "between the two it is what it was"),
    ];
    for &(was, total, upper, lower, is, sentence) in edit {
        assert_eq!(overload::after_edit(was, total, upper, lower), is, "{sentence}");
    }
}

/// Servers by (weight, active connections).
fn servers(list: &[(u32, u32)]) -> List {
    let real = |(id, &(weight, active)): (u32, &(u32, u32))| {
        let load = Load { active, inactive: 0 };
        Real { id, weight, load }
    };
    List((0..).zip(list).map(real).collect())
}

/// A cache of one entry, at 7.
fn entries(set: &[u32], changed: u64) -> Entries {
    let mut servers = [0; SET];
    servers[..set.len()].copy_from_slice(set);
    let entry = Cached { used: 0, changed, count: set.len() as u32, servers };
    [(7, entry)].into_iter().collect::<HashMap<_, _>>().into()
}

#[test]
fn sets_are_kept_as_the_kernel_keeps_them() {
    type Row<'a> = (&'a [(u32, u32)], &'a [u32], u64, u32, &'a [u32], &'a str);
    let full: Vec<u32> = (0..SET as u32).collect();
    let joined: Vec<u32> = [15].into_iter().chain(0..SET as u32 - 1).collect();
    let busy: Vec<(u32, u32)> = (0..16).map(|n| (4, if n < 15 { 9 } else { 0 })).collect();
    let rows: &[Row<'_>] = &[
        (&[(1, 0), (1, 0)], &[1, 0], 0, 1, &[1, 0], "a tie goes to who joined last"),
        (&[(4, 0), (0, 0)], &[1, 0], 0, 0, &[1, 0], "who has no weight ties with nobody"),
        (&[(1, 1), (1, 0)], &[0, 1], 0, 1, &[0, 1], "the lightest of the set"),
        (&[(1, 5), (4, 0)], &[0], 0, 1, &[1, 0], "overloaded, and another is idle"),
        (&[(1, 5), (4, 2)], &[0], 0, 0, &[0], "overloaded, and nobody is idle"),
        (&[(0, 0), (4, 2)], &[0], 0, 1, &[1, 0], "the set has nobody who may"),
        (&[(1, 1), (1, 1)], &[1, 0], 11, 1, &[0], "expired: a tie drops who joined last"),
        (&[(1, 3), (1, 1), (9, 9)], &[1, 0], 11, 1, &[1], "expired: the heaviest goes"),
        (&[(1, 3), (1, 1), (9, 9)], &[1, 0, 7], 11, 1, &[1, 0], "who was removed goes first"),
        (&[(1, 3), (1, 1)], &[1, 0], 10, 1, &[1, 0], "not expired yet"),
        (&[(1, 1)], &[0], 11, 0, &[0], "a set of one never expires"),
        (&[(0, 1)], &[0], 5, NOBODY, &[0], "nobody may"),
        (&busy, &full, 5, 15, &joined, "a full set loses who joined first"),
    ];
    for (list, set, now, chosen, after, sentence) in rows {
        let entries = entries(set, 0);
        let cache = At(&entries, 7);
        let got = cached(Scheduler::Lblcr, &servers(list), &cache, *now, 10);
        let left = cache.entry().unwrap();
        assert_eq!(got, *chosen, "{sentence}");
        assert_eq!(&left.servers[..left.count as usize], *after, "{sentence}");
        assert_eq!(left.used, *now, "{sentence}");
    }
}

#[test]
fn lblc_replaces_and_refuses() {
    type Row<'a> = (&'a [(u32, u32)], u32, u32, &'a str);
    let rows: &[Row<'_>] = &[
        (&[(1, 1), (9, 0)], 0, 0, "a hit stays, however light another is"),
        (&[(1, 2), (9, 0)], 0, 1, "but not overloaded"),
        (&[(0, 0), (9, 0)], 0, 1, "nor quiesced"),
        (&[(1, 0), (9, 0)], 7, 0, "nor removed"),
        (&[(0, 0)], 0, NOBODY, "nobody may"),
    ];
    for (list, was, chosen, sentence) in rows {
        let entries = entries(&[*was], 0);
        let cache = At(&entries, 7);
        assert_eq!(cached(Scheduler::Lblc, &servers(list), &cache, 5, 10), *chosen, "{sentence}");
        let left = cache.entry().unwrap();
        let remembered = if *chosen == NOBODY { *was } else { *chosen };
        assert_eq!((left.servers[0], left.used), (remembered, 5), "{sentence}");
    }
}

/// More destinations than the cache should have: some idle ones go each minute, and which is the
/// kernel's choice of buckets.
#[test]
fn a_crowded_cache_loses_what_is_idle() {
    let mut rng = Rng(5);
    let mut world = World::new(Scheduler::Lblc);
    let mut model = Caches::new(EXPIRATION, MAX_ENTRIES as usize);
    let mut entries: Vec<(u32, u64)> = vec![];
    let mut expiry = Expiry::default();
    let mut sizes = vec![];
    for minute in 1..=75 {
        // Some hours after the clock's zero.
        world.now = (minute + 100) * TICK;
        for n in 0..(if minute % 25 == 1 { 20_000 } else { 100 }) {
            let to = (minute as u32) << 16 | n;
            let used = world.now - u64::from(rng.below(600)) * (ENTRY_IDLE / 360);
            entries.push((to, used));
            model.remember(to, used);
        }
        model.tick(&world);
        let mut gone = expiry.tick(world.now, EXPIRATION, &entries);
        gone.sort_unstable();
        for at in gone.into_iter().rev() {
            entries.swap_remove(at);
        }
        let mut known: Vec<u32> = entries.iter().map(|(to, _)| *to).collect();
        known.sort_unstable();
        assert_eq!(known, model.known(), "minute {minute}");
        sizes.push(known.len());
    }
    assert!(sizes.iter().any(|n| *n > MAX_ENTRIES as usize), "it was crowded");
    assert!(!sizes.is_sorted(), "and some went");
}

//! Models of the schedulers by tables: pointers into the list, filled as the kernel fills them.

use std::{vec, vec::Vec};

use super::{
    naive::{Model, available, listed},
    world::{Change, Dest, World},
};
use crate::{FALLBACK, PORT, Scheduler};

/// `IP_VS_DH_TAB_SIZE`, `IP_VS_SH_TAB_SIZE`, and mh's prime.
const SMALL: usize = 256;
const PRIME: usize = 4093;

/// dh, sh, mh, chbl: who is in which bucket.
pub(super) struct Tables {
    pub(super) flags: u32,
    buckets: Vec<Option<u32>>,
}

impl Tables {
    pub(super) fn new(flags: u32) -> Self {
        Self { flags, buckets: vec![] }
    }

    fn server<'a>(&self, world: &'a World, bucket: usize) -> Option<&'a Dest> {
        self.buckets[bucket].map(|id| &world.servers[id as usize])
    }
}

impl Model for Tables {
    fn changed(&mut self, world: &World, change: Change, _: &[u32]) {
        let list = listed(world);
        match (world.scheduler, change) {
            (Scheduler::Dh, Change::Edit(_)) => {}
            (Scheduler::Dh, _) => self.buckets = turns(&list, |_| 1),
            (Scheduler::Sh, _) => self.buckets = turns(&list, |d| d.weight),
            _ => self.buckets = maglev(&list),
        }
    }

    fn choose(&mut self, world: &World, client: u32, port: u16, to: u32) -> Option<u32> {
        if self.buckets.is_empty() {
            return None;
        }
        let port = if self.flags & PORT == 0 { 0 } else { u32::from(port) };
        let hash = |offset: usize| match world.scheduler {
            Scheduler::Dh => hash_32(to),
            Scheduler::Sh => (offset + hash_32(port.wrapping_add(client))) % SMALL,
            _ => {
                let sum = (offset as u32).wrapping_add(port).wrapping_add(client);
                siphash_1_3(&sum.to_le_bytes(), 2_654_435_761) as u32 as usize % PRIME
            }
        };
        if world.scheduler == Scheduler::Chbl {
            return self.bounded(world, hash(0));
        }
        let first = self.server(world, hash(0))?;
        if available(first) {
            return Some(first.id);
        }
        if self.flags & FALLBACK == 0 || world.scheduler == Scheduler::Dh {
            return None;
        }
        let size = self.buckets.len();
        let others = (0..size).map(|offset| hash((offset + hash(0)) % size));
        others.map(|at| self.server(world, at)).find(|d| d.is_none_or(available))?.map(|d| d.id)
    }
}

impl Tables {
    /// chbl by its formula, in fractions of 128 bits.
    fn bounded(&self, world: &World, first: usize) -> Option<u32> {
        let list: Vec<&Dest> = listed(world).into_iter().filter(|d| available(d)).collect();
        let weights: u128 = list.iter().map(|d| u128::from(d.weight)).sum();
        let count = |d: &Dest| u128::from(d.active) + u128::from(d.inactive);
        let connections: u128 = list.iter().map(|d| count(d)).sum();
        let bound = |d: &Dest| (5 * (connections + 1) * u128::from(d.weight)).div_ceil(4 * weights);
        for probe in 0..32 {
            let d = self.server(world, (first + probe) % PRIME)?;
            if available(d) && count(d) < bound(d) {
                return Some(d.id);
            }
        }
        let mut least: Option<&Dest> = None;
        for d in list {
            let lighter =
                |l: &Dest| count(d) * u128::from(l.weight) < count(l) * u128::from(d.weight);
            if least.is_none_or(lighter) {
                least = Some(d);
            }
        }
        let least = least?;
        assert!(count(least) < bound(least), "the least burdened is within its bound");
        Some(least.id)
    }
}

/// `ip_vs_dh_reassign`, `ip_vs_sh_reassign`.
fn turns(list: &[&Dest], turns: impl Fn(&Dest) -> u32) -> Vec<Option<u32>> {
    let (mut p, mut count) = (0, 0);
    let fill = |_| {
        if list.is_empty() {
            return None;
        }
        if p == list.len() {
            p = 0;
        }
        let d = list[p];
        count += 1;
        if count >= turns(d) {
            p += 1;
            count = 0;
        }
        Some(d.id)
    };
    (0..SMALL).map(fill).collect()
}

/// `ip_vs_mh_permutate` and `ip_vs_mh_populate`.
fn maglev(list: &[&Dest]) -> Vec<Option<u32>> {
    let mut buckets = vec![None; PRIME];
    let greatest = list.iter().map(|d| d.last_weight).max().unwrap_or(0);
    if greatest == 0 {
        return buckets;
    }
    let divides = |n: &u32| list.iter().all(|d| d.last_weight.is_multiple_of(*n));
    let divisor = (1..=greatest).rev().find(divides).unwrap();
    let mut shift = 0;
    while (greatest / divisor) >> shift >= 1 << 6 {
        shift += 1;
    }
    let mut places: Vec<usize> = vec![0; list.len()];
    let mut left = PRIME;
    loop {
        for (d, place) in list.iter().zip(&mut places) {
            let turns = match (d.last_weight / divisor) >> shift {
                0 => u32::from(d.last_weight != 0),
                turns => turns,
            };
            let key = d.address.wrapping_add(u32::from(d.port)).to_le_bytes();
            let offset = siphash_1_3(&key, 2_654_435_761) as u32 as usize % PRIME;
            let skip = siphash_1_3(&key, 2_654_446_892) as u32 as usize % (PRIME - 1) + 1;
            for _ in 0..turns {
                let mut at = (offset + *place * skip) % PRIME;
                while buckets[at].is_some() {
                    *place += 1;
                    at = (offset + *place * skip) % PRIME;
                }
                buckets[at] = Some(d.id);
                left -= 1;
                if left == 0 {
                    return buckets;
                }
            }
        }
    }
}

fn hash_32(value: u32) -> usize {
    (value.wrapping_mul(0x61c8_8647) >> 24) as usize
}

/// SipHash-1-3 of any bytes with both words of the key alike.
fn siphash_1_3(bytes: &[u8], key: u64) -> u64 {
    let mut v = [
        key ^ 0x736f_6d65_7073_6575,
        key ^ 0x646f_7261_6e64_6f6d,
        key ^ 0x6c79_6765_6e65_7261,
        key ^ 0x7465_6462_7974_6573,
    ];
    let round = |v: &mut [u64; 4]| {
        for (a, b, turn, swap) in [(0, 1, 13, 0), (2, 3, 16, 4), (0, 3, 21, 4), (2, 1, 17, 2)] {
            v[a] = v[a].wrapping_add(v[b]);
            v[b] = v[b].rotate_left(turn) ^ v[a];
            if swap != 4 {
                v[swap] = v[swap].rotate_left(32);
            }
        }
    };
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len() / 8 * 8 + 7, 0);
    padded.push(bytes.len() as u8);
    for word in padded.chunks(8) {
        let word = u64::from_le_bytes(word.try_into().unwrap());
        v[3] ^= word;
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for _ in 0..3 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

//! Maglev's table (`ip_vs_mh.c`): each server has its own permutation of the buckets and, turn by
//! turn, takes the next free one of it.
//!
//! Measured (`tests/shares.rs`): when one of 3, 10 or 100 equal servers goes, 0.1, 1.4 or 2.7 in a
//! hundred of the others' buckets change hands, too.

use alloc::{vec, vec::Vec};

use super::{EMPTY, Member};
use crate::{MH_BUCKETS, hash::hsiphash, list::gcd, table::KEY_1};

/// A server's place in its permutation.
struct Setup {
    position: u16,
    at: u32,
    skip: u32,
    turns: u32,
}

/// None if there are more servers than buckets.
pub(super) fn table(members: &[Member]) -> Option<Vec<u16>> {
    let size = MH_BUCKETS as usize;
    if members.len() > size {
        return None;
    }
    let mut table = vec![EMPTY; size];
    let mut setups = setups(members);
    if setups.is_empty() {
        return Some(table);
    }
    let mut left = size;
    loop {
        for setup in &mut setups {
            for _ in 0..setup.turns {
                while table[setup.at as usize] != EMPTY {
                    setup.at = (setup.at + setup.skip) % MH_BUCKETS;
                }
                table[setup.at as usize] = setup.position;
                left -= 1;
                if left == 0 {
                    return Some(table);
                }
            }
        }
    }
}

/// Of the servers that ever had a weight (`ip_vs_mh_permutate`).
fn setups(members: &[Member]) -> Vec<Setup> {
    let weights = || members.iter().map(|m| m.last_weight);
    let divisor = weights().fold(0, gcd);
    let greatest = weights().max().unwrap_or(0);
    if divisor == 0 {
        return Vec::new();
    }
    // ip_vs_mh_shift_weight: occupied bits of the greatest, less half the table's.
    let shift = (u32::BITS - (greatest / divisor).leading_zeros()).saturating_sub(TURN_BITS);
    let weighty = super::positions(members).filter(|(_, member)| member.last_weight > 0);
    let setup = |(position, member): (u16, &Member)| {
        let key = member.address.wrapping_add(u32::from(member.port));
        Setup {
            position,
            at: hsiphash(key, KEY_1) % MH_BUCKETS,
            skip: hsiphash(key, KEY_2) % (MH_BUCKETS - 1) + 1,
            turns: ((member.last_weight / divisor) >> shift).max(1),
        }
    };
    weighty.map(setup).collect()
}

/// Of the second hash (`generate_hash_secret`).
const KEY_2: u64 = 2_654_446_892;
/// `IP_VS_MH_TAB_BITS`: half of `CONFIG_IP_VS_MH_TAB_INDEX`.
const TURN_BITS: u32 = 6;

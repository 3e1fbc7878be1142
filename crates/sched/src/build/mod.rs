//! What userspace makes for the way of a packet: tables, and the upkeep of caches. With the feature
//! `build`, since it allocates.

mod expire;
mod mh;

use alloc::{vec, vec::Vec};

use crate::{DH_BUCKETS, FULL, SH_BUCKETS, Scheduler, hash::mix};

pub use expire::{ENTRY_IDLE, Expiry, TICK};

/// A server as a table's maker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address in host order, folded if IPv6.
    pub address: u32,
    /// Its port.
    pub port: u16,
    /// Its weight.
    pub weight: u32,
    /// The last weight that was not 0; 0 if there was none. mh goes by this, so that a server of
    /// weight 0 keeps its buckets and no other client moves (`atomic_read(&dest->last_weight)`).
    pub last_weight: u32,
    /// Its share of [`FULL`] in slow start ([`crate::share`]).
    pub share: u32,
}

/// The table of a service: positions in its list, by bucket; [`EMPTY`] where there is nobody. Of
/// length 0 if the scheduler has none. None if there are more servers than mh has buckets: the
/// kernel then leaves the table what it was.
pub fn table(scheduler: Scheduler, members: &[Member]) -> Option<Vec<u16>> {
    let full = plain(scheduler, members)?;
    if members.iter().all(|m| m.share >= FULL) {
        return Some(full);
    }
    let settled = positions(members).filter(|(_, m)| m.share >= FULL);
    let settled: Vec<u16> = settled.map(|(position, _)| position).collect();
    let others: Vec<Member> = members.iter().filter(|m| m.share >= FULL).copied().collect();
    let without = plain(scheduler, &others)?;
    let blend = (0..).zip(full.iter().zip(&without)).map(|(bucket, (&own, &other))| {
        let share = members.get(usize::from(own)).map_or(FULL, |m| m.share);
        if mix(bucket) % FULL < share {
            own
        } else {
            // Nobody has settled: the ramping ones share as they are.
            settled.get(usize::from(other)).copied().unwrap_or(own)
        }
    });
    Some(blend.collect())
}

fn plain(scheduler: Scheduler, members: &[Member]) -> Option<Vec<u16>> {
    Some(match scheduler {
        Scheduler::Dh => round_robin(members, DH_BUCKETS, |_| 1),
        Scheduler::Sh => round_robin(members, SH_BUCKETS, |m| m.weight),
        Scheduler::Mh | Scheduler::Chbl => return mh::table(members),
        _ => Vec::new(),
    })
}

/// `ip_vs_dh_reassign` and `ip_vs_sh_reassign`: each server in list order has `turns` buckets, or
/// one, and again from the head of the list until all are filled.
fn round_robin(members: &[Member], buckets: u32, turns: impl Fn(&Member) -> u32) -> Vec<u16> {
    let mut table = Vec::new();
    let size = buckets as usize;
    if members.is_empty() {
        return vec![EMPTY; size];
    }
    while table.len() < size {
        for (position, member) in positions(members).take(size) {
            let turns = turns(member).clamp(1, buckets);
            table.extend((0..turns).map(|_| position));
        }
    }
    table.truncate(size);
    table
}

/// Members and their positions. Who stands beyond 16 bits finds no bucket left.
fn positions(members: &[Member]) -> impl Iterator<Item = (u16, &Member)> {
    (0..EMPTY).zip(members)
}

/// A bucket without a server.
pub const EMPTY: u16 = u16::MAX;

//! The upkeep of a service's cache of destinations (`ip_vs_lblc_check_expire`,
//! `ip_vs_lblcr_check_expire`), each [`TICK`]: what is idle for the expiration goes every 30th
//! time; between, when there are too many entries, some that are idle for six minutes.

use alloc::vec::Vec;

use crate::{MAX_ENTRIES, hash::hash_32};

/// What the upkeep of one service remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Ticks since the last full one.
    counter: u32,
    /// The bucket of the kernel's table where the last partial one ended.
    rover: u32,
}

impl Default for Expiry {
    fn default() -> Self {
        Self { counter: 1, rover: 0 }
    }
}

impl Expiry {
    /// Which entries go now: their places in `entries`, which are (destination address folded, last
    /// used). All times in nanoseconds.
    pub fn tick(&mut self, now: u64, expiration: u64, entries: &[(u32, u64)]) -> Vec<usize> {
        if self.counter.is_multiple_of(FULL_EVERY) {
            self.counter = 1;
            let idle = |&(_, &(_, used)): &(usize, &(u32, u64))| is_idle(now, used, expiration);
            return entries.iter().enumerate().filter(idle).map(|(at, _)| at).collect();
        }
        let excess = entries.len().saturating_sub(MAX_ENTRIES as usize);
        if excess == 0 {
            self.counter += 1;
            return Vec::new();
        }
        self.some(now, entries, (excess * 4 / 3).min(MAX_ENTRIES as usize / 2))
    }

    /// Bucket by bucket from where the last time ended, until `goal` entries are found.
    fn some(&mut self, now: u64, entries: &[(u32, u64)], goal: usize) -> Vec<usize> {
        let mut idle: Vec<(u32, usize)> = (0..)
            .zip(entries)
            .filter(|(_, (_, used))| is_idle(now, *used, ENTRY_IDLE))
            .map(|(at, (address, _))| {
                let bucket = hash_32(*address, BUCKETS);
                (bucket.wrapping_sub(self.rover + 1) % BUCKETS, at)
            })
            .collect();
        idle.sort_unstable();
        let mut found = 0;
        let last = idle.get(goal - 1).map(|&(bucket, _)| bucket);
        if let Some(last) = last {
            found = idle.iter().take_while(|(bucket, _)| *bucket <= last).count();
        }
        let (end, count) = match last {
            Some(last) => (last + 1, found),
            None => (BUCKETS, idle.len()),
        };
        self.rover = (self.rover + end) % BUCKETS;
        idle.into_iter().take(count).map(|(_, at)| at).collect()
    }
}

/// `!time_before(now, used + time)`.
const fn is_idle(now: u64, used: u64, time: u64) -> bool {
    now >= used.saturating_add(time)
}

/// How often the kernel looks (`CHECK_EXPIRE_INTERVAL`): a minute.
pub const TICK: u64 = 60 * 1_000_000_000;
/// For how long an entry is idle that may go when there are too many (`ENTRY_TIMEOUT`).
pub const ENTRY_IDLE: u64 = 6 * TICK;
/// `COUNT_FOR_FULL_EXPIRATION`.
const FULL_EVERY: u32 = 30;
/// `IP_VS_LBLC_TAB_SIZE`.
const BUCKETS: u32 = 1024;

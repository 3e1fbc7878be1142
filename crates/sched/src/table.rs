//! Schedulers by a table (`ip_vs_{dh,sh,mh}.c`): dh, sh, mh. [`crate::build`] makes the tables;
//! here a packet is looked up.

use crate::{FALLBACK, NOBODY, PORT, Scheduler, Server, hash::hash_32, hash::hsiphash, list::may};

/// A service's table: buckets that hold servers.
pub trait Table {
    /// What a bucket leads to.
    type Server: Server;
    /// How many buckets there are; 0 if there is no table.
    fn buckets(&self) -> u32;
    /// The server of a bucket less than [`Table::buckets`]; None if it is empty.
    fn get(&self, bucket: u32) -> Option<Self::Server>;
    /// Runs a step for each of 0..rounds until it says no. The kernel program has `bpf_loop` for
    /// it.
    #[inline(always)]
    fn repeat<S: Step<Self>>(&self, rounds: u32, mut step: S) -> S
    where
        Self: Sized,
    {
        for round in 0..rounds {
            if !step.step(self, round) {
                break;
            }
        }
        step
    }
}

/// The body of a loop over buckets: see [`crate::Visit`].
pub trait Step<T: Table> {
    /// Looks at one bucket; false stops the loop.
    fn step(&mut self, table: &T, round: u32) -> bool;
}

/// What of a packet is looked up: addresses in host order, IPv6 ones folded ([`crate::fold`]). dh
/// hashes the destination, the others the client and, with [`PORT`], its port.
#[inline(always)]
pub const fn table_key(
    scheduler: Scheduler,
    flags: u32,
    client: u32,
    port: u16,
    destination: u32,
) -> u32 {
    match scheduler {
        Scheduler::Dh => destination,
        _ if flags & PORT != 0 => client.wrapping_add(port as u32),
        _ => client,
    }
}

/// The bucket of a key. `offset` is 0, or where a fallback looks: sh adds it to the hash, mh to the
/// key.
#[inline(always)]
pub(crate) const fn bucket(scheduler: Scheduler, buckets: u32, key: u32, offset: u32) -> u32 {
    match scheduler {
        Scheduler::Dh | Scheduler::Sh => {
            remainder(offset.wrapping_add(hash_32(key, buckets)), buckets)
        }
        _ => remainder(hsiphash(key.wrapping_add(offset), KEY_1), buckets),
    }
}

/// `a % n`; without the panic for 0, which never comes.
#[inline(always)]
pub(crate) const fn remainder(a: u32, n: u32) -> u32 {
    if n == 0 { 0 } else { a % n }
}

/// The server of a new connection by a scheduler of [`crate::Kind::Table`], or [`NOBODY`]. With
/// [`FALLBACK`] sh and mh look on, by the kernel's sequence of buckets, for one that may.
#[inline(always)]
pub fn find<T: Table>(scheduler: Scheduler, flags: u32, table: &T, key: u32) -> u32 {
    let buckets = table.buckets();
    if buckets == 0 {
        return NOBODY;
    }
    let first = bucket(scheduler, buckets, key, 0);
    let Some(server) = table.get(first) else { return NOBODY };
    if may(&server) {
        return server.id();
    }
    match scheduler {
        Scheduler::Sh | Scheduler::Mh if flags & FALLBACK != 0 => {
            let fallback = Fallback { scheduler, buckets, key, first, id: NOBODY };
            table.repeat(buckets, fallback).id
        }
        _ => NOBODY,
    }
}

struct Fallback {
    scheduler: Scheduler,
    buckets: u32,
    key: u32,
    first: u32,
    id: u32,
}

impl<T: Table> Step<T> for Fallback {
    #[inline(always)]
    fn step(&mut self, table: &T, round: u32) -> bool {
        let offset = remainder(round.wrapping_add(self.first), self.buckets);
        let at = bucket(self.scheduler, self.buckets, self.key, offset);
        let Some(server) = table.get(at) else { return false };
        if may(&server) {
            self.id = server.id();
            return false;
        }
        true
    }
}

/// dh's buckets (`IP_VS_DH_TAB_BITS`).
pub const DH_BUCKETS: u32 = 256;
/// sh's (`CONFIG_IP_VS_SH_TAB_BITS` of 8, the default).
pub const SH_BUCKETS: u32 = 256;
/// mh's and chbl's (`CONFIG_IP_VS_MH_TAB_INDEX` of 12, the default).
pub const MH_BUCKETS: u32 = 4093;

/// mh's keys, constant so that all directors agree (`generate_hash_secret`); both words are alike.
pub(crate) const KEY_1: u64 = 2_654_435_761;

//! Schedulers by a cache of destinations (`ip_vs_lblc.c`, `ip_vs_lblcr.c`), for directors before
//! web caches: lblc sends a destination where it went before, lblcr to one of a set of servers.
//!
//! The cached server stands while it is in the list with a weight, unless it is overloaded: more
//! active connections than weight, and somebody else has fewer than half. (This overload is not
//! that of thresholds, which lblc does not ask about on a hit and lblcr does.) Else the choice is
//! wlc's, and is cached. lblcr chooses as wlc within the set; a set of several that was not changed
//! for `expiration` loses its most burdened server; an overloaded choice makes wlc's join the set.
//!
//! One walk finds all that. Where the kernel differs: sets have [`SET`] servers at most, the one
//! that joined first leaving; and a removed server leaves an expired set before the most burdened
//! one.

use crate::{Destinations, NOBODY, Scheduler, Server, Visit, list::overhead};

/// The cache of a service at the packet's destination: an entry, in place. Several processors may
/// change one at once: what comes out is a set, if not the one that either wanted.
pub trait Cache {
    /// How many servers are cached, at most [`SET`]; 0: there is no entry.
    fn count(&self) -> u32;
    /// The [`Server::id`] at a rank less than [`SET`]: 0 for the one that joined last. lblc has no
    /// other.
    fn member(&self, rank: u32) -> u32;
    /// Where a server is in the set: `1 << rank`, or 0. Asked for each server of the list; the
    /// kernel program makes it a function that the verifier walks once.
    #[inline(always)]
    fn place(&self, id: u32) -> u32 {
        let mut places = 0;
        for rank in 0..SET_COUNT {
            places |= u32::from(self.member(rank) == id) << rank;
        }
        places &= !(u32::MAX << (self.count() & 31));
        places & places.wrapping_neg()
    }
    /// Sets one.
    fn set_member(&self, rank: u32, id: u32);
    /// When the set last changed, in nanoseconds.
    fn changed(&self) -> u64;
    /// Sets how many there are, and that this changed now.
    fn set_count(&self, count: u32, now: u64);
    /// Notes that the destination was asked for, for the upkeep.
    fn touch(&self, now: u64);
    /// Makes an entry, with one server, changed and asked for now. May do nothing, if the cache is
    /// full ([`REFUSED_FROM`]).
    fn insert(&self, id: u32, now: u64);
}

/// A server and its burden. Without branches where that can be: the kernel's verifier walks them
/// all.
#[derive(Clone, Copy)]
struct Burden {
    overhead: i64,
    weight: i64,
    id: u32,
    active: u32,
    /// Its place in the set: `1 << rank`, or 0.
    place: u32,
}

impl Burden {
    /// Nobody, of this burden and weight. All that a loop begins with has a `zero` in it that the
    /// verifier does not know: so its first round is to it as any other.
    #[inline(always)]
    const fn nobody(zero: u32, overhead: i64, weight: u32) -> Self {
        let (overhead, weight) = (overhead + zero as i64, (weight + zero) as i64);
        Self { overhead, weight, id: NOBODY ^ zero, active: zero, place: zero }
    }

    /// How much its overhead is less for its weight, by sign.
    #[inline(always)]
    fn lighter_by(&self, than: &Self) -> i64 {
        let others = than.overhead.wrapping_mul(self.weight);
        others.wrapping_sub(self.overhead.wrapping_mul(than.weight))
    }
}

struct Look<'a, C> {
    cache: &'a C,
    /// 1: thresholds count within the set.
    thresholds: u32,
    /// Not 0: somebody has less than half the active connections that its weight allows.
    idle: u64,
    /// Which places of the set the list has.
    seen: u32,
    /// wlc's choice.
    best: Burden,
    /// Of the set, the lightest that may, and the heaviest.
    least: Burden,
    most: Burden,
}

impl<C: Cache> Visit for Look<'_, C> {
    #[inline(always)]
    fn visit<S: Server>(&mut self, _: u32, server: &S) -> bool {
        let (id, load) = (server.id(), server.load());
        let weight = i64::from(server.weight());
        let below = u32::from(server.overloaded()).wrapping_sub(1);
        let free = weight & i64::from(below.cast_signed());
        let within = weight & i64::from((below | self.thresholds.wrapping_sub(1)).cast_signed());
        self.idle |= (i64::from(load.active) * 2).wrapping_sub(weight).cast_unsigned() >> 63;
        let place = self.cache.place(id);
        let overhead = overhead(load);
        let server = Burden { overhead, weight: free, id, active: load.active, place };
        if server.lighter_by(&self.best) > 0 {
            self.best = server;
        }
        if place == 0 {
            return true;
        }
        self.seen |= place;
        let server = Burden { weight: within, ..server };
        let by = server.lighter_by(&self.least);
        if by > 0 || (by == 0 && within > 0 && place < self.least.place) {
            self.least = server;
        }
        let server = Burden { weight, ..server };
        let by = server.lighter_by(&self.most);
        if weight > 0 && (by < 0 || (by == 0 && place < self.most.place)) {
            self.most = server;
        }
        true
    }
}

/// The server of a new connection by a scheduler of [`crate::Kind::Cache`], or [`NOBODY`].
/// `expiration` is lblcr's, in nanoseconds ([`EXPIRATION`] by default).
#[inline(always)]
pub fn cached<D: Destinations, C: Cache>(
    scheduler: Scheduler,
    list: &D,
    cache: &C,
    now: u64,
    expiration: u64,
) -> u32 {
    let count = cache.count();
    // The clock's highest bit, which it takes 300 years to set.
    let zero = (now >> 63) as u32;
    let look = list.scan(
        0,
        Look {
            cache,
            thresholds: scheduler as u32 & 1,
            idle: zero.into(),
            seen: zero,
            // Of no weight: all that have one are lighter.
            best: Burden::nobody(zero, 1, 0),
            least: Burden::nobody(zero, 1, 0),
            // Of less than no burden: all are heavier.
            most: Burden::nobody(zero, -1, 1),
        },
    );
    let (best, least) = (look.best.id, look.least.id);
    if count == 0 {
        if best != NOBODY {
            cache.insert(best, now);
        }
        return best;
    }
    cache.touch(now);
    let expires = cache.changed().saturating_add(expiration);
    if scheduler == Scheduler::Lblcr && count > 1 && now > expires {
        let gone = !(u32::MAX << (count & 31)) & !look.seen;
        leave(cache, gone, look.most.place, now);
    }
    let busy = i64::from(look.least.active) > look.least.weight;
    if least != NOBODY && !(busy && look.idle != 0) {
        return least;
    }
    if best != NOBODY {
        if scheduler == Scheduler::Lblcr {
            join(cache, best, now);
        } else {
            cache.set_member(0, best);
        }
    }
    best
}

/// lblcr: another server, unless it is there (`ip_vs_dest_set_insert`).
#[inline(always)]
fn join<C: Cache>(cache: &C, id: u32, now: u64) {
    if cache.place(id) != 0 {
        return;
    }
    for rank in (1..SET_COUNT).rev() {
        cache.set_member(rank, cache.member(rank - 1));
    }
    cache.set_member(0, id);
    let count = cache.count();
    cache.set_count(if count < SET_COUNT { count + 1 } else { SET_COUNT }, now);
}

/// lblcr: one server less (`ip_vs_dest_set_max`, `ip_vs_dest_set_erase`): of the places `gone`,
/// whose servers were removed, the one that was taken first, or else the place of the `most`
/// burdened.
#[inline(always)]
fn leave<C: Cache>(cache: &C, gone: u32, most: u32, now: u64) {
    let place = if gone == 0 { most } else { highest(gone) };
    if place == 0 {
        return;
    }
    for rank in 1..SET_COUNT {
        // All ones for the ranks after the place, whose servers move up; without branches.
        let after = (i64::from(place) - (1 << rank)) >> 63;
        let (own, next) = (i64::from(cache.member(rank - 1)), i64::from(cache.member(rank)));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an id")]
        cache.set_member(rank - 1, ((own & !after) | (next & after)) as u32);
    }
    cache.set_count(cache.count().saturating_sub(1), now);
}

/// The highest bit that is set.
#[inline(always)]
const fn highest(mut bits: u32) -> u32 {
    bits |= bits >> 1;
    bits |= bits >> 2;
    bits |= bits >> 4;
    bits |= bits >> 8;
    bits ^ bits >> 1
}

// Only lblcr's number is odd.
const _: () = assert!(Scheduler::Lblc as u32 & 1 == 0 && Scheduler::Lblcr as u32 & 1 == 1);
/// How many servers lblcr keeps for a destination at most.
pub const SET: usize = 15;
#[expect(clippy::cast_possible_truncation, reason = "a small number")]
const SET_COUNT: u32 = SET as u32;
/// `lblc_expiration` and `lblcr_expiration`: a day.
pub const EXPIRATION: u64 = 24 * 3600 * 1_000_000_000;
/// How many destinations a service's cache may have before idle ones go.
pub const MAX_ENTRIES: u32 = 16384;
/// How many it may have at all.
pub const REFUSED_FROM: u32 = MAX_ENTRIES + MAX_ENTRIES / 2;

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

use crate::{
    Destinations, NOBODY, Scheduler, Server, Visit,
    list::{may, overhead},
};

/// What is cached of a destination. Times are nanoseconds of the caller's clock.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// When it was last asked for.
    pub used: u64,
    /// When its set last changed.
    pub changed: u64,
    /// How many servers the set has.
    pub count: u32,
    /// Their [`Server::id`]s, the one that joined last first; lblc has one.
    pub servers: [u32; SET],
}

/// The cache of a service, at the packet's destination address.
pub trait Cache {
    /// What is there.
    fn get(&self) -> Option<Cached>;
    /// Notes that it was asked for: [`Cached::used`].
    fn touch(&self, now: u64);
    /// Puts it there. May do nothing, if the cache is full ([`REFUSED_FROM`]).
    fn put(&self, entry: &Cached);
}

/// A server and its burden.
#[derive(Clone, Copy)]
struct Burden {
    id: u32,
    /// Its place in the set.
    rank: u32,
    overhead: i64,
    weight: i64,
    active: u32,
}

impl Burden {
    const NONE: Self = Self { id: NOBODY, rank: 0, overhead: 0, weight: 0, active: 0 };

    /// Whether this one's overhead is less for its weight.
    #[inline(always)]
    fn lighter(&self, than: &Self) -> bool {
        than.overhead.wrapping_mul(self.weight) > self.overhead.wrapping_mul(than.weight)
    }

    /// Whether this one stands before the other in the set and neither is lighter.
    #[inline(always)]
    fn ties_before(&self, other: &Self) -> bool {
        let (own, others) =
            (self.overhead.wrapping_mul(other.weight), other.overhead.wrapping_mul(self.weight));
        own == others && self.rank < other.rank
    }
}

struct Look {
    scheduler: Scheduler,
    count: u32,
    servers: [u32; SET],
    /// Members of the set that the list has: a bit for each.
    seen: u32,
    /// wlc's choice.
    best: Burden,
    /// Of the set, the lightest that may, and the heaviest.
    least: Burden,
    most: Burden,
    /// Somebody has less than half the active connections that its weight allows.
    idle: bool,
}

impl Look {
    #[inline(always)]
    fn rank(&self, id: u32) -> u32 {
        let mut rank = 0;
        for &member in &self.servers {
            if rank >= self.count || member == id {
                break;
            }
            rank += 1;
        }
        rank
    }
}

impl Visit for Look {
    #[inline(always)]
    fn visit<S: Server>(&mut self, _: u32, server: &S) -> bool {
        let (id, load) = (server.id(), server.load());
        if u64::from(load.active) * 2 < u64::from(server.weight()) {
            self.idle = true;
        }
        let rank = self.rank(id);
        let overhead = overhead(load);
        let weight = i64::from(server.weight());
        let burden = Burden { id, rank, overhead, weight, active: load.active };
        let free = may(server);
        if rank < self.count {
            self.seen |= 1 << rank;
            let least = &self.least;
            if (free || (self.scheduler == Scheduler::Lblc && weight > 0))
                && (least.id == NOBODY || burden.lighter(least) || burden.ties_before(least))
            {
                self.least = burden;
            }
            let most = &self.most;
            if weight > 0
                && (most.id == NOBODY || most.lighter(&burden) || burden.ties_before(most))
            {
                self.most = burden;
            }
        }
        if free && (self.best.id == NOBODY || burden.lighter(&self.best)) {
            self.best = burden;
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
    let entry = cache.get();
    let (count, servers) = match &entry {
        Some(entry) => (entry.count, entry.servers),
        None => (0, [NOBODY; SET]),
    };
    let none = Burden::NONE;
    let look = Look {
        scheduler,
        count,
        servers,
        seen: 0,
        best: none,
        least: none,
        most: none,
        idle: false,
    };
    let look = list.scan(0, look);
    let Some(mut entry) = entry else {
        if look.best.id != NOBODY {
            let mut servers = [NOBODY; SET];
            servers[0] = look.best.id;
            cache.put(&Cached { used: now, changed: now, count: 1, servers });
        }
        return look.best.id;
    };
    entry.used = now;
    let mut changed = false;
    if scheduler == Scheduler::Lblcr && count > 1 && now > entry.changed.saturating_add(expiration)
    {
        changed = entry.drop_one(&look, now);
    }
    let least = look.least;
    let overloaded = i64::from(least.active) > least.weight && look.idle;
    let stays = least.id != NOBODY && !overloaded;
    if !stays && look.best.id != NOBODY {
        changed |= match scheduler {
            Scheduler::Lblcr => entry.join(look.best.id, now),
            _ => entry.replace(look.best.id, now),
        };
    }
    if changed {
        cache.put(&entry);
    } else {
        cache.touch(now);
    }
    if stays { least.id } else { look.best.id }
}

impl Cached {
    /// lblc: another server.
    #[inline(always)]
    fn replace(&mut self, id: u32, now: u64) -> bool {
        let other = self.servers[0] != id;
        self.servers[0] = id;
        self.changed = now;
        other
    }

    /// lblcr: another server, unless it is there (`ip_vs_dest_set_insert`).
    #[inline(always)]
    fn join(&mut self, id: u32, now: u64) -> bool {
        let mut moved = id;
        let mut servers = self.servers;
        for (rank, place) in (0..).zip(&mut servers) {
            if rank < self.count && *place == id {
                return false;
            }
            core::mem::swap(place, &mut moved);
        }
        self.servers = servers;
        self.count = (self.count + 1).min(SET_COUNT);
        self.changed = now;
        true
    }

    /// lblcr: one server less (`ip_vs_dest_set_max`, `ip_vs_dest_set_erase`).
    #[inline(always)]
    fn drop_one(&mut self, look: &Look, now: u64) -> bool {
        let mut victim = if look.most.id == NOBODY { self.count } else { look.most.rank };
        for rank in 0..SET_COUNT {
            if rank < self.count && look.seen & (1 << rank) == 0 {
                victim = rank;
            }
        }
        if victim >= self.count {
            return false;
        }
        let mut servers = [NOBODY; SET];
        let stay = self.servers.iter().zip(0..self.count).filter(|&(_, rank)| rank != victim);
        for (place, (&server, _)) in servers.iter_mut().zip(stay) {
            *place = server;
        }
        self.servers = servers;
        self.count -= 1;
        self.changed = now;
        true
    }
}

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

//! Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016), which the kernel
//! has not: mh's table, and no server gets more than its bound.
//!
//! Of n servers that may have connections, with weights w, let T be all their connections (active
//! and not: UDP's are never active) and W the sum of weights. Server i may have one more while
//!
//! ```text
//! connections(i) + 1 <= ceil(5/4 * (T + 1) * w(i) / W)
//! ```
//!
//! which is `4 * connections(i) * W < 5 * (T + 1) * w(i)` in whole numbers. The bucket that the
//! client hashes to is asked, then the ones after it, [`PROBES`] in all; then the server with the
//! fewest connections for its weight has the connection, which is always under its bound. So
//! clients stay where mh has them while no server is above 5/4 of its part, and nobody is refused
//! whom any server may have.
//!
//! Measured (`tests/shares.rs`): nine servers, one ten times as heavy as the others, 1,500
//! connections of clients of whom few make most. 92 of 100 went where mh would have sent them.

use crate::{
    Destinations, Load, NOBODY, Scheduler, Server, Step, Table, Visit,
    list::may,
    table::{bucket, remainder},
};

/// The list in sums.
struct Tally {
    connections: u64,
    weights: u64,
    /// The one with the fewest connections for its weight.
    id: u32,
    least: u64,
    weight: u64,
}

impl Visit for Tally {
    #[inline(always)]
    fn visit<S: Server>(&mut self, _: u32, server: &S) -> bool {
        if !may(server) {
            return true;
        }
        let (weight, connections) = (weight(server), sum(server.load()));
        self.connections += connections;
        self.weights += weight;
        if self.id == NOBODY || self.least * weight > connections * self.weight {
            self.id = server.id();
            self.least = connections;
            self.weight = weight;
        }
        true
    }
}

struct Probe {
    connections: u64,
    weights: u64,
    buckets: u32,
    first: u32,
    id: u32,
}

impl<T: Table> Step<T> for Probe {
    #[inline(always)]
    fn step(&mut self, table: &T, round: u32) -> bool {
        let at = remainder(self.first.wrapping_add(round), self.buckets);
        let Some(server) = table.get(at) else { return false };
        if !may(&server) {
            return true;
        }
        let (load, weight) = (sum(server.load()), weight(&server));
        if within_bound(load, weight, self.connections, self.weights) {
            self.id = server.id();
            return false;
        }
        true
    }
}

/// The server of a new connection by chbl, or [`NOBODY`]. `key` is [`crate::table_key`]'s.
#[inline(always)]
pub fn bounded<D: Destinations, T: Table>(list: &D, table: &T, key: u32) -> u32 {
    let tally = Tally { connections: 0, weights: 0, id: NOBODY, least: 0, weight: 0 };
    let tally = list.scan(0, tally);
    let buckets = table.buckets();
    if tally.id == NOBODY || buckets == 0 {
        return tally.id;
    }
    let first = bucket(Scheduler::Chbl, buckets, key, 0);
    let (connections, weights) = (tally.connections, tally.weights);
    let probe = Probe { connections, weights, buckets, first, id: NOBODY };
    let probe = table.repeat(PROBES, probe);
    if probe.id == NOBODY { tally.id } else { probe.id }
}

/// Whether a server of this weight with so many connections may have one more, where all that may
/// have `connections` and weigh `weights` together.
#[inline(always)]
pub const fn within_bound(load: u64, weight: u64, connections: u64, weights: u64) -> bool {
    load * BOUND_DENOMINATOR * weights < BOUND_NUMERATOR * (connections + 1) * weight
}

#[inline(always)]
fn sum(load: Load) -> u64 {
    u64::from(load.active) + u64::from(load.inactive)
}

#[inline(always)]
fn weight<S: Server>(server: &S) -> u64 {
    u64::from(server.weight().min(MAX_WEIGHT))
}

/// How far above its part a server may be: 5/4.
pub const BOUND_NUMERATOR: u64 = 5;
/// See [`BOUND_NUMERATOR`].
pub const BOUND_DENOMINATOR: u64 = 4;
/// How many buckets are asked.
pub const PROBES: u32 = 32;
/// Greater weights count as this one: 4096 such servers with 2^28 connections keep products in 64
/// bits.
pub const MAX_WEIGHT: u32 = 1 << 20;

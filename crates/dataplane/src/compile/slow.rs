//! Slow start: which servers ramp, since when, and what that makes of a list. The formula is
//! `xlvs_sched::share`'s.
//!
//! A server begins to ramp when it gets a weight in a list where it had none: added, added again,
//! or back from weight 0. All servers of a new service do, too, but a share counts beside the
//! others': the greatest of a service is taken for the whole. So who came together shares as if
//! nobody ramped, and a server that is alone has all.
//!
//! Nothing of this outlives the process: a restarted daemon goes on with full weights.

use std::collections::BTreeSet;

use xlvs_datapath::tables::{Order, ServiceKey};
use xlvs_model::Touched;
use xlvs_sched::{FULL, Scheduler, effective, share, stand_in};

use super::{Compiler, has_address, keys::model_service};

/// A server of a list to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) slot: u32,
    /// As it was written.
    pub(super) weight: u32,
    /// It has thresholds.
    pub(super) limited: bool,
    /// Of [`FULL`].
    pub(super) share: u32,
}

/// What ramping makes of a list.
pub(super) struct Ramped {
    /// That works while somebody ramps.
    pub(super) scheduler: Scheduler,
    pub(super) orders: Vec<Order>,
    /// Of the servers in list order; empty while nobody ramps.
    pub(super) shares: Vec<u32>,
}

/// The greatest share becomes the whole, and the list what the data path is to see.
pub(super) fn ramped(scheduler: Scheduler, listed: &mut [Listed]) -> Ramped {
    let heard = || listed.iter().filter(|server| server.weight != 0);
    let greatest = heard().map(|server| server.share).max().unwrap_or(FULL);
    let heaviest = heard().map(|server| server.weight).max().unwrap_or(0);
    for server in &mut *listed {
        server.share = (server.share * FULL / greatest).min(FULL);
    }
    let plain = |s: &Listed| Order::new(s.slot, s.weight, s.limited);
    if listed.iter().all(|server| server.share == FULL) {
        let orders = listed.iter().map(plain).collect();
        return Ramped { scheduler, orders, shares: Vec::new() };
    }
    let part = |s: &Listed| {
        Order::new(s.slot, effective(scheduler, s.weight, s.share, heaviest), s.limited)
    };
    let orders = listed.iter().map(part).collect();
    let shares = listed.iter().map(|server| server.share).collect();
    Ramped { scheduler: stand_in(scheduler), orders, shares }
}

impl Compiler {
    /// The slots that the service's list in force gives connections to; nobody asks for those of a
    /// service without slow start.
    pub(super) fn served(&self, key: ServiceKey, slow_start_s: u32) -> BTreeSet<u32> {
        let installed = self.services.get(&key).filter(|_| slow_start_s != 0);
        let orders = installed.into_iter().flat_map(|installed| &installed.orders);
        orders.filter(|order| order.weight() != 0).map(|order| order.slot).collect()
    }

    /// The share of a server; it begins to ramp if it was not `served`.
    pub(super) fn ramp(
        &mut self,
        slot: u32,
        weight: u32,
        slow_start_s: u32,
        served: &BTreeSet<u32>,
        now: u64,
    ) -> u32 {
        if slow_start_s == 0 || weight == 0 {
            self.ramps.remove(&slot);
            return FULL;
        }
        // Whole seconds of the clock, so that those who came in the same one stay alike.
        let now_s = now / NS_PER_S;
        if !served.contains(&slot) {
            self.ramps.insert(slot, now_s);
        }
        let Some(since) = self.ramps.get(&slot) else { return FULL };
        let passed = u32::try_from(now_s.saturating_sub(*since)).unwrap_or(u32::MAX);
        let share = share(passed, slow_start_s);
        if share == FULL {
            self.ramps.remove(&slot);
        }
        share
    }

    /// The services of which somebody has less than the others for having come back: what time
    /// changes.
    pub(crate) fn ramping(&self) -> Touched {
        // A destination's key writes a mark's protocol as 0.
        let protocol = |k: &ServiceKey| if has_address(*k) { k.protocol } else { 0 };
        let key = |k: &ServiceKey| model_service(k.addr, k.port, u8::try_from(protocol(k)).ok()?);
        self.ramping.keys().filter_map(key).collect()
    }

    /// The share of a server in slow start, of 64; None: it does not ramp.
    pub(crate) fn share_of(&self, key: ServiceKey, slot: u32) -> Option<u32> {
        if !self.ramping.contains_key(&key) {
            return None;
        }
        let installed = self.services.get(&key)?;
        let at = installed.orders.iter().position(|order| order.slot == slot)?;
        let shares = installed.shares.as_ref()?;
        shares.get(at).copied().filter(|share| *share < FULL)
    }
}

const NS_PER_S: u64 = 1_000_000_000;

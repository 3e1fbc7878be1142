//! The schedulers: which server gets a new connection. Pure: a list of servers and a number to
//! remember go in, a server and a number to remember come out.
//!
//! Every choice is the kernel's (`net/netfilter/ipvs/ip_vs_{rr,wrr,lc,wlc,sed,nq}.c`): the list is
//! walked from its head, which is the server added last, and ties go to the one met first. The list
//! is any [`Destinations`]: arrays of the kernel program or a `Vec` in a test.
#![no_std]
#![forbid(unsafe_code)]

mod lc;
mod least;
mod nq;
mod rr;
mod sed;
mod wlc;
mod wrr;

use least::{Burden, Least};

/// Which scheduler; the number is the tables' number.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// Round robin.
    Rr = 0,
    /// Weighted round robin.
    Wrr = 1,
    /// Least connections.
    Lc = 2,
    /// Weighted least connections.
    Wlc = 3,
    /// Shortest expected delay.
    Sed = 4,
    /// Never queue.
    Nq = 5,
}

/// Connections of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// In the active states.
    pub active: u32,
    /// In all others.
    pub inactive: u32,
}

/// A server as a scheduler sees it.
pub trait Server {
    /// How the caller knows it.
    fn id(&self) -> u32;
    /// Its weight; 0 gets nothing.
    fn weight(&self) -> u32;
    /// Its connections. Asked for only by schedulers that need it: it costs a look-up.
    fn load(&self) -> Load;
}

/// The body of a loop over servers. A value with a method, not a closure with borrows: the kernel's
/// `bpf_loop` hands its callback one pointer.
pub trait Visit {
    /// Looks at the server at `position` of the list; false stops the loop.
    fn visit<S: Server>(&mut self, position: u32, server: &S) -> bool;
}

/// The servers of a service, the one added last first.
pub trait Destinations {
    /// How many there are.
    fn count(&self) -> u32;
    /// Shows `visitor` each server once, from position `start` on and wrapping, until it says no.
    fn scan<V: Visit>(&self, start: u32, visitor: V) -> V;
    /// What wrr needs to know of all weights.
    fn weights(&self) -> Weights;
}

/// What wrr needs to know of all weights: see [`Weights::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Their greatest common divisor; 1 if all are 0.
    pub divisor: u32,
    /// The greatest, less (divisor - 1); 0 if all are 0.
    pub max: u32,
}

impl Weights {
    /// Of these weights (`ip_vs_wrr_gcd_weight`, `ip_vs_wrr_max_weight`).
    pub fn of(weights: impl IntoIterator<Item = u32>) -> Self {
        let (mut divisor, mut max) = (0, 0);
        for w in weights {
            if w > 0 {
                divisor = gcd(divisor, w);
                max = max.max(w);
            }
        }
        let divisor = divisor.max(1);
        Self { divisor, max: if max == 0 { 0 } else { max - (divisor - 1) } }
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A server, and what to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// [`Server::id`].
    pub id: u32,
    /// The next call's `state`. Equal to this call's: nothing to remember.
    pub state: u64,
}

/// A walk over the list for a place in it: one loop for rr and wrr.
pub(crate) struct Search {
    weighted: bool,
    weights: Weights,
    /// wrr: the weight that is asked for.
    threshold: u32,
    /// wrr: where the walk began, and whether it came round.
    start: u32,
    wrapped: bool,
    /// The server found.
    found: bool,
    id: u32,
    position: u32,
}

impl Visit for Search {
    #[inline(always)]
    fn visit<S: Server>(&mut self, position: u32, server: &S) -> bool {
        if server.weight() == 0 {
            return true;
        }
        if self.weighted {
            wrr::visit(self, position, server)
        } else {
            rr::visit(self, position, server)
        }
    }
}

/// The server of a new connection; None if no server may have it. `state` is what the last choice
/// of this list left: 0 (or [`wrr_state`]) before the first.
#[inline(always)]
pub fn pick<D: Destinations>(scheduler: Scheduler, list: &D, state: u64) -> Option<Choice> {
    match scheduler {
        Scheduler::Rr => next_in_list(false, list, state),
        Scheduler::Wrr => next_in_list(true, list, state),
        Scheduler::Lc => lightest(lc::BURDEN, list, state),
        Scheduler::Wlc => lightest(wlc::BURDEN, list, state),
        Scheduler::Sed => lightest(sed::BURDEN, list, state),
        Scheduler::Nq => lightest(nq::BURDEN, list, state),
    }
}

/// The least burdened server.
#[inline(always)]
fn lightest<D: Destinations>(burden: Burden, list: &D, state: u64) -> Option<Choice> {
    let least = list.scan(0, Least::new(burden));
    if least.weight == 0 { None } else { Some(Choice { id: least.id, state }) }
}

/// The server whose turn it is.
#[inline(always)]
fn next_in_list<D: Destinations>(weighted: bool, list: &D, state: u64) -> Option<Choice> {
    let weights = list.weights();
    let (mut start, mut threshold) =
        if weighted { wrr_parts(state) } else { (rr::start(state), 0) };
    if start >= list.count() {
        start = 0;
        threshold = wrr::lower(threshold, weights);
    }
    let search = Search {
        weighted,
        weights,
        threshold,
        start,
        wrapped: false,
        found: false,
        id: 0,
        position: 0,
    };
    let search = list.scan(start, search);
    if !search.found {
        return None;
    }
    let state = if weighted {
        wrr_state(search.position + 1, search.threshold)
    } else {
        rr_state(Some(search.position))
    };
    Some(Choice { id: search.id, state })
}

pub use rr::rr_state;
pub use wrr::{wrr_parts, wrr_state, wrr_state_after_change};

impl Scheduler {
    /// The scheduler of the tables' number.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Rr,
            1 => Self::Wrr,
            2 => Self::Lc,
            3 => Self::Wlc,
            4 => Self::Sed,
            5 => Self::Nq,
            _ => return None,
        })
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "lists of a few servers")]
mod tests;

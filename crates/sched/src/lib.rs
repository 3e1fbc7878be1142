//! The schedulers: which server gets a new connection. Pure: a list of servers and a number to
//! remember go in, a server and a number to remember come out.
//!
//! Every choice is the kernel's (`net/netfilter/ipvs/ip_vs_*.c`): the list is walked from its head,
//! which is the server added last, and ties go to the one met first. The list is any
//! [`Destinations`]: arrays of the kernel program or a `Vec` in a test. A server may have a
//! connection if its weight is not 0 and it is not [`Server::overloaded`].
//!
//! # How a packet asks
//!
//! By [`Scheduler::kind`]; what comes back is a [`Server::id`] or [`NOBODY`].
//!
//! | kind | function | needs |
//! |---|---|---|
//! | Walk | [`walk()`] or [`pick`] | the plan's state, remembered afterwards |
//! | Random | [`twos()`] | a new uniform u64 |
//! | Table | [`find`] | a [`Table`], bucket -> server; the service's flags; [`table_key`] |
//! | Cache | [`cached`] | a [`Cache`] at the packet's destination; now; lblcr's expiration |
//! | Bounded | [`bounded`] | a [`Table`], too, of [`build::table`] for chbl; [`table_key`] |
//!
//! Each walks the list once at most, by [`Destinations::scan`]; buckets are looped over by
//! [`Table::repeat`] alone, whose plain loop the kernel program replaces by `bpf_loop`. Nothing
//! here allocates, divides signed numbers or can panic.
//!
//! # What userspace makes
//!
//! With the feature `build`: [`build::table`] whenever a list changes (and, where
//! [`Scheduler::weights_make_table`], a weight); [`build::Expiry`] for the caches. States of rr and
//! wrr move by [`rr_state`] and [`wrr_state_after_change`]. Slow start is [`share`], [`stand_in`]
//! and [`effective`], written into weights and tables once a second; thresholds are [`overload`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, doc, feature = "build"))]
extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(any(test, doc, feature = "build"))]
pub mod build;
mod cache;
mod chbl;
mod fo;
mod hash;
mod lc;
mod least;
mod list;
mod nq;
pub mod overload;
mod ovf;
mod rr;
mod scheduler;
mod sed;
mod slow_start;
mod table;
mod twos;
mod walk;
mod wlc;
mod wrr;

pub use cache::{Cache, EXPIRATION, MAX_ENTRIES, REFUSED_FROM, SET, cached};
pub use chbl::{BOUND_DENOMINATOR, BOUND_NUMERATOR, MAX_WEIGHT, PROBES, bounded, within_bound};
pub use hash::{fold, hash_32, hsiphash};
pub use list::{Choice, Destinations, FEW, Load, NOBODY, Server, Visit, Weights};
pub use rr::rr_state;
pub use scheduler::{FALLBACK, Kind, PORT, Scheduler};
pub use slow_start::{FULL, effective, share, stand_in};
pub use table::{DH_BUCKETS, MH_BUCKETS, SH_BUCKETS, Step, Table, find, table_key};
pub use twos::twos;
pub use walk::{pick, walk};
pub use wrr::{wrr_parts, wrr_state, wrr_state_after_change};

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "lists of a few servers, and tests fail by panicking"
)]
mod tests;

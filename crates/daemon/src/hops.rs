//! Next hops: where packets to each real server go, fresh from the kernel's routes and neighbours.
//!
//! `decide` is pure: a route's answer and a neighbour's make a [`Resolved`]. `netlink` asks the
//! kernel. `ways` knows them all and works out which of them news concern. `watch` runs: at once
//! when the kernel says that something changed, else every few seconds, and keeps the neighbours of
//! real servers from growing stale.

mod decide;
mod netlink;
mod watch;
mod ways;

#[cfg(test)]
pub(crate) use decide::Neighbour;
pub(crate) use decide::{Resolved, Unresolved};
pub(crate) use netlink::{Changed, Host, Netlink};
pub(crate) use watch::{Sight, Watcher, Wish, look};
pub(crate) use ways::{Occasion, Shift, Ways};

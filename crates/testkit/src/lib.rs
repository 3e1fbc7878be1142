//! Hosts in network namespaces, for tests and for `xlvs demo`.
//!
//! A [`Lab`] is built from a [`Plan`] (hosts, links, addresses: plain data) and takes itself away
//! again: when dropped, on a panic, after Ctrl-C where [`interrupt::catch`] was called, and, had
//! its process been killed outright, by the [`Lab`] that comes next ([`sweep`]). It needs root and
//! the kernel, no other program: links are made through the small blocking netlink of [`netlink`],
//! which `xlvs realserver` uses too.
//!
//! Namespaces carry the maker's process id (`xl1234-client`) and lie where `ip netns` looks.

pub mod capture;
mod error;
mod evidence;
mod host;
pub mod interrupt;
mod lab;
pub mod netlink;
pub mod netns;
pub mod offload;
mod pass;
pub mod peers;
mod plan;
mod process;
mod record;
pub mod udp;
mod wait;

pub use error::{Error, Result};
pub use evidence::Evidence;
pub use host::Host;
pub use lab::Lab;
pub use plan::{Bridge, HostPlan, LinkPlan, Net, Plan, RoutePlan, addresses};
pub use process::{Process, find_program};
pub use record::{kept, labs, remove, sweep};
pub use wait::{is_timeout, wait_until};

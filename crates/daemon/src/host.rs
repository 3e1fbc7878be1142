//! The place where the daemon stands: its network namespace, its run directory, its bpffs.
//!
//! Everything here happens once, at the start, while the process has a single thread: namespaces
//! are a thread's own, and the kernel lets only a lone thread change its mount namespace.

mod bpffs;
mod namespace;
mod offload;
mod rundir;

pub(crate) use bpffs::{Bpffs, Unmounted, clear, forwards, unmount};
pub(crate) use namespace::{Place, enter_network, place};
pub(crate) use offload::merging_offloads;
pub(crate) use rundir::RunDir;

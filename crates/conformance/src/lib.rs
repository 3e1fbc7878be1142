//! What the way of a packet must do, as data, and the two homes that must do it: the eBPF object in
//! the kernel, driven by `BPF_PROG_TEST_RUN`, and the same code over memory.
//!
//! [`Given`] is a world as plain values. A [`Twin`] installs it, takes frames and shows its tables
//! as a [`Snapshot`]. Frames, expected ones too, are built by `etherparse`, which knows nothing of
//! us.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a harness: a surprise here is a failed test, and its numbers are small"
)]

pub mod churn;
mod frames;
mod given;
mod home;
mod in_memory;
mod kernel;
mod random;
pub mod rows;
pub mod traffic;

pub use frames::{Flags, L4, Outer, Packet, checksums_hold, icmp, icmp_error, icmp_from, ipip};
pub use given::{
    CLIENT, CLIENT_MAC, CONNS, DIRECTOR, Entry, GATEWAY, Given, IFINDEX, NOW, OTHER_IFINDEX,
    OTHER_PORT, PLANS, Real, SECOND, SLOTS, VIP, addr, client_key, reply_key, server, server_mac,
};
pub use home::{Action, Ran, Snapshot, Twin};
pub use in_memory::InMemory;
pub use kernel::{Changes, InKernel, Options, Programs};
pub use random::Random;

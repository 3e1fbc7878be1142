//! The way of a packet, written once and compiled twice: into the XDP program over BPF maps, and
//! into userspace over memory.
//!
//! The crate knows three things about where it runs: how to see bytes ([`Packet`](xlvs_wire::Packet)),
//! how to see tables ([`Tables`]) and what time it is (an argument, nanoseconds of the monotonic
//! clock). It never indexes, never panics, never allocates, and recurses nowhere.
//!
//! Between stages go offsets, never references into the frame; deciding (`known`, `new`) returns a
//! hop and one `send` does the rewriting.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(target_arch = "bpf", allow(internal_features, reason = "atomics, see cell.rs"))]
#![cfg_attr(target_arch = "bpf", allow(unsafe_code, reason = "atomics, see cell.rs"))]

mod cell;
pub mod conn;
mod forward;
mod home;
mod icmp;
mod parse;
mod pipeline;
mod reason;
pub mod state;
pub mod tables;

pub use cell::{Cell32, Cell64};
pub use home::{Insert, Route, Tables, VisitOrder};
pub use parse::{Meta, NoMeta, parse};
pub use pipeline::{
    Arrival, NO_SERVER, Outcome, SWEEP_KEYS, choose, director, local_reply, sweep, tick_of,
};
pub use reason::{Reason, Verdict};

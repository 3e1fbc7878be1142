//! The way of a packet, written once and compiled twice: into the XDP program over BPF maps, and
//! into userspace over memory.
//!
//! The crate knows three things about where it runs: how to see bytes
//! ([`Packet`](xlvs_wire::Packet)), how to see tables ([`Tables`]) and what time it is (an
//! argument, nanoseconds of the monotonic clock). It never indexes, never panics, never allocates,
//! and recurses nowhere.
//!
//! Between stages go offsets, never references into the frame; deciding (`known`, `new`) returns a
//! hop and one `send` does the rewriting.
#![no_std]
#![allow(
    clippy::many_single_char_names,
    clippy::too_many_arguments,
    reason = "p, t, s, m, c, d are packet, tables, settings, meta, connection, destination \
              throughout; what the stages share goes as arguments, which the verifier follows best"
)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(target_arch = "bpf", allow(internal_features, reason = "atomics, see cell.rs"))]
#![cfg_attr(target_arch = "bpf", allow(unsafe_code, reason = "atomics, see cell.rs"))]

mod admit;
mod cell;
mod choose;
pub mod conn;
mod fast;
mod forward;
mod gate;
mod home;
mod icmp;
pub mod mark;
mod parse;
mod pipeline;
pub mod policy;
mod rare;
mod reason;
mod related;
pub mod reset;
pub mod sip;
pub mod state;
pub mod tables;
pub mod template;

pub use admit::{Admission, Newcomer, OTHER_HOST};
pub use cell::{Cell32, Cell64};
pub use choose::{NO_SERVER, cache_place, choose, choose_bounded, choose_bucket, choose_random};
pub use fast::{Way, fast, newcomer};
pub use gate::{gate, own_timeout, tally};
pub use home::{Insert, Round, Route, Tables, VisitOrder};
pub use icmp::{Details, answer};
pub use parse::{Meta, NoMeta, parse};
pub use pipeline::{
    Arrival, Outcome, SWEEP_KEYS, director, director_without_short_ways, local_reply, sweep,
    tick_of, whole,
};
/// The programs that `director` goes on in, by their place in its table of tail calls.
pub const JUMPS: [&str; 8] = [
    "director_slow",
    "director_new",
    "director_rare",
    "director_cache",
    "director_begin",
    "director_icmp",
    "director_related",
    "director_sip",
];

pub use rare::{begin, cache, mark as newcomers_mark, rare, stray};
pub use reason::{Reason, Verdict};
pub use related::{icmp, related};
pub use sip::sip;

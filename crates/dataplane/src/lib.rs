//! The data plane: what joins the desired state and the forwarding code.
//!
//! A [`Dataplane`] compiles a [`Model`](xlvs_model::Model) into table writes and reads the counters
//! back. The tables live in one of two homes: [`Kernel`] (BPF maps, programs and links, pinned so
//! that they outlive the process) or [`Memory`] (this process, for tests and explaining). Both run
//! the same way of a packet, `xlvs-datapath`. Nothing in here is asynchronous or has a thread of
//! its own.

mod arp;
mod compile;
mod conns;
mod counters;
mod error;
mod home;
mod kernel;
mod limits;
mod memory;
mod packets;
mod plane;
mod raw;
mod sweep;
mod sys;
mod waiting;

pub use arp::{arp_announce, arp_probe};
pub use compile::{
    Hop, LeftOut, access, compile_marks, defence_modes, free_pages, left_out, policy,
    service_policy,
};
pub use conns::{Connection, Filter};
pub use counters::{Base, Baselines, ServerCounters, ServiceBase, Totals, WholeCounters};
pub use error::Error;
pub use home::{Call, Cursor, Home, LiveCount, Sizes};
pub use kernel::{Attached, Kernel, OBJECT, Options, XdpMode, remove_pins};
pub use memory::{Frame, Memory};
pub use packets::{PacketSocket, VNET_HEADER};
pub use plane::{Dataplane, Interface, Notice, Usage};
pub use sweep::SweepReport;
pub use waiting::Waiting;

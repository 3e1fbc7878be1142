//! Desired state: what a person, a file or a program asked the director to be.
//!
//! Pure: no socket, clock, file or global. Every face edits a [`Model`] by [`Change`]s; the daemon
//! compiles the result into tables. What packets did (connections, counters) is not in here, and
//! nothing in here changes because a server died.
#![forbid(unsafe_code)]

mod change;
mod fault;
mod service;

pub use change::{Change, Model};
pub use fault::Fault;
pub use service::{
    Method, ParseKeyError, Protocol, Scheduler, Server, ServerKey, Service, ServiceKey, Timeouts,
};

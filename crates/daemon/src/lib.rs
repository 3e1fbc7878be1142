//! The daemon: `xlvs run`. It joins the parts: the API on a unix socket, the desired state on disk,
//! next hops from the kernel's routes and neighbours, and the data plane that forwards.
//!
//! ```text
//! site (a file, its checks) -----+
//!                                v
//! server (axum) --Change--> engine (one thread) --Model--> plane (the kernel's tables)
//!                              ^       |
//!        hops (rtnetlink) --Sight      +--> store (state.json)
//! ```
//!
//! Forwarding does not need it: it may die and be replaced at any time.
#![deny(unsafe_code)]

mod args;
mod engine;
mod estimate;
mod firewall;
mod hops;
mod host;
mod kernel;
mod logging;
mod metrics;
mod owner;
mod plane;
mod run;
mod server;
mod settings;
mod site;
mod store;
mod via;
mod warnings;
mod watchdog;

pub use args::{ByHand, FormatArg, RunArgs, XdpMode};
pub use run::run;
pub use site::ThisHost;
pub use via::check_namespace;

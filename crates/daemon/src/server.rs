//! The API's server: HTTP on a unix socket. Routes and types are in `xlvs_api::types`.
//!
//! The socket is the owner's alone (mode 0600), and whoever connects must be root or the daemon's
//! own user, by the kernel's word (`SO_PEERCRED`).

mod files;
mod listener;
mod peer;
mod routes;
mod telling;

pub(crate) use listener::Listener;
pub(crate) use peer::Peer;
pub(crate) use routes::{App, router};
pub(crate) use telling::metrics_alone;

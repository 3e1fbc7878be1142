//! Desired state: what a person, a file or a program asked the director to be.
//!
//! Pure: no socket, clock, file or global. Every face edits a [`Model`] by [`Change`]s; the daemon
//! compiles the result into tables. What packets did (connections, counters) is not in here, and
//! nothing in here changes because a server died. What the data path cannot forward yet is held all
//! the same: the compiler says what it leaves out.
#![forbid(unsafe_code)]

mod change;
mod edit;
mod effective;
mod fault;
pub mod health;
mod in_force;
mod key;
mod limits;
mod marks;
mod network;
mod overrides;
mod plan;
mod scheduler;
mod server;
mod service;
mod services;
pub mod settings;
mod sync;
pub mod vrrp;

pub use change::{Change, Model};
pub use edit::{Edit, Touched};
pub use effective::{Effective, Finding, Health, Quorum, Standing, State};
pub use fault::Fault;
pub use in_force::{Hands, InForce, Owner};
pub use key::{Family, ParseKeyError, Protocol, ServiceKey};
pub use limits::{
    Access, ClientLimit, ClientRate, LIMITS_EFFECT, Limits, ParseLimitError, PerClient, Verdict,
};
pub use marks::{
    Followed, FollowedThen, InterfacePattern, IpProtocol, Is, MAX_MARK_RULES, MAX_PORT_RANGES,
    MacAddress, MarkMatch, MarkRule, MarkThen, Masked, Mirror, NotMirrored, ParsePartError,
    PortRange, Ports, Prefix,
};
pub use network::{Network, ParseNetworkError};
pub use overrides::{Action, OnDeadline, Override, Overrides};
pub use plan::{Difference, Turn, Wanted, check_differences, differences, plan};
pub use scheduler::Scheduler;
pub use server::{Method, Server, ServerKey, Tunnel, TunnelChecksum};
pub use service::{ClientMask, Persistence, Service, Terms, Timeouts, Tuning};
pub use services::{Iter, Services};
pub use sync::{SyncDaemon, SyncRole};

/// What nobody changed is not written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

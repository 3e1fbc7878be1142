//! Why an edit was refused.

use thiserror::Error;

/// Why a [`Change`](crate::Change) was refused. The names are causes, not places; the faces turn
/// them into their own words (`ipvsadm` has its own, from the kernel's `errno`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A service of this protocol, address and port is there already (`EEXIST`).
    #[error("the service already exists")]
    ServiceExists,
    /// There is no such service (`ESRCH`).
    #[error("there is no such service")]
    NoSuchService,
    /// The service has this server already (`EEXIST`).
    #[error("the service already has this server")]
    ServerExists,
    /// The service has no such server (`ENOENT`).
    #[error("the service has no such server")]
    NoSuchServer,
    /// A server's address must be one host's (`EINVAL`): not multicast, broadcast or 0.0.0.0.
    #[error("the server's address is not the address of one host")]
    NotUnicast,
    /// A timeout is negative or too large (`EINVAL`).
    #[error("a timeout is out of range")]
    TimeoutRange,
    /// The tables have no room for another service or server (`ENOMEM`).
    #[error("the director's tables are full; `xlvs status` shows the limits")]
    TablesFull,
    /// IPv6, a fwmark or another thing that this version does not forward yet.
    #[error("not supported yet")]
    Unsupported,
}

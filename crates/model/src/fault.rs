//! Why an edit was refused.

use thiserror::Error;

/// Why a [`Change`](crate::Change) was refused. The names are causes, not places; the faces turn
/// them into their own words (`ipvsadm` has its own, from the kernel's `errno`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A service of this key is there already (`EEXIST`).
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
    /// A server of the other family than its service's can be reached by a tunnel alone (`EINVAL`),
    /// and not while connections are synchronised.
    #[error("a server of another address family can be reached by a tunnel alone")]
    OtherFamily,
    /// A GUE tunnel without a port, a GRE tunnel with a remote checksum (`EINVAL`).
    #[error("these settings do not make a tunnel")]
    BadTunnel,
    /// A persistence mask of the other family, or a prefix that is none (`EINVAL`).
    #[error("the persistence mask does not suit the service")]
    BadMask,
    /// There is no persistence engine of this name (`ENOENT`).
    #[error("there is no such persistence engine")]
    NoSuchEngine,
    /// The weight is too large, or the lower threshold above the upper one (`ERANGE`).
    #[error("a weight or threshold is out of range")]
    OutOfRange,
    /// A timeout is negative or too large (`EINVAL`).
    #[error("a timeout is out of range")]
    TimeoutRange,
    /// A sync daemon of this role runs already (`EEXIST`).
    #[error("the sync daemon runs already")]
    DaemonRuns,
    /// No sync daemon of this role runs (`ESRCH`).
    #[error("no such sync daemon runs")]
    NoDaemon,
    /// There is no interface of this name (`ENODEV`).
    #[error("there is no such interface")]
    NoSuchDevice,
    /// There is no mark rule of this number.
    #[error("there is no such mark rule")]
    NoSuchMark,
    /// A mark rule asks for the ports of packets that may have none.
    #[error("ports need a protocol that has them")]
    MarkPorts,
    /// A setting cannot have this value (`EINVAL`).
    #[error("the setting cannot have this value")]
    SettingValue,
    /// A limit is out of range, or its prefix is longer than an address.
    #[error("a limit is out of range")]
    LimitRange,
    /// Clients of one address family do not reach a service of the other.
    #[error("the network and the service are of different address families")]
    OtherNetworkFamily,
    /// The list has no such entry.
    #[error("there is no such entry")]
    NoSuchEntry,
    /// The server is neither drained nor disabled.
    #[error("the server is neither drained nor disabled")]
    NoSuchOverride,
    /// The tables have no room for another service or server (`ENOMEM`).
    #[error("the director's tables are full; `xlvs status` shows the limits")]
    TablesFull,
}

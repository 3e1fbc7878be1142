//! What services are.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{Family, Limits, Scheduler, Server, ServerKey, ServiceKey, is_default};

/// A virtual service. `servers` is in the kernel's order: the one added last comes first.
///
/// As JSON its terms and its tuning lie flat beside the key; what is as it was before anybody said
/// anything is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Protocol, address and port, or a mark.
    pub key: ServiceKey,
    /// What `ipvsadm -A` and `-E` say.
    #[serde(flatten)]
    pub terms: Terms,
    /// What IPVS does not know of.
    #[serde(flatten)]
    pub tuning: Tuning,
    /// The servers, the one added last first.
    #[serde(default)]
    pub servers: Vec<Server>,
    /// Of a service in force: whose clients are reset, since they are down, whether they are in
    /// `servers` or not. Worked out ([`Effective`](crate::Effective)), never written.
    #[serde(skip)]
    pub resets: Vec<ServerKey>,
}

impl Service {
    /// A service without servers.
    pub fn new(key: ServiceKey, terms: impl Into<Terms>) -> Self {
        let (terms, tuning) = (terms.into(), Tuning::default());
        Self { key, terms, tuning, servers: Vec::new(), resets: Vec::new() }
    }

    /// The server of this address and port.
    pub fn server(&self, key: &ServerKey) -> Option<&Server> {
        self.servers.iter().find(|s| s.key == *key)
    }
}

/// All that IPVS knows of a service beside its key and its servers: an edit replaces the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Who chooses the server of a new connection.
    pub scheduler: Scheduler,
    /// Bits 0 to 2: the scheduler's `flag-1` to `flag-3`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scheduler_flags: u8,
    /// UDP alone: every packet is scheduled by itself and leaves no connection (`-o`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub one_packet: bool,
    /// Clients keep their server for a time (`-p`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub persistence: Option<Persistence>,
    /// Tells clients apart by more than their address: `sip` (`--pe`). Without `persistence` it is
    /// kept and has no effect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub engine: Option<String>,
}

impl From<Scheduler> for Terms {
    fn from(scheduler: Scheduler) -> Self {
        Self { scheduler, ..Self::default() }
    }
}

/// How long which clients keep their server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persistence {
    /// Seconds since the last connection ended.
    pub timeout_s: u32,
    /// Which clients are one (`-M`).
    pub mask: ClientMask,
}

impl Persistence {
    /// Every address is a client of its own.
    pub const fn of_hosts(timeout_s: u32, family: Family) -> Self {
        Self { timeout_s, mask: ClientMask::host(family) }
    }
}

/// The bits of a client's address that tell it from another: for IPv4 any mask, `"255.255.255.0"`,
/// for IPv6 the length of a prefix, `64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClientMask {
    /// Of IPv4 clients.
    V4(Ipv4Addr),
    /// Of IPv6 clients, 1 to 128.
    V6(u8),
}

impl ClientMask {
    /// Every address is a client of its own.
    pub const fn host(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Self::V6(128),
        }
    }

    /// Whose addresses it masks.
    pub const fn family(self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }
}

/// What xlvs adds to a service and IPVS does not know: no edit of `ipvsadm` touches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// Idle timeouts of its connections; 0 in one of them: as everywhere.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: Option<Timeouts>,
    /// Who may have how many connections.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// A server that comes (back) reaches its weight so many seconds later; 0: at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slow_start_s: u32,
    /// Clients of a server that checks call dead, or that a person disables, are reset at once,
    /// those too that only wait for an answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reset_on_down: bool,
}

/// Idle timeouts in seconds, as `ipvsadm --set TCP TCPFIN UDP` sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// TCP connections in ESTABLISHED.
    pub tcp: u32,
    /// TCP connections in `FIN_WAIT`.
    pub tcp_fin: u32,
    /// UDP flows.
    pub udp: u32,
}

impl Default for Timeouts {
    /// The kernel's: 15 minutes, 2 minutes, 5 minutes (`ip_vs_proto_tcp.c`, `ip_vs_proto_udp.c`).
    fn default() -> Self {
        Self { tcp: 900, tcp_fin: 120, udp: 300 }
    }
}

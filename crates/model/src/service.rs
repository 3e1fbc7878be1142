//! What services and servers are.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The transport protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP, IP protocol 6.
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
}

impl Protocol {
    /// The number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// `tcp` or `udp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// How packets reach a server: the *forwarding method*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// NAT: the destination is rewritten, and the source of the answers (`ipvsadm -m`, `Masq`).
    Masq,
    /// IP in IP (`ipvsadm -i`, `Tunnel`).
    Tunnel,
    /// Direct routing: only the Ethernet addresses change (`ipvsadm -g`, `Route`).
    Route,
}

/// Which server gets a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connections.
    Lc,
    /// Weighted least connections (the default).
    Wlc,
    /// Shortest expected delay.
    Sed,
    /// Never queue.
    Nq,
}

impl Scheduler {
    /// All of them, in the order that help texts list them.
    pub const ALL: [Self; 6] = [Self::Rr, Self::Wrr, Self::Lc, Self::Wlc, Self::Sed, Self::Nq];

    /// The name in `ipvsadm -s NAME`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Sed => "sed",
            Self::Nq => "nq",
        }
    }

    /// The scheduler of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// What identifies a service: `tcp:10.0.0.1:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The virtual address.
    pub address: IpAddr,
    /// The virtual port.
    pub port: u16,
}

/// What identifies a server within its service: `10.0.1.1:8080`.
pub type ServerKey = std::net::SocketAddr;

/// `tcp:ADDRESS:PORT` or `udp:ADDRESS:PORT` was expected (IPv6 in brackets).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a service: write tcp:ADDRESS:PORT or udp:ADDRESS:PORT")]
pub struct ParseKeyError(pub String);

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let socket = ServerKey::new(self.address, self.port);
        write!(f, "{}:{socket}", self.protocol.name())
    }
}

impl FromStr for ServiceKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseKeyError(text.to_owned());
        let (protocol, socket) = text.split_once(':').ok_or_else(wrong)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(wrong()),
        };
        let socket: ServerKey = socket.parse().map_err(|_| wrong())?;
        Ok(Self { protocol, address: socket.ip(), port: socket.port() })
    }
}

impl Serialize for ServiceKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServiceKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A virtual service. `servers` is in the kernel's order: the one added last comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Protocol, address and port.
    pub key: ServiceKey,
    /// Who chooses the server of a new connection.
    pub scheduler: Scheduler,
    /// The servers, the one added last first.
    #[serde(default)]
    pub servers: Vec<Server>,
}

impl Service {
    /// The server of this address and port.
    pub fn server(&self, key: &ServerKey) -> Option<&Server> {
        self.servers.iter().find(|s| s.key == *key)
    }
}

/// A real server (a *destination*) of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Address and port. With `Route` and `Tunnel` the port is the service's: these methods cannot
    /// change it, and the faces write it so.
    #[serde(rename = "address")]
    pub key: ServerKey,
    /// How packets reach it.
    pub method: Method,
    /// Its share of new connections; 0 quiesces it. At most 2147483647.
    pub weight: u32,
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

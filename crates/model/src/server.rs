//! Real servers and how packets reach them.

use serde::{Deserialize, Serialize};

use crate::is_default;

/// What identifies a server within its service: `10.0.1.1:8080`.
pub type ServerKey = std::net::SocketAddr;

/// How packets reach a server: the *forwarding method*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// NAT: the destination is rewritten, and the source of the answers (`ipvsadm -m`, `Masq`).
    Masq,
    /// A tunnel (`ipvsadm -i`, `Tunnel`); [`Tunnel`] says of which kind.
    Tunnel,
    /// Direct routing: only the Ethernet addresses change (`ipvsadm -g`, `Route`).
    Route,
}

impl Method {
    /// True when packets keep the service's port on their way to the server.
    pub const fn keeps_port(self) -> bool {
        match self {
            Self::Masq => false,
            Self::Tunnel | Self::Route => true,
        }
    }
}

/// How a tunnel's packets are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelChecksum {
    /// Without a checksum (`--tun-nocsum`).
    #[default]
    None,
    /// With one (`--tun-csum`).
    Full,
    /// The inner checksum is left to the far end (`--tun-remcsum`).
    Remote,
}

/// The encapsulation of a server reached by [`Method::Tunnel`]. As JSON:
/// `{"kind": "gue", "port": 6080, "checksum": "full"}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Tunnel {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// The UDP port.
        port: u16,
        /// Of the UDP header.
        #[serde(default)]
        checksum: TunnelChecksum,
    },
    /// Generic routing encapsulation; [`TunnelChecksum::Remote`] is not for it.
    Gre {
        /// Of the GRE header.
        #[serde(default)]
        checksum: TunnelChecksum,
    },
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
    /// With so many connections it gets no new ones (`-x`); 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upper: u32,
    /// Once it had too many, it gets new ones again below so many (`-y`); 0: three quarters of
    /// `upper`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lower: u32,
    /// The kind of tunnel, for [`Method::Tunnel`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub tunnel: Tunnel,
    /// It left the file that it was written in, and stays without weight until its connections are
    /// over: no client is kept on it, whatever its service does for clients otherwise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub leaving: bool,
}

impl Server {
    /// A server without thresholds; a tunnel is IP in IP.
    pub const fn new(key: ServerKey, method: Method, weight: u32) -> Self {
        Self { key, method, weight, upper: 0, lower: 0, tunnel: Tunnel::Ipip, leaving: false }
    }
}

//! What identifies a service.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

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
    /// SCTP, IP protocol 132.
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// `tcp`, `udp` or `sctp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// The kind of addresses that packets carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family that an address is of.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// What identifies a service: `tcp:10.0.0.1:80`, `sctp:[fd00::1]:80`, `fwmark:8`, `fwmark6:8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceKey {
    /// What is sent to one address and port.
    Socket {
        /// The transport protocol.
        protocol: Protocol,
        /// The virtual address.
        address: IpAddr,
        /// The virtual port; 0 takes every port that no other service of the address has.
        port: u16,
    },
    /// What carries a mark, whatever its protocol, address and port.
    Mark {
        /// The mark; never 0.
        mark: u32,
        /// Of IPv4 or of IPv6 packets.
        family: Family,
    },
}

impl ServiceKey {
    /// The key of an address and port.
    pub const fn socket(protocol: Protocol, address: IpAddr, port: u16) -> Self {
        Self::Socket { protocol, address, port }
    }

    /// The protocol; a mark has none.
    pub const fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Socket { protocol, .. } => Some(*protocol),
            Self::Mark { .. } => None,
        }
    }

    /// The virtual address; a mark has none.
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Socket { address, .. } => Some(*address),
            Self::Mark { .. } => None,
        }
    }

    /// The virtual port; a mark's is 0.
    pub const fn port(&self) -> u16 {
        match self {
            Self::Socket { port, .. } => *port,
            Self::Mark { .. } => 0,
        }
    }

    /// The mark; an address and port have none.
    pub const fn mark(&self) -> Option<u32> {
        match self {
            Self::Socket { .. } => None,
            Self::Mark { mark, .. } => Some(*mark),
        }
    }

    /// Its place in the kernel's table of 256 (`ip_vs_svc_hashkey` of Linux), but for what the
    /// kernel adds of its own: this orders listings that are not sorted.
    pub fn bucket(&self) -> u8 {
        let [hash, ..] = match *self {
            Self::Mark { mark, .. } => mark,
            Self::Socket { protocol, address, port } => {
                let address = match address {
                    IpAddr::V4(v4) => v4.to_bits(),
                    IpAddr::V6(v6) => {
                        let s = v6.segments().map(u32::from);
                        [0, 2, 4, 6].iter().fold(0, |hash, &i| hash ^ (s[i] << 16 | s[i + 1]))
                    }
                };
                let port = u32::from(port);
                u32::from(protocol.number()) ^ address ^ (port >> 8) ^ port
            }
        }
        .to_le_bytes();
        hash
    }

    /// The family of the packets it takes.
    pub const fn family(&self) -> Family {
        match self {
            Self::Socket { address, .. } => Family::of(*address),
            Self::Mark { family, .. } => *family,
        }
    }
}

/// `tcp:ADDRESS:PORT` or the like was expected (IPv6 in brackets).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a service: write tcp:ADDRESS:PORT or udp:ADDRESS:PORT (or sctp:), or fwmark:MARK \
     or fwmark6:MARK"
)]
pub struct ParseKeyError(pub String);

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { protocol, address, port } => {
                write!(f, "{}:{}", protocol.name(), SocketAddr::new(*address, *port))
            }
            Self::Mark { mark, family: Family::V4 } => write!(f, "fwmark:{mark}"),
            Self::Mark { mark, family: Family::V6 } => write!(f, "fwmark6:{mark}"),
        }
    }
}

impl FromStr for ServiceKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseKeyError(text.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        let family = match kind {
            "fwmark" => Some(Family::V4),
            "fwmark6" => Some(Family::V6),
            _ => None,
        };
        if let Some(family) = family {
            let mark = rest.parse().ok().filter(|mark| *mark != 0).ok_or_else(wrong)?;
            return Ok(Self::Mark { mark, family });
        }
        let protocol = Protocol::ALL.into_iter().find(|p| p.name() == kind).ok_or_else(wrong)?;
        let socket: SocketAddr = rest.parse().map_err(|_| wrong())?;
        Ok(Self::socket(protocol, socket.ip(), socket.port()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_they_are_read() {
        for text in [
            "tcp:10.0.0.1:80",
            "udp:[fd00::1]:53",
            "sctp:10.0.0.1:0",
            "fwmark:8",
            "fwmark6:4294967295",
        ] {
            let key: ServiceKey = text.parse().expect(text);
            assert_eq!(key.to_string(), text);
        }
        for (text, why) in [
            ("10.0.0.1:80", "no protocol"),
            ("icmp:10.0.0.1:80", "a protocol without ports"),
            ("tcp:10.0.0.1", "no port"),
            ("tcp:fd00::1:80", "IPv6 without brackets"),
            ("fwmark:0", "0 is no mark"),
            ("fwmark:4294967296", "more than 32 bits"),
            ("fwmark:x", "no number"),
        ] {
            assert!(text.parse::<ServiceKey>().is_err(), "{text}: {why}");
        }
    }
}

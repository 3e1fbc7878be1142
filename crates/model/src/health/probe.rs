//! The smaller checks.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Script, seconds};
use crate::is_default;

/// `SMTP_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SmtpCheck {
    /// `helo_name`; default `smtpchecker.keepalived.org`, as keepalived says.
    pub helo_name: String,
    /// `host` (old): these are asked one after the other, instead of the server itself.
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<SmtpHost>,
}

impl Default for SmtpCheck {
    fn default() -> Self {
        Self { helo_name: "smtpchecker.keepalived.org".into(), hosts: Vec::new() }
    }
}

/// `host` of an `SMTP_CHECK`; what it does not say is as in the check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SmtpHost {
    /// `connect_ip`.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_ip: Option<IpAddr>,
    /// `connect_port`.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_port: Option<u16>,
    /// `bindto`.
    #[serde(skip_serializing_if = "is_default")]
    pub bindto: Option<IpAddr>,
    /// `bind_if`.
    #[serde(skip_serializing_if = "is_default")]
    pub bind_if: Option<String>,
    /// `bind_port`.
    #[serde(skip_serializing_if = "is_default")]
    pub bind_port: Option<u16>,
    /// `fwmark`; 0: as the check.
    #[serde(skip_serializing_if = "is_default")]
    pub fwmark: u32,
    /// `connect_timeout`.
    #[serde(with = "seconds::option", skip_serializing_if = "is_default")]
    pub connect_timeout: Option<Duration>,
}

/// `DNS_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsCheck {
    /// `type`; default SOA.
    #[serde(rename = "type")]
    pub kind: DnsType,
    /// `name`; default `.`, the root.
    pub name: String,
}

impl Default for DnsCheck {
    fn default() -> Self {
        Self { kind: DnsType::Soa, name: ".".into() }
    }
}

/// The type of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsType {
    /// An IPv4 address.
    A,
    /// A name server.
    Ns,
    /// A canonical name.
    Cname,
    /// Start of authority.
    #[default]
    Soa,
    /// A mail exchange.
    Mx,
    /// Text.
    Txt,
    /// An IPv6 address.
    Aaaa,
    /// A DNSSEC signature.
    Rrsig,
    /// A DNSSEC key.
    Dnskey,
}

impl DnsType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::A,
        Self::Ns,
        Self::Cname,
        Self::Soa,
        Self::Mx,
        Self::Txt,
        Self::Aaaa,
        Self::Rrsig,
        Self::Dnskey,
    ];

    /// keepalived's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Ns => "NS",
            Self::Cname => "CNAME",
            Self::Soa => "SOA",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Aaaa => "AAAA",
            Self::Rrsig => "RRSIG",
            Self::Dnskey => "DNSKEY",
        }
    }

    /// The number in a query (IANA's registry).
    pub const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Ns => 2,
            Self::Cname => 5,
            Self::Soa => 6,
            Self::Mx => 15,
            Self::Txt => 16,
            Self::Aaaa => 28,
            Self::Rrsig => 46,
            Self::Dnskey => 48,
        }
    }
}

/// `MISC_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MiscCheck {
    /// `misc_path` and `user`. The global `script_user` is resolved.
    pub script: Script,
    /// `misc_timeout`: the program is ended (SIGTERM, then SIGKILL) after this long; default
    /// `delay_loop`.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// `misc_dynamic`: exit codes 2 to 255 set the weight to the code less 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dynamic: bool,
}

/// `UDP_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UdpCheck {
    /// `payload`; none: random bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub payload: Option<Vec<u8>>,
    /// `require_reply`: silence is a failure.
    #[serde(skip_serializing_if = "is_default")]
    pub require_reply: bool,
    /// What a reply must be, as far as both are long; empty: anything.
    #[serde(skip_serializing_if = "is_default")]
    pub reply: Vec<ReplyByte>,
    /// `min_reply_length`; default 0.
    pub min_reply_length: u16,
    /// `max_reply_length`; default 255.
    pub max_reply_length: u16,
}

impl Default for UdpCheck {
    fn default() -> Self {
        Self {
            payload: None,
            require_reply: false,
            reply: Vec::new(),
            min_reply_length: 0,
            max_reply_length: 255,
        }
    }
}

/// A byte of a reply, compared under a mask (`X` in the file leaves four bits open).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyByte {
    /// Its value; 0 where the mask is.
    pub value: u8,
    /// The bits that are compared.
    pub mask: u8,
}

/// `FILE_CHECK`: the number in a file, times `weight`, is added to the server's weight;
/// -254 in sum (or a number other than 0 where `weight` is 0) fails the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileCheck {
    /// `track_file`: the name of the block that says which file.
    pub track_file: String,
    /// The file, from the `track_file` block.
    pub path: String,
    /// `weight`: the number in the file is multiplied by it; default the block's, which is 1.
    pub weight: i32,
    /// `weight ... reverse`: the sign is turned.
    #[serde(skip_serializing_if = "is_default")]
    pub reverse: bool,
}

/// `BFD_CHECK`, and the session that it follows: keepalived's `bfd_instance`. Checks with the same
/// terms share one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BfdCheck {
    /// `name` of the `bfd_instance`.
    pub name: String,
    /// `neighbor_ip`: who speaks at the other end; none: the server, as `connect_ip` has it.
    #[serde(skip_serializing_if = "is_default")]
    pub neighbor_ip: Option<IpAddr>,
    /// `source_ip`: whence packets go; none: the address that this host speaks from.
    #[serde(skip_serializing_if = "is_default")]
    pub source_ip: Option<IpAddr>,
    /// `min_rx`: the neighbor may send so often; default 10 ms.
    #[serde(with = "seconds")]
    pub min_rx: Duration,
    /// `min_tx`: this end sends so often while the session is up; default 10 ms.
    #[serde(with = "seconds")]
    pub min_tx: Duration,
    /// `idle_tx`: and so often while it is not; default and least 1 s.
    #[serde(with = "seconds")]
    pub idle_tx: Duration,
    /// `multiplier`: so many packets in a row may be missed, less one; default 5.
    pub multiplier: u8,
    /// `passive`: this end waits for the neighbor's first packet.
    #[serde(skip_serializing_if = "is_default")]
    pub passive: bool,
    /// `multihop` (RFC 5883): there are routers between the two; the port is 4784.
    #[serde(skip_serializing_if = "is_default")]
    pub multihop: bool,
    /// `ttl`, `hoplimit`: of packets that are sent; default 255.
    pub ttl: u8,
    /// `max_hops`: what comes may have lost so many of `ttl`; default 0, 255 for any number.
    #[serde(skip_serializing_if = "is_default")]
    pub max_hops: u8,
}

impl Default for BfdCheck {
    fn default() -> Self {
        Self {
            name: String::new(),
            neighbor_ip: None,
            source_ip: None,
            min_rx: Duration::from_millis(10),
            min_tx: Duration::from_millis(10),
            idle_tx: Duration::from_secs(1),
            multiplier: 5,
            passive: false,
            multihop: false,
            ttl: 255,
            max_hops: 0,
        }
    }
}

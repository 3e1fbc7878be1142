//! One check of one server: what all kinds have in common.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    AgentCheck, BfdCheck, DnsCheck, ExternalCheck, FileCheck, GrpcCheck, HttpCheck, LoadCheck,
    MiscCheck, Origin, OutputCheck, ServiceCheck, SmtpCheck, TalkCheck, UdpCheck, seconds,
};
use crate::is_default;

/// A check of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What it does.
    #[serde(flatten)]
    pub kind: Kind,
    /// Where to, and how often.
    #[serde(default)]
    pub common: Common,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: Option<Origin>,
}

/// What a check does. As JSON: `{"kind": "tcp"}`, `{"kind": "http", "terms": {...}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "terms", rename_all = "snake_case")]
pub enum Kind {
    /// `TCP_CHECK`: a connection is made.
    Tcp,
    /// `HTTP_GET` and `SSL_GET`.
    Http(HttpCheck),
    /// `SMTP_CHECK`: greeting, HELO, QUIT.
    Smtp(SmtpCheck),
    /// `DNS_CHECK`: a query by UDP.
    Dns(DnsCheck),
    /// `MISC_CHECK`: a program's exit code.
    Misc(MiscCheck),
    /// `UDP_CHECK`: a datagram, and no ICMP error for it.
    Udp(UdpCheck),
    /// `PING_CHECK`: an ICMP echo.
    Ping,
    /// `FILE_CHECK`: a number in a file.
    File(FileCheck),
    /// `BFD_CHECK`: the state of a BFD session.
    Bfd(BfdCheck),
    /// A half-open TCP connection: a SYN, and the answer to it.
    Syn,
    /// Piranha's `send` and `expect`.
    Talk(TalkCheck),
    /// Piranha's `send_program`.
    Output(OutputCheck),
    /// ldirectord's `negotiate`.
    Service(ServiceCheck),
    /// ldirectord's `external-perl`.
    External(ExternalCheck),
    /// gRPC's health checking.
    Grpc(GrpcCheck),
    /// `HAProxy`'s agent.
    Agent(AgentCheck),
    /// A server's load, which follows from Piranha's `load_monitor` and moves the weight alone.
    #[serde(skip)]
    Load(LoadCheck),
}

impl Kind {
    /// keepalived's keyword, or one in its manner.
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::Tcp => "TCP_CHECK",
            Self::Http(HttpCheck { tls: false, .. }) => "HTTP_GET",
            Self::Http(HttpCheck { tls: true, .. }) => "SSL_GET",
            Self::Smtp(_) => "SMTP_CHECK",
            Self::Dns(_) => "DNS_CHECK",
            Self::Misc(_) => "MISC_CHECK",
            Self::Udp(_) => "UDP_CHECK",
            Self::Ping => "PING_CHECK",
            Self::File(_) => "FILE_CHECK",
            Self::Bfd(_) => "BFD_CHECK",
            Self::Syn => "SYN_CHECK",
            Self::Talk(_) => "TALK_CHECK",
            Self::Output(_) => "OUTPUT_CHECK",
            Self::Service(_) => "SERVICE_CHECK",
            Self::External(_) => "EXTERNAL_CHECK",
            Self::Grpc(_) => "GRPC_CHECK",
            Self::Agent(_) => "AGENT_CHECK",
            Self::Load(_) => "LOAD",
        }
    }
}

/// Where a check goes and when: the generic options of keepalived's checkers, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// `connect_ip`: default the server's address.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_ip: Option<IpAddr>,
    /// `connect_port`: default the server's port.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_port: Option<u16>,
    /// `bindto`: the source address.
    #[serde(skip_serializing_if = "is_default")]
    pub bindto: Option<IpAddr>,
    /// `bind_if`: the interface it leaves by.
    #[serde(skip_serializing_if = "is_default")]
    pub bind_if: Option<String>,
    /// `bind_port`: the source port.
    #[serde(skip_serializing_if = "is_default")]
    pub bind_port: Option<u16>,
    /// `fwmark`: the mark of its packets; 0: none.
    #[serde(skip_serializing_if = "is_default")]
    pub fwmark: u32,
    /// `via_forwarding`, a keyword of xlvs's own: the virtual address is asked, on that server, by
    /// the way that clients' packets take.
    #[serde(skip_serializing_if = "is_default")]
    pub via_forwarding: bool,
    /// `connect_timeout`: how long an answer may take; default 5 s.
    #[serde(with = "seconds")]
    pub connect_timeout: Duration,
    /// `retry`: so many more failures in a row before a server that is up counts as failed;
    /// default 1, of `DNS_CHECK` 3, of `MISC_CHECK` 0.
    pub retry: u32,
    /// `delay_before_retry`: between such retries; default 1 s, of HTTP 3 s, of `DNS_CHECK`
    /// `delay_loop`.
    #[serde(with = "seconds")]
    pub delay_before_retry: Duration,
    /// `warmup`: the first check comes at a random time within it; default `delay_loop`, 0: at
    /// once.
    #[serde(with = "seconds")]
    pub warmup: Duration,
    /// `delay_loop`: between checks; default 60 s.
    #[serde(with = "seconds")]
    pub delay_loop: Duration,
    /// `alpha`: counts as failed until it was good once.
    #[serde(skip_serializing_if = "is_default")]
    pub alpha: bool,
    /// So many good checks in a row before a server that was down is up again (Piranha's `reentry`
    /// by its `timeout`); default 1. The first good check ever is enough.
    #[serde(skip_serializing_if = "is_once")]
    pub rise: u32,
    /// `log_all_failures`: also those that a retry may mend. The global
    /// `checker_log_all_failures` is resolved.
    #[serde(skip_serializing_if = "is_default")]
    pub log_all_failures: bool,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            connect_ip: None,
            connect_port: None,
            bindto: None,
            bind_if: None,
            bind_port: None,
            fwmark: 0,
            via_forwarding: false,
            connect_timeout: Duration::from_secs(5),
            retry: 1,
            delay_before_retry: Duration::from_secs(1),
            warmup: Duration::from_mins(1),
            delay_loop: Duration::from_mins(1),
            alpha: false,
            rise: 1,
            log_all_failures: false,
        }
    }
}

/// What a virtual server or a real server says for the checks below it; none: not said there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inherited {
    /// `connect_timeout`.
    #[serde(with = "seconds::option", skip_serializing_if = "is_default")]
    pub connect_timeout: Option<Duration>,
    /// `retry`.
    #[serde(skip_serializing_if = "is_default")]
    pub retry: Option<u32>,
    /// `delay_before_retry`.
    #[serde(with = "seconds::option", skip_serializing_if = "is_default")]
    pub delay_before_retry: Option<Duration>,
    /// `warmup`.
    #[serde(with = "seconds::option", skip_serializing_if = "is_default")]
    pub warmup: Option<Duration>,
    /// `delay_loop`.
    #[serde(with = "seconds::option", skip_serializing_if = "is_default")]
    pub delay_loop: Option<Duration>,
    /// `alpha`.
    #[serde(skip_serializing_if = "is_default")]
    pub alpha: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_once(rise: &u32) -> bool {
    *rise == 1
}

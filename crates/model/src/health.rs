//! Health as a person asked for it: what is checked, how often, and what follows from an answer.
//!
//! The words and the defaults are keepalived's; each field names its keyword. What a check *found*
//! is not in here: the checking engine derives an effective weight beside the written one. Values
//! that keepalived inherits (virtual server, then real server, then check) are already resolved in
//! [`Common`]; [`Inherited`] keeps what was written, to be shown.

mod check;
mod globals;
mod http;
mod probe;
mod script;
mod takeover;
mod talk;

use serde::{Deserialize, Serialize};

pub use check::{Check, Common, Inherited, Kind};
pub use globals::{FlushOnStop, Globals, Mail, NotifyFifo, SyncWith};
pub use http::{Digest, HttpCheck, HttpProtocol, ParseDigestError, StatusRange, Url, UrlRegex};
pub use probe::{
    BfdCheck, DnsCheck, DnsType, FileCheck, MiscCheck, ReplyByte, SmtpCheck, SmtpHost, UdpCheck,
};
pub use script::{Origin, Script, ScriptUser};
pub use takeover::{ActiveAddress, Alert, Failover, Ldirectord, LoadCheck, LoadMonitor, Piranha};
pub use talk::{
    AgentCheck, Expect, ExternalCheck, GrpcCheck, OutputCheck, ServiceCheck, TalkCheck, Talks,
};

use crate::{Server, ServerKey, ServiceKey, is_default};

/// keepalived's `virtual_server`: one service, or all services of a `virtual_server_group`, whose
/// servers are checked once and brought up and down together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VirtualServer {
    /// How a person knows it: `10.0.0.1 80`, `fwmark 3`, `group web`.
    pub name: String,
    /// The services that these terms hold for; more than one for a group.
    pub services: Vec<ServiceKey>,
    /// Where it was written.
    #[serde(skip_serializing_if = "is_default")]
    pub origin: Option<Origin>,
    /// `quorum`: the weight that live servers must have together for the service to be up;
    /// default 1.
    pub quorum: u32,
    /// `hysteresis`: the quorum is lost below `quorum - hysteresis` and regained at
    /// `quorum + hysteresis`; default 0.
    #[serde(skip_serializing_if = "is_default")]
    pub hysteresis: u32,
    /// `quorum_up`: run when the quorum is gained.
    #[serde(skip_serializing_if = "is_default")]
    pub quorum_up: Option<Script>,
    /// `quorum_down`: run when the quorum is lost.
    #[serde(skip_serializing_if = "is_default")]
    pub quorum_down: Option<Script>,
    /// `alpha`: servers count as down until their first good check. Resolved into each check.
    #[serde(skip_serializing_if = "is_default")]
    pub alpha: bool,
    /// `omega`: at the end of the daemon `quorum_down` and `notify_down` are run.
    #[serde(skip_serializing_if = "is_default")]
    pub omega: bool,
    /// `ha_suspend`: no checks while this host does not own the virtual address.
    #[serde(skip_serializing_if = "is_default")]
    pub ha_suspend: bool,
    /// `inhibit_on_failure`: a failed server gets weight 0 instead of being taken out. Resolved
    /// into each server.
    #[serde(skip_serializing_if = "is_default")]
    pub inhibit_on_failure: bool,
    /// `smtp_alert`: mail when the quorum is gained or lost. The globals are resolved; default off.
    #[serde(skip_serializing_if = "is_default")]
    pub smtp_alert: bool,
    /// `virtualhost`: the `Host:` of HTTP checks that say none themselves. Resolved into each URL.
    #[serde(skip_serializing_if = "is_default")]
    pub virtualhost: Option<String>,
    /// `snmp_name`: kept, shown, and else without effect.
    #[serde(skip_serializing_if = "is_default")]
    pub snmp_name: Option<String>,
    /// `sorry_server`: takes clients while the quorum is lost.
    #[serde(skip_serializing_if = "is_default")]
    pub sorry_server: Option<SorryServer>,
    /// What its servers and their checks inherit, as written.
    #[serde(skip_serializing_if = "is_default")]
    pub inherited: Inherited,
    /// Its address, where a file says on which interface (Piranha's `address = VIP eth0:1`): it is
    /// there while this director is active.
    #[serde(skip_serializing_if = "is_default")]
    pub active_address: Option<ActiveAddress>,
    /// `load_monitor`: servers' weights follow their loads.
    #[serde(skip_serializing_if = "is_default")]
    pub load_monitor: Option<LoadMonitor>,
    /// Mails that differ from everybody's.
    #[serde(skip_serializing_if = "is_default")]
    pub alert: Option<Alert>,
    /// ldirectord's `cleanstop` of this service; none: as everywhere.
    #[serde(skip_serializing_if = "is_default")]
    pub clean_stop: Option<bool>,
    /// ldirectord's `monitorfile`: each check is written to it.
    #[serde(skip_serializing_if = "is_default")]
    pub monitor_file: Option<String>,
    /// ldirectord's `comment`.
    #[serde(skip_serializing_if = "is_default")]
    pub comment: Option<String>,
    /// Its servers, in the order of the file.
    pub servers: Vec<RealServer>,
}

impl Default for VirtualServer {
    fn default() -> Self {
        Self {
            name: String::new(),
            services: Vec::new(),
            origin: None,
            quorum: 1,
            hysteresis: 0,
            quorum_up: None,
            quorum_down: None,
            alpha: false,
            omega: false,
            ha_suspend: false,
            inhibit_on_failure: false,
            smtp_alert: false,
            virtualhost: None,
            snmp_name: None,
            sorry_server: None,
            inherited: Inherited::default(),
            active_address: None,
            load_monitor: None,
            alert: None,
            clean_stop: None,
            monitor_file: None,
            comment: None,
            servers: Vec::new(),
        }
    }
}

impl VirtualServer {
    /// A server as one of the services has it: DR and tunnels keep the service's port. By NAT a
    /// server without a port (one of a group or a mark) gets packets at the port they came for.
    pub const fn server_of(service: &ServiceKey, server: &Server) -> Server {
        let mut server = *server;
        if server.method.keeps_port() {
            server.key.set_port(service.port());
        }
        server
    }
}

/// keepalived's `real_server`, beside the model's [`Server`] of the same key: what is checked of
/// it, and who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// The server as it is written: address, method, and the weight that nothing overwrites. Of a
    /// group or a mark the port may be 0: the one that packets came for.
    pub server: Server,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: Option<Origin>,
    /// `inhibit_on_failure`: when it fails it gets weight 0 instead of being taken out; default
    /// the virtual server's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inhibit_on_failure: bool,
    /// `notify_up`: run when it comes up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub notify_up: Option<Script>,
    /// `notify_down`: run when it goes down.
    #[serde(default, skip_serializing_if = "is_default")]
    pub notify_down: Option<Script>,
    /// `smtp_alert`: mail when it comes up or goes down. The globals are resolved; default on, and
    /// without a notification email nothing is sent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub smtp_alert: bool,
    /// `virtualhost`: as of the virtual server, for this server. Resolved into each URL.
    #[serde(default, skip_serializing_if = "is_default")]
    pub virtualhost: Option<String>,
    /// `snmp_name`: kept, shown, and else without effect.
    #[serde(default, skip_serializing_if = "is_default")]
    pub snmp_name: Option<String>,
    /// What its checks inherit, as written here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inherited: Inherited,
    /// Its checks; it is up while all of them are good. Without any it is always up.
    #[serde(default)]
    pub checks: Vec<Check>,
}

impl RealServer {
    /// A server that nothing checks.
    pub fn new(server: Server) -> Self {
        Self {
            server,
            origin: None,
            inhibit_on_failure: false,
            notify_up: None,
            notify_down: None,
            smtp_alert: false,
            virtualhost: None,
            snmp_name: None,
            inherited: Inherited::default(),
            checks: Vec::new(),
        }
    }

    /// Its address and port.
    pub const fn key(&self) -> ServerKey {
        self.server.key
    }
}

/// keepalived's `sorry_server`: takes clients while the quorum is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorryServer {
    /// The server; its method is `sorry_server_lvs_method`, else the virtual server's. Weight 1.
    pub server: Server,
    /// `sorry_server_inhibit`: it stays in the list with weight 0 while it is not needed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inhibit: bool,
}

/// keepalived's `SSL`: the client's own side of TLS in HTTP checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SslClient {
    /// `password` of the key file.
    #[serde(skip_serializing_if = "is_default")]
    pub password: Option<String>,
    /// `ca`: a file of certificates.
    #[serde(skip_serializing_if = "is_default")]
    pub ca: Option<String>,
    /// `certificate`: a file.
    #[serde(skip_serializing_if = "is_default")]
    pub certificate: Option<String>,
    /// `key`: a file.
    #[serde(skip_serializing_if = "is_default")]
    pub key: Option<String>,
}

/// Durations as seconds in JSON: `2.5`.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(value.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(d)?).map_err(D::Error::custom)
    }

    /// The same of a value that may be absent.
    pub(crate) mod option {
        use std::time::Duration;

        use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

        #[expect(clippy::ref_option, reason = "serde calls it so")]
        pub(crate) fn serialize<S: Serializer>(
            value: &Option<Duration>,
            s: S,
        ) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => s.serialize_some(&value.as_secs_f64()),
                None => s.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            d: D,
        ) -> Result<Option<Duration>, D::Error> {
            Option::<f64>::deserialize(d)?
                .map(|seconds| Duration::try_from_secs_f64(seconds).map_err(D::Error::custom))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests;

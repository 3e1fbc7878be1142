//! What Piranha and ldirectord do around services: addresses, loads, mails, the other director.
//!
//! Taking over from another director comes later; what files say of it is kept here in full.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Kind, Origin, Script, seconds};
use crate::is_default;

/// An address that is put on an interface while this director is active.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActiveAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of its network (`vip_nmask`, `nat_nmask`); none: 32, for IPv6 128.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prefix: Option<u8>,
    /// The interface: `eth0` of `eth0:1`.
    pub interface: String,
    /// The address's label: `eth0:1`; none: the file names the interface alone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub label: Option<String>,
}

/// `load_monitor`: how nanny learns the load of a server, by which it moves the weight between one
/// and ten times what is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadMonitor {
    /// `uptime`: run on the server by `rsh_command` (`rsh ADDRESS uptime`).
    Uptime,
    /// `rup ADDRESS`.
    Rup,
    /// `ruptime ADDRESS`.
    Ruptime,
    /// Another program that gets the address (`ssh` and `rsh` get `uptime` too) and prints
    /// `load average: 0.50, ...`.
    Program(String),
}

impl LoadMonitor {
    /// What asks a server for its load. nanny adds `uptime` to `ssh` and `rsh` by their bare names
    /// alone, and so only logs in by a path; with `uptime` it is always meant.
    pub fn script(&self, server: IpAddr, rsh_command: &str) -> Script {
        let (program, uptime) = match self {
            Self::Uptime => (rsh_command, true),
            Self::Rup => ("rup", false),
            Self::Ruptime => ("ruptime", false),
            Self::Program(program) => (&**program, matches!(&**program, "ssh" | "rsh")),
        };
        let mut argv = vec![program.to_owned(), server.to_string()];
        argv.extend(uptime.then(|| "uptime".to_owned()));
        Script { argv, user: None }
    }
}

/// A question for a server's load, which follows from `load_monitor`; it is not written itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadCheck {
    /// What is run.
    pub script: Script,
    /// How long it may take.
    pub timeout: Duration,
    /// The server's written weight, that its load moves.
    pub weight: u32,
}

/// Mails of one service that differ from everybody's (ldirectord's `emailalert` in a `virtual`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alert {
    /// `emailalert`: who is told; none: as everywhere.
    #[serde(skip_serializing_if = "is_default")]
    pub to: Vec<String>,
    /// `emailalertfreq`: while a server is down a mail comes again after so long; 0: none does;
    /// none: as everywhere.
    #[serde(with = "seconds::option", skip_serializing_if = "is_default")]
    pub repeat: Option<Duration>,
    /// `emailalertstatus`: `starting`, `running`, `stopping`, `reloading`; none: always; empty:
    /// never.
    #[serde(skip_serializing_if = "is_default")]
    pub during: Option<Vec<String>>,
    /// `smtp`: the mail server.
    #[serde(skip_serializing_if = "is_default")]
    pub server: Option<String>,
    /// `emailalertfrom`, of a further configuration that has its own; none: as everywhere.
    #[serde(skip_serializing_if = "is_default")]
    pub from: Option<String>,
}

/// What an `lvs.cf` says of the pair of directors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Piranha {
    /// `service = fos`: failover services are run instead of virtual servers.
    #[serde(skip_serializing_if = "is_default")]
    pub failover: bool,
    /// `serial_no`.
    #[serde(skip_serializing_if = "is_default")]
    pub serial: Option<i64>,
    /// `primary`: an address or a name.
    #[serde(skip_serializing_if = "is_default")]
    pub primary: Option<String>,
    /// `primary_private`.
    #[serde(skip_serializing_if = "is_default")]
    pub primary_private: Option<String>,
    /// `primary_shared`.
    #[serde(skip_serializing_if = "is_default")]
    pub primary_shared: Option<String>,
    /// `backup`: an address or a name.
    #[serde(skip_serializing_if = "is_default")]
    pub backup: Option<String>,
    /// `backup_private`.
    #[serde(skip_serializing_if = "is_default")]
    pub backup_private: Option<String>,
    /// `backup_shared`.
    #[serde(skip_serializing_if = "is_default")]
    pub backup_shared: Option<String>,
    /// `backup_active`: there is a backup.
    #[serde(skip_serializing_if = "is_default")]
    pub backup_active: bool,
    /// `heartbeat`: the two tell each other that they live.
    #[serde(skip_serializing_if = "is_default")]
    pub heartbeat: bool,
    /// `heartbeat_port`, UDP; default 539.
    pub heartbeat_port: u16,
    /// `keepalive`: between heartbeats; default 2 s.
    #[serde(with = "seconds")]
    pub keepalive: Duration,
    /// `deadtime`: without a heartbeat for so long the other is dead; default 5 s.
    #[serde(with = "seconds")]
    pub deadtime: Duration,
    /// `reservation_conflict_action`: `nothing` or `preempt`.
    #[serde(skip_serializing_if = "is_default")]
    pub reservation_conflict_action: Option<String>,
    /// `rsh_command`; default `rsh`.
    pub rsh_command: String,
    /// `monitor_links`: no heartbeat is sent while the link is down.
    #[serde(skip_serializing_if = "is_default")]
    pub monitor_links: bool,
    /// `hard_shutdown`: the services of a director that stops are ended at once; default yes.
    pub hard_shutdown: bool,
    /// `syncdaemon`, `syncd_iface`, `syncd_id`: the interface and the number of the pair.
    #[serde(skip_serializing_if = "is_default")]
    pub sync: Option<(String, u8)>,
    /// `nat_router` and `nat_nmask`: servers' way out, which goes with the active director.
    #[serde(skip_serializing_if = "is_default")]
    pub nat_router: Option<ActiveAddress>,
    /// `active_cmd`: run when this director becomes active.
    #[serde(skip_serializing_if = "is_default")]
    pub active_command: Option<Script>,
    /// `inactive_cmd`: run when it is no longer.
    #[serde(skip_serializing_if = "is_default")]
    pub inactive_command: Option<Script>,
    /// `failover` blocks.
    #[serde(skip_serializing_if = "is_default")]
    pub failovers: Vec<Failover>,
}

impl Default for Piranha {
    fn default() -> Self {
        Self {
            failover: false,
            serial: None,
            primary: None,
            primary_private: None,
            primary_shared: None,
            backup: None,
            backup_private: None,
            backup_shared: None,
            backup_active: false,
            heartbeat: false,
            heartbeat_port: 539,
            keepalive: Duration::from_secs(2),
            deadtime: Duration::from_secs(5),
            reservation_conflict_action: None,
            rsh_command: "rsh".into(),
            monitor_links: false,
            hard_shutdown: true,
            sync: None,
            nat_router: None,
            active_command: None,
            inactive_command: None,
            failovers: Vec::new(),
        }
    }
}

/// `failover`: a service that runs on one of the two directors, and is asked by the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failover {
    /// Its name.
    pub name: String,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: Option<Origin>,
    /// `active`: it is run.
    pub active: bool,
    /// Its address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub address: Option<ActiveAddress>,
    /// The port that is asked.
    pub port: u16,
    /// What is asked.
    pub check: Kind,
    /// `timeout`: between checks, and how long an answer may take.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// `reentry`.
    #[serde(with = "seconds::option", default, skip_serializing_if = "is_default")]
    pub reentry: Option<Duration>,
    /// `start_cmd`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start: Option<Script>,
    /// `stop_cmd`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stop: Option<Script>,
}

/// What an `ldirectord.cf` says of ldirectord itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ldirectord {
    /// `readdquiescent`: a quiescent server that somebody took out is put in again while it is
    /// down; default no.
    #[serde(skip_serializing_if = "is_default")]
    pub readd_quiescent: bool,
    /// `cleanstop`: services are deleted at the end; none: the file does not say, and they stay.
    #[serde(skip_serializing_if = "is_default")]
    pub clean_stop: Option<bool>,
    /// `autoreload`: the file is read again when it changes.
    #[serde(skip_serializing_if = "is_default")]
    pub autoreload: bool,
    /// `callback`: run with the file's name when it has changed.
    #[serde(skip_serializing_if = "is_default")]
    pub callback: Option<Script>,
    /// `maintenancedir`: a file by a server's address or name takes the server out.
    #[serde(skip_serializing_if = "is_default")]
    pub maintenance: Option<String>,
    /// `logfile`: a file or a facility of syslog.
    #[serde(skip_serializing_if = "is_default")]
    pub log: Option<String>,
    /// `supervised`: it stays in the foreground.
    #[serde(skip_serializing_if = "is_default")]
    pub supervised: bool,
    /// `fork`: a process for each service, so that one is not held up by another.
    #[serde(skip_serializing_if = "is_default")]
    pub fork: bool,
    /// `emailalertfreq`: while a server is down a mail comes again after so long.
    #[serde(with = "seconds::option", skip_serializing_if = "is_default")]
    pub repeat: Option<Duration>,
    /// `emailalertstatus`: as of an [`Alert`].
    #[serde(skip_serializing_if = "is_default")]
    pub during: Option<Vec<String>>,
}

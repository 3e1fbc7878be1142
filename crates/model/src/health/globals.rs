//! keepalived's `global_defs`, as far as checks, mails and scripts go.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ldirectord, Piranha, Script, ScriptUser, seconds};
use crate::{SyncDaemon, Timeouts, is_default};

/// Settings of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Globals {
    /// Mails.
    pub mail: Mail,
    /// `script_user`: who runs scripts that name nobody. Resolved into each script.
    #[serde(skip_serializing_if = "is_default")]
    pub script_user: Option<ScriptUser>,
    /// `enable_script_security`: root runs no script that others may change.
    #[serde(skip_serializing_if = "is_default")]
    pub script_security: bool,
    /// `set_supplementary_groups`: scripts get their user's further groups.
    #[serde(skip_serializing_if = "is_default")]
    pub supplementary_groups: bool,
    /// `startup_script`: run before anything else.
    #[serde(skip_serializing_if = "is_default")]
    pub startup: Option<Script>,
    /// `startup_script_timeout`; default 10 s.
    #[serde(with = "seconds")]
    pub startup_timeout: Duration,
    /// `shutdown_script`: run after everything else.
    #[serde(skip_serializing_if = "is_default")]
    pub shutdown: Option<Script>,
    /// `shutdown_script_timeout`; default 10 s.
    #[serde(with = "seconds")]
    pub shutdown_timeout: Duration,
    /// `rs_init_notifies`: `notify_up` and `notify_down` are run at the start too.
    #[serde(skip_serializing_if = "is_default")]
    pub init_notifies: bool,
    /// `notify_fifo` and `lvs_notify_fifo`.
    #[serde(skip_serializing_if = "is_default")]
    pub fifos: Vec<NotifyFifo>,
    /// `checker_log_all_failures`. Resolved into each check.
    #[serde(skip_serializing_if = "is_default")]
    pub log_all_failures: bool,
    /// `lvs_timeouts`; 0 leaves a value as it is.
    #[serde(skip_serializing_if = "is_default")]
    pub timeouts: Option<Timeouts>,
    /// `lvs_flush`: services of others are deleted at the start.
    #[serde(skip_serializing_if = "is_default")]
    pub flush: bool,
    /// `lvs_flush_on_stop`: services are deleted at the end; `VS`: of each service alone.
    #[serde(skip_serializing_if = "is_default")]
    pub flush_on_stop: Option<FlushOnStop>,
    /// `lvs_sync_daemon`: both roles without an instance, else the one that follows from it.
    #[serde(skip_serializing_if = "is_default")]
    pub sync: Option<SyncWith>,
    /// What an `lvs.cf` says of the pair of directors.
    #[serde(skip_serializing_if = "is_default")]
    pub piranha: Option<Box<Piranha>>,
    /// What an `ldirectord.cf` says of ldirectord itself.
    #[serde(skip_serializing_if = "is_default")]
    pub ldirectord: Option<Box<Ldirectord>>,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            mail: Mail::default(),
            script_user: None,
            script_security: false,
            supplementary_groups: false,
            startup: None,
            startup_timeout: Duration::from_secs(10),
            shutdown: None,
            shutdown_timeout: Duration::from_secs(10),
            init_notifies: false,
            fifos: Vec::new(),
            log_all_failures: false,
            timeouts: None,
            flush: false,
            flush_on_stop: None,
            sync: None,
            piranha: None,
            ldirectord: None,
        }
    }
}

/// Who gets mails and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mail {
    /// `notification_email`: without any, no mail is sent.
    #[serde(skip_serializing_if = "is_default")]
    pub to: Vec<String>,
    /// `notification_email_from`; none: `keepalived@` and the host's name.
    #[serde(skip_serializing_if = "is_default")]
    pub from: Option<String>,
    /// `smtp_server`: a name or an address. Without one, no mail is sent.
    #[serde(skip_serializing_if = "is_default")]
    pub server: Option<String>,
    /// Its port; default 25.
    pub port: u16,
    /// `smtp_helo_name`; none: the host's name.
    #[serde(skip_serializing_if = "is_default")]
    pub helo_name: Option<String>,
    /// `smtp_connect_timeout`; default 30 s.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// `router_id`: this host in the subject; none: its name.
    #[serde(skip_serializing_if = "is_default")]
    pub router_id: Option<String>,
    /// `no_checker_emails`: nothing of services and servers.
    #[serde(skip_serializing_if = "is_default")]
    pub not_of_checks: bool,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            to: Vec::new(),
            from: None,
            server: None,
            port: 25,
            helo_name: None,
            timeout: Duration::from_secs(30),
            router_id: None,
            not_of_checks: false,
        }
    }
}

/// A FIFO that changes are written to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotifyFifo {
    /// Changes of instances too (`notify_fifo`), or of services and servers alone
    /// (`lvs_notify_fifo`).
    pub everything: bool,
    /// The FIFO; it is made.
    pub path: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "is_default")]
    pub owner: Option<ScriptUser>,
    /// Reads it; it gets the FIFO's path as its last argument.
    #[serde(skip_serializing_if = "is_default")]
    pub script: Option<Script>,
}

/// How services are deleted at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlushOnStop {
    /// All at once, those of others too.
    Everything,
    /// Each of the file's.
    EachService,
}

/// `lvs_sync_daemon`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncWith {
    /// The daemon; its role follows from the instance, and its `syncid` if none is written.
    pub daemon: SyncDaemon,
    /// The `vrrp_instance` that says which role runs; none: both run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub instance: Option<String>,
    /// `id` was written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub id_is_written: bool,
}

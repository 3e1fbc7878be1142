//! What the engine is told.

use std::time::Duration;

use xlvs_model::health::{SslClient, VirtualServer};

/// All checks, and who is told of what they find.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The virtual servers, in the order of the file.
    pub virtual_servers: Vec<VirtualServer>,
    /// `SSL`: the client's own side of TLS.
    pub ssl: Option<SslClient>,
    /// Where alerts are sent; none: nowhere.
    pub mail: Option<Mail>,
    /// `router_id`: who speaks, in subjects.
    pub router_id: String,
    /// `rs_init_notifies`: `notify_up` is run also for servers that begin as up.
    pub rs_init_notifies: bool,
    /// `no_checker_emails`: no mail of a check that does not change its server.
    pub no_checker_emails: bool,
    /// How ldirectord sends mails; none: as keepalived.
    pub alerts: Option<Alerts>,
    /// `cleanstop`: services are deleted at the end, but for those that say otherwise.
    pub clean_stop: bool,
    /// `enable_script_security`: what somebody else than root can change is not run as root.
    pub script_security: bool,
}

/// How ldirectord sends mails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// `emailalertfreq`: while a server is down a mail comes again after so long.
    pub repeat: Option<Duration>,
    /// `emailalertstatus`; none: always.
    pub during: Option<Vec<String>>,
}

/// Where alerts are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// `smtp_server`: a name or an address.
    pub host: String,
    /// Its port; keepalived's default is 25.
    pub port: u16,
    /// `smtp_helo_name`.
    pub helo: String,
    /// `notification_email_from`.
    pub from: String,
    /// `notification_email`; none: only to whom an alert itself names.
    pub to: Vec<String>,
    /// `smtp_connect_timeout`.
    pub timeout: Duration,
}

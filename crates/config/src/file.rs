//! What every format is read to, and the one way in: [`load`].

use serde::{Deserialize, Serialize};
use xlvs_model::{
    Service,
    health::{Globals, SslClient, VirtualServer},
    vrrp::Vrrp,
};

use crate::{
    format::Format, keepalived, ldirectord, native, piranha, report::Report, save, source::Host,
};

/// What a file asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `global_defs`, but for VRRP.
    pub globals: Globals,
    /// `SSL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl: Option<SslClient>,
    /// Every service with its servers as written, in the order of the file.
    pub services: Vec<Service>,
    /// What is checked: each `virtual_server` with its checks.
    pub virtual_servers: Vec<VirtualServer>,
    /// The VRRP half.
    pub vrrp: Vrrp,
}

/// Reads a file of any format, and all that it includes. With errors in the report, the
/// configuration is what could be made of the rest, and must not be put in force.
pub fn load(path: &str, host: &dyn Host) -> (Config, Report) {
    load_as(None, path, host)
}

/// The same of a format; none: what the file looks like.
pub fn load_as(format: Option<Format>, path: &str, host: &dyn Host) -> (Config, Report) {
    let found = || Format::find(path, &host.read(path).unwrap_or_default());
    match format.unwrap_or_else(found) {
        Format::Keepalived => keepalived::load(path, host),
        Format::LvsCf => piranha::load(path, host),
        Format::Ldirectord => ldirectord::load(path, host),
        Format::IpvsadmSave => save::load(path, host),
        Format::Toml => native::load(path, host),
    }
}

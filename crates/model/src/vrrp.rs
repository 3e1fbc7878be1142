//! VRRP and BFD as a person asked for them. Nothing acts on this yet; it is kept in full, so that
//! a file loses nothing on its way.
//!
//! What everything else hangs on has a field of its own. Every keyword, also those, is in the
//! [`Options`] of its block, read by its kind.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    health::{Origin, Script, seconds},
    is_default,
};

/// The VRRP half of a `keepalived.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vrrp {
    /// `vrrp_*` and the like of `global_defs`.
    pub globals: Options,
    /// `vrrp_instance`.
    pub instances: Vec<Instance>,
    /// `vrrp_sync_group`, `vrrp_script`, `vrrp_track_process`, `track_file`, `bfd_instance`,
    /// `track_group`, `garp_group`.
    pub blocks: Vec<NamedBlock>,
    /// `static_ipaddress`.
    pub static_addresses: Vec<VirtualAddress>,
    /// `static_routes`, as `ip route add` has them.
    pub static_routes: Vec<Vec<String>>,
    /// `static_rules`, as `ip rule add` has them.
    pub static_rules: Vec<Vec<String>>,
    /// `linkbeat_interfaces`: each with how it is polled.
    pub linkbeat_interfaces: Vec<Vec<String>>,
    /// `interface_up_down_delays`: interface, seconds down, seconds up.
    pub interface_delays: Vec<Vec<String>>,
}

impl Vrrp {
    /// The blocks of a kind.
    pub fn blocks(&self, keyword: &str) -> impl Iterator<Item = &NamedBlock> {
        self.blocks.iter().filter(move |block| block.keyword == keyword)
    }
}

/// `vrrp_instance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Where it was written.
    #[serde(skip_serializing_if = "is_default")]
    pub origin: Option<Origin>,
    /// `state MASTER`: it starts as a master; default no.
    pub master: bool,
    /// `interface`: where advertisements go.
    pub interface: String,
    /// `virtual_router_id`, 1 to 255.
    pub virtual_router_id: u8,
    /// `priority`; default 100, 255 owns the addresses.
    pub priority: u8,
    /// `advert_int`; default 1 s.
    #[serde(with = "seconds")]
    pub advert_interval: Duration,
    /// `version`, 2 or 3; none: as `vrrp_version` has it, which is 2 by default, and 3 with IPv6.
    #[serde(skip_serializing_if = "is_default")]
    pub version: Option<u8>,
    /// `virtual_ipaddress`.
    pub addresses: Vec<VirtualAddress>,
    /// `virtual_ipaddress_excluded`: addresses that advertisements do not name.
    #[serde(skip_serializing_if = "is_default")]
    pub excluded_addresses: Vec<VirtualAddress>,
    /// `unicast_peer`: they are told by unicast.
    #[serde(skip_serializing_if = "is_default")]
    pub unicast_peers: Vec<UnicastPeer>,
    /// Every keyword of the block.
    pub options: Options,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            name: String::new(),
            origin: None,
            master: false,
            interface: String::new(),
            virtual_router_id: 0,
            priority: 100,
            advert_interval: Duration::from_secs(1),
            version: None,
            addresses: Vec::new(),
            excluded_addresses: Vec::new(),
            unicast_peers: Vec::new(),
            options: Options::default(),
        }
    }
}

/// A line of `virtual_ipaddress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of its network; default 32, for IPv6 128.
    pub prefix: u8,
    /// `dev`: default the instance's interface.
    #[serde(default, skip_serializing_if = "is_default")]
    pub device: Option<String>,
    /// The other words: `label eth0:1`, `scope link`, `no_track` and so on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub words: Vec<String>,
}

/// A line of `unicast_peer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnicastPeer {
    /// Whom to tell.
    pub address: IpAddr,
    /// `min_ttl`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_ttl: Option<u8>,
    /// `max_ttl`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_ttl: Option<u8>,
}

/// A block that others name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedBlock {
    /// `vrrp_script`, `bfd_instance` and so on.
    pub keyword: String,
    /// Its name; empty for a `garp_group`.
    pub name: String,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: Option<Origin>,
    /// Its keywords.
    pub options: Options,
}

/// Keywords and their values, in the order of the file; some come more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Options(pub Vec<(String, Written)>);

impl Options {
    /// What was written last of a keyword.
    pub fn get(&self, keyword: &str) -> Option<&Written> {
        self.0.iter().rev().find(|(name, _)| name == keyword).map(|(_, value)| value)
    }

    /// A keyword was written, and not `off`.
    pub fn is_on(&self, keyword: &str) -> bool {
        self.get(keyword).is_some_and(|value| *value != Written::Flag(false))
    }
}

/// The value of a keyword, read by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// It stands there, or is on or off.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Seconds.
    Seconds(#[serde(with = "seconds")] Duration),
    /// An address.
    Address(IpAddr),
    /// A word or a text.
    Text(String),
    /// Several words.
    Words(Vec<String>),
    /// A program.
    Script(Script),
    /// The lines of a block.
    Lines(Vec<Vec<String>>),
    /// The keywords of a block.
    Block(Options),
}

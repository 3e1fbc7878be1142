//! What goes over the socket, as JSON. Paths:
//!
//! | method and path | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | - | [`Status`] |
//! | `GET /v1/services` | - | `Vec<`[`ServiceView`]`>`, in the order they were added |
//! | `GET /v1/services?persistent=true` | - | kept clients counted, too |
//! | `GET /v1/services?service=KEY` | - | this one, or none |
//! | `GET /v1/servers?address=&port=&service=` | - | `Vec<ServerDetail>`: all of some servers |
//! | `GET /v1/events?after=&limit=` | - | `Vec<`[`Event`](crate::Event)`>`, or a stream of them |
//! | `GET /metrics` | - | metrics as Prometheus reads them |
//! | `POST /v1/apply` | [`Apply`](crate::Apply) | `Applied`: a file in force, or its plan |
//! | `POST /v1/confirm` | [`Confirm`](crate::Confirm) | `{}` |
//! | `GET /v1/stats` | - | [`TotalsView`](crate::TotalsView): what the whole director counts |
//! | `POST /v1/changes` | `Vec<Change>` | [`Outcome`]: each change on its own, in order |
//! | `POST /v1/zero` | [`Zero`] | `{}` or [`ApiError`] 404 |
//! | `GET /v1/marks` | - | `MarksView`: the mark rules, the host's and the director's own |
//! | `GET /v1/timeouts` | - | `xlvs_model::Timeouts` |
//! | `GET /v1/settings` | - | [`SettingsView`](crate::SettingsView) |
//! | `GET /v1/access` | - | `Vec<`[`AccessEntry`](crate::AccessEntry)`>`: who may connect |
//! | `GET /v1/sync` | - | `Vec<xlvs_model::SyncDaemon>`, the master first |
//! | `GET /v1/connections?service=&server=&state=&limit=` | - | [`Connections`] |
//! | `POST /v1/detach` | - | `{}`; the daemon takes everything out of the kernel and ends |
//!
//! An answer other than 2xx carries an [`ApiError`]. A GET never changes anything.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use serde::{Deserialize, Serialize};
use xlvs_model::{
    Family, Fault, Method, Override, Server, ServerKey, Service, ServiceKey, Standing, State,
    Terms, Timeouts, Tuning, Tunnel,
};

/// Counters since the start or the last `zero`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets from servers (seen with NAT alone).
    pub out_packets: u64,
    /// Bytes from clients, IP header included.
    pub in_bytes: u64,
    /// Bytes from servers, IP header included.
    pub out_bytes: u64,
}

/// What happens a second: the kernel's estimate over about the last eight seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Connections.
    pub cps: u64,
    /// Packets from clients.
    pub inpps: u64,
    /// Packets from servers.
    pub outpps: u64,
    /// Bytes from clients.
    pub inbps: u64,
    /// Bytes from servers.
    pub outbps: u64,
}

/// A service as it stands: all that was asked for lies flat beside its key, and what is as it was
/// before anybody asked is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Protocol, address and port, or a mark.
    pub key: ServiceKey,
    /// Its scheduler, persistence and so on.
    #[serde(flatten)]
    pub terms: Terms,
    /// Its timeouts, limits and so on.
    #[serde(flatten)]
    pub tuning: Tuning,
    /// Who owns it: `keepalived.conf:12`, `ipvsadm`; none: it was there when the daemon began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Of all its servers, past ones too.
    pub stats: Stats,
    /// Of all its servers.
    #[serde(default)]
    pub rate: Rate,
    /// The one added last first.
    pub servers: Vec<ServerView>,
}

impl ServiceView {
    /// A service whose counters are at nought, without servers.
    pub fn new(service: &Service) -> Self {
        Self {
            key: service.key,
            terms: service.terms.clone(),
            tuning: service.tuning.clone(),
            owner: None,
            stats: Stats::default(),
            rate: Rate::default(),
            servers: Vec::new(),
        }
    }
}

/// A server as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerView {
    /// Address and port.
    pub address: ServerKey,
    /// How packets reach it.
    pub method: Method,
    /// What was asked for.
    pub weight: u32,
    /// What it has of that now, while it is in slow start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_weight: Option<crate::EffectiveWeight>,
    /// What is in force and why, where that is not what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Who owns it, as of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who drained or disabled it, and why.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub person: Option<Override>,
    /// How far its drain got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<crate::DrainView>,
    /// With so many connections it gets no new ones; 0: no limit.
    #[serde(default)]
    pub upper: u32,
    /// Once it had too many, it gets new ones again below so many.
    #[serde(default)]
    pub lower: u32,
    /// The kind of tunnel, if it is reached by one.
    #[serde(default)]
    pub tunnel: Tunnel,
    /// Connections in ESTABLISHED, `SYN_SENT`, `SYN_RECV` or SYNACK.
    pub active: u32,
    /// All its other connections.
    pub inactive: u32,
    /// Clients that keep it; counted only where it is asked for.
    #[serde(default)]
    pub persistent: u32,
    /// Its counters.
    pub stats: Stats,
    /// Its counters a second.
    #[serde(default)]
    pub rate: Rate,
    /// Where packets to it go now.
    pub next_hop: NextHop,
}

impl ServerView {
    /// A server that nothing was counted of.
    pub fn new(server: &Server, next_hop: NextHop) -> Self {
        Self {
            address: server.key,
            method: server.method,
            weight: server.weight,
            effective_weight: None,
            standing: None,
            owner: None,
            person: None,
            drain: None,
            upper: server.upper,
            lower: server.lower,
            tunnel: server.tunnel,
            active: 0,
            inactive: 0,
            persistent: 0,
            stats: Stats::default(),
            rate: Rate::default(),
            next_hop,
        }
    }

    /// With what is in force for it.
    #[must_use]
    pub fn with(self, standing: Standing) -> Self {
        let plain = standing.is_plain(&self.server());
        Self { standing: Some(standing).filter(|_| !plain), ..self }
    }

    /// How it is with it, in a word.
    pub fn state(&self) -> State {
        self.standing.as_ref().map_or(State::Up, |standing| standing.state)
    }

    /// It is in the list that packets see.
    pub fn is_listed(&self) -> bool {
        self.standing.as_ref().is_none_or(|standing| standing.listed)
    }

    /// The weight in force.
    pub fn weight_now(&self) -> u32 {
        self.standing.as_ref().map_or(self.weight, |standing| standing.weight)
    }

    /// It was written by somebody, and is not there for being a sorry server alone.
    pub fn is_written(&self) -> bool {
        !matches!(self.state(), State::Sorry | State::Standby)
    }

    /// The server as it was asked for.
    pub const fn server(&self) -> Server {
        Server {
            key: self.address,
            method: self.method,
            weight: self.weight,
            upper: self.upper,
            lower: self.lower,
            tunnel: self.tunnel,
            leaving: false,
        }
    }
}

/// Where packets to a server go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NextHop {
    /// The server is this host.
    Local,
    /// To this neighbour.
    Neighbour {
        /// The interface's name.
        interface: String,
        /// The neighbour's Ethernet address.
        mac: String,
        /// Bytes that an IP packet may have there.
        mtu: u32,
    },
    /// Nobody answers for it yet: packets are dropped as `no_neighbour`.
    Unresolved {
        /// What is known: "no route", "neighbour 10.0.0.9 on eth0 does not answer".
        why: String,
    },
}

/// A connection as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionView {
    /// The service it came to.
    pub service: ServiceKey,
    /// `TCP`, `UDP`, `SCTP`, or `IP` for what keeps clients of a mark.
    pub protocol: String,
    /// The client's end.
    pub client: SocketAddr,
    /// Where the client sent it: [`virtual_end`] for a service of an address.
    pub vip: SocketAddr,
    /// The server's end.
    pub server: SocketAddr,
    /// `ESTABLISHED`, `FIN_WAIT`... (TCP) or `UDP`.
    pub state: String,
    /// Seconds until it expires.
    pub expires_s: u64,
    /// How its packets reach the server.
    pub method: Method,
    /// No connection: what keeps a client with its server.
    #[serde(default)]
    pub template: bool,
    /// Another director told of it.
    #[serde(default)]
    pub synced: bool,
    /// What the service's persistence engine tells the client by.
    #[serde(default)]
    pub engine: Option<EngineData>,
}

/// What a persistence engine found in a client's packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineData {
    /// The engine: `sip`.
    pub name: String,
    /// A call's identifier, say.
    pub data: String,
}

/// The protocol and the virtual end that connections of a service are listed with. A mark stands
/// where the address would begin: `0.0.0.8:0`, `[0:8::]:0`.
pub fn virtual_end(service: &ServiceKey) -> (String, SocketAddr) {
    match *service {
        ServiceKey::Socket { protocol, address, port } => {
            (protocol.name().to_uppercase(), SocketAddr::new(address, port))
        }
        ServiceKey::Mark { mark, family: Family::V4 } => {
            ("IP".to_owned(), SocketAddr::new(Ipv4Addr::from(mark).into(), 0))
        }
        ServiceKey::Mark { mark, family: Family::V6 } => {
            let address = Ipv6Addr::from(u128::from(mark) << 96);
            ("IP".to_owned(), SocketAddr::new(address.into(), 0))
        }
    }
}

/// Connections, perhaps not all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// In no order.
    pub connections: Vec<ConnectionView>,
    /// There are more than `limit` let through.
    pub truncated: bool,
}

/// One interface of the director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceView {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub xdp_mode: String,
}

/// The director at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// The instance's name.
    pub instance: String,
    /// The daemon's process.
    pub pid: u32,
    /// Where packets come in.
    pub interfaces: Vec<InterfaceView>,
    /// Services.
    pub services: usize,
    /// Servers, over all services.
    pub servers: usize,
    /// Connection entries in use (NAT takes two for a connection).
    pub connection_entries: u64,
    /// Connection entries that there is room for.
    pub connection_capacity: u64,
    /// Packets by what became of them: the names of the data plane's reasons.
    pub packets: BTreeMap<String, u64>,
    /// The configuration file that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<crate::FileView>,
    /// What needs a person: "large-receive-offload merges frames on eth0: ethtool -K eth0 lro off".
    pub warnings: Vec<String>,
}

/// What became of each of the changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// In the order of the request; `null` is done.
    pub faults: Vec<Option<Fault>>,
    /// Set when the changes are in force but could not be written to disk.
    pub not_saved: Option<String>,
}

/// Which counters to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zero {
    /// One service, or all of them.
    pub service: Option<ServiceKey>,
}

/// The timeouts in force.
pub type TimeoutsView = Timeouts;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// A sentence: what and where.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
    /// The model's fault, where that was it.
    pub fault: Option<Fault>,
}

//! What the daemon asks of the data plane, as one trait: the daemon's tests answer it with a fake,
//! the product with the kernel's tables. Everything here is synchronous and has one owner, the
//! engine's thread.

mod tables;

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use xlvs_api::{Connections, InterfaceView, Stats};
pub(crate) use xlvs_datapath::mark::MarkRule as MarkEntry;
use xlvs_dataplane::{Baselines, ServiceBase};
pub(crate) use xlvs_dataplane::{Filter, Hop, Notice, Waiting};
use xlvs_model::{Model, ServerKey, Service, ServiceKey, Touched};

pub(crate) use self::tables::{Programs, Tables};

/// Hops by the address of the real server.
pub(crate) type Hops = HashMap<Ipv4Addr, Hop>;

/// An interface of the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// The kernel's number for it.
    pub(crate) ifindex: u32,
    /// Its name.
    pub(crate) name: String,
    /// Its Ethernet address.
    pub(crate) mac: [u8; 6],
    /// What an IP packet may measure there.
    pub(crate) mtu: u32,
}

/// What a server's table entry counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerCounters {
    /// Connections in ESTABLISHED and on the way to it.
    pub(crate) active: u32,
    /// All other connections.
    pub(crate) inactive: u32,
    /// Packets and bytes since the server was added.
    pub(crate) stats: Stats,
    /// In slow start: how much of its weight it has, of 64.
    pub(crate) share: Option<u32>,
}

/// What a service counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceCounters {
    /// Its servers, past ones too.
    pub(crate) stats: Stats,
    /// In the order of its servers.
    pub(crate) servers: Vec<ServerCounters>,
}

/// The data plane as its counters show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlaneStatus {
    /// Where packets come in.
    pub(crate) interfaces: Vec<InterfaceView>,
    /// Connection entries in use.
    pub(crate) entries: u64,
    /// Connection entries there is room for.
    pub(crate) capacity: u64,
    /// Packets by reason.
    pub(crate) packets: BTreeMap<String, u64>,
    /// What a person should know of how it is attached.
    pub(crate) notes: Vec<String>,
}

/// The data plane refused or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaneError {
    /// The tables have no room for the model.
    #[error("the director's tables are full: {0}")]
    Full(String),
    /// Anything else; the sentence says what and why.
    #[error("{0}")]
    Failed(String),
}

/// The tables and programs that forward.
pub(crate) trait Plane: Send {
    /// Forwards what comes in by the interfaces of these names, and by no other. Answers of servers
    /// on this host are rewritten as they leave by `answers`.
    fn attach(&mut self, interfaces: &[String], answers: &[String]) -> Result<(), PlaneError>;

    /// Makes the tables say what the model says; all of it or, with an error, none of it. Where
    /// `touched` is given, no other services than these differ from what was applied last.
    fn apply(&mut self, model: &Model, touched: Option<&Touched>) -> Result<(), PlaneError>;

    /// Servers of these services were edited, were it to what they were: before [`Self::apply`].
    fn note_edits(&mut self, services: &Touched);

    /// Services to be applied again once a second, as servers of theirs are in slow start.
    fn ramping(&self) -> Touched;

    /// Next hops of real servers; those that are not named keep what they have.
    fn set_hops(&mut self, hops: &Hops) -> Result<(), PlaneError>;

    /// All interfaces of the namespace.
    fn set_interfaces(&mut self, interfaces: &[Interface]) -> Result<(), PlaneError>;

    /// The mark rules, as the way of a packet walks them.
    fn set_marks(&mut self, entries: &[MarkEntry]) -> Result<(), PlaneError>;

    /// Routes or neighbours changed: the ways to clients are to be looked up anew.
    fn bump_routes(&mut self) -> Result<(), PlaneError>;

    /// Counters of a service and of its servers.
    fn counters(&mut self, service: &Service) -> Result<ServiceCounters, PlaneError>;

    /// Counts one service, or all, from nought again.
    fn zero(&mut self, service: Option<&ServiceKey>) -> Result<(), PlaneError>;

    /// At most `limit` connections.
    fn connections(&mut self, filter: &Filter, limit: usize) -> Result<Connections, PlaneError>;

    /// What the whole director counts, and by CPU (never zeroed).
    fn whole(&mut self) -> Result<(Stats, Vec<Stats>), PlaneError>;

    /// How many clients each server keeps, of those that keep any. Walks all connections.
    fn persistent(&mut self) -> Result<HashMap<(ServiceKey, ServerKey), u32>, PlaneError>;

    /// Packets by what became of them: the names of reasons that were counted at all.
    fn packets(&mut self) -> Result<BTreeMap<String, u64>, PlaneError>;

    /// Counters and interfaces.
    fn status(&mut self) -> Result<PlaneStatus, PlaneError>;

    /// What to keep across restarts, for counters to go on as people saw them.
    fn baselines(&self) -> Baselines;

    /// Those of [`Plane::baselines`] that changed since the last call.
    fn changed_baselines(&mut self) -> BTreeMap<ServiceKey, ServiceBase>;

    /// One bounded piece of the sweep: about `budget` entries. True when it freed removed servers'
    /// places, so that the baselines changed.
    fn sweep(&mut self, budget: usize) -> Result<bool, PlaneError>;

    /// So many pages of memory are free, for defences that go by it.
    fn set_free_pages(&mut self, model: &Model, pages: i64) -> Result<(), PlaneError>;

    /// Ends some of the connections that are half open, while `drop_entry` is in force.
    fn drop_suspects(&mut self) -> Result<(), PlaneError>;

    /// Clients to be asked now, of servers that are down: [`xlvs_dataplane::Dataplane::waiting`].
    fn waiting(&mut self) -> Result<Vec<Waiting>, PlaneError>;

    /// What the data path told since the last call.
    fn notices(&mut self) -> Result<Vec<Notice>, PlaneError>;

    /// Takes everything out of the kernel.
    fn detach(self: Box<Self>) -> Result<(), PlaneError>;
}

#[cfg(test)]
pub(crate) mod fake;

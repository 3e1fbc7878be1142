//! Where the tables live: what [`Dataplane`](crate::Dataplane) needs of the kernel's maps, or of
//! memory. Every method is one table's; no order and no policy is known here.

use std::collections::BTreeMap;

use xlvs_datapath::{
    mark::MarkRule,
    policy::{AccessKey, ClientKey, ServicePolicy},
    sip::CallRecord,
    tables::{Conn, ConnKey, Dest, Event, Order, Plan, Port, Service, ServiceKey, Settings, Stats},
};

use crate::Error;

/// How many entries the tables have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Services, with one more for each address.
    pub services: u32,
    /// Lists of servers.
    pub plans: u32,
    /// Places in lists.
    pub orders: u32,
    /// Servers, removed ones that still have connections included.
    pub dests: u32,
    /// Words of buckets.
    pub buckets: u32,
    /// Services with limits or timeouts of their own, and one place for none.
    pub policies: u32,
    /// Interfaces.
    pub ports: u32,
    /// Connection entries.
    pub conns: u32,
}

/// Connections of a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCount {
    /// In ESTABLISHED or on the way to it.
    pub active: u32,
    /// All others.
    pub inactive: u32,
}

/// Where a walk over the connections stands.
pub type Cursor = u32;

/// A call that has a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The network that it came from, in wire order.
    pub client: u32,
    /// Its identifier.
    pub identifier: Vec<u8>,
}

impl Call {
    /// As it lies in the tables.
    pub fn of(record: &CallRecord) -> Self {
        let bytes = record.words.iter().flat_map(|word| word.get().to_le_bytes());
        let length = record.length.get() as usize;
        Self { client: record.client.get(), identifier: bytes.take(length).collect() }
    }
}

/// The tables of one director.
pub trait Home {
    /// How large they are.
    fn sizes(&self) -> Sizes;
    /// The clock of `Conn::expires`, in nanoseconds.
    fn now(&self) -> u64;

    /// What is the same for all packets.
    fn settings(&self) -> Result<Settings, Error>;
    /// Writes it.
    fn set_settings(&mut self, settings: &Settings) -> Result<(), Error>;

    /// All services, markers of addresses included.
    fn services(&self) -> Result<Vec<(ServiceKey, Service)>, Error>;
    /// Writes a service (readers see the old or the new one) or removes it.
    fn set_service(&mut self, key: &ServiceKey, service: Option<&Service>) -> Result<(), Error>;

    /// A plan.
    fn plan(&self, index: u32) -> Result<Plan, Error>;
    /// Writes a plan that no service names.
    fn set_plan(&mut self, index: u32, plan: &Plan) -> Result<(), Error>;
    /// `count` orders.
    fn orders(&self, first: u32, count: u32) -> Result<Vec<Order>, Error>;
    /// Writes orders that no service's plan names.
    fn set_orders(&mut self, first: u32, orders: &[Order]) -> Result<(), Error>;

    /// Writes words of buckets that no service names.
    fn set_buckets(&mut self, first: u32, words: &[u64]) -> Result<(), Error>;
    /// Writes rules for marks that the settings do not name.
    fn set_marks(&mut self, first: u32, rules: &[MarkRule]) -> Result<(), Error>;

    /// All destinations in use, by slot.
    fn dests(&self) -> Result<Vec<(u32, Dest)>, Error>;
    /// Writes a destination, word by word.
    fn set_dest(&mut self, slot: u32, dest: &Dest) -> Result<(), Error>;
    /// Its connections.
    fn live_count(&self, slot: u32) -> Result<LiveCount, Error>;
    /// Its thresholds, upper and lower.
    fn thresholds(&self, slot: u32) -> Result<(u32, u32), Error>;
    /// Sets them, and whether it has too many connections with it.
    fn set_thresholds(&mut self, slot: u32, upper: u32, lower: u32) -> Result<(), Error>;
    /// Its counters, over all CPUs.
    fn stats_sum(&self, slot: u32) -> Result<Stats, Error>;
    /// Its counters of each CPU.
    fn stats_by_cpu(&self, slot: u32) -> Result<Vec<Stats>, Error>;
    /// Sets its counters to nought.
    fn clear_stats(&mut self, slot: u32) -> Result<(), Error>;

    /// All ports, by index; `mtu` 0: none.
    fn ports(&self) -> Result<Vec<Port>, Error>;
    /// Writes a port.
    fn set_port(&mut self, index: u32, port: &Port) -> Result<(), Error>;
    /// Says which port an interface is, or that it is none.
    fn set_port_of(&mut self, ifindex: u32, index: Option<u32>) -> Result<(), Error>;

    /// Appends about `budget` connections to `out`, from `cursor` (None: the beginning) on; gives
    /// where to go on, None at the end. Entries that come and go meanwhile may be seen or not.
    fn conns(
        &self,
        cursor: Option<Cursor>,
        budget: usize,
        out: &mut Vec<(ConnKey, Conn)>,
    ) -> Result<Option<Cursor>, Error>;
    /// What the call's template of this key was made for; None: that is not known.
    fn call(&self, key: &ConnKey) -> Result<Option<Call>, Error>;
    /// Has the data path remove those of `keys` that are due, or all by force.
    fn expire(&mut self, keys: &[ConnKey], forced: bool) -> Result<(), Error>;

    /// The lists of clients that may or may not come in.
    fn access(&self) -> Result<Vec<(AccessKey, u32)>, Error>;
    /// Writes an entry, or removes it.
    fn set_access(&mut self, key: &AccessKey, verdict: Option<u32>) -> Result<(), Error>;
    /// What is set for a service.
    fn service_policy(&self, index: u32) -> Result<ServicePolicy, Error>;
    /// Writes it.
    fn set_service_policy(&mut self, index: u32, policy: &ServicePolicy) -> Result<(), Error>;
    /// Networks of clients have so many connections, and no others have any.
    fn set_clients(&mut self, counts: &BTreeMap<ClientKey, u32>) -> Result<(), Error>;
    /// There are so many connections.
    fn set_connections(&mut self, count: u64) -> Result<(), Error>;

    /// How often each reason was counted.
    fn reason_counts(&self) -> Result<Vec<u64>, Error>;
    /// What the data path told since the last call.
    fn events(&mut self) -> Result<Vec<Event>, Error>;
}

//! The data path's tables in this process's memory: the same way of a packet, without a kernel. For
//! tests, simulation and explaining.

mod frame;
mod tables;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use xlvs_datapath::{
    Cell64, Reason, Route,
    mark::{MAX_MARK_ENTRIES, MarkRule},
    policy::{AccessKey, Client, ClientKey, ServicePolicy},
    sip::{CallRecord, Search},
    tables::{
        CacheEntry, CacheKey, Conn, ConnKey, Dest, Event, Live, METER_CONNECTIONS, METERS, Notes,
        Order, Plan, Port, Service, ServiceKey, Settings, Stats,
    },
};

pub use frame::Frame;

use crate::{
    Error, Home,
    compile::no_dest,
    home::{Call, Cursor, LiveCount, Sizes},
    raw::zeroed,
};

/// Tables in memory, for one thread. Its clock stands still until it is set.
#[derive(Debug)]
pub struct Memory {
    sizes: Sizes,
    now: Cell<u64>,
    settings: Settings,
    services: HashMap<ServiceKey, Service>,
    plans: Vec<Plan>,
    orders: Vec<Order>,
    buckets: Vec<u64>,
    marks: Vec<MarkRule>,
    caches: RefCell<HashMap<CacheKey, Arc<CacheEntry>>>,
    notes: Notes,
    search: Search,
    calls: RefCell<HashMap<ConnKey, CallRecord>>,
    dests: Vec<Dest>,
    live: Vec<Live>,
    stats: Vec<Cell<Stats>>,
    ports: Vec<Port>,
    port_of: HashMap<u32, u32>,
    conns: RefCell<HashMap<ConnKey, Arc<Conn>>>,
    reasons: Vec<Cell64>,
    limiter: Cell64,
    access: BTreeMap<AccessKey, u32>,
    policies: Vec<ServicePolicy>,
    clients: RefCell<HashMap<ClientKey, Arc<Client>>>,
    meters: [Cell64; METERS],
    events: RefCell<Vec<Event>>,
    routes: HashMap<u32, Route>,
    route: Route,
}

impl Default for Memory {
    /// Small tables.
    fn default() -> Self {
        let sizes = Sizes {
            services: 64,
            plans: 64,
            orders: 256,
            dests: 128,
            buckets: 16384,
            policies: 64,
            ports: 16,
            conns: 1024,
        };
        Self::new(sizes)
    }
}

impl Memory {
    /// Empty tables of these sizes.
    pub fn new(sizes: Sizes) -> Self {
        let dests = sizes.dests as usize;
        Self {
            sizes,
            now: Cell::new(0),
            settings: zeroed(),
            services: HashMap::new(),
            plans: (0..sizes.plans).map(|_| zeroed()).collect(),
            orders: (0..sizes.orders).map(|_| zeroed()).collect(),
            buckets: vec![0; sizes.buckets as usize],
            marks: Vec::new(),
            caches: RefCell::default(),
            notes: Notes::default(),
            search: Search::default(),
            calls: RefCell::default(),
            dests: vec![no_dest(); dests],
            live: (0..dests).map(|_| zeroed()).collect(),
            stats: vec![Cell::default(); dests],
            ports: vec![Port::default(); sizes.ports as usize],
            port_of: HashMap::new(),
            conns: RefCell::default(),
            reasons: Reason::ALL.iter().map(|_| Cell64::new(0)).collect(),
            limiter: Cell64::new(0),
            access: BTreeMap::new(),
            policies: vec![ServicePolicy::default(); sizes.policies as usize],
            clients: RefCell::default(),
            meters: [const { Cell64::new(0) }; METERS],
            events: RefCell::default(),
            routes: HashMap::new(),
            route: Route::None,
        }
    }

    /// Sets the clock, in nanoseconds.
    pub fn set_now(&self, now: u64) {
        self.now.set(now);
    }

    /// The answer to every question for a route that [`Memory::set_route_to`] did not answer.
    pub fn set_route(&mut self, route: Route) {
        self.route = route;
    }

    /// The answer to a question for a route to this address (wire order).
    pub fn set_route_to(&mut self, dst: u32, route: Route) {
        self.routes.insert(dst, route);
    }

    /// The connection of this key, as it stands.
    pub fn conn(&self, key: &ConnKey) -> Option<Arc<Conn>> {
        self.conns.borrow().get(key).cloned()
    }

    /// Puts a connection in or replaces it, without counting it.
    pub fn set_conn(&mut self, key: ConnKey, conn: Conn) {
        self.conns.get_mut().insert(key, Arc::new(conn));
    }

    /// Networks of clients: their connections, and when their share of the rate is whole.
    pub fn clients(&self) -> BTreeMap<ClientKey, (u32, u64)> {
        let clients = self.clients.borrow();
        let numbers = |client: &Client| (client.connections.get(), client.whole_at.get());
        clients.iter().map(|(key, client)| (*key, numbers(client))).collect()
    }

    /// What is kept beside calls' templates.
    pub fn calls(&self) -> BTreeMap<ConnKey, Call> {
        self.calls.borrow().iter().map(|(key, record)| (*key, Call::of(record))).collect()
    }

    /// The connections of a destination.
    pub fn live_cells(&self, slot: u32) -> Option<&Live> {
        self.live.get(slot as usize)
    }
}

fn at<T>(list: &mut [T], index: u32) -> Option<&mut T> {
    list.get_mut(usize::try_from(index).ok()?)
}

/// Writes where there is such an entry, as an array of the kernel would refuse the others.
fn put<T>(list: &mut [T], index: u32, value: T, table: &'static str) -> Result<(), Error> {
    let room = u32::try_from(list.len()).unwrap_or(u32::MAX);
    *at(list, index).ok_or(Error::Full { table, room })? = value;
    Ok(())
}

impl Home for Memory {
    fn sizes(&self) -> Sizes {
        self.sizes
    }
    fn now(&self) -> u64 {
        self.now.get()
    }
    fn settings(&self) -> Result<Settings, Error> {
        Ok(self.settings)
    }
    fn set_settings(&mut self, settings: &Settings) -> Result<(), Error> {
        self.settings = *settings;
        Ok(())
    }
    fn services(&self) -> Result<Vec<(ServiceKey, Service)>, Error> {
        Ok(self.services.iter().map(|(key, service)| (*key, *service)).collect())
    }
    fn set_service(&mut self, key: &ServiceKey, service: Option<&Service>) -> Result<(), Error> {
        match service {
            Some(service) => drop(self.services.insert(*key, *service)),
            None => drop(self.services.remove(key)),
        }
        Ok(())
    }
    fn plan(&self, index: u32) -> Result<Plan, Error> {
        Ok(self.plans.get(index as usize).cloned().unwrap_or_else(zeroed))
    }
    fn set_plan(&mut self, index: u32, plan: &Plan) -> Result<(), Error> {
        put(&mut self.plans, index, plan.clone(), "server lists")
    }
    fn orders(&self, first: u32, count: u32) -> Result<Vec<Order>, Error> {
        Ok(self.orders.iter().skip(first as usize).take(count as usize).copied().collect())
    }
    fn set_orders(&mut self, first: u32, orders: &[Order]) -> Result<(), Error> {
        for (index, order) in (first..).zip(orders) {
            put(&mut self.orders, index, *order, "server lists")?;
        }
        Ok(())
    }
    fn set_buckets(&mut self, first: u32, words: &[u64]) -> Result<(), Error> {
        let mut write =
            |(index, word): (u32, &u64)| put(&mut self.buckets, index, *word, "buckets");
        (first..).zip(words).try_for_each(&mut write)
    }
    fn set_marks(&mut self, first: u32, rules: &[MarkRule]) -> Result<(), Error> {
        // The table grows when it is written: tests make many homes, and few have marks.
        let end = (first as usize).saturating_add(rules.len()).min(MAX_MARK_ENTRIES);
        if self.marks.len() < end {
            self.marks.resize(end, MarkRule::default());
        }
        let mut write =
            |(index, rule): (u32, &MarkRule)| put(&mut self.marks, index, *rule, "rules for marks");
        (first..).zip(rules).try_for_each(&mut write)
    }
    fn dests(&self) -> Result<Vec<(u32, Dest)>, Error> {
        Ok((0u32..)
            .zip(&self.dests)
            .filter(|(_, d)| d.flags != 0)
            .map(|(i, d)| (i, d.opened()))
            .collect())
    }
    fn set_dest(&mut self, slot: u32, dest: &Dest) -> Result<(), Error> {
        put(&mut self.dests, slot, dest.sealed(), "servers")
    }
    fn live_count(&self, slot: u32) -> Result<LiveCount, Error> {
        let count = |l: &Live| LiveCount { active: l.active.get(), inactive: l.inactive.get() };
        Ok(self.live.get(slot as usize).map(count).unwrap_or_default())
    }
    fn thresholds(&self, slot: u32) -> Result<(u32, u32), Error> {
        let read = |l: &Live| (l.upper.get(), l.lower.get());
        Ok(self.live.get(slot as usize).map(read).unwrap_or_default())
    }
    fn set_thresholds(&mut self, slot: u32, upper: u32, lower: u32) -> Result<(), Error> {
        if let Some(live) = self.live.get(slot as usize) {
            live.set_thresholds(upper, lower);
        }
        Ok(())
    }
    fn stats_sum(&self, slot: u32) -> Result<Stats, Error> {
        Ok(self.stats.get(slot as usize).map(Cell::get).unwrap_or_default())
    }
    fn stats_by_cpu(&self, slot: u32) -> Result<Vec<Stats>, Error> {
        Ok(vec![self.stats_sum(slot)?])
    }
    fn clear_stats(&mut self, slot: u32) -> Result<(), Error> {
        put(&mut self.stats, slot, Cell::default(), "servers")
    }
    fn ports(&self) -> Result<Vec<Port>, Error> {
        Ok(self.ports.clone())
    }
    fn set_port(&mut self, index: u32, port: &Port) -> Result<(), Error> {
        put(&mut self.ports, index, *port, "interfaces")
    }
    fn set_port_of(&mut self, ifindex: u32, index: Option<u32>) -> Result<(), Error> {
        match index {
            Some(index) => drop(self.port_of.insert(ifindex, index)),
            None => drop(self.port_of.remove(&ifindex)),
        }
        Ok(())
    }
    fn conns(
        &self,
        cursor: Option<Cursor>,
        budget: usize,
        out: &mut Vec<(ConnKey, Conn)>,
    ) -> Result<Option<Cursor>, Error> {
        let conns = self.conns.borrow();
        let mut keys: Vec<&ConnKey> = conns.keys().collect();
        keys.sort_unstable();
        let from = cursor.unwrap_or(0) as usize;
        let chosen = keys.iter().skip(from).take(budget);
        out.extend(chosen.filter_map(|k| Some((**k, Conn::clone(conns.get(k)?)))));
        let next = from.saturating_add(budget);
        Ok(if next < keys.len() { u32::try_from(next).ok() } else { None })
    }
    fn call(&self, key: &ConnKey) -> Result<Option<Call>, Error> {
        Ok(self.calls.borrow().get(key).map(Call::of))
    }
    fn expire(&mut self, keys: &[ConnKey], forced: bool) -> Result<(), Error> {
        for key in keys {
            xlvs_datapath::conn::expire(&*self, key, self.now.get(), forced);
        }
        Ok(())
    }
    fn access(&self) -> Result<Vec<(AccessKey, u32)>, Error> {
        Ok(self.access.iter().map(|(key, verdict)| (*key, *verdict)).collect())
    }
    fn set_access(&mut self, key: &AccessKey, verdict: Option<u32>) -> Result<(), Error> {
        match verdict {
            Some(verdict) => drop(self.access.insert(*key, verdict)),
            None => drop(self.access.remove(key)),
        }
        Ok(())
    }
    fn service_policy(&self, index: u32) -> Result<ServicePolicy, Error> {
        Ok(self.policies.get(index as usize).copied().unwrap_or_default())
    }
    fn set_service_policy(&mut self, index: u32, policy: &ServicePolicy) -> Result<(), Error> {
        put(&mut self.policies, index, *policy, "services with limits")
    }
    fn set_clients(&mut self, counts: &BTreeMap<ClientKey, u32>) -> Result<(), Error> {
        let client = |(key, count): (&ClientKey, &u32)| {
            let client = Client::default();
            client.connections.set(*count);
            (*key, Arc::new(client))
        };
        *self.clients.get_mut() = counts.iter().map(client).collect();
        Ok(())
    }
    fn set_connections(&mut self, count: u64) -> Result<(), Error> {
        self.meters[METER_CONNECTIONS as usize].set(count);
        Ok(())
    }
    fn reason_counts(&self) -> Result<Vec<u64>, Error> {
        Ok(self.reasons.iter().map(Cell64::get).collect())
    }
    fn events(&mut self) -> Result<Vec<Event>, Error> {
        Ok(std::mem::take(self.events.get_mut()))
    }
}

//! The data plane as the daemon uses it, over either home.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    thread,
    time::Duration,
};

use xlvs_datapath::{
    Reason,
    mark::{MAX_MARK_ENTRIES, MarkRule},
    tables::{ConnKey, EVENT_NEIGHBOUR, METHOD_MASQ, SETTING_MIGRATING, Settings},
};
use xlvs_model::{Model, Server, ServerKey, Service, ServiceKey, Touched};

use crate::{
    Baselines, Error, Home, Hop,
    compile::{Compiler, DestKey, Write, address, service_key, service_of, socket},
    conns::{self, Connection, Filter},
    counters::{Base, Ledger, ServerCounters, ServiceBase, Totals, WholeCounters, add_by_cpu},
    home::Cursor,
    sweep::{SweepReport, Sweeper},
    waiting::Asking,
};

/// An interface of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number for it.
    pub ifindex: u32,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// What an IP packet may measure there.
    pub mtu: u32,
}

/// What the data path has to say on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A packet could not go on: the neighbour `address` on `ifindex` is not known.
    NeighbourWanted {
        /// The interface.
        ifindex: u32,
        /// The neighbour.
        address: Ipv4Addr,
    },
}

/// Room in the connection table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Entries in use (NAT takes two for a connection), expired ones not swept yet included.
    pub entries: u64,
    /// Entries there is room for.
    pub capacity: u64,
}

/// The tables of a director and what is known about them.
#[derive(Debug)]
pub struct Dataplane<H: Home> {
    pub(crate) home: H,
    pub(crate) compiler: Compiler,
    baselines: Baselines,
    /// Services whose baselines changed since they were asked for.
    rebased: Touched,
    sweeper: Sweeper,
    marks: Vec<MarkRule>,
    /// Where the walk for suspect connections stands.
    pub(crate) suspects: Option<Cursor>,
    /// How far the asking of clients that wait for servers which are down got.
    pub(crate) asking: Asking,
    ledger: Ledger,
}

impl<H: Home> Dataplane<H> {
    /// Over tables that may be in force already; `baselines` are what [`Dataplane::baselines`]
    /// gave.
    pub fn new(home: H, baselines: Baselines) -> Result<Self, Error> {
        let compiler = Compiler::adopt(&home)?;
        let (rebased, sweeper) = (Touched::new(), Sweeper::default());
        let ledger = Ledger::default();
        Ok(Self {
            home,
            compiler,
            baselines,
            rebased,
            sweeper,
            marks: Vec::new(),
            suspects: None,
            asking: Asking::default(),
            ledger,
        })
    }

    /// The tables' home.
    pub fn home(&self) -> &H {
        &self.home
    }

    #[cfg(test)]
    pub(crate) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    /// The tables' home, to change what no table of ours is.
    pub fn home_mut(&mut self) -> &mut H {
        &mut self.home
    }

    /// Gives the home back.
    pub fn into_home(self) -> H {
        self.home
    }

    /// Makes the tables say what `model` says, writing only what differs. With [`Error::Full`]
    /// nothing was written. May wait up to a second for room that a change just before gave back.
    pub fn apply(&mut self, model: &Model) -> Result<(), Error> {
        self.carry_out(model, None)
    }

    /// [`Dataplane::apply`] where nothing but the services `touched` differs from the model that
    /// was applied last: costs what they cost, however many others there are.
    pub fn apply_touched(&mut self, model: &Model, touched: &Touched) -> Result<(), Error> {
        self.carry_out(model, Some(touched))
    }

    /// To be called before a change is applied in which servers of these services were edited,
    /// were it to what they were: in the kernel, wrr begins its walk anew at that.
    pub fn note_edits(&mut self, services: &Touched) {
        self.compiler.note_edits(services);
    }

    /// Services of which servers in slow start have less than the others: to be applied again as
    /// touched, once a second, for their shares to grow. A server begins its slow start when it
    /// is added, or gets a weight again, beside others that have one.
    pub fn ramping(&self) -> Touched {
        self.compiler.ramping()
    }

    /// The mark rules that packets are to walk: written beside those in force, and then swapped.
    pub fn set_marks(&mut self, entries: &[MarkRule]) -> Result<(), Error> {
        let half = MAX_MARK_ENTRIES / 2;
        let full = || Error::Full { table: "mark rules", room: 2048 };
        let count = u32::try_from(entries.len()).ok().filter(|_| entries.len() <= half);
        let count = count.ok_or_else(full)?;
        if self.marks == entries {
            return Ok(());
        }
        let writes = self.compiler.swap_marks(count);
        let Some(Write::Settings(settings)) = writes.first() else { return Ok(()) };
        self.home.set_marks(settings.marks >> 16, entries)?;
        self.write(&writes)?;
        self.marks = entries.to_vec();
        Ok(())
    }

    /// The mark rules in force.
    pub fn marks(&self) -> &[MarkRule] {
        &self.marks
    }

    fn carry_out(&mut self, model: &Model, touched: Option<&Touched>) -> Result<(), Error> {
        let writes = match self.compile(model, touched) {
            Err(Error::Full { .. }) if let Some(at) = self.compiler.next_wake() => {
                let wait = at.saturating_sub(self.home.now());
                thread::sleep(Duration::from_nanos(wait.min(MAX_WAIT_NS)));
                self.compile(model, touched)?
            }
            other => other?,
        };
        self.forget_baselines(model, touched);
        self.write(&writes)?;
        self.enforce(&writes)
    }

    /// With an error nothing is as if it had been tried.
    fn compile(&mut self, model: &Model, touched: Option<&Touched>) -> Result<Vec<Write>, Error> {
        let now = self.home.now();
        let arrivals = self.arrivals(model, touched);
        self.compiler.begin(now);
        let state_of = |plan| Ok(self.home.plan(plan)?.state.get());
        let compiled = self.compiler.compile(model, touched, now, state_of);
        let compiled = compiled.and_then(|writes| {
            let fresh = self.baselines_of(&arrivals)?;
            Ok((writes, fresh))
        });
        match compiled {
            Ok((writes, fresh)) => {
                self.compiler.commit();
                for (key, base) in fresh {
                    if base != ServiceBase::default() {
                        self.rebased.insert(key);
                    }
                    self.baselines.services.insert(key, base);
                }
                Ok(writes)
            }
            Err(e) => {
                self.compiler.roll_back();
                Err(e)
            }
        }
    }

    /// Services that count from now on, and whether they are new to the tables.
    fn arrivals(&self, model: &Model, touched: Option<&Touched>) -> Vec<(ServiceKey, bool)> {
        let is_known = |key: &ServiceKey| self.baselines.services.contains_key(key);
        let is_new =
            |key: &ServiceKey| service_key(key).is_some_and(|key| !self.compiler.has_service(key));
        let keys: Vec<ServiceKey> = match touched {
            Some(keys) => keys.iter().filter(|k| model.service(k).is_some()).copied().collect(),
            None => model.services.iter().map(|service| service.key).collect(),
        };
        let unknown = keys.into_iter().filter(|key| !is_known(key));
        unknown.map(|key| (key, is_new(&key))).collect()
    }

    /// A server that comes back from the trash into a service made anew counts from nought, as does
    /// the service (`__ip_vs_update_dest`).
    fn baselines_of(
        &self,
        arrivals: &[(ServiceKey, bool)],
    ) -> Result<Vec<(ServiceKey, ServiceBase)>, Error> {
        let base = |&(key, is_new): &(ServiceKey, bool)| {
            Ok((key, if is_new { self.base_now(&key)? } else { ServiceBase::default() }))
        };
        arrivals.iter().map(base).collect()
    }

    /// What a service's servers count now.
    fn base_now(&self, service: &ServiceKey) -> Result<ServiceBase, Error> {
        let mut fresh = ServiceBase::default();
        let Some(key) = service_key(service) else { return Ok(fresh) };
        for (slot, server) in self.compiler.slots_of(key) {
            let now = Totals::from(self.home.stats_sum(slot)?);
            if now != Totals::default() {
                fresh.servers.insert(server, Base { server: now, service: now });
            }
        }
        Ok(fresh)
    }

    /// A service that is gone has none.
    fn forget_baselines(&mut self, model: &Model, touched: Option<&Touched>) {
        let services = &mut self.baselines.services;
        let is_gone = |key: &&ServiceKey| model.service(key).is_none();
        let gone: Vec<ServiceKey> = match touched {
            Some(keys) => keys.iter().filter(is_gone).copied().collect(),
            None => services.keys().filter(is_gone).copied().collect(),
        };
        for key in gone {
            services.remove(&key);
            self.rebased.remove(&key);
        }
    }

    /// Where frames to the servers go; addresses that are not named stay as they are.
    pub fn set_hops(&mut self, hops: &HashMap<Ipv4Addr, Hop>) -> Result<(), Error> {
        let writes = self.compiler.set_hops(hops);
        self.write(&writes)
    }

    /// All interfaces of the host.
    pub fn set_interfaces(&mut self, interfaces: &[Interface]) -> Result<(), Error> {
        let ports: Vec<_> = interfaces.iter().map(|i| (i.ifindex, i.mac, i.mtu)).collect();
        let writes = self.compiler.set_ports(&ports)?;
        self.write(&writes)
    }

    /// Routes or neighbours changed: the ways to clients are to be looked up anew.
    pub fn bump_routes(&mut self) -> Result<(), Error> {
        let writes = self.compiler.bump_routes();
        self.write(&writes)
    }

    /// When a write fails half way, what is in the tables is the truth to go on from.
    pub(crate) fn write(&mut self, writes: &[Write]) -> Result<(), Error> {
        let done = writes.iter().try_for_each(|w| self.write_one(w));
        if done.is_err() {
            let hops = self.compiler.take_hops();
            self.compiler = Compiler::adopt(&self.home)?.with_hops(hops);
        }
        done
    }

    fn write_one(&mut self, write: &Write) -> Result<(), Error> {
        let home = &mut self.home;
        match write {
            Write::Dest(slot, dest) => home.set_dest(*slot, dest),
            Write::Thresholds(slot, upper, lower) => home.set_thresholds(*slot, *upper, *lower),
            Write::Access(key, verdict) => home.set_access(key, *verdict),
            Write::Policy(index, policy) => home.set_service_policy(*index, policy),
            Write::ClearStats(slot) => home.clear_stats(*slot),
            Write::Orders(first, orders) => home.set_orders(*first, orders),
            Write::Plan(index, plan) => home.set_plan(*index, plan),
            Write::Buckets(first, words) => home.set_buckets(*first, words),
            Write::Service(key, service) => home.set_service(key, service.as_ref()),
            Write::Settings(settings) => {
                // The home sets and clears this one, on its own time.
                let own = home.settings()?.flags & SETTING_MIGRATING;
                let flags = settings.flags & !SETTING_MIGRATING | own;
                home.set_settings(&Settings { flags, ..*settings })
            }
            Write::Port(index, port) => home.set_port(*index, port),
            Write::PortOf(ifindex, index) => home.set_port_of(*ifindex, *index),
        }
    }

    fn slot(&self, service: &ServiceKey, server: &ServerKey) -> Option<u32> {
        self.compiler.slot(&DestKey::new(service_key(service)?, server)?)
    }

    /// What a server counts; noughts for one that is not there.
    pub fn server_counters(
        &self,
        service: &ServiceKey,
        server: &ServerKey,
    ) -> Result<ServerCounters, Error> {
        let Some(slot) = self.slot(service, server) else { return Ok(ServerCounters::default()) };
        let base = self.baselines.base(service, server).server;
        let totals = Totals::from(self.home.stats_sum(slot)?).since(base);
        let share = service_key(service).and_then(|key| self.compiler.share_of(key, slot));
        Ok(ServerCounters { live: self.home.live_count(slot)?, totals, share })
    }

    /// What a service counts: its servers, past ones too.
    pub fn service_totals(&self, service: &ServiceKey) -> Result<Totals, Error> {
        let mut sum = self.baselines.past(service);
        let Some(key) = service_key(service) else { return Ok(sum) };
        for (slot, server) in self.compiler.slots_of(key) {
            let base = self.baselines.base(service, &server).service;
            sum += Totals::from(self.home.stats_sum(slot)?).since(base);
        }
        Ok(sum)
    }

    /// Both at once, of a service and all its servers, each read once.
    pub fn counters(&self, service: &Service) -> Result<(Totals, Vec<ServerCounters>), Error> {
        let past = self.baselines.past(&service.key);
        let Some(key) = service_key(&service.key) else {
            return Ok((past, vec![ServerCounters::default(); service.servers.len()]));
        };
        let (mut sum, mut counted) = (past, HashMap::new());
        for (slot, server) in self.compiler.slots_of(key) {
            let base = self.baselines.base(&service.key, &server);
            let now = Totals::from(self.home.stats_sum(slot)?);
            sum += now.since(base.service);
            let live = self.home.live_count(slot)?;
            let share = self.compiler.share_of(key, slot);
            counted.insert(server, ServerCounters { live, totals: now.since(base.server), share });
        }
        // Noughts for one that is not in the tables.
        let of = |server: &Server| counted.get(&server.key).copied().unwrap_or_default();
        Ok((sum, service.servers.iter().map(of).collect()))
    }

    /// What the whole director counts, servers and services that are gone included; but for the
    /// tables that were found at the start, whose former servers nobody remembers.
    pub fn whole(&self) -> Result<WholeCounters, Error> {
        let cpus = self.by_cpu()?;
        let sum: Totals = cpus.iter().copied().sum();
        Ok(WholeCounters { totals: sum.since(self.ledger.zeroed), cpus })
    }

    /// By CPU, and never zeroed.
    fn by_cpu(&self) -> Result<Vec<Totals>, Error> {
        let mut cpus = self.ledger.buried.clone();
        for (slot, _) in self.compiler.slots().iter() {
            add_by_cpu(&mut cpus, &self.home.stats_by_cpu(slot)?);
        }
        Ok(cpus)
    }

    /// Counts one service and its servers, or all, from nought again.
    pub fn zero(&mut self, service: Option<&ServiceKey>) -> Result<(), Error> {
        let all: Vec<ServiceKey> = if let Some(one) = service {
            vec![*one]
        } else {
            self.ledger.zeroed = self.by_cpu()?.into_iter().sum();
            self.baselines.services.keys().copied().collect()
        };
        for service in all {
            let fresh = self.base_now(&service)?;
            self.baselines.services.insert(service, fresh);
            self.rebased.insert(service);
        }
        Ok(())
    }

    /// What to keep across restarts, for counters to go on as people saw them.
    pub fn baselines(&self) -> &Baselines {
        &self.baselines
    }

    /// Those of [`Dataplane::baselines`] that changed since the last call, but for services that
    /// are gone.
    pub fn changed_baselines(&mut self) -> BTreeMap<ServiceKey, ServiceBase> {
        let changed = std::mem::take(&mut self.rebased).into_iter();
        changed.filter_map(|key| Some((key, self.baselines.services.get(&key)?.clone()))).collect()
    }

    /// At most `limit` connections, and whether there are more.
    pub fn connections(
        &self,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Connection>, bool), Error> {
        let (now, slots) = (self.home.now(), self.compiler.slots());
        let (mut found, mut seen, mut cursor) = (Vec::new(), Vec::new(), None);
        loop {
            seen.clear();
            cursor = self.home.conns(cursor, LIST_PIECE, &mut seen)?;
            let dest_of = |slot| slots.get(slot).map(|s| s.dest);
            let call_of = |key: &ConnKey| self.home.call(key).ok().flatten();
            let views = seen.iter().filter_map(|(k, c)| conns::view(k, c, now, dest_of, call_of));
            for connection in views.filter(|c| filter.lets(c)) {
                if found.len() == limit {
                    return Ok((found, true));
                }
                found.push(connection);
            }
            if cursor.is_none() {
                return Ok((found, false));
            }
        }
    }

    /// How many clients each server keeps: its templates (the kernel's `persistconns`). Servers
    /// that keep none are not there. Walks all connections.
    pub fn persistent(&self) -> Result<HashMap<(ServiceKey, ServerKey), u32>, Error> {
        let (now, slots) = (self.home.now(), self.compiler.slots());
        let (mut kept, mut seen, mut cursor) = (HashMap::new(), Vec::new(), None);
        loop {
            seen.clear();
            cursor = self.home.conns(cursor, LIST_PIECE, &mut seen)?;
            for slot in seen.iter().filter_map(|(_, conn)| conns::kept_by(conn, now)) {
                let Some(entry) = slots.get(slot) else { continue };
                let d = &entry.dest;
                let Some(service) = service_of(d) else { continue };
                *kept.entry((service, socket(d.addr, d.ports().0))).or_default() += 1;
            }
            if cursor.is_none() {
                return Ok(kept);
            }
        }
    }

    /// Packets by what became of them: reasons that were counted at all.
    pub fn reasons(&self) -> Result<Vec<(Reason, u64)>, Error> {
        let counts = self.home.reason_counts()?;
        Ok(Reason::ALL.iter().copied().zip(counts).filter(|(_, n)| *n > 0).collect())
    }

    /// Room in the connection table, from the servers' counts.
    pub fn usage(&self) -> Result<Usage, Error> {
        let mut entries = 0;
        for (slot, entry) in self.compiler.slots().iter() {
            let live = self.home.live_count(slot)?;
            let each = if entry.dest.method == METHOD_MASQ { 2 } else { 1 };
            entries += each * (u64::from(live.active) + u64::from(live.inactive));
        }
        Ok(Usage { entries, capacity: u64::from(self.compiler.sizes().conns) })
    }

    /// One bounded piece of the sweep: looks at about `budget` connections. At the end of a walk it
    /// also frees the slots of servers that were removed long enough ago.
    pub fn sweep(&mut self, budget: usize) -> Result<SweepReport, Error> {
        let mut report = self.sweeper.step(&mut self.home, budget)?;
        if report.finished {
            report.freed = self.reap()?;
            self.count_connections()?;
        }
        Ok(report)
    }

    fn reap(&mut self) -> Result<usize, Error> {
        let home = &self.home;
        let has_connections = |slot| {
            let live = home.live_count(slot)?;
            Ok(live.active != 0 || live.inactive != 0)
        };
        let (gone, writes) = self.compiler.reap(home.now(), has_connections)?;
        for (slot, d) in &gone {
            let cpus = self.home.stats_by_cpu(*slot)?;
            self.ledger.bury(&cpus);
            let now = cpus.into_iter().map(Totals::from).sum();
            if let Some(service) = service_of(d)
                && self.baselines.bury(&service, &socket(d.addr, d.ports().0), now)
            {
                self.rebased.insert(service);
            }
        }
        self.write(&writes)?;
        Ok(gone.len())
    }

    /// What the data path told since the last call.
    pub fn notices(&mut self) -> Result<Vec<Notice>, Error> {
        let events = self.home.events()?;
        let wanted = events.iter().filter(|e| e.kind == EVENT_NEIGHBOUR);
        Ok(wanted.map(neighbour_wanted).collect())
    }
}

fn neighbour_wanted(e: &xlvs_datapath::tables::Event) -> Notice {
    Notice::NeighbourWanted { ifindex: e.ifindex, address: address(e.addr) }
}

/// Connections that are read at a time to list them.
const LIST_PIECE: usize = 4096;
/// Room rests for a second.
const MAX_WAIT_NS: u64 = 1_100_000_000;

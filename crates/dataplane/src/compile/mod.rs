//! From the desired state to table writes, and only those that make a difference.
//!
//! The order of the writes is the point. A packet goes from a service by its plan to orders to
//! destinations, so what is new is written from the far end (destination, orders, plan) before the
//! service's element is swapped, and what is old loses its meaning only after the swap. What is
//! pure is here: tables are read through what the caller hands in.

mod hops;
mod keys;
mod leave;
mod limits;
mod list;
mod marks;
mod room;
mod settings;
mod slots;
mod slow;
mod terms;
mod translate;
mod undo;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use xlvs_datapath::{
    Cell64,
    mark::MAX_MARK_ENTRIES,
    policy::{AccessKey, ServicePolicy},
    tables::{
        DEST_AVAILABLE, Dest, MARK_PROTOCOL, Order, Plan, Port, SETTING_ALL_PORTS, SETTING_REMOVED,
        Service, ServiceKey, Settings,
    },
};
use xlvs_model::{Model, Server, ServerKey, Touched};
use xlvs_sched::{MH_BUCKETS, Scheduler, Weights};

pub(crate) use self::keys::{DestKey, address, method, no_dest, service_key, service_of, socket};
pub use self::{
    hops::Hop,
    leave::{LeftOut, left_out},
    marks::compile_marks,
    settings::{access, defence_modes, free_pages, policy, service_policy},
};
use self::{
    keys::marker,
    limits::{Limits, with_care},
    list::List,
    room::Room,
    slots::Slots,
    slow::{Ramped, ramped},
    translate::{Old, state_for},
    undo::Undo,
};
use crate::{Error, Home, home::Sizes};

/// One write to a table.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Dest(u32, Dest),
    ClearStats(u32),
    Thresholds(u32, u32, u32),
    Access(AccessKey, Option<u32>),
    Policy(u32, ServicePolicy),
    Orders(u32, Vec<Order>),
    Plan(u32, Plan),
    Service(ServiceKey, Option<Service>),
    Buckets(u32, Vec<u64>),
    Settings(Settings),
    Port(u32, Port),
    PortOf(u32, Option<u32>),
}

/// What is in the tables, as far as it is ours to write. A change must cost what it touches, so
/// nothing large is copied to be able to take it back: see [`Compiler::begin`].
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    sizes: Sizes,
    slots: Slots,
    services: Undo<ServiceKey, Installed>,
    /// Virtual addresses, and how many services each has.
    addresses: Undo<u32, u32>,
    plans: Room,
    orders: Room,
    buckets: Room,
    /// Services that take ports of their address that are not their own.
    all_ports: Undo<ServiceKey, ()>,
    /// The last weights of servers that were not 0, by slot: mh goes by them.
    last_weights: Undo<u32, u32>,
    /// When servers in slow start came back, in whole seconds of the clock, by slot.
    ramps: Undo<u32, u64>,
    /// Services with servers that have less than others for it.
    ramping: Undo<ServiceKey, ()>,
    /// Upper and lower thresholds of servers that have some, by slot.
    thresholds: Undo<u32, (u32, u32)>,
    limits: Limits,
    settings: Settings,
    /// The settings before the change under way.
    before: Settings,
    hops: HashMap<u32, Hop>,
    ports: Vec<Port>,
    /// Services of which a server was edited since the last change was compiled.
    edited: BTreeSet<ServiceKey>,
}

/// A service in the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Installed {
    service: Service,
    first: u32,
    orders: Vec<Order>,
    /// Shares of the servers in slow start; empty while nobody ramps, None: not known, since
    /// somebody else wrote it.
    shares: Option<Vec<u32>>,
}

/// A service of the desired state that is to be in the tables.
struct Wanted<'a> {
    scheduler: Scheduler,
    service: Service,
    slow_start_s: u32,
    policy: Option<ServicePolicy>,
    servers: &'a [Server],
    /// Those whose clients are reset, in `servers` or not.
    resets: &'a [ServerKey],
}

impl<'a> Wanted<'a> {
    /// None for one that is left out.
    fn of(service: &'a xlvs_model::Service) -> Option<(ServiceKey, Self)> {
        let (key, scheduler) = leave::forwarded(service).ok()?;
        let element = terms::element(service, scheduler);
        let slow_start_s = service.tuning.slow_start_s;
        let policy = service_policy(service);
        let (servers, resets) = (&service.servers, &service.resets);
        let service = element;
        Some((key, Self { scheduler, service, slow_start_s, policy, servers, resets }))
    }

    /// The table of buckets in force was made for these shares; what else they change shows in the
    /// list.
    fn is_shared(&self, old: &Installed, shares: &[u32]) -> bool {
        match &old.shares {
            Some(known) => known == shares,
            None => self.slow_start_s == 0 || !terms::has_table(self.scheduler),
        }
    }
}

impl Compiler {
    /// From what the tables hold: a restarted daemon goes on where the last one was.
    pub(crate) fn adopt(home: &impl Home) -> Result<Self, Error> {
        let (sizes, settings) = (home.sizes(), home.settings()?);
        let mut this = Self {
            sizes,
            slots: Slots::adopt(sizes.dests, home.dests()?),
            services: Undo::default(),
            addresses: Undo::default(),
            plans: Room::new(sizes.plans),
            orders: Room::new(sizes.orders),
            buckets: Room::new(sizes.buckets),
            all_ports: Undo::default(),
            last_weights: Undo::default(),
            ramps: Undo::default(),
            ramping: Undo::default(),
            edited: BTreeSet::new(),
            thresholds: Undo::default(),
            limits: Limits::adopt(home)?,
            settings,
            before: settings,
            hops: HashMap::new(),
            ports: home.ports()?,
        };
        for (slot, _) in this.slots.iter() {
            let thresholds = home.thresholds(slot)?;
            if thresholds != NO_THRESHOLDS {
                this.thresholds.insert(slot, thresholds);
            }
        }
        for (key, service) in home.services()? {
            if key.protocol == 0 {
                continue;
            }
            let plan = home.plan(service.plan)?;
            let orders = home.orders(plan.first, plan.count)?;
            this.plans.claim(service.plan, 1);
            this.orders.claim(plan.first, plan.count);
            this.buckets.claim(service.table, terms::words(service.buckets));
            let installed = Installed { service, first: plan.first, orders, shares: None };
            this.note_service(key, installed);
        }
        Ok(this)
    }

    pub(crate) fn sizes(&self) -> Sizes {
        self.sizes
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(crate) fn slot(&self, key: &DestKey) -> Option<u32> {
        self.slots.find(key)
    }

    pub(crate) fn has_service(&self, key: ServiceKey) -> bool {
        self.services.contains_key(&key)
    }

    /// The destinations of a service, removed ones included.
    pub(crate) fn slots_of(&self, key: ServiceKey) -> impl Iterator<Item = (u32, ServerKey)> {
        self.slots.of_service(key).map(|(slot, dest)| (slot, socket(dest.addr, dest.port)))
    }

    /// When room that rests is free again, if any does.
    pub(crate) fn next_wake(&self) -> Option<u64> {
        [self.plans.next_wake(), self.orders.next_wake()].into_iter().flatten().min()
    }

    /// From here on what [`Compiler::compile`] changes can be taken back.
    pub(crate) fn begin(&mut self, now: u64) {
        self.slots.begin();
        self.services.begin();
        self.addresses.begin();
        self.plans.begin(now);
        self.orders.begin(now);
        self.buckets.begin(now);
        self.all_ports.begin();
        self.thresholds.begin();
        self.limits.begin(now);
        self.last_weights.begin();
        self.ramps.begin();
        self.ramping.begin();
        self.before = self.settings;
    }

    /// It will not be.
    pub(crate) fn commit(&mut self) {
        self.slots.commit();
        self.services.commit();
        self.addresses.commit();
        self.plans.commit();
        self.orders.commit();
        self.buckets.commit();
        self.all_ports.commit();
        self.thresholds.commit();
        self.limits.commit();
        self.last_weights.commit();
        self.ramps.commit();
        self.ramping.commit();
        self.edited.clear();
    }

    /// Takes it back.
    pub(crate) fn roll_back(&mut self) {
        self.slots.roll_back();
        self.services.roll_back();
        self.addresses.roll_back();
        self.plans.roll_back();
        self.orders.roll_back();
        self.buckets.roll_back();
        self.all_ports.roll_back();
        self.thresholds.roll_back();
        self.limits.roll_back();
        self.last_weights.roll_back();
        self.ramps.roll_back();
        self.ramping.roll_back();
        self.settings = self.before;
    }

    /// Servers of these services were edited, perhaps to what they were. The next change that is
    /// compiled has wrr begin its walk anew, as `ip_vs_wrr_dest_changed` does.
    pub(crate) fn note_edits(&mut self, services: &Touched) {
        self.edited = services.iter().filter_map(service_key).collect();
    }

    /// The writes that make the tables say what `model` says, given that nothing but the services
    /// `touched` differs from what they say already; `None`: anything may. `state_of` reads the
    /// scheduler's memory of a plan. After an error this is to be rolled back.
    pub(crate) fn compile(
        &mut self,
        model: &Model,
        touched: Option<&Touched>,
        now: u64,
        mut state_of: impl FnMut(u32) -> Result<u64, Error>,
    ) -> Result<Vec<Write>, Error> {
        let mut writes = Vec::new();
        let (mut wanted, gone) = self.scope(model, touched);
        self.check_services(&wanted)?;
        self.limits.settle_access(model, &mut writes);
        for (key, wanted) in &mut wanted {
            let service = &mut wanted.service;
            self.limits.settle_policy(*key, wanted.policy, service, now, &mut writes)?;
        }
        self.settle_terms(model, &mut writes);
        let before = self.named(wanted.keys().chain(&gone));
        for (key, wanted) in &wanted {
            let list = self.list(*key, wanted, now, &mut writes)?;
            if has_address(*key) && !self.addresses.contains_key(&key.addr) {
                writes.push(Write::Service(marker(key.addr), Some(NO_SERVICE)));
            }
            self.install(*key, wanted, list, now, &mut state_of, &mut writes)?;
        }
        self.remove_services(&gone, now, &mut writes);
        let retired = match touched {
            Some(_) => &before - &self.named(wanted.keys()),
            None => self.orphans(),
        };
        self.retire(&retired, &mut writes);
        self.limits.settle_servers(&self.settings.policy, &self.slots, &mut writes);
        for key in wanted.keys().chain(&gone) {
            self.settle_resets(*key, wanted.get(key).map_or(&[], |w| w.resets), &mut writes);
        }
        self.settle_count(&mut writes);
        Ok(writes)
    }

    /// The services to look at that are to be in the tables, and those that are to go.
    fn scope<'a>(
        &self,
        model: &'a Model,
        touched: Option<&Touched>,
    ) -> (BTreeMap<ServiceKey, Wanted<'a>>, Vec<ServiceKey>) {
        let Some(touched) = touched else {
            let wanted: BTreeMap<_, _> = model.services.iter().filter_map(Wanted::of).collect();
            let gone = self.services.keys().filter(|k| !wanted.contains_key(k)).copied().collect();
            return (wanted, gone);
        };
        let there = touched.iter().filter_map(|key| model.service(key));
        let wanted: BTreeMap<_, _> = there.filter_map(Wanted::of).collect();
        let is_gone = |k: &ServiceKey| self.services.contains_key(k) && !wanted.contains_key(k);
        let gone = touched.iter().filter_map(service_key).filter(is_gone).collect();
        (wanted, gone)
    }

    fn check_services(&self, wanted: &BTreeMap<ServiceKey, Wanted<'_>>) -> Result<(), Error> {
        let new = wanted.keys().filter(|k| !self.services.contains_key(k));
        let addresses: BTreeSet<u32> = wanted.keys().map(|k| k.addr).collect();
        let bare = addresses.iter().filter(|addr| !self.addresses.contains_key(addr)).count();
        let room = self.sizes.services;
        // Old ones leave after new ones came, so both are counted.
        let entries = self.services.len() + new.count() + self.addresses.len() + bare;
        let fits = u32::try_from(entries).is_ok_and(|n| n <= room);
        if fits { Ok(()) } else { Err(Error::Full { table: "services", room }) }
    }

    /// The slots that these services' lists name.
    fn named<'a>(&self, services: impl Iterator<Item = &'a ServiceKey>) -> BTreeSet<u32> {
        let lists = services.filter_map(|key| self.services.get(key));
        lists.flat_map(|installed| installed.orders.iter().map(|o| o.slot)).collect()
    }

    /// The slots that no list names and that do not know it yet.
    fn orphans(&self) -> BTreeSet<u32> {
        let named = self.named(self.services.keys());
        let available = self.slots.iter().filter(|(_, s)| s.dest.flags & DEST_AVAILABLE != 0);
        available.map(|(slot, _)| slot).filter(|slot| !named.contains(slot)).collect()
    }

    /// What is the same for all packets, but for what waits for the services.
    fn settle_terms(&mut self, model: &Model, writes: &mut Vec<Write>) {
        let before = self.settings;
        self.settings.timeouts = keys::timeouts(&model.timeouts);
        self.settings.policy = policy(model, self.limits.free_pages);
        self.settings = with_care(self.settings);
        if self.settings != before {
            writes.push(Write::Settings(self.settings));
        }
    }

    /// Last of all: with the first service packets begin to be looked at when all is there, and
    /// with the last one gone nobody looks at them any more.
    fn settle_count(&mut self, writes: &mut Vec<Write>) {
        let before = self.settings;
        self.settings.services = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
        let all_ports = if self.all_ports.is_empty() { 0 } else { SETTING_ALL_PORTS };
        let flags = self.settings.flags & !(SETTING_ALL_PORTS | SETTING_REMOVED);
        let removed = if self.slots.has_late() { SETTING_REMOVED } else { 0 };
        self.settings.flags = flags | all_ports | removed;
        if self.settings != before {
            writes.push(Write::Settings(self.settings));
        }
    }

    /// Puts a list in force, unless it is already.
    fn install(
        &mut self,
        key: ServiceKey,
        wanted: &Wanted<'_>,
        mut list: List,
        now: u64,
        state_of: &mut impl FnMut(u32) -> Result<u64, Error>,
        writes: &mut Vec<Write>,
    ) -> Result<(), Error> {
        let old = self.services.get(&key).cloned();
        let Ramped { scheduler, orders, shares } = ramped(wanted.scheduler, &mut list.listed);
        let word = wanted.service.scheduler & !0xff | scheduler as u32;
        let element = Service { scheduler: word, ..wanted.service };
        if let Some(old) = &old {
            let Service { plan, table, buckets, .. } = old.service;
            let same = old.service == Service { plan, table, buckets, ..element };
            let same = same && old.orders == orders && wanted.is_shared(old, &shares);
            if same && !(list.edited && scheduler == Scheduler::Wrr) {
                return Ok(());
            }
        }
        let full = |room| Error::Full { table: "server lists", room };
        let count = u32::try_from(orders.len()).unwrap_or(u32::MAX);
        let first = self.orders.take(count, now).ok_or(full(self.sizes.orders))?;
        let plan = self.plans.take(1, now).ok_or(full(self.sizes.plans))?;
        let state = match &old {
            None => state_for(scheduler, None, &orders),
            Some(old) => {
                let state = state_of(old.service.plan)?;
                let number = old.service.scheduler_number();
                let old = Old { scheduler: number, state, orders: &old.orders };
                state_for(scheduler, Some(&old), &orders)
            }
        };
        let weights = Weights::of(orders.iter().map(Order::weight));
        let (divisor, max_weight) = (weights.divisor, weights.max);
        let (words, buckets) =
            terms::table(scheduler, &list.listed, &self.slots, &self.last_weights)
                .ok_or(Error::Full { table: "servers of a service by mh", room: MH_BUCKETS })?;
        let length = terms::words(buckets);
        let no_room = Error::Full { table: "buckets of schedulers", room: self.sizes.buckets };
        let table = self.buckets.take(length, now).ok_or(no_room)?;
        if count > 0 {
            writes.push(Write::Orders(first, orders.clone()));
        }
        if !words.is_empty() {
            writes.push(Write::Buckets(table, words));
        }
        let state = Cell64::new(state);
        writes.push(Write::Plan(plan, Plan { state, first, count, divisor, max_weight }));
        let service = Service { plan, table, buckets, ..element };
        writes.push(Write::Service(key, Some(service)));
        if let Some(old) = old {
            self.give_back(&old, now);
        }
        self.note_service(key, Installed { service, first, orders, shares: Some(shares) });
        Ok(())
    }

    fn note_service(&mut self, key: ServiceKey, installed: Installed) {
        if installed.shares.as_ref().is_some_and(|shares| !shares.is_empty()) {
            self.ramping.insert(key, ());
        } else {
            self.ramping.remove(&key);
        }
        if self.services.insert(key, installed).is_none() && has_address(key) {
            if key.port == 0 || key.port == FTP.to_be() {
                self.all_ports.insert(key, ());
            }
            let count = self.addresses.get(&key.addr).copied().unwrap_or(0);
            self.addresses.insert(key.addr, count + 1);
        }
    }

    fn give_back(&mut self, old: &Installed, now: u64) {
        self.plans.give(old.service.plan, 1, now);
        self.buckets.give(old.service.table, terms::words(old.service.buckets), now);
        self.orders.give(old.first, u32::try_from(old.orders.len()).unwrap_or(u32::MAX), now);
    }

    fn remove_services(&mut self, gone: &[ServiceKey], now: u64, writes: &mut Vec<Write>) {
        let mut bare = Vec::new();
        for key in gone {
            writes.push(Write::Service(*key, None));
            self.limits.forget(*key, now);
            if let Some(old) = self.services.remove(key) {
                self.give_back(&old, now);
            }
            self.ramping.remove(key);
            if !has_address(*key) {
                continue;
            }
            self.all_ports.remove(key);
            match self.addresses.get(&key.addr).copied() {
                Some(count) if count > 1 => drop(self.addresses.insert(key.addr, count - 1)),
                _ => {
                    self.addresses.remove(&key.addr);
                    bare.push(key.addr);
                }
            }
        }
        writes.extend(bare.into_iter().map(|addr| Write::Service(marker(addr), None)));
    }

    /// Destinations that no list names any more: their connections see it by a flag.
    fn retire(&mut self, slots: &BTreeSet<u32>, writes: &mut Vec<Write>) {
        for slot in slots {
            self.ramps.remove(slot);
            let Some(old) = self.slots.get(*slot).map(|entry| entry.dest) else { continue };
            let dest = Dest { flags: old.flags & !DEST_AVAILABLE, ..old };
            if self.slots.set(*slot, dest) {
                writes.push(Write::Dest(*slot, dest));
            }
        }
    }

    /// Frees the slots of servers that were removed long enough ago: what they were, and writes.
    pub(crate) fn reap(
        &mut self,
        now: u64,
        has_connections: impl FnMut(u32) -> Result<bool, Error>,
    ) -> Result<Reaped, Error> {
        let gone = self.slots.reap(now, has_connections)?;
        for (_, dest) in &gone {
            self.forget_hop(dest.addr);
        }
        let mut writes = Vec::new();
        for (slot, _) in &gone {
            writes.extend([Write::Dest(*slot, no_dest()), Write::ClearStats(*slot)]);
            self.limit(*slot, NO_THRESHOLDS, &mut writes);
        }
        if self.settings.flags & SETTING_REMOVED != 0 && !self.slots.has_late() {
            self.settings.flags &= !SETTING_REMOVED;
            writes.push(Write::Settings(self.settings));
        }
        Ok((gone, writes))
    }

    /// Other rules for marks, so many, in the half of the table that is not in force.
    pub(crate) fn swap_marks(&mut self, count: u32) -> Vec<Write> {
        #[expect(clippy::cast_possible_truncation, reason = "2048")]
        const HALF: u32 = (MAX_MARK_ENTRIES / 2) as u32;
        let first = if self.settings.marks >> 16 == 0 { HALF } else { 0 };
        self.settings.marks = if count == 0 { first << 16 } else { first << 16 | count };
        self.settings = with_care(self.settings);
        vec![Write::Settings(self.settings)]
    }

    /// So many pages of memory are free: what the defences then ask of packets.
    pub(crate) fn settle_defence(&mut self, model: &Model, free_pages: i64) -> Vec<Write> {
        let mut writes = Vec::new();
        self.limits.free_pages = free_pages;
        self.settle_terms(model, &mut writes);
        writes
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Routes or neighbours changed.
    pub(crate) fn bump_routes(&mut self) -> Vec<Write> {
        self.settings.routes = self.settings.routes.wrapping_add(1);
        vec![Write::Settings(self.settings)]
    }
}

/// Slots that were freed, with what they were, and the writes.
type Reaped = (Vec<(u32, Dest)>, Vec<Write>);

/// The element of a marker.
const NO_SERVICE: Service = Service {
    plan: u32::MAX,
    scheduler: 0,
    table: 0,
    buckets: 0,
    persistence: 0,
    mask: 0,
    policy: 0,
    reserved: 0,
};
/// No upper threshold, and no lower one.
const NO_THRESHOLDS: (u32, u32) = (0, 0);
/// FTP's control connection: its data connections come to other ports.
const FTP: u16 = 21;

/// Not a mark's.
const fn has_address(key: ServiceKey) -> bool {
    key.protocol != MARK_PROTOCOL
}

#[cfg(test)]
mod tests;

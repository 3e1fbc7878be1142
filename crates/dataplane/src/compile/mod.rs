//! From the desired state to table writes, and only those that make a difference.
//!
//! The order of the writes is the point. A packet goes from a service by its plan to orders to
//! destinations, so what is new is written from the far end (destination, orders, plan) before the
//! service's element is swapped, and what is old loses its meaning only after the swap. What is
//! pure is here: tables are read through what the caller hands in.

mod hops;
mod keys;
mod leave;
mod marks;
mod room;
mod settings;
mod slots;
mod translate;
mod undo;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use xlvs_datapath::{
    Cell64,
    tables::{DEST_AVAILABLE, Dest, Order, Plan, Port, Service, ServiceKey, Settings},
};
use xlvs_model::{Model, Server, ServerKey, Touched};
use xlvs_sched::{Scheduler, Weights};

pub(crate) use self::keys::{
    DestKey, address, method, model_service, no_dest, service_key, socket,
};
pub use self::{
    hops::Hop,
    leave::{LeftOut, ignored, left_out},
    marks::compile_marks,
    settings::{access, defence_modes, free_pages, policy, service_policy},
};
use self::{
    keys::marker,
    room::Room,
    slots::Slots,
    translate::{Old, state_for},
    undo::Undo,
};
use crate::{Error, Home, home::Sizes};

/// One write to a table.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Dest(u32, Dest),
    ClearStats(u32),
    Orders(u32, Vec<Order>),
    Plan(u32, Plan),
    Service(ServiceKey, Option<Service>),
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
    settings: Settings,
    /// The settings before the change under way.
    before: Settings,
    hops: HashMap<u32, Hop>,
    ports: Vec<Port>,
}

/// A service in the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Installed {
    plan: u32,
    scheduler: u32,
    first: u32,
    orders: Vec<Order>,
}

/// A list to be, and whether a server of it was edited (which wrr notices even if no weight
/// changed).
struct List {
    orders: Vec<Order>,
    edited: bool,
}

/// A service of the desired state that is to be in the tables.
struct Wanted<'a> {
    scheduler: Scheduler,
    servers: &'a [Server],
}

impl<'a> Wanted<'a> {
    /// None for one that is left out.
    fn of(service: &'a xlvs_model::Service) -> Option<(ServiceKey, Self)> {
        let (key, scheduler) = leave::forwarded(service).ok()?;
        Some((key, Self { scheduler, servers: &service.servers }))
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
            settings,
            before: settings,
            hops: HashMap::new(),
            ports: home.ports()?,
        };
        for (key, service) in home.services()? {
            if key.protocol == 0 {
                continue;
            }
            let plan = home.plan(service.plan)?;
            let orders = home.orders(plan.first, plan.count)?;
            this.plans.claim(service.plan, 1);
            this.orders.claim(plan.first, plan.count);
            let Service { plan: index, scheduler } = service;
            let installed = Installed { plan: index, scheduler, first: plan.first, orders };
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
        self.before = self.settings;
    }

    /// It will not be.
    pub(crate) fn commit(&mut self) {
        self.slots.commit();
        self.services.commit();
        self.addresses.commit();
        self.plans.commit();
        self.orders.commit();
    }

    /// Takes it back.
    pub(crate) fn roll_back(&mut self) {
        self.slots.roll_back();
        self.services.roll_back();
        self.addresses.roll_back();
        self.plans.roll_back();
        self.orders.roll_back();
        self.settings = self.before;
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
        let (wanted, gone) = self.scope(model, touched);
        self.check_services(&wanted)?;
        self.settle_timeouts(model, &mut writes);
        let before = self.named(wanted.keys().chain(&gone));
        for (key, Wanted { scheduler, servers }) in &wanted {
            let list = self.list(*key, servers, &mut writes)?;
            if !self.addresses.contains_key(&key.addr) {
                writes.push(Write::Service(marker(key.addr), Some(NO_SERVICE)));
            }
            self.install(*key, *scheduler, list, now, &mut state_of, &mut writes)?;
        }
        self.remove_services(&gone, now, &mut writes);
        let retired = match touched {
            Some(_) => &before - &self.named(wanted.keys()),
            None => self.orphans(),
        };
        self.retire(&retired, &mut writes);
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

    fn settle_timeouts(&mut self, model: &Model, writes: &mut Vec<Write>) {
        let timeouts = keys::timeouts(&model.timeouts);
        if self.settings.timeouts != timeouts {
            self.settings.timeouts = timeouts;
            writes.push(Write::Settings(self.settings));
        }
    }

    /// Last of all: with the first service packets begin to be looked at when all is there, and
    /// with the last one gone nobody looks at them any more.
    fn settle_count(&mut self, writes: &mut Vec<Write>) {
        let services = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
        if self.settings.services != services {
            self.settings.services = services;
            writes.push(Write::Settings(self.settings));
        }
    }

    /// Destinations for the servers of a service, new, changed or as they were.
    fn list(
        &mut self,
        key: ServiceKey,
        servers: &[Server],
        writes: &mut Vec<Write>,
    ) -> Result<List, Error> {
        let mut list = List { orders: Vec::with_capacity(servers.len()), edited: false };
        for server in servers.iter().filter(|server| leave::forwarded_to(server).is_ok()) {
            let Some(dest_key) = DestKey::new(key, &server.key) else { continue };
            let slot = if let Some(slot) = self.slots.find(&dest_key) {
                list.edited |= self.edit(slot, server, writes);
                slot
            } else {
                let dest = self.with_hop(keys::dest(&dest_key, server));
                let full = Error::Full { table: "servers", room: self.sizes.dests };
                let slot = self.slots.add(dest).ok_or(full)?;
                writes.push(Write::Dest(slot, dest));
                slot
            };
            list.orders.push(Order { slot, weight: server.weight });
        }
        Ok(list)
    }

    /// Method and presence of a destination that has a slot.
    fn edit(&mut self, slot: u32, server: &Server, writes: &mut Vec<Write>) -> bool {
        let Some(entry) = self.slots.get(slot) else { return false };
        let old = entry.dest;
        let new = Dest {
            method: keys::method_number(server.method),
            flags: old.flags | DEST_AVAILABLE,
            ..old
        };
        if self.slots.set(slot, new) {
            writes.push(Write::Dest(slot, new));
        }
        old.method != new.method
    }

    /// Puts a list in force, unless it is already.
    fn install(
        &mut self,
        key: ServiceKey,
        scheduler: Scheduler,
        list: List,
        now: u64,
        state_of: &mut impl FnMut(u32) -> Result<u64, Error>,
        writes: &mut Vec<Write>,
    ) -> Result<(), Error> {
        let old = self.services.get(&key).cloned();
        let orders = list.orders;
        if let Some(old) = &old {
            let same = old.scheduler == scheduler as u32 && old.orders == orders;
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
                let state = state_of(old.plan)?;
                let old = Old { scheduler: old.scheduler, state, orders: &old.orders };
                state_for(scheduler, Some(&old), &orders)
            }
        };
        let weights = Weights::of(orders.iter().map(|o| o.weight));
        let (divisor, max_weight) = (weights.divisor, weights.max);
        if count > 0 {
            writes.push(Write::Orders(first, orders.clone()));
        }
        let state = Cell64::new(state);
        writes.push(Write::Plan(plan, Plan { state, first, count, divisor, max_weight }));
        let scheduler = scheduler as u32;
        writes.push(Write::Service(key, Some(Service { plan, scheduler })));
        if let Some(old) = old {
            self.give_back(&old, now);
        }
        self.note_service(key, Installed { plan, scheduler, first, orders });
        Ok(())
    }

    fn note_service(&mut self, key: ServiceKey, installed: Installed) {
        if self.services.insert(key, installed).is_none() {
            let count = self.addresses.get(&key.addr).copied().unwrap_or(0);
            self.addresses.insert(key.addr, count + 1);
        }
    }

    fn give_back(&mut self, old: &Installed, now: u64) {
        self.plans.give(old.plan, 1, now);
        self.orders.give(old.first, u32::try_from(old.orders.len()).unwrap_or(u32::MAX), now);
    }

    fn remove_services(&mut self, gone: &[ServiceKey], now: u64, writes: &mut Vec<Write>) {
        let mut bare = Vec::new();
        for key in gone {
            writes.push(Write::Service(*key, None));
            if let Some(old) = self.services.remove(key) {
                self.give_back(&old, now);
            }
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
        let slots = gone.iter().map(|(slot, _)| *slot);
        let writes =
            slots.flat_map(|s| [Write::Dest(s, no_dest()), Write::ClearStats(s)]).collect();
        Ok((gone, writes))
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
const NO_SERVICE: Service = Service { plan: u32::MAX, scheduler: 0 };

#[cfg(test)]
mod tests;

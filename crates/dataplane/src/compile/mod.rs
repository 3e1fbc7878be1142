//! From the desired state to table writes, and only those that make a difference.
//!
//! The order of the writes is the point. A packet goes from a service by its plan to orders to
//! destinations, so what is new is written from the far end (destination, orders, plan) before the
//! service's element is swapped, and what is old loses its meaning only after the swap. What is
//! pure is here: tables are read through what the caller hands in.

mod hops;
mod keys;
mod leave;
mod room;
mod slots;
mod translate;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use xlvs_datapath::{
    Cell64,
    tables::{DEST_AVAILABLE, Dest, Order, Plan, Port, Service, ServiceKey, Settings},
};
use xlvs_model::{Model, Server, ServerKey};
use xlvs_sched::{Scheduler, Weights};

pub(crate) use self::keys::{
    DestKey, address, method, model_service, no_dest, service_key, socket,
};
pub use self::{
    hops::Hop,
    leave::{LeftOut, left_out},
};
use self::{
    keys::marker,
    room::Room,
    slots::Slots,
    translate::{Old, state_for},
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

/// What is in the tables, as far as it is ours to write.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    sizes: Sizes,
    slots: Slots,
    services: BTreeMap<ServiceKey, Installed>,
    plans: Room,
    orders: Room,
    settings: Settings,
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
        let sizes = home.sizes();
        let mut this = Self {
            sizes,
            slots: Slots::adopt(sizes.dests, home.dests()?),
            services: BTreeMap::new(),
            plans: Room::new(sizes.plans),
            orders: Room::new(sizes.orders),
            settings: home.settings()?,
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
            this.services.insert(key, installed);
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

    /// The writes that make the tables say what `model` says. `state_of` reads the scheduler's
    /// memory of a plan. With an error this compiler is to be thrown away.
    pub(crate) fn compile(
        &mut self,
        model: &Model,
        now: u64,
        mut state_of: impl FnMut(u32) -> Result<u64, Error>,
    ) -> Result<Vec<Write>, Error> {
        let mut writes = Vec::new();
        let wanted: BTreeMap<ServiceKey, Wanted<'_>> =
            model.services.iter().filter_map(Wanted::of).collect();
        self.check_services(&wanted)?;
        self.settle_timeouts(model, &mut writes);
        let before: BTreeSet<u32> = self.services.keys().map(|k| k.addr).collect();
        for (key, Wanted { scheduler, servers }) in &wanted {
            let list = self.list(*key, servers, &mut writes)?;
            if !before.contains(&key.addr) {
                writes.push(Write::Service(marker(key.addr), Some(NO_SERVICE)));
            }
            self.install(*key, *scheduler, list, now, &mut state_of, &mut writes)?;
        }
        self.remove_services(&wanted, now, &mut writes);
        self.retire(&mut writes);
        self.settle_count(&mut writes);
        Ok(writes)
    }

    fn check_services(&self, wanted: &BTreeMap<ServiceKey, Wanted<'_>>) -> Result<(), Error> {
        let addresses: BTreeSet<u32> = wanted.keys().map(|k| k.addr).collect();
        let room = self.sizes.services;
        // Old ones leave after new ones came, so both are counted.
        let both = wanted.len() + self.services.keys().filter(|k| !wanted.contains_key(k)).count();
        let fits = u32::try_from(both + addresses.len()).is_ok_and(|n| n <= room);
        if fits { Ok(()) } else { Err(Error::Full { table: "services", room }) }
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
        self.services.insert(key, Installed { plan, scheduler, first, orders });
        Ok(())
    }

    fn give_back(&mut self, old: &Installed, now: u64) {
        self.plans.give(old.plan, 1, now);
        self.orders.give(old.first, u32::try_from(old.orders.len()).unwrap_or(u32::MAX), now);
    }

    fn remove_services(
        &mut self,
        wanted: &BTreeMap<ServiceKey, Wanted<'_>>,
        now: u64,
        writes: &mut Vec<Write>,
    ) {
        let gone: Vec<ServiceKey> =
            self.services.keys().filter(|k| !wanted.contains_key(k)).copied().collect();
        for key in &gone {
            writes.push(Write::Service(*key, None));
            if let Some(old) = self.services.remove(key) {
                self.give_back(&old, now);
            }
        }
        let left: BTreeSet<u32> = self.services.keys().map(|k| k.addr).collect();
        let bare: BTreeSet<u32> = gone.iter().map(|k| k.addr).collect();
        for addr in bare.difference(&left) {
            writes.push(Write::Service(marker(*addr), None));
        }
    }

    /// Destinations that no list names any more: their connections see it by a flag.
    fn retire(&mut self, writes: &mut Vec<Write>) {
        let named: BTreeSet<u32> =
            self.services.values().flat_map(|s| s.orders.iter().map(|o| o.slot)).collect();
        let gone: Vec<(u32, Dest)> = self
            .slots
            .iter()
            .filter(|(slot, s)| s.dest.flags & DEST_AVAILABLE != 0 && !named.contains(slot))
            .map(|(slot, s)| (slot, Dest { flags: s.dest.flags & !DEST_AVAILABLE, ..s.dest }))
            .collect();
        for (slot, dest) in gone {
            self.slots.set(slot, dest);
            writes.push(Write::Dest(slot, dest));
        }
    }

    /// Frees the slots of servers that were removed long enough ago; their numbers and the writes.
    pub(crate) fn reap(
        &mut self,
        now: u64,
        has_connections: impl FnMut(u32) -> Result<bool, Error>,
    ) -> Result<(Vec<u32>, Vec<Write>), Error> {
        let gone = self.slots.reap(now, has_connections)?;
        let writes =
            gone.iter().flat_map(|&s| [Write::Dest(s, no_dest()), Write::ClearStats(s)]).collect();
        Ok((gone, writes))
    }

    /// Routes or neighbours changed.
    pub(crate) fn bump_routes(&mut self) -> Vec<Write> {
        self.settings.routes = self.settings.routes.wrapping_add(1);
        vec![Write::Settings(self.settings)]
    }
}

/// The element of a marker.
const NO_SERVICE: Service = Service { plan: u32::MAX, scheduler: 0 };

#[cfg(test)]
mod tests;

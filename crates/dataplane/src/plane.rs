//! The data plane as the daemon uses it, over either home.

use std::{collections::HashMap, net::Ipv4Addr, thread, time::Duration};

use xlvs_datapath::{
    Reason,
    tables::{EVENT_NEIGHBOUR, METHOD_MASQ, SETTING_MIGRATING, Settings},
};
use xlvs_model::{Model, ServerKey, ServiceKey};

use crate::{
    Baselines, Error, Home, Hop,
    compile::{Compiler, DestKey, Write, address, model_service, service_key, socket},
    conns::{self, Connection, Filter},
    counters::{Base, ServerCounters, ServiceBase, Totals},
    sweep::{SweepReport, Sweeper},
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
    home: H,
    compiler: Compiler,
    baselines: Baselines,
    sweeper: Sweeper,
}

impl<H: Home> Dataplane<H> {
    /// Over tables that may be in force already; `baselines` are what [`Dataplane::baselines`]
    /// gave.
    pub fn new(home: H, baselines: Baselines) -> Result<Self, Error> {
        let compiler = Compiler::adopt(&home)?;
        Ok(Self { home, compiler, baselines, sweeper: Sweeper::default() })
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
        let (next, writes) = match self.compile(model) {
            Err(Error::Full { .. }) if let Some(at) = self.compiler.next_wake() => {
                let wait = at.saturating_sub(self.home.now());
                thread::sleep(Duration::from_nanos(wait.min(MAX_WAIT_NS)));
                self.compile(model)?
            }
            other => other?,
        };
        self.note_arrivals(&next, model)?;
        self.compiler = next;
        self.write(&writes)
    }

    fn compile(&self, model: &Model) -> Result<(Compiler, Vec<Write>), Error> {
        let mut next = self.compiler.clone();
        let state_of = |plan| Ok(self.home.plan(plan)?.state.get());
        let writes = next.compile(model, self.home.now(), state_of)?;
        Ok((next, writes))
    }

    /// A server that comes back from the trash into a service made anew counts from nought, as does
    /// the service (`__ip_vs_update_dest`).
    fn note_arrivals(&mut self, next: &Compiler, model: &Model) -> Result<(), Error> {
        let wanted: HashMap<_, _> = model.services.iter().map(|s| (s.key, s)).collect();
        self.baselines.services.retain(|key, _| wanted.contains_key(key));
        for service in &model.services {
            if self.baselines.services.contains_key(&service.key) {
                continue;
            }
            let mut fresh = ServiceBase::default();
            if let Some(key) = service_key(&service.key)
                && !self.compiler.has_service(key)
            {
                for (slot, server) in next.slots_of(key) {
                    let now = Totals::from(self.home.stats_sum(slot)?);
                    fresh.servers.insert(server, Base { server: now, service: now });
                }
            }
            self.baselines.services.insert(service.key, fresh);
        }
        Ok(())
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
    fn write(&mut self, writes: &[Write]) -> Result<(), Error> {
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
            Write::ClearStats(slot) => home.clear_stats(*slot),
            Write::Orders(first, orders) => home.set_orders(*first, orders),
            Write::Plan(index, plan) => home.set_plan(*index, plan),
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
        Ok(ServerCounters { live: self.home.live_count(slot)?, totals })
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

    /// Counts one service and its servers, or all, from nought again.
    pub fn zero(&mut self, service: Option<&ServiceKey>) -> Result<(), Error> {
        let all: Vec<ServiceKey> = match service {
            Some(one) => vec![*one],
            None => self.baselines.services.keys().copied().collect(),
        };
        for service in all {
            let mut fresh = ServiceBase::default();
            for (slot, server) in
                service_key(&service).iter().flat_map(|k| self.compiler.slots_of(*k))
            {
                let now = Totals::from(self.home.stats_sum(slot)?);
                fresh.servers.insert(server, Base { server: now, service: now });
            }
            self.baselines.services.insert(service, fresh);
        }
        Ok(())
    }

    /// What to keep across restarts, for counters to go on as people saw them.
    pub fn baselines(&self) -> &Baselines {
        &self.baselines
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
            let views = seen.iter().filter_map(|(k, c)| conns::view(k, c, now, dest_of));
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
        }
        Ok(report)
    }

    fn reap(&mut self) -> Result<usize, Error> {
        let (mut next, home) = (self.compiler.clone(), &self.home);
        let has_connections = |slot| {
            let live = home.live_count(slot)?;
            Ok(live.active != 0 || live.inactive != 0)
        };
        let (gone, writes) = next.reap(home.now(), has_connections)?;
        for slot in &gone {
            let Some(entry) = self.compiler.slots().get(*slot) else { continue };
            let d = entry.dest;
            let now = Totals::from(self.home.stats_sum(*slot)?);
            if let Some(service) = model_service(d.vaddr, d.vport, d.protocol) {
                self.baselines.bury(&service, &socket(d.addr, d.port), now);
            }
        }
        self.compiler = next;
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

//! The tables as BPF maps.

use std::{collections::BTreeMap, io, path::Path};

use aya::maps::{Map as AyaMap, MapData, RingBuf};
use xlvs_datapath::{
    Reason, SWEEP_KEYS,
    mark::MarkRule,
    policy::{AccessKey, Client, ClientKey, ServicePolicy},
    sip::CallRecord,
    tables::{
        Conn, ConnKey, Dest, Event, Live, METER_CONNECTIONS, Order, PerCpu, Plan, Port, Service,
        ServiceKey, Settings, Stats,
    },
};

use super::{Kernel, programs::run_sweep};
use crate::{
    Error, Home,
    compile::no_dest,
    home::{Call, Cursor, LiveCount, Sizes},
    raw::{Plain, bytes_of, read, zeroed},
    sys::{self, LiveView, Map},
};

/// The maps of a director, by the names of the object and of their pins.
pub(super) const NAMES: [&str; 25] = [
    "SETTINGS",
    "SERVICES",
    "PLANS",
    "ORDERS",
    "BUCKETS",
    "MARKS",
    "CACHES",
    "ACCESS",
    "POLICIES",
    "CLIENTS",
    "CALLS",
    "SEARCH",
    "METERS",
    "DESTS",
    "LIVE",
    "STATS",
    "PORTS",
    "PORT_OF",
    "CONNS",
    "CPU",
    "LIMITER",
    "EVENTS",
    // The kernel empties a table of programs that no file refers to: it must be pinned.
    "JUMP",
    "TEST_NOW",
    "TEST_ROUTE",
];

/// The maps of a director, open.
#[derive(Debug)]
pub(super) struct Maps {
    pub(super) settings: Map,
    pub(super) services: Map,
    pub(super) plans: Map,
    pub(super) orders: Map,
    pub(super) buckets: Map,
    pub(super) marks: Map,
    pub(super) access: Map,
    pub(super) policies: Map,
    pub(super) clients: Map,
    pub(super) calls: Map,
    pub(super) meters: Map,
    pub(super) dests: Map,
    pub(super) live: Map,
    pub(super) view: LiveView,
    pub(super) stats: Map,
    pub(super) ports: Map,
    pub(super) port_of: Map,
    pub(super) conns: Map,
    pub(super) cpu: Map,
    pub(super) test_now: Map,
    pub(super) test_route: Map,
    pub(super) cpus: usize,
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |e| Error::system(what, e)
}

impl Maps {
    /// Opens the pins in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let open = |name: &str| {
            let path = dir.join(name);
            Map::open(&path).map_err(|e| Error::system(format!("opening {}", path.display()), e))
        };
        let live = open("LIVE")?;
        let view = LiveView::new(&live).map_err(failed("mapping the table LIVE"))?;
        let cpus = aya::util::nr_cpus()
            .map_err(|(path, e)| Error::system(format!("reading {path}"), e))?;
        Ok(Self {
            settings: open("SETTINGS")?,
            services: open("SERVICES")?,
            plans: open("PLANS")?,
            orders: open("ORDERS")?,
            buckets: open("BUCKETS")?,
            marks: open("MARKS")?,
            access: open("ACCESS")?,
            policies: open("POLICIES")?,
            clients: open("CLIENTS")?,
            calls: open("CALLS")?,
            meters: open("METERS")?,
            dests: open("DESTS")?,
            live,
            view,
            stats: open("STATS")?,
            ports: open("PORTS")?,
            port_of: open("PORT_OF")?,
            conns: open("CONNS")?,
            cpu: open("CPU")?,
            test_now: open("TEST_NOW")?,
            test_route: open("TEST_ROUTE")?,
            cpus,
        })
    }

    /// The layouts are those that this program was compiled with.
    pub(super) fn check(&self) -> Result<(), Error> {
        for (name, map, key, value) in [
            ("SETTINGS", &self.settings, 4, size_of::<Settings>()),
            ("SERVICES", &self.services, size_of::<ServiceKey>(), size_of::<Service>()),
            ("PLANS", &self.plans, 4, size_of::<Plan>()),
            ("ORDERS", &self.orders, 4, size_of::<Order>()),
            ("BUCKETS", &self.buckets, 4, 8),
            ("MARKS", &self.marks, 4, size_of::<MarkRule>()),
            ("ACCESS", &self.access, size_of::<AccessKey>(), 4),
            ("POLICIES", &self.policies, 4, size_of::<ServicePolicy>()),
            ("CLIENTS", &self.clients, size_of::<ClientKey>(), size_of::<Client>()),
            ("CALLS", &self.calls, size_of::<ConnKey>(), size_of::<CallRecord>()),
            ("METERS", &self.meters, 4, 8),
            ("DESTS", &self.dests, 4, size_of::<Dest>()),
            ("LIVE", &self.live, 4, size_of::<Live>()),
            ("STATS", &self.stats, 4, size_of::<Stats>()),
            ("PORTS", &self.ports, 4, size_of::<Port>()),
            ("PORT_OF", &self.port_of, 4, 4),
            ("CONNS", &self.conns, size_of::<ConnKey>(), size_of::<Conn>()),
            ("CPU", &self.cpu, 4, size_of::<PerCpu>()),
        ] {
            if (map.key_size(), map.value_size()) != (key, value) {
                let (k, v) = (map.key_size(), map.value_size());
                let what = format!("{name} has entries of {k}+{v} bytes instead of {key}+{value}");
                return Err(Error::Object(what));
            }
        }
        Ok(())
    }
}

/// Entry `index` of an array.
pub(super) fn get<T: Plain>(map: &Map, index: u32, what: &'static str) -> Result<T, Error> {
    let mut value = vec![0; map.value_size()];
    map.lookup(bytes_of(&index), &mut value).map_err(failed(what))?;
    Ok(read(&value).unwrap_or_else(zeroed))
}

pub(super) fn set<K: Plain, T: Plain>(
    map: &Map,
    key: &K,
    value: &T,
    what: &'static str,
) -> Result<(), Error> {
    map.update(bytes_of(key), bytes_of(value), 0).map_err(failed(what))
}

/// Every entry of an array, in order.
pub(super) fn all<T: Plain>(map: &Map, what: &'static str) -> Result<Vec<T>, Error> {
    let (mut keys, mut values, mut cursor) = (Vec::new(), Vec::new(), None);
    let mut out = Vec::with_capacity(map.info.max_entries as usize);
    loop {
        let (n, next) =
            map.batch(cursor, ARRAY_PIECE, &mut keys, &mut values).map_err(failed(what))?;
        out.extend(values.chunks_exact(map.value_size()).take(n).filter_map(read::<T>));
        cursor = next;
        if cursor.is_none() || n == 0 {
            return Ok(out);
        }
    }
}

/// The ring buffer, opened by its pin.
pub(super) fn ring(dir: &Path) -> Result<RingBuf<MapData>, Error> {
    let open = || -> Result<RingBuf<MapData>, aya::maps::MapError> {
        RingBuf::try_from(AyaMap::from_map_data(MapData::from_pin(dir.join("EVENTS"))?)?)
    };
    open().map_err(|e| Error::system("opening the ring of events", io::Error::other(e)))
}

impl Home for Kernel {
    fn sizes(&self) -> Sizes {
        let m = &self.maps;
        Sizes {
            services: m.services.info.max_entries,
            plans: m.plans.info.max_entries,
            orders: m.orders.info.max_entries,
            dests: m.dests.info.max_entries,
            buckets: m.buckets.info.max_entries,
            policies: m.policies.info.max_entries,
            ports: m.ports.info.max_entries,
            conns: m.conns.info.max_entries,
        }
    }
    fn now(&self) -> u64 {
        if self.test {
            get(&self.maps.test_now, 0, "reading the clock").unwrap_or(0)
        } else {
            sys::now()
        }
    }
    fn settings(&self) -> Result<Settings, Error> {
        get(&self.maps.settings, 0, "reading the settings")
    }
    fn set_settings(&mut self, settings: &Settings) -> Result<(), Error> {
        set(&self.maps.settings, &0u32, settings, "writing the settings")
    }
    fn services(&self) -> Result<Vec<(ServiceKey, Service)>, Error> {
        let map = &self.maps.services;
        let mut out = Vec::new();
        for key in map.keys().map_err(failed("listing the services"))? {
            let mut value = vec![0; map.value_size()];
            let found = map.lookup(&key, &mut value).map_err(failed("reading a service"))?;
            if found && let (Some(key), Some(value)) = (read(&key), read(&value)) {
                out.push((key, value));
            }
        }
        Ok(out)
    }
    fn set_service(&mut self, key: &ServiceKey, service: Option<&Service>) -> Result<(), Error> {
        let map = &self.maps.services;
        match service {
            Some(service) => set(map, key, service, "writing a service"),
            None => map.delete(bytes_of(key)).map_err(failed("removing a service")),
        }
    }
    fn plan(&self, index: u32) -> Result<Plan, Error> {
        get(&self.maps.plans, index, "reading a list of servers")
    }
    fn set_plan(&mut self, index: u32, plan: &Plan) -> Result<(), Error> {
        set(&self.maps.plans, &index, plan, "writing a list of servers")
    }
    fn orders(&self, first: u32, count: u32) -> Result<Vec<Order>, Error> {
        let orders = first..first.saturating_add(count);
        orders.map(|i| get(&self.maps.orders, i, "reading a list of servers")).collect()
    }
    fn set_orders(&mut self, first: u32, orders: &[Order]) -> Result<(), Error> {
        let write = |(index, order)| {
            set::<u32, Order>(&self.maps.orders, &index, order, "writing a list of servers")
        };
        (first..).zip(orders).try_for_each(write)
    }
    fn set_buckets(&mut self, first: u32, words: &[u64]) -> Result<(), Error> {
        let map = &self.maps.buckets;
        let write = |(index, word)| set::<u32, u64>(map, &index, word, "writing buckets");
        (first..).zip(words).try_for_each(write)
    }
    fn set_marks(&mut self, first: u32, rules: &[MarkRule]) -> Result<(), Error> {
        let map = &self.maps.marks;
        let write = |(index, rule)| set::<u32, MarkRule>(map, &index, rule, "writing mark rules");
        (first..).zip(rules).try_for_each(write)
    }
    fn dests(&self) -> Result<Vec<(u32, Dest)>, Error> {
        let all = all::<Dest>(&self.maps.dests, "reading the servers")?;
        let empty = no_dest();
        let taken = (0u32..).zip(all).filter(|(_, d)| d.flags != empty.flags);
        Ok(taken.map(|(slot, d)| (slot, d.opened())).collect())
    }
    fn set_dest(&mut self, slot: u32, dest: &Dest) -> Result<(), Error> {
        set(&self.maps.dests, &slot, &dest.sealed(), "writing a server")
    }
    fn live_count(&self, slot: u32) -> Result<LiveCount, Error> {
        let count = |l: &Live| LiveCount { active: l.active.get(), inactive: l.inactive.get() };
        Ok(self.maps.view.get(slot).map(count).unwrap_or_default())
    }
    fn thresholds(&self, slot: u32) -> Result<(u32, u32), Error> {
        let read = |l: &Live| (l.upper.get(), l.lower.get());
        Ok(self.maps.view.get(slot).map(read).unwrap_or_default())
    }
    fn set_thresholds(&mut self, slot: u32, upper: u32, lower: u32) -> Result<(), Error> {
        if let Some(live) = self.maps.view.get(slot) {
            live.set_thresholds(upper, lower);
        }
        Ok(())
    }
    fn stats_by_cpu(&self, slot: u32) -> Result<Vec<Stats>, Error> {
        let map = &self.maps.stats;
        let values = map
            .lookup_cpus(bytes_of(&slot), self.maps.cpus)
            .map_err(failed("reading a server's counters"))?;
        Ok(values.chunks_exact(size_of::<Stats>()).filter_map(read::<Stats>).collect())
    }
    fn stats_sum(&self, slot: u32) -> Result<Stats, Error> {
        let mut sum = Stats::default();
        for s in self.stats_by_cpu(slot)? {
            sum.connections += s.connections;
            sum.in_packets += s.in_packets;
            sum.out_packets += s.out_packets;
            sum.in_bytes += s.in_bytes;
            sum.out_bytes += s.out_bytes;
        }
        Ok(sum)
    }
    fn clear_stats(&mut self, slot: u32) -> Result<(), Error> {
        let zeroes = vec![0; size_of::<Stats>() * self.maps.cpus];
        let map = &self.maps.stats;
        map.update(bytes_of(&slot), &zeroes, 0).map_err(failed("clearing a server's counters"))
    }
    fn ports(&self) -> Result<Vec<Port>, Error> {
        all(&self.maps.ports, "reading the interfaces")
    }
    fn set_port(&mut self, index: u32, port: &Port) -> Result<(), Error> {
        set(&self.maps.ports, &index, port, "writing an interface")
    }
    fn set_port_of(&mut self, ifindex: u32, index: Option<u32>) -> Result<(), Error> {
        let map = &self.maps.port_of;
        match index {
            Some(index) => set(map, &ifindex, &index, "writing an interface"),
            None => map.delete(bytes_of(&ifindex)).map_err(failed("removing an interface")),
        }
    }
    fn conns(
        &self,
        cursor: Option<Cursor>,
        budget: usize,
        out: &mut Vec<(ConnKey, Conn)>,
    ) -> Result<Option<Cursor>, Error> {
        let map = &self.maps.conns;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let (n, next) = map
            .batch(cursor, budget.max(1), &mut keys, &mut values)
            .map_err(failed("reading the connections"))?;
        let keys = keys.chunks_exact(map.key_size()).filter_map(read::<ConnKey>);
        let values = values.chunks_exact(map.value_size()).filter_map(read::<Conn>);
        out.extend(keys.zip(values).take(n));
        Ok(next)
    }
    fn call(&self, key: &ConnKey) -> Result<Option<Call>, Error> {
        let map = &self.maps.calls;
        let mut value = vec![0; map.value_size()];
        let found = map.lookup(bytes_of(key), &mut value).map_err(failed("reading a call"))?;
        Ok(if found { read(&value).as_ref().map(Call::of) } else { None })
    }
    fn expire(&mut self, keys: &[ConnKey], forced: bool) -> Result<(), Error> {
        keys.chunks(SWEEP_KEYS).try_for_each(|keys| run_sweep(&self.ebpf, keys, forced).map(drop))
    }
    fn access(&self) -> Result<Vec<(AccessKey, u32)>, Error> {
        let map = &self.maps.access;
        let mut out = Vec::new();
        for key in map.keys().map_err(failed("listing the lists of clients"))? {
            let mut value = vec![0; map.value_size()];
            let found =
                map.lookup(&key, &mut value).map_err(failed("reading a list of clients"))?;
            if found && let (Some(key), Some(value)) = (read(&key), read(&value)) {
                out.push((key, value));
            }
        }
        Ok(out)
    }
    fn set_access(&mut self, key: &AccessKey, verdict: Option<u32>) -> Result<(), Error> {
        let map = &self.maps.access;
        let full = |e: io::Error| match e.raw_os_error() {
            Some(libc::ENOSPC) => {
                Error::Full { table: "lists of clients", room: map.info.max_entries }
            }
            _ => Error::system("writing a list of clients", e),
        };
        match verdict {
            Some(verdict) => map.update(bytes_of(key), bytes_of(&verdict), 0).map_err(full),
            None => map.delete(bytes_of(key)).map_err(failed("writing a list of clients")),
        }
    }
    fn service_policy(&self, index: u32) -> Result<ServicePolicy, Error> {
        get(&self.maps.policies, index, "reading a service's limits")
    }
    fn set_service_policy(&mut self, index: u32, policy: &ServicePolicy) -> Result<(), Error> {
        set(&self.maps.policies, &index, policy, "writing a service's limits")
    }
    fn set_clients(&mut self, counts: &BTreeMap<ClientKey, u32>) -> Result<(), Error> {
        let (map, what) = (&self.maps.clients, "counting clients");
        for key in map.keys().map_err(failed(what))? {
            match map.delete(&key) {
                // The kernel makes room of its own accord, too.
                Err(e) if e.raw_os_error() != Some(libc::ENOENT) => return Err(failed(what)(e)),
                _ => {}
            }
        }
        for (key, count) in counts {
            let client = Client::default();
            client.connections.set(*count);
            set(map, key, &client, what)?;
        }
        Ok(())
    }
    fn set_connections(&mut self, count: u64) -> Result<(), Error> {
        set(&self.maps.meters, &METER_CONNECTIONS, &count, "counting connections")
    }
    fn reason_counts(&self) -> Result<Vec<u64>, Error> {
        let cpu = &self.maps.cpu;
        let each = cpu
            .lookup_cpus(bytes_of(&0u32), self.maps.cpus)
            .map_err(failed("reading the reasons"))?;
        let mut sums = vec![0; Reason::COUNT];
        for cpu in each.chunks_exact(size_of::<PerCpu>()).filter_map(read::<PerCpu>) {
            for (sum, n) in sums.iter_mut().zip(cpu.reasons) {
                *sum += n;
            }
        }
        Ok(sums)
    }
    fn events(&mut self) -> Result<Vec<Event>, Error> {
        let mut out = Vec::new();
        while let Some(item) = self.ring.next() {
            out.extend(read::<Event>(&item));
        }
        Ok(out)
    }
}

/// Entries of an array that are read at a time.
const ARRAY_PIECE: usize = 4096;

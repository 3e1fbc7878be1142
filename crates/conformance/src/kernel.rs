//! The kernel's home: the committed object, its maps written as bytes, its programs driven by
//! `BPF_PROG_TEST_RUN`.

use std::collections::BTreeMap;

use aya::{
    Ebpf, EbpfLoader, TestRun as _, TestRunOptions,
    maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray, PerCpuValues, ProgramArray, lpm_trie},
    programs::{SchedClassifier, Xdp},
};
use xlvs_datapath::{
    JUMPS, Reason, Route,
    mark::MarkRule,
    policy::{AccessKey, ClientKey, ServicePolicy},
    tables::{CacheKey, ConnKey, Dest, Hop, METERS, PerCpu, Service, ServiceKey, Stats, Word},
};
use xlvs_sched::NOBODY;

use crate::{Action, CONNS, Entry, Given, PLANS, Ran, SLOTS, Snapshot, Twin};

/// How to load the object.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Clock and routes come from maps and not from the kernel.
    pub test: bool,
    /// Room for connections.
    pub conns: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { test: true, conns: CONNS }
    }
}

/// The object's programs.
#[derive(Debug)]
pub struct Programs(Ebpf);

/// The object in the kernel.
pub struct InKernel {
    /// Its programs.
    pub programs: Programs,
    settings: Array<MapData, [u8; 160]>,
    services: HashMap<MapData, [u8; 8], [u8; 32]>,
    plans: Array<MapData, [u8; 24]>,
    orders: Array<MapData, [u8; 8]>,
    dests: Array<MapData, [u8; 64]>,
    live: Array<MapData, [u8; 24]>,
    stats: PerCpuArray<MapData, [u8; 40]>,
    ports: Array<MapData, [u8; 12]>,
    port_of: HashMap<MapData, u32, u32>,
    conns: HashMap<MapData, [u8; 16], [u8; 32]>,
    cpu: PerCpuArray<MapData, [u64; PER_CPU]>,
    access: LpmTrie<MapData, [u8; 12], u32>,
    buckets: Array<MapData, u64>,
    marks: Array<MapData, [u8; 128]>,
    caches: HashMap<MapData, [u8; 16], [u8; 88]>,
    policies: Array<MapData, [u8; 56]>,
    clients: HashMap<MapData, [u8; 12], [u8; 16]>,
    calls: HashMap<MapData, [u8; 16], [u8; 264]>,
    meters: Array<MapData, u64>,
    limiter: Array<MapData, u64>,
    now: Array<MapData, u64>,
    route: Array<MapData, u64>,
    /// Kept: the kernel empties a table of programs that nobody holds.
    _jump: ProgramArray<MapData>,
}

/// Bytes of a table entry: the layout is written down a second time here, field by field.
/// [`PerCpu`] in words, and where in it the reasons begin.
const PER_CPU: usize = size_of::<PerCpu>() / 8;
const FIRST_REASON: usize = std::mem::offset_of!(PerCpu, reasons) / 8;

struct Bytes(Vec<u8>);

impl Bytes {
    fn of(parts: &[&[u8]]) -> Self {
        Self(parts.concat())
    }
    fn array<const N: usize>(self) -> [u8; N] {
        self.0.try_into().expect("as long as the entry")
    }
}

macro_rules! bytes {
    ($($part:expr),* $(,)?) => { Bytes::of(&[$(&$part.to_ne_bytes()),*]) };
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Of whom a call's template is, and the call.
fn call(bytes: &[u8]) -> (u32, Vec<u8>) {
    (u32_at(bytes, 0), bytes[8..][..u32_at(bytes, 4) as usize].to_vec())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn key_bytes(k: &ConnKey) -> [u8; 16] {
    bytes![k.src(), k.dst(), k.sport(), k.dport(), k.protocol()].array()
}

fn service_bytes(s: &Service) -> [u8; 32] {
    let terms = [s.persistence, s.mask, s.policy, s.reserved];
    let [persistence, mask, policy, reserved] = terms;
    bytes![s.plan, s.scheduler, s.table, s.buckets, persistence, mask, policy, reserved].array()
}

fn client_bytes(k: &ClientKey) -> [u8; 12] {
    bytes![k.service.addr, k.service.port, k.service.protocol, k.network].array()
}

fn client_key(k: &[u8; 12]) -> ClientKey {
    let service = ServiceKey { addr: u32_at(k, 0), port: u16_at(k, 4), protocol: u16_at(k, 6) };
    ClientKey { service, network: u32_at(k, 8) }
}

fn policy_bytes(p: &ServicePolicy) -> [u8; 56] {
    let [established, fin_wait, udp] = p.timeouts;
    let numbers = [p.client_max, p.client_mask, p.has_access, p.reserved];
    let [max, mask, access, reserved] = numbers;
    let (interval, burst) = (p.rate_interval, p.rate_burst);
    bytes![established, fin_wait, udp, interval, burst, max, mask, access, reserved].array()
}

fn cache_bytes(servers: &[u32], changed: u64) -> [u8; 88] {
    let nobody = std::iter::repeat(&NOBODY);
    let members = servers.iter().chain(nobody).take(16).flat_map(|slot| slot.to_ne_bytes());
    let rest = bytes![servers.len() as u32, 0_u32, changed, changed].0;
    members.chain(rest).collect::<Vec<u8>>().try_into().unwrap()
}

fn mark_bytes(r: &MarkRule) -> [u8; 128] {
    let from = bytes![r.smac, r.smac_mask, r.src, r.src_mask, r.dst, r.dst_mask].0;
    let place = bytes![r.ifindex, r.ifindex_mask, r.mark, r.mark_mask].0;
    let kind = bytes![r.protocol, r.protocol_mask, r.not, r.sides].0;
    let then = bytes![r.clear, r.flip, r.hit, r.miss].0;
    let ranges = r.ranges.iter().flat_map(|range| bytes![range.first, range.last].0);
    [from, place, kind, then, ranges.collect()].concat().try_into().unwrap()
}

fn hop_bytes(h: &Hop) -> Vec<u8> {
    let rest = bytes![h.ifindex, h.mtu, h.kind].0;
    [&h.macs.dst().bytes()[..], &h.macs.src().bytes()[..], &rest].concat()
}

fn dest_bytes(d: &Dest) -> [u8; 64] {
    let head = bytes![d.addr, d.tunnel_src, d.vaddr, d.port, d.vport].0;
    let small = [d.protocol, d.method, d.flags, d.hop];
    let hops = [hop_bytes(&d.hops[0]), hop_bytes(&d.hops[1])].concat();
    Bytes::of(&[&head, &small, &hops, &d.sealed().ready.to_ne_bytes()]).array()
}

impl Programs {
    fn xdp(&self, name: &str) -> &Xdp {
        self.0.program(name).unwrap().try_into().unwrap()
    }

    /// Runs `director` on a frame, and leaves in `out` what became of it.
    pub fn director(&self, frame: &[u8], out: &mut Vec<u8>) -> Action {
        out.resize(frame.len() + 64, 0);
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(out),
            ..TestRunOptions::default()
        };
        let result = self.xdp("director").test_run(options).unwrap();
        out.truncate(result.data_size_out as usize);
        match result.return_value {
            1 => Action::Drop,
            2 => Action::Pass,
            3 => Action::Back,
            4 => Action::Redirect,
            other => panic!("director returned {other}"),
        }
    }

    /// Runs `sweep` on these keys.
    pub fn sweep(&self, keys: &[ConnKey]) -> u32 {
        let mut removed = 0;
        for keys in keys.chunks(xlvs_datapath::SWEEP_KEYS) {
            let mut frame = vec![0; 14];
            for key in keys {
                frame.extend(key_bytes(key));
            }
            let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
            removed += self.xdp("sweep").test_run(options).unwrap().return_value;
        }
        removed
    }

    /// Runs a classifier; its answer, and the frame after.
    fn classify(&self, name: &str, frame: &[u8]) -> (u32, Vec<u8>) {
        let program: &SchedClassifier = self.0.program(name).unwrap().try_into().unwrap();
        let mut out = vec![0; frame.len() + 64];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        };
        let result = program.test_run(options).unwrap();
        out.truncate(result.data_size_out as usize);
        (result.return_value, out)
    }
}

impl InKernel {
    /// Loads the object.
    pub fn load(options: Options) -> Self {
        let test = u32::from(options.test);
        let mut loader = EbpfLoader::new();
        loader.override_global("TEST", &test, true);
        let sizes = [
            ("CONNS", options.conns),
            ("DESTS", SLOTS),
            ("LIVE", SLOTS),
            ("STATS", SLOTS),
            ("PLANS", PLANS),
            ("ORDERS", 64),
            ("POLICIES", 64),
            ("CLIENTS", 4096),
        ];
        for (map, entries) in sizes {
            loader.map_max_entries(map, entries);
        }
        let mut ebpf = loader.load(&object()).expect("root, and a kernel that takes the object");
        for name in ["director", "sweep"].into_iter().chain(JUMPS) {
            let program: &mut Xdp = ebpf.program_mut(name).unwrap().try_into().unwrap();
            program.load().unwrap();
        }
        let mut jump = ProgramArray::try_from(ebpf.take_map("JUMP").unwrap()).unwrap();
        for (place, name) in (0u32..).zip(JUMPS) {
            let next: &Xdp = ebpf.program(name).unwrap().try_into().unwrap();
            jump.set(place, &next.fd().unwrap().try_clone().unwrap(), 0).unwrap();
        }
        for name in ["reply", "reset"] {
            let program: &mut SchedClassifier = ebpf.program_mut(name).unwrap().try_into().unwrap();
            program.load().unwrap();
        }
        let mut take = |name: &str| ebpf.take_map(name).unwrap();
        Self {
            settings: Array::try_from(take("SETTINGS")).unwrap(),
            services: HashMap::try_from(take("SERVICES")).unwrap(),
            plans: Array::try_from(take("PLANS")).unwrap(),
            orders: Array::try_from(take("ORDERS")).unwrap(),
            dests: Array::try_from(take("DESTS")).unwrap(),
            live: Array::try_from(take("LIVE")).unwrap(),
            stats: PerCpuArray::try_from(take("STATS")).unwrap(),
            ports: Array::try_from(take("PORTS")).unwrap(),
            port_of: HashMap::try_from(take("PORT_OF")).unwrap(),
            conns: HashMap::try_from(take("CONNS")).unwrap(),
            cpu: PerCpuArray::try_from(take("CPU")).unwrap(),
            access: LpmTrie::try_from(take("ACCESS")).unwrap(),
            buckets: Array::try_from(take("BUCKETS")).unwrap(),
            marks: Array::try_from(take("MARKS")).unwrap(),
            caches: HashMap::try_from(take("CACHES")).unwrap(),
            policies: Array::try_from(take("POLICIES")).unwrap(),
            clients: HashMap::try_from(take("CLIENTS")).unwrap(),
            calls: HashMap::try_from(take("CALLS")).unwrap(),
            meters: Array::try_from(take("METERS")).unwrap(),
            limiter: Array::try_from(take("LIMITER")).unwrap(),
            now: Array::try_from(take("TEST_NOW")).unwrap(),
            route: Array::try_from(take("TEST_ROUTE")).unwrap(),
            _jump: jump,
            programs: Programs(ebpf),
        }
    }

    fn clear(&mut self) {
        let keys: Vec<_> = self.conns.keys().map(Result::unwrap).collect();
        for key in keys {
            self.conns.remove(&key).unwrap();
        }
        let keys: Vec<_> = self.services.keys().map(Result::unwrap).collect();
        for key in keys {
            self.services.remove(&key).unwrap();
        }
        let keys: Vec<_> = self.clients.keys().map(Result::unwrap).collect();
        for key in keys {
            self.clients.remove(&key).unwrap();
        }
        let keys: Vec<_> = self.calls.keys().map(Result::unwrap).collect();
        for key in keys {
            self.calls.remove(&key).unwrap();
        }
        let keys: Vec<_> = self.access.keys().map(Result::unwrap).collect();
        for key in keys {
            self.access.remove(&key).unwrap();
        }
        let keys: Vec<_> = self.caches.keys().map(Result::unwrap).collect();
        for key in keys {
            self.caches.remove(&key).unwrap();
        }
        let keys: Vec<_> = self.port_of.keys().map(Result::unwrap).collect();
        for key in keys {
            self.port_of.remove(&key).unwrap();
        }
        for slot in 0..SLOTS {
            self.dests.set(slot, [0; 64], 0).unwrap();
            self.stats.set(slot, per_cpu([0; 40]), 0).unwrap();
        }
        for plan in 0..PLANS {
            self.plans.set(plan, [0; 24], 0).unwrap();
        }
        self.cpu.set(0, per_cpu([0; PER_CPU]), 0).unwrap();
    }

    /// The keys of all entries.
    pub fn conn_keys(&self) -> Vec<ConnKey> {
        self.conns.keys().filter_map(Result::ok).map(|k| conn_key(&k)).collect()
    }

    /// Apart: who runs programs and who changes tables may be two threads.
    pub fn split(&mut self) -> (&Programs, Changes<'_>) {
        let changes = Changes {
            services: &mut self.services,
            plans: &mut self.plans,
            orders: &mut self.orders,
            dests: &mut self.dests,
            conns: &self.conns,
            now: &mut self.now,
        };
        (&self.programs, changes)
    }
}

/// Tables that userspace changes while packets come.
pub struct Changes<'a> {
    services: &'a mut HashMap<MapData, [u8; 8], [u8; 32]>,
    plans: &'a mut Array<MapData, [u8; 24]>,
    orders: &'a mut Array<MapData, [u8; 8]>,
    dests: &'a mut Array<MapData, [u8; 64]>,
    conns: &'a HashMap<MapData, [u8; 16], [u8; 32]>,
    now: &'a mut Array<MapData, u64>,
}

fn conn_key(k: &[u8; 16]) -> ConnKey {
    ConnKey::new(u32_at(k, 0), u32_at(k, 4), u16_at(k, 8), u16_at(k, 10), u32_at(k, 12))
}

fn per_cpu<T: aya::Pod>(value: T) -> PerCpuValues<T> {
    let cpus = aya::util::nr_cpus().unwrap();
    PerCpuValues::try_from(vec![value; cpus]).unwrap()
}

/// The committed object, or the one that `XLVS_OBJECT` names.
fn object() -> Vec<u8> {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../dataplane/object/xlvs.bpf.o");
    let path = std::env::var("XLVS_OBJECT").unwrap_or_else(|_| committed.into());
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn stats(bytes: &[u8; 40]) -> Stats {
    Stats {
        connections: u64_at(bytes, 0),
        in_packets: u64_at(bytes, 8),
        out_packets: u64_at(bytes, 16),
        in_bytes: u64_at(bytes, 24),
        out_bytes: u64_at(bytes, 32),
    }
}

fn total(a: Stats, b: Stats) -> Stats {
    Stats {
        connections: a.connections + b.connections,
        in_packets: a.in_packets + b.in_packets,
        out_packets: a.out_packets + b.out_packets,
        in_bytes: a.in_bytes + b.in_bytes,
        out_bytes: a.out_bytes + b.out_bytes,
    }
}

impl Twin for InKernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn install(&mut self, given: &Given) {
        self.clear();
        self.write(given);
        for (key, e) in &given.conns {
            let bytes = bytes![e.expires, e.word.0, e.hop, e.origin].array::<32>();
            self.conns.insert(key_bytes(key), bytes, 0).unwrap();
        }
        for (slot, (active, inactive)) in (0..).zip(given.census()) {
            let limits = given.limits.iter().find(|l| l.0 == slot);
            let (upper, lower, over) = limits.map_or((0, 0, 0), |l| (l.1, l.2, u32::from(l.3)));
            let bytes = bytes![active, inactive, upper, lower, over, 0_u32];
            self.live.set(slot, bytes.array::<24>(), 0).unwrap();
        }
        self.limiter.set(0, given.limiter, 0).unwrap();
        for (key, (connections, whole_at)) in &given.clients {
            let value = bytes![*whole_at, *connections, 0_u32].array::<16>();
            self.clients.insert(client_bytes(key), value, 0).unwrap();
        }
        for (key, servers, changed) in &given.caches {
            let CacheKey { service, destination, reserved } = *key;
            let key = bytes![service.pack(), destination, reserved].array::<16>();
            self.caches.insert(key, cache_bytes(servers, *changed), 0).unwrap();
        }
        for (which, meter) in (0..).zip(given.meters) {
            self.meters.set(which, meter, 0).unwrap();
        }
        self.set_now(given.now);
    }

    fn write(&mut self, given: &Given) {
        let s = &given.settings;
        let timeouts: Vec<u8> = s.timeouts.iter().flat_map(|t| t.to_ne_bytes()).collect();
        let rest = bytes![
            s.services,
            s.flags,
            s.routes,
            s.marks,
            s.policy.flags,
            s.policy.drop_rate,
            s.policy.conn_max,
            s.policy.reserved,
        ]
        .0;
        self.settings.set(0, Bytes::of(&[&timeouts, &rest]).array::<160>(), 0).unwrap();
        for (i, d) in (0..).zip(&given.dests) {
            self.dests.set(i, dest_bytes(d), 0).unwrap();
        }
        for (i, o) in (0..).zip(&given.orders) {
            self.orders.set(i, bytes![o.slot, o.weight].array::<8>(), 0).unwrap();
        }
        for (i, p) in (0..).zip(&given.plans) {
            let state = p.state.get();
            let bytes = bytes![state, p.first, p.count, p.divisor, p.max_weight];
            self.plans.set(i, bytes.array::<24>(), 0).unwrap();
        }
        for (k, v) in &given.services {
            let key = bytes![k.addr, k.port, k.protocol].array::<8>();
            self.services.insert(key, service_bytes(v), 0).unwrap();
        }
        for (key, verdict) in &given.access {
            let AccessKey { prefix_len, scope, addr } = *key;
            let data = bytes![scope.addr, scope.port, scope.protocol, addr].array::<12>();
            self.access.insert(&lpm_trie::Key::new(prefix_len, data), verdict, 0).unwrap();
        }
        for (i, word) in (0..).zip(&given.buckets) {
            self.buckets.set(i, word, 0).unwrap();
        }
        for (i, rule) in (0..).zip(&given.marks) {
            self.marks.set(i, mark_bytes(rule), 0).unwrap();
        }
        for (i, policy) in &given.policies {
            self.policies.set(*i, policy_bytes(policy), 0).unwrap();
        }
        for (i, p) in (0..).zip(&given.ports) {
            let head = bytes![p.ifindex, p.mtu].0;
            self.ports.set(i, Bytes::of(&[&head, &p.mac.bytes()]).array::<12>(), 0).unwrap();
        }
        for (ifindex, port) in &given.port_of {
            self.port_of.insert(ifindex, port, 0).unwrap();
        }
        let route = match given.route {
            Route::None => 0,
            Route::ForwardingOff => 1,
            Route::NoNeighbour => 2,
            Route::Found { port, mac } => mac | u64::from(port) << 48,
        };
        self.route.set(0, route, 0).unwrap();
    }

    fn set_now(&mut self, now: u64) {
        self.now.set(0, now, 0).unwrap();
    }

    fn run(&mut self, frame: &[u8]) -> Ran {
        let mut out = Vec::new();
        let action = self.programs.director(frame, &mut out);
        Ran { action, frame: out }
    }

    fn ingress(&mut self, frame: &[u8]) -> Ran {
        let (answer, frame) = self.programs.classify("reset", frame);
        let action = match answer {
            2 => Action::Drop,
            3 => Action::Pass,
            7 => Action::Redirect,
            other => panic!("reset returned {other}"),
        };
        Ran { action, frame }
    }

    fn send(&mut self, frame: &[u8]) -> Vec<u8> {
        self.programs.classify("reply", frame).1
    }

    fn sweep(&mut self, keys: &[ConnKey]) {
        self.programs.sweep(keys);
    }

    fn snapshot(&self) -> Snapshot {
        let entry = |v: &[u8; 32]| Entry {
            expires: u64_at(v, 0),
            word: Word(u64_at(v, 8)),
            hop: u64_at(v, 16),
            origin: u64_at(v, 24),
        };
        let live = |slot| {
            let v = self.live.get(&slot, 0).unwrap();
            (u32_at(&v, 0), u32_at(&v, 4))
        };
        let overloaded = |slot| u32_at(&self.live.get(&slot, 0).unwrap(), 16) != 0;
        let stats = |slot| {
            let all = self.stats.get(&slot, 0).unwrap();
            all.iter().map(stats).fold(Stats::default(), total)
        };
        let cpus = self.cpu.get(&0, 0).unwrap();
        let reason = |r: &Reason| cpus.iter().map(|cpu| cpu[FIRST_REASON + *r as usize]).sum();
        Snapshot {
            conns: (self.conns.iter().map(Result::unwrap))
                .map(|(k, v)| (conn_key(&k), entry(&v)))
                .collect::<BTreeMap<_, _>>(),
            live: (0..SLOTS).map(live).collect(),
            clients: (self.clients.iter().map(Result::unwrap))
                .map(|(k, v)| (client_key(&k), (u32_at(&v, 8), u64_at(&v, 0))))
                .collect(),
            calls: (self.calls.iter().map(Result::unwrap))
                .map(|(k, v)| (conn_key(&k), call(&v)))
                .collect(),
            meters: (0..METERS as u32).map(|i| self.meters.get(&i, 0).unwrap()).collect(),
            overloaded: (0..SLOTS).map(overloaded).collect(),
            stats: (0..SLOTS).map(stats).collect(),
            plans: (0..PLANS).map(|i| u64_at(&self.plans.get(&i, 0).unwrap(), 0)).collect(),
            limiter: self.limiter.get(&0, 0).unwrap(),
            reasons: Reason::ALL.iter().map(reason).collect(),
        }
    }
}

impl Changes<'_> {
    /// The keys of all entries, as far as they hold still.
    pub fn conn_keys(&self) -> Vec<ConnKey> {
        self.conns.keys().filter_map(Result::ok).map(|k| conn_key(&k)).collect()
    }

    /// Moves the test clock.
    pub fn set_now(&mut self, now: u64) {
        self.now.set(0, now, 0).unwrap();
    }

    /// Writes a server.
    pub fn set_dest(&mut self, slot: u32, dest: &Dest) {
        self.dests.set(slot, dest_bytes(dest), 0).unwrap();
    }

    /// Writes a list of servers elsewhere and puts it in force.
    pub fn swap_plan(&mut self, given: &Given, service: usize, plan: u32) {
        let (p, first) = (&given.plans[0], plan * 4);
        for (i, o) in (first..).zip(&given.orders) {
            self.orders.set(i, bytes![o.slot, o.weight].array::<8>(), 0).unwrap();
        }
        let count = given.orders.len() as u32;
        let bytes = bytes![p.state.get(), first, count, p.divisor, p.max_weight];
        self.plans.set(plan, bytes.array::<24>(), 0).unwrap();
        let (k, v) = &given.services[service];
        let key = bytes![k.addr, k.port, k.protocol].array::<8>();
        self.services.insert(key, service_bytes(&Service { plan, ..*v }), 0).unwrap();
    }
}

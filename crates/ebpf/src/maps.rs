//! `Tables` over BPF maps.

use core::ffi::c_void;

use aya_ebpf::{
    Global,
    bindings::{BPF_NOEXIST, bpf_fib_lookup, xdp_md},
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, lpm_trie::Key},
    helpers::generated::{
        bpf_fib_lookup as fib_lookup, bpf_get_prandom_u32, bpf_jiffies64, bpf_ktime_get_coarse_ns,
        bpf_loop,
    },
    macros::btf_map,
};
use xlvs_datapath::{
    Admission, Cell64, Details, Insert, Newcomer, Reason, Round, Route, Tables, VisitOrder,
    conn::Beginning,
    mark::{MAX_MARK_ENTRIES, MarkRule, VisitMark},
    policy::{AccessKey, Client, ClientKey, MAX_POLICIES, ServicePolicy},
    sip::{CallRecord, SEARCH_STEPS, Search},
    tables::{
        CacheEntry, CacheKey, Conn, ConnKey, Dest, EVENT_NEIGHBOUR, Event, Live,
        METERS as METERS_COUNT, Notes, Order, PerCpu, Plan, Port, REASON_COUNTERS, Service,
        ServiceKey, Settings, Stats, Word,
    },
};
use xlvs_sched::FEW;
use xlvs_wire::{Mac, Packet};

use crate::frame::Xdp;
use crate::functions::{
    answer_sender, begin_apart, bury_connection, choose_at_random, choose_by_bucket,
    choose_in_bounds, choose_server, find_stray, is_server_overloaded, mark_newcomer, pass_gate,
    place_in_cache, services_timeout, tally_connection, weigh_server,
};

// Each limit by its name; the loader may set others where a flag says so.
const MAX_SERVICES: usize = 65_536;
const MAX_PLANS: usize = 131_072;
const MAX_ORDERS: usize = 524_288;
const MAX_DESTS: usize = 131_072;
const MAX_CONNECTIONS: usize = 1_048_576;
const MAX_PORTS: usize = 1024;
/// Two hundred tables of mh, or sixteen thousand of sh.
const MAX_BUCKET_WORDS: usize = 1_048_576;
const MAX_CACHED: usize = 65_536;
const MAX_ACCESS: usize = 1_048_576;
const MAX_CLIENTS: usize = 262_144;
const MAX_CALLS: usize = 65_536;
const EVENT_BYTES: usize = 65_536;
const BPF_F_NO_PREALLOC: usize = 1;
/// Userspace counts connections that it moves here from older tables, by atomic additions of its
/// own.
const BPF_F_MMAPABLE: usize = 1 << 10;

#[btf_map]
pub(crate) static SETTINGS: Array<Settings, 1> = Array::new();
/// Elements are freed after a grace period, so that a packet that still reads an old one may.
#[btf_map]
static SERVICES: HashMap<ServiceKey, Service, MAX_SERVICES, BPF_F_NO_PREALLOC> = HashMap::new();
#[btf_map]
static PLANS: Array<Plan, MAX_PLANS> = Array::new();
#[btf_map]
static ORDERS: Array<Order, MAX_ORDERS> = Array::new();
#[btf_map]
pub(crate) static DESTS: Array<Dest, MAX_DESTS> = Array::new();
#[btf_map]
pub(crate) static LIVE: Array<Live, MAX_DESTS, BPF_F_MMAPABLE> = Array::new();
#[btf_map]
pub(crate) static STATS: PerCpuArray<Stats, MAX_DESTS> = PerCpuArray::new();
/// The tables of dh, sh, mh and chbl, four buckets in a word.
#[btf_map]
static BUCKETS: Array<u64, MAX_BUCKET_WORDS> = Array::new();
#[btf_map]
static MARKS: Array<MarkRule, MAX_MARK_ENTRIES> = Array::new();
/// The caches of lblc and lblcr; what was not asked for longest makes room.
#[btf_map]
static CACHES: LruHashMap<CacheKey, CacheEntry, MAX_CACHED> = LruHashMap::new();
#[btf_map]
static ACCESS: LpmTrie<[u32; 3], u32, MAX_ACCESS> = LpmTrie::new();
#[btf_map]
static POLICIES: Array<ServicePolicy, MAX_POLICIES> = Array::new();
/// Networks of clients; which was not seen for longest makes room.
#[btf_map]
static CLIENTS: LruHashMap<ClientKey, Client, MAX_CLIENTS> = LruHashMap::new();
/// What calls' templates were made for, for people to read: kept as long as these. Memory is taken
/// when there are calls; further ones than have room here keep their servers all the same.
#[btf_map]
static CALLS: HashMap<[u64; 2], CallRecord, MAX_CALLS, BPF_F_NO_PREALLOC> = HashMap::new();
#[btf_map]
static SEARCH: PerCpuArray<Search, 1> = PerCpuArray::new();
#[btf_map]
static METERS: Array<Cell64, METERS_COUNT> = Array::new();
#[btf_map]
static PORTS: Array<Port, MAX_PORTS> = Array::new();
#[btf_map]
static PORT_OF: HashMap<u32, u32, MAX_PORTS> = HashMap::new();
#[btf_map]
pub(crate) static CONNS: HashMap<[u64; 2], Conn, MAX_CONNECTIONS> = HashMap::new();
#[btf_map]
pub(crate) static CPU: PerCpuArray<PerCpu, 1> = PerCpuArray::new();
#[btf_map]
static LIMITER: Array<Cell64, 1> = Array::new();
#[btf_map]
static EVENTS: RingBuf<Event, EVENT_BYTES> = RingBuf::new();
#[btf_map]
static TEST_NOW: Array<u64, 1> = Array::new();
#[btf_map]
static TEST_ROUTE: Array<u64, 1> = Array::new();

/// Non-zero: clock and routes come from `TEST_NOW` and `TEST_ROUTE`, so that both homes see the
/// same. Read-only data: the verifier knows it and drops the branch not taken.
#[unsafe(no_mangle)]
static TEST: Global<u32> = Global::new(0);

/// The coarse clock moves when the jiffies do, and reading these is one load where asking for that
/// is a call that costs as much as a look-up: so it is asked once in a jiffy.
#[inline(always)]
pub(crate) fn now(cpu: &mut PerCpu) -> u64 {
    if TEST.load() != 0 {
        return TEST_NOW.get(0).copied().unwrap_or(0);
    }
    // SAFETY: a helper without arguments.
    let jiffies = unsafe { bpf_jiffies64() };
    if cpu.jiffies != jiffies {
        // SAFETY: as above.
        cpu.now = unsafe { bpf_ktime_get_coarse_ns() };
        cpu.jiffies = jiffies;
    }
    cpu.now
}

/// The maps, seen from a program that handles a frame, or from elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Maps<P>(pub(crate) P);

/// Where the maps are seen from.
pub(crate) trait Place: Copy + 'static {
    /// For `bpf_fib_lookup`, of which only XDP programs make use.
    fn ctx(self) -> *mut xdp_md;
    /// This CPU's own, where packets are counted; None: they are counted elsewhere.
    fn cpu(self) -> Option<*mut PerCpu>;
}

/// A program that handles a frame.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) ctx: *mut xdp_md,
    pub(crate) cpu: *mut PerCpu,
}

impl Place for Program {
    #[inline(always)]
    fn ctx(self) -> *mut xdp_md {
        self.ctx
    }
    #[inline(always)]
    fn cpu(self) -> Option<*mut PerCpu> {
        Some(self.cpu)
    }
}

/// A function that knows of no frame. Of no size: nulls in a structure would be zeroed by a call.
#[derive(Clone, Copy)]
pub(crate) struct Function;

impl Place for Function {
    #[inline(always)]
    fn ctx(self) -> *mut xdp_md {
        core::ptr::null_mut()
    }
    #[inline(always)]
    fn cpu(self) -> Option<*mut PerCpu> {
        None
    }
}

/// A walk over a list of servers.
#[derive(Clone, Copy)]
struct Walk {
    first: u32,
    count: u32,
    start: u32,
}

impl Walk {
    /// False ends it.
    #[inline(always)]
    fn step<V: VisitOrder>(&self, i: u32, visitor: &mut V) -> bool {
        let at = self.start + i;
        let position = if at >= self.count { at - self.count } else { at };
        match ORDERS.get(self.first + position) {
            Some(order) => visitor.visit(position, order),
            None => false,
        }
    }
}

struct LoopState<V> {
    visitor: V,
    walk: Walk,
}

/// One instance for each `V`: a generic callback is fine.
unsafe extern "C" fn step<V: VisitOrder>(i: u64, state: *mut c_void) -> i64 {
    // SAFETY: `scan` below passed a LoopState<V>, alive on its stack.
    let s = unsafe { &mut *state.cast::<LoopState<V>>() };
    let walk = s.walk;
    let skipped = if V::WHOLE { FEW } else { 0 };
    i64::from(!walk.step(i as u32 + skipped, &mut s.visitor))
}

const AF_INET: u8 = 2;
const FIB_SUCCESS: i64 = 0;
const FIB_FWD_DISABLED: i64 = 5;
const FIB_NO_NEIGH: i64 = 7;

/// Of [`find_route`], as [`TEST_ROUTE`] has them; anything else is a port (16 bits) and a
/// neighbour's address (48), which never is 0, 1 or 2.
const ROUTE_NONE: u64 = 0;
const ROUTE_FORWARDING_OFF: u64 = 1;
const ROUTE_NO_NEIGHBOUR: u64 = 2;

/// A function of its own to the verifier: the request to the kernel is large, and the stack of a
/// program and all that it calls is 512 bytes.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn find_route(ctx: *mut xdp_md, src: u32, dst: u32, ifindex: u32) -> u64 {
    if TEST.load() != 0 {
        let route = TEST_ROUTE.get(0).copied().unwrap_or(ROUTE_NONE);
        if route == ROUTE_NO_NEIGHBOUR {
            want_neighbour(ifindex, dst);
        }
        return route;
    }
    // SAFETY: plain data, all zero is a valid request.
    let mut fib: bpf_fib_lookup = unsafe { core::mem::zeroed() };
    fib.family = AF_INET;
    fib.ifindex = ifindex;
    fib.__bindgen_anon_3.ipv4_src = src;
    fib.__bindgen_anon_4.ipv4_dst = dst;
    // SAFETY: the context is the program's own, the request is on the stack.
    let answer =
        unsafe { fib_lookup(ctx.cast(), &raw mut fib, size_of::<bpf_fib_lookup>() as i32, 0) };
    match answer {
        FIB_SUCCESS => match port_of(fib.ifindex) {
            Some(port) => Mac::new(fib.dmac).to_u64() | u64::from(port) << 48,
            None => ROUTE_NONE,
        },
        FIB_FWD_DISABLED => ROUTE_FORWARDING_OFF,
        FIB_NO_NEIGH => {
            // SAFETY: the kernel left the next hop's address there.
            want_neighbour(fib.ifindex, unsafe { fib.__bindgen_anon_4.ipv4_dst });
            ROUTE_NO_NEIGHBOUR
        }
        _ => ROUTE_NONE,
    }
}

#[inline(always)]
fn want_neighbour(ifindex: u32, addr: u32) {
    let wanted = Event { kind: EVENT_NEIGHBOUR, ifindex, addr, reserved: 0 };
    let _ = EVENTS.output(&wanted, 0);
}

#[inline(always)]
fn port_of(ifindex: u32) -> Option<u32> {
    // Userspace gives an interface the port of its own number where it can, which saves a look-up
    // in a hash.
    let own = ifindex & (MAX_PORTS as u32 - 1);
    if PORTS.get(own).is_some_and(|p| p.ifindex == ifindex && p.mtu != 0) {
        return Some(own);
    }
    // SAFETY: a plain number, copied out at once.
    unsafe { PORT_OF.get(&ifindex) }.copied()
}

impl<P: Place> Tables for Maps<P> {
    type ConnRef<'a> = &'a Conn;
    type CacheRef<'a> = &'a CacheEntry;

    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        SETTINGS.get(0)
    }
    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        // SAFETY: elements live through a grace period after removal.
        unsafe { SERVICES.get(key) }.copied()
    }
    #[inline(always)]
    fn plan(&self, index: u32) -> Option<&Plan> {
        PLANS.get(index)
    }
    #[inline(always)]
    fn dest(&self, slot: u32) -> Option<&Dest> {
        DESTS.get(slot)
    }
    #[inline(always)]
    fn live(&self, slot: u32) -> Option<&Live> {
        LIVE.get(slot)
    }
    #[inline(always)]
    fn stats(&self, slot: u32, change: impl FnOnce(&mut Stats)) {
        if let Some(stats) = STATS.get_ptr_mut(slot) {
            // SAFETY: this CPU's own copy, and nothing else of ours runs on this CPU meanwhile.
            change(unsafe { &mut *stats });
        }
    }
    #[inline(always)]
    fn port_of(&self, ifindex: u32) -> Option<u32> {
        port_of(ifindex)
    }
    #[inline(always)]
    fn port(&self, index: u32) -> Option<&Port> {
        PORTS.get(index)
    }
    #[inline(always)]
    fn conn(&self, key: &ConnKey) -> Option<&Conn> {
        // SAFETY: elements stay readable; `conn` of xlvs-datapath copes with their reuse.
        unsafe { CONNS.get(key.words()) }
    }
    #[inline(always)]
    fn conn_insert(&self, key: &ConnKey, conn: &Conn) -> Insert {
        match CONNS.insert(key.words(), conn, BPF_NOEXIST as u64) {
            Ok(()) => Insert::Done,
            Err(_) if self.conn(key).is_some() => Insert::Exists,
            Err(_) => Insert::Full,
        }
    }
    #[inline(always)]
    fn conn_remove(&self, key: &ConnKey) {
        let _ = CONNS.remove(key.words());
    }
    #[inline(always)]
    fn count(&self, reason: Reason) {
        if let Some(cpu) = self.0.cpu() {
            // SAFETY: this CPU's own copy.
            unsafe { (*cpu).reasons[reason as usize & (REASON_COUNTERS - 1)] += 1 }
        }
    }
    #[inline(always)]
    fn route(&self, src: u32, dst: u32, ifindex: u32) -> Route {
        match find_route(self.0.ctx(), src, dst, ifindex) {
            ROUTE_NONE => Route::None,
            ROUTE_FORWARDING_OFF => Route::ForwardingOff,
            ROUTE_NO_NEIGHBOUR => Route::NoNeighbour,
            way => Route::Found { port: (way >> 48) as u16, mac: way & 0xffff_ffff_ffff },
        }
    }
    #[inline(always)]
    fn limiter(&self) -> Option<&Cell64> {
        LIMITER.get(0)
    }
    #[inline(always)]
    fn scan<V: VisitOrder>(&self, first: u32, count: u32, start: u32, visitor: V) -> V {
        let walk = Walk { first, count, start };
        let mut visitor = visitor;
        let mut left = count;
        // Without the kernel's loop, whose callback returns by way of a mitigation
        // (`spec_rstack_overflow`, `retbleed`) that costs as much as five look-ups.
        if V::WHOLE {
            let mut i = 0;
            while i < core::hint::black_box(FEW) && i < count {
                if !walk.step(i, &mut visitor) {
                    return visitor;
                }
                i += 1;
            }
            if V::FEW || count <= FEW {
                return visitor;
            }
            left -= FEW;
        }
        let mut s = LoopState { visitor, walk };
        // SAFETY: the callback gets `s`, alive until the helper returns.
        unsafe {
            bpf_loop(left, step::<V> as *mut c_void, (&raw mut s).cast(), 0);
        }
        s.visitor
    }
    #[inline(always)]
    fn choose(&self, plan: u32, scheduler: u32) -> u64 {
        choose_server(plan, scheduler)
    }
    #[inline(always)]
    fn answer<F: Packet>(&self, _p: &mut F, now: u64, reason: Reason, details: Details) -> Reason {
        let Details { room, source } = details;
        let room = u32::from(room);
        let number = answer_sender(self.0.ctx(), now, reason as u32, room, source);
        // The optimiser knows the function and so that the mask has no work; the verifier does not.
        Reason::from_number(core::hint::black_box(number))
    }
    #[inline(always)]
    fn stray(&self, addr: u32, port: u16, protocol: u16) -> u64 {
        find_stray(addr, u32::from(port), u32::from(protocol))
    }
    #[inline(always)]
    fn order(&self, index: u32) -> Option<&Order> {
        ORDERS.get(index)
    }
    #[inline(always)]
    fn buckets(&self, word: u32) -> Option<u64> {
        BUCKETS.get(word).copied()
    }
    #[inline(always)]
    fn repeat<R: Round>(&self, rounds: u32, mut round: R) -> R {
        // SAFETY: the callback gets `round`, alive until the helper returns.
        unsafe {
            bpf_loop(rounds, run_round::<R> as *mut c_void, (&raw mut round).cast(), 0);
        }
        round
    }
    #[inline(always)]
    fn scan_marks<V: VisitMark>(&self, first: u32, count: u32, visitor: V) -> V {
        let mut s = MarkWalk { first, visitor };
        // SAFETY: as above.
        unsafe {
            bpf_loop(count, visit_mark::<V> as *mut c_void, (&raw mut s).cast(), 0);
        }
        s.visitor
    }
    #[inline(always)]
    fn cache(&self, key: &CacheKey) -> Option<&CacheEntry> {
        // SAFETY: an element that makes room for another stays readable; a choice may then be
        // another's, as good as any.
        unsafe { CACHES.get(key) }
    }
    #[inline(always)]
    fn cache_insert(&self, key: &CacheKey, slot: u32, now: u64) {
        let _ = CACHES.insert(key, &CacheEntry::new(slot, now), BPF_NOEXIST as u64);
    }
    #[inline(always)]
    fn random(&self, seed: u64) -> u64 {
        if TEST.load() != 0 {
            return seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        // SAFETY: a helper without arguments.
        unsafe { u64::from(bpf_get_prandom_u32()) << 32 | u64::from(bpf_get_prandom_u32()) }
    }
    #[inline(always)]
    fn choose_random(&self, plan: u32, seed: u64) -> u64 {
        choose_at_random(plan, seed)
    }
    #[inline(always)]
    fn choose_bucket(&self, plan: u32, scheduler: u32, table: u64, key: u32) -> u64 {
        choose_by_bucket(plan, scheduler, table, key)
    }
    #[inline(always)]
    fn choose_bounded(&self, plan: u32, table: u64, key: u32) -> u64 {
        choose_in_bounds(plan, table, key)
    }
    #[inline(always)]
    fn notes(&self) -> Option<&Notes> {
        // SAFETY: this CPU's own copy.
        self.0.cpu().map(|cpu| unsafe { &(*cpu).notes })
    }
    #[inline(always)]
    fn search(&self) -> Option<&Search> {
        // SAFETY: this CPU's own copy.
        SEARCH.get_ptr_mut(0).map(|search| unsafe { &*search })
    }
    #[inline(always)]
    fn find_call<F: Packet>(&self, _p: &F) {
        let mut ctx = self.0.ctx();
        // SAFETY: the callback gets `ctx`, alive until the helper returns.
        unsafe {
            bpf_loop(SEARCH_STEPS, step_of_search as *mut c_void, (&raw mut ctx).cast(), 0);
        }
    }
    #[inline(always)]
    fn call_insert(&self, key: &ConnKey) {
        if let Some(search) = self.search() {
            let _ = CALLS.insert(key.words(), &search.record, 0);
        }
    }
    #[inline(always)]
    fn call_remove(&self, key: &ConnKey) {
        let _ = CALLS.remove(key.words());
    }
    #[inline(always)]
    fn mark(&self, n: &Newcomer) -> u32 {
        mark_newcomer(n.addresses, n.flow, n.came_by)
    }
    #[inline(always)]
    fn cache_place(&self, of: u64, destination: u32, slot: u32) -> u32 {
        place_in_cache(of, destination, slot)
    }
    #[inline(always)]
    fn begin(&self, beginning: &Beginning, dest: &Dest) -> Admission {
        begin_apart(beginning, dest)
    }
    #[inline(always)]
    fn access(&self, key: &AccessKey) -> u32 {
        let scope = key.scope.pack();
        let data = [scope as u32, (scope >> 32) as u32, key.addr];
        match ACCESS.get(&Key::new(key.prefix_len, data)) {
            Some(verdict) => *verdict,
            None => 0,
        }
    }
    #[inline(always)]
    fn service_policy(&self, index: u32) -> Option<&ServicePolicy> {
        POLICIES.get(index)
    }
    #[inline(always)]
    fn with_client<V>(&self, key: &ClientKey, look: impl FnOnce(&Client) -> V) -> Option<V> {
        // SAFETY: an element that makes room for another stays readable; its count is then another
        // network's, by one.
        unsafe { CLIENTS.get(key) }.map(look)
    }
    #[inline(always)]
    fn client_insert(&self, key: &ClientKey) {
        let _ = CLIENTS.insert(key, &Client::default(), BPF_NOEXIST as u64);
    }
    #[inline(always)]
    fn meter(&self, which: u32) -> Option<&Cell64> {
        METERS.get(which)
    }
    #[inline(always)]
    fn gate(&self, client: u32, now: u64, of: u64, policy: u32) -> u32 {
        pass_gate(client, now, of, policy)
    }
    #[inline(always)]
    fn tally(&self, slot: u32, client: u32, begins: bool) {
        tally_connection(slot, client, u32::from(begins));
    }
    #[inline(always)]
    fn own_timeout(&self, slot: u32, index: u32) -> u64 {
        services_timeout(slot, index)
    }
    #[inline(always)]
    fn weigh(&self, slot: u32, begins: bool) {
        // A function's stack is short, and so is what it may call.
        if self.0.cpu().is_some() {
            weigh_server(slot, u32::from(begins));
        } else {
            xlvs_datapath::conn::weigh(self, slot, begins);
        }
    }
    #[inline(always)]
    fn is_overloaded(&self, slot: u32) -> bool {
        is_server_overloaded(slot) != 0
    }
    #[inline(always)]
    fn bury(&self, key: &ConnKey, seen: Word, now: u64) {
        let [addresses, ports] = key.words();
        bury_connection(addresses, ports, seen.0, now);
    }
}

/// One instance for each body, as [`step`].
unsafe extern "C" fn run_round<R: Round>(number: u64, round: *mut c_void) -> i64 {
    // SAFETY: `repeat` passed an R, alive on its stack.
    i64::from(!unsafe { &mut *round.cast::<R>() }.round(number as u32))
}

unsafe extern "C" fn step_of_search(_: u64, ctx: *mut c_void) -> i64 {
    // SAFETY: `find_call` passed the context, alive on its stack.
    let ctx = unsafe { *ctx.cast::<*mut xdp_md>() };
    i64::from(!xlvs_datapath::sip::search_step(&Xdp::new(ctx), &Maps(Function)))
}

struct MarkWalk<V> {
    first: u32,
    visitor: V,
}

unsafe extern "C" fn visit_mark<V: VisitMark>(place: u64, walk: *mut c_void) -> i64 {
    // SAFETY: `scan_marks` passed a MarkWalk<V>, alive on its stack.
    let walk = unsafe { &mut *walk.cast::<MarkWalk<V>>() };
    match MARKS.get(walk.first + place as u32) {
        Some(rule) => i64::from(!walk.visitor.visit(place as u32, rule)),
        None => 1,
    }
}

//! `Tables` over BPF maps.

use core::ffi::c_void;

use aya_ebpf::{
    Global,
    bindings::{BPF_NOEXIST, bpf_fib_lookup},
    btf_maps::{Array, HashMap, PerCpuArray, RingBuf},
    helpers::generated::{
        bpf_fib_lookup as fib_lookup, bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_loop,
    },
    macros::btf_map,
};
use xlvs_datapath::{
    Cell64, Insert, Reason, Route, Tables, VisitOrder,
    tables::{
        Conn, ConnKey, Dest, Event, Live, Order, Plan, Port, Service, ServiceKey, Settings, Stats,
    },
};
use xlvs_wire::Mac;

// Each limit by its name; the loader may set others where a flag says so.
const MAX_SERVICES: usize = 65_536;
const MAX_PLANS: usize = 131_072;
const MAX_ORDERS: usize = 524_288;
const MAX_DESTS: usize = 131_072;
const MAX_CONNECTIONS: usize = 1_048_576;
const MAX_PORTS: usize = 1024;
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
static LIVE: Array<Live, MAX_DESTS, BPF_F_MMAPABLE> = Array::new();
#[btf_map]
pub(crate) static STATS: PerCpuArray<Stats, MAX_DESTS> = PerCpuArray::new();
#[btf_map]
static PORTS: Array<Port, MAX_PORTS> = Array::new();
#[btf_map]
static PORT_OF: HashMap<u32, u32, MAX_PORTS> = HashMap::new();
#[btf_map]
pub(crate) static CONNS: HashMap<ConnKey, Conn, MAX_CONNECTIONS> = HashMap::new();
#[btf_map]
pub(crate) static REASONS: PerCpuArray<u64, { Reason::COUNT }> = PerCpuArray::new();
#[btf_map]
static LIMITER: Array<Cell64, 1> = Array::new();
#[btf_map]
static EVENTS: RingBuf<Event, EVENT_BYTES> = RingBuf::new();
#[btf_map]
static CLOCK: PerCpuArray<Clock, 1> = PerCpuArray::new();
#[btf_map]
static TEST_NOW: Array<u64, 1> = Array::new();
#[btf_map]
static TEST_ROUTE: Array<u64, 1> = Array::new();

/// Non-zero: clock and routes come from `TEST_NOW` and `TEST_ROUTE`, so that both homes see the
/// same. Read-only data: the verifier knows it and drops the branch not taken.
#[unsafe(no_mangle)]
static TEST: Global<u32> = Global::new(0);

#[inline(always)]
pub(crate) fn now() -> u64 {
    if TEST.load() != 0 {
        return TEST_NOW.get(0).copied().unwrap_or(0);
    }
    // SAFETY: a helper without arguments.
    let jiffies = unsafe { bpf_jiffies64() };
    let Some(clock) = CLOCK.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own copy.
    let clock = unsafe { &mut *clock };
    if clock.jiffies != jiffies {
        // SAFETY: as above.
        clock.now = unsafe { bpf_ktime_get_coarse_ns() };
        clock.jiffies = jiffies;
    }
    clock.now
}

/// The coarse clock moves when the jiffies do, and reading these is one load where asking for that
/// is a call that costs as much as a look-up: so it is asked once in a jiffy.
#[repr(C)]
struct Clock {
    jiffies: u64,
    now: u64,
}

/// The maps. What of the frame a helper needs is in the context.
#[derive(Clone, Copy)]
pub(crate) struct Maps {
    /// For `bpf_fib_lookup`.
    pub(crate) ctx: *mut c_void,
}

struct LoopState<V> {
    visitor: V,
    first: u32,
    count: u32,
    start: u32,
}

/// One instance for each `V`: a generic callback is fine.
unsafe extern "C" fn step<V: VisitOrder>(i: u64, state: *mut c_void) -> i64 {
    // SAFETY: `scan` below passed a LoopState<V>, alive on its stack.
    let s = unsafe { &mut *state.cast::<LoopState<V>>() };
    let at = s.start + i as u32;
    let position = if at >= s.count { at - s.count } else { at };
    match ORDERS.get(s.first + position) {
        Some(order) => i64::from(!s.visitor.visit(position, order)),
        None => 1,
    }
}

const AF_INET: u8 = 2;
const FIB_SUCCESS: i64 = 0;
const FIB_FWD_DISABLED: i64 = 5;
const FIB_NO_NEIGH: i64 = 7;

impl Maps {
    #[inline(always)]
    fn look_up_route(&self, src: u32, dst: u32, ifindex: u32) -> Route {
        // SAFETY: plain data, all zero is a valid request.
        let mut fib: bpf_fib_lookup = unsafe { core::mem::zeroed() };
        fib.family = AF_INET;
        fib.ifindex = ifindex;
        fib.__bindgen_anon_3.ipv4_src = src;
        fib.__bindgen_anon_4.ipv4_dst = dst;
        // SAFETY: the context is the program's own, the request is on the stack.
        let answer =
            unsafe { fib_lookup(self.ctx, &raw mut fib, size_of::<bpf_fib_lookup>() as i32, 0) };
        match answer {
            FIB_SUCCESS => match self.port_of(fib.ifindex) {
                Some(port) => Route::Found { port: port as u16, mac: Mac::new(fib.dmac).to_u64() },
                None => Route::None,
            },
            FIB_FWD_DISABLED => Route::ForwardingOff,
            FIB_NO_NEIGH => {
                // SAFETY: the kernel left the next hop's address there.
                let addr = unsafe { fib.__bindgen_anon_4.ipv4_dst };
                Route::NoNeighbour { ifindex: fib.ifindex, addr }
            }
            _ => Route::None,
        }
    }
}

impl Tables for Maps {
    type ConnRef<'a> = &'a Conn;

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
        // SAFETY: a plain number, copied out at once.
        unsafe { PORT_OF.get(&ifindex) }.copied()
    }
    #[inline(always)]
    fn port(&self, index: u32) -> Option<&Port> {
        PORTS.get(index)
    }
    #[inline(always)]
    fn conn(&self, key: &ConnKey) -> Option<&Conn> {
        // SAFETY: elements stay readable; `conn` of xlvs-datapath copes with their reuse.
        unsafe { CONNS.get(key) }
    }
    #[inline(always)]
    fn conn_insert(&self, key: &ConnKey, conn: &Conn) -> Insert {
        match CONNS.insert(key, conn, BPF_NOEXIST as u64) {
            Ok(()) => Insert::Done,
            Err(_) if self.conn(key).is_some() => Insert::Exists,
            Err(_) => Insert::Full,
        }
    }
    #[inline(always)]
    fn conn_remove(&self, key: &ConnKey) {
        let _ = CONNS.remove(key);
    }
    #[inline(always)]
    fn count(&self, reason: Reason) {
        if let Some(n) = REASONS.get_ptr_mut(reason as u32) {
            // SAFETY: this CPU's own copy.
            unsafe { *n += 1 }
        }
    }
    #[inline(always)]
    fn route(&self, src: u32, dst: u32, ifindex: u32) -> Route {
        if TEST.load() != 0 {
            return match TEST_ROUTE.get(0).copied().unwrap_or(0) {
                0 => Route::None,
                1 => Route::ForwardingOff,
                2 => Route::NoNeighbour { ifindex, addr: dst },
                mac => Route::Found { port: (mac >> 48) as u16, mac: mac & 0xffff_ffff_ffff },
            };
        }
        self.look_up_route(src, dst, ifindex)
    }
    #[inline(always)]
    fn tell(&self, event: Event) {
        let _ = EVENTS.output(&event, 0);
    }
    #[inline(always)]
    fn limiter(&self) -> Option<&Cell64> {
        LIMITER.get(0)
    }
    #[inline(always)]
    fn scan<V: VisitOrder>(&self, first: u32, count: u32, start: u32, visitor: V) -> V {
        let mut s = LoopState { visitor, first, count, start };
        // SAFETY: the callback gets `s`, alive until the helper returns.
        unsafe {
            bpf_loop(count, step::<V> as *mut c_void, (&raw mut s).cast(), 0);
        }
        s.visitor
    }
    #[inline(always)]
    fn choose(&self, plan: u32, scheduler: u32) -> u64 {
        choose_server(plan, scheduler)
    }
}

/// A function of its own to the verifier (of global linkage, numbers in and out), which walks it
/// once and not for every way that leads here.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn choose_server(plan: u32, scheduler: u32) -> u64 {
    xlvs_datapath::choose(&Maps { ctx: core::ptr::null_mut() }, plan, scheduler)
}

//! The schedulers on the tables: which destination gets a new connection.

use xlvs_sched::{
    Cache, Destinations, EXPIRATION, Kind, Load, NOBODY, Scheduler, Server, Step, Table, Visit,
    Weights, table_key,
};

use crate::{
    Newcomer, Round, Tables, VisitOrder,
    tables::{BUCKETS_IN_WORD, CacheEntry, CacheKey, Order, Plan, SET_PLACES, Service, ServiceKey},
};

/// Asks the scheduler of a service: the slot of a destination, or [`NO_SERVER`].
#[inline(always)]
pub fn choose<T: Tables>(t: &T, plan: u32, scheduler: u32) -> u64 {
    let Some(plan) = t.plan(plan) else { return NO_SERVER };
    let Some(scheduler) = Scheduler::from_number(scheduler) else { return NO_SERVER };
    let list = List { t, plan };
    // Two ways that share nothing: what remembers its place in the list asks again where another
    // CPU was faster, and the verifier walks all of that as often.
    if matches!(scheduler, Scheduler::Rr | Scheduler::Wrr) {
        in_turn(scheduler, &list)
    } else {
        match xlvs_sched::pick(scheduler, &list, 0) {
            Some(choice) => u64::from(choice.id),
            None => NO_SERVER,
        }
    }
}

/// Remembers the place. A lost race is another CPU's choice, so the next is tried.
#[inline(always)]
fn in_turn<T: Tables>(scheduler: Scheduler, list: &List<'_, T>) -> u64 {
    let mut slot = NO_SERVER;
    // Hidden from the optimiser, which would unroll the loop over every scheduler's walk.
    for _ in 0..core::hint::black_box(CHOICES) {
        let state = list.plan.state.get();
        let Some(choice) = xlvs_sched::pick(scheduler, list, state) else { return NO_SERVER };
        slot = u64::from(choice.id);
        if choice.state == state || list.plan.state.replace(state, choice.state) {
            break;
        }
    }
    slot
}

/// The server of a newcomer by whatever kind of scheduler: a slot, or [`NO_SERVER`]; None for those
/// with a cache, which are asked apart.
#[inline(always)]
pub(crate) fn by_kind<T: Tables>(t: &T, n: &Newcomer, service: &Service) -> Option<u64> {
    let Some(scheduler) = Scheduler::from_number(service.scheduler_number()) else {
        return Some(NO_SERVER);
    };
    let key = n.key();
    let flags = service.scheduler_flags();
    let (client, destination) = (u32::from_be(key.src()), u32::from_be(key.dst()));
    let port = u16::from_be(key.sport());
    let hashed = table_key(scheduler, flags, client, port, destination);
    let table = u64::from(service.table) | u64::from(service.buckets) << 32;
    Some(match scheduler.kind() {
        Kind::Walk => t.choose(service.plan, service.scheduler_number()),
        Kind::Random => t.choose_random(service.plan, n.addresses ^ n.now),
        Kind::Table => t.choose_bucket(service.plan, service.scheduler, table, hashed),
        Kind::Bounded => t.choose_bounded(service.plan, table, hashed),
        Kind::Cache => return None,
    })
}

#[inline(always)]
fn slot_of(id: u32) -> u64 {
    if id == NOBODY { NO_SERVER } else { u64::from(id) }
}

/// twos.
#[inline(always)]
pub fn choose_random<T: Tables>(t: &T, plan: u32, seed: u64) -> u64 {
    let Some(plan) = t.plan(plan) else { return NO_SERVER };
    slot_of(xlvs_sched::twos(&List { t, plan }, t.random(seed)))
}

/// dh, sh and mh: `scheduler` as [`Service::scheduler`] has it, `table` its table and buckets.
#[inline(always)]
pub fn choose_bucket<T: Tables>(t: &T, plan: u32, scheduler: u32, table: u64, key: u32) -> u64 {
    let Some(plan) = t.plan(plan) else { return NO_SERVER };
    let Some(number) = Scheduler::from_number(scheduler & 0xff) else { return NO_SERVER };
    slot_of(xlvs_sched::find(number, scheduler >> 8 & 0xff, &Buckets::new(t, plan, table), key))
}

/// chbl.
#[inline(always)]
pub fn choose_bounded<T: Tables>(t: &T, plan: u32, table: u64, key: u32) -> u64 {
    let Some(plan) = t.plan(plan) else { return NO_SERVER };
    slot_of(xlvs_sched::bounded(&List { t, plan }, &Buckets::new(t, plan, table), key))
}

/// lblc and lblcr: `of` is the service's key.
#[inline(always)]
pub(crate) fn choose_cached<T: Tables>(
    t: &T,
    plan: u32,
    scheduler: u32,
    of: u64,
    destination: u32,
    now: u64,
) -> u64 {
    let Some(plan) = t.plan(plan) else { return NO_SERVER };
    let Some(scheduler) = Scheduler::from_number(scheduler) else { return NO_SERVER };
    let entry = t.cache(&cache_key(of, destination));
    let cache = AtDestination { t, entry, of, destination };
    slot_of(xlvs_sched::cached(scheduler, &List { t, plan }, &cache, now, EXPIRATION))
}

#[inline(always)]
const fn cache_key(of: u64, destination: u32) -> CacheKey {
    CacheKey { service: ServiceKey::unpack(of), destination, reserved: 0 }
}

/// Where a slot is in a service's cache at a destination: `1 << place`, or 0.
#[inline(always)]
pub fn cache_place<T: Tables>(t: &T, of: u64, destination: u32, slot: u32) -> u32 {
    let Some(entry) = t.cache(&cache_key(of, destination)) else { return 0 };
    let mut places = 0;
    for place in 0..xlvs_sched::SET {
        places |= u32::from(entry.members[place].get() == slot) << place;
    }
    places &= !(u32::MAX << (entry.count.get() & 31));
    places & places.wrapping_neg()
}

/// A service's table of buckets.
struct Buckets<'a, T> {
    t: &'a T,
    plan: &'a Plan,
    first: u32,
    count: u32,
}

impl<'a, T> Buckets<'a, T> {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the number")]
    const fn new(t: &'a T, plan: &'a Plan, table: u64) -> Self {
        Self { t, plan, first: table as u32, count: (table >> 32) as u32 }
    }
}

impl<'a, T: Tables> Table for Buckets<'a, T> {
    type Server = Candidate<'a, T>;

    #[inline(always)]
    fn buckets(&self) -> u32 {
        self.count
    }
    #[inline(always)]
    fn get(&self, bucket: u32) -> Option<Candidate<'a, T>> {
        let word = self.t.buckets(self.first + bucket / BUCKETS_IN_WORD)?;
        let position = word >> (bucket % BUCKETS_IN_WORD * 16) & 0xffff;
        let position = position as u32;
        if position >= self.plan.count {
            return None;
        }
        let order = self.t.order(self.plan.first + position)?;
        Some(Candidate { t: self.t, order })
    }
    #[inline(always)]
    fn repeat<S: Step<Self>>(&self, rounds: u32, step: S) -> S {
        self.t.repeat(rounds, OnBuckets { table: self, step }).step
    }
}

/// A scheduler's step on a table.
struct OnBuckets<'a, 'b, T, S> {
    table: &'a Buckets<'b, T>,
    step: S,
}

impl<'b, T: Tables, S: Step<Buckets<'b, T>>> Round for OnBuckets<'_, 'b, T, S> {
    #[inline(always)]
    fn round(&mut self, number: u32) -> bool {
        self.step.step(self.table, number)
    }
}

/// A service's cache at a destination.
struct AtDestination<'a, T: Tables + 'a> {
    t: &'a T,
    entry: Option<T::CacheRef<'a>>,
    of: u64,
    destination: u32,
}

impl<T: Tables> AtDestination<'_, T> {
    /// What a number of the entry is; `none` without one.
    #[inline(always)]
    fn read<V>(&self, none: V, read: impl FnOnce(&CacheEntry) -> V) -> V {
        match &self.entry {
            Some(entry) => read(entry),
            None => none,
        }
    }
}

impl<T: Tables> Cache for AtDestination<'_, T> {
    #[inline(always)]
    fn count(&self) -> u32 {
        self.read(0, |e| e.count.get())
    }
    #[inline(always)]
    fn member(&self, rank: u32) -> u32 {
        self.read(NOBODY, |e| e.members[rank as usize & (SET_PLACES - 1)].get())
    }
    #[inline(always)]
    fn place(&self, id: u32) -> u32 {
        self.t.cache_place(self.of, self.destination, id)
    }
    #[inline(always)]
    fn set_member(&self, rank: u32, id: u32) {
        self.read((), |e| e.members[rank as usize & (SET_PLACES - 1)].set(id));
    }
    #[inline(always)]
    fn changed(&self) -> u64 {
        self.read(0, |e| e.changed.get())
    }
    #[inline(always)]
    fn set_count(&self, count: u32, now: u64) {
        self.read((), |e| {
            e.count.set(count);
            e.changed.set(now);
        });
    }
    #[inline(always)]
    fn touch(&self, now: u64) {
        self.read((), |e| e.touched.set(now));
    }
    #[inline(always)]
    fn insert(&self, id: u32, now: u64) {
        self.t.cache_insert(&cache_key(self.of, self.destination), id, now);
    }
}

/// A plan as the schedulers see it.
struct List<'a, T> {
    t: &'a T,
    plan: &'a Plan,
}

struct Candidate<'a, T> {
    t: &'a T,
    order: &'a Order,
}

impl<T: Tables> Server for Candidate<'_, T> {
    #[inline(always)]
    fn id(&self) -> u32 {
        self.order.slot
    }
    #[inline(always)]
    fn weight(&self) -> u32 {
        self.order.weight()
    }
    #[inline(always)]
    fn overloaded(&self) -> bool {
        self.order.is_limited() && self.t.is_overloaded(self.order.slot)
    }
    #[inline(always)]
    fn load(&self) -> Load {
        match self.t.live(self.order.slot) {
            Some(l) => Load { active: l.active.get(), inactive: l.inactive.get() },
            None => Load::default(),
        }
    }
    #[inline(always)]
    fn load_and_weight(&self) -> Option<(Load, u32)> {
        let l = self.t.live(self.order.slot)?;
        let open = l.overloaded.get().wrapping_sub(1);
        let load = Load { active: l.active.get(), inactive: l.inactive.get() };
        Some((load, self.order.weight() & open))
    }
}

/// A scheduler's visitor on the orders of a plan.
struct OnOrders<'a, T, V> {
    t: &'a T,
    visitor: V,
}

impl<T: Tables, V: Visit> VisitOrder for OnOrders<'_, T, V> {
    const WHOLE: bool = V::WHOLE;
    const FEW: bool = V::FEW;

    #[inline(always)]
    fn visit(&mut self, position: u32, order: &Order) -> bool {
        self.visitor.visit(position, &Candidate { t: self.t, order })
    }
}

impl<T: Tables> Destinations for List<'_, T> {
    #[inline(always)]
    fn count(&self) -> u32 {
        self.plan.count
    }
    #[inline(always)]
    fn scan<V: Visit>(&self, start: u32, visitor: V) -> V {
        let on_orders = OnOrders { t: self.t, visitor };
        self.t.scan(self.plan.first, self.plan.count, start, on_orders).visitor
    }
    #[inline(always)]
    fn weights(&self) -> Weights {
        Weights { divisor: self.plan.divisor, max: self.plan.max_weight }
    }
}

/// Of [`choose`]: no server may have the connection.
pub const NO_SERVER: u64 = u64::MAX;
/// How often a scheduler whose memory another CPU moved is asked. Who loses so often takes its last
/// choice, and two connections in a row have the same server: the verifier walks each try.
const CHOICES: u32 = 2;

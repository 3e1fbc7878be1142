//! What a home of the data path offers: the tables, and a way back to clients.

use core::ops::Deref;

use xlvs_wire::Packet;

use crate::{
    Admission, Cell64, Details, Newcomer, Reason,
    conn::Beginning,
    mark::VisitMark,
    policy::{AccessKey, Client, ClientKey, ServicePolicy},
    sip::Search,
    tables::{
        CacheEntry, CacheKey, Conn, ConnKey, Dest, Live, Notes, Order, Plan, Port, Service,
        ServiceKey, Settings, Stats, Word,
    },
};

/// What became of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// It is there now.
    Done,
    /// Somebody else's was there first.
    Exists,
    /// There is no room.
    Full,
}

/// The way to an address, as the host's routing tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// By this port to this neighbour ([`Mac::to_u64`](xlvs_wire::Mac::to_u64)).
    Found {
        /// Index into `ports`.
        port: u16,
        /// The neighbour.
        mac: u64,
    },
    /// The neighbour on that way did not answer yet; userspace was asked to see to it.
    NoNeighbour,
    /// There is no route.
    None,
    /// The host must not forward.
    ForwardingOff,
}

/// The body of a loop over the orders of a plan: a value with a method, because the kernel's
/// `bpf_loop` hands its callback one pointer.
pub trait VisitOrder {
    /// [`Visit::WHOLE`](xlvs_sched::Visit::WHOLE).
    const WHOLE: bool;
    /// [`Visit::FEW`](xlvs_sched::Visit::FEW).
    const FEW: bool;
    /// False stops the loop.
    fn visit(&mut self, position: u32, order: &Order) -> bool;
}

/// The body of a counted loop, a value for the same reason.
pub trait Round {
    /// False stops the loop.
    fn round(&mut self, number: u32) -> bool;
}

/// The tables. Everything takes `&self`: entries change through their cells, and several CPUs share
/// the tables in the kernel anyway. An entry that was looked up stays readable when it is removed;
/// in the kernel it may then turn into another one, which is why a [`Word`]
/// holds all that a state change needs to be sure of.
pub trait Tables {
    /// `&Conn` in the kernel, a counted reference in userspace.
    type ConnRef<'a>: Deref<Target = Conn>
    where
        Self: 'a;

    /// The same for caches.
    type CacheRef<'a>: Deref<Target = CacheEntry>
    where
        Self: 'a;

    /// What is the same for all packets.
    fn settings(&self) -> Option<&Settings>;
    /// The service of this key.
    fn service(&self, key: &ServiceKey) -> Option<Service>;
    /// A plan by its index.
    fn plan(&self, index: u32) -> Option<&Plan>;
    /// A destination by its slot.
    fn dest(&self, slot: u32) -> Option<&Dest>;
    /// Its connections.
    fn live(&self, slot: u32) -> Option<&Live>;
    /// Changes its counters (of this CPU).
    fn stats(&self, slot: u32, change: impl FnOnce(&mut Stats));
    /// The index of the port of this interface.
    fn port_of(&self, ifindex: u32) -> Option<u32>;
    /// A port by its index.
    fn port(&self, index: u32) -> Option<&Port>;
    /// The connection of this key.
    fn conn(&self, key: &ConnKey) -> Option<Self::ConnRef<'_>>;
    /// Puts a connection in, if there is none of its key.
    fn conn_insert(&self, key: &ConnKey, conn: &Conn) -> Insert;
    /// Takes a connection out.
    fn conn_remove(&self, key: &ConnKey);
    /// Counts a packet.
    fn count(&self, reason: Reason);
    /// The way to `dst` for a packet of `len` bytes from `src` that came by `ifindex`.
    fn route(&self, src: u32, dst: u32, ifindex: u32) -> Route;
    /// Counts the ICMP messages of the present tick.
    fn limiter(&self) -> Option<&Cell64>;
    /// Shows `visitor` the orders `first..first + count`, beginning with the `start`th and
    /// wrapping, until it says no. By value: the kernel's callback finds it on the stack.
    fn scan<V: VisitOrder>(&self, first: u32, count: u32, start: u32, visitor: V) -> V;
    /// An order by its place.
    fn order(&self, index: u32) -> Option<&Order>;
    /// A word of buckets.
    fn buckets(&self, word: u32) -> Option<u64>;
    /// Runs `round` for 0..rounds until it says no.
    fn repeat<R: Round>(&self, rounds: u32, round: R) -> R;
    /// Shows `visitor` the `count` rules for marks from `first` on until it says no.
    fn scan_marks<V: VisitMark>(&self, first: u32, count: u32, visitor: V) -> V;
    /// A service's cache at a destination.
    fn cache(&self, key: &CacheKey) -> Option<Self::CacheRef<'_>>;
    /// Begins one, with one server; may do nothing.
    fn cache_insert(&self, key: &CacheKey, slot: u32, now: u64);
    /// What one part of a newcomer's way tells the next.
    fn notes(&self) -> Option<&Notes>;
    /// The search for a call of this CPU.
    fn search(&self) -> Option<&Search> {
        None
    }
    /// Keeps what that search found beside the template of this key; may do nothing.
    fn call_insert(&self, _key: &ConnKey) {}
    /// The template is removed.
    fn call_remove(&self, _key: &ConnKey) {}
    /// [`find_call`](crate::sip::find_call), by whatever way the home calls it.
    fn find_call<P: Packet>(&self, p: &P)
    where
        Self: Sized,
    {
        crate::sip::find_call(p, self);
    }
    /// A uniform number, new each time.
    fn random(&self, seed: u64) -> u64;

    /// [`choose`](crate::choose()), by whatever way the home calls it.
    fn choose(&self, plan: u32, scheduler: u32) -> u64
    where
        Self: Sized,
    {
        crate::choose(self, plan, scheduler)
    }
    /// [`answer`](crate::answer()), by whatever way the home calls it. The packet must not be
    /// looked at afterwards.
    fn answer<P: Packet>(&self, p: &mut P, now: u64, reason: Reason, details: Details) -> Reason
    where
        Self: Sized,
    {
        crate::answer(p, self, now, reason, details)
    }
    /// [`stray`](crate::stray()), by whatever way the home calls it.
    fn stray(&self, addr: u32, port: u16, protocol: u16) -> u64
    where
        Self: Sized,
    {
        crate::stray(self, addr, port, protocol)
    }
    /// [`begin`](crate::conn::begin), by whatever way the home calls it.
    fn begin(&self, beginning: &Beginning, dest: &Dest) -> Admission
    where
        Self: Sized,
    {
        crate::conn::begin(self, beginning, dest)
    }
    /// What a list says of a client, by the longest match: `ACCESS_*`, or 0.
    fn access(&self, _key: &AccessKey) -> u32 {
        0
    }
    /// What is set for a service.
    fn service_policy(&self, _index: u32) -> Option<&ServicePolicy> {
        None
    }
    /// Looks at a network of clients, if there is such an entry.
    fn with_client<V>(&self, _key: &ClientKey, _look: impl FnOnce(&Client) -> V) -> Option<V> {
        None
    }
    /// Begins an entry for a network of clients, if there is none; may do nothing.
    fn client_insert(&self, _key: &ClientKey) {}
    /// `METER_*`.
    fn meter(&self, _which: u32) -> Option<&Cell64> {
        None
    }
    /// [`gate`](crate::gate()), by whatever way the home calls it.
    fn gate(&self, client: u32, now: u64, of: u64, policy: u32) -> u32
    where
        Self: Sized,
    {
        crate::gate(self, client, now, of, policy)
    }
    /// [`tally`](crate::tally()), by whatever way the home calls it.
    fn tally(&self, slot: u32, client: u32, begins: bool)
    where
        Self: Sized,
    {
        crate::tally(self, slot, client, begins);
    }
    /// [`own_timeout`](crate::own_timeout()), by whatever way the home calls it.
    fn own_timeout(&self, slot: u32, index: u32) -> u64
    where
        Self: Sized,
    {
        crate::own_timeout(self, slot, index)
    }
    /// A server with thresholds has a connection more, or less: [`Live::weigh`], by whatever way
    /// the home calls it.
    fn weigh(&self, slot: u32, begins: bool)
    where
        Self: Sized,
    {
        crate::conn::weigh(self, slot, begins);
    }
    /// Whether a server with thresholds gets no more connections.
    #[inline(always)]
    fn is_overloaded(&self, slot: u32) -> bool {
        self.live(slot).is_some_and(|live| live.overloaded.get() != 0)
    }
    /// [`bury`](crate::conn::bury), by whatever way the home calls it.
    fn bury(&self, key: &ConnKey, seen: Word, now: u64)
    where
        Self: Sized,
    {
        crate::conn::bury(self, key, seen, now);
    }
    /// [`choose_random`](crate::choose_random()), by whatever way the home calls it.
    fn choose_random(&self, plan: u32, seed: u64) -> u64
    where
        Self: Sized,
    {
        crate::choose_random(self, plan, seed)
    }
    /// [`choose_bucket`](crate::choose_bucket()), by whatever way the home calls it.
    fn choose_bucket(&self, plan: u32, scheduler: u32, table: u64, key: u32) -> u64
    where
        Self: Sized,
    {
        crate::choose_bucket(self, plan, scheduler, table, key)
    }
    /// [`choose_bounded`](crate::choose_bounded()), by whatever way the home calls it.
    fn choose_bounded(&self, plan: u32, table: u64, key: u32) -> u64
    where
        Self: Sized,
    {
        crate::choose_bounded(self, plan, table, key)
    }
    /// [`mark`](mod@crate::mark), by whatever way the home calls it.
    fn mark(&self, newcomer: &Newcomer) -> u32
    where
        Self: Sized,
    {
        crate::newcomers_mark(self, newcomer)
    }
    /// Where a slot is in a service's cache at a destination: [`xlvs_sched::Cache::place`], by
    /// whatever way the home calls it. `of` is the service's key.
    fn cache_place(&self, of: u64, destination: u32, slot: u32) -> u32
    where
        Self: Sized,
    {
        crate::cache_place(self, of, destination, slot)
    }
}

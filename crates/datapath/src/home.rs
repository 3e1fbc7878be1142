//! What a home of the data path offers: the tables, and a way back to clients.

use core::ops::Deref;

use xlvs_wire::Packet;

use crate::{
    Admission, Cell64, Newcomer, Reason,
    conn::Beginning,
    tables::{Conn, ConnKey, Dest, Live, Order, Plan, Port, Service, ServiceKey, Settings, Stats},
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
    /// False stops the loop.
    fn visit(&mut self, position: u32, order: &Order) -> bool;
}

/// The tables. Everything takes `&self`: entries change through their cells, and several CPUs share
/// the tables in the kernel anyway. An entry that was looked up stays readable when it is removed;
/// in the kernel it may then turn into another one, which is why a [`Word`](crate::tables::Word)
/// holds all that a state change needs to be sure of.
pub trait Tables {
    /// `&Conn` in the kernel, a counted reference in userspace.
    type ConnRef<'a>: Deref<Target = Conn>
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
    /// [`choose`](crate::choose()), by whatever way the home calls it.
    fn choose(&self, plan: u32, scheduler: u32) -> u64
    where
        Self: Sized,
    {
        crate::choose(self, plan, scheduler)
    }
    /// [`answer`](crate::answer()), by whatever way the home calls it. The packet must not be looked
    /// at afterwards.
    fn answer<P: Packet>(&self, p: &mut P, now: u64, reason: Reason, room: u16) -> Reason
    where
        Self: Sized,
    {
        crate::answer(p, self, now, reason, room)
    }
    /// [`begin`](crate::conn::begin), by whatever way the home calls it.
    fn begin(&self, beginning: &Beginning, dest: &Dest) -> Admission
    where
        Self: Sized,
    {
        crate::conn::begin(self, beginning, dest)
    }
    /// [`admit`](crate::admit()), by whatever way the home calls it.
    fn admit(&self, newcomer: &Newcomer) -> Admission
    where
        Self: Sized,
    {
        crate::admit(self, newcomer)
    }
}

//! What the tables hold. Layouts are the maps' (`repr(C)`, no padding); changing one changes the
//! ABI: see [`ABI`]. Addresses and ports are in wire order unless a name ends in `_host`.
//!
//! ```text
//! services: ServiceKey -> Service -> plans[plan] -> orders[first..first + count] -> dests[slot]
//! connections: ConnKey -> Conn -> dests[slot]           live[slot], stats[slot] beside dests[slot]
//! ```
//!
//! A service's servers are a *plan*: an immutable run of `orders` and the scheduler's memory of
//! where it was. Any change of the list writes a new plan elsewhere and then swaps the service's
//! element, so a packet sees all of the old list or all of the new. A destination keeps its slot
//! until its last connection is gone, so connections name it by number.

mod flow;

use xlvs_sched::overload;
use xlvs_wire::{Mac, Macs};

pub use self::flow::{ConnKey, Word};
use crate::{Cell32, Cell64, policy::Policy};

/// The version of the layouts below. Tables of another version are migrated, entry by entry.
pub const ABI: u32 = if cfg!(feature = "abi-next") { 3 } else { 2 };

/// What identifies a service. All zero but the address: "this address has services".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// Virtual address.
    pub addr: u32,
    /// Virtual port.
    pub port: u16,
    /// IP protocol.
    pub protocol: u16,
}

impl ServiceKey {
    /// In one number.
    #[inline(always)]
    pub const fn pack(&self) -> u64 {
        self.addr as u64 | (self.port as u64) << 32 | (self.protocol as u64) << 48
    }
    /// Out of one.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the fields of the number")]
    pub const fn unpack(key: u64) -> Self {
        Self { addr: key as u32, port: (key >> 32) as u16, protocol: (key >> 48) as u16 }
    }
}

/// [`ServiceKey::protocol`] of a service for packets with a mark, which then is its address.
pub const MARK_PROTOCOL: u16 = 0x100;

/// A virtual service: which plan is in force, and how its connections are spread.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Index into `plans`.
    pub plan: u32,
    /// From the lowest byte: a [`Scheduler`](xlvs_sched::Scheduler) as a number, its flags, and
    /// `SERVICE_*` (16 bits). A scheduler that walks, and nothing else: a plain service.
    pub scheduler: u32,
    /// Where its table of buckets begins in `buckets`, in words of [`BUCKETS_IN_WORD`].
    pub table: u32,
    /// How many buckets it has.
    pub buckets: u32,
    /// With [`SERVICE_PERSISTENT`]: how long a client keeps its server, in seconds...
    pub persistence: u32,
    /// ...and which bits of the client's address tell it from another.
    pub mask: u32,
    /// Index into `policies`; 0: none.
    pub policy: u32,
    /// Room.
    pub reserved: u32,
}

impl Service {
    /// Newcomers need nothing but a walk over the list of servers.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.scheduler < FIRST_OTHER_KIND
    }
    /// The scheduler's number.
    #[inline(always)]
    pub const fn scheduler_number(&self) -> u32 {
        self.scheduler & 0xff
    }
    /// The scheduler's flags.
    #[inline(always)]
    pub const fn scheduler_flags(&self) -> u32 {
        self.scheduler >> 8 & 0xff
    }
    /// Any of `SERVICE_*` is set.
    #[inline(always)]
    pub const fn has(&self, flags: u32) -> bool {
        self.scheduler & flags != 0
    }
}

/// The schedulers before it walk: see [`Service::is_plain`].
const FIRST_OTHER_KIND: u32 = xlvs_sched::Scheduler::Twos as u32;
const _: () = assert!(FIRST_OTHER_KIND == 8);

/// [`Service::scheduler`]: clients keep their server.
pub const SERVICE_PERSISTENT: u32 = 1 << 16;
/// [`Service::scheduler`]: each packet is scheduled by itself.
pub const SERVICE_ONE_PACKET: u32 = 1 << 17;
/// [`Service::scheduler`]: it has a [`ServicePolicy`](crate::policy::ServicePolicy).
pub const SERVICE_POLICY: u32 = 1 << 18;
/// [`Service::scheduler`], with [`SERVICE_PERSISTENT`]: it is SIP's calls that keep their server.
pub const SERVICE_CALLS: u32 = 1 << 19;

/// Buckets in an element of `buckets`: positions in the list of servers, 16 bits each.
pub const BUCKETS_IN_WORD: u32 = 4;

/// What a service's cache (lblc, lblcr) is asked with.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// The service.
    pub service: ServiceKey,
    /// The destination address of its packets.
    pub destination: u32,
    /// Room.
    pub reserved: u32,
}

/// Places in [`CacheEntry::members`].
pub const SET_PLACES: usize = xlvs_sched::SET.next_power_of_two();

/// The servers of a destination: lblc has one, lblcr a set.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct CacheEntry {
    /// The slots, the one that joined last first; a place more than a set has, for a mask's sake.
    pub members: [Cell32; SET_PLACES],
    /// How many there are.
    pub count: Cell32,
    /// Room.
    pub reserved: u32,
    /// When the set last changed, in nanoseconds.
    pub changed: Cell64,
    /// When it was last asked for.
    pub touched: Cell64,
}

/// A list of servers in force, and the scheduler's memory.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the scheduler is: see `xlvs_sched`.
    pub state: Cell64,
    /// The first of its orders.
    pub first: u32,
    /// How many follow.
    pub count: u32,
    /// wrr: greatest common divisor of the weights.
    pub divisor: u32,
    /// wrr: greatest weight less (divisor - 1).
    pub max_weight: u32,
}

/// A server's place in a plan.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Index into `dests`.
    pub slot: u32,
    /// Its weight, and [`ORDER_LIMITED`].
    pub weight: u32,
}

impl Order {
    /// Of a server with thresholds or without.
    #[inline(always)]
    pub const fn new(slot: u32, weight: u32, limited: bool) -> Self {
        Self { slot, weight: weight & !ORDER_LIMITED | if limited { ORDER_LIMITED } else { 0 } }
    }
    /// Its weight.
    #[inline(always)]
    pub const fn weight(&self) -> u32 {
        self.weight & !ORDER_LIMITED
    }
    /// Its [`Live`] tells whether it may have more connections.
    #[inline(always)]
    pub const fn is_limited(&self) -> bool {
        self.weight & ORDER_LIMITED != 0
    }
}

/// [`Order::weight`]: the server has an upper threshold.
pub const ORDER_LIMITED: u32 = 1 << 31;

/// A real server: one cache line, written by userspace alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dest {
    /// Its address.
    pub addr: u32,
    /// The host's own address on the way to it: the source of tunnels, and of ICMP messages.
    pub tunnel_src: u32,
    /// The address of the service it belongs to.
    pub vaddr: u32,
    /// Its port; 0: the one that the client asked for.
    pub port: u16,
    /// The port of the service it belongs to; see [`Dest::ports`].
    pub vport: u16,
    /// IP protocol of the service; 0: it is a mark's, and `vaddr` is the mark.
    pub protocol: u8,
    /// Forwarding method of new connections: `METHOD_*`.
    pub method: u8,
    /// `DEST_*`.
    pub flags: u8,
    /// Which of `hops` is in force.
    pub hop: u8,
    /// The next hop, and room to write the next one before it is put in force.
    pub hops: [Hop; 2],
    /// [`Dest::sealed`] says it: what a packet that takes the short way needs to know, in one word.
    pub ready: u32,
}

impl Dest {
    /// The server's own port, by which it is known, and the port of its service.
    pub const fn ports(&self) -> (u16, u16) {
        if self.flags & DEST_KEEPS_PORT == 0 { (self.port, self.vport) } else { (self.vport, 0) }
    }
    /// The same with [`Dest::ready`] as the other fields have it. Homes call it where they write.
    #[must_use]
    pub const fn sealed(mut self) -> Self {
        self.ready = Ready::of(&self).0;
        self
    }
    /// In its service's list, and what its clients send may reach it.
    #[inline(always)]
    pub const fn is_in_service(&self) -> bool {
        self.flags & (DEST_AVAILABLE | DEST_RESET) == DEST_AVAILABLE
    }
    /// As it was before [`Dest::sealed`].
    #[must_use]
    pub const fn opened(mut self) -> Self {
        self.ready = 0;
        self
    }
}

/// What a packet of a known connection needs to know of its server before it is sent: what it may
/// measure (16 bits from the lowest), the forwarding method (8), and which hop is in force (8). 0:
/// it takes the whole way, as the server was removed, is down or its neighbour is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready(pub u32);

impl Ready {
    const fn of(d: &Dest) -> Self {
        let hop = &d.hops[d.hop as usize & 1];
        if !d.is_in_service() || hop.kind != HOP_NEIGHBOUR {
            return Self(0);
        }
        let overhead = if d.method == METHOD_TUNNEL { TUNNEL_OVERHEAD } else { 0 };
        let room = hop.mtu.saturating_sub(overhead);
        Self(room as u32 | (d.method as u32) << 16 | (d.hop as u32 & 1) << 24)
    }
    /// May a packet of `len` bytes go by `method`?
    #[inline(always)]
    pub const fn takes(self, method: u8, len: u16) -> bool {
        self.0 >> 16 & 0xff == method as u32 && len as u32 <= self.0 & 0xffff
    }
    /// Which hop.
    #[inline(always)]
    pub const fn hop(self) -> usize {
        (self.0 >> 24) as usize & 1
    }
}

/// Bytes that a tunnel puts before a packet: an IPv4 header.
pub const TUNNEL_OVERHEAD: u16 = 20;

/// Where frames go.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// The neighbour, and our own address on that interface.
    pub macs: Macs,
    /// By which interface.
    pub ifindex: u32,
    /// What an IP packet may measure there.
    pub mtu: u16,
    /// `HOP_*`.
    pub kind: u16,
}

/// Connections of a destination, for the schedulers: always equal to a census of the table.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Live {
    /// In ESTABLISHED, `SYN_SENT`, `SYN_RECV` or SYNACK.
    pub active: Cell32,
    /// All others.
    pub inactive: Cell32,
    /// From so many on it gets no more (`ipvsadm -x`); 0: there is no such threshold.
    pub upper: Cell32,
    /// And with less than so many it does again; 0: three quarters (`ipvsadm -y`).
    pub lower: Cell32,
    /// 1: it gets no more (`IP_VS_DEST_F_OVERLOAD`).
    pub overloaded: Cell32,
    /// Room.
    pub reserved: u32,
}

impl Live {
    /// All of its connections.
    #[inline(always)]
    pub fn total(&self) -> u32 {
        self.active.get().wrapping_add(self.inactive.get())
    }
    /// The thresholds and whether they are reached, after a connection began (or ended).
    #[inline(always)]
    pub fn weigh(&self, begins: bool) {
        self.weigh_at(self.total(), begins);
    }
    /// The same with so many connections.
    #[inline(always)]
    pub fn weigh_at(&self, total: u32, begins: bool) {
        let (before, upper) = (self.overloaded.get() != 0, self.upper.get());
        let after = if begins {
            overload::after_connect(before, total, upper)
        } else {
            overload::after_close(before, total, upper, self.lower.get())
        };
        if after != before {
            self.overloaded.set(u32::from(after));
        }
    }
    /// Other thresholds.
    pub fn set_thresholds(&self, upper: u32, lower: u32) {
        self.upper.set(upper);
        self.lower.set(lower);
        let before = self.overloaded.get() != 0;
        let after = overload::after_edit(before, self.total(), upper, lower);
        self.overloaded.set(u32::from(after));
    }
}

/// Counters of a destination, one for each CPU: plain additions.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets from servers.
    pub out_packets: u64,
    /// Bytes from clients, IP header included.
    pub in_bytes: u64,
    /// Bytes from servers, IP header included.
    pub out_bytes: u64,
}

/// What each CPU keeps for itself.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct PerCpu {
    /// When the clock was last asked: it moves with the jiffies.
    pub jiffies: u64,
    /// What it said, in nanoseconds.
    pub now: u64,
    /// How often each [`Reason`](crate::Reason) was counted; as long as a mask wants it.
    pub reasons: [u64; REASON_COUNTERS],
    /// What one part of a newcomer's way tells the next.
    pub notes: Notes,
}

/// What one part of a newcomer's way tells the next: the kernel's stack is short, and so each part
/// is a program of its own.
#[repr(C)]
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// The service's key: [`ServiceKey::pack`].
    pub service: Cell64,
    /// The word of the entry that is over, as it was judged; 0: there was none.
    pub seen: Cell64,
    /// The slot that was chosen, or [`NO_SERVER`](crate::NO_SERVER).
    pub slot: Cell64,
    /// The word of the client's template; 0: there is none yet.
    pub template: Cell64,
    /// The number of the call that the newcomer belongs to; 0: that is nothing to its service. See
    /// `sip.rs`.
    pub call: Cell64,
}

/// Counters in [`PerCpu::reasons`].
pub const REASON_COUNTERS: usize = 64;
const _: () = assert!(crate::Reason::COUNT <= REASON_COUNTERS);

/// A connection, or with NAT its entry for answers, which keeps a copy of the word and its own
/// expiry: an established connection touches one entry in either direction.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Conn {
    /// The next version's tables have room for more.
    #[cfg(feature = "abi-next")]
    pub next: u64,
    /// When it dies if nothing comes, in nanoseconds of the monotonic clock.
    pub expires: Cell64,
    /// State, flags, generation and destination in one, for compare-and-swap: see [`Word`].
    pub word: Cell64,
    /// Entries for answers: the way to the client; at first, the way that the connection came by.
    /// The neighbour's Ethernet address in the low 48 bits, the index of the port in the high 16.
    /// Good while the tick in `origin` is the present one. Clients' entries: which template
    /// controls them; templates: how many they control. See `template.rs`.
    pub hop: Cell64,
    /// Entries for answers: the service's address (32 bits) and port (16), and when `hop` was
    /// found. Clients' entries: when `expires` is to be put off next.
    pub origin: Cell64,
}

impl Conn {
    /// An entry that is made; `hop` and `origin` are 0 but in entries for answers.
    #[inline(always)]
    pub const fn new(expires: u64, word: Word, hop: u64, origin: u64) -> Self {
        Self {
            #[cfg(feature = "abi-next")]
            next: 0,
            expires: Cell64::new(expires),
            word: Cell64::new(word.0),
            hop: Cell64::new(hop),
            origin: Cell64::new(origin),
        }
    }
}

/// An interface of the host, by a small number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// The kernel's number for it.
    pub ifindex: u32,
    /// What an IP packet may measure there; 0: no such port.
    pub mtu: u16,
    /// Our address there.
    pub mac: Mac,
}

/// What is the same for all packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Idle timeouts in nanoseconds, by [`Timeout`](crate::state) index.
    pub timeouts: [u64; 16],
    /// How many services there are: with none, every packet is the kernel's.
    pub services: u32,
    /// `SETTING_*`.
    pub flags: u32,
    /// Bumped when routes or neighbours change: the ways to clients are then looked up anew.
    pub routes: u32,
    /// Where the rules for marks begin in `marks` (the high 16 bits), and how many there are; 0:
    /// packets have no marks.
    pub marks: u32,
    /// What was set by the kernel's names, and ours.
    pub policy: Policy,
}

impl CacheEntry {
    /// Of one server.
    #[inline(always)]
    pub const fn new(slot: u32, now: u64) -> Self {
        let mut members = [const { Cell32::new(xlvs_sched::NOBODY) }; SET_PLACES];
        members[0] = Cell32::new(slot);
        Self {
            members,
            count: Cell32::new(1),
            reserved: 0,
            changed: Cell64::new(now),
            touched: Cell64::new(now),
        }
    }
}

/// What XDP asks of userspace.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// `EVENT_*`.
    pub kind: u32,
    /// The interface concerned.
    pub ifindex: u32,
    /// The address concerned.
    pub addr: u32,
    /// Room.
    pub reserved: u32,
}

/// [`Word::flags`]: the forwarding method, `METHOD_*`.
pub const CONN_METHOD: u8 = 0x03;
/// [`Word::flags`]: no packet from the server was seen (`IP_VS_CONN_F_NOOUTPUT`).
pub const CONN_NO_OUTPUT: u8 = 0x04;
/// [`Word::flags`]: counts as inactive (`IP_VS_CONN_F_INACTIVE`).
pub const CONN_INACTIVE: u8 = 0x08;
/// [`Word::flags`]: the entry for answers of a connection by NAT.
pub const CONN_REPLY: u8 = 0x10;
/// [`Word::flags`]: claimed by whoever removes the entry; nobody else may change it.
pub const CONN_DEAD: u8 = 0x20;
/// [`Word::flags`]: no connection but a persistence template.
pub const CONN_TEMPLATE: u8 = 0x40;

/// [`Word::flags`]: its service has timeouts of its own: it always takes the whole way.
pub const CONN_TIMED: u8 = 0x80;

/// Of the meters: which newcomer is dropped next (`drop_packet`).
pub const METER_DROPS: u32 = 0;
/// Of the meters: connections, while `conn_max` is set; userspace puts it right now and then.
pub const METER_CONNECTIONS: u32 = 1;
/// Of the meters: no meter, but the first of two halves of the key that calls are numbered by.
pub const METER_CALL_KEY: u32 = 2;
/// How many meters there are.
pub const METERS: usize = 4;

/// Forwarding methods, numbered as the kernel does (`IP_VS_CONN_F_MASQ`...).
pub const METHOD_MASQ: u8 = 0;
/// IP in IP.
pub const METHOD_TUNNEL: u8 = 2;
/// Direct routing.
pub const METHOD_ROUTE: u8 = 3;

/// [`Dest::flags`]: the slot is taken.
pub const DEST_USED: u8 = 0x01;
/// [`Dest::flags`]: the server is in its service's list (`IP_VS_DEST_F_AVAILABLE`).
pub const DEST_AVAILABLE: u8 = 0x02;
/// [`Dest::flags`]: its weight is 0.
pub const DEST_QUIESCED: u8 = 0x04;
/// [`Dest::flags`]: its clients keep the port that they asked for, though it has one of its own: as
/// the kernel has it for services of all ports and of marks that keep clients
/// (`ip_vs_sched_persist`). [`Dest::port`] is then 0, and [`Dest::vport`], which such services have
/// no use for, holds the server's.
pub const DEST_KEEPS_PORT: u8 = 0x08;

/// [`Dest::flags`]: it is down, and its clients are told: all they send becomes a reset to either
/// side, so that those who only wait need but be made to say something.
pub const DEST_RESET: u8 = 0x10;

/// [`Dest::flags`]: it leaves its service as soon as its connections are over, and templates no
/// longer lead to it.
pub const DEST_LEAVING: u8 = 0x20;

/// [`Hop::kind`]: nobody answers yet.
pub const HOP_UNKNOWN: u16 = 0;
/// [`Hop::kind`]: to a neighbour.
pub const HOP_NEIGHBOUR: u16 = 1;
/// [`Hop::kind`]: the server is this host.
pub const HOP_LOCAL: u16 = 2;

/// [`Settings::flags`]: connections are being moved here from older tables; what is not here yet
/// may still come.
pub const SETTING_MIGRATING: u32 = 0x01;
/// [`Settings::flags`]: newcomers need more than their service: marks, limits or lists of clients.
pub const SETTING_CAREFUL: u32 = 0x02;
/// [`Settings::flags`]: some service takes every port of its address, or is FTP's.
pub const SETTING_ALL_PORTS: u32 = 0x04;
/// [`Settings::flags`]: some server that was removed, or is down, may have connections still.
pub const SETTING_REMOVED: u32 = 0x08;

/// [`Event::kind`]: the neighbour `addr` on `ifindex` is wanted.
pub const EVENT_NEIGHBOUR: u32 = 1;

const _: () = assert!(size_of::<Dest>() == 64 && size_of::<Hop>() == 20);
const _: () = assert!(size_of::<Port>() == 12 && size_of::<Plan>() == 24);
const _: () = assert!(size_of::<Service>() == 32 && size_of::<CacheKey>() == 16);
const _: () = assert!(size_of::<CacheEntry>() == 88);
const _: () = assert!(size_of::<ConnKey>() == 16 && size_of::<Event>() == 16);
const _: () = assert!(cfg!(feature = "abi-next") || size_of::<Conn>() == 32);
const _: () = assert!(size_of::<Live>() == 24 && size_of::<Order>() == 8);
const _: () = assert!(size_of::<Settings>() == 160 && size_of::<Stats>() == 40);

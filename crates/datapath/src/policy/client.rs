//! What a service asks beside the director: timeouts of its own, and how much one network of
//! clients may have.

use crate::{
    Cell32, Cell64,
    state::{ESTABLISHED, FIN_WAIT, TIMEOUT_UDP},
    tables::ServiceKey,
};

/// What is set for one service.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServicePolicy {
    /// Idle timeouts in nanoseconds, of TCP in ESTABLISHED, in `FIN_WAIT`, and of UDP; 0: as
    /// everywhere.
    pub timeouts: [u64; 3],
    /// Nanoseconds between two new connections of one network of clients at the rate allowed; 0: no
    /// limit.
    pub rate_interval: u64,
    /// How many nanoseconds of that rate may be used at once: as many intervals as connections in a
    /// burst.
    pub rate_burst: u64,
    /// Connections that one network of clients may have; 0: no limit.
    pub client_max: u32,
    /// Which bits of a client's address make its network, in wire order.
    pub client_mask: u32,
    /// 1: the service has lists of its own of clients that may or may not come in.
    pub has_access: u32,
    /// Room.
    pub reserved: u32,
}

impl ServicePolicy {
    /// The service's own timeout of this [index](crate::state::timeout_index), 0: there is none.
    #[inline(always)]
    pub const fn timeout(&self, index: usize) -> u64 {
        let [established, fin_wait, udp] = self.timeouts;
        if index == ESTABLISHED as usize {
            established
        } else if index == FIN_WAIT as usize {
            fin_wait
        } else if index == TIMEOUT_UDP as usize {
            udp
        } else {
            0
        }
    }

    /// Some timeout is its own.
    #[inline(always)]
    pub const fn has_timeouts(&self) -> bool {
        self.timeouts[0] | self.timeouts[1] | self.timeouts[2] != 0
    }

    /// Clients are counted.
    #[inline(always)]
    pub const fn counts_clients(&self) -> bool {
        self.client_max != 0 || self.rate_interval != 0
    }
}

/// A network of clients of a service.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey {
    /// The service.
    pub service: ServiceKey,
    /// The network's first address, in wire order.
    pub network: u32,
}

impl ClientKey {
    /// The network of a client.
    #[inline(always)]
    pub const fn new(service: ServiceKey, addr: u32, mask: u32) -> Self {
        Self { service, network: addr & mask }
    }
}

/// What a network of clients has.
#[repr(C)]
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// When its share of the rate is whole again: see [`take`].
    pub whole_at: Cell64,
    /// Its connections.
    pub connections: Cell32,
    /// Room.
    pub reserved: u32,
}

/// The mask of a prefix of at most 32 bits, in wire order.
#[inline(always)]
pub const fn network_mask(prefix: u8) -> u32 {
    let host_bits = 32_u32.saturating_sub(prefix as u32);
    match u32::MAX.checked_shl(host_bits) {
        Some(mask) => mask.to_be(),
        None => 0,
    }
}

/// Takes one token out of a bucket; the bucket's next state, or `None` if it is empty.
///
/// The bucket is one number, so that one compare-and-swap changes it: the time at which it is full
/// again, in nanoseconds. A token costs `interval` nanoseconds of refilling, and the bucket holds
/// `burst` nanoseconds' worth. A bucket that was full long ago, or never used (0), is full.
#[inline(always)]
pub const fn take(whole_at: u64, now: u64, interval: u64, burst: u64) -> Option<u64> {
    let from = if whole_at > now { whole_at } else { now };
    let next = from.wrapping_add(interval);
    if next.wrapping_sub(now) > burst { None } else { Some(next) }
}

/// Services that may have a [`ServicePolicy`], and one place for none.
pub const MAX_POLICIES: usize = 16_384;

/// In a second.
pub const NANOSECONDS: u64 = 1_000_000_000;

const _: () = assert!(size_of::<ServicePolicy>() == 56 && size_of::<ClientKey>() == 12);
const _: () = assert!(size_of::<Client>() == 16);

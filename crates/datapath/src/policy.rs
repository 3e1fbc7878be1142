//! Policy: what a site may ask of packets beside forwarding. Layouts for the tables, and pure
//! functions from what was set to what a packet meets.
//!
//! Userspace compiles settings, limits and lists into [`Policy`], [`ServicePolicy`] and the trie of
//! [`AccessKey`]s. What a site does not use is a flag that is not set. The kernel's side is
//! `ip_vs_core.c`, `ip_vs_ctl.c` (`update_defense_level`) and `ip_vs_conn.c`
//! (`ip_vs_random_dropentry`) of Linux 6.12.

mod client;
mod defence;

use xlvs_wire::tcp_flag::{ACK, RST, SYN};

pub use self::{
    client::{Client, ClientKey, MAX_POLICIES, NANOSECONDS, ServicePolicy, network_mask, take},
    defence::{Defence, DefenceModes, Suspicion, defence, drop_packet, suspicion, trickle_odds},
};
use crate::{
    state::{CLOSE, FIN_WAIT, TIME_WAIT, is_active},
    tables::{DEST_RESET, ServiceKey},
};

/// What the settings ask of all packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `POLICY_*`.
    pub flags: u32,
    /// One of so many packets that would begin a connection is dropped; 0: none.
    pub drop_rate: u32,
    /// So many connections may exist at a time; 0: as many as there is room for.
    pub conn_max: u32,
    /// Room.
    pub reserved: u32,
}

/// [`Policy::flags`]: `expire_nodest_conn`.
pub const POLICY_EXPIRE_NODEST: u32 = 1 << 0;
/// [`Policy::flags`]: `expire_quiescent_template`.
pub const POLICY_EXPIRE_TEMPLATE: u32 = 1 << 1;
/// [`Policy::flags`]: `conn_reuse_mode` is not 0.
pub const POLICY_REUSE: u32 = 1 << 2;
/// [`Policy::flags`]: `conn_reuse_mode` has its second bit.
pub const POLICY_REUSE_FIN_WAIT: u32 = 1 << 3;
/// [`Policy::flags`]: `sloppy_tcp`.
pub const POLICY_SLOPPY_TCP: u32 = 1 << 4;
/// [`Policy::flags`]: `sloppy_sctp`.
pub const POLICY_SLOPPY_SCTP: u32 = 1 << 5;
/// [`Policy::flags`]: `cache_bypass`.
pub const POLICY_CACHE_BYPASS: u32 = 1 << 6;
/// [`Policy::flags`]: `nat_icmp_send`.
pub const POLICY_NAT_ICMP: u32 = 1 << 7;
/// [`Policy::flags`]: `pmtu_disc`.
pub const POLICY_PMTU: u32 = 1 << 8;
/// [`Policy::flags`]: `schedule_icmp`.
pub const POLICY_SCHEDULE_ICMP: u32 = 1 << 9;
/// [`Policy::flags`]: the table of states of `secure_tcp` is in force.
pub const POLICY_SECURE_TCP: u32 = 1 << 10;
/// [`Policy::flags`]: suspect entries are removed at random.
pub const POLICY_DROP_ENTRY: u32 = 1 << 11;
/// [`Policy::flags`]: `removed_server` is `reset`.
pub const POLICY_RESET_REMOVED: u32 = 1 << 12;
/// [`Policy::flags`]: some list of allowed or denied clients has an entry.
pub const POLICY_ACCESS: u32 = 1 << 13;
/// [`Policy::flags`]: some service has a [`ServicePolicy`].
pub const POLICY_SERVICES: u32 = 1 << 14;

/// What is known of a connection to which a SYN came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// Its state.
    pub state: u8,
    /// No packet of its server was seen.
    pub no_output: bool,
    /// Another connection or a template controls it.
    pub is_controlled: bool,
    /// Its server's weight is 0.
    pub is_quiesced: bool,
    /// Its server leaves its service.
    pub is_leaving: bool,
}

impl Policy {
    /// Any of the flags is set.
    #[inline(always)]
    pub const fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// Newcomers pass the gate, whatever their service.
    #[inline(always)]
    pub const fn limits(&self) -> bool {
        self.has(POLICY_ACCESS) || self.drop_rate | self.conn_max != 0
    }

    /// Newcomers are asked more than which service is theirs.
    #[inline(always)]
    pub const fn is_careful(&self) -> bool {
        self.limits() || self.has(POLICY_NAT_ICMP)
    }

    /// Which table of states is in force, for [`next_in`](crate::state::next_in).
    #[inline(always)]
    pub const fn secure(&self) -> u32 {
        self.flags >> POLICY_SECURE_TCP.trailing_zeros() & 1
    }

    /// True when a SYN to this connection begins a new one (`is_new_conn_expected`, and the rule of
    /// `ip_vs_in_hook` for quiesced servers).
    #[inline(always)]
    pub const fn begins_anew(&self, old: Closing) -> bool {
        if self.has(POLICY_EXPIRE_NODEST) && old.is_quiesced {
            return true;
        }
        // It goes once its last active connection is over: none may begin behind that look.
        if old.is_leaving && !is_active(old.state) {
            return true;
        }
        if !self.has(POLICY_REUSE) || old.is_controlled {
            return false;
        }
        match old.state {
            TIME_WAIT | CLOSE => true,
            FIN_WAIT => self.has(POLICY_REUSE_FIN_WAIT) && old.no_output,
            _ => false,
        }
    }

    /// What a client's packet meets whose server was removed from its service, or is down and
    /// resets its clients, by the server's flags (`DEST_*`).
    #[inline(always)]
    pub const fn late(&self, flags: u8, packet: Late) -> Removed {
        if flags & DEST_RESET == 0 {
            return self.removed(packet);
        }
        match packet {
            Late::Datagram | Late::Syn => Removed::Anew,
            Late::Reset => Removed::Deliver,
            Late::Bare | Late::Payload => Removed::Reset,
        }
    }

    /// The same of a server that was removed.
    #[inline(always)]
    pub const fn removed(&self, packet: Late) -> Removed {
        if !self.has(POLICY_RESET_REMOVED) {
            let expires = self.has(POLICY_EXPIRE_NODEST);
            return if expires { Removed::Anew } else { Removed::Drop };
        }
        match packet {
            Late::Datagram | Late::Syn => Removed::Anew,
            Late::Bare if self.has(POLICY_EXPIRE_NODEST) => Removed::Reset,
            Late::Bare | Late::Reset => Removed::Deliver,
            Late::Payload => Removed::Reset,
        }
    }
}

/// A packet for a server that was removed, or is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Not TCP.
    Datagram,
    /// A segment that begins a connection.
    Syn,
    /// A segment with RST.
    Reset,
    /// Another segment without payload: what the server says may still be under way.
    Bare,
    /// A segment with payload: the client waits for an answer that nobody should give.
    Payload,
}

impl Late {
    /// A TCP segment with these flags and so many bytes of payload.
    #[inline(always)]
    pub const fn of_segment(flags: u8, payload: u32) -> Self {
        if flags & RST != 0 {
            Self::Reset
        } else if flags & (SYN | ACK) == SYN {
            Self::Syn
        } else if payload > 0 {
            Self::Payload
        } else {
            Self::Bare
        }
    }
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It reaches the server.
    Deliver,
    /// It is dropped and both sides are reset.
    Reset,
    /// The connection ends; the packet is looked at as one of no connection.
    Anew,
    /// It is dropped without a word, and the connection stays.
    Drop,
}

/// A key of the trie (`BPF_MAP_TYPE_LPM_TRIE`) of clients that may or may not come in.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessKey {
    /// How many of the bits that follow count.
    pub prefix_len: u32,
    /// Whose list: a service's, or [`EVERY_SERVICE`].
    pub scope: ServiceKey,
    /// The client, in wire order.
    pub addr: u32,
}

/// [`ServiceKey::protocol`] of [`AccessKey::scope`], beside the IP protocol: no list of clients,
/// but the servers by NAT on a port. The element is a server's slot, and one.
pub const OF_SERVERS: u16 = 0x200;
/// [`AccessKey::scope`]: the director's own list.
pub const EVERY_SERVICE: ServiceKey = ServiceKey { addr: 0, port: 0, protocol: 0 };
/// An element of the trie: these clients may come in.
pub const ACCESS_ALLOW: u32 = 1;
/// An element of the trie: they may not.
pub const ACCESS_DENY: u32 = 2;

impl AccessKey {
    /// To look one client up.
    #[inline(always)]
    pub const fn of_client(scope: ServiceKey, addr: u32) -> Self {
        Self::of_network(scope, addr, 32)
    }

    /// Of a server by NAT.
    #[inline(always)]
    pub const fn of_server(protocol: u16, addr: u32, port: u16) -> Self {
        let protocol = protocol | OF_SERVERS;
        Self::of_network(ServiceKey { addr: 0, port, protocol }, addr, 32)
    }

    /// True for one that [`AccessKey::of_server`] made.
    #[inline(always)]
    pub const fn is_of_server(&self) -> bool {
        self.scope.protocol & OF_SERVERS != 0
    }

    /// Of an entry for all clients that share the first `prefix` bits, at most 32.
    #[inline(always)]
    pub const fn of_network(scope: ServiceKey, addr: u32, prefix: u8) -> Self {
        Self { prefix_len: SCOPE_BITS + prefix as u32, scope, addr }
    }
}

/// True when a client stays outside. `service` and `director` are the longest match in the list of
/// the service and of the director: either can keep a client out.
#[inline(always)]
pub const fn is_denied(service: Option<u32>, director: Option<u32>) -> bool {
    matches!(service, Some(ACCESS_DENY)) || matches!(director, Some(ACCESS_DENY))
}

const SCOPE_BITS: u32 = 64;

const _: () = assert!(size_of::<ServiceKey>() * 8 == SCOPE_BITS as usize);
const _: () = assert!(size_of::<Policy>() == 16 && size_of::<AccessKey>() == 16);

#[cfg(test)]
mod tests;

//! What can become of a packet.

use core::fmt;

use crate::tables::REASON_COUNTERS;

/// What the home must do with the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To the kernel's stack: untouched, or rewritten for a server on this very host.
    Pass,
    /// Nowhere.
    Drop,
    /// Out again, by the interface that [`Outcome`](crate::Outcome) names.
    Send,
}

/// The bits of a reason's number.
#[expect(clippy::cast_possible_truncation, reason = "a small power of two")]
const MASK: u32 = REASON_COUNTERS as u32 - 1;
const _: () = assert!(REASON_COUNTERS.is_power_of_two());

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What became of a packet, and why: the index of a counter, and the verdict at once. The
        /// order is pass, drop, send.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All of them, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name that people see.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// The reason of this number, of which the low bits count; of none,
            /// [`Reason::Inconsistent`]. Verifiers before 6.18 learn the result's bounds from the
            /// mask alone: the `match` may become a comparison with a sign.
            #[inline(always)]
            pub const fn from_number(number: u32) -> Self {
                match number & MASK {
                    $(n if n == Self::$name as u32 => Self::$name,)*
                    _ => Self::Inconsistent,
                }
            }
        }
    };
}

reasons! {
    // To the kernel.
    /// No IPv4: ARP, IPv6, tagged frames, or too short to tell.
    NotIpv4 = "not_ipv4",
    /// A protocol that no service can have.
    OtherProtocol = "other_protocol",
    /// IPv4 that no host would take: the kernel counts and drops it.
    BadHeader = "bad_header",
    /// A fragment for an address without services.
    OtherFragment = "other_fragment",
    /// There is no service at all.
    Idle = "idle",
    /// No service, no connection: the host's own traffic.
    NoService = "no_service",
    /// A TCP segment to a service that begins no connection and belongs to none.
    NoConnection = "no_connection",
    /// For a server on this host, by direct routing or tunnel: as it came.
    LocalDirect = "local_direct",
    /// For a server on this host, by NAT: rewritten.
    LocalNat = "local_nat",
    /// From a server on this host, by NAT: rewritten on its way out.
    LocalNatReply = "local_nat_reply",
    /// A frame for another host, flooded by the switch.
    OtherHost = "other_host",
    /// The connection's server was removed: the stack's first program resets both sides instead.
    ResetBoth = "reset_both",
    // Nowhere.
    /// A fragment for an address with services.
    Fragment = "fragment",
    /// The connection's server was removed.
    ServerRemoved = "server_removed",
    /// No server is left, and the client was told so often enough.
    NoServer = "no_server",
    /// A packet of a server by NAT that belongs to no connection, and the server was told so often
    /// enough (`nat_icmp_send`).
    Stray = "stray_answer",
    /// The client is on a list of those that stay outside, or on none of those that may come in.
    Denied = "denied",
    /// One of so many newcomers that are dropped (`drop_packet`).
    DroppedByRate = "drop_packet",
    /// There are as many connections as may be (`conn_max`).
    ConnMax = "conn_max",
    /// The client's network has as many connections to the service as it may have.
    ClientConnections = "client_connections",
    /// The client's network begins more connections in a second than it may.
    ClientRate = "client_rate",
    /// A newcomer to a service that keeps calls, and its call cannot be told (`--pe sip`).
    NoCall = "no_call_id",
    /// The connection table is full.
    TableFull = "table_full",
    /// Another connection of this client holds the server's end already.
    ReplyKeyTaken = "reply_key_taken",
    /// The connection's entry was being removed at this very moment.
    EntryBusy = "entry_busy",
    /// Connections are moving to a newer table, and this one may be among them.
    Migrating = "migrating",
    /// The server's neighbour, or the client's, is not known yet.
    NoNeighbour = "no_neighbour",
    /// There is no route to the client.
    NoRoute = "no_route",
    /// The host must not forward (`net.ipv4.ip_forward`), so there is no way back to the client.
    ForwardingOff = "forwarding_off",
    /// Too long for the way on, and may not be answered with ICMP.
    TooBig = "too_big",
    /// Longer than the interface it came by carries: merged by an offload.
    Merged = "merged",
    /// The hop count ran out, and the sender was told so often enough.
    TtlExpired = "ttl_expired",
    /// The frame's buffer has no room for the outer header.
    NoHeadroom = "no_headroom",
    /// A table disagrees with itself; a bug or a torn update.
    Inconsistent = "inconsistent",
    // Out again.
    /// By direct routing.
    SentDirect = "sent_direct",
    /// By NAT, to the server.
    SentNat = "sent_nat",
    /// By NAT, to the client.
    SentNatReply = "sent_nat_reply",
    /// By tunnel.
    SentTunnel = "sent_tunnel",
    /// On to where its client sent it, as a service of a mark has no server (`cache_bypass`).
    SentBypass = "sent_bypass",
    /// ICMP "port unreachable" to the client: no server is left.
    SentUnreachable = "sent_port_unreachable",
    /// ICMP "fragmentation needed" to the sender.
    SentFragNeeded = "sent_frag_needed",
    /// ICMP "time exceeded" to the sender.
    SentTimeExceeded = "sent_time_exceeded",
    /// ICMP "port unreachable" to a server by NAT: its packet belongs to no connection
    /// (`nat_icmp_send`).
    SentStray = "sent_stray_answer",
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// What it means for the packet.
    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        let n = self as u32;
        if n < Self::Fragment as u32 {
            Verdict::Pass
        } else if n < Self::SentDirect as u32 {
            Verdict::Drop
        } else {
            Verdict::Send
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

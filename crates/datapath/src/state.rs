//! Connection states and idle timeouts, the kernel's (`ip_vs_proto_tcp.c`, `ip_vs_proto_udp.c`).

pub mod secure;

use xlvs_wire::tcp_flag::{ACK, FIN, RST, SYN};

/// No packet yet.
pub const NONE: u8 = 0;
/// The handshake is complete.
pub const ESTABLISHED: u8 = 1;
/// The server opened.
pub const SYN_SENT: u8 = 2;
/// The client opened.
pub const SYN_RECV: u8 = 3;
/// One side closed.
pub const FIN_WAIT: u8 = 4;
/// Both sides closed.
pub const TIME_WAIT: u8 = 5;
/// Reset.
pub const CLOSE: u8 = 6;
/// The client closed first.
pub const CLOSE_WAIT: u8 = 7;
/// The server closed after the client.
pub const LAST_ACK: u8 = 8;
/// Of the kernel's table; no packet leads there.
pub const LISTEN: u8 = 9;
/// Of the kernel's table under `secure_tcp`.
pub const SYNACK: u8 = 10;
/// Index of the timeout of UDP flows; TCP's states are their own indices.
pub const TIMEOUT_UDP: u8 = 12;

/// Names as `ipvsadm -Lc` prints them, by state.
pub const TCP_NAMES: [&str; 12] = [
    "NONE",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "SYNACK",
    "BUG!",
];

/// Idle timeouts in seconds, by index (`tcp_timeouts`, `udp_timeouts`).
pub const TIMEOUTS_S: [u32; 16] =
    [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 2, 300, 0, 0, 0];

/// Which packets of the connection the director sees, and whose this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction(pub(crate) u8);

impl Direction {
    /// The client's, where the server's are seen too.
    pub const IN: Self = Self(0);
    /// The server's.
    pub const OUT: Self = Self(1);
    /// The client's, where the server's never come by.
    pub const IN_ONLY: Self = Self(2);
}

/// What a packet says that moves a connection's state: a segment's flags, or that it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event(u8);

impl Event {
    /// Of a UDP datagram: nothing.
    pub const DATAGRAM: Self = Self(32);

    /// Of a segment with these flags.
    #[inline(always)]
    pub const fn of_segment(flags: u8) -> Self {
        Self(flags & 31)
    }

    /// Its row in the tables. Looked up, not compared: each branch is another way that the verifier
    /// walks to its end. And not before it is needed: most packets' states are seen without it.
    #[inline(always)]
    const fn row(self) -> usize {
        EVENTS[self.0 as usize & 63] as usize & 7
    }
}

/// The first of RST, SYN, FIN, ACK that is set (`tcp_state_idx`).
const fn event(flags: u8) -> u8 {
    if flags & RST != 0 {
        3
    } else if flags & SYN != 0 {
        0
    } else if flags & FIN != 0 {
        1
    } else if flags & ACK != 0 {
        2
    } else {
        4
    }
}

/// [`event`] of all flags; a datagram's.
static EVENTS: [u8; 64] = {
    let mut table = [5; 64];
    let mut flags = 0;
    while flags < 32 {
        table[flags as usize] = event(flags);
        flags += 1;
    }
    table
};

/// The state after a segment.
#[inline(always)]
pub const fn next(direction: Direction, event: Event, state: u8) -> u8 {
    // The masks make the indexing total: no panic in Rust, a bounded offset for the verifier.
    next_in(0, direction, event, state)
}

/// The same by the normal table (0) or the stricter one (1).
#[inline(always)]
pub const fn next_in(table: u32, direction: Direction, event: Event, state: u8) -> u8 {
    let table = &NEXT[table as usize & 1];
    table[direction.0 as usize & 3][event.row()][state as usize & 15]
}

/// True if a packet leaves the state as it is: by one bit, for the many packets that do.
#[inline(always)]
pub const fn is_steady(direction: Direction, event: Event, state: u8) -> bool {
    STEADY[direction.0 as usize & 3][event.row()] >> (state & 15) & 1 != 0
}

/// The states that [`NEXT`] leads back to, as bits.
static STEADY: [[u16; 8]; 4] = {
    let mut bits = [[0; 8]; 4];
    let mut at = 0;
    while at < 4 * 8 * 16 {
        let (direction, event, state) = (at >> 7, at >> 4 & 7, at & 15);
        if NEXT_ROWS[direction][event][state] as usize == state {
            bits[direction][event] |= 1 << state;
        }
        at += 1;
    }
    bits
};

/// Where the timeout of a connection is: of UDP (17, whose fifth bit TCP's 6 lacks) behind TCP's.
#[inline(always)]
pub const fn timeout_index(protocol: u32, state: u8) -> usize {
    (state as usize + TIMEOUT_UDP as usize * (protocol as usize >> 4 & 1)) & 15
}

/// Counts as active (`tcp_state_active_table`).
#[inline(always)]
pub const fn is_active(state: u8) -> bool {
    (1u16 << (state & 15)) & ACTIVE != 0
}

const ACTIVE: u16 = 1 << ESTABLISHED | 1 << SYN_SENT | 1 << SYN_RECV | 1 << SYNACK;

const NO: u8 = NONE;
const ES: u8 = ESTABLISHED;
const SS: u8 = SYN_SENT;
const SR: u8 = SYN_RECV;
const FW: u8 = FIN_WAIT;
const TW: u8 = TIME_WAIT;
const CL: u8 = CLOSE;
const CW: u8 = CLOSE_WAIT;
const LA: u8 = LAST_ACK;
const LI: u8 = LISTEN;

/// A segment without any of the four flags closes.
const BARE: [u8; 16] = [CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, NO, NO, NO, NO, NO];
/// A datagram moves nothing.
const SAME: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// In `.rodata`.
static NEXT: [[[[u8; 16]; 8]; 4]; 2] = [NEXT_ROWS, secure::ROWS];

/// `tcp_states`: by direction, event (syn, fin, ack, rst, none, datagram) and state.
const NEXT_ROWS: [[[u8; 16]; 8]; 4] = [
    [
        // NO ES SS SR FW TW CL CW LA LI SA
        [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR, NO, NO, NO, NO, NO],
        [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW, NO, NO, NO, NO, NO],
        [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES, NO, NO, NO, NO, NO],
        [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR, NO, NO, NO, NO, NO],
        BARE,
        SAME,
        SAME,
        SAME,
    ],
    [
        [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR, NO, NO, NO, NO, NO],
        [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW, NO, NO, NO, NO, NO],
        [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES, NO, NO, NO, NO, NO],
        [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL, NO, NO, NO, NO, NO],
        BARE,
        SAME,
        SAME,
        SAME,
    ],
    [
        [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR, NO, NO, NO, NO, NO],
        [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW, NO, NO, NO, NO, NO],
        [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES, NO, NO, NO, NO, NO],
        [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL, NO, NO, NO, NO, NO],
        BARE,
        SAME,
        SAME,
        SAME,
    ],
    [SAME; 8],
];

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests;

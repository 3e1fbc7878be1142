//! The kernel's defences against floods of connections: `drop_entry`, `drop_packet`, `secure_tcp`.
//!
//! A userspace timer asks [`defence`] every second; `drop_entry` then asks [`suspicion`] of some
//! entries.

use xlvs_wire::PROTO_TCP;

use crate::state::{ESTABLISHED, SYN_RECV, SYNACK};

/// What is set: each mode 0 (off), 1 or 2 (while memory is short) or 3 (always).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefenceModes {
    /// `drop_entry`.
    pub drop_entry: i64,
    /// `drop_packet`.
    pub drop_packet: i64,
    /// `secure_tcp`.
    pub secure_tcp: i64,
    /// `amemthresh`, pages.
    pub amemthresh: i64,
    /// `am_droprate`.
    pub am_droprate: i64,
}

/// What is in force until the next second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defence {
    /// Suspect entries are removed at random.
    pub drop_entry: bool,
    /// One of so many packets that would begin a connection is dropped; 0: none.
    pub drop_rate: u32,
    /// TCP is followed by the stricter table.
    pub secure_tcp: bool,
}

impl DefenceModes {
    /// True when the amount of memory makes a difference.
    pub const fn watch_memory(&self) -> bool {
        is_automatic(self.drop_entry)
            || is_automatic(self.drop_packet)
            || is_automatic(self.secure_tcp)
    }
}

/// What is in force with so many pages of free and buffer memory (`update_defense_level`).
///
/// The kernel writes 2 over 1 while memory is short, and 1 over 2 when it no longer is; that is
/// only to be looked at. Here both mean the same and what was set stays.
pub const fn defence(modes: &DefenceModes, available: i64) -> Defence {
    let threshold = if modes.amemthresh > 0 { modes.amemthresh } else { 0 };
    let is_short = available < threshold;
    Defence {
        drop_entry: is_on(modes.drop_entry, is_short),
        drop_rate: match modes.drop_packet {
            1 | 2 if is_short => rate(threshold / (threshold - available)),
            3 => rate(modes.am_droprate),
            _ => 0,
        },
        secure_tcp: is_on(modes.secure_tcp, is_short),
    }
}

const fn is_on(mode: i64, is_short: bool) -> bool {
    mode == 3 || is_automatic(mode) && is_short
}

const fn is_automatic(mode: i64) -> bool {
    mode == 1 || mode == 2
}

/// The kernel counts down to nought or below (`ip_vs_todrop`): below nought it drops all.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within bounds")]
const fn rate(rate: i64) -> u32 {
    if rate < 0 {
        1
    } else if rate > u32::MAX as i64 {
        u32::MAX
    } else {
        rate as u32
    }
}

/// One packet more that would begin a connection: what the counter holds then, and whether the
/// packet is dropped (`ip_vs_todrop`). The counter may begin with anything.
#[inline(always)]
pub const fn drop_packet(counter: u32, rate: u32) -> (u32, bool) {
    if rate == 0 {
        (counter, false)
    } else if counter > 1 {
        (counter - 1, false)
    } else {
        (rate, true)
    }
}

/// What `drop_entry` thinks of an entry that it came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// It is kept.
    None,
    /// It is removed by the odds of [`trickle_odds`].
    Some,
    /// It is removed.
    Sure,
}

/// By protocol and state (`ip_vs_random_dropentry`). Of templates, those that are assured or
/// control a connection are kept; the others are like UDP.
#[inline(always)]
pub const fn suspicion(protocol: u32, state: u8) -> Suspicion {
    if protocol != PROTO_TCP as u32 {
        return Suspicion::Some;
    }
    match state {
        SYN_RECV | SYNACK => Suspicion::Sure,
        ESTABLISHED => Suspicion::Some,
        _ => Suspicion::None,
    }
}

/// An entry that was idle for so long and got so few packets from its client is removed once in so
/// many times; 0: never (`todrop_entry`).
#[inline(always)]
pub const fn trickle_odds(idle_ns: u64, in_packets: u64) -> u64 {
    if idle_ns < 60 * super::NANOSECONDS || in_packets > 8 { 0 } else { in_packets }
}

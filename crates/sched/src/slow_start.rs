//! Slow start: a server that came back gets its part little by little. Not in the kernel; the way
//! of a packet knows nothing of it, since all is in the weights and tables that a tick writes.
//!
//! With t seconds since the server came back and a slow start of s seconds, its share is
//!
//! ```text
//! share = max(1, floor(64 * t / s)) of 64, and 64 from s on
//! ```
//!
//! so that a ramp has 64 steps at most, and
//!
//! * wrr, wlc, sed, nq, twos, chbl: while anybody ramps, every weight is `weight * share` (others'
//!   are 64 times what they were, so that proportions stay and a weight of 1 can ramp);
//! * rr and lc, which do not heed weights, work as wrr and wlc by `share`;
//! * fo, ovf, lblc, lblcr, which compare weights with counts or only with each other:
//!   `max(1, floor(weight * share / 64))`;
//! * dh, sh, mh, chbl keep their tables, but of a ramping server's buckets only those whose number,
//!   mixed, is less than its share of 64 lead there. The others lead where they would without the
//!   ramping servers. So each client moves once.
//!
//! A weight above 0 never becomes 0.

use crate::Scheduler;

/// The share of a server that is not in slow start.
pub const FULL: u32 = 64;

/// The share of a server that came back so many seconds ago.
pub const fn share(since_s: u32, slow_start_s: u32) -> u32 {
    if since_s >= slow_start_s {
        return FULL;
    }
    // Both are less than 2^32 and the quotient is less than 64.
    #[expect(clippy::cast_possible_truncation, reason = "less than FULL")]
    let share = (since_s as u64 * FULL as u64 / slow_start_s as u64) as u32;
    if share == 0 { 1 } else { share }
}

/// The scheduler that works for this one while a server ramps.
pub const fn stand_in(scheduler: Scheduler) -> Scheduler {
    match scheduler {
        Scheduler::Rr => Scheduler::Wrr,
        Scheduler::Lc => Scheduler::Wlc,
        other => other,
    }
}

/// The weight of a server while somebody of its service ramps. `greatest` is the service's greatest
/// weight: where 64 times that is too much for a weight, the share divides as for fo.
pub const fn effective(scheduler: Scheduler, weight: u32, share: u32, greatest: u32) -> u32 {
    if weight == 0 {
        return 0;
    }
    match scheduler {
        Scheduler::Rr | Scheduler::Lc => share,
        Scheduler::Dh | Scheduler::Sh | Scheduler::Mh => weight,
        Scheduler::Fo | Scheduler::Ovf | Scheduler::Lblc | Scheduler::Lblcr => {
            divided(weight, share)
        }
        _ if greatest > MAX_WEIGHT / FULL => divided(weight, share),
        _ => weight * share,
    }
}

/// `max(1, weight * share / 64)`.
#[expect(clippy::cast_possible_truncation, reason = "not above the weight")]
const fn divided(weight: u32, share: u32) -> u32 {
    let part = (weight as u64 * share as u64 / FULL as u64) as u32;
    if part == 0 { 1 } else { part }
}

/// ipvsadm's greatest weight.
const MAX_WEIGHT: u32 = i32::MAX as u32;

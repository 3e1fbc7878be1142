//! Weighted round robin (`ip_vs_wrr.c`): passes over the list with a falling threshold, so that
//! weights 4, 3, 2 (in list order A, B, C) give AABABCABC.
//!
//! State: the threshold `cw` in the low 32 bits; in the high ones `cl`, one more than the position
//! of the last choice, 0 for the head of the list.

use crate::{Search, Server, Weights};

/// The threshold of the next pass.
#[inline(always)]
pub(crate) const fn lower(threshold: u32, weights: Weights) -> u32 {
    if threshold > weights.divisor { threshold - weights.divisor } else { weights.max }
}

/// One walk over the list is enough: the threshold never exceeds the greatest weight, so the pass
/// that begins at the head finds a server.
#[inline(always)]
pub(crate) fn visit<S: Server>(search: &mut Search, position: u32, server: &S) -> bool {
    if position < search.start && !search.wrapped {
        search.wrapped = true;
        search.threshold = lower(search.threshold, search.weights);
    }
    if server.weight() < search.threshold {
        return true;
    }
    search.found = true;
    search.id = server.id();
    search.position = position;
    false
}

/// `cl` and `cw` as a state.
#[inline(always)]
pub const fn wrr_state(after: u32, threshold: u32) -> u64 {
    (after as u64) << 32 | threshold as u64
}

/// `cl` and `cw` of a state.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves of the state")]
pub const fn wrr_parts(state: u64) -> (u32, u32) {
    ((state >> 32) as u32, state as u32)
}

/// The state after servers were added, removed or weighed anew: the walk begins at the head, with
/// the threshold moved onto the new weights' grid (`ip_vs_wrr_dest_changed`).
pub const fn wrr_state_after_change(state: u64, weights: Weights) -> u64 {
    let (_, threshold) = wrr_parts(state);
    let threshold = if threshold > weights.max || threshold == 0 {
        weights.max
    } else if weights.divisor > 1 {
        (threshold / weights.divisor) * weights.divisor + 1
    } else {
        threshold
    };
    wrr_state(0, threshold)
}

//! Weighted round robin (`ip_vs_wrr.c`): passes over the list with a falling threshold, so that
//! weights 4, 3, 2 (in list order A, B, C) give AABABCABC.
//!
//! State: the threshold `cw` in the low 32 bits; in the high ones `cl`, one more than the position
//! of the last choice, 0 for the head of the list.
//!
//! The kernel makes as many passes as it takes. One is enough here: `cl` and the threshold say
//! which server the next pass would take, and when all that weigh so much are overloaded, the
//! greatest weight met on the way says at which threshold a pass will find somebody, and whom.

use crate::{Server, Weights, walk::Search};

/// The threshold of the next pass.
#[inline(always)]
pub(crate) const fn lower(threshold: u32, weights: Weights) -> u32 {
    if threshold > weights.divisor { threshold - weights.divisor } else { weights.max }
}

/// The rest of a pass, from after `cl`, asks for the threshold; from the head of the list the next
/// one asks for a lower one. Of those passed over the heaviest is kept, and of such the nearest to
/// the head: a later pass takes it first. (All that weigh as much as the next threshold, but less
/// than this one, weigh the same, as weights are multiples of the divisor.)
#[inline(always)]
pub(crate) fn visit<S: Server>(search: &mut Search, position: u32, server: &S) -> bool {
    if position < search.start && !search.wrapped {
        search.wrapped = true;
        search.threshold = lower(search.threshold, search.weights);
    }
    let weight = server.weight();
    let taken = weight >= search.threshold;
    let nearer = search.wrapped && search.position >= search.start;
    if taken || weight > search.rank || (nearer && weight == search.rank) {
        search.id = server.id();
        search.position = position;
        search.rank = weight;
    }
    search.taken = taken;
    !taken
}

/// What to remember after a walk.
#[inline(always)]
pub(crate) fn state_after(search: &Search, state: u64) -> u64 {
    let weights = search.weights;
    if search.rank == 0 {
        return nobody(state, weights);
    }
    let mut threshold = search.threshold;
    if !search.taken {
        let next = if search.wrapped { threshold } else { lower(threshold, weights) };
        let weight = search.rank;
        // The greatest threshold that is one of a pass and not more than the weight.
        threshold = if weight >= next {
            next
        } else if weight >= weights.divisor {
            weight - weights.divisor + 1
        } else {
            1
        };
    }
    wrr_state(search.position + 1, threshold)
}

/// Where the kernel's passes end that find everybody overloaded: where they began if that was the
/// last pass, else at the head with the greatest weight.
#[inline(always)]
const fn nobody(state: u64, weights: Weights) -> u64 {
    let (after, threshold) = wrr_parts(state);
    if weights.max == 0 || (after != 0 && threshold <= weights.divisor) {
        state
    } else {
        wrr_state(0, weights.max)
    }
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

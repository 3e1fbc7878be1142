//! Weighted round robin (`ip_vs_wrr.c`): passes over the list with a falling threshold, so that
//! weights 4, 3, 2 (in list order A, B, C) give AABABCABC.
//!
//! State: the threshold `cw` in the low 32 bits; in the high ones `cl`, one more than the position of
//! the last choice, 0 for the head of the list.

use crate::{Choice, Destinations, Server, Visit, Weights};

struct Next {
    weights: Weights,
    threshold: u32,
    start: u32,
    wrapped: bool,
    found: bool,
    id: u32,
    position: u32,
}

/// The threshold of the next pass.
#[inline(always)]
const fn lower(threshold: u32, weights: Weights) -> u32 {
    if threshold > weights.divisor { threshold - weights.divisor } else { weights.max }
}

impl Visit for Next {
    #[inline(always)]
    fn visit<S: Server>(&mut self, position: u32, server: &S) -> bool {
        if position < self.start && !self.wrapped {
            self.wrapped = true;
            self.threshold = lower(self.threshold, self.weights);
        }
        if server.weight() < self.threshold {
            return true;
        }
        self.found = true;
        self.id = server.id();
        self.position = position;
        false
    }
}

/// One walk over the list is enough: the threshold never exceeds the greatest weight, so the pass
/// that begins at the head finds a server.
#[inline(always)]
pub(crate) fn pick<D: Destinations>(list: &D, state: u64) -> Option<Choice> {
    let weights = list.weights();
    if weights.max == 0 {
        return None;
    }
    let (after, mut threshold) = wrr_parts(state);
    let mut start = after;
    if start >= list.count() {
        start = 0;
        threshold = lower(threshold, weights);
    }
    let next = Next { weights, threshold, start, wrapped: false, found: false, id: 0, position: 0 };
    let next = list.scan(start, next);
    if !next.found {
        return None;
    }
    Some(Choice { id: next.id, state: wrr_state(next.position + 1, next.threshold) })
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

/// The state after servers were added, removed or weighed anew: the walk begins at the head, with the
/// threshold moved onto the new weights' grid (`ip_vs_wrr_dest_changed`).
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

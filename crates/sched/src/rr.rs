//! Round robin (`ip_vs_rr.c`): the next server of the list that has a weight.
//!
//! State: one more than the position of the last choice; 0 before the first.

use crate::{Server, walk::Search};

/// Where the walk begins.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "positions are 32 bits")]
pub(crate) const fn start(state: u64) -> u32 {
    state as u32
}

#[inline(always)]
pub(crate) fn visit<S: Server>(search: &mut Search, position: u32, server: &S) -> bool {
    search.id = server.id();
    search.position = position;
    false
}

/// The state after the server at `position` was chosen, or before the first choice.
#[inline(always)]
pub const fn rr_state(position: Option<u32>) -> u64 {
    match position {
        Some(p) => p as u64 + 1,
        None => 0,
    }
}

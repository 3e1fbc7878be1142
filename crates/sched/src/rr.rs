//! Round robin (`ip_vs_rr.c`): the next server of the list that has a weight.
//!
//! State: one more than the position of the last choice; 0 before the first.

use crate::{Choice, Destinations, Server, Visit};

struct Next {
    found: bool,
    id: u32,
    position: u32,
}

impl Visit for Next {
    #[inline(always)]
    fn visit<S: Server>(&mut self, position: u32, server: &S) -> bool {
        if server.weight() == 0 {
            return true;
        }
        *self = Self { found: true, id: server.id(), position };
        false
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "positions are 32 bits")]
pub(crate) fn pick<D: Destinations>(list: &D, state: u64) -> Option<Choice> {
    let after = state as u32;
    let start = if after < list.count() { after } else { 0 };
    let next = list.scan(start, Next { found: false, id: 0, position: 0 });
    if !next.found {
        return None;
    }
    Some(Choice { id: next.id, state: rr_state(Some(next.position)) })
}

/// The state after the server at `position` was chosen, or before the first choice.
#[inline(always)]
pub const fn rr_state(position: Option<u32>) -> u64 {
    match position {
        Some(p) => p as u64 + 1,
        None => 0,
    }
}

//! Schedulers that walk over the list and remember, at most, a place in it: rr and wrr here, and
//! lc, wlc, sed, nq, fo and ovf by `least.rs`.

use crate::{
    Choice, Destinations, FEW, NOBODY, Scheduler, Server, Visit, Weights,
    least::{BURDENS, Least, LeastOfFew},
    list::may,
    rr, rr_state, wlc, wrr, wrr_parts,
};

/// A walk over the list for a place in it: one loop for rr and wrr.
pub(crate) struct Search {
    weighted: bool,
    pub(crate) weights: Weights,
    /// wrr: the weight that is asked for.
    pub(crate) threshold: u32,
    /// wrr: where the walk began, and whether it came round.
    pub(crate) start: u32,
    pub(crate) wrapped: bool,
    /// wrr: whether the walk ended at a server that weighs enough.
    pub(crate) taken: bool,
    /// wrr: the weight of the server found so far; 0: there is none.
    pub(crate) rank: u32,
    /// The server found.
    pub(crate) id: u32,
    pub(crate) position: u32,
}

impl Visit for Search {
    #[inline(always)]
    fn visit<S: Server>(&mut self, position: u32, server: &S) -> bool {
        if !may(server) {
            return true;
        }
        if self.weighted {
            wrr::visit(self, position, server)
        } else {
            rr::visit(self, position, server)
        }
    }
}

/// The server of a new connection by a scheduler of [`crate::Kind::Walk`]. `state` is what the last
/// choice of this list left: 0 (or [`crate::wrr_state`]) before the first. To be remembered even if
/// nobody is chosen: wrr's place moves.
#[inline(always)]
pub fn walk<D: Destinations>(scheduler: Scheduler, list: &D, state: u64) -> Choice {
    match scheduler {
        Scheduler::Rr => next_in_list(false, list, state),
        Scheduler::Wrr => next_in_list(true, list, state),
        Scheduler::Lc
        | Scheduler::Wlc
        | Scheduler::Sed
        | Scheduler::Nq
        | Scheduler::Fo
        | Scheduler::Ovf => lightest(scheduler, list, state),
        _ => Choice { id: NOBODY, state },
    }
}

/// As [`walk`]; None if no server may have the connection.
#[inline(always)]
pub fn pick<D: Destinations>(scheduler: Scheduler, list: &D, state: u64) -> Option<Choice> {
    let choice = walk(scheduler, list, state);
    if choice.id == NOBODY { None } else { Some(choice) }
}

/// The least burdened server.
#[inline(always)]
fn lightest<D: Destinations>(scheduler: Scheduler, list: &D, state: u64) -> Choice {
    // What most sites use has a walk of its own, its numbers known when it is compiled.
    if matches!(scheduler, Scheduler::Wlc) && list.count() <= FEW {
        return Choice { id: list.scan(0, LeastOfFew(Least::new(&wlc::BURDEN))).0.id, state };
    }
    // Looked up, not matched: the verifier walks the loop once and not for every scheduler.
    // The optimiser knows that the mask has no work here; verifiers before 6.18 do not.
    let burden = &BURDENS[core::hint::black_box(scheduler as usize) & (BURDENS.len() - 1)];
    Choice { id: list.scan(0, Least::new(burden)).id, state }
}

/// The server whose turn it is.
#[inline(always)]
fn next_in_list<D: Destinations>(weighted: bool, list: &D, state: u64) -> Choice {
    let weights = list.weights();
    let (mut start, mut threshold) =
        if weighted { wrr_parts(state) } else { (rr::start(state), 0) };
    if start >= list.count() {
        start = 0;
        threshold = wrr::lower(threshold, weights);
    }
    let search = Search {
        weighted,
        weights,
        threshold,
        start,
        wrapped: false,
        taken: false,
        rank: 0,
        id: NOBODY,
        position: 0,
    };
    let search = list.scan(start, search);
    let state = if weighted {
        wrr::state_after(&search, state)
    } else if search.id != NOBODY {
        rr_state(Some(search.position))
    } else {
        state
    };
    Choice { id: search.id, state }
}

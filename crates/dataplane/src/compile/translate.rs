//! A scheduler's memory carried from a list of servers to the next: what the kernel's schedulers do
//! when a server is added, removed or weighed anew.

use xlvs_datapath::tables::Order;
use xlvs_sched::{Scheduler, Weights, rr_state, wrr_state, wrr_state_after_change};

/// A list of servers, and where its scheduler stands.
pub(crate) struct Old<'a> {
    pub(crate) scheduler: u32,
    pub(crate) state: u64,
    pub(crate) orders: &'a [Order],
}

/// The state to begin `new` with. Servers are known by their slots; None: the service is new.
pub(crate) fn state_for(scheduler: Scheduler, old: Option<&Old<'_>>, new: &[Order]) -> u64 {
    let weights = Weights::of(new.iter().map(Order::weight));
    let old = old.filter(|o| o.scheduler == scheduler as u32);
    match (scheduler, old) {
        (Scheduler::Wrr, None) => wrr_state(0, weights.max),
        (Scheduler::Wrr, Some(old)) => wrr_state_after_change(old.state, weights),
        (Scheduler::Rr, Some(old)) => rr_after_change(old, new),
        // The others remember nothing in the list.
        _ => 0,
    }
}

/// The cursor follows its server; when that one is gone, it steps to the nearest one before it that
/// is still there, or to the head of the list (`ip_vs_rr_del_dest`).
fn rr_after_change(old: &Old<'_>, new: &[Order]) -> u64 {
    let chosen = usize::try_from(old.state).unwrap_or(usize::MAX).min(old.orders.len());
    let place = |slot| new.iter().position(|o| o.slot == slot);
    let stays = old.orders[..chosen].iter().rev().find_map(|o| place(o.slot));
    rr_state(stays.and_then(|p| u32::try_from(p).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(list: &[(u32, u32)]) -> Vec<Order> {
        list.iter().map(|&(slot, weight)| Order { slot, weight }).collect()
    }

    fn check(
        what: &str,
        scheduler: Scheduler,
        old: &[(u32, u32)],
        state: u64,
        new: &[(u32, u32)],
    ) -> u64 {
        let (old, new) = (orders(old), orders(new));
        let old = Old { scheduler: scheduler as u32, state, orders: &old };
        assert!(!what.is_empty());
        state_for(scheduler, Some(&old), &new)
    }

    #[test]
    fn rr_cursor() {
        let abc = [(1, 1), (2, 1), (3, 1)];
        for (what, state, new, expected) in [
            ("nothing chosen, nothing changed", 0, &abc[..], 0),
            ("the cursor stays with an unchanged list", 2, &abc, 2),
            (
                "a server added at the head moves the cursor's place",
                2,
                &[(9, 1), (1, 1), (2, 1), (3, 1)],
                3,
            ),
            ("before the first choice the added server is next", 0, &[(9, 1), (1, 1)], 0),
            ("the chosen server removed: its predecessor", 2, &[(1, 1), (3, 1)], 1),
            ("predecessor removed as well: the one before", 3, &[(1, 1)], 1),
            ("the first, chosen, removed: the head", 1, &[(2, 1), (3, 1)], 0),
            ("a server after the cursor removed", 1, &[(1, 1), (2, 1)], 1),
            ("all removed", 3, &[], 0),
            ("a weight changes nothing", 2, &[(1, 5), (2, 0), (3, 1)], 2),
            ("a state beyond the list does no harm", 77, &abc, 3),
        ] {
            assert_eq!(check(what, Scheduler::Rr, &abc, state, new), expected, "{what}");
        }
    }

    #[test]
    fn wrr_threshold() {
        let old = [(1, 4), (2, 3), (3, 2)];
        for (what, (cl, cw), new, expected) in [
            ("any change begins at the head", (2, 3), &[(1, 4), (2, 3)][..], (0, 3)),
            ("a threshold above the new maximum becomes it", (1, 4), &[(1, 2), (2, 1)], (0, 2)),
            ("a threshold of nought becomes the maximum", (0, 0), &[(1, 4)], (0, 1)),
            ("onto the grid of a divisor of 2", (1, 3), &[(1, 8), (2, 6), (3, 2)], (0, 3)),
            ("off the grid: rounded down, plus one", (1, 4), &[(1, 8), (2, 6), (3, 2)], (0, 5)),
            ("all weights nought", (1, 3), &[(1, 0)], (0, 0)),
        ] {
            let state = check(what, Scheduler::Wrr, &old, wrr_state(cl, cw), new);
            assert_eq!(state, wrr_state(expected.0, expected.1), "{what}");
        }
    }

    #[test]
    fn fresh() {
        let new = orders(&[(1, 4), (2, 2)]);
        assert_eq!(state_for(Scheduler::Wrr, None, &new), wrr_state(0, 3), "mw = 4 - (2 - 1)");
        assert_eq!(state_for(Scheduler::Rr, None, &new), 0);
        let rr = Old { scheduler: Scheduler::Rr as u32, state: 2, orders: &new };
        assert_eq!(
            state_for(Scheduler::Wrr, Some(&rr), &new),
            wrr_state(0, 3),
            "another scheduler"
        );
        let wlc = Old { scheduler: Scheduler::Wlc as u32, state: 0, orders: &new };
        assert_eq!(state_for(Scheduler::Rr, Some(&wlc), &new), 0, "another scheduler");
    }
}

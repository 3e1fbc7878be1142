use std::{vec, vec::Vec};

use super::*;

mod churn;
mod naive;
mod naive_caches;
mod naive_tables;
mod rows;
mod shares;
mod world;

#[derive(Clone, Copy)]
struct Real {
    id: u32,
    weight: u32,
    load: Load,
}

impl Server for Real {
    fn id(&self) -> u32 {
        self.id
    }
    fn weight(&self) -> u32 {
        self.weight
    }
    fn load(&self) -> Load {
        self.load
    }
}

struct List(Vec<Real>);

impl Destinations for List {
    fn count(&self) -> u32 {
        self.0.len() as u32
    }
    fn scan<V: Visit>(&self, start: u32, mut visitor: V) -> V {
        for i in 0..self.count() {
            let position = (start + i) % self.count();
            if !visitor.visit(position, &self.0[position as usize]) {
                break;
            }
        }
        visitor
    }
    fn weights(&self) -> Weights {
        Weights::of(self.0.iter().map(|r| r.weight))
    }
}

/// Servers A, B, C... with these weights in list order, all idle.
fn list(weights: &[u32]) -> List {
    let real = |(i, w): (usize, &u32)| Real { id: i as u32, weight: *w, load: Load::default() };
    List(weights.iter().enumerate().map(real).collect())
}

/// `n` choices as letters; every connection stays active. `-`: nobody.
fn choices(scheduler: Scheduler, list: &mut List, n: usize) -> std::string::String {
    let mut state = match scheduler {
        Scheduler::Wrr => wrr_state(0, list.weights().max),
        _ => 0,
    };
    (0..n)
        .map(|_| match pick(scheduler, list, state) {
            None => '-',
            Some(choice) => {
                state = choice.state;
                list.0[choice.id as usize].load.active += 1;
                char::from(b'A' + choice.id as u8)
            }
        })
        .collect()
}

#[test]
fn each_scheduler_chooses_as_the_kernel_does() {
    use Scheduler::{Lc, Nq, Rr, Sed, Wlc, Wrr};
    let rows: &[(Scheduler, &[u32], &str, &str)] = &[
        (Rr, &[1, 1, 1], "ABCABCA", "in list order"),
        (Rr, &[9, 0, 1], "ACACACA", "weight counts as zero or not"),
        (Rr, &[0, 0], "--", "nobody may"),
        (Rr, &[], "--", "nobody is there"),
        (Wrr, &[4, 3, 2], "AABABCABCAABABCABC", "the falling threshold"),
        (Wrr, &[2, 3, 4], "CBCABCABCCBCABCABC", "the same from the other end"),
        (Wrr, &[0, 5, 0], "BBBB", "one of three"),
        (Wrr, &[100, 50, 25], "AAABABC", "a divisor of 25"),
        (Wrr, &[0, 0], "--", "nobody may"),
        (Lc, &[1, 9, 1], "ABCABC", "ties go to the first, weights do not count"),
        (Lc, &[0, 1], "BB", "but zero does"),
        (Wlc, &[4, 3, 2], "ABCABACBA", "load for its weight"),
        (Wlc, &[0, 0], "--", "nobody may"),
        (Sed, &[4, 3, 2], "ABACBAABC", "the strong ones first"),
        (Nq, &[4, 3, 2], "ABCABAABC", "idle ones first"),
    ];
    for (scheduler, weights, expected, sentence) in rows {
        let mut list = list(weights);
        let got = choices(*scheduler, &mut list, expected.len());
        assert_eq!(&got, expected, "{scheduler:?} {weights:?}: {sentence}");
    }
}

#[test]
fn a_changed_list_moves_the_threshold_onto_the_new_grid() {
    let rows = [
        (wrr_state(3, 4), vec![4, 3, 2], wrr_state(0, 4), "kept where it fits"),
        (wrr_state(3, 9), vec![4, 3, 2], wrr_state(0, 4), "lowered to the greatest"),
        (wrr_state(1, 0), vec![4, 2], wrr_state(0, 3), "never zero"),
        (wrr_state(2, 5), vec![8, 4], wrr_state(0, 5), "onto the grid of four"),
        (wrr_state(2, 5), vec![], wrr_state(0, 0), "nothing to choose"),
    ];
    for (state, weights, expected, sentence) in rows {
        let weights = Weights::of(weights);
        assert_eq!(wrr_state_after_change(state, weights), expected, "{sentence}");
    }
}

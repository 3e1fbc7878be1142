//! Measuring: programs take turns, packet by packet, so that whatever else the machine does hits
//! all of them alike. A round gives each program the mean of its packets but the fastest and the
//! slowest tenth (the clock may count in tens of nanoseconds, which a median would show and nothing
//! else), and what is reported is the median of the rounds.

use anyhow::{Result, ensure};

use crate::object::{Object, Program};

/// Writes a frame into a buffer, each time another one.
type Next<'a> = Box<dyn FnMut(&mut Vec<u8>) + 'a>;

/// What is measured: a program on a stream of frames.
pub(crate) struct Case<'a> {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// What the program must return.
    pub(crate) action: u32,
    /// Writes the next frame into the buffer.
    pub(crate) next: Next<'a>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        name: &'static str,
        program: Program,
        action: u32,
        next: impl FnMut(&mut Vec<u8>) + 'a,
    ) -> Self {
        Self { name, program, action, next: Box::new(next) }
    }
}

/// What a packet of one case cost, a round each, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<f64>,
}

impl Timing {
    pub(crate) fn median(&self) -> f64 {
        median(&mut self.rounds.clone())
    }
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Packets of each case in each round.
    pub(crate) packets: usize,
    /// Flows where the question is what many flows cost.
    pub(crate) flows: u32,
}

/// Lets the cases take turns. `after_round` clears up.
pub(crate) fn measure(
    object: &mut Object,
    effort: &Effort,
    mut cases: Vec<Case<'_>>,
    mut after_round: impl FnMut(&mut Object) -> Result<()>,
) -> Result<Vec<Timing>> {
    let mut timings: Vec<Timing> =
        cases.iter().map(|c| Timing { name: c.name, rounds: Vec::new() }).collect();
    let mut frame = Vec::with_capacity(128);
    for _ in 0..effort.rounds {
        let mut samples = vec![Vec::with_capacity(effort.packets); cases.len()];
        for packet in 0..effort.packets {
            // Each program follows each other one in turn.
            for turn in 0..cases.len() {
                let at = (turn + packet) % cases.len();
                let case = &mut cases[at];
                (case.next)(&mut frame);
                let run = object.run(case.program, &frame)?;
                ensure!(
                    run.action == case.action,
                    "{}: the program returned {} where {} was due; so far: {}",
                    case.name,
                    run.action,
                    case.action,
                    object.reasons()?
                );
                samples[at].push(run.nanoseconds);
            }
        }
        for (timing, samples) in timings.iter_mut().zip(&mut samples) {
            timing.rounds.push(middle(samples));
        }
        xlvs_testkit::interrupt::check()?;
        after_round(object)?;
    }
    Ok(timings)
}

/// How many times as dear `what` is as `than`, both less `zero`: the median over the rounds.
pub(crate) fn ratio(what: &Timing, than: &Timing, zero: &Timing) -> f64 {
    let rounds = what.rounds.iter().zip(&than.rounds).zip(&zero.rounds);
    median(&mut rounds.map(|((a, b), z)| (a - z) / (b - z).max(1.0)).collect::<Vec<_>>())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// The mean of all but the lowest and the highest tenth.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let tenth = values.len() / 10;
    let kept = &values[tenth..values.len() - tenth];
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let count = kept.len() as f64;
    kept.iter().sum::<f64>() / count
}

/// Numbers that look random and are the same each time (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        u32::try_from((high * u64::from(bound)) >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected, what) in [
            (&mut [3.0][..], 3.0, "one value"),
            (&mut [9.0, 1.0, 5.0], 5.0, "the middle one"),
            (&mut [4.0, 1.0, 9.0, 2.0], 3.0, "between the two in the middle"),
        ] {
            assert!((median(values) - expected).abs() < f64::EPSILON, "{what}");
        }
    }

    #[test]
    fn the_middle_is_finer_than_the_clock() {
        let mut values = [40.0, 50.0, 50.0, 40.0, 50.0, 50.0, 50.0, 50.0, 0.0, 9000.0];
        assert!((middle(&mut values) - 47.5).abs() < f64::EPSILON, "two of 40, six of 50");
    }

    #[test]
    fn ratio_is_net_of_the_zero_and_round_by_round() {
        let timing = |rounds: &[f64]| Timing { name: "", rounds: rounds.to_vec() };
        let zero = timing(&[40.0, 50.0, 40.0]);
        let (what, than) = (timing(&[100.0, 110.0, 200.0]), timing(&[80.0, 90.0, 80.0]));
        assert!((ratio(&what, &than, &zero) - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn random_stays_below_its_bound() {
        let mut random = Random::new(7);
        assert!((0..1000).all(|_| random.below(10) < 10));
        assert!((0..1000).any(|_| random.below(10) == 9));
    }
}

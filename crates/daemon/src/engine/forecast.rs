//! How long a drain will take: from how many connections left so far, nine times in ten not longer
//! than it says. Pure: time comes in as seconds.
//!
//! Connections that are left end at some rate each. It is known from what was seen: so many ended
//! while so much *exposure* (connections times seconds) passed. Of the two rates that the whole
//! drain and its latest third give, the lower one counts, less what chance may have added
//! (1.28 standard deviations of a count: nine in ten). If each of `n` ends at the rate `r`, all are
//! gone by `t` with the chance `(1 - e^(-rt))^n`; `t` is where that is 0.9.
//!
//! Where the latest third's rate is clearly higher than before, the connections are of one age and
//! come to their ends: then as many end in each second as did lately, less the same chance.
//!
//! Where none ended, nothing is known, and nothing is said.

use std::collections::VecDeque;

/// What was seen at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    at_s: f64,
    left: u32,
    /// Connections that ended until then.
    ended: f64,
    /// Connections times seconds until then.
    exposure: f64,
}

/// The connections of a server that gets no new ones.
#[derive(Clone, Debug)]
pub(crate) struct Departures {
    began_with: u32,
    samples: VecDeque<Sample>,
}

impl Departures {
    /// So many there were when it began.
    pub(crate) fn new(at_s: f64, left: u32) -> Self {
        let first = Sample { at_s, left, ended: 0.0, exposure: 0.0 };
        Self { began_with: left, samples: VecDeque::from([first]) }
    }

    /// So many are left.
    pub(crate) fn see(&mut self, at_s: f64, left: u32) {
        let Some(last) = self.samples.back().copied() else { return };
        let passed = (at_s - last.at_s).max(0.0);
        let ended = last.ended + f64::from(last.left.saturating_sub(left));
        let exposure = last.exposure + passed * (f64::from(last.left) + f64::from(left)) / 2.0;
        self.samples.push_back(Sample { at_s, left, ended, exposure });
        // Connections that were about to begin count as there from the start.
        self.began_with = self.began_with.max(left);
        if self.samples.len() > MAX_SAMPLES {
            // Every second one will do, but for the newest.
            let mut keep = self.samples.len().is_multiple_of(2);
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// Connections at the beginning.
    pub(crate) const fn began_with(&self) -> u32 {
        self.began_with
    }

    /// How long the drain has been going on.
    pub(crate) fn taken_s(&self) -> f64 {
        let first = self.samples.front().map_or(0.0, |first| first.at_s);
        self.samples.back().map_or(0.0, |last| last.at_s - first)
    }

    /// Seconds until none is left, nine times in ten.
    pub(crate) fn estimate_s(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        if last.left == 0 {
            return Some(0.0);
        }
        let whole = rate(first, last)?;
        let since = last.at_s - ((last.at_s - first.at_s) / 3.0).max(LATEST_S);
        let latest = self.samples.iter().rev().find(|s| s.at_s <= since).unwrap_or(first);
        if rises(first, latest, last) {
            let ended = cautious(last.ended - latest.ended);
            return Some(f64::from(last.left) * (last.at_s - latest.at_s) / ended);
        }
        let expected = whole * (last.exposure - latest.exposure);
        let rate = match rate(latest, last) {
            Some(latest) => whole.min(latest),
            // Many should have ended lately, and none did: these are of another kind.
            None if expected >= SURPRISE => return None,
            None => whole,
        };
        let each = 0.9_f64.powf(1.0 / f64::from(last.left));
        Some(-(-each).ln_1p() / rate)
    }
}

/// Ends for each connection and second, cautiously; none: nothing ended.
fn rate(from: &Sample, to: &Sample) -> Option<f64> {
    let (ended, exposure) = (to.ended - from.ended, to.exposure - from.exposure);
    if ended < 1.0 || exposure <= 0.0 {
        return None;
    }
    Some(cautious(ended) / exposure)
}

/// A count, less what chance may have added.
fn cautious(ended: f64) -> f64 {
    (ended - 1.28 * ended.sqrt()).max(0.5)
}

/// More end lately than before: by two standard deviations.
fn rises(first: &Sample, latest: &Sample, last: &Sample) -> bool {
    let part = |from: &Sample, to: &Sample| (to.ended - from.ended, to.exposure - from.exposure);
    let ((few, early), (many, late)) = (part(first, latest), part(latest, last));
    if few < 1.0 || many < 1.0 || early <= 0.0 || late <= 0.0 {
        return false;
    }
    let spread = (few / (early * early) + many / (late * late)).sqrt();
    many / late - few / early > 2.0 * spread
}

/// Looks that are remembered.
const MAX_SAMPLES: usize = 512;
/// The least that counts as latest.
const LATEST_S: f64 = 10.0;
/// So many expected ends that do not come are no chance: one in twenty.
const SURPRISE: f64 = 3.0;

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_precision_loss, reason = "small numbers of a test")]
    #![expect(clippy::cast_possible_truncation, reason = "as above")]

    use super::*;

    /// Numbers in 0..1, the same ones each time.
    struct Dice(u64);

    impl Dice {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((self.0 >> 33) as f64 + 0.5) / f64::from(1u32 << 31)
        }
    }

    /// When each of some connections ends.
    type Ends = fn(&mut Dice) -> f64;

    /// Plays a drain; at each `part` of it, what was said and what was true.
    fn play(ends: &[f64], parts: &[f64]) -> Vec<(Option<f64>, f64)> {
        let left = |at: f64| ends.iter().filter(|end| **end > at).count() as u32;
        let all = ends.iter().copied().fold(0.0, f64::max);
        let mut seen = Departures::new(0.0, left(0.0));
        let (mut said, mut at) = (Vec::new(), 0.0);
        for part in parts {
            while at + 1.0 <= part * all {
                at += 1.0;
                seen.see(at, left(at));
            }
            said.push((seen.estimate_s(), all - at));
        }
        said
    }

    #[test]
    fn the_estimate_holds_nine_times_in_ten() {
        let rows: [(&str, u32, Ends, f64); 4] = [
            ("lives of any length, 20 s in the mean", 200, |dice| -20.0 * dice.next().ln(), 60.0),
            ("the same, a few of them", 8, |dice| -60.0 * dice.next().ln(), 600.0),
            ("all live a minute and are somewhere in it", 100, |dice| 60.0 * dice.next(), 400.0),
            ("downloads of all sizes", 300, |dice| 10.0 / dice.next().powf(0.5), 200.0),
        ];
        for (what, count, ends, slack) in rows {
            let mut dice = Dice(7);
            let (mut said, mut held, mut far) = (0, 0, 0);
            for _ in 0..200 {
                let ends: Vec<f64> = (0..count).map(|_| ends(&mut dice)).collect();
                for (estimate, truth) in play(&ends, &[0.3, 0.5, 0.8]) {
                    let Some(estimate) = estimate else { continue };
                    said += 1;
                    held += u32::from(estimate + 1.0 >= truth);
                    far += u32::from(estimate > 10.0 * truth + slack);
                }
            }
            assert!(said >= 400, "{what}: it says something, {said} times");
            assert!(held * 10 >= said * 8, "{what}: {held} of {said} held");
            assert!(far * 10 <= said, "{what}: {far} of {said} were far too long");
        }
    }

    #[test]
    fn connections_of_one_age_are_known_when_they_come_to_their_ends() {
        let (mut dice, mut near) = (Dice(7), 0);
        for _ in 0..100 {
            let ends: Vec<f64> = (0..200).map(|_| 60.0 * dice.next()).collect();
            let (estimate, truth) = play(&ends, &[0.85])[0];
            near += u32::from(estimate.is_some_and(|e| e + 1.0 >= truth && e < 3.0 * truth));
        }
        assert!(near >= 75, "{near} of 100");
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let still = |seconds: u32, left: u32| {
            let mut seen = Departures::new(0.0, left);
            for at in 1..=seconds {
                seen.see(f64::from(at), left);
            }
            seen
        };
        assert_eq!(still(0, 5).estimate_s(), None, "just begun");
        assert_eq!(still(600, 5).estimate_s(), None, "none ever ended");
        assert_eq!(still(600, 0).estimate_s(), Some(0.0), "there is none");
        let mut mixed = still(0, 100);
        for at in 1..=200 {
            mixed.see(f64::from(at), (100_u32.saturating_sub(at * 5)).max(50));
        }
        assert_eq!(mixed.estimate_s(), None, "half were short, the others stay");
        assert_eq!(mixed.began_with(), 100);
    }

    #[test]
    fn a_long_drain_is_remembered_in_bounds() {
        let mut seen = Departures::new(0.0, 100_000);
        for at in 1..=50_000 {
            seen.see(f64::from(at), 100_000 - at);
        }
        assert!(seen.samples.len() <= MAX_SAMPLES);
        assert!((seen.taken_s() - 50_000.0).abs() < 1.0, "from the very beginning");
        assert_eq!(seen.samples.back().map(|last| last.left), Some(50_000));
    }
}

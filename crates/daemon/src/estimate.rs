//! Rates as the kernel's estimator has them, without anything that runs.
//!
//! The kernel (`net/netfilter/ipvs/ip_vs_est.c`) looks at every counter every 2 seconds and moves
//! an average a quarter of the way to what was counted since: `avg += (rate - avg) / 4`, with
//! connections and packets a second in units of 1/1024, bytes in units of 1/32. Here whoever reads
//! the counters makes up for the steps since the last reading. What was counted meanwhile is spread
//! evenly over the time, as nobody knows better; so with `n` steps of a rate `r` the average
//! becomes
//! `r + (avg - r) * (3/4)^n`, rounded at each step as the kernel does. Who reads every 2 seconds
//! sees exactly the kernel's figures, who comes after a long time what was usual in between.
//!
//! Pure: time and counters come in, figures go out. `engine/rates.rs` keeps one for each service
//! and
//! server.

use std::time::Duration;

use xlvs_api::{Rate, Stats};

/// Whole steps of the estimator since the last reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lapse {
    elapsed_ns: u128,
    steps: u32,
}

impl Lapse {
    /// None: not a single step is over.
    pub(crate) fn of(elapsed: Duration) -> Option<Self> {
        let steps = elapsed.as_nanos() / STEP.as_nanos();
        // More than a century of steps is as good as a century.
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        (steps > 0).then_some(Self { elapsed_ns: elapsed.as_nanos(), steps })
    }

    /// The time that the steps take.
    pub(crate) fn whole(self) -> Duration {
        STEP * self.steps
    }
}

/// The averages of one set of counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// What was accounted for.
    last: [u64; 5],
    /// Scaled, see [`SCALES`].
    averages: [i64; 5],
}

impl Estimate {
    /// Nothing happens; what `stats` counts was before.
    pub(crate) fn from(stats: &Stats) -> Self {
        Self { last: counters(stats), averages: [0; 5] }
    }

    /// Makes up for the steps since the last time, with what is counted now. The share of the time
    /// after the last whole step waits for the next.
    pub(crate) fn advance(&mut self, stats: &Stats, lapse: Lapse) {
        let Self { last, averages } = self;
        let each = last.iter_mut().zip(averages).zip(counters(stats)).zip(SCALES);
        for (((last, average), now), scale) in each {
            let counted = u128::from(now.saturating_sub(*last));
            let rate = counted * u128::from(scale) * NS_PER_S / lapse.elapsed_ns;
            let rate = i64::try_from(rate).unwrap_or(i64::MAX).min(i64::MAX >> 2);
            for _ in 0..lapse.steps.min(SETTLED) {
                // A quarter, rounded down also where it is less than nothing.
                *average += (rate - *average) >> 2;
            }
            let accounted = counted * lapse.whole().as_nanos() / lapse.elapsed_ns;
            // Counters that began anew are below.
            *last = last.saturating_add(u64::try_from(accounted).unwrap_or(u64::MAX)).min(now);
        }
    }

    /// What is counted now beyond what was accounted for.
    pub(crate) fn rest(&self, stats: &Stats) -> [u64; 5] {
        let mut rest = counters(stats);
        rest.iter_mut().zip(self.last).for_each(|(now, last)| *now = now.saturating_sub(last));
        rest
    }

    /// As the kernel tells it: rounded to the nearest.
    pub(crate) fn rate(&self) -> Rate {
        let mut figures = [0; 5];
        for ((figure, average), scale) in figures.iter_mut().zip(self.averages).zip(SCALES) {
            *figure = (average.unsigned_abs() + (scale / 2 - 1)) / scale;
        }
        let [cps, inpps, outpps, inbps, outbps] = figures;
        Rate { cps, inpps, outpps, inbps, outbps }
    }
}

/// In the order of [`SCALES`].
pub(crate) fn counters(stats: &Stats) -> [u64; 5] {
    let Stats { connections, in_packets, out_packets, in_bytes, out_bytes } = *stats;
    [connections, in_packets, out_packets, in_bytes, out_bytes]
}

/// How often the kernel looks.
const STEP: Duration = Duration::from_secs(2);
/// Units in one a second, of connections, packets (two ways) and bytes (two ways).
const SCALES: [u64; 5] = [1 << 10, 1 << 10, 1 << 10, 1 << 5, 1 << 5];
/// After so many steps of one rate, no average of 63 bits moves any more: 2^63 * (3/4)^152 < 1.
const SETTLED: u32 = 160;
const NS_PER_S: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(n: u64) -> Stats {
        Stats { connections: n, in_packets: n, out_packets: n, in_bytes: n, out_bytes: n }
    }

    fn lapse(ms: u64) -> Lapse {
        Lapse::of(Duration::from_millis(ms)).expect("a step or more")
    }

    /// The kernel's own code, step by step.
    fn kernel(counted: impl IntoIterator<Item = u64>) -> (u64, u64) {
        let (mut cps, mut bps) = (0i64, 0i64);
        for n in counted {
            let n = i64::try_from(n).expect("small");
            cps += ((n << 9) - cps) >> 2;
            bps += ((n << 4) - bps) >> 2;
        }
        let round = |n: i64, half: i64, bits| u64::try_from((n + half) >> bits).expect("positive");
        (round(cps, 0x1FF, 10), round(bps, 0xF, 5))
    }

    #[test]
    fn who_reads_every_two_seconds_sees_the_kernels_figures() {
        let constant = [200; 30];
        let mut burst = [0; 30];
        burst[0] = 100_000;
        let ragged: Vec<u64> = (0..30).map(|n| n * 7919 % 4001).collect();
        for counted in [&constant[..], &burst[..], &ragged[..]] {
            let (mut estimate, mut sum) = (Estimate::default(), 0);
            for (step, n) in counted.iter().enumerate() {
                sum += n;
                estimate.advance(&stats(sum), lapse(2000));
                let rate = estimate.rate();
                let expected = kernel(counted[..=step].iter().copied());
                assert_eq!((rate.cps, rate.inbps), expected, "{step}: {counted:?}");
                assert_eq!((rate.cps, rate.inbps), (rate.outpps, rate.outbps));
            }
        }
    }

    /// Milliseconds since the last reading, and what was counted since.
    type Reading = (u64, u64);

    #[test]
    fn rows() {
        // Readings, connections a second, bytes a second, and a sentence.
        let rows: [(&[Reading], u64, u64, &str); 9] = [
            (&[(2000, 2000)], 250, 250, "a quarter of the way after one step"),
            (&[(2000, 2000); 40], 1000, 1000, "a constant rate is reached"),
            (&[(80_000, 80_000)], 1000, 1000, "by one who comes late, too"),
            (&[(2000, 80_000), (2000, 0)], 7500, 7500, "a burst loses a quarter..."),
            (&[(2000, 80_000), (2000, 0), (2000, 0)], 5625, 5625, "... and a quarter..."),
            (&[(2000, 80_000), (4000, 0)], 5625, 5625, "... read or not"),
            (&[(2000, 80_000), (400_000, 0)], 0, 0, "until nothing is left"),
            (&[(3900, 3900)], 250, 250, "what came after the last step waits for the next"),
            (&[(u64::MAX, 0)], 0, 0, "for ever"),
        ];
        for (readings, cps, bps, why) in rows {
            let (mut estimate, mut sum) = (Estimate::default(), 0);
            for (elapsed_ms, counted) in readings {
                sum += counted;
                estimate.advance(&stats(sum), lapse(*elapsed_ms));
            }
            let rate = estimate.rate();
            assert_eq!((rate.cps, rate.inbps), (cps, bps), "{why}");
        }
    }

    #[test]
    fn reading_often_or_seldom_gives_nearly_the_same() {
        let mut often = Estimate::default();
        let mut seldom = Estimate::default();
        // Seven packets a second, for a minute; then eight hundred, for ten seconds.
        let counted =
            |at_ms: u64| at_ms.min(60_000) * 7 / 1000 + at_ms.saturating_sub(60_000) * 4 / 5;
        let mut at = 0;
        while at < 70_000 {
            at += 2000;
            often.advance(&stats(counted(at)), lapse(2000));
        }
        let (mut at, mut begun) = (0, 0);
        for now in [13_700, 29_100, 59_900, 63_000, 70_000] {
            let over = lapse(now - begun);
            seldom.advance(&stats(counted(now)), over);
            begun += u64::try_from(over.whole().as_millis()).expect("small");
            assert!(now - begun < 2000 && begun > at);
            at = begun;
        }
        let (often, seldom) = (often.rate().cps, seldom.rate().cps);
        assert!(often.abs_diff(seldom) * 20 < often, "{often} and {seldom}");
    }

    #[test]
    fn counters_that_began_anew_are_no_rate() {
        let mut estimate = Estimate::from(&stats(1000));
        estimate.advance(&stats(10), lapse(2000));
        assert_eq!(estimate.rate(), Rate::default());
        estimate.advance(&stats(2010), lapse(2000));
        assert_eq!(estimate.rate().cps, 250, "from there on");
        assert_eq!(Lapse::of(Duration::from_millis(1999)), None, "no step is over");
    }

    #[test]
    fn figures_as_large_as_counters_do_no_harm() {
        let mut estimate = Estimate::default();
        for _ in 0..200 {
            estimate.advance(&stats(u64::MAX), lapse(2000));
            estimate.last = [0; 5];
        }
        assert!(estimate.rate().inbps > 1 << 50);
    }
}

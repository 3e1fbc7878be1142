//! keepalived's order of retries, with times.

use proptest::prelude::*;

use super::*;

const fn pace(interval: u64, retry: u32, retry_after: u64) -> Pace {
    Pace {
        interval: Duration::from_secs(interval),
        retry,
        retry_after: Duration::from_secs(retry_after),
        warmup: Duration::ZERO,
        alpha: false,
        rise: 1,
    }
}

const fn urls(count: usize) -> Manner {
    Manner::Urls { count, fast_recovery: false }
}

/// Plays answers (`+` good, `-` bad) and writes down when each was asked: `12+` (a change: `!`),
/// with the URL where there are several.
fn play(pace: &Pace, manner: Manner, answers: &str) -> String {
    let mut life = Life::new(pace);
    let mut now = Duration::ZERO;
    let mut said = Vec::new();
    for answer in answers.chars() {
        let url = life.url();
        let at = now.as_secs();
        let step = life.on(answer == '+', pace, manner);
        now += step.delay;
        let change = match step.change {
            None => "",
            Some(Change::Up) => "UP",
            Some(Change::Down) => "DOWN",
            Some(Change::FirstGood | Change::FirstBad) => "first",
        };
        match manner {
            Manner::Urls { .. } | Manner::Combined { .. } => {
                said.push(format!("{at}/{url}{answer}{change}"));
            }
            _ => said.push(format!("{at}{answer}{change}")),
        }
    }
    said.join(" ")
}

#[test]
fn retries() {
    let ten = pace(10, 2, 3);
    let alpha = Pace { alpha: true, ..ten.clone() };
    let rise = Pace { rise: 3, ..ten.clone() };
    let nanny = Pace { alpha: true, retry: 0, ..rise.clone() };
    for (pace, manner, answers, expected, why) in [
        (&ten, Manner::Plain, "++", "0+first 10+", "good stays good"),
        (&ten, Manner::Plain, "--+", "0-DOWN 10- 20+UP", "the first answer needs no retries"),
        (
            &ten,
            Manner::Plain,
            "+----+",
            "0+first 10- 13- 16-DOWN 26- 36+UP",
            "two retries, then down; down is asked at its interval",
        ),
        (&ten, Manner::Plain, "+--+--+", "0+first 10- 13- 16+ 26- 29- 32+", "a good one forgives"),
        (&ten, Manner::Connection, "+---", "0+first 10- 13- 16-DOWN", "TCP goes down alike"),
        (
            &ten,
            Manner::Connection,
            "+------+",
            "0+first 10- 13- 16-DOWN 26- 29- 32- 42+UP",
            "TCP goes on retrying while it is down",
        ),
        (&alpha, Manner::Plain, "-+", "0-first 10+UP", "alpha: down until good"),
        (&alpha, Manner::Plain, "+", "0+UP", "alpha: the first good one brings it up"),
        (&rise, Manner::Plain, "-++-+++", "0-DOWN 10+ 20+ 30- 40+ 50+ 60+UP", "rise in a row"),
        (&rise, Manner::Plain, "++", "0+first 10+", "rise is for what was down"),
        (&nanny, Manner::Plain, "++", "0+UP 10+", "the first answer of all is enough"),
        (&nanny, Manner::Plain, "-+++", "0-first 10+ 20+ 30+UP", "after a bad one it is not"),
        (&pace(5, 0, 1), Manner::Program, "+-+", "0+first 5-DOWN 10+UP", "no retries"),
    ] {
        assert_eq!(play(pace, manner, answers), expected, "{why}");
    }
}

#[test]
fn urls_in_turn() {
    let ten = pace(10, 2, 3);
    let fast = Manner::Urls { count: 3, fast_recovery: true };
    for (pace, manner, answers, expected, why) in [
        (&ten, urls(1), "++", "0/0+first 10/0+", "one URL"),
        (
            &ten,
            urls(2),
            "++++",
            "0/0+ 10/1+first 20/0+ 30/1+",
            "one URL at a time, a delay_loop between them",
        ),
        (
            &ten,
            urls(2),
            "++---+++",
            "0/0+ 10/1+first 20/0- 23/0- 26/0-DOWN 36/0+ 46/0+ 56/1+UP",
            "the failed URL first, then all of them",
        ),
        (&ten, urls(2), "+-", "0/0+ 10/1-DOWN", "until the first round is over one is enough"),
        (
            &ten,
            fast,
            "++++",
            "0/0+ 0/1+ 0/2+first 10/0+",
            "fast_recovery: no delay in the first round",
        ),
        (
            &ten,
            fast,
            "+-+++++",
            "0/0+ 0/1-DOWN 10/1+ 10/0+ 10/1+ 10/2+UP 20/0+",
            "fast_recovery: nor once the failed URL is good again",
        ),
        (
            &ten,
            fast,
            "-+--+",
            "0/0-DOWN 10/0+ 10/0- 13/0- 16/0+",
            "fast_recovery does not hurry after bad answers",
        ),
        (
            &pace(2, 1, 5),
            urls(1),
            "+--+",
            "0/0+first 2/0- 7/0-DOWN 12/0+",
            "a failed URL waits for the longer of both delays",
        ),
    ] {
        assert_eq!(play(pace, manner, answers), expected, "{why}");
    }
}

#[test]
fn a_reload_keeps_what_is_known() {
    let old = pace(10, 5, 1);
    let mut life = Life::new(&old);
    for good in [true, false, false, false] {
        life.on(good, &old, Manner::Plain);
    }
    let new = pace(10, 1, 1);
    life.migrate(&new, Manner::Plain);
    assert_eq!((life.is_up(), life.tries()), (true, 1));
    assert_eq!(life.on(false, &new, Manner::Plain).change, Some(Change::Down));
    let mut fresh = Life::new(&old);
    fresh.migrate(&Pace { alpha: true, ..new }, Manner::Plain);
    assert!(!fresh.is_up(), "what was not asked yet begins as the new terms say");
}

fn any_manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        Just(Manner::Connection),
        Just(Manner::Plain),
        Just(Manner::Program),
        (1..4usize, any::<bool>())
            .prop_map(|(count, fast_recovery)| Manner::Urls { count, fast_recovery }),
    ]
}

proptest! {
    /// No flap without cause: it goes down by a bad answer alone, after at least `retry` before it
    /// since the last good one (but for the first), and comes up by `rise` good rounds in a row.
    #[test]
    fn no_flap_without_cause(
        answers in proptest::collection::vec(any::<bool>(), 1..200),
        manner in any_manner(),
        retry in 0..4u32,
        rise in 1..4u32,
        alpha in any::<bool>(),
        retry_after in 1..20u64,
    ) {
        let pace = Pace { alpha, rise, ..pace(10, retry, retry_after) };
        let round = match manner { Manner::Urls { count, .. } => count, _ => 1 };
        let mut life = Life::new(&pace);
        let (mut good_row, mut bad_row, mut was_good) = (0usize, 0u32, false);
        for good in answers {
            let before = life.is_up();
            let step = life.on(good, &pace, manner);
            if good { good_row += 1; bad_row = 0; } else { bad_row += 1; good_row = 0; }
            match step.change {
                Some(Change::Up) => {
                    prop_assert!(good && !before && life.is_up());
                    prop_assert!(good_row >= rise as usize || !was_good && good_row >= round);
                }
                Some(Change::Down) => {
                    prop_assert!(!good && before && !life.is_up());
                    prop_assert!(bad_row > retry || !was_good);
                }
                _ => prop_assert_eq!(before, life.is_up()),
            }
            was_good |= life.has_run() && life.is_up();
            // Whatever comes, the next question is at a bounded distance.
            prop_assert!(step.delay <= pace.interval.max(pace.retry_after));
            if !good {
                prop_assert!(step.delay > Duration::ZERO, "no pause after a bad answer");
            }
        }
    }
}

#[test]
fn connections_with_dialogues_between() {
    let (ten, patient) = (pace(10, 0, 3), pace(10, 2, 3));
    let combined = |connects| Manner::Combined { connects };
    for (pace, manner, answers, expected, why) in [
        (&ten, combined(2), "++++++", "0/0+first 10/1+ 20/2+ 30/0+ 40/1+ 50/2+", "two connections"),
        (&ten, combined(1), "+++", "0/0+first 10/1+ 20/0+", "one"),
        (
            &ten,
            combined(2),
            "++-+",
            "0/0+first 10/1+ 20/2-DOWN 30/0+UP",
            "after a bad one a dialogue",
        ),
        (&ten, combined(2), "--+", "0/0-DOWN 10/0- 20/0+UP", "until that is good"),
        (&patient, combined(3), "++-+", "0/0+first 10/1+ 20/2- 23/0+", "also of a retry"),
    ] {
        assert_eq!(play(pace, manner, answers), expected, "{why}");
    }
    let mut life = Life::new(&ten);
    for _ in 0..5 {
        life.on(true, &ten, combined(9));
    }
    life.migrate(&ten, combined(5));
    assert_eq!(life.url(), 5, "it goes on where it was");
    life.migrate(&ten, combined(4));
    assert_eq!(life.url(), 0, "or begins anew");
}

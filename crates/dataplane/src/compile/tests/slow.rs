//! Slow start: what the lists and tables of servers say, second by second.

use xlvs_datapath::Tables as _;

use super::*;

const TEN: u32 = 10;

/// A service of one scheduler with slow start, and what happened to it.
struct Ramp {
    lab: Lab,
    slow_start_s: u32,
}

impl Ramp {
    fn of(scheduler: &str, slow_start_s: u32) -> Self {
        let mut ramp = Self { lab: Lab::new(), slow_start_s };
        ramp.at(100, &format!("A {WEB} {scheduler}"));
        let tuning = xlvs_model::Tuning { slow_start_s, ..xlvs_model::Tuning::default() };
        ramp.lab.model.apply(&Change::TuneService { service: service(WEB), tuning }).unwrap();
        ramp
    }

    /// One change at a time of the clock.
    fn at(&mut self, seconds: u64, line: &str) -> &mut Self {
        self.lab.at(seconds).make(&[line]);
        self
    }

    /// What the daemon does each second.
    fn tick(&mut self, seconds: u64) -> &mut Self {
        self.lab.at(seconds);
        let ramping = self.lab.plane.ramping();
        self.lab.plane.apply_touched(&self.lab.model, &ramping).unwrap();
        self
    }

    fn weights(&self) -> Vec<u32> {
        self.lab.seen(WEB).unwrap().0.iter().map(|(_, weight)| *weight).collect()
    }

    fn scheduler(&self) -> xlvs_sched::Scheduler {
        let key = service_key(&service(WEB)).unwrap();
        let found = self.lab.plane.home().service(&key).unwrap();
        xlvs_sched::Scheduler::from_number(found.scheduler_number()).unwrap()
    }

    /// How many buckets lead to each server, in list order.
    fn buckets(&self) -> Vec<usize> {
        let key = service_key(&service(WEB)).unwrap();
        let found = self.lab.plane.home().service(&key).unwrap();
        let home = self.lab.plane.home();
        let words =
            (0..terms::words(found.buckets)).map(|n| home.buckets(found.table + n).unwrap());
        let mut counts = vec![0; self.weights().len()];
        let positions = words.flat_map(|word| (0..4).map(move |n| word >> (16 * n) & 0xffff));
        for position in positions.take(found.buckets as usize) {
            counts[usize::try_from(position).unwrap()] += 1;
        }
        counts
    }

    /// Shares as people are shown them, in the model's order.
    fn shares(&self) -> Vec<Option<u32>> {
        let model = self.lab.model.service(&service(WEB)).unwrap();
        let (_, servers) = self.lab.plane.counters(model).unwrap();
        servers.iter().map(|counted| counted.share).collect()
    }

    fn is_ramping(&self) -> bool {
        !self.lab.plane.ramping().is_empty()
    }
}

/// What each scheduler sees of a server of weight 3 that was added beside one of weight 1, by the
/// second. The newcomer is the first of the list.
#[test]
fn weights_by_the_second() {
    use xlvs_sched::Scheduler as S;
    for (scheduler, works, seconds, expected, sentence) in [
        ("wrr", S::Wrr, 0, [3, 64], "a sixty-fourth at once"),
        ("wrr", S::Wrr, 1, [18, 64], "6 of 64 after a tenth"),
        ("wrr", S::Wrr, 5, [96, 64], "half of 3 beside 1"),
        ("wrr", S::Wrr, 9, [171, 64], "57 of 64"),
        ("wrr", S::Wrr, 10, [3, 1], "all, as written"),
        ("rr", S::Wrr, 5, [32, 64], "rr does not heed weights: half the turns, by wrr"),
        ("rr", S::Rr, 10, [3, 1], "and is itself again"),
        ("lc", S::Wlc, 5, [32, 64], "lc works as wlc"),
        ("wlc", S::Wlc, 5, [96, 64], "as wrr"),
        ("sed", S::Sed, 5, [96, 64], "as wrr"),
        ("nq", S::Nq, 5, [96, 64], "as wrr"),
        ("twos", S::Twos, 5, [96, 64], "as wrr"),
        ("fo", S::Fo, 5, [1, 1], "fo compares weights: 3 / 2, rounded down"),
        ("ovf", S::Ovf, 9, [2, 1], "ovf compares weights with counts"),
        ("lblc", S::Lblc, 9, [2, 1], "as ovf"),
        ("lblcr", S::Lblcr, 9, [2, 1], "as ovf"),
        ("sh", S::Sh, 5, [3, 1], "all is in the table"),
    ] {
        let mut ramp = Ramp::of(scheduler, TEN);
        ramp.at(200, &format!("a {WEB} 10.1.0.1:80 1")).tick(300);
        ramp.at(400, &format!("a {WEB} 10.1.0.2:80 3")).tick(400 + seconds);
        assert_eq!(ramp.weights(), expected, "{scheduler} {seconds}: {sentence}");
        assert_eq!(ramp.scheduler(), works, "{scheduler} {seconds}: {sentence}");
        assert_eq!(ramp.is_ramping(), seconds < 10, "{scheduler} {seconds}: {sentence}");
        let written: Vec<u32> =
            ramp.lab.model.services[0].servers.iter().map(|s| s.weight).collect();
        assert_eq!(written.iter().sum::<u32>(), 4, "the written weights stay: {written:?}");
    }
}

/// Who ramps: shares of 64 in the model's order, five seconds after the last of the changes.
#[test]
fn who_ramps() {
    let (add_one, add_two) = (format!("a {WEB} 10.1.0.1:80 1"), format!("a {WEB} 10.1.0.2:80 1"));
    let (one_off, two_off) = (format!("e {WEB} 10.1.0.1:80 0"), format!("e {WEB} 10.1.0.2:80 0"));
    let two_on = format!("e {WEB} 10.1.0.2:80 1");
    let (remove, heavier) = (format!("d {WEB} 10.1.0.2:80"), format!("e {WEB} 10.1.0.2:80 9"));
    let with_new_terms = format!("E {WEB} wlc");
    // What became of the second server beside the first, which is long there; None: nobody ramps.
    for (lines, expected, sentence) in [
        (&[(0, &add_two)][..], Some(32), "added"),
        (&[(0, &add_two), (20, &two_off), (30, &two_on)], Some(32), "back from weight 0"),
        (&[(0, &add_two), (20, &remove), (21, &add_two)], Some(32), "added again"),
        (&[(0, &add_two), (20, &two_off)], None, "weight 0 is 0"),
        (&[(0, &add_two), (20, &heavier)], None, "another weight is no return"),
        (&[(0, &add_two), (2, &heavier)], Some(44), "nor does it begin the ramp anew"),
        (&[(0, &add_two), (2, &with_new_terms)], Some(44), "nor does another scheduler"),
        (&[(0, &add_two), (2, &one_off)], None, "the only one with a weight has it all"),
        (&[(0, &one_off), (20, &add_two)], None, "nobody else could take the load"),
    ] {
        let mut ramp = Ramp::of("wrr", TEN);
        ramp.at(200, &add_one).tick(300);
        let mut last = 400;
        for (after, line) in lines {
            last = 400 + after;
            ramp.tick(last - 1).at(last, line);
        }
        ramp.tick(last + 5);
        assert_eq!(ramp.shares().into_iter().flatten().next(), expected, "{sentence}");
        assert_eq!(ramp.is_ramping(), expected.is_some(), "{sentence}");
    }
}

#[test]
fn the_servers_of_a_new_service_ramp_alike() {
    let mut ramp = Ramp::of("rr", TEN);
    for n in 1..=3 {
        ramp.at(200, &format!("a {WEB} 10.1.0.{n}:80 1"));
        assert!(!ramp.is_ramping(), "as many as there are, all have the same");
    }
    assert_eq!(ramp.scheduler(), xlvs_sched::Scheduler::Rr);
    ramp.at(204, &format!("a {WEB} 10.1.0.4:80 1")).tick(208);
    assert_eq!(ramp.shares().into_iter().flatten().collect::<Vec<_>>(), [31], "25 of 51");
    assert_eq!(ramp.tick(214).shares(), [None; 4]);
    assert_eq!(ramp.scheduler(), xlvs_sched::Scheduler::Rr);
}

#[test]
fn tables_of_buckets_give_more_and_more_buckets() {
    for scheduler in ["dh", "sh", "mh"] {
        let mut ramp = Ramp::of(scheduler, TEN);
        ramp.at(200, &format!("a {WEB} 10.1.0.1:80 1")).tick(300);
        ramp.at(400, &format!("a {WEB} 10.1.0.2:80 1"));
        let mut got = Vec::new();
        for second in 0..=10 {
            let buckets = ramp.tick(400 + second).buckets();
            got.push(buckets[0]);
        }
        assert!(got.is_sorted(), "{scheduler}: {got:?}");
        let (last, half, begun) = (got[10], got[5], got[1]);
        assert!(half * 3 > last && half * 3 < last * 2, "{scheduler}, half: {got:?}");
        assert!(begun * 5 < last, "{scheduler}, 6 of 64: {got:?}");
        let whole = ramp.buckets();
        assert!(whole[0].abs_diff(whole[1]) * 50 <= whole[0], "{scheduler}: {whole:?}");
    }
}

#[test]
fn a_restarted_daemon_goes_on_with_full_weights() {
    for scheduler in ["rr", "wrr", "mh", "chbl"] {
        let mut ramp = Ramp::of(scheduler, TEN);
        ramp.at(200, &format!("a {WEB} 10.1.0.1:80 1")).tick(300);
        ramp.at(400, &format!("a {WEB} 10.1.0.2:80 1")).tick(401);
        let few = ramp.buckets();
        let home = std::mem::take(ramp.lab.plane.home_mut());
        ramp.lab.plane = Dataplane::new(home, Baselines::default()).unwrap();
        ramp.lab.plane.apply(&ramp.lab.model).unwrap();
        assert_eq!(ramp.weights(), [1, 1], "{scheduler}");
        assert!(!ramp.is_ramping(), "{scheduler}");
        let own = keys::scheduler(Scheduler::by_name(scheduler).unwrap());
        assert_eq!(Some(ramp.scheduler()), own);
        let whole = ramp.buckets();
        assert!(
            matches!(scheduler, "rr" | "wrr") || few[0] * 4 < whole[0],
            "{scheduler}: {whole:?}"
        );
    }
}

#[test]
fn a_second_in_which_nothing_grows_writes_nothing() {
    let mut ramp = Ramp::of("mh", 640);
    ramp.at(2000, &format!("a {WEB} 10.1.0.1:80 1")).tick(3000);
    ramp.at(4000, &format!("a {WEB} 10.1.0.2:80 1"));
    let ramping = ramp.lab.plane.ramping();
    let model = ramp.lab.model.clone();
    let words = |seconds: u64| {
        let mut compiler = ramp.lab.plane.compiler().clone();
        let now = seconds * SECOND;
        let writes = compiler.compile(&model, Some(&ramping), now, |_| Ok(0)).unwrap();
        writes.iter().map(word).collect::<Vec<_>>()
    };
    assert_eq!(words(4005), [""; 0], "640 s are 10 s a step");
    assert_eq!(words(4020), ["orders", "buckets", "plan", "service"]);
    assert_eq!(ramp.slow_start_s, 640);
}

#[test]
fn without_slow_start_nobody_ramps() {
    let mut ramp = Ramp::of("wrr", 0);
    ramp.at(200, &format!("a {WEB} 10.1.0.1:80 1")).at(300, &format!("a {WEB} 10.1.0.2:80 3"));
    assert_eq!((ramp.weights(), ramp.is_ramping()), (vec![3, 1], false));
}

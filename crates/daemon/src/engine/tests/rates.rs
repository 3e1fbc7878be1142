//! Rates and the whole director's counters, as the API shows them.

use std::time::Duration;

use xlvs_api::Rate;
use xlvs_model::settings::{Setting, Value};

use super::*;

fn estimation(bench: &mut Bench, value: i64) {
    let change = Change::Set { setting: Setting::RunEstimation, value: Some(Value::Number(value)) };
    bench.engine.change(&[change]).unwrap();
}

/// Takes the clock of all rates back by 2 s, as if they had passed.
fn two_seconds_pass(bench: &mut Bench) {
    bench.engine.rates.take_back(Duration::from_secs(2));
}

/// Packets of the service and connections of the whole director.
fn rates(bench: &mut Bench) -> (u64, u64) {
    let services = bench.engine.services(None, false).unwrap();
    let whole = bench.engine.totals().unwrap().rate.cps;
    (services[0].rate.inpps, whole)
}

#[test]
fn rates_follow_the_counters() {
    let mut bench = Bench::new();
    bench.fake.told().counted = 1000;
    assert_eq!(bench.engine.totals().unwrap().rate, Rate::default(), "counted before");
    bench.engine.change(&[add_service(80), add_server(80, ONE)]).unwrap();
    assert_eq!(rates(&mut bench), (0, 0), "no step is over");
    bench.fake.told().counted = 1800;
    two_seconds_pass(&mut bench);
    // The fake counts 80 packets of the service, once. Two seconds passed, or somewhat more.
    let (service, whole) = rates(&mut bench);
    assert!((1..=10).contains(&service) && (10..=100).contains(&whole), "{service} {whole}");
    let totals = bench.engine.totals().unwrap();
    assert_eq!(totals.stats.connections, 1800);
    assert_eq!(totals.cpus.len(), 2);

    estimation(&mut bench, 0);
    assert_eq!(rates(&mut bench), (0, 0), "nothing is estimated");
    estimation(&mut bench, 1);
    two_seconds_pass(&mut bench);
    assert_eq!(rates(&mut bench), (0, 0), "it begins anew");
    bench.engine.zero(None).unwrap();
    assert_eq!(rates(&mut bench), (0, 0), "also when counters do");
}

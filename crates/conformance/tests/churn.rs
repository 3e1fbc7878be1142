//! Ring 1: twenty seeds of two hundred random steps each, as Linux 6.12 answered them
//! (`cargo xtask churn --seeds 1..20 --keep FOLDER` records them anew), played in memory.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use xlvs_conformance::churn::{Script, features, replay, script, services};

/// What is not forwarded by xlvs yet. Services do not meet: those that need none of this are played,
/// and a word here that stands in nobody's way any more is a failure.
const NOT_YET: &[&str] = &[];

/// The first twenty, and one that edits a server of wrr to what it is.
const SEEDS: [RangeInclusive<u64>; 2] = [1..=20, 35..=35];

fn records() -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let read = |seed| {
        let path = folder.join(format!("churn-6.12-{seed:02}.jsonl"));
        Script::read(&fs::read_to_string(path).unwrap()).unwrap()
    };
    SEEDS.into_iter().flatten().map(read).collect()
}

#[test]
fn the_records_are_of_the_scripts_that_seeds_make_today() {
    for mut record in records() {
        record.head.kernel.clear();
        record.steps.iter_mut().for_each(|step| step.got = None);
        assert_eq!(record, script(record.head.seed, 200), "seed {}", record.head.seed);
    }
}

/// What stands in a service's way.
fn obstacles(script: &Script, service: &str) -> BTreeSet<String> {
    let mut needs = features(script, service);
    needs.retain(|need| NOT_YET.contains(&need.as_str()));
    needs
}

#[test]
fn every_choice_is_the_kernels() {
    let (mut wrong, mut played) = (Vec::new(), 0);
    for script in records() {
        let seed = script.head.seed;
        assert_eq!(script.steps.len(), 200, "seed {seed}");
        let mut able = services(&script);
        able.retain(|service| obstacles(&script, service).is_empty());
        played += able.len();
        let differ = replay(&script, &able).unwrap();
        wrong.extend(differ.into_iter().map(|line| format!("seed {seed}, {line}")));
    }
    assert!(played > 0);
    assert!(wrong.is_empty(), "{} steps differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_works_is_off_the_list() {
    let records = records();
    for word in NOT_YET {
        let alone = BTreeSet::from([(*word).to_owned()]);
        let mut waiting = records.iter().flat_map(|script| {
            let blocked = |service: &String| obstacles(script, service) == alone;
            services(script).into_iter().filter(blocked).map(move |service| (script, service))
        });
        let (mut seen, mut works) = (false, true);
        waiting.by_ref().for_each(|(script, service)| {
            seen = true;
            works &= replay(script, &BTreeSet::from([service])).is_ok_and(|wrong| wrong.is_empty());
        });
        assert!(!seen || !works, "`{word}` works: take it off NOT_YET");
    }
}

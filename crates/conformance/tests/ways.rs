//! Ring 1: the short way that most packets take does exactly what the whole way would do.

use xlvs_conformance::{InMemory, Random, Twin, rows, traffic};

#[test]
fn every_row_goes_by_the_whole_way_alone_too() {
    let rows = rows::all();
    let mut wrong = Vec::new();
    for row in &rows {
        let headroom = (row.hook == rows::Hook::NoRoom).then_some(0);
        let mut whole = InMemory { whole: true, headroom, ..InMemory::default() };
        let mut both = InMemory { headroom, ..InMemory::default() };
        match (row.play(&mut whole), row.play(&mut both)) {
            (Err(what), _) | (_, Err(what)) => wrong.push(what),
            (Ok(a), Ok(b)) if a != b => wrong.push(format!("{}: {a:?}, {b:?}", row.says)),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn random_packets_fare_alike() {
    let mut whole = InMemory { whole: true, ..InMemory::default() };
    let mut both = InMemory::default();
    for seed in 1..500 {
        let mut r = Random::new(seed);
        let given = traffic::world(&mut r);
        whole.install(&given);
        both.install(&given);
        let mut now = given.now;
        for _ in 0..40 {
            let mut frame = traffic::packet(&mut r, &given).bytes();
            if r.one_in(10) {
                traffic::spoil(&mut r, &mut frame);
            }
            now += if r.one_in(10) { 61_000_000_000 } else { 50_000_000 };
            whole.set_now(now);
            both.set_now(now);
            assert_eq!(whole.run(&frame), both.run(&frame), "seed {seed}: {frame:02x?}");
        }
        assert_eq!(whole.snapshot(), both.snapshot(), "seed {seed}");
    }
}

//! Ring 1: the packet rows in the userspace home.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;

use xlvs_conformance::{InMemory, rows};
use xlvs_datapath::Reason;

#[test]
fn every_row_in_memory() {
    let rows = rows::all();
    assert!(rows.len() >= 200, "{} rows", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let headroom = (row.hook == rows::Hook::NoRoom).then_some(0);
            let mut twin = InMemory { headroom, ..InMemory::default() };
            row.play(&mut twin).err()
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn every_sweep_in_memory() {
    let sweeps = rows::sweeps();
    let wrong: Vec<String> =
        sweeps.iter().filter_map(|s| s.play(&mut InMemory::default()).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), sweeps.len(), wrong.join("\n"));
}

#[test]
fn every_reason_has_a_row_and_every_row_its_own_words() {
    let rows = rows::all();
    let reasons: HashSet<Reason> = rows.iter().map(|row| row.reason).collect();
    let missing: Vec<_> = Reason::ALL.iter().filter(|r| !reasons.contains(r)).collect();
    assert!(missing.is_empty(), "no row ends in {missing:?}");
    let mut words = HashSet::new();
    let twice = rows.iter().find(|row| !words.insert(&row.says)).map(|row| &row.says);
    assert_eq!(twice, None, "rows are told apart by what they say");
    rows.first().unwrap();
}

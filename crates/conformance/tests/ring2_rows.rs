//! Ring 2: the packet rows in both homes, whose frames, verdicts, counters and tables must be
//! equal.

use xlvs_conformance::{InKernel, InMemory, Options, rows};

#[test]
fn every_row_in_both_homes() {
    let mut kernel = InKernel::load(Options::default());
    let mut memory = InMemory::default();
    let mut wrong = Vec::new();
    let (mut played, rows) = (0, rows::all());
    for row in rows.iter().filter(|row| row.hook != rows::Hook::NoRoom) {
        match (row.play(&mut kernel), row.play(&mut memory)) {
            (Err(what), _) | (_, Err(what)) => wrong.push(what),
            (Ok(a), Ok(b)) if a != b => {
                wrong.push(format!("{}: the homes differ:\n{a:?}\n{b:?}", row.says));
            }
            _ => played += 1,
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(played >= 200, "{played} rows in both homes");
}

#[test]
fn every_sweep_in_both_homes() {
    let mut kernel = InKernel::load(Options::default());
    let mut memory = InMemory::default();
    for sweep in rows::sweeps() {
        assert_eq!(sweep.play(&mut kernel), sweep.play(&mut memory), "{}", sweep.says);
        assert_eq!(sweep.play(&mut memory).err(), None);
    }
}

//! What fuzzing has come upon, run again by the tests of the crates whose parsers these are:
//! `fuzz/corpus` holds an input for each way through them that was found.

use std::{fs, path::Path};

/// Every input of a target.
#[expect(clippy::print_stdout, reason = "the input that fails is named")]
pub(crate) fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for file in fs::read_dir(&folder).expect("the corpus is committed") {
        let path = file.expect("a file of the corpus").path();
        // A failing input is named by the test's output.
        println!("{}", path.display());
        run(&fs::read(&path).expect("a readable file"));
        count += 1;
    }
    assert!(count >= LEAST, "{target}: {count} inputs");
}

/// An empty folder would be no test.
const LEAST: usize = 50;

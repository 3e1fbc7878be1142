//! What fuzzing has come upon, replayed: `fuzz/corpus` holds an input for each way through the
//! parsers that was found. `cargo xtask fuzz` looks for more.
#![expect(clippy::print_stdout, reason = "the input that fails is named")]

mod formats;
mod ipvsadm;
mod keepalived;

use std::{fs, path::Path};

fn replay(target: &str, run: fn(&[u8])) {
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

#[test]
fn keepalived_conf() {
    replay("keepalived", keepalived::run);
}

#[test]
fn ipvsadm_lines() {
    replay("ipvsadm", ipvsadm::run);
}

#[test]
fn lvs_cf() {
    replay("lvs_cf", formats::lvs_cf);
}

#[test]
fn ldirectord_cf() {
    replay("ldirectord", formats::ldirectord);
}

#[test]
fn save_files() {
    replay("save", formats::save);
}

#[test]
fn toml() {
    replay("toml", formats::toml);
}

/// An empty folder would be no test.
const LEAST: usize = 50;

//! The formats beside keepalived's: what they mean, what is told of them, and from one to another.

#[path = "../keepalived/host.rs"]
mod host;

mod convert;
mod document;

mod ldirectord;
mod native;
mod never_panics;
mod piranha;
mod save;

use std::{env, fs, path::PathBuf};

/// A file of `tests/golden`.
fn golden(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    fs::read_to_string(root.join(path)).expect(path)
}

/// Compares with a file of `tests/golden`; `XLVS_BLESS=1` writes it.
fn snapshot(path: &str, actual: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path);
    if env::var_os("XLVS_BLESS").is_some() {
        fs::create_dir_all(file.parent().expect("a folder")).expect("its folder");
        fs::write(&file, actual).expect("the snapshot is written");
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(actual == expected, "{path} differs: XLVS_BLESS=1 renews it\n{actual}");
}

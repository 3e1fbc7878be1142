//! `docs/keepalived.md` holds the reference that the table of keywords makes.

use std::{env, fs, path::PathBuf};

use xlvs_config::keepalived::reference;

const BEGIN: &str =
    "<!-- keywords: made from the table in crates/config; XLVS_BLESS=1 renews -->\n";

#[test]
fn the_reference_is_the_tables() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/keepalived.md");
    let text = fs::read_to_string(&path).expect("docs/keepalived.md");
    let (head, _) = text.split_once(BEGIN).expect("where the reference begins");
    let expected = format!("{head}{BEGIN}\n{}", reference().trim_end()) + "\n";
    if env::var_os("XLVS_BLESS").is_some() {
        fs::write(&path, &expected).expect("docs/keepalived.md is written");
    }
    let text = fs::read_to_string(&path).expect("docs/keepalived.md");
    assert!(text == expected, "docs/keepalived.md is not of this table: XLVS_BLESS=1 renews it");
}

//! The references of the keywords are the tables'.

use std::{env, fs, path::PathBuf};

const BEGIN: &str =
    "<!-- keywords: made from the table in crates/config; XLVS_BLESS=1 renews -->\n";

#[test]
fn the_references_are_the_tables() {
    let references = [
        ("lvs-cf.md", xlvs_config::piranha::reference()),
        ("ldirectord.md", xlvs_config::ldirectord::reference()),
        ("toml.md", xlvs_config::native::reference()),
    ];
    for (name, reference) in references {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        let text = fs::read_to_string(&path).expect(name);
        let (head, _) = text.split_once(BEGIN).expect("where the reference begins");
        let expected = format!("{head}{BEGIN}\n{}", reference.trim_end()) + "\n";
        if env::var_os("XLVS_BLESS").is_some() {
            fs::write(&path, &expected).expect("it is written");
        }
        let text = fs::read_to_string(&path).expect(name);
        assert!(text == expected, "docs/{name} is not of this table: XLVS_BLESS=1 renews it");
    }
}

#[test]
fn the_schema_is_the_tables() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/xlvs.schema.json");
    let expected =
        serde_json::to_string_pretty(&xlvs_config::native::schema()).expect("JSON") + "\n";
    if env::var_os("XLVS_BLESS").is_some() {
        fs::write(&path, &expected).expect("it is written");
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "docs/xlvs.schema.json is old: XLVS_BLESS=1 renews it");
}

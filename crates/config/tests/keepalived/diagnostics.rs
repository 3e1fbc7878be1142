//! What people read when something is wrong.

use xlvs_config::keepalived::{Severity, load};

use crate::{host::InMemory, meaning::snapshot};

#[test]
fn what_is_told_of_a_file_full_of_mistakes() {
    let text = include_str!("../golden/keepalived/mistakes.conf");
    let (_, report) = load("keepalived.conf", &InMemory::of(text));
    assert!(report.has_errors());
    snapshot("mistakes.txt", &report.render(false));
}

#[test]
fn braces_that_do_not_match() {
    for (text, expected, why) in [
        ("global_defs {\n", "a closing brace is missing", "at the end"),
        ("}\n", "a brace too many", "at the top"),
        ("{\n}\n", "a block that belongs to nothing", "without a keyword"),
        ("global_defs\n", "`global_defs` has no block", "without a block"),
        ("instance a {\n}\n", "`instance` takes no block", "a block too many"),
    ] {
        let (_, report) = load("keepalived.conf", &InMemory::of(text));
        let messages: Vec<&str> = report.diagnostics.iter().map(|d| &*d.message).collect();
        assert!(messages.contains(&expected), "{why}: {messages:?}");
    }
}

#[test]
fn places_are_those_of_the_text() {
    let host =
        InMemory::of("include inner\n$X=lvs_shced\nvirtual_server 10.0.0.1 80 {\n $X rr\n}\n")
            .with("inner", "# één\nglobal_defs {\n  rooter_id a\n}\n");
    let (_, report) = load("keepalived.conf", &host);
    let errors = report.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let places: Vec<String> = errors
        .map(|d| {
            let place = d.place.as_ref().expect("a place");
            format!("{}:{}:{} {}", place.file, place.line, place.column, d.label)
        })
        .collect();
    assert_eq!(
        places,
        ["keepalived.conf:4:2 did you mean `lvs_sched`?", "inner:3:3 did you mean `router_id`?",],
        "of a definition, where it is used; of an included file, there"
    );
}

#[test]
fn a_missing_file_is_told_of_where_it_is_included() {
    for (text, severity, why) in [
        ("include nothing\n", Severity::Error, "a named file"),
        ("include nothing*\n", Severity::Warning, "a pattern"),
        ("includea nothing*\n", Severity::Error, "a pattern that must match"),
    ] {
        let (_, report) = load("keepalived.conf", &InMemory::of(text));
        let first = report.diagnostics.first().expect(why);
        assert_eq!(first.severity, severity, "{why}");
        assert_eq!(first.place.as_ref().map(|place| place.line), Some(1), "{why}");
    }
    let (_, report) = load("none.conf", &InMemory::default());
    assert_eq!(report.diagnostics[0].message, "cannot read none.conf: No such file or directory");
}

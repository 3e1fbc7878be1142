//! The language below the keywords: what is left when it has been worked off is told by the names
//! and paths that come out.

use xlvs_config::keepalived::{Limits, Report, load, load_within};
use xlvs_model::vrrp::Written;

use crate::host::InMemory;

/// The lines of `notification_email`, which takes any words.
fn lines_of(host: &InMemory) -> (Vec<String>, Report) {
    let (config, report) = load("keepalived.conf", host);
    (config.globals.mail.to, report)
}

/// Lines in, words out.
fn words(text: &str) -> Vec<String> {
    let file = format!("{text}\n");
    let host = InMemory::of(file);
    let (words, report) = lines_of(&host);
    assert!(!report.has_errors(), "{}", report.render(false));
    words
}

fn check(rows: &[(&str, &[&str], &str)]) {
    for (inside, expected, why) in rows {
        let (before, inside) = inside.split_once("%%\n").unwrap_or(("", inside));
        let text = format!("{before}\nglobal_defs {{\n notification_email {{\n{inside}\n }}\n}}\n");
        assert_eq!(words(&text), *expected, "{why}: {inside}");
    }
}

#[test]
fn comments_and_quotes() {
    check(&[
        ("a # b\nc ! d", &["a", "c"], "both signs begin a comment"),
        ("a#b", &["a"], "in the middle of a word too"),
        ("a\\#b", &["a#b"], "a backslash takes the meaning away"),
        ("\"a # b\"", &["a # b"], "not between quotes"),
        ("\"a b\" c", &["a b", "c"], "quotes make a word of several"),
        ("a\"b c\"d", &["a", "b c", "d"], "the plain way does not glue"),
        ("\"a { b }\"", &["a { b }"], "braces between quotes are text"),
        ("# a \" b\nc", &["c"], "a quote in a comment is none"),
    ]);
}

#[test]
fn braces_stand_anywhere() {
    for text in [
        "global_defs{notification_email{a b}}",
        "global_defs\n{\nnotification_email\n{\na\nb\n}\n}",
        "global_defs { notification_email { a\n b } }",
    ] {
        assert_eq!(words(text), ["a", "b"], "{text}");
    }
}

#[test]
fn definitions() {
    check(&[
        ("$A=x y\n%%\n$A", &["x", "y"], "a definition"),
        ("$A=x\n%%\n${A}y $A", &["xy", "x"], "braces, and a word's end"),
        ("$A=x\n%%\n$Ay $B \"${C}\"", &["$Ay", "$B", "${C}"], "what is not defined stays"),
        ("$A=1.${B}\n$B=0\n%%\n${A}\n$B=10\n${A}", &["1.0", "1.10"], "at the time of use"),
        ("$A=\n%%\na ${A} b", &["a", "b"], "an empty one"),
        ("$A= \\\nx${B} \\\ny\n$B=1\n%%\n$A\n$B=2\n$A", &["x1", "y", "x2", "y"], "many lines"),
        (
            "$IN= \\\ni${N}\n$OUT= \\\no \\\n$N=1 \\\n$IN \\\n$N=2 \\\n$IN \\\ne\n%%\n$OUT",
            &["o", "i1", "i2", "e"],
            "many lines within many lines",
        ),
        ("$A=@main\n%%\n$A x\n", &["x"], "a definition of a condition"),
        ("x${_HASH}y ${_BANG}", &["x#y", "!"], "signs of comments"),
        (
            "${_INSTANCE} ${_ENV HOME} ${_PWD} ${_RANDOM 3 5}",
            &["main", "/root", ".", "3"],
            "its own",
        ),
    ]);
}

#[test]
fn conditions() {
    check(&[
        ("@main a\n@other b\n@^main c\n@^other d", &["a", "d"], "for this host, and not for it"),
        ("@main $A=1\n@other $A=2\n%%\n${A}", &["1"], "of definitions"),
        ("@main", &[], "with nothing behind it"),
        ("@mainframe a", &[], "the whole word counts"),
    ]);
}

#[test]
fn sequences() {
    check(&[
        ("~SEQ(N, 0, 2) a${N}", &["a0", "a1", "a2"], "from, to"),
        ("~SEQ(N, 3) $N", &["1", "2", "3"], "to"),
        ("~SEQ(N, -2) $N", &["-1", "-2"], "down"),
        ("~SEQ(N, 10, -5, 0) $N", &["10", "5", "0"], "steps"),
        ("~SEQ(N, 5, 2) $N", &["5", "4", "3", "2"], "down by itself"),
        ("~SEQx(N, 0x0e, 0x11) ${N}", &["e", "f", "10", "11"], "hexadecimal"),
        ("~SEQ(A,1,2) ~SEQ(B,1,2) ${A}${B}", &["11", "12", "21", "22"], "one in the other"),
        ("$M= \\\na${N} \\\nb\n%%\n~SEQ(N,1,2) $M", &["a1", "b", "a2", "b"], "of many lines"),
        ("$TO=2\n%%\n~SEQ(N, 1, $TO) $N", &["1", "2"], "to a definition"),
        ("~LST(N, a, b) $N", &["a", "b"], "a list"),
        ("~LST({A, B}, {10,1}, {20,4}) ${A}.${B}", &["10.1", "20.4"], "a list of pairs"),
        ("~LST(A,1,2) ~LST(B,x,y) ${A}${B}", &["1x", "1y", "2x", "2y"], "lists"),
        ("~LST({A,B},{1}) a${A}b${B}", &["a1b"], "what is missing is empty"),
    ]);
}

#[test]
fn includes() {
    let host = InMemory::of("global_defs {\n notification_email {\n include d/*.conf\n z\n }\n}\n")
        .with("d/b.conf", "b ${_PWD}\n")
        .with("d/a.conf", "a\ninclude more/x\n")
        .with("d/more/x", "x\n")
        .with("d/other", "no\n");
    let (words, report) = lines_of(&host);
    assert!(!report.has_errors(), "{}", report.render(false));
    assert_eq!(words, ["a", "x", "b", "d", "z"], "sorted, relative to the including file");
    let files: Vec<&str> = report.files().collect();
    assert_eq!(files, ["keepalived.conf", "d/a.conf", "d/more/x", "d/b.conf"]);
}

#[test]
fn files_that_include_each_other_end() {
    let host = InMemory::of("include keepalived.conf\n");
    let (_, report) = load("keepalived.conf", &host);
    assert!(report.has_errors());
    assert!(report.diagnostics[0].message.contains("too deeply"), "{:?}", report.diagnostics);
}

#[test]
fn what_never_ends_is_an_error() {
    for (text, why) in [
        ("$A=${A}\n$A\n", "a definition of itself"),
        ("$A=${B}${B}\n$B=${A}${A}\n$A\n", "two definitions of each other"),
        ("$A= \\\n$A \\\n$A\n$A\n", "many lines of themselves"),
        ("~SEQ(A,1,1000000000) ~SEQ(B,1,1000000000) ~SEQ(C,1,9) x\n", "a billion billions"),
        ("~SEQ(A,1,0,2) x\n", "no step"),
        ("~LST(A) x\n", "no value"),
        ("~SEQ x\n", "no bracket"),
    ] {
        let limits = Limits { lines: 10_000, bytes: 1 << 20 };
        let (_, report) = load_within("keepalived.conf", &InMemory::of(text), limits);
        assert!(report.has_errors(), "{why}");
    }
}

#[test]
fn scripts_are_split_as_by_a_shell() {
    for (written, argv, user, why) in [
        ("/bin/a", &["/bin/a"][..], None, "a program"),
        ("\"/bin/a b c\"", &["/bin/a", "b", "c"], None, "with arguments"),
        ("\"/bin/a 'b c'\"", &["/bin/a", "b c"], None, "an argument with a blank"),
        ("/bin/a nobody", &["/bin/a"], Some("nobody"), "and who runs it"),
        ("'/bin/a' nobody nogroup", &["/bin/a"], Some("nobody"), "single quotes"),
        ("\"/bin/a \\x41\\102\\t\"", &["/bin/a", "AB"], None, "escapes"),
        ("/bin/\"a\"b", &["/bin/ab"], None, "glued parts"),
    ] {
        let text = format!("global_defs {{\n startup_script {written}\n}}\n");
        let (config, report) = load("keepalived.conf", &InMemory::of(text));
        assert!(!report.has_errors(), "{why}: {}", report.render(false));
        let script = config.globals.startup.expect(why);
        assert_eq!(script.argv, argv, "{why}");
        assert_eq!(script.user.map(|user| user.user).as_deref(), user, "{why}");
    }
}

#[test]
fn old_files_may_hold_other_bytes() {
    let text = b"# caf\xe9\nglobal_defs {\n router_id caf\xe9\n}\n";
    let (config, report) = load("keepalived.conf", &InMemory::of(text.to_vec()));
    assert!(!report.has_errors());
    assert_eq!(config.globals.mail.router_id.as_deref(), Some("caf?"));
}

#[test]
fn windows_line_ends_do_not_matter() {
    let text = "vrrp_script a {\r\n script /bin/true\r\n interval 2\r\n}\r\n";
    let (config, report) = load("keepalived.conf", &InMemory::of(text));
    assert!(!report.has_errors(), "{}", report.render(false));
    let script = config.vrrp.blocks("vrrp_script").next().expect("the block");
    assert_eq!(script.options.get("script"), Some(&Written::Text("/bin/true".into())));
}

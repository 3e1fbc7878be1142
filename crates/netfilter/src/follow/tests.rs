use std::fmt::Write;

use super::*;
use crate::save::tables;

/// `rules` in the mangle table, with the chains A and B.
fn mangle(rules: &str) -> Mirror {
    let mut save =
        "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n"
            .to_owned();
    for rule in rules.split(" / ") {
        writeln!(save, "-A {rule}").expect("a string");
    }
    mirror(&tables(Tool::Nft, &save))
}

/// The rules' texts, deeper ones behind dots, then what is left out and why.
fn shown(mirror: &Mirror) -> String {
    let mut lines: Vec<_> = mirror
        .flat()
        .into_iter()
        .map(|(depth, rule)| format!("{}{}", ".".repeat(depth), bare(&rule.text)))
        .collect();
    let named = |n: &NotMirrored| format!("NOT {}: {}", bare(&n.text), n.reason);
    lines.extend(mirror.not_mirrored.iter().map(named));
    lines.join("\n")
}

fn bare(text: &str) -> &str {
    text.strip_prefix("-A ").unwrap_or(text)
}

const SET: &str = "-j MARK --set-xmark 0x1/0xffffffff";

#[test]
fn what_marks_depend_on_is_kept_in_order() {
    let rows = [
        (
            "PREROUTING -s 10.0.0.1/32 SET / PREROUTING -j LOG / PREROUTING SET",
            "PREROUTING -s 10.0.0.1/32 SET\nPREROUTING SET",
            "logging is nothing",
        ),
        (
            "PREROUTING -s 10.0.0.1/32 -j ACCEPT / PREROUTING SET / PREROUTING -s 10.0.0.2/32 -j ACCEPT",
            "PREROUTING -s 10.0.0.1/32 -j ACCEPT\nPREROUTING SET",
            "an ACCEPT after the last mark is nothing",
        ),
        ("PREROUTING -j ACCEPT", "", "nor is one without any mark"),
        (
            "PREROUTING -p tcp -j A / A -s 10.0.0.1/32 -j RETURN / A SET / A -j RETURN",
            "PREROUTING -p tcp -j A\n.A -s 10.0.0.1/32 -j RETURN\n.A SET",
            "a chain",
        ),
        (
            "PREROUTING -j A / A -s 10.0.0.1/32 -j ACCEPT / PREROUTING SET",
            "PREROUTING -j A\n.A -s 10.0.0.1/32 -j ACCEPT\nPREROUTING SET",
            "a chain that keeps packets from later marks",
        ),
        (
            "PREROUTING -j A / A -s 10.0.0.1/32 -j RETURN / PREROUTING SET",
            "PREROUTING SET",
            "one that does not",
        ),
        (
            "PREROUTING -p tcp -g A / PREROUTING SET",
            "PREROUTING -p tcp -g A\nPREROUTING SET",
            "an empty chain instead of the rest",
        ),
        ("PREROUTING -p tcp -g A", "", "instead of nothing"),
        (
            "PREROUTING -j A / A -p tcp -j B / B SET / A -j ACCEPT / PREROUTING -j B",
            "PREROUTING -j A\n.A -p tcp -j B\n..B SET\n.A -j ACCEPT\nPREROUTING -j B\n.B SET",
            "chains within chains, and twice",
        ),
        (
            "PREROUTING -j DROP / PREROUTING SET",
            "PREROUTING SET",
            "refusing is the firewall's matter",
        ),
    ];
    for (rules, expected, sentence) in rows {
        let mirrored = mangle(&rules.replace("SET", SET));
        assert_eq!(shown(&mirrored), expected.replace("SET", SET), "{sentence}");
    }
}

#[test]
fn what_cannot_be_done_is_named_with_its_reason() {
    let rows = [
        (
            "PREROUTING -m limit --limit 5/sec SET / PREROUTING SET",
            "PREROUTING SET\nNOT PREROUTING -m limit --limit 5/sec SET: the condition -m limit is not looked at",
            "a mark",
        ),
        (
            "PREROUTING -f -j ACCEPT / PREROUTING SET",
            "PREROUTING SET\nNOT PREROUTING -f -j ACCEPT: the condition -f is not looked at; rules after it also mark packets that it keeps from them",
            "an end",
        ),
        ("PREROUTING -f -j ACCEPT", "", "an end of nothing"),
        (
            "PREROUTING -f -j A / A -m limit --limit 5/sec SET / A SET",
            "NOT PREROUTING -f -j A: the condition -f is not looked at; nor are the rules of the chain that it leads to",
            "a whole chain",
        ),
        ("PREROUTING -f -j A / A -j LOG", "", "a chain that marks nothing"),
        (
            "PREROUTING -j CONNMARK --restore-mark",
            "NOT PREROUTING -j CONNMARK --restore-mark: marks of connections that netfilter tracks are not known here",
            "a target",
        ),
        (
            "PREROUTING -j ELSEWHERE",
            "NOT PREROUTING -j ELSEWHERE: the target ELSEWHERE is not known here",
            "a chain that is not there",
        ),
        (
            "INPUT SET",
            "NOT INPUT SET: it is in INPUT of the table mangle; rules are followed in PREROUTING of mangle",
            "another place",
        ),
        (
            "PREROUTING -f SET / PREROUTING -p tcp -m tcp --tcp-option 3 SET",
            "NOT PREROUTING -f SET: the condition -f is not looked at\nNOT PREROUTING -p tcp -m tcp --tcp-option 3 SET: the condition --tcp-option is not looked at",
            "in their order",
        ),
        (
            "PREROUTING -j A / PREROUTING -j A / A -f SET",
            "NOT A -f SET: the condition -f is not looked at",
            "once",
        ),
        (
            "PREROUTING -j A / A -j B / B -j A / B SET",
            "NOT B -j A: more than 16 chains lie within one another",
            "a loop",
        ),
    ];
    for (rules, expected, sentence) in rows {
        let mirrored = shown(&mangle(&rules.replace("SET", SET)));
        if sentence == "a loop" {
            assert!(mirrored.contains(expected), "{sentence}: {mirrored}");
        } else {
            assert_eq!(mirrored, expected.replace("SET", SET), "{sentence}");
        }
    }
}

#[test]
fn jumps_that_multiply_are_bounded() {
    let many = vec!["PREROUTING -j A"; 40].join(" / ");
    let more = vec!["A -j B"; 40].join(" / ");
    let mirrored = mangle(&format!("{many} / {more} / B {SET}"));
    assert!(mirrored.sections.is_empty());
    assert_eq!(shown(&mirrored), format!("NOT iptables-nft -t mangle: {TOO_MANY}"));
}

/// Lines of `iptables-save` of Debian 12, which are the same from both backends.
#[test]
fn a_recorded_save_of_each_backend() {
    let golden = include_str!("../../tests/golden/mangle.mirrored");
    for (tool, save) in [
        (Tool::Nft, include_str!("../../tests/golden/nft.save")),
        (Tool::Legacy, include_str!("../../tests/golden/legacy.save")),
    ] {
        assert_eq!(shown(&mirror(&tables(tool, save))), golden.trim_end(), "{tool}");
    }
}

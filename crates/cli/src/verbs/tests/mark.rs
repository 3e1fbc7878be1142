//! `xlvs mark`.

use xlvs_api::{FollowedView, MarksView};
use xlvs_model::NotMirrored;

use super::*;

/// What a host's firewall adds.
fn host_marks() -> MarksView {
    MarksView {
        followed: vec![
            FollowedView { depth: 0, rule: "-A PREROUTING -j A".into() },
            FollowedView { depth: 1, rule: "-A A -j MARK --set-xmark 0x1/0xff".into() },
        ],
        own: Vec::new(),
        not_mirrored: vec![NotMirrored { text: "-A A -f".into(), reason: "no".into() }],
    }
}

#[test]
fn mark_rules_are_typed_and_listed_in_iptables_words() {
    let mut memory = Memory { host_marks: host_marks(), ..Memory::default() };
    for (line, expected, why) in [
        ("mark add -d 10.0.0.1 -p tcp --dport 80,443 --set-mark 8", "", "a rule"),
        (
            "mark add -s !10.0.0.0/8 -i eth+ --mac-source !2:0:0:0:0:1 --or-mark 0x10 --at 1",
            "",
            "before it",
        ),
        (
            "mark add --mark 3/0xff --accept --at 9",
            "error: -m mark --mark 0x3/0xff -j ACCEPT: there is no such mark rule; \
             try: see what there is: xlvs mark list",
            "beyond",
        ),
        (
            "mark add --dport 80 --and-mark 1",
            "error: -m multiport --dports 80 -j MARK --set-xmark 0x0/0xfffffffe: ports need a \
             protocol that has them; try: give --protocol tcp, udp or sctp",
            "no ports",
        ),
        ("mark add --xor-mark 6", "", "about everything"),
        (
            "mark remove 4",
            "error: rule 4: there is no such mark rule; try: see what there is: xlvs mark list",
            "unknown",
        ),
        (
            "mark list",
            "\
NUMBER  OF        RULE
-       host      -A PREROUTING -j A
-       host        -A A -j MARK --set-xmark 0x1/0xff
1       director  ! -s 10.0.0.0/8 -i eth+ -m mac ! --mac-source 02:00:00:00:00:01 \
                      -j MARK --set-xmark 0x10/0x10
2       director  -d 10.0.0.1/32 -p tcp -m multiport --dports 80,443 \
                      -j MARK --set-xmark 0x8/0xffffffff
3       director  -j MARK --set-xmark 0x6/0x0
not mirrored: -A A -f: no
",
            "the host's first",
        ),
        ("mark remove 1", "", "by its number"),
        ("mark remove 2", "", "numbers close up"),
    ] {
        assert_eq!(said(&mut memory, line), expected, "{line}: {why}");
    }
    let json = said(&mut memory, "mark list -o json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["own"][0]["then"]["set"], "0x8/0xffffffff");
    assert_eq!(json["own"].as_array().unwrap().len(), 1);
}

#[test]
fn wrong_marks_are_explained() {
    let mut memory = Memory::default();
    for (line, part) in [
        ("mark add", "<--set-mark"),
        ("mark add --set-mark 1 --or-mark 2", "cannot be used with"),
        ("mark add --or-mark 1/2", "`1/2` is not a mark like 8 or 0x10"),
        ("mark add -s web --accept", "`web` is not addresses like 10.0.0.0/8"),
        ("mark add -p tcp --dport 5:1 --accept", "is not up to 15 ports or ranges"),
    ] {
        let said = said(&mut memory, line);
        assert!(said.contains(part), "{line}:\n{said}");
    }
}

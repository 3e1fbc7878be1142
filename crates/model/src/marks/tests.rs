#![expect(clippy::unwrap_used, reason = "tests")]

use std::{fmt::Display, str::FromStr};

use super::*;
use crate::{Change, Model};

fn written<T: FromStr<Err = ParsePartError> + Display>(text: &str) -> String {
    match text.parse::<Is<T>>() {
        Ok(is) => is.to_string(),
        Err(error) => error.to_string(),
    }
}

type Written = fn(&str) -> String;

#[test]
fn each_value_is_one_word_that_is_read_and_written() {
    let rows: [(Written, &str, &str, &str); 28] = [
        (written::<Prefix>, "10.0.0.1", "10.0.0.1/32", "an address alone"),
        (written::<Prefix>, "!10.1.2.3/8", "!10.0.0.0/8", "bits of the host are cut"),
        (written::<Prefix>, "! 10.0.0.1/32", "!10.0.0.1/32", "a space after the mark"),
        (written::<Prefix>, "0.0.0.0/0", "0.0.0.0/0", "everybody"),
        (written::<Prefix>, "10.9.0.0/255.0.255.0", "10.0.0.0/255.0.255.0", "holes in the mask"),
        (written::<Prefix>, "10.9.0.0/255.255.0.0", "10.9.0.0/16", "no holes"),
        (
            written::<Prefix>,
            "10.0.0.0/33",
            "`10.0.0.0/33` is not addresses like 10.0.0.0/8",
            "long",
        ),
        (written::<Prefix>, "web", "`web` is not addresses like 10.0.0.0/8", "a name"),
        (written::<IpProtocol>, "TCP", "tcp", "in any case"),
        (written::<IpProtocol>, "!47", "!gre", "by number"),
        (written::<IpProtocol>, "200", "200", "without a name"),
        (written::<IpProtocol>, "256", "`256` is not a protocol like tcp, udp, sctp or 47", "high"),
        (written::<Ports>, "80", "80", "one"),
        (written::<Ports>, "!80,443,10000:20000", "!80,443,10000:20000", "several"),
        (written::<Ports>, ":1023", "0:1023", "from the first"),
        (written::<Ports>, "1024:", "1024:65535", "to the last"),
        (
            written::<Ports>,
            "2:1",
            "`2:1` is not up to 15 ports or ranges like 80,443,10000:20000",
            "backwards",
        ),
        (
            written::<Ports>,
            "1,,2",
            "`1,,2` is not up to 15 ports or ranges like 80,443,10000:20000",
            "a hole",
        ),
        (
            written::<Ports>,
            "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
            "`1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16` is not up to 15 ports or ranges like 80,443,10000:20000",
            "too many",
        ),
        (written::<InterfacePattern>, "eth+", "eth+", "a family"),
        (
            written::<InterfacePattern>,
            "abcdefghijklmnop",
            "`abcdefghijklmnop` is not an interface like eth0 or eth+",
            "too long",
        ),
        (written::<MacAddress>, "!02:0A:0:0:0:1", "!02:0a:00:00:00:01", "as iptables reads it"),
        (
            written::<MacAddress>,
            "02:00:00:00:01",
            "`02:00:00:00:01` is not an Ethernet address like 02:00:00:00:00:01",
            "short",
        ),
        (written::<Masked>, "8", "0x8/0xffffffff", "all bits"),
        (written::<Masked>, "!0x10/0xff", "!0x10/0xff", "some bits"),
        (written::<Masked>, "4294967295", "0xffffffff/0xffffffff", "the greatest"),
        (
            written::<Masked>,
            "4294967296",
            "`4294967296` is not a mark like 8 or 0x10/0xff",
            "too great",
        ),
        (written::<Masked>, "-1", "`-1` is not a mark like 8 or 0x10/0xff", "negative"),
    ];
    for (read, text, expected, sentence) in rows {
        assert_eq!(read(text), expected, "{text}: {sentence}");
    }
}

#[test]
fn marks_change_as_xt_mark_changes_them() {
    for (set, before, after, sentence) in [
        (Masked { value: 8, mask: u32::MAX }, 0xff, 8, "--set-mark 8"),
        (
            Masked { value: 0x108, mask: 0xf }.set(),
            0xff7,
            0xff8 & !0x100 | 0x108,
            "its own bits too",
        ),
        (Masked { value: 0x108, mask: 0xf }, 0xff7, 0xff0 ^ 0x108, "--set-xmark flips the rest"),
        (Masked::or(0x10), 3, 0x13, "--or-mark"),
        (Masked::and(0xf0), 0x3f, 0x30, "--and-mark"),
        (Masked::xor(0xff), 0xf0, 0x0f, "--xor-mark"),
    ] {
        assert_eq!(set.applied_to(before), after, "{sentence}");
    }
    assert!(Masked { value: 3, mask: 0xff }.is_of(0x103), "other bits do not count");
    assert!(!Masked { value: 0x103, mask: 0xff }.is_of(0x103), "a value outside its mask never is");
}

fn rule(json: &str) -> MarkRule {
    serde_json::from_str(json).unwrap()
}

#[test]
fn rules_are_json_and_are_shown_in_iptables_words() {
    for (json, shown) in [
        (r#"{"then":"stop"}"#, "-j ACCEPT"),
        (
            r#"{"destination":"10.0.0.1/32","protocol":"tcp","destination_ports":"80","source_mac":"!02:00:00:00:00:01","then":{"set":"0x3/0xffffffff"}}"#,
            "-d 10.0.0.1/32 -p tcp -m multiport --dports 80 \
             -m mac ! --mac-source 02:00:00:00:00:01 -j MARK --set-xmark 0x3/0xffffffff",
        ),
        (
            r#"{"source":"!10.0.0.0/8","protocol":"udp","source_ports":"!53","ports":"1,2:3","interface":"eth+","mark":"!0x1/0xf","then":{"set":"0x0/0xf0"}}"#,
            "! -s 10.0.0.0/8 -i eth+ -p udp -m multiport ! --sports 53 -m multiport --ports 1,2:3 \
             -m mark ! --mark 0x1/0xf -j MARK --set-xmark 0x0/0xf0",
        ),
    ] {
        let rule = rule(json);
        assert_eq!(rule.to_string(), shown);
        assert_eq!(serde_json::to_string(&rule).unwrap(), json);
    }
}

#[test]
fn rules_keep_their_order() {
    let mut model = Model::default();
    let set = |value: u32| rule(&format!(r#"{{"then":{{"set":"{value}"}}}}"#));
    let add = |at, value| Change::AddMark { at, rule: set(value) };
    for (change, result, expected, sentence) in [
        (add(None, 1), Ok(()), &[1][..], "the first"),
        (add(None, 2), Ok(()), &[1, 2], "at the end"),
        (add(Some(1), 3), Ok(()), &[3, 1, 2], "before all"),
        (add(Some(4), 4), Ok(()), &[3, 1, 2, 4], "after the last"),
        (add(Some(6), 5), Err(Fault::NoSuchMark), &[3, 1, 2, 4], "beyond"),
        (add(Some(0), 5), Err(Fault::NoSuchMark), &[3, 1, 2, 4], "counted from 1"),
        (Change::RemoveMark { at: 2 }, Ok(()), &[3, 2, 4], "by its number"),
        (Change::RemoveMark { at: 4 }, Err(Fault::NoSuchMark), &[3, 2, 4], "there is none"),
        (Change::RemoveMark { at: 0 }, Err(Fault::NoSuchMark), &[3, 2, 4], "counted from 1"),
    ] {
        assert_eq!(model.apply(&change), result, "{sentence}");
        let there: Vec<_> = model.marks.iter().map(|r| r.then).collect();
        let wanted = expected.iter().map(|v| MarkThen::Set(Masked { value: *v, mask: u32::MAX }));
        assert_eq!(there, wanted.collect::<Vec<_>>(), "{sentence}");
    }
    while model.apply(&add(None, 0)).is_ok() {}
    assert_eq!(model.marks.len(), MAX_MARK_RULES);
    assert_eq!(model.apply(&add(None, 0)), Err(Fault::TablesFull));
}

#[test]
fn ports_need_a_protocol_that_has_them() {
    for (json, expected) in [
        (r#"{"destination_ports":"80","then":"stop"}"#, Err(Fault::MarkPorts)),
        (r#"{"protocol":"icmp","ports":"80","then":"stop"}"#, Err(Fault::MarkPorts)),
        (r#"{"protocol":"!tcp","source_ports":"80","then":"stop"}"#, Err(Fault::MarkPorts)),
        (r#"{"protocol":"sctp","source_ports":"80","then":"stop"}"#, Ok(())),
        (r#"{"protocol":"!tcp","then":"stop"}"#, Ok(())),
    ] {
        assert_eq!(rule(json).check(), expected, "{json}");
    }
}

//! `xlvs set`, `xlvs allow`, `xlvs deny`, and the limits of a service.

use xlvs_api::memory::Memory;
use xlvs_model::{LIMITS_EFFECT, Timeouts, settings::Setting};

use super::said;

/// What is added where limits have no effect yet.
fn limits_note(what: &str) -> String {
    let note = |why| format!("{what} are stored, without effect: {why}\n");
    LIMITS_EFFECT.why_not().map(note).unwrap_or_default()
}

fn set_note(setting: Setting) -> String {
    let note = |why| format!("{} is stored, without effect: {why}\n", setting.full_name());
    setting.definition().effect.why_not().map(note).unwrap_or_default()
}

#[test]
fn settings_change_by_either_name_and_mistakes_change_nothing() {
    let mut memory = Memory::default();
    let value = |memory: &Memory, setting| memory.model.settings.value(setting).to_string();
    let expire = Setting::ExpireNodestConn;
    for (line, expected, after, why) in [
        ("set net.ipv4.vs.expire_nodest_conn=1", set_note(expire), "1", "the seed's line"),
        ("set expire_nodest_conn=0x2", set_note(expire), "2", "the short name, as sysctl reads"),
        (
            "set expire_nodest_conn=0 drop_entry=9",
            "error: net.ipv4.vs.drop_entry cannot be `9`: it takes a number from 0 to 3; try: see \
             what it means: xlvs set net.ipv4.vs.drop_entry"
                .to_owned(),
            "2",
            "all or none",
        ),
        (
            "set expire_nodst_conn=1",
            "error: there is no setting `expire_nodst_conn`; did you mean \
             net.ipv4.vs.expire_nodest_conn?; try: xlvs set net.ipv4.vs.expire_nodest_conn"
                .to_owned(),
            "2",
            "a slip",
        ),
        (
            "set drop_entry profile=xlvs",
            "error: `drop_entry` gives no value: write NAME=VALUE; try: change or show, not both \
             at once: xlvs set drop_entry=VALUE"
                .to_owned(),
            "2",
            "half of it",
        ),
        ("set profile=kernel", String::new(), "0", "every default, what was set is forgotten"),
        ("set expire_nodest_conn=1 profile=xlvs", set_note(expire), "0", "in their order"),
        ("set profile=xlvs expire_nodest_conn=1", set_note(expire), "1", "in their order"),
        ("set expire_nodest_conn=default", set_note(expire), "0", "taken back"),
    ] {
        assert_eq!(said(&mut memory, line), expected, "{line}: {why}");
        assert_eq!(value(&memory, expire), after, "{line}: {why}");
    }
}

#[test]
fn settings_are_listed_and_explained() {
    let mut memory = Memory::default();
    said(&mut memory, "set am_droprate=7");
    let list = said(&mut memory, "set");
    assert_eq!(list.lines().count(), 1 + Setting::table().len());
    let line = list.lines().find(|line| line.contains("am_droprate")).unwrap();
    let words: Vec<_> = line.split_whitespace().take(4).collect();
    assert_eq!(words, ["net.ipv4.vs.am_droprate", "7", "10", "10"]);
    assert!(line.ends_with("is dropped."), "{line}");

    let one = said(&mut memory, "set conn_reuse_mode");
    assert!(
        one.starts_with(
            "net.ipv4.vs.conn_reuse_mode = 3\n  default 3, the kernel's 1; takes a number of 32 \
             bits\n"
        ),
        "{one}"
    );
    assert!(one.lines().all(|line| line.len() <= 100), "{one}");
    let profile = |memory: &mut Memory| said(memory, "set profile");
    assert!(
        profile(&mut memory).starts_with("profile = xlvs\n  default xlvs, the kernel's kernel")
    );
    said(&mut memory, "set profile=kernel am_droprate=7");
    assert!(profile(&mut memory).starts_with("profile = kernel\n"));
    let both = said(&mut memory, "set am_droprate profile -o json");
    let both: serde_json::Value = serde_json::from_str(&both).unwrap();
    assert_eq!((&both[0]["value"], &both[1]["value"]), (&"kernel".into(), &7.into()));
    said(&mut memory, "set profile=xlvs am_droprate=7");
    let json = said(&mut memory, "set am_droprate removed-server -o json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["value"], &json[0]["kernel"]), (&7.into(), &10.into()));
    assert_eq!((&json[1]["name"], &json[1]["value"]), (&"removed_server".into(), &"reset".into()));
}

#[test]
fn a_service_gets_timeouts_and_limits_and_loses_them() {
    let mut memory = Memory::default();
    said(&mut memory, "service add tcp:10.0.0.1:80");
    let note = limits_note("timeouts and limits");
    for (line, expected, why) in [
        ("--timeout-tcp 60 --timeout-udp 5", note.clone(), "timeouts"),
        ("--client-limit 100/24 --client-rate 20/s -s rr", note.clone(), "and limits, and more"),
        (
            "",
            "error: tcp:10.0.0.1:80: nothing is to change; try: xlvs service set --help".into(),
            "no flag",
        ),
        (
            "--client-limit 100/24 --client-rate 20/s/16",
            "error: a service's limits are of one size of client network; try: give the same \
             PREFIX twice, or once"
                .into(),
            "one map for both",
        ),
        (
            "--client-limit 1/33",
            "error: tcp:10.0.0.1:80: a limit is out of range; try: a rate of at most 1000000/s, a \
             prefix of at most 32 (IPv6: 128)"
                .into(),
            "no such prefix",
        ),
        (
            "--timeout-tcp 8589935",
            "error: tcp:10.0.0.1:80: a timeout is out of range; try: give at most 31 days".into(),
            "the kernel's bound",
        ),
    ] {
        let line = format!("service set tcp:10.0.0.1:80 {line}");
        assert_eq!(said(&mut memory, &line), expected, "{line}: {why}");
    }
    let tuning = memory.model.services[0].tuning.clone();
    assert_eq!(tuning.timeouts, Some(Timeouts { tcp: 60, tcp_fin: 0, udp: 5 }));
    let limits = &tuning.limits;
    let got = (limits.client_connections, limits.client_rate, limits.client_prefix);
    assert_eq!(got, (100, 20, Some(24)), "kept through the mistakes");
    said(&mut memory, "deny add 192.0.2.0/24 --service tcp:10.0.0.1:80");
    for (line, expected) in [("--reset-on-down", true), ("--reset-on-down false", false)] {
        said(&mut memory, &format!("service set tcp:10.0.0.1:80 {line}"));
        assert_eq!(memory.model.services[0].tuning.reset_on_down, expected, "{line}");
    }
    said(&mut memory, "service set tcp:10.0.0.1:80 --reset-on-down=true");
    let list = said(&mut memory, "service list");
    let tuned = "100 per /24, 20/s per /24, tcp 60 s, udp 5 s, 1 denied, reset on down\n";
    assert!(list.ends_with(tuned) && list.contains("CONNECTIONS  TUNING\n"), "{list}");
    said(&mut memory, "deny remove 192.0.2.0/24 --service tcp:10.0.0.1:80");
    let off = "--timeout-tcp 0 --timeout-udp 0 --client-limit 0 --client-rate 0 \
               --reset-on-down false";
    said(&mut memory, &format!("service set tcp:10.0.0.1:80 {off}"));
    assert_eq!(memory.model.services[0].tuning, xlvs_model::Tuning::default(), "as it was");
}

#[test]
fn clients_are_allowed_and_denied() {
    let mut memory = Memory::default();
    said(&mut memory, "service add tcp:10.0.0.1:80");
    let note = limits_note("the lists");
    let only = |what| format!("from now on only clients that are allowed reach {what}\n{note}");
    for (line, expected, why) in [
        ("deny add 203.0.113.9/24 198.51.100.7", note.clone(), "to every service"),
        ("allow add 10.0.0.0/8 --service tcp:10.0.0.1:80", only("tcp:10.0.0.1:80"), "one alone"),
        ("allow add 10.1.0.0/16 --service tcp:10.0.0.1:80", note.clone(), "said once"),
        ("allow add 192.0.2.0/24", only("this director"), "another list"),
        (
            "deny add fd00::/8 --service tcp:10.0.0.1:80",
            "error: fd00::/8 for tcp:10.0.0.1:80: the network and the service are of different \
             address families; try: give a network of the service's address family"
                .to_owned(),
            "no such client comes there",
        ),
        (
            "deny add 10.0.0.0/8 --service tcp:10.0.0.2:80",
            "error: 10.0.0.0/8 for tcp:10.0.0.2:80: there is no such service; try: see what there \
             is: xlvs service list"
                .to_owned(),
            "unknown",
        ),
        (
            "deny list",
            "NETWORK          SERVICE\n198.51.100.7/32  every one\n203.0.113.0/24   every one\n"
                .to_owned(),
            "in order",
        ),
        (
            "allow list --service tcp:10.0.0.1:80",
            "NETWORK      SERVICE\n10.0.0.0/8   tcp:10.0.0.1:80\n10.1.0.0/16  tcp:10.0.0.1:80\n"
                .to_owned(),
            "of one",
        ),
        ("deny remove 198.51.100.7", String::new(), "gone"),
        (
            "deny remove 198.51.100.7",
            "error: 198.51.100.7/32: there is no such entry; try: see what there is: xlvs allow \
             list, xlvs deny list"
                .to_owned(),
            "gone already",
        ),
    ] {
        assert_eq!(said(&mut memory, line), expected, "{line}: {why}");
    }
    let json = said(&mut memory, "allow list -o json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["network"], "192.0.2.0/24");
    assert_eq!(json[1]["service"], "tcp:10.0.0.1:80");
}

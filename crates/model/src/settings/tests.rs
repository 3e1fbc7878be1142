use std::collections::BTreeSet;

use super::*;

/// What a 6.12 kernel made of texts written to its files.
const KERNEL: &str = include_str!("../../tests/golden/sysctl-6.12.txt");

/// Rows of the record in which ours is not the kernel's, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("drop_entry", "2", "the kernel rewrites 2 to 1 while memory suffices; we keep what was set"),
    ("drop_packet", "2", "as above"),
    ("secure_tcp", "2", "as above"),
    ("sync_qlen_max", "18446744073709551615", "we count to 2^63 - 1"),
];

fn exempt(name: &str, text: &str) -> bool {
    EXCEPTIONS.iter().any(|(n, t, _)| *n == name && *t == text)
}

fn assigned(settings: &mut Settings, line: &str) -> Result<(), SettingError> {
    let assignment = Assignment::read(line, settings)?;
    assert!(settings.assign(&assignment), "{line}");
    Ok(())
}

#[test]
fn what_the_kernel_takes_we_take_and_what_it_refuses_we_refuse() {
    let (mut names, mut rows) = (Vec::new(), 0);
    let mut seen = BTreeSet::new();
    for line in KERNEL.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(list) = line.strip_prefix('[') {
            names = list.trim_end_matches(']').split(' ').collect();
            seen.extend(names.iter().copied());
            continue;
        }
        let [text, result, reads] = line.split('|').collect::<Vec<_>>().try_into().unwrap();
        // Which processors there are is the host's affair; see the test of lists.
        for name in names.iter().filter(|n| **n != "est_cpulist" && !exempt(n, text)) {
            let mut settings = Settings::default();
            settings.set_profile(Profile::Kernel);
            let done = assigned(&mut settings, &format!("net.ipv4.vs.{name}={text}"));
            assert_eq!(done.is_ok(), result == "ok", "{name} = `{text}`: {done:?}");
            let setting: Setting = name.parse().unwrap();
            if setting != Setting::SyncQlenMax || result == "ok" {
                assert_eq!(settings.value(setting).to_string(), reads, "{name} after `{text}`");
            }
            rows += 1;
        }
    }
    assert_eq!(rows, 31 * 43 - 43 - EXCEPTIONS.len(), "every row of every file");
    let ours: BTreeSet<_> =
        Setting::table().iter().filter(|d| d.is_kernels).map(|d| d.name).collect();
    let more: Vec<_> = ours.symmetric_difference(&seen).collect();
    assert_eq!(more, [&"debug_level"], "a kernel without debugging has all of ours but this");
}

#[test]
fn the_table_and_the_enum_agree() {
    let mut names = BTreeSet::new();
    for (at, d) in Setting::table().iter().enumerate() {
        assert_eq!(d.setting as usize, at, "{}", d.name);
        assert_eq!(d.setting.definition(), d);
        assert!(names.insert(d.name), "{} twice", d.name);
        for profile in Profile::ALL {
            let value = Value::from(d.default(profile));
            assert!(d.kind.holds(&value), "{}'s default {value}", d.name);
        }
        assert_eq!(d.kernel != d.ours, !d.why.is_empty(), "{}: says why it differs", d.name);
        assert!(d.meaning.ends_with('.'), "{}: sentences", d.name);
        assert_eq!(d.setting.full_name().parse(), Ok(d.setting));
        assert_eq!(d.name.parse(), Ok(d.setting));
        let json = serde_json::to_string(&d.setting).unwrap();
        assert_eq!(json, format!("\"{}\"", d.name));
    }
}

#[test]
fn mistakes_are_told_in_a_sentence() {
    for (line, expected) in [
        (
            "expire_nodst_conn=1",
            "there is no setting `expire_nodst_conn`; did you mean \
             net.ipv4.vs.expire_nodest_conn?",
        ),
        (
            "net.ipv4.vs.expire-nodes-conn=1",
            "there is no setting `net.ipv4.vs.expire-nodes-conn`; did you mean \
             net.ipv4.vs.expire_nodest_conn?",
        ),
        ("profil=kernel", "there is no setting `profil`; did you mean profile?"),
        ("ip_forward=1", "there is no setting `ip_forward`"),
        (
            "net.ipv4.vs.removed_server=drop",
            "there is no setting `net.ipv4.vs.removed_server`; did you mean removed_server?",
        ),
        ("drop_entry", "`drop_entry` gives no value: write NAME=VALUE"),
        ("drop_entry=4", "net.ipv4.vs.drop_entry cannot be `4`: it takes a number from 0 to 3"),
        (
            "sync_ports=3",
            "net.ipv4.vs.sync_ports cannot be `3`: it takes a power of two: 1, 2, 4, 8...",
        ),
        ("removed_server=kill", "removed_server cannot be `kill`: it takes reset or drop"),
        ("profile=linux", "profile cannot be `linux`: it takes xlvs or kernel"),
    ] {
        let error = assigned(&mut Settings::default(), line).unwrap_err();
        assert_eq!(error.to_string(), expected, "{line}");
    }
}

#[test]
fn a_profile_gives_every_setting_its_default() {
    let mut settings = Settings::default();
    assert!(settings.is_word(Setting::RemovedServer, "reset"));
    assert_eq!(settings.number(Setting::ConnReuseMode), 3);
    for (line, setting, expected, why) in [
        ("expire_nodest_conn=1", Setting::ExpireNodestConn, "1", "set by hand"),
        ("profile=kernel", Setting::ExpireNodestConn, "0", "forgotten"),
        ("removed-server=reset", Setting::RemovedServer, "reset", "ours over the kernel's"),
        ("removed_server=default", Setting::RemovedServer, "drop", "the kernel's again"),
        ("net/ipv4/vs/drop_entry=3", Setting::DropEntry, "3", "as sysctl takes it"),
        ("profile=xlvs", Setting::RemovedServer, "reset", "ours again"),
        ("est_cpulist= 0-3,8 ", Setting::EstCpulist, "0-3,8", "a list"),
        ("est_cpulist=", Setting::EstCpulist, "", "none"),
    ] {
        assigned(&mut settings, line).unwrap();
        assert_eq!(settings.value(setting).to_string(), expected, "{line}: {why}");
    }
    for list in ["3-1", "x", "0-", "1,,2", "9999", "-1", "+1"] {
        assert!(assigned(&mut settings, &format!("est_cpulist={list}")).is_err(), "{list}");
    }
}

#[test]
fn settings_survive_being_written_down() {
    let mut settings = Settings::default();
    assert_eq!(serde_json::to_string(&settings).unwrap(), r#"{"profile":"xlvs"}"#);
    for line in ["profile=kernel", "drop_entry=3", "sync_threshold=5 60", "removed_server=reset"] {
        assigned(&mut settings, line).unwrap();
    }
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(
        json,
        r#"{"profile":"kernel","values":{"drop_entry":3,"sync_threshold":[5,60],"removed_server":"reset"}}"#
    );
    assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    let error = serde_json::from_str::<Settings>(r#"{"values":{"drop_entry":9}}"#).unwrap_err();
    assert!(error.to_string().contains("takes a number from 0 to 3"), "{error}");
}

#[test]
fn changes_are_json() {
    for (json, why) in [
        (r#"{"op":"set","setting":"drop_entry","value":3}"#, "a number"),
        (r#"{"op":"set","setting":"sync_threshold","value":[3,50]}"#, "two"),
        (r#"{"op":"set","setting":"removed_server","value":"drop"}"#, "a word"),
        (r#"{"op":"set","setting":"removed_server","value":null}"#, "the default"),
        (r#"{"op":"set_profile","profile":"kernel"}"#, "a profile"),
        (
            r#"{"op":"add_access","verdict":"deny","network":"10.0.0.0/8","service":null}"#,
            "a list of the director",
        ),
        (
            r#"{"op":"remove_access","verdict":"allow","network":"10.0.0.0/8","service":"fwmark:8"}"#,
            "a list of a service",
        ),
    ] {
        let change: crate::Change = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), json, "{why}");
    }
}

#[test]
fn the_documentation_is_made_from_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
    let page = reference();
    if std::env::var_os("XLVS_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert_eq!(written, page, "docs/settings.md is old (XLVS_BLESS=1 writes it)");
}

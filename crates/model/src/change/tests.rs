#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{Persistence, Scheduler};

fn add(key: &str) -> Change {
    Change::AddService { service: key.parse().unwrap(), terms: Scheduler::Rr.into() }
}

fn server(service: &str, key: &str, edit: impl FnOnce(&mut Server)) -> Change {
    let mut server = Server::new(key.parse().unwrap(), Method::Route, 1);
    edit(&mut server);
    Change::AddServer { service: service.parse().unwrap(), server }
}

fn daemon(role: SyncRole) -> Change {
    Change::StartDaemon { daemon: SyncDaemon::new(role, "eth0".into()) }
}

/// A service of each kind.
fn model() -> Model {
    let mut model = Model::default();
    for key in ["tcp:10.0.0.1:80", "udp:[fd00::1]:53", "sctp:10.0.0.1:80", "fwmark:8", "fwmark6:8"]
    {
        model.apply(&add(key)).unwrap();
    }
    model
}

#[test]
fn servers_are_checked_as_the_kernel_does() {
    let v4 = "tcp:10.0.0.1:80";
    let v6 = "udp:[fd00::1]:53";
    let tunnel = |s: &mut Server| s.method = Method::Tunnel;
    for (change, expected, why) in [
        (server(v4, "10.0.1.1:80", |_| ()), None, "a host"),
        (server("fwmark:8", "10.0.1.1:0", |_| ()), None, "of a mark"),
        (server(v6, "[::1]:53", |_| ()), None, "the local host"),
        (server(v4, "10.0.1.1:80", |s| s.weight = MAX_WEIGHT), None, "the largest weight"),
        (
            server(v4, "10.0.1.1:80", |s| s.weight += MAX_WEIGHT),
            Some(Fault::OutOfRange),
            "too much",
        ),
        (server(v4, "10.0.1.1:80", |s| s.lower = 1), Some(Fault::OutOfRange), "lower above upper"),
        (server(v4, "224.0.0.1:80", |_| ()), Some(Fault::NotUnicast), "multicast"),
        (server(v6, "[ff02::1]:53", |_| ()), Some(Fault::NotUnicast), "multicast"),
        (server(v6, "[fe80::1]:53", |_| ()), Some(Fault::NotUnicast), "of one link"),
        (server(v6, "[::ffff:1.2.3.4]:53", |_| ()), Some(Fault::NotUnicast), "IPv4 in disguise"),
        (server(v6, "10.0.1.1:53", |_| ()), Some(Fault::OtherFamily), "another family"),
        (server(v6, "10.0.1.1:53", tunnel), None, "by a tunnel"),
        (server("fwmark6:8", "10.0.1.1:0", |_| ()), Some(Fault::OtherFamily), "a mark of IPv6"),
        (server("fwmark:9", "224.0.0.1:0", |_| ()), Some(Fault::NoSuchService), "that comes first"),
        (
            server(v4, "10.0.1.1:80", |s| {
                s.method = Method::Tunnel;
                s.tunnel = Tunnel::Gue { port: 0, checksum: TunnelChecksum::None };
            }),
            Some(Fault::BadTunnel),
            "a UDP tunnel without a port",
        ),
    ] {
        let mut model = model();
        assert_eq!(model.apply(&change).err(), expected, "{why}: {change:?}");
    }
}

#[test]
fn terms_are_checked_after_the_service_is_looked_for() {
    let mask = |text: &str| ClientMask::V4(text.parse().unwrap());
    let with = |mask| Terms {
        persistence: Some(Persistence { timeout_s: 60, mask }),
        ..Scheduler::Rr.into()
    };
    let engine = |name: &str| Terms { engine: Some(name.into()), ..Terms::default() };
    for (key, terms, expected, why) in [
        ("tcp:10.0.0.9:0", with(mask("255.0.255.0")), None, "any mask"),
        ("tcp:10.0.0.9:0", with(ClientMask::V6(64)), Some(Fault::BadMask), "another family"),
        ("fwmark6:9", with(ClientMask::V6(64)), None, "a prefix"),
        ("fwmark6:9", with(ClientMask::V6(0)), Some(Fault::BadMask), "no prefix"),
        ("fwmark6:9", with(ClientMask::V6(129)), Some(Fault::BadMask), "too long"),
        ("tcp:10.0.0.9:1", engine("sip"), None, "an engine without persistence"),
        ("tcp:10.0.0.9:1", engine("pop"), Some(Fault::NoSuchEngine), "unknown"),
        ("fwmark:8", engine("pop"), Some(Fault::ServiceExists), "that comes first"),
    ] {
        let service = key.parse().unwrap();
        let change = Change::AddService { service, terms };
        assert_eq!(model().apply(&change).err(), expected, "{why}: {change:?}");
    }
}

#[test]
fn an_edit_keeps_the_tuning_and_the_servers() {
    let mut model = model();
    let service: ServiceKey = "tcp:10.0.0.1:80".parse().unwrap();
    model.apply(&server("tcp:10.0.0.1:80", "10.0.1.1:80", |_| ())).unwrap();
    let tuning = Tuning { slow_start_s: 30, ..Tuning::default() };
    model.apply(&Change::TuneService { service, tuning: tuning.clone() }).unwrap();
    let terms = Terms { scheduler_flags: 3, ..Scheduler::Sh.into() };
    model.apply(&Change::EditService { service, terms: terms.clone() }).unwrap();
    let found = model.service(&service).unwrap();
    assert_eq!((&found.terms, &found.tuning, found.servers.len()), (&terms, &tuning, 1));
}

#[test]
fn a_daemon_of_each_role_runs_once_and_not_beside_mixed_families() {
    let mut model = model();
    assert_eq!(model.apply(&Change::StopDaemon { role: SyncRole::Master }), Err(Fault::NoDaemon));
    model.apply(&daemon(SyncRole::Backup)).unwrap();
    model.apply(&daemon(SyncRole::Master)).unwrap();
    assert_eq!(model.apply(&daemon(SyncRole::Master)), Err(Fault::DaemonRuns));
    assert_eq!(model.sync[0].role, SyncRole::Master, "the master comes first");
    let mixed = server("udp:[fd00::1]:53", "10.0.1.1:53", |s| s.method = Method::Tunnel);
    assert_eq!(model.apply(&mixed), Err(Fault::OtherFamily));
    model.apply(&Change::StopDaemon { role: SyncRole::Master }).unwrap();
    model.apply(&Change::StopDaemon { role: SyncRole::Backup }).unwrap();
    model.apply(&mixed).unwrap();
    assert_eq!(model.apply(&daemon(SyncRole::Backup)), Err(Fault::OtherFamily));
}

#[test]
fn states_and_changes_are_small_and_old_ones_are_read() {
    let old = r#"{"services":[{"key":"tcp:10.0.0.1:80","scheduler":"rr","servers":[
        {"address":"10.0.1.1:80","method":"masq","weight":3}]}],
        "timeouts":{"tcp":900,"tcp_fin":120,"udp":300}}"#;
    let read: Model = serde_json::from_str(old).unwrap();
    let service = &read.services[0];
    assert_eq!(*service.servers, [Server::new("10.0.1.1:80".parse().unwrap(), Method::Masq, 3)]);
    assert_eq!((&service.terms, &service.tuning), (&Scheduler::Rr.into(), &Tuning::default()));
    let plain = r#"{"key":"tcp:10.0.0.1:80","scheduler":"rr","servers":["#.to_owned()
        + r#"{"address":"10.0.1.1:80","method":"masq","weight":3}]}"#;
    assert_eq!(serde_json::to_string(service).unwrap(), plain, "what nobody said is not written");

    let text = r#"{"op":"add_service","service":"fwmark6:8","scheduler":"sh","#.to_owned()
        + r#""scheduler_flags":3,"persistence":{"timeout_s":60,"mask":64},"engine":"sip"}"#;
    let change: Change = serde_json::from_str(&text).unwrap();
    let Change::AddService { terms, .. } = &change else { panic!("{change:?}") };
    let persistence = Persistence { timeout_s: 60, mask: ClientMask::V6(64) };
    assert_eq!((terms.scheduler_flags, terms.persistence), (3, Some(persistence)));
    assert_eq!(serde_json::to_string(&change).unwrap(), text);
}

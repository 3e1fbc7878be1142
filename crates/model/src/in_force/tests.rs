#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{Change, Method, Scheduler, health::RealServer};

fn key(port: u16) -> ServiceKey {
    format!("tcp:10.0.0.1:{port}").parse().unwrap()
}

fn server(host: u8, weight: u32) -> Server {
    Server::new(format!("10.0.1.{host}:80").parse().unwrap(), Method::Masq, weight)
}

fn origin(line: u32) -> Origin {
    Origin { file: "a.conf".into(), line }
}

/// A file with service 80 on line 3 and its servers on lines 5 and 7.
fn file() -> InForce {
    let mut service = Service::new(key(80), Scheduler::Rr);
    service.servers = vec![server(2, 1), server(1, 1)];
    let real =
        |host, line| RealServer { origin: Some(origin(line)), ..RealServer::new(server(host, 1)) };
    let written = VirtualServer {
        services: vec![key(80)],
        origin: Some(origin(3)),
        servers: vec![real(1, 5), real(2, 7)],
        ..VirtualServer::default()
    };
    InForce::new("a.conf".into(), vec![service], &[written])
}

#[test]
fn everything_knows_its_line() {
    let file = file();
    for (service, server, expected) in [
        (80, None, Some(3)),
        (80, Some("10.0.1.1:80"), Some(5)),
        (80, Some("10.0.1.2:80"), Some(7)),
        (80, Some("10.0.1.3:80"), None),
        (81, None, None),
    ] {
        let server = server.map(|server| server.parse().unwrap());
        let found = file.origin(&key(service), server.as_ref()).map(|origin| origin.line);
        assert_eq!(found, expected, "{service} {server:?}");
    }
}

#[test]
fn what_is_changed_by_hand_is_found_and_put_right() {
    let service = key(80);
    let rows = [
        (Change::DeleteService { service }, true, "deleted"),
        (Change::Clear, true, "all deleted"),
        (Change::DeleteServer { service, server: server(1, 1).key }, true, "a server is gone"),
        (Change::AddServer { service, server: server(9, 1) }, true, "one too many"),
        (Change::EditServer { service, server: server(1, 0) }, true, "quiesced"),
        (Change::EditService { service, terms: Scheduler::Wlc.into() }, true, "terms"),
        (Change::AddService { service: key(81), terms: Scheduler::Rr.into() }, false, "not its"),
        (
            Change::TuneService {
                service,
                tuning: crate::Tuning { slow_start_s: 5, ..crate::Tuning::default() },
            },
            false,
            "the file says nothing of that",
        ),
    ];
    let file = file();
    for (change, expected, why) in rows {
        let mut model = Model::default();
        for change in plan(&model, &file.wanted(None)) {
            model.apply(&change).unwrap();
        }
        assert_eq!(file.drifted(&model, [&service]), BTreeSet::new(), "as it is written");
        model.apply(&change).unwrap();
        let drifted = file.drifted(&model, [&service, &key(81)]);
        assert_eq!(drifted.contains(&service), expected, "{why}");
        for change in plan(&model, &file.wanted_of(&drifted)) {
            model.apply(&change).unwrap();
        }
        assert_eq!(file.drifted(&model, [&service]), BTreeSet::new(), "{why}: put right");
    }
}

#[test]
fn services_that_a_file_no_longer_has_go() {
    let (old, new) = (file(), InForce::new("b.conf".into(), Vec::new(), &[]));
    assert_eq!(new.wanted(Some(&old)), vec![(key(80), None)]);
    assert_eq!(old.wanted(Some(&old)).len(), 1);
    let json = serde_json::to_string(&old).unwrap();
    let back: InForce = serde_json::from_str(&json).unwrap();
    assert_eq!(back.indexed().wanted(None), old.wanted(None), "read back");
}

#[test]
fn hands_are_remembered() {
    let service = key(80);
    let mut hands = Hands::default();
    let one = server(1, 1);
    for (change, by, expected, why) in [
        (Change::AddServer { service, server: one }, "API", [None, Some("API")], "to a file's"),
        (
            Change::AddService { service, terms: Scheduler::Rr.into() },
            "ipvsadm",
            [Some("ipvsadm"); 2],
            "anew, and its servers with it",
        ),
        (
            Change::AddServer { service, server: one },
            "xlvs",
            [Some("ipvsadm"), Some("xlvs")],
            "each has its own",
        ),
        (
            Change::DeleteServer { service, server: one.key },
            "xlvs",
            [Some("ipvsadm"); 2],
            "gone, and nobody's any more",
        ),
        (Change::Clear, "ipvsadm", [None, None], "all gone"),
    ] {
        hands.note(&change, by);
        let found = [hands.of(&service, None), hands.of(&service, Some(&one.key))];
        assert_eq!(found, expected, "{why}");
        let json = serde_json::to_string(&hands).unwrap();
        assert_eq!(serde_json::from_str::<Hands>(&json).unwrap(), hands, "{json}");
    }
}

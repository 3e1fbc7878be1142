#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    Scheduler,
    health::{Common, Kind, SorryServer},
};

/// `tcp:10.0.0.1:80 rr 10.0.1.1:80=1 10.0.1.2:80=2`.
fn service(text: &str) -> Service {
    let mut words = text.split(' ');
    let key = words.next().unwrap().parse().unwrap();
    let name = words.next().unwrap();
    let scheduler = Scheduler::ALL.into_iter().find(|s| s.name() == name).unwrap();
    let mut service = Service::new(key, scheduler);
    for word in words {
        let (server, weight) = word.split_once('=').unwrap();
        let server = Server::new(server.parse().unwrap(), Method::Masq, weight.parse().unwrap());
        service.servers.insert(0, server);
    }
    service
}

fn model(lines: &[&str]) -> Model {
    let mut model = Model::default();
    for line in lines {
        assert!(model.services.push(service(line)));
    }
    model
}

/// Those of the lines, and without those that begin with `!`.
fn wanted(lines: &[&str]) -> Vec<Wanted> {
    let one = |line: &&str| match line.strip_prefix('!') {
        Some(key) => (key.parse().unwrap(), None),
        None => (service(line).key, Some(service(line))),
    };
    lines.iter().map(one).collect()
}

/// What is there, what is wanted, what is told, and why.
type Row =
    (&'static [&'static str], &'static [&'static str], &'static [&'static str], &'static str);

#[test]
fn plans_lead_there_and_are_told_in_words() {
    const ONE: &str = "tcp:10.0.0.1:80 rr 10.0.1.1:80=1 10.0.1.2:80=2";
    let rows: &[Row] = &[
        (&[], &[], &[], "nothing from nothing"),
        (&[ONE], &[ONE], &[], "what is right already is left alone"),
        (&[ONE], &["!tcp:10.0.0.2:80"], &[], "what is not there need not go"),
        (
            &[],
            &[ONE],
            &[
                "+ tcp:10.0.0.1:80  scheduler rr",
                "+ tcp:10.0.0.1:80  10.0.1.1:80  nat, weight 1",
                "+ tcp:10.0.0.1:80  10.0.1.2:80  nat, weight 2",
            ],
            "a new service, its servers in the order of the file",
        ),
        (
            &[ONE],
            &["tcp:10.0.0.1:80 wrr 10.0.1.1:80=5 10.0.1.3:80=1", "!tcp:10.0.0.2:80"],
            &[
                "~ tcp:10.0.0.1:80  scheduler rr -> wrr",
                "~ tcp:10.0.0.1:80  10.0.1.1:80  weight 1 -> 5",
                "+ tcp:10.0.0.1:80  10.0.1.3:80  nat, weight 1",
                "- tcp:10.0.0.1:80  10.0.1.2:80",
            ],
            "terms, a weight, one comes and one goes",
        ),
        (
            &[ONE, "tcp:10.0.0.2:80 rr"],
            &["!tcp:10.0.0.1:80", "tcp:10.0.0.3:80 rr"],
            &["+ tcp:10.0.0.3:80  scheduler rr", "- tcp:10.0.0.1:80"],
            "what comes does so before something goes, and who is not named stays",
        ),
    ];
    for (old, new, expected, why) in rows {
        let (mut model, wanted) = (model(old), wanted(new));
        let changes = plan(&model, &wanted);
        let told: Vec<String> =
            differences(&model, &changes).iter().map(ToString::to_string).collect();
        assert_eq!(&told, expected, "{why}");
        for change in &changes {
            assert_eq!(model.apply(change), Ok(()), "{why}: {change:?}");
        }
        assert_eq!(plan(&model, &wanted), Vec::new(), "{why}: it is there");
    }
}

#[test]
fn a_service_that_is_there_keeps_its_tuning() {
    let mut model = model(&["tcp:10.0.0.1:80 rr"]);
    let key = service("tcp:10.0.0.1:80 rr").key;
    let tuning = crate::Tuning { slow_start_s: 9, ..crate::Tuning::default() };
    model.apply(&Change::TuneService { service: key, tuning: tuning.clone() }).unwrap();
    let before = vec![(key, model.service(&key).cloned())];
    assert_eq!(plan(&model, &wanted(&["tcp:10.0.0.1:80 rr"])), Vec::new());
    model.apply(&Change::DeleteService { service: key }).unwrap();
    for change in plan(&model, &before) {
        model.apply(&change).unwrap();
    }
    assert_eq!(model.service(&key).unwrap().tuning, tuning, "put back as it was");
}

#[test]
fn checks_that_differ_are_told() {
    let check = |kind: Kind, retry: u32, line: u32| Check {
        kind,
        common: Common { retry, ..Common::default() },
        origin: Some(Origin { file: "a.conf".into(), line }),
    };
    let file = |checks: &[Check], quorum: u32, sorry: bool| {
        let server = Server::new("10.0.1.1:80".parse().unwrap(), Method::Masq, 1);
        let real = RealServer { checks: checks.to_vec(), ..RealServer::new(server) };
        VirtualServer {
            services: vec!["tcp:10.0.0.1:80".parse().unwrap()],
            quorum,
            sorry_server: sorry.then_some(SorryServer { server, inhibit: false }),
            servers: vec![real],
            ..VirtualServer::default()
        }
    };
    let tcp = |retry, line| check(Kind::Tcp, retry, line);
    let rows: &[(VirtualServer, VirtualServer, &[&str], &str)] = &[
        (file(&[tcp(1, 3)], 1, false), file(&[tcp(1, 9)], 1, false), &[], "it only moved"),
        (
            file(&[tcp(1, 3)], 1, false),
            file(&[tcp(4, 3)], 1, false),
            &["~ tcp:10.0.0.1:80  10.0.1.1:80  terms of TCP_CHECK"],
            "another retry",
        ),
        (
            file(&[], 1, false),
            file(&[tcp(1, 3)], 2, true),
            &[
                "~ tcp:10.0.0.1:80  quorum 1, hysteresis 0 -> 2, 0",
                "~ tcp:10.0.0.1:80  sorry server 10.0.1.1:80",
                "+ tcp:10.0.0.1:80  10.0.1.1:80  checks TCP_CHECK",
            ],
            "a first check, a quorum, a sorry server",
        ),
        (
            file(&[tcp(1, 3)], 1, true),
            file(&[check(Kind::Ping, 1, 3)], 1, false),
            &[
                "~ tcp:10.0.0.1:80  no sorry server any more",
                "~ tcp:10.0.0.1:80  10.0.1.1:80  checks TCP_CHECK -> PING_CHECK",
            ],
            "another kind of check",
        ),
    ];
    for (old, new, expected, why) in rows {
        let found = check_differences(std::slice::from_ref(old), std::slice::from_ref(new));
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(&told, expected, "{why}");
    }
}

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{Action, Change, Method, OnDeadline, Scheduler, Tuning};

const SERVICE: &str = "tcp:10.0.0.1:80";

fn service() -> ServiceKey {
    SERVICE.parse().unwrap()
}

fn key(n: u8) -> ServerKey {
    format!("10.0.1.{n}:80").parse().unwrap()
}

fn server(n: u8, weight: u32) -> Server {
    Server::new(key(n), Method::Route, weight)
}

fn by_ada(action: Action) -> Override {
    Override { action, owner: "ada".into(), reason: "disks".into(), since: 1 }
}

fn drain(on_deadline: OnDeadline, over: bool) -> Override {
    by_ada(Action::Drain { deadline: Some(9), on_deadline, over })
}

fn health(up: bool, inhibit: bool, weight: Option<u32>) -> Health {
    Health { up, inhibit, weight, cause: if up { "exit 52" } else { "refused" }.into() }
}

fn quorum(holds: bool, sorry: bool) -> Quorum {
    Quorum {
        holds,
        sorry: sorry.then(|| server(9, 1)),
        inhibit: false,
        cause: "1 of 3 is up".into(),
    }
}

#[test]
fn the_rules() {
    let (up, down) = (health(true, false, None), health(false, false, None));
    let (slow, off) = (health(true, false, Some(50)), health(true, false, Some(0)));
    let (kept_up, kept_down) = (health(true, true, None), health(false, true, Some(7)));
    let too_much = health(true, false, Some(u32::MAX));
    let disable = by_ada(Action::Disable);
    let (soft, hard) = (drain(OnDeadline::Keep, false), drain(OnDeadline::Reset, false));
    let (soft_over, hard_over) = (drain(OnDeadline::Keep, true), drain(OnDeadline::Reset, true));
    let (lost, bare, fine) = (quorum(false, true), quorum(false, false), quorum(true, true));
    for (health, quorum, person, expected, why) in [
        (None, None, None, "up 3", "nobody says anything"),
        (Some(&up), Some(&fine), None, "up 3", "all is well"),
        (Some(&down), None, None, "down out (refused)", "down"),
        (Some(&kept_down), None, None, "inhibited 0 (refused)", "down, and it stays in the list"),
        (Some(&slow), None, None, "up 50 (exit 52)", "checks weigh it"),
        (Some(&off), None, None, "up 0 (exit 52)", "checks give it nothing"),
        (Some(&too_much), None, None, "up 2147483647 (exit 52)", "no more than there is"),
        (Some(&up), Some(&lost), None, "relieved out (1 of 3 is up)", "the sorry server's turn"),
        (Some(&kept_up), Some(&lost), None, "relieved 0 (1 of 3 is up)", "it stays in the list"),
        (Some(&up), Some(&bare), None, "up 3", "nobody stands in: the rest goes on"),
        (None, None, Some(&soft), "draining 0 (drained by ada: disks)", "a drain"),
        (
            Some(&slow),
            Some(&fine),
            Some(&hard),
            "draining 0 (drained by ada: disks)",
            "it outranks weights",
        ),
        (
            Some(&down),
            None,
            Some(&soft),
            "down out (refused; drained by ada: disks)",
            "what is dead is dead",
        ),
        (
            Some(&up),
            None,
            Some(&soft_over),
            "draining 0 (drained by ada: disks)",
            "its deadline keeps the rest",
        ),
        (
            Some(&up),
            None,
            Some(&hard_over),
            "drained out (drained by ada: disks)",
            "its deadline resets the rest",
        ),
        (
            Some(&up),
            Some(&lost),
            Some(&disable),
            "disabled out (disabled by ada: disks)",
            "a person has the last word",
        ),
        (Some(&down), None, Some(&disable), "disabled out (disabled by ada: disks)", "down or not"),
    ] {
        let written = server(1, 3);
        let standing = Standing::of(&written, health, quorum, person);
        let Standing { state, weight, listed, cause } = &standing;
        let weight = if *listed { weight.to_string() } else { "out".to_owned() };
        let cause = cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
        assert_eq!(format!("{} {weight}{cause}", state.name()), expected, "{why}");
        assert_eq!(standing.is_plain(&written), expected == "up 3", "{why}");
        assert!(*listed || standing.weight == 0, "{why}");
    }
}

fn written() -> Model {
    let mut model = Model::default();
    let other: ServiceKey = "tcp:10.0.0.1:81".parse().unwrap();
    for service in [service(), other] {
        model.apply(&Change::AddService { service, terms: Scheduler::Wrr.into() }).unwrap();
        for n in [3, 2, 1] {
            model.apply(&Change::AddServer { service, server: server(n, n.into()) }).unwrap();
        }
    }
    model
}

/// The list in force, as `NUMBER:WEIGHT`.
fn list(effective: &Effective) -> String {
    let servers = &effective.model().service(&service()).unwrap().servers;
    let each = servers.iter().map(|s| match s.key {
        ServerKey::V4(v4) => format!("{}:{}", v4.ip().octets()[3], s.weight),
        ServerKey::V6(_) => unreachable!(),
    });
    each.collect::<Vec<_>>().join(" ")
}

#[test]
fn lists_follow_what_is_written_found_and_said() {
    let mut model = written();
    let mut effective = Effective::of(&model);
    let touched: Touched = [service()].into();
    let of = |n, health| Finding::Server { service: service(), server: key(n), health };
    let quorum_is = |q| Finding::Service { service: service(), quorum: q };
    let set = |n, value| Change::SetOverride { service: service(), server: key(n), value };
    let clear = |n| Change::ClearOverride { service: service(), server: key(n) };
    let steps: Vec<(Result<Finding, Change>, &str, &str)> = vec![
        (Ok(of(2, Some(health(false, false, None)))), "1:1 3:3", "2 is down"),
        (Ok(of(1, Some(health(true, false, Some(40))))), "1:40 3:3", "1 is weighed by its check"),
        (Err(set(3, drain(OnDeadline::Reset, false))), "1:40 3:0", "3 is drained"),
        (Ok(quorum_is(Some(quorum(false, true)))), "9:1 3:0", "the sorry server's turn"),
        (Err(set(3, drain(OnDeadline::Reset, true))), "9:1", "3 is over"),
        (Ok(of(2, Some(health(true, true, None)))), "9:1 2:0", "2 works, and is relieved"),
        (Ok(quorum_is(Some(quorum(true, true)))), "1:40 2:2", "the quorum is regained"),
        (
            Ok(quorum_is(Some(Quorum { inhibit: true, ..quorum(true, true) }))),
            "9:0 1:40 2:2",
            "the sorry server stays",
        ),
        (Ok(quorum_is(None)), "1:40 2:2", "nobody asks for a quorum"),
        (Err(clear(3)), "1:40 2:2 3:3", "3 is back"),
        (
            Err(Change::EditServer { service: service(), server: server(1, 10) }),
            "1:40 2:2 3:3",
            "the written weight changes beneath",
        ),
        (Ok(of(1, None)), "1:10 2:2 3:3", "and shows when nobody checks"),
        (Ok(of(2, None)), "1:10 2:2 3:3", "nobody checks 2 either"),
        (Ok(of(8, Some(health(false, false, None)))), "1:10 2:2 3:3", "there is no 8"),
    ];
    for (step, expected, why) in steps {
        match step {
            Ok(finding) => drop(effective.hear(&model, finding)),
            Err(change) => model.apply(&change).unwrap(),
        }
        effective.follow(&model, &touched);
        assert_eq!(list(&effective), expected, "{why}");
        let other = model.services[1].key;
        assert_eq!(effective.model().service(&other), model.service(&other), "{why}");
    }
    assert_eq!(model.service(&service()).unwrap().server(&key(1)).unwrap().weight, 10);
}

#[test]
fn what_checks_found_goes_with_its_server() {
    let mut model = written();
    let mut effective = Effective::of(&model);
    let touched: Touched = [service()].into();
    let down = Finding::Server {
        service: service(),
        server: key(1),
        health: Some(health(false, false, None)),
    };
    assert!(effective.hear(&model, down.clone()));
    assert!(!effective.hear(&model, down.clone()), "no news");
    effective.follow(&model, &touched);
    for change in [
        Change::DeleteServer { service: service(), server: key(1) },
        Change::AddServer { service: service(), server: server(1, 1) },
    ] {
        model.apply(&change).unwrap();
        effective.follow(&model, &touched);
        assert_eq!(effective.prune(&model, &touched), []);
    }
    assert_eq!(list(&effective), "1:1 2:2 3:3", "a new one, of which nothing is known");
    let lost = Finding::Service { service: service(), quorum: Some(quorum(false, true)) };
    assert!(effective.hear(&model, lost));
    model.apply(&Change::Clear).unwrap();
    effective.follow(&model, &touched);
    assert_eq!(effective.prune(&model, &touched), [(service(), server(9, 1))], "it waits no more");
    assert_eq!(effective.model().service(&service()), None);
    assert!(!effective.hear(&model, down), "there is no such service");
}

/// One thing that happens.
enum Happens {
    Found(Finding),
    Said(Change),
}

fn step(kind: u8, n: u8) -> Happens {
    let (service, server_key) = (service(), key(n));
    let of = |health| Happens::Found(Finding::Server { service, server: server_key, health });
    let set = |value| Happens::Said(Change::SetOverride { service, server: server_key, value });
    match kind {
        0 => of(Some(health(false, n.is_multiple_of(2), None))),
        1 => of(Some(health(true, n.is_multiple_of(2), Some(u32::from(n) * 9)))),
        2 => of(None),
        3 => Happens::Found(Finding::Service {
            service,
            quorum: Some(quorum(n.is_multiple_of(2), n != 3)),
        }),
        4 => Happens::Found(Finding::Service { service, quorum: None }),
        5 => set(drain(OnDeadline::Reset, n == 2)),
        6 => set(by_ada(Action::Disable)),
        7 => Happens::Said(Change::ClearOverride { service, server: server_key }),
        8 => Happens::Said(Change::DeleteServer { service, server: server_key }),
        9 => Happens::Said(Change::AddServer { service, server: server(n, n.into()) }),
        10 => Happens::Said(Change::EditServer { service, server: server(n, u32::from(n) + 5) }),
        _ => Happens::Said(Change::SetTimeouts {
            timeouts: crate::Timeouts { tcp: n.into(), tcp_fin: 0, udp: 0 },
        }),
    }
}

proptest::proptest! {
    /// Whatever happens in whatever order: what is in force, followed step by step, is what it would
    /// be worked out at once, and nothing of it gets into what is written.
    #[test]
    fn following_is_working_out(steps in proptest::collection::vec((0u8..12, 1u8..5), 0..60)) {
        let mut model = written();
        let mut plain = written();
        let mut effective = Effective::of(&model);
        for (kind, n) in steps {
            match step(kind, n) {
                Happens::Found(finding) => drop(effective.hear(&model, finding)),
                Happens::Said(change) => {
                    let done = model.apply(&change);
                    let is_said =
                        matches!(change, Change::SetOverride { .. } | Change::ClearOverride { .. });
                    if done.is_ok() && !is_said {
                        plain.apply(&change).unwrap();
                    }
                }
            }
            let touched: Touched = [service()].into();
            effective.follow(&model, &touched);
            effective.prune(&model, &touched);
            let mut afresh = Effective { found: effective.found.clone(), ..Effective::default() };
            let all = model.services.iter().map(|service| service.key).collect();
            afresh.follow(&model, &all);
            proptest::prop_assert_eq!(effective.model(), afresh.model());
            proptest::prop_assert_eq!(&model.services, &plain.services);
            for server in &effective.model().service(&service()).unwrap().servers {
                let sorry = effective.sorry(&service()).map(|(sorry, _)| sorry.key);
                let written = model.service(&service()).unwrap().server(&server.key);
                proptest::prop_assert!(written.is_some() || sorry == Some(server.key));
            }
        }
    }
}

#[test]
fn whose_clients_are_reset() {
    let down = |inhibit| Finding::Server {
        service: service(),
        server: key(1),
        health: Some(health(false, inhibit, None)),
    };
    let person = |value| Change::SetOverride { service: service(), server: key(1), value };
    for (step, always, on_down, why) in [
        (Ok(down(false)), false, true, "down"),
        (Ok(down(true)), false, true, "down, and kept in the list"),
        (Err(person(by_ada(Action::Disable))), false, true, "disabled"),
        (Err(person(drain(OnDeadline::Reset, false))), false, false, "it drains"),
        (Err(person(drain(OnDeadline::Reset, true))), true, true, "its deadline is over"),
        (Err(person(drain(OnDeadline::Keep, true))), false, false, "it keeps the rest"),
    ] {
        for (reset_on_down, expected) in [(false, always), (true, on_down)] {
            let mut model = written();
            let tuning = Tuning { reset_on_down, ..Tuning::default() };
            model.apply(&Change::TuneService { service: service(), tuning }).unwrap();
            let mut effective = Effective::of(&model);
            match &step {
                Ok(finding) => assert!(effective.hear(&model, finding.clone())),
                Err(change) => model.apply(change).unwrap(),
            }
            effective.follow(&model, &[service()].into());
            let resets = &effective.model().service(&service()).unwrap().resets;
            let expected: &[_] = if expected { &[key(1)] } else { &[] };
            assert_eq!(resets, expected, "{why}, {reset_on_down}");
            assert!(!serde_json::to_string(effective.model()).unwrap().contains("resets"));
        }
    }
}

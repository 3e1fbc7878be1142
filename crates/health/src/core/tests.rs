//! What follows for servers and services, in simulated time.

use std::collections::BTreeSet;

use proptest::prelude::*;
use xlvs_model::{
    Finding, Server as Written,
    health::{Check, Common, HttpCheck, Kind, MiscCheck, Script, SorryServer, Url},
};

mod ldirectord;

use super::*;
use crate::{Alert, Fault, Good, Run};

mod load;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn script(name: &str) -> Script {
    Script { argv: vec![name.into()], user: None }
}

fn tcp() -> Check {
    let common =
        Common { warmup: Duration::ZERO, delay_loop: s(10), retry: 0, ..Common::default() };
    Check { kind: Kind::Tcp, common, origin: None }
}

fn misc(name: &str) -> Check {
    let terms = MiscCheck { script: script(name), timeout: s(5), dynamic: true };
    Check { kind: Kind::Misc(terms), ..tcp() }
}

fn written(last: u8, weight: u32) -> Written {
    let terms = serde_json::json!({
        "address": format!("10.0.1.{last}:80"), "method": "route", "weight": weight
    });
    serde_json::from_value(terms).expect("a server")
}

fn server(last: u8, weight: u32, checks: Vec<Check>) -> RealServer {
    RealServer {
        notify_up: Some(script(&format!("up{last}"))),
        notify_down: Some(script(&format!("down{last}"))),
        smtp_alert: true,
        checks,
        ..RealServer::new(written(last, weight))
    }
}

fn service(servers: Vec<RealServer>) -> VirtualServer {
    VirtualServer {
        name: "10.0.0.1 80".into(),
        services: vec!["tcp:10.0.0.1:80".parse().expect("a key")],
        quorum_up: Some(script("quorum-up")),
        quorum_down: Some(script("quorum-down")),
        smtp_alert: true,
        servers,
        ..VirtualServer::default()
    }
}

fn config(virtual_servers: Vec<VirtualServer>) -> Config {
    Config { virtual_servers, router_id: "lb".into(), ..Config::default() }
}

/// Effects in short: `10.0.1.1 down (why)`, `run down1`, `mail ...`, `quorum lost`.
fn short(effects: &[Effect]) -> Vec<String> {
    let line = |effect: &Effect| match effect {
        Effect::Found(Finding::Server { server, health: Some(health), .. }) => {
            let state = match (health.up, health.inhibit) {
                (true, _) => "up",
                (false, true) => "inhibited",
                (false, false) => "down",
            };
            let weight = health.weight.map(|w| format!(" weight {w}")).unwrap_or_default();
            let port =
                if server.port() == 80 { String::new() } else { format!(":{}", server.port()) };
            Some(format!("{}{port} {state}{weight}", server.ip()))
        }
        Effect::Found(Finding::Server { server, .. }) => Some(format!("{} gone", server.ip())),
        Effect::Found(Finding::Service { quorum: Some(quorum), .. }) => {
            let sorry = if quorum.sorry.is_some() && !quorum.holds { ", sorry" } else { "" };
            Some(format!("quorum {}{sorry}", if quorum.holds { "holds" } else { "fails" }))
        }
        Effect::Found(Finding::Service { .. }) => Some("quorum gone".into()),
        Effect::Run(Run { script, .. }) => Some(format!("run {script}")),
        Effect::Alert(Alert { subject, body, .. }) => {
            Some(format!("mail {subject}: {}", body.lines().next().unwrap_or_default()))
        }
        Effect::Monitor(line) => {
            let state = if line.up { "up" } else { "down" };
            Some(format!("{}: {} [{state}] {}", line.path, line.server, line.text))
        }
        Effect::Event(_) => None,
    };
    effects.iter().filter_map(line).collect()
}

/// A core whose questions are answered by a table.
struct World {
    core: Core,
    now: Moment,
}

impl World {
    fn new(config: Config) -> (Self, Vec<String>) {
        let mut world = Self { core: Core::new(1), now: Duration::ZERO };
        let effects = world.apply(config);
        (world, effects)
    }

    fn apply(&mut self, config: Config) -> Vec<String> {
        let mut effects = Vec::new();
        self.core.apply(config, self.now, &mut effects);
        short(&effects)
    }

    /// Goes on to the next questions and answers them; what follows. Who is asked, beside it.
    fn step(&mut self, answer: impl Fn(&Ask) -> Outcome) -> (Vec<String>, Vec<String>) {
        self.now = self.core.next_wake().expect("a question").max(self.now);
        let (mut starts, mut effects) = (Vec::new(), Vec::new());
        self.core.due(self.now, &mut starts);
        let asked = starts.iter().map(|start| start.ask.name()).collect();
        for start in starts {
            let outcome = answer(&start.ask);
            self.core.done(start.probe, &outcome, s(0), self.now, &mut effects);
        }
        (asked, short(&effects))
    }

    fn good(&mut self) -> Vec<String> {
        self.step(|_| Outcome::GOOD).1
    }

    /// The servers whose addresses end so refuse.
    fn bad(&mut self, who: &[&str]) -> Vec<String> {
        self.step(|ask| {
            let host = ask.target.ip().to_string();
            let refuses = ask.kind == Kind::Tcp && who.iter().any(|end| host.ends_with(end));
            if refuses { Outcome::Bad(Fault::Refused) } else { Outcome::GOOD }
        })
        .1
    }
}

fn exit(code: u16) -> Outcome {
    Outcome::Good(Good {
        code: Some(code),
        weight: (code >= 2).then(|| Weight::Be(u32::from(code) - 2)),
    })
}

#[test]
fn a_server_goes_and_comes() {
    let terms = service(vec![server(1, 1, vec![tcp()]), server(2, 1, vec![tcp()])]);
    let (mut world, begin) = World::new(config(vec![terms]));
    assert_eq!(
        begin,
        [
            "10.0.1.1 up",
            "10.0.1.2 up",
            "quorum holds",
            "run quorum-up",
            "mail [lb] Virtualserver 10.0.0.1 80 - UP: => Starting with quorum up 1+0=1 <= 2 <=",
        ]
    );
    assert_eq!(world.good(), Vec::<String>::new(), "no news is no effect");
    assert_eq!(
        world.bad(&[".1"]),
        [
            "10.0.1.1 down",
            "run down1",
            "mail [lb] Realserver 10.0.1.1:80 of virtual server 10.0.0.1 80 - DOWN: \
             => TCP CHECK failed on service <=",
        ]
    );
    assert_eq!(world.bad(&[".1"]), Vec::<String>::new(), "down already");
    assert_eq!(
        world.bad(&[".1", ".2"])[..4],
        ["10.0.1.2 down", "run down2", "quorum fails", "run quorum-down"],
        "the server, its script, then the quorum"
    );
    assert_eq!(
        world.good()[..4],
        ["10.0.1.1 up", "run up1", "quorum holds", "run quorum-up"],
        "one is enough for the quorum"
    );
}

#[test]
fn a_sorry_server_stands_in_below_the_quorum_with_hysteresis() {
    let servers = (1..=4).map(|last| server(last, 1, vec![tcp()])).collect();
    let mut terms = service(servers);
    (terms.quorum, terms.hysteresis) = (3, 1);
    terms.sorry_server = Some(SorryServer { server: written(99, 1), inhibit: false });
    let (mut world, begin) = World::new(config(vec![terms.clone()]));
    assert!(begin.contains(&"quorum holds".into()), "{begin:?}");
    let quorum = |said: Vec<String>| -> Vec<String> {
        said.into_iter().filter(|line| line.starts_with("quorum")).collect()
    };
    for (down, expected, why) in [
        (&[".1"][..], &[][..], "3 of 4: held by hysteresis"),
        (&[".1", ".2"], &[], "2 of 4: still"),
        (&[".1", ".2", ".3"], &["quorum fails, sorry"], "1 of 4: lost"),
        (&[".1"], &[], "3 of 4: not regained before 4"),
        (&[], &["quorum holds"], "4 of 4"),
    ] {
        assert_eq!(quorum(world.bad(down)), expected, "{why}");
    }
    terms.servers.iter_mut().for_each(|server| server.checks[0].common.alpha = true);
    let (_, begin) = World::new(config(vec![terms]));
    assert_eq!(
        begin[4..6],
        ["quorum fails, sorry", "run quorum-down"],
        "with alpha it begins with the sorry server"
    );
}

#[test]
fn all_checks_of_a_server_have_to_be_good() {
    let other = Check { common: Common { connect_port: Some(81), ..tcp().common }, ..tcp() };
    let terms = service(vec![server(1, 1, vec![tcp(), other])]);
    let (mut world, _) = World::new(config(vec![terms]));
    let by_port = |port: Option<u16>| {
        move |ask: &Ask| match port {
            Some(port) if ask.target.port() == port => Outcome::Bad(Fault::Refused),
            _ => Outcome::GOOD,
        }
    };
    let down = |said: &[String]| said.iter().any(|line| line == "10.0.1.1 down");
    assert!(down(&world.step(by_port(Some(80))).1));
    let both = |_: &Ask| Outcome::Bad(Fault::Refused);
    let said = world.step(both).1;
    assert!(said.iter().all(|line| !line.starts_with("run")), "down already: {said:?}");
    assert!(said.iter().any(|line| line.starts_with("mail")), "but each check has its mail");
    let said = world.step(by_port(Some(81))).1;
    assert!(said.iter().all(|line| !line.contains(" up")), "one is not enough: {said:?}");
    let said = world.step(by_port(None)).1;
    assert!(said.contains(&"10.0.1.1 up".into()), "{said:?}");
}

#[test]
fn dynamic_weights_are_derived_and_never_add_up() {
    let terms = service(vec![server(1, 10, vec![misc("a")])]);
    let (mut world, _) = World::new(config(vec![terms.clone()]));
    for (outcome, expected, why) in [
        (exit(0), &[][..], "as written"),
        (exit(52), &["10.0.1.1 up weight 50"], "the code less two"),
        (exit(52), &[], "the same again"),
        (Outcome::Bad(Fault::Overran(s(5))), &["10.0.1.1 down", "run down1"], "too slow"),
        (exit(52), &["10.0.1.1 up weight 50", "run up1"], "back, with the same weight"),
        (exit(2), &["10.0.1.1 up weight 0", "quorum fails", "run quorum-down"], "nothing"),
        (exit(0), &["10.0.1.1 up", "quorum holds", "run quorum-up"], "as written again"),
        (Outcome::Bad(Fault::Exit(1)), &["10.0.1.1 down", "run down1"], "a failure"),
    ] {
        let said = world.step(|_| outcome.clone()).1;
        let quiet: Vec<_> = said.iter().filter(|line| !line.starts_with("mail")).collect();
        assert_eq!(quiet[..quiet.len().min(expected.len())], *expected, "{why}: {said:?}");
        assert_eq!(quiet.is_empty(), expected.is_empty(), "{why}: {said:?}");
    }
    let two = service(vec![server(1, 10, vec![misc("a"), misc("b")])]);
    let (mut world, _) = World::new(config(vec![two]));
    let said = world.step(|ask| exit(if ask.name().ends_with('a') { 17 } else { 9 })).1;
    assert_eq!(said.last().map(String::as_str), Some("10.0.1.1 up weight 12"), "10 + 5 - 3");
}

#[test]
fn services_that_ask_the_same_share_the_question() {
    let mut one = service(vec![server(1, 1, vec![tcp(), misc("a")])]);
    let mut other = service(vec![server(1, 5, vec![tcp()]), server(2, 1, vec![misc("a")])]);
    other.services = vec!["tcp:10.0.0.2:80".parse().expect("a key")];
    let mut slower = tcp();
    slower.common.delay_loop = s(20);
    other.servers[1].checks.push(slower);
    one.smtp_alert = false;
    let (mut world, _) = World::new(config(vec![one, other]));
    let (mut asked, _) = world.step(|_| Outcome::GOOD);
    asked.sort();
    assert_eq!(asked, ["MISC_CHECK a", "TCP_CHECK 10.0.1.1:80", "TCP_CHECK 10.0.1.2:80"]);
    let said = world.bad(&["10.0.1.1"]);
    let downs = said.iter().filter(|line| *line == "10.0.1.1 down").count();
    assert_eq!(downs, 2, "what it finds is for both: {said:?}");
    let view = world.core.snapshot(world.now);
    assert_eq!((view.probes, view.services[0].servers[0].checks[0].shared_by), (3, 2));
}

#[test]
fn a_group_is_checked_once_and_told_for_each_service() {
    let mut terms = service(vec![server(1, 1, vec![tcp()])]);
    terms.services =
        vec!["tcp:10.0.0.1:80".parse().expect("a key"), "tcp:10.0.0.1:443".parse().expect("a key")];
    let mut plain = written(1, 1);
    plain.key.set_port(0);
    terms.servers[0].server = plain;
    let (mut world, begin) = World::new(config(vec![terms]));
    assert_eq!(begin[..4], ["10.0.1.1 up", "10.0.1.1:443 up", "quorum holds", "quorum holds"]);
    let (asked, said) = world.step(|_| Outcome::Bad(Fault::Refused));
    assert_eq!(asked, ["TCP_CHECK 10.0.1.1:80"]);
    assert_eq!(said[..3], ["10.0.1.1 down", "10.0.1.1:443 down", "run down1"]);
}

#[test]
fn a_reload_keeps_states() {
    let terms = || service(vec![server(1, 1, vec![tcp()]), server(2, 1, vec![tcp()])]);
    let (mut world, _) = World::new(config(vec![terms()]));
    world.bad(&[".1"]);
    assert_eq!(world.apply(config(vec![terms()])), Vec::<String>::new(), "the same again");
    let view = world.core.snapshot(world.now);
    assert!(!view.services[0].servers[0].health.up);
    assert_eq!(view.services[0].servers[0].checks[0].next, Some(s(10)), "its clock goes on");
    // Another pace and more servers: what is known stays known.
    let mut more = terms();
    more.servers[0].checks[0].common.delay_loop = s(3);
    more.servers.push(server(3, 1, vec![tcp()]));
    assert_eq!(world.apply(config(vec![more.clone()])), ["10.0.1.3 up"]);
    assert!(!world.core.snapshot(world.now).services[0].servers[0].health.up);
    // A server that goes says farewell if it was up.
    more.servers.truncate(1);
    assert_eq!(
        world.apply(config(vec![more])),
        [
            "run down2",
            "mail [lb] Realserver 10.0.1.2:80 of virtual server 10.0.0.1 80 - DOWN: => Removing <=",
            "10.0.1.2 gone",
            "run down3",
            "mail [lb] Realserver 10.0.1.3:80 of virtual server 10.0.0.1 80 - DOWN: => Removing <=",
            "10.0.1.3 gone",
            "quorum fails",
            "run quorum-down",
            "mail [lb] Virtualserver 10.0.0.1 80 - DOWN: => Lost quorum 1-0=1 > 0 <=",
        ]
    );
    assert_eq!(world.apply(config(vec![])), ["10.0.1.1 gone", "quorum gone"]);
    assert_eq!(world.core.next_wake(), None);
}

#[test]
fn an_answer_to_a_question_that_is_gone_is_not_heard() {
    let terms = service(vec![server(1, 1, vec![tcp()])]);
    let (mut world, _) = World::new(config(vec![terms.clone()]));
    let (mut starts, mut effects) = (Vec::new(), Vec::new());
    world.core.due(s(0), &mut starts);
    world.apply(config(vec![terms.clone()]));
    assert_eq!(world.core.snapshot(s(0)).asking, 1, "a reload leaves it under way");
    world.apply(config(vec![]));
    world.core.done(starts[0].probe, &Outcome::Bad(Fault::Refused), s(0), s(1), &mut effects);
    assert_eq!((effects.len(), world.core.snapshot(s(1)).asking), (0, 0));
}

#[test]
fn what_cannot_be_asked_says_nothing_of_the_server() {
    let terms = service(vec![server(1, 1, vec![tcp()])]);
    let (mut world, _) = World::new(config(vec![terms]));
    let said = world.step(|_| Outcome::Unasked("no ports left".into())).1;
    assert_eq!(said, Vec::<String>::new());
    let view = world.core.snapshot(world.now);
    let check = &view.services[0].servers[0].checks[0];
    assert_eq!((check.up, check.has_run, check.next), (true, false, Some(s(10))));
    assert_eq!(check.last.as_ref().map(|l| &l.text[..]), Some("could not be asked: no ports left"));
}

#[test]
fn inhibit_alpha_omega_suspend() {
    let mut terms = service(vec![server(1, 1, vec![tcp()])]);
    terms.servers[0].inhibit_on_failure = true;
    terms.servers[0].checks[0].common.alpha = true;
    (terms.omega, terms.ha_suspend) = (true, true);
    let (mut world, begin) = World::new(config(vec![terms.clone()]));
    assert_eq!(begin, ["10.0.1.1 inhibited", "quorum fails"], "no sorry server, nobody to tell");
    let said = world.bad(&[".1"]);
    assert_eq!(said, ["10.0.1.1 inhibited", "run down1"], "the first answer confirms it");
    let mut effects = Vec::new();
    world.core.stop(&mut effects);
    assert_eq!(short(&effects)[..1], ["run quorum-down"], "who is down says no farewell");
    world.core.suspend(terms.services[0], true);
    let (asked, _) = world.step(|_| Outcome::GOOD);
    assert_eq!(asked, Vec::<String>::new(), "not asked while suspended");
    world.core.suspend(terms.services[0], false);
    assert_eq!(world.good()[..2], ["10.0.1.1 up", "run up1"]);
    effects.clear();
    world.core.stop(&mut effects);
    assert_eq!(short(&effects)[0], "run down1");
}

#[test]
fn warm_up_spreads_the_first_questions() {
    let servers = (1..=200).map(|last| {
        let mut check = tcp();
        (check.common.warmup, check.common.delay_loop) = (s(10), s(10));
        server(last, 1, vec![check])
    });
    let (mut world, _) = World::new(config(vec![service(servers.collect())]));
    let mut starts = Vec::new();
    let mut before = 0;
    for second in 1..=10 {
        world.core.due(s(second), &mut starts);
        let share = starts.len() - before;
        assert!((5..=40).contains(&share), "{share} of 200 in second {second}");
        before = starts.len();
    }
    assert_eq!(starts.len(), 200);
}

#[test]
fn urls_go_in_turn_and_show_why() {
    let urls = ["/a", "/b"].map(|path| Url { path: path.into(), ..Url::default() });
    let http = HttpCheck { urls: urls.into(), ..HttpCheck::default() };
    let check = Check { kind: Kind::Http(http), ..tcp() };
    let (mut world, _) = World::new(config(vec![service(vec![server(1, 1, vec![check])])]));
    let mut order = Vec::new();
    for _ in 0..3 {
        world.now = world.core.next_wake().expect("a question");
        let (mut starts, mut effects) = (Vec::new(), Vec::new());
        world.core.due(world.now, &mut starts);
        order.push((world.now.as_secs(), starts[0].url));
        let bad = Outcome::Bad(Fault::Status(500));
        let outcome = if starts[0].url == 1 { bad } else { Outcome::GOOD };
        world.core.done(starts[0].probe, &outcome, s(0), world.now, &mut effects);
    }
    assert_eq!(order, [(0, 0), (10, 1), (20, 1)]);
    let view = world.core.snapshot(world.now);
    assert_eq!(
        view.services[0].servers[0].health.cause,
        "HTTP_GET 10.0.1.1:80/a and 1 more: answered 500"
    );
}

/// What effects add up to: the last finding of each server and service.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    servers: BTreeMap<(ServiceKey, ServerKey), (bool, Option<u32>)>,
    quorums: BTreeMap<ServiceKey, bool>,
}

impl Sum {
    fn add(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Found(Finding::Server { service, server, health: Some(h) }) => {
                    self.servers.insert((*service, *server), (h.up, h.weight));
                }
                Effect::Found(Finding::Server { service, server, health: None }) => {
                    self.servers.remove(&(*service, *server));
                }
                Effect::Found(Finding::Service { service, quorum: Some(quorum) }) => {
                    self.quorums.insert(*service, quorum.holds);
                }
                Effect::Found(Finding::Service { service, quorum: None }) => {
                    self.quorums.remove(service);
                }
                Effect::Run(_) | Effect::Alert(_) | Effect::Event(_) | Effect::Monitor(_) => {}
            }
        }
    }

    fn of(core: &Core) -> Self {
        let mut sum = Self::default();
        for service in core.snapshot(s(0)).services {
            for key in &service.services {
                sum.quorums.insert(*key, service.quorum.holds);
                for server in &service.servers {
                    let found = (server.health.up, server.health.weight);
                    sum.servers.insert((*key, server.server), found);
                }
            }
        }
        sum
    }
}

fn any_config() -> impl Strategy<Value = Config> {
    let check = (0..3u8, any::<bool>(), 0..3u32).prop_map(|(kind, alpha, retry)| {
        let mut check = if kind == 0 { misc("a") } else { tcp() };
        check.common.connect_port = Some(80 + u16::from(kind));
        (check.common.alpha, check.common.retry) = (alpha, retry);
        check
    });
    let checks = proptest::collection::vec(check, 0..3);
    let real = (0..3u32, checks);
    let reals = proptest::collection::vec(real, 0..4);
    let one = (reals, 1..4u32, 0..2u32, any::<bool>());
    proptest::collection::vec(one, 0..3).prop_map(|services| {
        let services = services.into_iter().zip(1u8..).map(|(terms, last)| {
            let (reals, quorum, hysteresis, sorry) = terms;
            let servers = reals.into_iter().zip(1u8..);
            let servers = servers.map(|((weight, checks), at)| server(at, weight, checks));
            let mut service = service(servers.collect());
            service.services = vec![format!("tcp:10.0.0.{last}:80").parse().expect("a key")];
            (service.quorum, service.hysteresis) = (quorum, hysteresis);
            service.sorry_server =
                sorry.then(|| SorryServer { server: written(99, 1), inhibit: false });
            service
        });
        config(services.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is answered and reloaded: the effects add up to the state, scripts alternate, and
    /// each check asks on.
    #[test]
    fn effects_add_up(
        configs in proptest::collection::vec(any_config(), 1..4),
        answers in proptest::collection::vec(0..6u16, 150),
    ) {
        let mut core = Core::new(7);
        let mut sum = Sum::default();
        let mut now = Duration::ZERO;
        let mut answers = answers.into_iter();
        for config in configs {
            let mut effects = Vec::new();
            core.apply(config, now, &mut effects);
            sum.add(&effects);
            prop_assert_eq!(&sum, &Sum::of(&core));
            for _ in 0..40 {
                let Some(wake) = core.next_wake() else { break };
                prop_assert!(wake <= now + s(60), "a check sleeps");
                now = wake.max(now);
                let mut starts = Vec::new();
                core.due(now, &mut starts);
                for start in starts {
                    let outcome = match answers.next().unwrap_or(0) {
                        0 => Outcome::Unasked("no".into()),
                        1 | 2 => Outcome::Bad(Fault::Refused),
                        code => exit(code),
                    };
                    let mut effects = Vec::new();
                    core.done(start.probe, &outcome, s(0), now, &mut effects);
                    let ups: BTreeSet<_> = effects.iter().filter_map(turned).collect();
                    for (server, up) in &ups {
                        prop_assert!(!ups.contains(&(*server, !up)), "a flap in one step");
                    }
                    sum.add(&effects);
                    prop_assert_eq!(&sum, &Sum::of(&core));
                }
            }
        }
    }
}

fn turned(effect: &Effect) -> Option<((ServiceKey, ServerKey), bool)> {
    match effect {
        Effect::Found(Finding::Server { service, server, health: Some(h) }) => {
            Some(((*service, *server), h.up))
        }
        _ => None,
    }
}

/// A restart of the daemon: another core takes up what this one knew.
#[test]
fn what_was_known_is_known_after_a_restart() {
    let alpha = |check: Check| Check { common: Common { alpha: true, ..check.common }, ..check };
    let terms = || {
        config(vec![service(vec![
            server(1, 1, vec![tcp()]),
            server(2, 1, vec![tcp()]),
            server(3, 2, vec![alpha(misc("weigh"))]),
        ])])
    };
    let answer = |ask: &Ask| match ask.name().as_str() {
        "TCP_CHECK 10.0.1.2:80" => Outcome::Bad(Fault::Refused),
        "MISC_CHECK weigh" => Outcome::Good(Good { code: Some(7), weight: Some(Weight::Be(5)) }),
        _ => Outcome::GOOD,
    };
    let (mut before, _) = World::new(terms());
    before.step(answer);
    let verdicts = before.core.verdicts();
    assert_eq!(verdicts.iter().filter(|verdict| verdict.up).count(), 2);

    let mut after = World { core: Core::new(2), now: s(1000) };
    after.core.recall(verdicts.clone(), after.now);
    let effects = after.apply(terms());
    let expected =
        ["10.0.1.1 up", "10.0.1.2 down", "10.0.1.3 up weight 5", "quorum holds", "run quorum-up"];
    let found: Vec<&str> =
        effects.iter().map(String::as_str).filter(|e| !e.starts_with("mail")).collect();
    assert_eq!(found, expected, "as it was, before anything was asked");
    let shown = after.core.snapshot(after.now);
    let down = &shown.services[0].servers[1];
    assert_eq!(down.health.cause, "TCP_CHECK 10.0.1.2:80: connection refused");
    assert_eq!((down.since, down.checks[0].since), (s(0), s(0)), "since it went down");
    assert_eq!(after.core.verdicts(), verdicts, "and known for the next restart");

    // Its retries are those of a check that is known.
    let (_, effects) = after.step(answer);
    assert_eq!(effects, [""; 0], "nothing new");
    let effects = after.good();
    assert!(effects.contains(&"run up2".to_owned()), "{effects:?}");
}

#[test]
fn another_question_begins_anew_after_a_restart() {
    let (mut before, _) = World::new(config(vec![service(vec![server(1, 1, vec![tcp()])])]));
    before.step(|_| Outcome::Bad(Fault::Refused));
    let verdicts = before.core.verdicts();
    assert!(!verdicts[0].up);
    let alpha = Check { common: Common { alpha: true, ..tcp().common }, ..tcp() };
    let slower = Check { common: Common { delay_loop: s(60), ..tcp().common }, ..tcp() };
    for (server, expected, why) in [
        (server(1, 1, vec![tcp()]), "10.0.1.1 down", "the same"),
        (server(1, 1, vec![slower]), "10.0.1.1 down", "asked less often, as at a reload"),
        (server(2, 1, vec![tcp()]), "10.0.1.2 up", "another address"),
        (server(1, 1, vec![misc("ask")]), "10.0.1.1 up", "another check"),
        (server(2, 1, vec![alpha]), "10.0.1.2 down", "another address, with alpha"),
    ] {
        let mut after = World { core: Core::new(2), now: s(1000) };
        after.core.recall(verdicts.clone(), after.now);
        assert_eq!(after.apply(config(Vec::new())), [""; 0], "no checks yet");
        let effects = after.apply(config(vec![service(vec![server])]));
        assert_eq!(effects[0], expected, "{why}");
    }
    // What comes later is new: nobody looked at it meanwhile.
    let mut after = World { core: Core::new(2), now: s(1000) };
    after.core.recall(verdicts, after.now);
    after.apply(config(vec![service(vec![server(3, 1, vec![tcp()])])]));
    let later = vec![server(1, 1, vec![tcp()]), server(3, 1, vec![tcp()])];
    let effects = after.apply(config(vec![service(later)]));
    assert!(effects.contains(&"10.0.1.1 up".to_owned()), "{effects:?}");
}

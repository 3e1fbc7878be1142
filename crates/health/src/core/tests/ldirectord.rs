//! Mails, maintenance and monitor files as ldirectord has them.

use xlvs_model::health::{Alert as Own, ServiceCheck, Talks};

use super::*;
use crate::Alerts;

fn all(alerts: Alerts, virtual_servers: Vec<VirtualServer>) -> Config {
    Config { alerts: Some(alerts), ..config(virtual_servers) }
}

/// Of mails alone.
fn mails(told: &[String]) -> Vec<&str> {
    let of = |line: &&String| line.starts_with("mail [lb] Realserver");
    told.iter().filter(of).map(|line| line.split(": =>").next().unwrap_or_default()).collect()
}

impl World {
    fn hold(&mut self, held: &[&str]) -> Vec<String> {
        let mut effects = Vec::new();
        let held = held.iter().map(|key| (key.parse().expect("a key"), "because".to_owned()));
        self.core.hold(held.collect(), self.now, &mut effects);
        short(&effects)
    }

    fn remind(&mut self) -> Vec<String> {
        let mut effects = Vec::new();
        self.core.remind(self.now, &mut effects);
        short(&effects)
    }
}

#[test]
fn a_server_in_maintenance_is_down_whatever_its_check_says() {
    let servers = || vec![server(1, 3, vec![tcp()]), server(2, 1, vec![])];
    let (mut world, _) = World::new(config(vec![service(servers())]));
    world.good();
    let told = world.hold(&["10.0.1.1:80", "10.0.1.2:80", "10.0.1.9:80"]);
    let expected = [
        "10.0.1.1 down",
        "run down1",
        "mail [lb] Realserver 10.0.1.1:80 of virtual server 10.0.0.1 80 - DOWN: => because <=",
        "10.0.1.2 down",
        "run down2",
        "quorum fails",
        "run quorum-down",
    ];
    assert_eq!(told[..7], expected, "as if the checks had failed: {told:?}");
    assert_eq!(world.good(), Vec::<String>::new(), "it is asked all the same");
    let cause = |world: &World| {
        let view = world.core.snapshot(world.now);
        view.services[0].servers[0].health.cause.clone()
    };
    assert_eq!(cause(&world), "because");
    let told = world.hold(&["10.0.1.1:80"]);
    assert!(told.starts_with(&["10.0.1.2 up".to_owned(), "run up2".to_owned()]), "{told:?}");
    // It is rebooted, and is not well when its maintenance ends.
    assert_eq!(mails(&world.bad(&["1.1"])), Vec::<&str>::new(), "nobody is told of what is known");
    assert_eq!(world.hold(&[]), ["10.0.1.1 down"], "by another cause now");
    assert!(cause(&world).contains("refused"), "{}", cause(&world));
    let told = world.good();
    assert_eq!(told[..2], ["10.0.1.1 up", "run up1"]);
    // A file that is taken up finds it in maintenance from the start.
    world.hold(&["10.0.1.3:80"]);
    let mut more = servers();
    more.push(server(3, 1, vec![]));
    let told = world.apply(config(vec![service(more)]));
    assert_eq!(told, ["10.0.1.3 down"]);
}

#[test]
fn mails_come_again_while_a_server_is_down() {
    let of = |repeat: Option<u64>| {
        let alert = repeat.map(|n| Own { repeat: Some(s(n)), ..Own::default() });
        VirtualServer { alert, ..service(vec![server(1, 1, vec![tcp()])]) }
    };
    for (general, own, expected, why) in [
        (Some(25), None, vec![25, 50, 75], "every 25 seconds"),
        (Some(25), Some(40), vec![40, 80], "a service may say otherwise"),
        (Some(25), Some(0), vec![], "and 0 is never"),
        (None, None, vec![], "nobody asked for it"),
    ] {
        let alerts = Alerts { repeat: general.map(s), during: None };
        let (mut world, _) = World::new(all(alerts, vec![of(own)]));
        world.good();
        world.bad(&["1.1"]);
        let (began, mut came) = (world.now, Vec::new());
        while world.now < began + s(80) {
            world.now = world.core.next_wake().expect("a question");
            if !world.remind().is_empty() {
                came.push(world.now.saturating_sub(began).as_secs());
            }
            let mut starts = Vec::new();
            world.core.due(world.now, &mut starts);
            for start in starts {
                let outcome = Outcome::Bad(Fault::Refused);
                world.core.done(start.probe, &outcome, s(0), world.now, &mut Vec::new());
            }
        }
        assert_eq!(came, expected, "{why}");
        world.good();
        world.now += s(1000);
        assert_eq!(world.remind(), Vec::<String>::new(), "it is up: {why}");
    }
}

#[test]
fn mails_are_for_the_phases_that_are_asked_for() {
    for (during, expected, why) in [
        (None, vec!["starting", "running", "reloading"], "all"),
        (Some(""), vec![], "none"),
        (Some("running"), vec!["running"], "one"),
        (Some("starting reloading"), vec!["starting", "reloading"], "two"),
    ] {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let alerts = Alerts { repeat: None, during: during.map(words) };
        let mut alpha = tcp();
        alpha.common.alpha = true;
        let terms = |count: u8| {
            let servers = (1..=count).map(|n| server(n, 1, vec![alpha.clone()])).collect();
            all(alerts.clone(), vec![service(servers)])
        };
        let (mut world, _) = World::new(terms(1));
        let mut came = Vec::new();
        let mut heard = |phase, told: Vec<String>| {
            if !mails(&told).is_empty() {
                came.push(phase);
            }
        };
        heard("starting", world.good());
        heard("running", world.bad(&["1.1"]));
        world.good();
        world.apply(terms(2));
        heard("reloading", world.good());
        assert_eq!(came, expected, "{why}");
    }
}

#[test]
fn mails_of_a_service_go_to_its_own() {
    let own = Own {
        to: vec!["b@example.com".into()],
        server: Some("mail2".into()),
        from: Some("c@example.com".into()),
        ..Own::default()
    };
    let of = VirtualServer {
        alert: Some(own),
        snmp_name: Some("Shop".into()),
        comment: Some("ring Bob".into()),
        ..service(vec![server(1, 1, vec![tcp()])])
    };
    let (mut world, _) = World::new(all(Alerts::default(), vec![of]));
    world.good();
    let mut effects = Vec::new();
    world.core.hold(
        [("10.0.1.1:80".parse().expect("a key"), "x".into())].into(),
        s(1),
        &mut effects,
    );
    let mail = effects.iter().find_map(|effect| match effect {
        Effect::Alert(alert) if alert.subject.contains("Realserver") => Some(alert.clone()),
        _ => None,
    });
    let mail = mail.expect("a mail");
    assert_eq!(mail.body, "=> x <=\nDaemon-Status: running\nService name: Shop\nComment: ring Bob");
    assert_eq!(
        (mail.to, mail.from, mail.host),
        (
            vec!["b@example.com".to_owned()],
            Some("c@example.com".to_owned()),
            Some("mail2".to_owned())
        )
    );
}

#[test]
fn each_answer_is_a_line_of_the_monitor_file() {
    let check = ServiceCheck {
        service: Talks::Http,
        request: "/index.html".into(),
        virtualhost: Some("www.example".into()),
        ..ServiceCheck::default()
    };
    let mut check = Check { kind: Kind::Service(check), ..tcp() };
    check.common.connect_port = Some(8080);
    let of = VirtualServer {
        monitor_file: Some("/m".into()),
        ..service(vec![server(1, 3, vec![check])])
    };
    let (mut world, _) = World::new(config(vec![of]));
    let name = "/m: negotiate http tcp 10.0.1.1 80 www.example 8080 3 gate /index.html  ";
    let code = Outcome::Good(Good { code: Some(200), weight: None });
    let fault = Outcome::Bad(Fault::Answered { what: "50%|\n".into(), code: None });
    for (outcome, expected) in [
        (code.clone(), Some("[up] 200")),
        (Outcome::GOOD, Some("[up] -")),
        (fault, Some("[down] answered 50%25%7c%0a")),
        (Outcome::Unasked("no room".into()), None),
    ] {
        let told = world.step(|_| outcome.clone()).1;
        let line = told.iter().find(|line| line.starts_with("/m"));
        assert_eq!(line.cloned(), expected.map(|end| format!("{name}{end}")));
    }
    world.hold(&["10.0.1.1:80"]);
    let told = world.step(|_| code.clone()).1;
    assert_eq!(told, [format!("{name}[down] Server in maintenance")]);
}

//! What is in force beside what is written, drains, and what is told of them.

use xlvs_api::{Event, Face, ServerFilter};
use xlvs_model::{Action, Finding, Health, OnDeadline, Override, Quorum, Server, ServerKey, State};

use super::*;

const TWO: &str = "10.0.1.2:8080";
const SORRY: &str = "10.0.9.9:8080";

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench
        .engine
        .change(&[add_service(80), add_server(80, ONE), add_server(80, TWO), add_service(81)])
        .unwrap();
    bench.servers.try_recv().unwrap();
    bench
}

fn key(server: &str) -> ServerKey {
    server.parse().unwrap()
}

fn found(server: &str, up: bool, weight: Option<u32>) -> Finding {
    let cause = if up { "exit 50" } else { "refused" }.to_owned();
    let health = Some(Health { up, inhibit: false, weight, cause });
    Finding::Server { service: service(80), server: key(server), health }
}

fn quorum(holds: bool) -> Finding {
    let sorry = Some(Server::new(key(SORRY), Method::Masq, 1));
    let quorum = Some(Quorum { holds, sorry, inhibit: false, cause: "1 of 2 is up".into() });
    Finding::Service { service: service(80), quorum }
}

fn drain(server: &str, deadline: Option<u64>, on_deadline: OnDeadline) -> Change {
    let action = Action::Drain { deadline, on_deadline, over: false };
    let value = Override { action, owner: String::new(), reason: "disks".into(), since: 0 };
    Change::SetOverride { service: service(80), server: key(server), value }
}

fn clear(server: &str) -> Change {
    Change::ClearOverride { service: service(80), server: key(server) }
}

fn ada() -> Actor {
    Actor { face: Face::Xlvs, uid: Some(7), user: Some("ada".into()), ..Actor::default() }
}

impl Bench {
    /// What the tables were told last, as `ADDRESS*WEIGHT`.
    fn in_force(&self) -> String {
        let told = self.fake.told();
        let servers = &told.applied.last().unwrap().service(&service(80)).unwrap().servers;
        let each: Vec<_> =
            servers.iter().map(|server| format!("{}*{}", server.key.ip(), server.weight)).collect();
        each.join(" ")
    }

    fn events(&self) -> Vec<String> {
        let one = |event: &std::sync::Arc<Event>| {
            let Event { kind, by, server, message, .. } = &**event;
            let server = server.map(|server| format!("{server}: ")).unwrap_or_default();
            let by = by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
            format!("{} {server}{message}{by}", kind.name())
        };
        self.engine.events(0, usize::MAX).iter().map(one).collect()
    }

    /// A second later, which is this one of Unix time.
    fn later(&mut self, now_s: u64) {
        let start = self.engine.next_try;
        self.engine.tend_drains_at(start + Duration::from_secs(now_s), now_s);
    }
}

#[test]
fn checks_change_what_is_in_force_and_nothing_that_is_written() {
    let mut bench = bench();
    let before = bench.saved();
    for (findings, expected, why) in [
        (vec![found(ONE, false, None)], "10.0.1.2*1", "down"),
        (vec![found(ONE, false, None)], "10.0.1.2*1", "no news"),
        (vec![found(ONE, true, Some(50))], "10.0.1.2*1 10.0.1.1*50", "back, with a weight"),
        (vec![quorum(false)], "10.0.9.9*1", "the sorry server"),
        (vec![quorum(true), found(ONE, true, None)], "10.0.1.2*1 10.0.1.1*1", "all is well"),
    ] {
        let applied = bench.applied();
        let touched = findings != [found(ONE, false, None)] || why == "down";
        bench.engine.find(findings);
        assert_eq!(bench.in_force(), expected, "{why}");
        assert_eq!(
            bench.applied() - applied,
            usize::from(touched),
            "{why}: one write of the tables"
        );
    }
    assert_eq!(bench.saved(), before);
    assert_eq!(bench.fake.told().touched.last().unwrap(), &Some([service(80)].into()));
    let events = bench.events();
    let of_checks: Vec<_> = events.iter().filter(|event| event.starts_with("check")).collect();
    assert_eq!(
        of_checks,
        [
            "check 10.0.1.1:8080: down: refused",
            "check 10.0.1.1:8080: up: exit 50",
            "check quorum lost: 1 of 2 is up; 10.0.9.9:8080 stands in",
            "check 10.0.1.2:8080: relieved: 1 of 2 is up",
            "check 10.0.1.1:8080: relieved: 1 of 2 is up",
            "check quorum regained: 1 of 2 is up",
            "check 10.0.1.2:8080: up",
            "check 10.0.1.1:8080: up: exit 50",
            "check 10.0.1.1:8080: weight 50 -> 1",
        ]
    );
}

#[test]
fn a_sorry_server_is_looked_for_before_it_is_wanted() {
    let mut bench = bench();
    let address: Ipv4Addr = "10.0.9.9".parse().unwrap();
    bench.engine.find(vec![quorum(true)]);
    assert_eq!(bench.servers.try_recv().unwrap().added, [address]);
    let listed = |bench: &mut Bench| {
        let services = bench.engine.services(Some(&service(80)), false).unwrap();
        let servers = services[0].servers.iter();
        servers.map(|s| format!("{}:{}", s.address.ip(), s.state().name())).collect::<Vec<_>>()
    };
    let expected = ["10.0.9.9:standby", "10.0.1.2:up", "10.0.1.1:up"];
    assert_eq!(listed(&mut bench), expected, "it is shown");
    bench.engine.find(vec![quorum(false)]);
    assert_eq!(listed(&mut bench), ["10.0.9.9:sorry", "10.0.1.2:relieved", "10.0.1.1:relieved"]);
    assert!(bench.servers.try_recv().is_err(), "it was looked for");
    bench.engine.change(&[Change::DeleteService { service: service(80) }]).unwrap();
    assert!(bench.servers.try_recv().unwrap().gone.contains(&address), "nobody waits for it");
}

#[test]
fn what_checks_found_is_tried_again_where_the_tables_fail() {
    let mut bench = bench();
    bench.fake.told().failing = Some("a table is gone".into());
    bench.engine.find(vec![found(ONE, false, None)]);
    let troubles = bench.engine.troubles.clone();
    let expected = "what checks found is not in force: the data plane failed: a table is gone";
    assert_eq!(troubles.get(&Work::Health).map(String::as_str), Some(expected));
    bench.fake.told().failing = None;
    bench.engine.next_catch_up = Instant::now();
    bench.engine.tick();
    assert_eq!(bench.in_force(), "10.0.1.2*1");
    assert!(!bench.engine.troubles.contains_key(&Work::Health));
}

#[test]
fn a_refused_change_leaves_what_is_in_force() {
    let mut bench = bench();
    bench.engine.find(vec![found(ONE, false, None)]);
    bench.fake.told().room = Some(1);
    let delete_and_more = [add_server(80, "10.0.1.3:8080")];
    let outcome = bench.engine.change(&delete_and_more).unwrap();
    assert_eq!(outcome.faults, [Some(Fault::TablesFull)]);
    bench.fake.told().room = None;
    bench.engine.change(&[add_service(82)]).unwrap();
    assert_eq!(bench.in_force(), "10.0.1.2*1", "and ONE is still known to be down");
}

#[test]
fn a_drain_is_whose_it_is_and_outlives_checks_and_restarts() {
    let mut bench = bench();
    bench.engine.change_by(&ada(), &[drain(ONE, None, OnDeadline::Keep)]).unwrap();
    assert_eq!(bench.in_force(), "10.0.1.2*1 10.0.1.1*0");
    bench.engine.find(vec![found(ONE, false, None)]);
    bench.engine.find(vec![found(ONE, true, Some(9))]);
    assert_eq!(bench.in_force(), "10.0.1.2*1 10.0.1.1*0", "checks do not end it");
    let edited = Server::new(key(ONE), Method::Masq, 5);
    bench.engine.change(&[Change::EditServer { service: service(80), server: edited }]).unwrap();
    assert_eq!(bench.in_force(), "10.0.1.2*1 10.0.1.1*0", "nor does an edit");
    let saved = bench.saved();
    let value = saved.overrides.get(&service(80), &key(ONE)).unwrap();
    assert_eq!((value.owner.as_str(), value.reason.as_str()), ("ada", "disks"));
    assert!(value.since > 1_700_000_000, "{value:?}");
    assert_eq!(saved.service(&service(80)).unwrap().server(&key(ONE)).unwrap().weight, 5);

    let fake = Fake::default();
    let (publish, _servers) = mpsc::unbounded_channel();
    let (wish, _wishes) = mpsc::channel(4);
    Engine::start(Box::new(fake.clone()), saved, Vec::new(), None, publish, wish).unwrap();
    let applied = fake.told().applied[0].clone();
    let weight = applied.service(&service(80)).unwrap().server(&key(ONE)).unwrap().weight;
    assert_eq!(weight, 0, "a new daemon goes on with it");

    bench.engine.change_by(&ada(), &[clear(ONE)]).unwrap();
    assert_eq!(bench.in_force(), "10.0.1.2*1 10.0.1.1*9", "taken back: what checks say counts");
    let again = bench.engine.change_by(&ada(), &[clear(ONE)]).unwrap();
    assert_eq!(again.faults, [Some(Fault::NoSuchOverride)]);
}

#[test]
fn a_deadline_ends_a_drain_once() {
    for (on_deadline, expected, state, rest) in [
        (OnDeadline::Reset, "10.0.1.2*1", State::Drained, "reset"),
        (OnDeadline::Keep, "10.0.1.2*1 10.0.1.1*0", State::Draining, "kept"),
    ] {
        let mut bench = bench();
        bench.fake.told().active.insert(key(ONE), 12);
        bench.engine.change_by(&ada(), &[drain(ONE, Some(100), on_deadline)]).unwrap();
        for (now_s, left) in [(50, 12), (60, 8), (70, 6), (99, 5)] {
            bench.fake.told().active.insert(key(ONE), left);
            bench.later(now_s);
            assert_eq!(bench.in_force(), "10.0.1.2*1 10.0.1.1*0", "{now_s}");
        }
        let filter = ServerFilter { address: Some(key(ONE).ip()), ..ServerFilter::default() };
        let [detail] = &bench.engine.servers(&filter).unwrap()[..] else { panic!("one server") };
        let view = detail.server.drain.unwrap();
        assert_eq!((view.began_with, view.left, view.over), (12, 5, false));
        assert_eq!(detail.server.person.as_ref().unwrap().owner, "ada");
        assert_eq!(detail.events.len(), 2, "added and drained: {:?}", detail.events);
        let writes = bench.applied();
        bench.later(100);
        bench.later(101);
        bench.later(160);
        assert_eq!(bench.applied() - writes, 1, "once");
        assert_eq!(bench.in_force(), expected);
        let [detail] = &bench.engine.servers(&filter).unwrap()[..] else { panic!("one server") };
        assert_eq!(detail.server.state(), state);
        assert_eq!(detail.server.drain.unwrap().left, 5, "counted all the same");
        let told = format!(
            "override 10.0.1.1:8080: drained by ada: disks: its deadline is reached, the rest of \
             its connections is {rest} (director)"
        );
        assert_eq!(bench.events().last(), Some(&told));
        bench.engine.change(&[clear(ONE)]).unwrap();
        assert_eq!(bench.in_force(), "10.0.1.2*1 10.0.1.1*1", "back as it was");
    }
}

#[test]
fn the_end_of_a_drain_is_told_once() {
    let mut bench = bench();
    bench.fake.told().active.insert(key(ONE), 2);
    bench.engine.change(&[drain(ONE, None, OnDeadline::Keep)]).unwrap();
    for (now_s, left) in [(10, 2), (11, 1), (12, 0), (13, 0), (14, 0)] {
        bench.fake.told().active.insert(key(ONE), left);
        bench.later(now_s);
    }
    let events = bench.events();
    let ends: Vec<_> = events.iter().filter(|event| event.starts_with("drain")).collect();
    let expected = "drain 10.0.1.1:8080: drained: the last of 2 connections ended after 12 s";
    assert_eq!(ends, [expected]);
}

#[test]
fn who_changed_what_is_told() {
    let mut bench = bench();
    let ipvsadm = Actor { face: Face::Ipvsadm, uid: Some(0), pid: Some(9), ..Actor::default() };
    bench.engine.change_by(&ipvsadm, &[delete_server(80, TWO), add_service(80)]).unwrap();
    let many: Vec<Change> = (1000..1040).map(add_service).collect();
    bench.engine.change_by(&ada(), &many).unwrap();
    bench.engine.find(vec![found("10.0.7.7:80", false, None)]);
    let events = bench.events();
    assert!(events[0].starts_with("director started, version "), "{events:?}");
    assert_eq!(
        events[events.len() - 2..],
        [
            "change 10.0.1.2:8080: deleted (ipvsadm, user 0, pid 9)",
            "change services added: 40 (xlvs, ada)"
        ],
        "refused changes are not told, many are told as one"
    );
    bench.fake.told().packets.insert("no_neighbour".into(), 7);
    let now = Instant::now();
    bench.engine.watch_drops_at(now);
    bench.fake.told().packets.insert("no_neighbour".into(), 9);
    bench.engine.watch_drops_at(now + Duration::from_secs(5));
    let events = bench.events();
    assert_eq!(events.last().unwrap(), "drop no_neighbour: 2 packets are dropped");
}

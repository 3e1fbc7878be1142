#![expect(clippy::unwrap_used, reason = "tests")]

mod effect;
mod marks;
mod rates;

use std::fs;

use xlvs_dataplane::{Baselines, ServiceBase};
use xlvs_model::{Method, Scheduler, Server, SyncDaemon, SyncRole};

use super::*;
use crate::{
    args::XdpMode,
    hops::{Resolved, Unresolved},
    plane::{Hop, Interface, fake::Fake},
    store::VERSION,
};

fn service(n: u16) -> ServiceKey {
    format!("tcp:10.0.0.1:{n}").parse().unwrap()
}

fn add_service(n: u16) -> Change {
    Change::AddService { service: service(n), terms: Scheduler::Wlc.into() }
}

fn add_server(n: u16, server: &str) -> Change {
    let server = Server::new(server.parse().unwrap(), Method::Masq, 1);
    Change::AddServer { service: service(n), server }
}

fn delete_server(n: u16, server: &str) -> Change {
    Change::DeleteServer { service: service(n), server: server.parse().unwrap() }
}

const ONE: &str = "10.0.1.1:8080";

struct Bench {
    fake: Fake,
    engine: Engine,
    servers: mpsc::UnboundedReceiver<Shift>,
    wishes: mpsc::Receiver<Wish>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        let rest = Saved {
            version: VERSION,
            interfaces: vec!["eth0".into()],
            xdp_mode: XdpMode::Auto,
            connections: 16,
            boot: None,
            journal: 0,
            counters: Baselines::default(),
            model: Model::default(),
            hands: Hands::default(),
        };
        let saving = Some(Saving { store: Store::new(dir.path(), "default"), rest });
        let (publish, servers) = mpsc::unbounded_channel();
        let (wish, wishes) = mpsc::channel(4);
        let plane = Box::new(fake.clone());
        let interfaces = vec!["eth0".into()];
        let engine =
            Engine::start(plane, Model::default(), interfaces, saving, publish, wish).unwrap();
        Self { fake, engine, servers, wishes, dir }
    }

    fn saved(&self) -> Model {
        Store::new(self.dir.path(), "default").load().unwrap().unwrap().model
    }

    fn applied(&self) -> usize {
        self.fake.told().applied.len()
    }
}

#[test]
fn changes_reach_the_plane_the_disk_and_the_watcher() {
    let mut bench = Bench::new();
    let changes = [add_service(80), add_server(80, "10.0.1.1:8080"), add_service(80)];
    let outcome = bench.engine.change(&changes).unwrap();
    assert_eq!(outcome.faults, [None, None, Some(Fault::ServiceExists)]);
    assert_eq!(outcome.not_saved, None);
    let told = bench.fake.told();
    assert_eq!(told.applied.last().unwrap().services[0].servers.len(), 1);
    assert_eq!(bench.saved(), *told.applied.last().unwrap());
    drop(told);
    let wanted = bench.servers.try_recv().unwrap();
    assert_eq!(wanted, Shift { added: vec![Ipv4Addr::new(10, 0, 1, 1)], gone: Vec::new() });
    let same_address = [add_service(81), add_server(81, "10.0.1.1:8080"), delete_server(80, ONE)];
    bench.engine.change(&same_address).unwrap();
    assert!(bench.servers.try_recv().is_err(), "nothing new to look for");
}

#[test]
fn changes_that_may_go_together_do() {
    let mut bench = Bench::new();
    let before = bench.applied();
    bench.engine.change(&[add_service(80), add_service(81), add_service(82)]).unwrap();
    assert_eq!(bench.applied() - before, 1, "a restored file is one change of the tables");
    bench.engine.change(&[add_service(80)]).unwrap();
    assert_eq!(bench.applied() - before, 1, "a refused change touches nothing");
}

#[test]
fn an_edit_that_changes_nothing_is_told_all_the_same() {
    let mut bench = Bench::new();
    let add = add_server(80, ONE);
    let Change::AddServer { service, server } = add.clone() else { panic!("{add:?}") };
    bench.engine.change(&[add_service(80), add_service(81), add]).unwrap();
    assert!(bench.fake.told().edited.is_empty(), "an added one is none");
    let outcome = bench.engine.change(&[Change::EditServer { service, server }]).unwrap();
    assert_eq!(outcome.faults, [None]);
    let told = bench.fake.told();
    assert_eq!(told.edited, [service].into(), "wrr begins its walk anew");
    assert_eq!(told.touched.last(), Some(&Some([service].into())));
}

#[test]
fn the_plane_is_told_what_differs() {
    let mut bench = Bench::new();
    bench.engine.change(&[add_service(80), add_service(81), add_service(82)]).unwrap();
    bench.engine.change(&[add_server(81, ONE), add_service(80)]).unwrap();
    bench.engine.change(&[Change::Clear]).unwrap();
    let told = bench.fake.told();
    let touched: Vec<Option<Vec<u16>>> = told
        .touched
        .iter()
        .map(|t| t.as_ref().map(|t| t.iter().map(ServiceKey::port).collect()))
        .collect();
    let expected = [None, Some(vec![80, 81, 82]), Some(vec![81]), Some(vec![80, 81, 82])];
    assert_eq!(touched, expected);
}

#[test]
fn servers_in_slow_start_are_seen_to_once_a_second() {
    let mut bench = Bench::new();
    bench.engine.change(&[add_service(80), add_service(81), add_server(81, ONE)]).unwrap();
    let later = |bench: &mut Bench| {
        bench.engine.next_ramp = Instant::now();
        bench.engine.tick();
    };
    let before = bench.applied();
    later(&mut bench);
    assert_eq!(bench.applied(), before, "nobody ramps");
    bench.fake.told().ramping = [service(81)].into();
    bench.fake.told().share = Some(16);
    later(&mut bench);
    bench.engine.tick();
    assert_eq!(bench.applied(), before + 1, "not more than once a second");
    assert_eq!(bench.fake.told().touched.last().unwrap(), &Some([service(81)].into()));
    let server = &bench.engine.services(None, false).unwrap()[1].servers[0];
    let shown = server.effective_weight.map(|weight| weight.to_string());
    assert_eq!((server.weight, shown), (1, Some("0.25".into())), "both are shown");
    assert_eq!(bench.saved().services[1].servers[0].weight, 1, "and the written one is kept");
    bench.fake.told().failing = Some("a table is gone".into());
    later(&mut bench);
    bench.fake.told().failing = None;
    let troubles = bench.engine.survey().unwrap().troubles;
    assert!(
        troubles.contains(&"servers in slow start stay as they are: a table is gone".into()),
        "{troubles:?}"
    );
    later(&mut bench);
    assert_eq!(bench.engine.survey().unwrap().troubles, [""; 0], "tried again");
}

#[test]
fn a_change_is_a_line_and_not_the_whole_state() {
    let mut bench = Bench::new();
    let file = bench.dir.path().join("default/state.json");
    let before = fs::read(&file).unwrap();
    bench.engine.change(&[add_service(80), add_service(80), add_server(80, ONE)]).unwrap();
    bench.engine.change(&[delete_server(80, ONE)]).unwrap();
    assert_eq!(fs::read(&file).unwrap(), before);
    let journal = fs::read_to_string(bench.dir.path().join("default/journal.1")).unwrap();
    assert_eq!(journal.lines().count(), 2);
    assert_eq!(bench.saved(), *bench.fake.told().applied.last().unwrap());
}

#[test]
fn what_is_deleted_and_added_again_is_new_to_the_plane() {
    let mut bench = Bench::new();
    bench.engine.change(&[add_service(80), add_server(80, "10.0.1.1:80")]).unwrap();
    let before = bench.applied();
    let again = [delete_server(80, "10.0.1.1:80"), add_server(80, "10.0.1.1:80")];
    bench.engine.change(&again).unwrap();
    let told = bench.fake.told();
    let lengths: Vec<_> =
        told.applied[before..].iter().map(|m| m.services[0].servers.len()).collect();
    assert_eq!(lengths, [0, 1]);
}

#[test]
fn batches_end_before_an_addition_after_a_deletion() {
    let a = || add_service(80);
    let d = || Change::DeleteService { service: service(80) };
    for (changes, expected) in [
        (vec![a(), a(), a()], 3),
        (vec![d(), d()], 2),
        (vec![a(), d(), a()], 2),
        (vec![Change::Clear, a()], 1),
        (vec![d(), add_server(80, "10.0.1.1:80")], 1),
        (vec![d(), Change::SetTimeouts { timeouts: Timeouts::default() }, a()], 2),
    ] {
        assert_eq!(batch_length(&changes), expected, "{changes:?}");
    }
}

#[test]
fn the_change_that_does_not_fit_is_the_one_refused() {
    let mut bench = Bench::new();
    bench.fake.told().room = Some(3);
    let mut changes = vec![add_service(80)];
    changes.extend((1..=5).map(|n| add_server(80, &format!("10.0.1.{n}:80"))));
    changes.push(Change::EditService { service: service(80), terms: Scheduler::Rr.into() });
    let faults = bench.engine.change(&changes).unwrap().faults;
    let full = Some(Fault::TablesFull);
    assert_eq!(faults, [None, None, None, None, full, full, None]);
    let told = bench.fake.told();
    assert_eq!(told.applied.last().unwrap().services[0].servers.len(), 3);
    assert_eq!(told.applied.last().unwrap().services[0].terms.scheduler, Scheduler::Rr);
    assert_eq!(bench.saved(), *told.applied.last().unwrap());
}

#[test]
fn a_failing_plane_changes_nothing() {
    let mut bench = Bench::new();
    bench.engine.change(&[add_service(80)]).unwrap();
    bench.fake.told().failing = Some("bpf: EPERM".into());
    let error = bench.engine.change(&[add_service(81)]).unwrap_err().to_string();
    assert_eq!(error, "the data plane failed: bpf: EPERM");
    bench.fake.told().failing = None;
    assert_eq!(bench.engine.services(None, false).unwrap().len(), 1);
    assert_eq!(bench.saved().services.len(), 1);
}

#[test]
fn what_cannot_be_saved_is_in_force_and_said_and_saved_later() {
    let mut bench = Bench::new();
    // Folders where the journal and the next state file should go.
    let [file, journal] = ["default/state.json.new", "default/journal.1"];
    let [file, journal] = [file, journal].map(|name| bench.dir.path().join(name));
    fs::create_dir(&file).unwrap();
    fs::create_dir(&journal).unwrap();
    let outcome = bench.engine.change(&[add_service(80)]).unwrap();
    let why = outcome.not_saved.unwrap();
    assert!(why.contains("state.json") && why.contains("old state is kept"), "{why}");
    assert_eq!(bench.engine.services(None, false).unwrap().len(), 1, "in force");
    assert_eq!(bench.engine.survey().unwrap().not_saved, Some(why));
    fs::remove_dir(&journal).unwrap();
    assert_eq!(bench.saved().services.len(), 0, "the old file is whole");

    fs::remove_dir(&file).unwrap();
    bench.engine.tick();
    assert_eq!(bench.saved().services.len(), 1);
    assert_eq!(bench.engine.survey().unwrap().not_saved, None);
}

#[test]
fn zero_wants_a_service_that_is_there() {
    let mut bench = Bench::new();
    bench.engine.change(&[add_service(80)]).unwrap();
    bench.engine.zero(None).unwrap();
    bench.engine.zero(Some(&service(80))).unwrap();
    let error = bench.engine.zero(Some(&service(81))).unwrap_err();
    assert!(matches!(error, EngineError::NoSuch(Fault::NoSuchService)));
    assert_eq!(bench.fake.told().zeroed, [None, Some(service(80))]);
}

fn sight(hop: Hop, why: Option<Unresolved>) -> Sight {
    let mut sight = Sight::default();
    let eth0 = Interface { ifindex: 4, name: "eth0".into(), mac: [2; 6], mtu: 1500 };
    sight.host.interfaces.insert(4, eth0);
    let resolved = Resolved { hop, interface: Some("eth0".into()), why, ask: None };
    sight.servers.insert(Ipv4Addr::new(10, 0, 1, 1), resolved);
    sight
}

fn neighbour() -> Hop {
    let source = Ipv4Addr::new(10, 0, 1, 254);
    Hop::Neighbour { ifindex: 4, dmac: [2, 0, 0, 0, 0, 9], smac: [2; 6], mtu: 1500, source }
}

#[test]
fn a_hop_that_could_not_be_programmed_stays_due() {
    let mut bench = Bench::new();
    let server = Ipv4Addr::new(10, 0, 1, 1);
    bench.fake.told().failing = Some("bpf: EIO".into());
    bench.engine.look_around(sight(neighbour(), None), true);
    bench.fake.told().failing = None;
    // The next look has nothing new to tell.
    let quiet = Sight { host: sight(neighbour(), None).host, ..Sight::default() };
    bench.engine.look_around(quiet, false);
    let told = bench.fake.told();
    assert_eq!(told.hops[&server], neighbour());
    assert_eq!((told.interfaces.len(), told.bumps), (1, 1));
}

#[test]
fn a_server_is_waited_for_until_its_hop_is_known() {
    let mut bench = Bench::new();
    let servers = BTreeSet::from([Ipv4Addr::new(10, 0, 1, 1), Ipv4Addr::new(10, 0, 1, 9)]);
    let open = |bench: &Bench| bench.engine.unsettled(servers.clone()).len();
    assert_eq!(open(&bench), 0, "they are no servers");
    bench.engine.change(&[add_service(80), add_server(80, ONE)]).unwrap();
    assert_eq!(open(&bench), 1, "nobody looked yet");
    bench.engine.look_around(sight(neighbour(), None), false);
    assert_eq!(open(&bench), 0);
    bench.engine.change(&[delete_server(80, ONE)]).unwrap();
    bench.engine.change(&[add_server(80, ONE)]).unwrap();
    assert_eq!(open(&bench), 1, "it was not watched meanwhile");
}

#[test]
fn kept_clients_are_counted_when_asked_for() {
    let mut bench = Bench::new();
    bench.engine.change(&[add_service(80), add_server(80, ONE)]).unwrap();
    bench.fake.told().persistent = [((service(80), ONE.parse().unwrap()), 7)].into();
    for (asked, counted) in [(false, 0), (true, 7)] {
        let services = bench.engine.services(None, asked).unwrap();
        assert_eq!(services[0].servers[0].persistent, counted);
        assert_eq!(bench.fake.told().walks, usize::from(asked), "nobody else walks the table");
    }
}

#[test]
fn next_hops_are_programmed_and_shown() {
    let mut bench = Bench::new();
    bench.engine.change(&[add_service(80), add_server(80, "10.0.1.1:8080")]).unwrap();
    let view = |bench: &mut Bench| {
        let services = bench.engine.services(None, false).unwrap();
        serde_json::to_string(&services[0].servers[0].next_hop).unwrap()
    };
    let server = Ipv4Addr::new(10, 0, 1, 1);
    assert!(view(&mut bench).contains("not looked for yet"));

    bench.engine.look_around(sight(neighbour(), None), false);
    assert_eq!(bench.fake.told().hops[&server], neighbour());
    assert_eq!(bench.fake.told().interfaces.len(), 1);
    assert_eq!(
        view(&mut bench),
        r#"{"kind":"neighbour","interface":"eth0","mac":"02:00:00:00:00:09","mtu":1500}"#
    );

    let asking = Unresolved::Asking(server, "eth0".into());
    bench.engine.look_around(sight(Hop::Unknown, Some(asking)), false);
    assert_eq!(bench.fake.told().hops[&server], neighbour(), "the last answer is the best guess");

    let silent = Unresolved::Silent(server, "eth0".into());
    bench.engine.look_around(sight(Hop::Unknown, Some(silent)), false);
    assert_eq!(bench.fake.told().hops[&server], Hop::Unknown);
    assert!(view(&mut bench).contains("neighbour 10.0.1.1 on eth0 does not answer"));
}

#[test]
fn a_sync_daemon_looks_its_interface_up() {
    let mut bench = Bench::new();
    let start =
        |role, name: &str| Change::StartDaemon { daemon: SyncDaemon::new(role, name.to_owned()) };
    let before = bench.engine.change(&[start(SyncRole::Master, "eth0")]).unwrap();
    assert_eq!(before.faults, [Some(Fault::NoSuchDevice)], "the host was not looked at yet");

    let mut seen = sight(neighbour(), None);
    seen.host.interfaces.get_mut(&4).unwrap().mtu = 9000;
    seen.host.others.insert(1, "lo".into());
    bench.engine.look_around(seen, false);
    let changes = [
        start(SyncRole::Backup, "eth0"),
        start(SyncRole::Master, "lo"),
        start(SyncRole::Master, "eth9"),
        start(SyncRole::Master, "eth0"),
    ];
    let outcome = bench.engine.change(&changes).unwrap();
    let faults = [None, None, Some(Fault::NoSuchDevice), Some(Fault::DaemonRuns)];
    assert_eq!(outcome.faults, faults, "the kernel looks at the interface first");
    let held: Vec<_> = bench.engine.sync().into_iter().map(|d| (d.role, d.maxlen)).collect();
    assert_eq!(held, [(SyncRole::Master, 1472), (SyncRole::Backup, 8972)]);
    assert_eq!(bench.saved().sync.len(), 2);
}

#[test]
fn clients_ways_are_looked_up_anew_only_after_a_change() {
    let mut bench = Bench::new();
    bench.engine.look_around(sight(neighbour(), None), false);
    assert_eq!(bench.fake.told().bumps, 1, "a new interface");
    bench.engine.look_around(sight(neighbour(), None), false);
    assert_eq!(bench.fake.told().bumps, 1, "nothing new");
    bench.engine.look_around(sight(neighbour(), None), true);
    assert_eq!(bench.fake.told().bumps, 2, "the kernel reported a route");
    let mut other = sight(neighbour(), None);
    let client = (4, Ipv4Addr::new(10, 0, 1, 77));
    other.host.neighbours.insert(client, crate::hops::Neighbour::Known { mac: [6; 6] });
    bench.engine.look_around(other.clone(), false);
    assert_eq!(bench.fake.told().bumps, 3, "a client's neighbour is known");
    other.host.confirmed.insert(client);
    bench.engine.look_around(other, false);
    assert_eq!(bench.fake.told().bumps, 3, "it was confirmed, which changes no way");
}

#[test]
fn a_tick_sweeps_and_passes_events_on() {
    let mut bench = Bench::new();
    let address = Ipv4Addr::new(10, 0, 2, 9);
    // More than the queue holds: the rest is dropped, packets will ask again.
    bench.fake.told().notices = vec![Notice::NeighbourWanted { ifindex: 7, address }; 9];
    bench.engine.tick();
    let mut wishes = 0;
    while let Ok(wish) = bench.wishes.try_recv() {
        assert!(matches!(wish, Wish::Neighbour(7, a) if a == address));
        wishes += 1;
    }
    assert_eq!(wishes, 4);
    assert_eq!(bench.fake.told().sweeps, 1);
    bench.engine.tick();
    assert_eq!(bench.fake.told().sweeps, 1, "a piece at a time");
}

#[test]
fn baselines_are_kept_whenever_they_change() {
    let mut bench = Bench::new();
    bench.engine.change(&[add_service(80)]).unwrap();
    let kept = |bench: &Bench| {
        Store::new(bench.dir.path(), "default").load().unwrap().unwrap().counters.services.len()
    };
    assert_eq!(kept(&bench), 0);
    bench.fake.told().baselines.services.insert(service(80), ServiceBase::default());
    bench.engine.zero(None).unwrap();
    assert_eq!(kept(&bench), 1, "zeroed");
    bench.fake.told().baselines.services.insert(service(81), ServiceBase::default());
    bench.fake.told().frees = true;
    bench.engine.tick();
    assert_eq!(kept(&bench), 2, "a removed server's counters moved to its service's");
}

#[test]
fn trouble_is_kept_for_the_status() {
    let mut bench = Bench::new();
    bench.fake.told().failing = Some("bpf: EIO".into());
    bench.engine.look_around(sight(neighbour(), None), false);
    bench.fake.told().failing = None;
    let troubles = bench.engine.survey().unwrap().troubles;
    assert_eq!(
        troubles,
        [
            "next hops are stale: the data plane failed: bpf: EIO",
            "cannot take over packets: the data plane failed: bpf: EIO",
            "mark rules are not as they should be: the data plane failed: bpf: EIO",
        ]
    );
    bench.engine.look_around(sight(neighbour(), None), false);
    assert_eq!(bench.engine.survey().unwrap().troubles, [""; 0], "mended");
}

#[test]
fn after_detaching_there_is_nothing_to_ask() {
    let mut bench = Bench::new();
    bench.engine.detach(&Actor::default()).unwrap();
    assert!(bench.fake.told().detached);
    assert!(matches!(bench.engine.services(None, false), Err(EngineError::Detached)));
    assert!(matches!(bench.engine.detach(&Actor::default()), Err(EngineError::Detached)));
    bench.engine.tick();
}

#[test]
fn interfaces_that_come_back_are_attached_again() {
    let mut bench = Bench::new();
    let here = || sight(neighbour(), None);
    let attached = |bench: &Bench| {
        let told = bench.fake.told();
        (told.attached.len(), told.attached.last().unwrap().0.clone())
    };
    bench.engine.look_around(here(), false);
    bench.engine.look_around(here(), false);
    assert_eq!(attached(&bench), (1, vec!["eth0".into()]));
    bench.engine.look_around(Sight::default(), false);
    assert_eq!(attached(&bench), (2, vec![]), "gone");
    let mut back = here();
    let mut eth0 = back.host.interfaces.remove(&4).unwrap();
    eth0.ifindex = 9;
    back.host.interfaces.insert(9, eth0);
    bench.engine.look_around(back, false);
    assert_eq!(attached(&bench), (3, vec!["eth0".into()]), "another one of its name");
}

#[test]
fn answers_are_rewritten_only_where_a_server_is_this_host() {
    let mut bench = Bench::new();
    let mut here = sight(neighbour(), None);
    here.host.addresses.push((4, Ipv4Addr::new(10, 0, 1, 254)));
    bench.engine.look_around(here, false);
    let answers = |bench: &Bench| bench.fake.told().attached.last().map(|a| a.1.clone()).unwrap();
    bench.engine.change(&[add_service(80), add_server(80, "10.0.1.1:80")]).unwrap();
    assert_eq!(answers(&bench), [""; 0], "another host");
    bench.engine.change(&[add_server(80, "10.0.1.254:80")]).unwrap();
    assert_eq!(answers(&bench), ["eth0"], "at once");
    bench.engine.change(&[delete_server(80, "10.0.1.254:80")]).unwrap();
    assert_eq!(answers(&bench), [""; 0]);
    bench.engine.change(&[add_server(80, "127.0.0.1:80")]).unwrap();
    assert_eq!(answers(&bench), ["eth0"]);
}

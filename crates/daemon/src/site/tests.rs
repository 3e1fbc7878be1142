//! Files over the fake data plane: what is in force, what stays, what is put back.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path, time::Duration};

use tokio::sync::mpsc as queue;
use xlvs_api::ServerFilter;
use xlvs_model::{Change, Model, Scheduler, Server, ServiceKey, State};

use super::*;
use crate::plane::fake::Fake;

mod ldirectord;

struct Bench {
    folder: tempfile::TempDir,
    engine: Owner<Engine>,
    site: Site,
    _queues: (queue::UnboundedReceiver<crate::hops::Shift>, queue::Receiver<crate::hops::Wish>),
}

impl Bench {
    /// A director with a file in force; the file has these servers in service 80.
    async fn start(servers: &[(u8, u32)], by_hand: ByHand) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (publish, shifts) = queue::unbounded_channel();
        let (wishes, granted) = queue::channel(4);
        let plane = Box::new(Fake::default());
        let engine = Engine::start(plane, Model::default(), Vec::new(), None, publish, wishes);
        let (engine, _) = Owner::start(engine.unwrap(), Duration::from_mins(1)).unwrap();
        let path = folder.path().join("k.conf");
        write(&path, servers, "");
        let options = Options {
            config: Some(path.clone()),
            by_hand,
            record: Some(RecordFile::new(folder.path(), "default")),
            reconcile: Duration::from_millis(500),
            ..Options::default()
        };
        let (site, mut runner) = Site::new(engine.clone(), options);
        runner.begin(Some(load(&path, &Reading::default()).unwrap())).await.unwrap();
        tokio::spawn(runner.run());
        Self { folder, engine, site, _queues: (shifts, granted) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("k.conf")
    }

    fn write(&self, servers: &[(u8, u32)], more: &str) {
        write(&self.path(), servers, more);
    }

    async fn apply(&self, plan: bool, confirm_s: Option<u64>) -> Applied {
        let file = self.path().to_string_lossy().into_owned();
        let what = Apply { file, plan, confirm_s, ..Apply::default() };
        self.site.apply(what, Actor::default()).await.unwrap()
    }

    /// `10.0.1.1=1 10.0.1.2=7`, in the order of the file.
    async fn servers(&self) -> String {
        let services = self.engine.ask(|e| e.services(None, false)).await.unwrap().unwrap();
        let servers = services.iter().flat_map(|service| service.servers.iter().rev());
        // Those that are on their way out have no weight.
        let servers = servers.filter(|server| server.weight > 0);
        let words: Vec<String> =
            servers.map(|s| format!("{}={}", s.address.ip(), s.weight)).collect();
        words.join(" ")
    }

    async fn change(&self, face: Face, change: Change) {
        let by = Actor { face, ..Actor::default() };
        let outcome = self.engine.ask(move |e| e.change_by(&by, &[change])).await;
        assert_eq!(outcome.unwrap().unwrap().faults, [None]);
    }

    async fn view(&self) -> Option<xlvs_api::FileView> {
        self.engine.ask(|e| e.survey().unwrap().file).await.unwrap()
    }
}

fn write(path: &Path, servers: &[(u8, u32)], more: &str) {
    let mut text =
        "virtual_server 10.0.0.1 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n".to_owned();
    for (host, weight) in servers {
        let server = format!(" real_server 10.0.1.{host} 80 {{\n weight {weight}\n }}\n");
        text.push_str(&server);
    }
    text.push_str("}\n");
    text.push_str(more);
    fs::write(path, text).unwrap();
}

fn key(port: u16) -> ServiceKey {
    format!("tcp:10.0.0.1:{port}").parse().unwrap()
}

#[tokio::test]
async fn a_file_is_planned_applied_and_refused() {
    let bench = Bench::start(&[(1, 1), (2, 1)], ByHand::Keep).await;
    assert_eq!(bench.servers().await, "10.0.1.1=1 10.0.1.2=1");
    let view = bench.view().await.unwrap();
    assert_eq!((view.services, view.checked_servers), (1, 0));

    bench.write(&[(1, 5), (3, 1)], "");
    let planned = bench.apply(true, None).await;
    let told: Vec<String> = planned.differences.iter().map(ToString::to_string).collect();
    let expected = [
        "~ tcp:10.0.0.1:80  10.0.1.1:80  weight 1 -> 5",
        "+ tcp:10.0.0.1:80  10.0.1.3:80  nat, weight 1",
        "- tcp:10.0.0.1:80  10.0.1.2:80",
    ];
    assert_eq!((told, planned.in_force), (expected.map(ToOwned::to_owned).to_vec(), false));
    assert_eq!(bench.servers().await, "10.0.1.1=1 10.0.1.2=1", "a plan changes nothing");
    assert!(bench.apply(false, None).await.in_force);
    assert_eq!(bench.servers().await, "10.0.1.1=5 10.0.1.3=1");
    let again = bench.apply(false, None).await;
    assert_eq!((again.in_force, again.differences), (true, Vec::new()), "once more");

    bench.write(&[(1, 9)], "virtal_server 10.0.0.1 81 {\n}\n");
    let refused = bench.apply(false, None).await;
    let why = refused.refused.unwrap();
    assert!(why.contains("1 error") && why.contains("k.conf:9"), "{why}");
    assert!(refused.report.contains("virtal_server"), "{}", refused.report);
    bench.site.reload().await;
    assert_eq!(bench.servers().await, "10.0.1.1=5 10.0.1.3=1", "a broken file changes nothing");
    let troubles = bench.engine.ask(|e| e.survey().unwrap().troubles).await.unwrap();
    assert!(troubles.iter().any(|t| t.contains("nothing is changed")), "{troubles:?}");
    bench.write(&[(1, 9)], "");
    bench.site.reload().await;
    assert_eq!(bench.servers().await, "10.0.1.1=9");
    assert_eq!(bench.engine.ask(|e| e.survey().unwrap().troubles).await.unwrap().len(), 0);
}

#[tokio::test]
async fn what_is_not_confirmed_goes_again() {
    let bench = Bench::start(&[(1, 1)], ByHand::Keep).await;
    bench
        .change(Face::Ipvsadm, Change::AddService { service: key(81), terms: Scheduler::Rr.into() })
        .await;
    bench.write(&[(2, 1)], "");
    let applied = bench.apply(false, Some(3600)).await;
    assert!(applied.in_force && applied.confirm_until_ms.is_some(), "{applied:?}");
    assert_eq!(bench.servers().await, "10.0.1.2=1");
    assert!(bench.view().await.unwrap().confirm_until_ms.is_some());
    let second = bench.apply(false, None).await;
    assert!(second.refused.unwrap().contains("xlvs confirm"), "one at a time");
    bench.site.confirm(false, Actor::default()).await.unwrap().unwrap();
    assert_eq!(bench.servers().await, "10.0.1.1=1", "taken back");
    assert!(bench.site.confirm(true, Actor::default()).await.unwrap().is_err(), "nothing waits");

    assert!(bench.apply(false, Some(3600)).await.in_force);
    bench.site.confirm(true, Actor::default()).await.unwrap().unwrap();
    assert_eq!(bench.servers().await, "10.0.1.2=1", "kept");
    assert_eq!(bench.view().await.unwrap().confirm_until_ms, None);
    bench.write(&[(3, 1)], "");
    assert!(bench.apply(false, Some(0)).await.in_force);
    let gone = async {
        while bench.servers().await != "10.0.1.2=1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("its time was up");
    let others = bench.engine.ask(|e| e.service_keys()).await.unwrap();
    assert_eq!(others, [key(80), key(81)], "what is nobody's file's is left alone");
}

/// A daemon that dies before the confirmation: the next one takes it back.
#[tokio::test]
async fn the_next_daemon_takes_back_what_was_not_confirmed() {
    let bench = Bench::start(&[(1, 1)], ByHand::Keep).await;
    bench.write(&[(2, 1)], "");
    assert!(bench.apply(false, Some(3600)).await.in_force);
    bench.write(&[(1, 1)], "");
    let record = Some(RecordFile::new(bench.folder.path(), "default"));
    let options = Options { record, ..Options::default() };
    let (_site, mut runner) = Site::new(bench.engine.clone(), options);
    runner.begin(None).await.unwrap();
    assert_eq!(bench.servers().await, "10.0.1.1=1");
    assert_eq!(bench.view().await.unwrap().confirm_until_ms, None);
}

#[tokio::test]
async fn changes_by_hand_are_noticed_and_put_right() {
    for by_hand in [ByHand::Revert, ByHand::Keep] {
        let bench = Bench::start(&[(1, 1), (2, 1)], by_hand).await;
        let mut server = bench_server(2);
        server.weight = 7;
        bench.change(Face::Ipvsadm, Change::EditServer { service: key(80), server }).await;
        let view = bench.view().await.unwrap();
        assert_eq!(view.drift.len(), 1, "{view:?}");
        assert_eq!(view.drift[0].to_string(), "~ tcp:10.0.0.1:80  10.0.1.2:80  weight 7 -> 1");
        let events = bench.engine.ask(|e| e.events(0, 100)).await.unwrap();
        let noticed = events.iter().find(|event| event.message.contains("says any more"));
        let by = noticed.unwrap().by.clone().unwrap();
        assert_eq!(by.face, Face::Ipvsadm, "who it was is told");
        if by_hand == ByHand::Keep {
            // Two rounds of looking later it is still there.
            tokio::time::sleep(Duration::from_millis(1100)).await;
            assert_eq!(bench.servers().await, "10.0.1.1=1 10.0.1.2=7");
            assert_eq!(bench.view().await.unwrap().drift.len(), 1);
            continue;
        }
        let right = async {
            while bench.servers().await != "10.0.1.1=1 10.0.1.2=1" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), right).await.expect("it is put right");
        assert_eq!(bench.view().await.unwrap().drift, Vec::new());
    }
}

#[tokio::test]
async fn everything_knows_its_owner() {
    let bench = Bench::start(&[(1, 1)], ByHand::Keep).await;
    bench
        .change(Face::Ipvsadm, Change::AddService { service: key(81), terms: Scheduler::Rr.into() })
        .await;
    bench.change(Face::Api, Change::AddServer { service: key(81), server: bench_server(9) }).await;
    let services = bench.engine.ask(|e| e.services(None, false)).await.unwrap().unwrap();
    let path = bench.path();
    let owners: Vec<_> = services
        .iter()
        .flat_map(|s| [s.owner.clone(), s.servers[0].owner.clone()])
        .map(Option::unwrap)
        .collect();
    let of = |line: u32| format!("{}:{line}", path.display());
    assert_eq!(owners, [of(1), of(5), "ipvsadm".into(), "API".into()]);
    let detail = bench.engine.ask(|e| e.servers(&ServerFilter::default())).await.unwrap().unwrap();
    assert!(detail.iter().all(|detail| detail.server.state() == State::Up));
}

fn bench_server(host: u8) -> Server {
    Server::new(format!("10.0.1.{host}:80").parse().unwrap(), xlvs_model::Method::Masq, 1)
}

/// A server that does not answer, found so by one daemon: the next one knows it from the start.
#[tokio::test]
async fn the_next_daemon_knows_what_checks_found_and_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.conf");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    // Nobody listens there any more.
    drop(socket);
    let terms = "delay_loop 1\n connect_timeout 1\n retry 0\n warmup";
    let text = |warmup: u32| {
        format!(
            "virtual_server 10.0.0.1 80 {{\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n \
             real_server 127.0.0.1 {port} {{\n TCP_CHECK {{\n {terms} {warmup}\n }}\n }}\n}}\n"
        )
    };
    let start = |warmup: u32| {
        fs::write(&path, text(warmup)).unwrap();
        let record = Some(RecordFile::new(folder.path(), "default"));
        let options = Options { config: Some(path.clone()), record, ..Options::default() };
        let (publish, shifts) = queue::unbounded_channel();
        let (wishes, granted) = queue::channel(4);
        let plane = Box::new(Fake::default());
        let engine = Engine::start(plane, Model::default(), Vec::new(), None, publish, wishes);
        let (engine, _) = Owner::start(engine.unwrap(), Duration::from_mins(1)).unwrap();
        let (site, runner) = Site::new(engine.clone(), options);
        (site, runner, engine, (shifts, granted))
    };
    let state = async |engine: &Owner<Engine>| {
        let found = engine.ask(|e| e.servers(&ServerFilter::default())).await.unwrap().unwrap();
        found[0].server.state()
    };
    let (site, mut runner, engine, _queues) = start(0);
    runner.begin(Some(load(&path, &Reading::default()).unwrap())).await.unwrap();
    tokio::spawn(runner.run());
    let down = async {
        while state(&engine).await != State::Down {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), down).await.expect("it is found down");
    let events = engine.ask(|e| e.events(0, 100)).await.unwrap();
    let went = events.iter().find(|e| e.kind == EventKind::Check).unwrap().clone();
    site.stop(false).await;

    // The next one asks in an hour for the first time.
    let (site, mut runner, engine, _queues) = start(3600);
    runner.begin(Some(load(&path, &Reading::default()).unwrap())).await.unwrap();
    assert_eq!(state(&engine).await, State::Down, "from the start");
    tokio::spawn(runner.run());
    site.refresh().await;
    let checks = Box::new(site.checks());
    let found = engine
        .ask(|e| {
            e.set_checks(checks);
            e.servers(&ServerFilter::default())
        })
        .await;
    let shown = found.unwrap().unwrap().remove(0);
    let [check] = &shown.checks[..] else { panic!("one check: {shown:?}") };
    assert_eq!(check.results[0].result, "connection refused");
    assert!(check.since_ms.unwrap() <= went.at_ms + 50, "{check:?} {went:?}");
    let events = engine.ask(|e| e.events(0, 100)).await.unwrap();
    assert!(events.contains(&went), "{went:?} is remembered: {events:?}");
    assert!(events.iter().map(|e| e.seq).is_sorted(), "one row of numbers");
    let started = events.iter().filter(|e| e.message.starts_with("started")).count();
    assert_eq!(started, 2, "of both daemons: {events:?}");
}

/// Scripts and what is flushed, at the start and at the end.
#[tokio::test]
async fn a_file_may_ask_for_more_at_the_start_and_at_the_end() {
    let added_by_hand = Change::AddService {
        service: "tcp:10.0.0.2:80".parse().unwrap(),
        terms: Scheduler::Rr.into(),
    };
    for (flush, left, why) in [
        ("", 2, "services stay"),
        ("lvs_flush_on_stop", 0, "all services are deleted"),
        ("lvs_flush_on_stop VS", 1, "the file's services are deleted"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let [path, log] = ["k.conf", "log"].map(|name| folder.path().join(name));
        let say =
            |word: &str| format!("{word}_script \"/bin/sh -c 'echo {word} >> {}'\"", log.display());
        let (startup, shutdown) = (say("startup"), say("shutdown"));
        write(
            &path,
            &[(1, 1)],
            &format!("global_defs {{\n {startup}\n {shutdown}\n {flush}\n}}\n"),
        );
        let options = Options { config: Some(path.clone()), ..Options::default() };
        let (publish, _shifts) = queue::unbounded_channel();
        let (wishes, _granted) = queue::channel(4);
        let plane = Box::new(Fake::default());
        let engine = Engine::start(plane, Model::default(), Vec::new(), None, publish, wishes);
        let (engine, _) = Owner::start(engine.unwrap(), Duration::from_mins(1)).unwrap();
        let (site, mut runner) = Site::new(engine.clone(), options);
        runner.begin(Some(load(&path, &Reading::default()).unwrap())).await.unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "startup\n", "{why}");
        tokio::spawn(runner.run());
        site.reload().await;
        let change = added_by_hand.clone();
        engine.ask(move |e| e.change(&[change])).await.unwrap().unwrap();
        site.stop(false).await;
        assert_eq!(fs::read_to_string(&log).unwrap(), "startup\nshutdown\n", "once each: {why}");
        let services = engine.ask(|e| e.services(None, false)).await.unwrap().unwrap();
        assert_eq!(services.len(), left, "{why}");
    }
}

/// A name that says another format than the file is of: what it was said to be is not forgotten.
#[tokio::test]
async fn a_file_is_read_as_it_was_said_to_be() {
    let bench = Bench::start(&[(1, 1)], ByHand::Keep).await;
    bench.site.stop(false).await;
    let begin = async || {
        let record = Some(RecordFile::new(bench.folder.path(), "default"));
        let options = Options { record, ..Options::default() };
        let (site, mut runner) = Site::new(bench.engine.clone(), options);
        runner.begin(None).await.unwrap();
        tokio::spawn(runner.run());
        site
    };
    let path = bench.folder.path().join("site.toml");
    let apply = async |site: &Site, format: Option<&str>| {
        let (file, format) = (path.to_string_lossy().into_owned(), format.map(ToOwned::to_owned));
        site.apply(Apply { file, format, ..Apply::default() }, Actor::default()).await.unwrap()
    };
    let site = begin().await;
    write(&path, &[(2, 1)], "");
    assert!(apply(&site, None).await.refused.is_some(), "it is no TOML");
    let refused = apply(&site, Some("keepalivd")).await.refused.unwrap();
    assert!(refused.contains("`keepalivd`") && refused.contains("lvs.cf, ldirectord"), "{refused}");
    assert_eq!(apply(&site, Some("keepalived")).await.refused, None);
    assert_eq!(bench.servers().await, "10.0.1.2=1");
    write(&path, &[(3, 1)], "");
    assert_eq!(apply(&site, None).await.refused, None, "as it was said before");
    assert_eq!(bench.servers().await, "10.0.1.3=1");
    write(&path, &[(4, 1)], "");
    site.reload().await;
    assert_eq!(bench.servers().await, "10.0.1.4=1");
    site.stop(false).await;
    write(&path, &[(5, 1)], "");
    begin().await;
    assert_eq!(bench.servers().await, "10.0.1.5=1", "the next daemon knows it, too");
}

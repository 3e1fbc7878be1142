//! What an `ldirectord.cf` asks for around its services.

use super::*;

/// A director with an `ldirectord.cf`: `more` at its top level, then one service of two servers
/// that nothing checks.
struct Ldirectord {
    folder: tempfile::TempDir,
    engine: Owner<Engine>,
    site: Site,
    _queues: (queue::UnboundedReceiver<crate::hops::Shift>, queue::Receiver<crate::hops::Wish>),
}

impl Ldirectord {
    async fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (publish, shifts) = queue::unbounded_channel();
        let (wishes, granted) = queue::channel(4);
        let plane = Box::new(Fake::default());
        let engine = Engine::start(plane, Model::default(), Vec::new(), None, publish, wishes);
        let (engine, _) = Owner::start(engine.unwrap(), Duration::from_mins(1)).unwrap();
        let path = folder.path().join("ldirectord.cf");
        fs::create_dir(folder.path().join("maintenance")).unwrap();
        fs::write(folder.path().join("maintenance/10.0.1.2"), "").unwrap();
        let options = Options {
            config: Some(path.clone()),
            reconcile: Duration::from_millis(200),
            ..Options::default()
        };
        let (site, mut runner) = Site::new(engine.clone(), options);
        let this = Self { folder, engine, site, _queues: (shifts, granted) };
        this.write(more, 2);
        runner.begin(Some(load(&path, &Reading::default()).unwrap())).await.unwrap();
        tokio::spawn(runner.run());
        this
    }

    fn write(&self, more: &str, servers: u8) {
        let folder = self.folder.path().to_str().unwrap();
        let mut text = format!("{}\nvirtual=10.0.0.1:80\n", more.replace("DIR", folder));
        text.push_str("\tchecktype=on\n");
        text.extend((1..=servers).map(|host| format!("\treal=10.0.1.{host}:80 masq {host}\n")));
        fs::write(self.folder.path().join("ldirectord.cf"), text).unwrap();
    }

    /// `10.0.1.1=1 10.0.1.2=0`: what packets see.
    async fn list(&self) -> String {
        let services = self.engine.ask(|e| e.services(None, false)).await.unwrap().unwrap();
        let servers = services.iter().flat_map(|service| &service.servers);
        let listed = servers.filter(|server| server.standing.as_ref().is_none_or(|s| s.listed));
        let mut words: Vec<String> = listed
            .map(|s| {
                let weight = s.standing.as_ref().map_or(s.weight, |standing| standing.weight);
                format!("{}={weight}", s.address.ip())
            })
            .collect();
        words.sort();
        words.join(" ")
    }

    async fn await_list(&self, expected: &str, why: &str) {
        let right = async {
            while self.list().await != expected {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), right).await;
        assert!(waited.is_ok(), "{why}: {}", self.list().await);
    }

    async fn by_hand(&self, change: Change) {
        let by = Actor { face: Face::Ipvsadm, ..Actor::default() };
        let outcome = self.engine.ask(move |e| e.change_by(&by, &[change])).await;
        assert_eq!(outcome.unwrap().unwrap().faults, [None]);
    }
}

#[tokio::test]
async fn a_file_in_maintenancedir_takes_a_server_out() {
    for (quiescent, out) in [("no", "10.0.1.1=1"), ("yes", "10.0.1.1=1 10.0.1.2=0")] {
        let more = format!("maintenancedir=DIR/maintenance\nquiescent={quiescent}");
        let bench = Ldirectord::start(&more).await;
        assert_eq!(bench.list().await, out, "from the start");
        let found = bench.engine.ask(|e| e.servers(&ServerFilter::default())).await;
        let found = found.unwrap().unwrap();
        let cause = found.iter().find_map(|one| one.server.standing.as_ref()?.cause.clone());
        let cause = cause.unwrap();
        assert!(cause.contains("maintenance/10.0.1.2 is there"), "{cause}");
        let file = bench.folder.path().join("maintenance/10.0.1.2");
        fs::remove_file(&file).unwrap();
        bench.await_list("10.0.1.1=1 10.0.1.2=2", "the end of it").await;
        fs::write(&file, "").unwrap();
        bench.await_list(out, "again").await;
        bench.write("", 2);
        bench.site.reload().await;
        bench.await_list("10.0.1.1=1 10.0.1.2=2", "the file has no such folder any more").await;
    }
}

#[tokio::test]
async fn a_quiescent_server_that_is_deleted_comes_back_when_it_is_asked_for() {
    for (readd, stays) in [("no", "10.0.1.1=1"), ("yes", "10.0.1.1=1 10.0.1.2=0")] {
        let bench = Ldirectord::start(&format!(
            "maintenancedir=DIR/maintenance\nquiescent=yes\nreaddquiescent={readd}"
        ))
        .await;
        for last in [1, 2] {
            let server = format!("10.0.1.{last}:80").parse().unwrap();
            bench.by_hand(Change::DeleteServer { service: key(80), server }).await;
        }
        bench.await_list(stays, readd).await;
        // Some rounds of looking later it is still so.
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(bench.list().await, stays, "{readd}");
        fs::remove_file(bench.folder.path().join("maintenance/10.0.1.2")).unwrap();
        bench.await_list("10.0.1.1=1 10.0.1.2=2", "it works again").await;
    }
}

#[tokio::test]
async fn a_file_that_changes_is_taken_up_and_the_callback_told() {
    let terms = "callback=\"/bin/sh -c 'echo $0 >> DIR/log'\"\nautoreload=";
    for (autoreload, expected) in [("no", "10.0.1.1=1 10.0.1.2=2"), ("yes", "10.0.1.1=1")] {
        let more = format!("{terms}{autoreload}");
        let bench = Ldirectord::start(&more).await;
        bench.write(&more, 1);
        let log = bench.folder.path().join("log");
        let told = async {
            while !log.exists() || fs::read_to_string(&log).unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.expect("the callback");
        let told = fs::read_to_string(&log).unwrap();
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.trim_end().ends_with("/ldirectord.cf"), "{told}");
        let services = bench.engine.ask(|e| e.services(None, false)).await.unwrap().unwrap();
        let listed = services[0].servers.iter().filter(|server| server.weight > 0);
        assert_eq!(listed.count(), expected.split(' ').count(), "autoreload={autoreload}");
        if autoreload == "yes" {
            bench.write("nonsense=1", 2);
            let trouble = async {
                while bench.engine.ask(|e| e.survey().unwrap().troubles).await.unwrap().is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), trouble).await.expect("it is told");
            let list = bench.list().await;
            let stays = list.trim_end_matches(" 10.0.1.2=0");
            assert_eq!(stays, expected, "a broken file changes nothing");
        }
    }
}

#[tokio::test]
async fn services_are_deleted_at_the_end_if_the_file_says_so() {
    let own = "virtual=10.0.0.1:81\n\treal=10.0.1.1:81 masq\n\tcleanstop=";
    for (all, own, left, why) in [
        ("", String::new(), 1, "the file does not say: unlike with ldirectord they stay"),
        ("cleanstop=no\n", String::new(), 1, "no"),
        ("cleanstop=yes\n", String::new(), 0, "yes"),
        ("cleanstop=yes\n", format!("{own}no\n"), 1, "one stays"),
        ("cleanstop=no\n", format!("{own}yes\n"), 1, "one goes"),
    ] {
        let bench = Ldirectord::start(&format!("{all}{own}")).await;
        bench.site.stop(false).await;
        let left_over = bench.engine.ask(|e| e.service_keys()).await.unwrap();
        assert_eq!(left_over.len(), left, "{why}: {left_over:?}");
    }
}

//! Servers that are drained under load, to a deadline and over restarts, seen by the clients.
//! Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    thread,
};

use serde_json::Value;
use xlvs_testkit::{addresses, netns, wait_until};

use site::{
    LONG, Site,
    rows::{Row, Running, direct_routing, load, nat, start, tunnel},
    talk::Talk,
};

/// A director with traffic of both kinds: short connections to port 80, long ones to port 2100.
struct Busy {
    running: Running,
    row: Row,
    long: SocketAddr,
    talks: Vec<Talk>,
}

impl Busy {
    fn start(row: Row) -> Option<Self> {
        let mut running = start(&row, "rr", "--connections 65536")?;
        let site = &mut running.site;
        let long = SocketAddr::new(row.vip.parse().unwrap(), 2100);
        site.xlvs("director", &format!("ipvsadm -A -t {long} -s rr"));
        for (name, address) in ["rs1", "rs2", "rs3"].into_iter().zip(addresses(row.first, 3)) {
            let line = format!("testserver 2100 --quiet --name {name}");
            site.start(name, &line, "Listening Port is 2100...");
            let line = format!("ipvsadm -a -t {long} -r {address}:2100 {} -w 4", row.method);
            site.xlvs("director", &line);
        }
        site.await_next_hops();
        let talks = (0..30).map(|_| Talk::open(site, long)).collect();
        let busy = Self { running, row, long, talks };
        assert_eq!(busy.of("rs1").count(), 10);
        Some(busy)
    }

    fn site(&self) -> &Site {
        &self.running.site
    }

    /// The first server's address.
    fn first(&self) -> Ipv4Addr {
        self.row.first
    }

    fn of<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Talk> {
        self.talks.iter().filter(move |talk| talk.host == host)
    }

    /// All that is known of the first server behind the long connections.
    fn shown(&self) -> Value {
        let (first, long) = (self.first(), self.long);
        let line = format!("server show {first} --service tcp:{long} -o json");
        let shown: Value = serde_json::from_str(&self.site().xlvs("director", &line)).unwrap();
        assert_eq!(shown.as_array().unwrap().len(), 1, "{shown}");
        shown[0].clone()
    }

    fn state(&self) -> String {
        let state = &self.shown()["server"]["standing"]["state"];
        state.as_str().unwrap_or("up").to_owned()
    }

    fn left(&self) -> u64 {
        self.shown()["server"]["drain"]["left"].as_u64().unwrap()
    }

    fn await_that(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let waited = wait_until(what, LONG, || holds(self).then_some(()));
        assert!(waited.is_ok(), "{what}: {}\n{}", self.shown(), self.site().lab.logs());
    }

    /// The first server's line of `ipvsadm -Ln`, for the long connections.
    fn listed(&self) -> Option<String> {
        let listing = self.site().xlvs("director", &format!("ipvsadm -Ln -t {}", self.long));
        let start = format!("  -> {}:2100 ", self.first());
        let line = listing.lines().find(|line| line.starts_with(&start))?;
        Some(line.split_whitespace().nth(3).unwrap().to_owned())
    }

    fn everybody_answers(&mut self, when: &str) {
        for talk in &mut self.talks {
            talk.goes_on(when);
        }
    }

    /// Kills the daemon, and starts another.
    fn restart(&mut self) {
        let daemon = self.running.daemon;
        self.running.site.kill(daemon);
        let line = format!("{} --connections 65536", self.row.interfaces);
        self.running.daemon = self.running.site.start_director(&line);
    }

    /// New connections, and who answers them.
    fn fresh(&self, count: usize) -> Vec<Talk> {
        (0..count).map(|_| Talk::open(self.site(), self.long)).collect()
    }
}

#[test]
fn a_deadline_resets_what_is_left_and_nothing_else() {
    for row in [direct_routing(), nat(), tunnel()] {
        let Some(mut busy) = Busy::start(row) else { return };
        let first = busy.first();
        // Short connections come and go all the while, and none of them may fail.
        let short = load(&busy.row, busy.running.target, REQUESTS);
        let client = busy.site().lab.host("client").file().try_clone().unwrap();
        let loading = thread::spawn(move || netns::enter(&client, || short.run_here()).unwrap());
        let told = busy.site().xlvs(
            "director",
            &format!("server drain {first} --deadline 10s --on-deadline reset --reason kernel"),
        );
        assert!(told.contains(&format!("{first}:2100 of tcp:{}: 10 of 10", busy.long)), "{told}");
        assert_eq!(busy.listed().as_deref(), Some("0"), "as a person who quiesces it would see it");
        assert!(busy.fresh(6).iter().all(|talk| talk.host != "rs1"), "it gets no new ones");
        busy.everybody_answers("drained, and not cut");

        // Half of its clients end in time.
        let (mut ours, others): (Vec<_>, Vec<_>) =
            busy.talks.drain(..).partition(|talk| talk.host == "rs1");
        busy.talks = others;
        ours.truncate(5);
        busy.await_that("half of them to be gone", |busy| busy.left() == 5);
        let drain = busy.shown()["server"]["drain"].clone();
        assert_eq!(drain["began_with"], 10, "{drain}");
        assert!(drain["estimate_s"].as_u64().unwrap() <= 10, "the deadline bounds it: {drain}");
        assert_eq!(busy.state(), "draining");
        for talk in &mut ours {
            talk.goes_on("still there");
        }

        busy.await_that("the deadline", |busy| busy.state() == "drained");
        assert_eq!(busy.listed(), None, "it is out of the list");
        for talk in &mut ours {
            let error = talk.say("anybody there?").unwrap_err();
            let is_reset = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(is_reset.contains(&error.kind()), "{error}\n{}", busy.site().lab.logs());
        }
        busy.everybody_answers("of another server, and not touched");
        let tally = loading.join().unwrap();
        assert_eq!((tally.faults, tally.failed), (Vec::new(), 0));
        assert_eq!(tally.hosts.values().sum::<usize>(), REQUESTS);

        busy.restart();
        assert_eq!((busy.state().as_str(), busy.listed()), ("drained", None), "after a restart");
        busy.site().xlvs("director", &format!("server undrain {first}"));
        assert_eq!(busy.listed().as_deref(), Some("4"), "its weight was never touched");
        busy.site().await_next_hops();
        assert!(busy.fresh(6).iter().any(|talk| talk.host == "rs1"), "it gets new ones again");
        busy.everybody_answers("in the end");
    }
}

#[test]
fn a_drain_outlives_restarts_and_edits_and_is_waited_for() {
    let Some(mut busy) = Busy::start(direct_routing()) else { return };
    let (first, long) = (busy.first(), busy.long);
    let drain = format!("server drain {first}:2100 --service tcp:{long} --owner ada");
    busy.site().xlvs("director", &drain);
    busy.site().xlvs("director", &format!("ipvsadm -e -t {long} -r {first}:2100 -g -w 7"));
    busy.restart();
    assert_eq!(busy.listed().as_deref(), Some("0"));
    let shown = busy.shown();
    assert_eq!(shown["server"]["weight"], 7, "what is written: {shown}");
    assert_eq!(shown["server"]["override"]["owner"], "ada", "{shown}");
    let saved = busy.site().xlvs("director", "ipvsadm -Sn");
    assert!(saved.contains(&format!("-r {first}:2100 -g -w 7")), "what is saved: {saved}");
    busy.everybody_answers("drained, after a restart");

    let others: Vec<_> = busy.talks.drain(..).filter(|talk| talk.host != "rs1").collect();
    busy.talks = others;
    let told = busy.site().xlvs("director", &format!("{drain} --wait"));
    let last = told.lines().last().unwrap();
    let subject = format!("{first}:2100 of tcp:{long}");
    assert_eq!(last, format!("{subject}: drained, no connection is left"), "{told}");
    busy.site().xlvs("director", &format!("server undrain {first}"));
    assert_eq!(busy.listed().as_deref(), Some("7"), "undrained, the edit shows");
    let again = busy.site().attempt("director", &format!("server undrain {first}"));
    assert!(!again.status.success(), "there is nothing more to take back");

    busy.site().xlvs("director", &format!("server disable {first} --reason broken"));
    assert_eq!(busy.listed(), None, "out at once");
    busy.restart();
    assert_eq!((busy.state().as_str(), busy.listed()), ("disabled", None), "over a restart");
    let list = busy.site().xlvs("director", "server list");
    assert!(list.contains("7 (out)") && list.contains(": broken"), "{list}");
    busy.site().xlvs("director", &format!("server enable {first}"));
    assert_eq!(busy.listed().as_deref(), Some("7"));
    busy.everybody_answers("in the end");
}

/// Enough to be under way for seconds.
const REQUESTS: usize = 4_000;

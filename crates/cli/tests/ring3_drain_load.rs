//! Drains under load: connections of all lengths come and go, one server is drained to a deadline
//! and one until it is empty. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use xlvs_testkit::{addresses, netns, wait_until};

use site::{
    LONG, Site,
    rows::{direct_routing, start},
    talk::Talk,
};

/// How a connection ended: its server, and the error if it was cut.
type Ended = (String, Option<ErrorKind>);

/// What is told of a drain, and when.
#[derive(Debug)]
struct Seen {
    at: Duration,
    left: u64,
    estimate_s: Option<u64>,
}

/// The lives of a hundred and more connections, as by chance: any may end at any moment, after four
/// seconds in the mean, the longest after [`LONGEST`]. The same ones in every run.
fn life(number: usize) -> Duration {
    let part = u32::try_from(number * 37 % 64).unwrap();
    let part = (f64::from(part) + 0.5) / 64.0;
    Duration::from_secs_f64(-4.0 * part.ln())
}

/// Holds connections one after the other until it is over.
fn hold(long: SocketAddr, next: &AtomicUsize, over: &AtomicBool, ended: &Mutex<Vec<Ended>>) {
    while !over.load(Ordering::Relaxed) {
        let life = life(next.fetch_add(1, Ordering::Relaxed));
        let stream = TcpStream::connect_timeout(&long, LONG).unwrap();
        let (began, mut talk) = (Instant::now(), Talk::over(stream));
        let mut cut = None;
        while cut.is_none() && began.elapsed() < life && !over.load(Ordering::Relaxed) {
            thread::sleep(WORDS);
            match talk.say("still there?") {
                Ok(host) => assert_eq!(host, talk.host),
                Err(error) => cut = Some(error.kind()),
            }
        }
        ended.lock().unwrap().push((talk.host, cut));
    }
}

/// The drain of a server as it is shown; none: it is over.
fn look(site: &Site, server: Ipv4Addr, long: SocketAddr, since: Instant) -> Option<Seen> {
    let line = format!("server show {server} --service tcp:{long} -o json");
    let shown: Value = serde_json::from_str(&site.xlvs("director", &line)).unwrap();
    let server = &shown[0]["server"];
    if server["standing"]["state"] == "drained" || server["drain"]["left"] == 0 {
        return None;
    }
    let left = server["drain"]["left"].as_u64().unwrap();
    Some(Seen { at: since.elapsed(), left, estimate_s: server["drain"]["estimate_s"].as_u64() })
}

/// Once it gets no new ones, those that it has only become fewer.
fn falls(seen: &[Seen]) {
    let settled: Vec<u64> = seen.iter().filter(|s| s.at > SETTLED).map(|s| s.left).collect();
    assert!(settled.len() >= 3, "{seen:?}");
    assert!(settled.is_sorted_by(|a, b| a >= b), "{seen:?}");
    assert!(settled.last().unwrap() * 2 <= seen[0].left, "most of them end: {seen:?}");
}

/// The service of long connections.
fn serve(site: &mut Site, long: SocketAddr, servers: &[Ipv4Addr]) {
    site.xlvs("director", &format!("ipvsadm -A -t {long} -s rr"));
    for (name, address) in ["rs1", "rs2", "rs3"].into_iter().zip(servers) {
        site.start(name, &format!("testserver 2100 --quiet --name {name}"), "Port is 2100...");
        site.xlvs("director", &format!("ipvsadm -a -t {long} -r {address}:2100 -g"));
    }
    site.await_next_hops();
}

#[test]
fn a_drain_under_load_falls_is_foretold_and_resets_the_rest_alone() {
    let Some(mut running) = start(&direct_routing(), "rr", "--connections 65536") else { return };
    let row = direct_routing();
    let long = SocketAddr::new(row.vip.parse().unwrap(), 2100);
    let servers: Vec<Ipv4Addr> = addresses(row.first, 3).collect();
    serve(&mut running.site, long, &servers);
    let site = &running.site;
    // Those that stay; none on the third server, which is to become empty.
    let all = (0..15).map(|_| Talk::open(site, long));
    let mut stayers: Vec<Talk> = all.filter(|talk| talk.host != "rs3").collect();
    assert_eq!(stayers.len(), 10);
    let (next, over, ended) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::default());
    let client = site.lab.host("client").file().try_clone().unwrap();
    let (to_deadline, to_the_end, waited) = thread::scope(|scope| {
        for _ in 0..HOLDERS {
            let (next, over, ended) = (&next, &over, &ended);
            let hold = move || hold(long, next, over, ended);
            let client = &client;
            scope.spawn(move || netns::enter(client, hold).unwrap());
        }
        wait_until("the load", LONG, || (next.load(Ordering::Relaxed) > 2 * HOLDERS).then_some(()))
            .unwrap();
        let empty = format!("server drain {}:2100 --service tcp:{long}", servers[2]);
        site.xlvs("director", &empty);
        let cut = format!(
            "server drain {}:2100 --service tcp:{long} --deadline {DEADLINE_S}s --on-deadline \
             reset --wait",
            servers[0]
        );
        let since = Instant::now();
        let waiting = scope.spawn(move || site.attempt("director", &cut));
        let (mut first, mut third) = (Vec::new(), Vec::new());
        let mut open = [true, true];
        while open != [false, false] && since.elapsed() < LONG {
            thread::sleep(Duration::from_secs(1));
            for (at, (server, seen)) in
                [(servers[0], &mut first), (servers[2], &mut third)].into_iter().enumerate()
            {
                let found = open[at].then(|| look(site, server, long, since)).flatten();
                open[at] = found.is_some();
                seen.extend(found);
            }
        }
        thread::sleep(10 * WORDS);
        over.store(true, Ordering::Relaxed);
        (first, (third, since.elapsed()), waiting.join().unwrap())
    });
    assert!(waited.status.success(), "{waited:?}");
    falls(&to_deadline);
    bounded_by_the_deadline(&to_deadline);
    falls(&to_the_end.0);
    foretold(&to_the_end.0, to_the_end.1);

    // The rest of the first is reset, and nobody else.
    let ended: Vec<Ended> = ended.into_inner().unwrap();
    let cut: Vec<&Ended> = ended.iter().filter(|(_, cut)| cut.is_some()).collect();
    let told = |kind| matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    for (host, kind) in &cut {
        assert!(host == "rs1" && kind.is_some_and(told), "{host}: {kind:?}");
    }
    let last = to_deadline.last().unwrap().left;
    assert!(u64::try_from(cut.len()).unwrap() + 5 <= last, "{} of {last}", cut.len());
    for talk in &mut stayers {
        if talk.host == "rs1" {
            assert!(told(talk.say("still there?").unwrap_err().kind()));
        } else {
            talk.goes_on("of another server, and not touched");
        }
    }
}

/// Some stay until the deadline, so the truth is the time up to it: never more is said, and, once
/// something is known, not less than half of it.
fn bounded_by_the_deadline(seen: &[Seen]) {
    let deadline = Duration::from_secs(DEADLINE_S);
    for Seen { at, estimate_s, .. } in seen.iter().filter(|s| s.at > SETTLED) {
        let remains = deadline.saturating_sub(*at).as_secs();
        let said = estimate_s.unwrap_or_else(|| panic!("{seen:?}"));
        assert!(said <= remains + 2, "at {at:?}: {said} of {remains}: {seen:?}");
        assert!((said + 1) * 2 >= remains, "at {at:?}: {said} of {remains}: {seen:?}");
    }
}

/// All end by themselves, at `end`: mostly no less is said than it takes, and never more than four
/// times the longest life.
fn foretold(seen: &[Seen], end: Duration) {
    let known: Vec<_> = seen
        .iter()
        .filter(|s| s.at > SETTLED)
        .filter_map(|s| Some((s.at, s.estimate_s?)))
        .collect();
    assert!(known.len() * 2 >= seen.len(), "it is mostly known: {seen:?}");
    for (at, said) in &known {
        assert!(*said <= 4 * LONGEST.as_secs(), "at {at:?}: {said} s: {seen:?}");
    }
    let holds = known.iter().filter(|(at, said)| at.as_secs() + said + 3 >= end.as_secs());
    assert!(holds.count() * 10 >= known.len() * 6, "up to {end:?}: {seen:?}");
}

const HOLDERS: usize = 90;
/// Between a connection's words.
const WORDS: Duration = Duration::from_millis(100);
/// Connections that were about to begin have begun, and some have ended.
const SETTLED: Duration = Duration::from_secs(3);
const DEADLINE_S: u64 = 12;
const LONGEST: Duration = Duration::from_secs(20);

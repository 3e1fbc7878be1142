//! Counters against a census of the table, after traffic on several CPUs with sweep and changes
//! at once. Every thread has its own programs over the same pinned maps.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(dead_code, reason = "the support of all the ring's tests")]

mod support;

use std::{
    collections::HashMap,
    env,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use xlvs_datapath::tables::{CONN_INACTIVE, CONN_REPLY, Conn, ConnKey, Word};
use xlvs_dataplane::{Dataplane, Home, Kernel, LiveCount};
use xlvs_model::{Change, Method, Server};

use support::{LOOPBACK, Pins, SECOND, WEB, at, model, prepare};

/// A small generator: which numbers does not matter, that they are the same each time does.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// One packet of one of a few clients, so that the threads meet on connections: opening, going on,
/// closing, resetting; from the client, or the server's answer.
fn packet(random: &mut Random) -> Vec<u8> {
    let client = [192, 0, 2, 1];
    let port = 2000 + u16::try_from(random.below(400)).unwrap();
    let server = [10, 1, 0, 1 + u8::try_from(random.below(2)).unwrap()];
    let from_server = random.below(4) == 0;
    let (src, dst, sport, dport) =
        if from_server { (server, client, 80, port) } else { (client, [10, 0, 0, 1], port, 80) };
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 0xfe])
        .ipv4(src, dst, 64)
        .tcp(sport, dport, 1, 1000);
    let builder = match random.below(8) {
        0..3 => builder.syn(),
        3..6 => builder.ack(1),
        6 => builder.fin().ack(1),
        _ => builder.rst(),
    };
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).unwrap();
    frame
}

fn traffic(kernel: &Kernel, seed: u64, stop: &AtomicBool) -> u64 {
    let mut random = Random(seed);
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        kernel.run_director(&packet(&mut random), Some(LOOPBACK)).unwrap();
        sent += 1;
    }
    sent
}

fn census(plane: &Dataplane<Kernel>) -> HashMap<u32, LiveCount> {
    let mut entries: Vec<(ConnKey, Conn)> = Vec::new();
    let mut cursor = None;
    loop {
        cursor = plane.home().conns(cursor, 4096, &mut entries).unwrap();
        if cursor.is_none() {
            break;
        }
    }
    let mut counts: HashMap<u32, LiveCount> = HashMap::new();
    for (_, conn) in entries {
        let word = Word(conn.word.get());
        if word.has(CONN_REPLY) {
            continue;
        }
        let count = counts.entry(word.dest()).or_default();
        if word.has(CONN_INACTIVE) {
            count.inactive += 1;
        } else {
            count.active += 1;
        }
    }
    counts
}

fn soak(method: Method, duration: Duration) {
    let pins = Pins::new();
    let mut wanted = model(method);
    let mut plane = pins.open();
    prepare(&mut plane, &wanted);
    // Answers find a way to the client.
    plane.home_mut().set_test_route(0x0900_0000_0002).unwrap();
    let service = WEB.parse().unwrap();
    let stop = AtomicBool::new(false);
    let sent: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (1..=2)
            .map(|seed| {
                let kernel = Kernel::open(&pins.options()).unwrap();
                let stop = &stop;
                scope.spawn(move || traffic(&kernel, seed, stop))
            })
            .collect();
        let (mut random, end) = (Random(77), Instant::now() + duration);
        let mut now = SECOND;
        while Instant::now() < end {
            now += random.below(20) * SECOND;
            at(&mut plane, Duration::from_nanos(now));
            let key = ["10.1.0.1:80", "10.1.0.2:80"][usize::try_from(random.below(2)).unwrap()];
            let server = key.parse().unwrap();
            let weight = u32::try_from(random.below(3)).unwrap();
            let change = match random.below(8) {
                0 => Change::DeleteServer { service, server },
                1..5 => Change::AddServer { service, server: Server::new(server, method, weight) },
                _ => Change::EditServer { service, server: Server::new(server, method, weight) },
            };
            if wanted.apply(&change).is_ok() {
                plane.apply(&wanted).unwrap();
            }
            plane.sweep(256).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert!(sent > 1000, "there was traffic: {sent}");
    let counted: u64 = plane.home().reason_counts().unwrap().iter().sum();
    assert_eq!(counted, sent, "every packet has its reason");
    let census = census(&plane);
    let scheduled = plane.service_totals(&service).unwrap().connections;
    assert!(scheduled > 100, "connections came and went: {scheduled}");
    for (slot, _) in plane.home().dests().unwrap() {
        let expected = census.get(&slot).copied().unwrap_or_default();
        assert_eq!(plane.home().live_count(slot).unwrap(), expected, "slot {slot}, {method:?}");
    }
    // And all of it goes away.
    let late = Duration::from_secs(1_000_000);
    at(&mut plane, late);
    for _ in 0..40 {
        plane.sweep(4096).unwrap();
    }
    assert_eq!(plane.usage().unwrap().entries, 0);
    let mut left = Vec::new();
    assert_eq!(plane.home().conns(None, 4096, &mut left).unwrap(), None);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn ring2_counts_equal_a_census() {
    let seconds = env::var("XLVS_SOAK_S").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    for method in [Method::Route, Method::Masq, Method::Tunnel] {
        soak(method, Duration::from_secs(seconds));
    }
}

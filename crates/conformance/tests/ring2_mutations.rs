//! Ring 2: a million mutations of valid frames of live connections through each home. Whatever
//! comes in, both agree, the counters sum to the packets, and the connections' counts to the table.
//!
//! `XLVS_MUTATIONS` plays more or fewer.
#![expect(clippy::unwrap_used, reason = "a test")]

use xlvs_conformance::{
    Flags, Given, InKernel, InMemory, L4, Options, Packet, Random, Real, Twin, traffic,
};
use xlvs_datapath::{
    state,
    tables::{ConnKey, METHOD_MASQ},
};
use xlvs_sched::Scheduler;

/// Live connections of every method, TCP and UDP, and a frame or two of each.
fn world() -> (Given, Vec<Vec<u8>>) {
    let reals = [Real::direct(1), Real::nat(2), Real::tunnel(3), Real::nat(4).local()];
    let mut given = Given::service(6, Scheduler::Wlc, &reals).and_service(
        [10, 9, 0, 1],
        53,
        17,
        Scheduler::Rr,
        &reals,
    );
    let mut frames = Vec::new();
    for (slot, dest) in (0..).zip(given.dests.clone()) {
        let tcp = dest.protocol == 6;
        for n in 0..4 {
            let sport = 40000 + n;
            given = given.conn(sport, slot, if tcp { state::ESTABLISHED } else { state::NONE });
            // One key each: the next server's connections come from other ports.
            let sport = sport + 16 * u16::try_from(slot).unwrap();
            let key = &mut given.conns;
            retarget(key, sport, dest.method == METHOD_MASQ);
            frames.extend(frames_of(sport, &dest, tcp));
        }
    }
    (given, frames)
}

/// Moves the last connection to another client port.
fn retarget(conns: &mut [(ConnKey, xlvs_conformance::Entry)], sport: u16, nat: bool) {
    let last = conns.len() - 1;
    let of = |k: ConnKey, sport, dport| ConnKey::new(k.src(), k.dst(), sport, dport, k.protocol());
    let port = sport.to_be();
    if nat {
        conns[last - 1].0 = of(conns[last - 1].0, port, conns[last - 1].0.dport());
        conns[last].0 = of(conns[last].0, conns[last].0.sport(), port);
    } else {
        conns[last].0 = of(conns[last].0, port, conns[last].0.dport());
    }
}

fn frames_of(sport: u16, dest: &xlvs_datapath::tables::Dest, tcp: bool) -> Vec<Vec<u8>> {
    let l4 = if tcp { L4::Tcp(Flags::ACK | Flags::PSH) } else { L4::Udp };
    let client = Packet::new(l4).with(|p| {
        (p.sport, p.dport) = (sport, u16::from_be(dest.vport));
    });
    let mut frames = vec![client.bytes(), client.with(|p| p.options = vec![1; 8]).bytes()];
    if dest.method == METHOD_MASQ {
        let answer = client.with(|p| {
            (p.src, p.sport) = (dest.addr.to_ne_bytes(), u16::from_be(dest.port));
            (p.dst, p.dport) = (client.src, sport);
        });
        frames.push(answer.bytes());
    }
    frames
}

#[test]
fn a_million_mutations() {
    let all: usize =
        std::env::var("XLVS_MUTATIONS").map_or(1_000_000, |text| text.parse().unwrap());
    let mut kernel = InKernel::load(Options::default());
    let mut memory = InMemory::default();
    let (given, frames) = world();
    let mut r = Random::new(7);
    let (mut left, mut on) = (all, 0);
    while left > 0 {
        let batch = left.min(BATCH);
        left -= batch;
        kernel.install(&given);
        memory.install(&given);
        for _ in 0..batch {
            let mut frame = frames[r.below(frames.len())].clone();
            traffic::spoil(&mut r, &mut frame);
            let (a, b) = (kernel.run(&frame), memory.run(&frame));
            assert!(a == b, "{frame:02x?}:\nkernel {a:?}\nmemory {b:?}");
        }
        let (a, b) = (kernel.snapshot(), memory.snapshot());
        assert_eq!(a, b, "the tables differ");
        assert_eq!(a.packets(), batch as u64, "every packet is counted once");
        assert_eq!(a.live, a.census(), "counts and table");
        on += a.stats.iter().map(|s| s.in_packets + s.out_packets).sum::<u64>();
    }
    assert!(on > all as u64 / 4, "{on} of {all} frames still belonged to a connection");
}

/// After so many the world is made anew, before damage has closed all its connections.
const BATCH: usize = 500;

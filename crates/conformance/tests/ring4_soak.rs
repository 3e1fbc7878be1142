//! Ring 4: two CPUs carry traffic of the same few connections while a third thread moves the clock,
//! sweeps, weighs servers anew, takes them out and puts them back. Afterwards every counter must
//! equal a census of the table.
//!
//! `XLVS_SOAK_SECONDS` soaks longer, `XLVS_SEED` begins elsewhere.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use xlvs_conformance::{
    CLIENT, Changes, Flags, Given, InKernel, L4, NOW, Options, Packet, Programs, Random, Real, Twin,
};
use xlvs_datapath::{
    Reason,
    tables::{DEST_AVAILABLE, DEST_USED, METHOD_MASQ, Order},
};
use xlvs_sched::Scheduler;

const TCP_SERVERS: usize = 4;

fn world() -> Given {
    let reals = [Real::nat(1), Real::nat(2), Real::direct(3), Real::tunnel(4)];
    let udp = [Real::nat(5), Real::nat(6)];
    let given = Given::service(6, Scheduler::Wlc, &reals).and_service(
        [10, 9, 0, 1],
        53,
        17,
        Scheduler::Rr,
        &udp,
    );
    // Short lives, so that entries come and go all the time.
    given.but(|g| g.settings.timeouts = [2_000_000_000; 16])
}

/// Every packet that these clients and servers may send.
fn frames(given: &Given) -> Vec<Vec<u8>> {
    let flags = [
        Flags::SYN,
        Flags::SYN,
        Flags::ACK,
        Flags::ACK,
        Flags::FIN | Flags::ACK,
        Flags::RST,
        Flags::SYN | Flags::ACK,
    ];
    let mut frames = Vec::new();
    for port in 40000..40024 {
        for flags in flags {
            let p = Packet::new(L4::Tcp(flags)).with(|p| p.sport = port);
            frames.push(p.bytes());
        }
        frames.push(Packet::new(L4::Udp).with(|p| (p.sport, p.dport) = (port, 53)).bytes());
        for dest in given.dests.iter().filter(|d| d.method == METHOD_MASQ) {
            let kinds = if dest.protocol == 6 { &flags[2..] } else { &flags[..1] };
            for flags in kinds {
                let l4 = if dest.protocol == 6 { L4::Tcp(*flags) } else { L4::Udp };
                let p = Packet::new(l4).with(|p| {
                    (p.src, p.sport) = (dest.addr.to_ne_bytes(), 8080);
                    (p.dst, p.dport) = (CLIENT, port);
                });
                frames.push(p.bytes());
            }
        }
    }
    frames
}

/// One CPU's traffic; how many packets it was.
fn traffic(
    cpu: usize,
    seed: u64,
    programs: &Programs,
    frames: &[Vec<u8>],
    end: &AtomicBool,
) -> u64 {
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
    let (mut r, mut out, mut packets) = (Random::new(seed), Vec::new(), 0);
    while !end.load(Relaxed) {
        programs.director(&frames[r.below(frames.len())], &mut out);
        packets += 1;
    }
    packets
}

/// Userspace's part, until the time is up.
fn upheaval(programs: &Programs, mut changes: Changes<'_>, given: &Given, until: Instant) -> u32 {
    let mut r = Random::new(3);
    let (mut now, mut plan, mut removed) = (NOW, 2, 0);
    while Instant::now() < until {
        now += 150_000_000;
        changes.set_now(now);
        removed += programs.sweep(&changes.conn_keys());
        if r.one_in(4) {
            // Servers leave and come back; those that stay are weighed anew.
            let next = given.clone().but(|g| {
                g.orders.truncate(TCP_SERVERS);
                g.orders.retain(|_| !r.one_in(4));
                for order in &mut g.orders {
                    order.weight = u32::from(!r.one_in(6)) * (1 + order.slot);
                }
            });
            for (slot, dest) in (0..).zip(&given.dests).take(TCP_SERVERS) {
                let serves = |order: &Order| order.slot == slot;
                let here = next.orders.iter().any(serves);
                let flags = DEST_USED | if here { DEST_AVAILABLE } else { 0 };
                changes.set_dest(slot, &xlvs_datapath::tables::Dest { flags, ..*dest });
            }
            changes.swap_plan(&next, 1, plan);
            plan = 2 + (plan - 1) % 12;
        }
    }
    removed
}

#[test]
fn counters_equal_a_census_after_a_soak() {
    let cpus = thread::available_parallelism().unwrap().get();
    assert!(cpus >= 2, "two CPUs are needed, here is one");
    let number = |name, default| {
        std::env::var(name).map_or(default, |text: String| text.parse::<u64>().unwrap())
    };
    let (seconds, seed) = (number("XLVS_SOAK_SECONDS", 4), number("XLVS_SEED", 1));
    let given = world();
    let frames = frames(&given);
    let mut kernel = InKernel::load(Options { conns: 40, ..Options::default() });
    kernel.install(&given);
    let end = AtomicBool::new(false);
    let (programs, changes) = kernel.split();
    let (packets, removed) = thread::scope(|scope| {
        let (frames, end) = (&frames, &end);
        let carry = |cpu| {
            let seed = seed + cpu as u64;
            scope.spawn(move || traffic(cpu, seed, programs, frames, end))
        };
        let carriers = [carry(0), carry(1)];
        let until = Instant::now() + Duration::from_secs(seconds);
        let removed = upheaval(programs, changes, &given, until);
        end.store(true, Relaxed);
        (carriers.map(|c| c.join().unwrap()).iter().sum::<u64>(), removed)
    });
    let after = kernel.snapshot();
    assert_eq!(after.live, after.census(), "counts and census after {packets} packets");
    assert_eq!(after.packets(), packets, "every packet is counted once");
    let count = |reason: Reason| after.reasons[reason as usize];
    let sent: u64 = [Reason::SentDirect, Reason::SentNat, Reason::SentNatReply, Reason::SentTunnel]
        .map(count)
        .iter()
        .sum();
    let stats = after.stats.iter().map(|s| s.in_packets + s.out_packets).sum::<u64>();
    assert_eq!(stats, sent, "the servers' packets are those that were sent");
    let met =
        [Reason::ServerRemoved, Reason::TableFull, Reason::SentNatReply, Reason::NoConnection];
    for reason in met {
        assert!(count(reason) > 0, "{reason} did not happen in {packets} packets");
    }
    assert!(removed > 10 && packets > 10_000, "{removed} swept, {packets} packets");
}

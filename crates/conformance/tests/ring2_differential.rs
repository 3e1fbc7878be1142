//! Ring 2: random worlds and random packets through both homes, which must agree on every frame,
//! verdict, counter and table; and on the way checksums and counts are checked by other means.
//!
//! `XLVS_SEED` begins elsewhere, `XLVS_SEQUENCES` plays more or fewer.
#![expect(clippy::unwrap_used, reason = "a test")]

use xlvs_conformance::{
    Action, Given, InKernel, InMemory, Options, Packet, Random, Twin, checksums_hold, traffic,
};
use xlvs_datapath::{Reason, tables::ConnKey};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A step of a sequence.
#[derive(Debug)]
enum Step {
    Frame(Vec<u8>),
    /// The host sends it: a server of NAT on this very host.
    Send(Vec<u8>),
    Wait(u64),
    Sweep,
    Edit(Box<Given>),
}

fn steps(r: &mut Random, given: &Given) -> Vec<Step> {
    let mut last: Option<Packet> = None;
    let mut edited = given.clone();
    let mut step = |r: &mut Random| match r.below(16) {
        0 => Step::Wait(r.of(&[100_000_000, 1_000_000_000, 70_000_000_000, 901_000_000_000])),
        1 => Step::Sweep,
        2 if r.one_in(2) => {
            traffic::edit(r, &mut edited);
            Step::Edit(Box::new(edited.clone()))
        }
        n => {
            // The same flow again, most of the time with other flags: states need that.
            let p = match &last {
                Some(p) if n < 8 => {
                    let other = traffic::packet(r, given);
                    p.with(|p| {
                        if std::mem::discriminant(&p.l4) == std::mem::discriminant(&other.l4) {
                            p.l4 = other.l4;
                        }
                        p.ttl = 64;
                    })
                }
                _ => traffic::packet(r, given),
            };
            let mut frame = p.bytes();
            let answer = p.src[1] == 1 && !p.mf && p.offset == 0 && p.trailer.is_empty();
            last = Some(p);
            if answer && r.one_in(4) {
                return Step::Send(frame);
            }
            if r.one_in(10) {
                traffic::spoil(r, &mut frame);
            }
            Step::Frame(frame)
        }
    };
    (0..30).map(|_| step(r)).collect()
}

fn take(twins: &mut [&mut dyn Twin; 2], now: &mut u64, step: &Step) -> Result<(), String> {
    match step {
        Step::Frame(frame) => {
            let ran = twins.each_mut().map(|t| t.run(frame));
            if ran[0] != ran[1] {
                return Err(format!("{frame:02x?}: {:?} and {:?}", ran[0], ran[1]));
            }
            let sent = ran[0].action != Action::Drop;
            if sent && checksums_hold(frame) && !checksums_hold(&ran[0].frame) {
                return Err(format!("wrong checksums: {frame:02x?} became {:02x?}", ran[0].frame));
            }
        }
        Step::Send(frame) => {
            let out = twins.each_mut().map(|t| t.send(frame));
            if out[0] != out[1] {
                return Err(format!("{frame:02x?}: {:02x?} and {:02x?}", out[0], out[1]));
            }
        }
        Step::Wait(time) => {
            *now += time;
            for twin in twins {
                twin.set_now(*now);
            }
        }
        Step::Edit(given) => {
            for twin in twins {
                twin.write(given);
            }
        }
        Step::Sweep => {
            let keys: Vec<ConnKey> = twins[1].snapshot().conns.into_keys().collect();
            for twin in twins {
                twin.sweep(&keys);
            }
        }
    }
    Ok(())
}

/// Plays a sequence; how often each reason was counted.
fn play(seed: u64, twins: &mut [&mut dyn Twin; 2]) -> Result<Vec<u64>, String> {
    let mut r = Random::new(seed);
    let given = traffic::world(&mut r);
    for twin in twins.iter_mut() {
        twin.install(&given);
    }
    let mut now = given.now;
    let steps = steps(&mut r, &given);
    for (i, step) in steps.iter().enumerate() {
        take(twins, &mut now, step).map_err(|what| format!("step {i}: {what}"))?;
    }
    let after = twins.each_mut().map(|t| t.snapshot());
    if after[0] != after[1] {
        return Err(format!("the tables differ:\n{:?}\n{:?}", after[0], after[1]));
    }
    if after[0].live != after[0].census() {
        return Err(format!("counts {:?}, census {:?}", after[0].live, after[0].census()));
    }
    let frames = steps.iter().filter(|s| matches!(s, Step::Frame(_))).count() as u64;
    let [after, _] = after;
    let counted = after.packets() - after.reasons[Reason::LocalNatReply as usize];
    if counted != frames {
        return Err(format!("{frames} frames, {counted} counted"));
    }
    Ok(after.reasons)
}

#[test]
fn random_sequences_leave_both_homes_alike() {
    let (from, sequences) = (number("XLVS_SEED", 1), number("XLVS_SEQUENCES", 4000));
    let mut kernel = InKernel::load(Options::default());
    let mut memory = InMemory::default();
    let mut reasons = vec![0; Reason::COUNT];
    for seed in from..from + sequences {
        match play(seed, &mut [&mut kernel, &mut memory]) {
            Ok(counts) => reasons.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n),
            Err(what) => panic!("XLVS_SEED={seed} XLVS_SEQUENCES=1: {what}"),
        }
    }
    let never = |r: &&Reason| reasons[**r as usize] == 0 && !ELSEWHERE.contains(r);
    let never: Vec<_> = Reason::ALL.iter().filter(never).collect();
    assert!(sequences < 3000 || never.is_empty(), "chance never led to {never:?}");
}

/// What needs another world (calls have theirs in `ring2_calls.rs`), two CPUs, or a driver without
/// headroom.
const ELSEWHERE: [Reason; 6] = [
    Reason::Idle,
    Reason::EntryBusy,
    Reason::NoHeadroom,
    Reason::Inconsistent,
    Reason::SentBypass,
    Reason::NoCall,
];

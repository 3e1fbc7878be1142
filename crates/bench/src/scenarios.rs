//! What is measured: a hot flow, many flows in random order, and flows that begin.

use std::cell::Cell;

use anyhow::Result;
use xlvs_wire::tcp_flag::{ACK, SYN};

use crate::{
    frames::Flow,
    object::{Object, Program},
    rounds::{Case, Effort, Random, Timing, measure},
    world::{Way, XDP_PASS, XDP_TX, establish, frame, furnish, set_timeouts, stranger},
};

/// Names of the timings; the report and the bounds find them by these.
pub(crate) const EMPTY: &str = "empty";
pub(crate) const BARE: &str = "bare look-up";
pub(crate) const BARE_ONE: &str = "bare miss + insert";
pub(crate) const BARE_TWO: &str = "bare miss + two inserts";
pub(crate) const REFERENCE: &str = "reference";
pub(crate) const DIRECT: &str = "DR";
pub(crate) const NAT: &str = "NAT, to the server";
pub(crate) const REPLY: &str = "NAT, to the client";
pub(crate) const TUNNEL: &str = "tunnel";
pub(crate) const NO_MATCH: &str = "no match";

/// A stream of frames, of flows that `flow` says.
fn stream<'a>(flags: u8, mut flow: impl FnMut() -> Flow + 'a) -> impl FnMut(&mut Vec<u8>) + 'a {
    let mut made = frame(flags, &flow());
    move |buffer| {
        buffer.clear();
        buffer.extend_from_slice(made.of(&flow()));
    }
}

/// Each round with the object loaded anew: where the kernel puts a program differs from load to
/// load, and with it how the program lies in the processor's caches, which costs some nanoseconds.
fn reloading(
    effort: &Effort,
    mut round: impl FnMut(&Effort) -> Result<Vec<Timing>>,
) -> Result<Vec<Timing>> {
    let one = Effort { rounds: 1, ..*effort };
    let mut timings = round(&one)?;
    for _ in 1..effort.rounds {
        for (timing, more) in timings.iter_mut().zip(round(&one)?) {
            timing.rounds.extend(more.rounds);
        }
    }
    Ok(timings)
}

/// One established flow of each way, whose entries stay in the nearest caches.
pub(crate) fn hot(ifindex: u32, effort: &Effort) -> Result<Vec<Timing>> {
    reloading(effort, |effort| hot_round(ifindex, effort))
}

fn hot_round(ifindex: u32, effort: &Effort) -> Result<Vec<Timing>> {
    let mut object = Object::load(1 << 20, ifindex)?;
    furnish(&mut object, ifindex)?;
    let mut servers = [0; 3];
    for way in Way::ALL {
        servers[way as usize] = establish(&object, way, 0)?;
    }
    let reply = Way::Nat.reply(0, servers[Way::Nat as usize]);
    let to = |way: Way| stream(ACK, move || way.flow(0));
    let cases = vec![
        Case::new(EMPTY, Program::Pass, XDP_PASS, to(Way::Direct)),
        Case::new(BARE, Program::BareLookup, XDP_TX, to(Way::Direct)),
        Case::new(REFERENCE, Program::Reference, XDP_TX, to(Way::Direct)),
        Case::new(DIRECT, Program::Director, XDP_TX, to(Way::Direct)),
        Case::new(NAT, Program::Director, XDP_TX, to(Way::Nat)),
        Case::new(REPLY, Program::Director, XDP_TX, stream(ACK, move || reply)),
        Case::new(TUNNEL, Program::Director, XDP_TX, to(Way::Tunnel)),
        Case::new(NO_MATCH, Program::Director, XDP_PASS, stream(ACK, || stranger(0))),
    ];
    measure(&mut object, effort, cases, |_| Ok(()))
}

/// So many established flows of one way, in random order: nothing of an entry is in a cache.
pub(crate) fn many(ifindex: u32, effort: &Effort, way: Way) -> Result<Vec<Timing>> {
    let mut object = Object::load(table_size(way, effort.flows), ifindex)?;
    furnish(&mut object, ifindex)?;
    // What idles while others are measured must not die.
    set_timeouts(&mut object, |_| HOUR)?;
    let servers = fill(&object, effort.flows, way)?;
    let flows = effort.flows;
    let to = |seed| {
        let mut random = Random::new(seed);
        stream(ACK, move || way.flow(random.below(flows)))
    };
    let mut cases = vec![
        Case::new(EMPTY, Program::Pass, XDP_PASS, to(1)),
        Case::new(BARE, Program::BareLookup, XDP_TX, to(2)),
    ];
    match way {
        Way::Direct => {
            cases.push(Case::new(REFERENCE, Program::Reference, XDP_TX, to(3)));
            cases.push(Case::new(DIRECT, Program::Director, XDP_TX, to(4)));
        }
        Way::Tunnel => cases.push(Case::new(TUNNEL, Program::Director, XDP_TX, to(4))),
        Way::Nat => {
            let mut random = Random::new(5);
            let back = move || {
                let client = random.below(flows);
                way.reply(client, servers[client as usize])
            };
            cases.push(Case::new(NAT, Program::Director, XDP_TX, to(4)));
            cases.push(Case::new(REPLY, Program::Director, XDP_TX, stream(ACK, back)));
        }
    }
    measure(&mut object, effort, cases, |_| Ok(()))
}

/// Every packet begins a flow.
pub(crate) fn fresh(ifindex: u32, effort: &Effort) -> Result<Vec<Timing>> {
    let effort = Effort { packets: effort.packets / 4, ..*effort };
    reloading(&effort, |effort| fresh_round(ifindex, effort))
}

fn fresh_round(ifindex: u32, effort: &Effort) -> Result<Vec<Timing>> {
    let mut object = Object::load(1 << 20, ifindex)?;
    furnish(&mut object, ifindex)?;
    let client = Cell::new(0);
    let to = |way: Way| {
        let client = &client;
        stream(SYN, move || {
            client.set((client.get() + 1) % CLIENTS);
            way.flow(client.get())
        })
    };
    let cases = vec![
        Case::new(EMPTY, Program::Pass, XDP_PASS, to(Way::Direct)),
        Case::new(BARE_ONE, Program::BareInsert, XDP_TX, to(Way::Direct)),
        Case::new(BARE_TWO, Program::BareInsertTwo, XDP_TX, to(Way::Nat)),
        Case::new(DIRECT, Program::Director, XDP_TX, to(Way::Direct)),
        Case::new(NAT, Program::Director, XDP_TX, to(Way::Nat)),
    ];
    measure(&mut object, effort, cases, |_| Ok(()))
}

/// Establishes `flows` connections; which server each got.
pub(crate) fn fill(object: &Object, flows: u32, way: Way) -> Result<Vec<u8>> {
    (0..flows).map(|client| establish(object, way, client)).collect()
}

/// Entries for so many connections: NAT needs two for each. Not the least power of two, as nobody
/// runs a table that is full to the last entry.
pub(crate) fn table_size(way: Way, flows: u32) -> u32 {
    let entries = if way == Way::Nat { flows * 2 } else { flows };
    entries.next_power_of_two()
}

const HOUR: u64 = 3600 * 1_000_000_000;
/// How many addresses the clients have: half of their network.
const CLIENTS: u32 = 1 << 22;

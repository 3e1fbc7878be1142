//! Functions that the verifier walks once, and not for every way that leads to them (of global
//! linkage, numbers in and out), or that need a stack of their own.

use aya_ebpf::bindings::xdp_md;
use xlvs_datapath::{
    Admission, Details, Newcomer, Reason,
    conn::Beginning,
    tables::{ConnKey, Dest, Word},
};

use crate::{
    frame::Xdp,
    maps::{Function, LIVE, Maps},
};

/// A function of its own to the verifier (of global linkage, numbers in and out), which walks it
/// once and not for every way that leads here.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn choose_server(plan: u32, scheduler: u32) -> u64 {
    xlvs_datapath::choose(&Maps(Function), plan, scheduler)
}

/// For the stack's sake: what calls it has little left.
#[inline(never)]
pub(crate) fn begin_apart(beginning: &Beginning, dest: &Dest) -> Admission {
    xlvs_datapath::conn::begin(&Maps(Function), beginning, dest)
}

/// For servers with thresholds. The number is there because the kernel wants one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn weigh_server(slot: u32, begins: u32) -> u32 {
    xlvs_datapath::conn::weigh(&Maps(Function), slot, begins != 0);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn is_server_overloaded(slot: u32) -> u32 {
    match LIVE.get(slot) {
        Some(live) => live.overloaded.get(),
        None => 0,
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn pass_gate(client: u32, now: u64, of: u64, policy: u32) -> u32 {
    xlvs_datapath::gate(&Maps(Function), client, now, of, policy)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn tally_connection(slot: u32, client: u32, begins: u32) -> u32 {
    xlvs_datapath::tally(&Maps(Function), slot, client, begins != 0);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn services_timeout(slot: u32, index: u32) -> u64 {
    xlvs_datapath::own_timeout(&Maps(Function), slot, index)
}

/// Rare, and long.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn bury_connection(addresses: u64, ports: u64, seen: u64, now: u64) -> u32 {
    let key = ConnKey::from_words(addresses, ports as u32, (ports >> 32) as u32);
    xlvs_datapath::conn::bury(&Maps(Function), &key, Word(seen), now) as u32
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn find_stray(addr: u32, port: u32, protocol: u32) -> u64 {
    xlvs_datapath::stray(&Maps(Function), addr, port as u16, protocol as u16)
}

// For the careful way: each step a function that the verifier walks once.

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn place_in_cache(of: u64, destination: u32, slot: u32) -> u32 {
    xlvs_datapath::cache_place(&Maps(Function), of, destination, slot)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn mark_newcomer(addresses: u64, flow: u64, came_by: u64) -> u32 {
    let newcomer = Newcomer { addresses, flow, came_by, seen: 0, now: 0 };
    xlvs_datapath::newcomers_mark(&Maps(Function), &newcomer)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn choose_at_random(plan: u32, seed: u64) -> u64 {
    xlvs_datapath::choose_random(&Maps(Function), plan, seed)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn choose_by_bucket(plan: u32, scheduler: u32, table: u64, key: u32) -> u64 {
    xlvs_datapath::choose_bucket(&Maps(Function), plan, scheduler, table, key)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn choose_in_bounds(plan: u32, table: u64, key: u32) -> u64 {
    xlvs_datapath::choose_bounded(&Maps(Function), plan, table, key)
}

/// Another: the message's making is long, and the frame's bounds are read anew.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn answer_sender(
    ctx: *mut xdp_md,
    now: u64,
    reason: u32,
    room: u32,
    source: u32,
) -> u32 {
    let reason = Reason::from_number(reason);
    let details = Details { room: room as u16, source };
    xlvs_datapath::answer(&mut Xdp::new(ctx), &Maps(Function), now, reason, details) as u32
}

//! What to measure against: bare look-ups, and the least that a direct-routing director can do
//! (parse, one look-up, per-CPU counters, rewrite), by hand and without anything generic.

use aya_ebpf::{
    bindings::{BPF_NOEXIST, xdp_action},
    macros::xdp,
    programs::XdpContext,
};
use xlvs_datapath::{
    Reason,
    tables::{Conn, ConnKey, Word},
};
use xlvs_wire::Macs;

use crate::maps::{CONNS, CPU, DESTS, STATS};

/// Addresses and ports where they are without options or tags.
#[inline(always)]
fn key_of(ctx: &XdpContext) -> Option<ConnKey> {
    let (d, e) = (ctx.data(), ctx.data_end());
    if d + 54 > e {
        return None;
    }
    // SAFETY: 54 bytes are there.
    let (r32, r16, r8) = (
        |o: usize| unsafe { *((d + o) as *const u32) },
        |o: usize| unsafe { *((d + o) as *const u16) },
        |o: usize| unsafe { *((d + o) as *const u8) },
    );
    Some(ConnKey::new(r32(26), r32(30), r16(34), r16(36), u32::from(r8(23))))
}

/// A look-up and a write.
#[xdp]
pub(crate) fn bare_lookup(ctx: XdpContext) -> u32 {
    let Some(key) = key_of(&ctx) else { return xdp_action::XDP_ABORTED };
    // SAFETY: elements stay readable.
    match unsafe { CONNS.get(key.words()) } {
        Some(c) => {
            c.hop.set(1);
            xdp_action::XDP_TX
        }
        None => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn bare_conn() -> Conn {
    Conn::new(0, Word(0), 0, 0)
}

/// A miss and an insertion.
#[xdp]
pub(crate) fn bare_insert(ctx: XdpContext) -> u32 {
    let Some(key) = key_of(&ctx) else { return xdp_action::XDP_ABORTED };
    // SAFETY: as above.
    if unsafe { CONNS.get(key.words()) }.is_some() {
        return xdp_action::XDP_PASS;
    }
    match CONNS.insert(key.words(), &bare_conn(), BPF_NOEXIST as u64) {
        Ok(()) => xdp_action::XDP_TX,
        Err(_) => xdp_action::XDP_DROP,
    }
}

/// A miss and two insertions, as NAT needs.
#[xdp]
pub(crate) fn bare_insert_two(ctx: XdpContext) -> u32 {
    let Some(key) = key_of(&ctx) else { return xdp_action::XDP_ABORTED };
    // SAFETY: as above.
    if unsafe { CONNS.get(key.words()) }.is_some() {
        return xdp_action::XDP_PASS;
    }
    let back = ConnKey::new(key.dst(), key.src(), key.dport(), key.sport(), key.protocol());
    let one = CONNS.insert(back.words(), &bare_conn(), BPF_NOEXIST as u64);
    match one.and(CONNS.insert(key.words(), &bare_conn(), BPF_NOEXIST as u64)) {
        Ok(()) => xdp_action::XDP_TX,
        Err(_) => xdp_action::XDP_DROP,
    }
}

/// The least that a direct-routing director can do.
#[xdp]
pub(crate) fn reference(ctx: XdpContext) -> u32 {
    try_reference(&ctx).unwrap_or(xdp_action::XDP_PASS)
}

#[inline(always)]
fn try_reference(ctx: &XdpContext) -> Option<u32> {
    let (d, e) = (ctx.data(), ctx.data_end());
    if d + 54 > e {
        return None;
    }
    // SAFETY: 54 bytes are there.
    let (r32, r16, r8) = (
        |o: usize| unsafe { *((d + o) as *const u32) },
        |o: usize| unsafe { *((d + o) as *const u16) },
        |o: usize| unsafe { *((d + o) as *const u8) },
    );
    let plain = r16(12) == 0x0800u16.to_be() && r8(14) == 0x45 && r16(20) & 0x3fffu16.to_be() == 0;
    let ttl = r8(22);
    if !plain || r8(23) != 6 || ttl <= 1 {
        return None;
    }
    let key = ConnKey::new(r32(26), r32(30), r16(34), r16(36), 6);
    // SAFETY: elements stay readable.
    let c = unsafe { CONNS.get(key.words()) }?;
    let slot = Word(c.word.get()).dest();
    let hop = &DESTS.get(slot)?.hops[0];
    if let Some(s) = STATS.get_ptr_mut(slot) {
        // SAFETY: this CPU's own copy.
        unsafe {
            (*s).in_packets += 1;
            (*s).in_bytes += u64::from(u16::from_be(r16(16)));
        }
    }
    let old = r16(24);
    let mut sum = u32::from(!old) + u32::from(!u16::from_ne_bytes([ttl, 0]));
    sum += u32::from(u16::from_ne_bytes([ttl - 1, 0]));
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    // SAFETY: within the 54 bytes.
    unsafe {
        (*(d as *mut Macs)).set(&hop.macs);
        *((d + 22) as *mut u8) = ttl - 1;
        *((d + 24) as *mut u16) = !(sum as u16);
    }
    if let Some(cpu) = CPU.get_ptr_mut(0) {
        // SAFETY: this CPU's own copy.
        unsafe { (*cpu).reasons[Reason::SentDirect as usize] += 1 }
    }
    Some(xdp_action::XDP_TX)
}

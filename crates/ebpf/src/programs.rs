//! The entry points.

use core::{ffi::c_void, mem::offset_of};

use aya_ebpf::{
    bindings::{BPF_F_PSEUDO_HDR, TC_ACT_PIPE, xdp_action, xdp_md},
    helpers::generated::{
        bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_loop, bpf_redirect, bpf_skb_store_bytes,
    },
    macros::{classifier, map, xdp},
    maps::ProgramArray,
    programs::{TcContext, XdpContext},
};
use xlvs_datapath::{Arrival, Meta, Outcome, SWEEP_KEYS, Verdict, conn::Swept};
use xlvs_wire::{Eth, Ipv4, PROTO_TCP, Tcp, Udp};

use crate::{
    frame::{Skb, Xdp},
    maps::{Maps, now},
};

/// The director: every frame that comes in. What takes no short way goes on in [`director_slow`].
#[xdp]
pub(crate) fn director(ctx: XdpContext) -> u32 {
    let arrival = arrival(&ctx);
    let tables = Maps { ctx: ctx.ctx.cast() };
    if let Some(outcome) = xlvs_datapath::fast(&mut Xdp::new(ctx.ctx), &tables, &arrival) {
        return act(outcome, &arrival);
    }
    // SAFETY: a program of the same kind, or none, which is an error and comes back.
    unsafe {
        JUMP.tail_call(&ctx, SLOW);
    }
    xdp_action::XDP_ABORTED
}

/// The whole way, behind a tail call.
#[xdp]
pub(crate) fn director_slow(ctx: XdpContext) -> u32 {
    let arrival = arrival(&ctx);
    let tables = Maps { ctx: ctx.ctx.cast() };
    act(xlvs_datapath::whole(&mut Xdp::new(ctx.ctx), &tables, &arrival), &arrival)
}

#[map]
static JUMP: ProgramArray = ProgramArray::with_max_entries(1, 0);
/// The place of [`director_slow`] in [`JUMP`].
const SLOW: u32 = 0;

#[inline(always)]
fn arrival(ctx: &XdpContext) -> Arrival {
    // SAFETY: the kernel's context is valid for the program's run.
    let ifindex = unsafe { (*ctx.ctx).ingress_ifindex };
    Arrival { now: now(), ifindex }
}

#[inline(always)]
fn act(outcome: Outcome, arrival: &Arrival) -> u32 {
    match outcome.verdict() {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
        Verdict::Send if outcome.ifindex == arrival.ifindex => xdp_action::XDP_TX,
        // SAFETY: a helper on numbers.
        Verdict::Send => unsafe { bpf_redirect(outcome.ifindex, 0) as u32 },
    }
}

/// Driven by userspace (`BPF_PROG_TEST_RUN`): expires the connections whose keys it is given; how
/// many were removed.
#[xdp]
pub(crate) fn sweep(ctx: XdpContext) -> u32 {
    let mut state = Sweeping { ctx: ctx.ctx, now: now(), removed: 0 };
    // SAFETY: the callback gets `state`, alive until the helper returns.
    unsafe {
        let callback = sweep_step as *mut c_void;
        bpf_loop(SWEEP_KEYS as u32, callback, (&raw mut state).cast(), 0);
    }
    state.removed
}

struct Sweeping {
    ctx: *mut xdp_md,
    now: u64,
    removed: u32,
}

unsafe extern "C" fn sweep_step(index: u64, state: *mut c_void) -> i64 {
    // SAFETY: `sweep` passed a Sweeping, alive on its stack.
    let s = unsafe { &mut *state.cast::<Sweeping>() };
    let tables = Maps { ctx: s.ctx.cast() };
    match xlvs_datapath::sweep(&Xdp::new(s.ctx), &tables, index as u32, s.now) {
        Some(Swept::Removed) => s.removed += 1,
        Some(Swept::Kept) => {}
        None => return 1,
    }
    0
}

/// What the host itself sends: answers of a server by NAT on this very host.
#[classifier]
pub(crate) fn reply(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    let tables = Maps { ctx: skb.cast() };
    if let Some((m, vaddr, vport)) = xlvs_datapath::local_reply(&Skb::new(skb), &tables, now()) {
        rewrite_source(skb, &m, vaddr, vport);
    }
    TC_ACT_PIPE as i32
}

/// By the kernel's helpers: a frame that the host sends may carry an unfinished checksum.
#[inline(always)]
fn rewrite_source(skb: *mut aya_ebpf::bindings::__sk_buff, m: &Meta, vaddr: u32, vport: u16) {
    const L3: usize = size_of::<Eth>();
    let checksum_at = if m.key.protocol == u32::from(PROTO_TCP) {
        m.l4 + offset_of!(Tcp, checksum)
    } else {
        m.l4 + offset_of!(Udp, checksum)
    };
    // A UDP datagram without a checksum keeps it so.
    let mangled_zero =
        if m.key.protocol == u32::from(PROTO_TCP) { 0 } else { BPF_F_MARK_MANGLED_0 };
    let pseudo = u64::from(BPF_F_PSEUDO_HDR) | mangled_zero;
    let (old, new) = (u64::from(m.key.src), u64::from(vaddr));
    let (old_port, new_port) = (u64::from(m.key.sport), u64::from(vport));
    let l3_at = (L3 + offset_of!(Ipv4, checksum)) as u32;
    let src_at = (L3 + offset_of!(Ipv4, src)) as u32;
    // SAFETY: helpers on the program's own context; they check the offsets, and the sources are on
    // the stack.
    unsafe {
        bpf_l4_csum_replace(skb, checksum_at as u32, old, new, pseudo | 4);
        bpf_l4_csum_replace(skb, checksum_at as u32, old_port, new_port, mangled_zero | 2);
        bpf_l3_csum_replace(skb, l3_at, old, new, 4);
        bpf_skb_store_bytes(skb, src_at, (&raw const vaddr).cast(), 4, 0);
        bpf_skb_store_bytes(skb, m.l4 as u32, (&raw const vport).cast(), 2, 0);
    }
}

const BPF_F_MARK_MANGLED_0: u64 = 1 << 5;

/// Nothing: the zero of measurements, and what the far end of a veth needs to take frames.
#[xdp]
pub(crate) fn pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

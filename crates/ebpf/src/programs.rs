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
use xlvs_datapath::{Arrival, Meta, Outcome, SWEEP_KEYS, Verdict, Way, conn::Swept};
use xlvs_wire::{Eth, Ipv4, PROTO_TCP, Tcp, Udp};

use crate::{
    frame::{Skb, Xdp},
    maps::{CPU, Function, Maps, Program, now},
};

/// The director: every frame that comes in. What is not of a known connection, or takes no short
/// way, goes on in one of the next two.
#[xdp]
pub(crate) fn director(ctx: XdpContext) -> u32 {
    let Some((tables, arrival)) = arrive(&ctx) else { return xdp_action::XDP_ABORTED };
    match xlvs_datapath::fast(&mut Xdp::new(ctx.ctx), &tables, &arrival) {
        Way::Done(outcome) => act(outcome, &arrival),
        Way::New => go_on(&ctx, NEW),
        _ => go_on(&ctx, SLOW),
    }
}

/// The way of packets without a connection.
#[xdp]
pub(crate) fn director_new(ctx: XdpContext) -> u32 {
    let Some((tables, arrival)) = arrive(&ctx) else { return xdp_action::XDP_ABORTED };
    match xlvs_datapath::newcomer(&mut Xdp::new(ctx.ctx), &tables, &arrival) {
        Way::Done(outcome) => act(outcome, &arrival),
        Way::Whole => go_on(&ctx, SLOW),
        _ => go_on(&ctx, RARE),
    }
}

/// The whole way of packets that have a connection.
#[xdp]
pub(crate) fn director_slow(ctx: XdpContext) -> u32 {
    let Some((tables, arrival)) = arrive(&ctx) else { return xdp_action::XDP_ABORTED };
    match xlvs_datapath::whole(&mut Xdp::new(ctx.ctx), &tables, &arrival) {
        Way::Done(outcome) => act(outcome, &arrival),
        Way::Icmp => go_on(&ctx, ICMP),
        _ => go_on(&ctx, RARE),
    }
}

/// The careful way of newcomers.
#[xdp]
pub(crate) fn director_rare(ctx: XdpContext) -> u32 {
    let Some((tables, arrival)) = arrive(&ctx) else { return xdp_action::XDP_ABORTED };
    match xlvs_datapath::rare(&mut Xdp::new(ctx.ctx), &tables, &arrival) {
        Way::Done(outcome) => act(outcome, &arrival),
        Way::Call => go_on(&ctx, SIP),
        Way::Cache => go_on(&ctx, CACHE),
        Way::Begin => go_on(&ctx, BEGIN),
        _ => go_on(&ctx, SLOW),
    }
}

/// The part of it that looks for a call in the datagram.
#[xdp]
pub(crate) fn director_sip(ctx: XdpContext) -> u32 {
    let Some((tables, arrival)) = arrive(&ctx) else { return xdp_action::XDP_ABORTED };
    match xlvs_datapath::sip(&Xdp::new(ctx.ctx), &tables, &arrival) {
        Way::Done(outcome) => act(outcome, &arrival),
        Way::Cache => go_on(&ctx, CACHE),
        _ => go_on(&ctx, BEGIN),
    }
}

/// The part of it that asks a cache.
#[xdp]
pub(crate) fn director_cache(ctx: XdpContext) -> u32 {
    let Some((tables, arrival)) = arrive(&ctx) else { return xdp_action::XDP_ABORTED };
    match xlvs_datapath::cache(&Xdp::new(ctx.ctx), &tables, &arrival) {
        Way::Done(outcome) => act(outcome, &arrival),
        _ => go_on(&ctx, BEGIN),
    }
}

/// And its end.
#[xdp]
pub(crate) fn director_begin(ctx: XdpContext) -> u32 {
    let Some((tables, arrival)) = arrive(&ctx) else { return xdp_action::XDP_ABORTED };
    act(xlvs_datapath::begin(&mut Xdp::new(ctx.ctx), &tables, &arrival), &arrival)
}

/// The way of ICMP errors.
#[xdp]
pub(crate) fn director_icmp(ctx: XdpContext) -> u32 {
    let Some((tables, arrival)) = arrive(&ctx) else { return xdp_action::XDP_ABORTED };
    match xlvs_datapath::icmp(&mut Xdp::new(ctx.ctx), &tables, &arrival) {
        Way::Done(outcome) => act(outcome, &arrival),
        _ => go_on(&ctx, RELATED),
    }
}

/// The way of those about flows that are not known.
#[xdp]
pub(crate) fn director_related(ctx: XdpContext) -> u32 {
    let Some((tables, arrival)) = arrive(&ctx) else { return xdp_action::XDP_ABORTED };
    match xlvs_datapath::related(&mut Xdp::new(ctx.ctx), &tables, &arrival) {
        Way::Done(outcome) => act(outcome, &arrival),
        Way::Cache => go_on(&ctx, CACHE),
        _ => go_on(&ctx, BEGIN),
    }
}

/// By the order of [`xlvs_datapath::JUMPS`].
#[map]
static JUMP: ProgramArray = ProgramArray::with_max_entries(xlvs_datapath::JUMPS.len() as u32, 0);
const SLOW: u32 = 0;
const NEW: u32 = 1;
const RARE: u32 = 2;
const CACHE: u32 = 3;
const BEGIN: u32 = 4;
const ICMP: u32 = 5;
const RELATED: u32 = 6;
const SIP: u32 = 7;

#[inline(always)]
fn go_on(ctx: &XdpContext, program: u32) -> u32 {
    // SAFETY: a program of the same kind, or none, which is an error and comes back.
    unsafe {
        JUMP.tail_call(ctx, program);
    }
    xdp_action::XDP_ABORTED
}

#[inline(always)]
fn arrive(ctx: &XdpContext) -> Option<(Maps<Program>, Arrival)> {
    // SAFETY: the kernel's context is valid for the program's run.
    let ifindex = unsafe { (*ctx.ctx).ingress_ifindex };
    let cpu = CPU.get_ptr_mut(0)?;
    // SAFETY: this CPU's own copy.
    let now = now(unsafe { &mut *cpu });
    Some((Maps(Program { ctx: ctx.ctx, cpu }), Arrival { now, ifindex }))
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
    let Some((_, arrival)) = arrive(&ctx) else { return 0 };
    let mut state = Sweeping { ctx: ctx.ctx, now: arrival.now, removed: 0 };
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
    let tables = Maps(Function);
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
    let Some(cpu) = CPU.get_ptr_mut(0) else { return TC_ACT_PIPE as i32 };
    // SAFETY: this CPU's own copy.
    let now = now(unsafe { &mut *cpu });
    let tables = Maps(Program { ctx: core::ptr::null_mut(), cpu });
    if let Some((m, vaddr, vport)) = xlvs_datapath::local_reply(&Skb::new(skb), &tables, now) {
        rewrite_source(skb, &m, vaddr, vport);
    }
    TC_ACT_PIPE as i32
}

/// By the kernel's helpers: a frame that the host sends may carry an unfinished checksum.
#[inline(always)]
fn rewrite_source(skb: *mut aya_ebpf::bindings::__sk_buff, m: &Meta, vaddr: u32, vport: u16) {
    const L3: usize = size_of::<Eth>();
    let checksum_at = if m.key.protocol() == u32::from(PROTO_TCP) {
        m.l4 + offset_of!(Tcp, checksum)
    } else {
        m.l4 + offset_of!(Udp, checksum)
    };
    // A UDP datagram without a checksum keeps it so.
    let mangled_zero =
        if m.key.protocol() == u32::from(PROTO_TCP) { 0 } else { BPF_F_MARK_MANGLED_0 };
    let pseudo = u64::from(BPF_F_PSEUDO_HDR) | mangled_zero;
    let (old, new) = (u64::from(m.key.src()), u64::from(vaddr));
    let (old_port, new_port) = (u64::from(m.key.sport()), u64::from(vport));
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

//! Real servers: takes packets for a virtual address out of their tunnel, as the kernel's `ipip`
//! would, which many kernels lack.

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{HashMap, PerCpuArray},
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use xlvs_wire::{ETHERTYPE_IPV4, Eth, Ipv4, PROTO_IPIP, Packet};

use crate::frame::Xdp;

const MAX_VIPS: usize = 1024;
/// Packets and bytes that came out of the tunnel, and packets in a tunnel that were not for a VIP.
const COUNTERS: usize = 3;

#[btf_map]
static DECAP_VIPS: HashMap<u32, u32, MAX_VIPS> = HashMap::new();
#[btf_map]
static DECAP_STATS: PerCpuArray<u64, COUNTERS> = PerCpuArray::new();

/// The outer header goes, the Ethernet header moves behind it, the rest is the stack's.
#[xdp]
pub(crate) fn decap(ctx: XdpContext) -> u32 {
    let _ = try_decap(&mut Xdp::new(ctx.ctx));
    xdp_action::XDP_PASS
}

#[inline(always)]
fn try_decap(p: &mut Xdp) -> Option<()> {
    const L3: usize = size_of::<Eth>();
    const OUTER: usize = size_of::<Ipv4>();
    let eth: &Eth = p.at(0)?;
    if eth.ethertype.get() != ETHERTYPE_IPV4 {
        return None;
    }
    let (dst, src) = (eth.dst.to_u64(), eth.src.to_u64());
    let outer: &Ipv4 = p.at(L3)?;
    // A whole datagram without options: what directors send.
    if outer.version_ihl != 0x45 || outer.protocol != PROTO_IPIP || outer.frag.get() & 0x3fff != 0 {
        return None;
    }
    let inner: &Ipv4 = p.at(L3 + OUTER)?;
    let (vip, len) = (inner.dst.raw(), inner.len.get());
    // SAFETY: a plain number, looked at for presence.
    if unsafe { DECAP_VIPS.get(&vip) }.is_none() {
        count(2, 1);
        return None;
    }
    p.shrink_head::<OUTER>()?;
    let eth: &mut Eth = p.at_mut(0)?;
    eth.dst.set_u64(dst);
    eth.src.set_u64(src);
    eth.ethertype.set(ETHERTYPE_IPV4);
    count(0, 1);
    count(1, u64::from(len));
    Some(())
}

#[inline(always)]
fn count(index: u32, by: u64) {
    if let Some(n) = DECAP_STATS.get_ptr_mut(index) {
        // SAFETY: this CPU's own copy.
        unsafe { *n += by }
    }
}

//! Rewriting: from a frame as it came to a frame as it goes. Checksums are changed by what changed
//! (RFC 1624), so a packet that came damaged leaves damaged.

use core::hint::black_box;

use xlvs_wire::{
    Eth, IP_DONT_FRAGMENT, Ipv4, Ipv4Longs, Mac, Macs, OuterHead, OuterTail, PROTO_IPIP, PROTO_TCP,
    Packet, Tcp, Udp,
    checksum::{self, Delta},
};

use crate::{
    Reason,
    parse::{L3, Meta},
    tables::{Hop, TUNNEL_OVERHEAD},
};

const _: () = assert!(TUNNEL_OVERHEAD as usize == size_of::<Ipv4>());

#[inline(always)]
fn set_macs<P: Packet>(p: &mut P, to: &Macs) -> Result<(), Reason> {
    let macs: &mut Macs = p.at_mut(0).ok_or(Reason::Inconsistent)?;
    macs.set(to);
    Ok(())
}

/// One hop less.
#[inline(always)]
fn decrement_ttl<P: Packet>(p: &mut P) -> Result<(), Reason> {
    hop_less(p.at_mut(L3).ok_or(Reason::Inconsistent)?);
    Ok(())
}

#[inline(always)]
fn hop_less(ip: &mut Ipv4) {
    ip.ttl = ip.ttl.wrapping_sub(1);
    ip.checksum.set_raw(checksum::one_hop_less(ip.checksum.raw()));
}

/// Direct routing: other Ethernet addresses, one hop less.
#[inline(always)]
pub(crate) fn direct<P: Packet>(p: &mut P, hop: &Hop) -> Result<Reason, Reason> {
    set_macs(p, &hop.macs)?;
    decrement_ttl(p)?;
    Ok(Reason::SentDirect)
}

/// NAT towards the server: the destination becomes `addr` and `port`. With `hop`, one hop less: a
/// sum for both.
#[inline(always)]
pub(crate) fn nat<P: Packet>(
    p: &mut P,
    m: &Meta,
    hop: bool,
    addr: u32,
    port: u16,
) -> Result<(), Reason> {
    let ip: &mut Ipv4 = p.at_mut(L3).ok_or(Reason::Inconsistent)?;
    let delta = Delta::new().long(m.key.dst(), addr);
    ip.dst.set_raw(addr);
    change_header(ip, delta, hop);
    let delta = delta.word(m.key.dport(), port);
    if m.key.protocol() == u32::from(PROTO_TCP) {
        let tcp: &mut Tcp = p.at_mut(m.l4).ok_or(Reason::Inconsistent)?;
        tcp.dport.set_raw(port);
        tcp.checksum.set_raw(delta.apply(tcp.checksum.raw()));
    } else {
        let udp: &mut Udp = p.at_mut(m.l4).ok_or(Reason::Inconsistent)?;
        udp.dport.set_raw(port);
        udp.checksum.set_raw(udp_checksum(udp.checksum.raw(), delta));
    }
    Ok(())
}

/// NAT towards the client: the source becomes the service, and one hop less.
#[inline(always)]
fn nat_back<P: Packet>(p: &mut P, m: &Meta, vaddr: u32, vport: u16) -> Result<(), Reason> {
    let ip: &mut Ipv4 = p.at_mut(L3).ok_or(Reason::Inconsistent)?;
    let delta = Delta::new().long(m.key.src(), vaddr);
    ip.src.set_raw(vaddr);
    change_header(ip, delta, true);
    let delta = delta.word(m.key.sport(), vport);
    if m.key.protocol() == u32::from(PROTO_TCP) {
        let tcp: &mut Tcp = p.at_mut(m.l4).ok_or(Reason::Inconsistent)?;
        tcp.sport.set_raw(vport);
        tcp.checksum.set_raw(delta.apply(tcp.checksum.raw()));
    } else {
        let udp: &mut Udp = p.at_mut(m.l4).ok_or(Reason::Inconsistent)?;
        udp.sport.set_raw(vport);
        udp.checksum.set_raw(udp_checksum(udp.checksum.raw(), delta));
    }
    Ok(())
}

#[inline(always)]
fn change_header(ip: &mut Ipv4, delta: Delta, hop: bool) {
    ip.ttl = ip.ttl.wrapping_sub(u8::from(hop));
    let delta = if hop { delta.hop() } else { delta };
    ip.checksum.set_raw(delta.apply(ip.checksum.raw()));
}

/// Zero says "no checksum" and stays; a computed zero is sent as all ones (RFC 768).
#[inline(always)]
fn udp_checksum(old: u16, delta: Delta) -> u16 {
    if old == 0 {
        return 0;
    }
    let new = delta.apply(old);
    if new == 0 { 0xffff } else { new }
}

/// NAT towards a server that is another host.
#[inline(always)]
pub(crate) fn nat_to<P: Packet>(
    p: &mut P,
    m: &Meta,
    hop: &Hop,
    addr: u32,
    port: u16,
) -> Result<Reason, Reason> {
    set_macs(p, &hop.macs)?;
    nat(p, m, true, addr, port)?;
    Ok(Reason::SentNat)
}

/// The way back to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Back {
    /// The neighbour.
    pub(crate) dmac: u64,
    /// Our address on that interface.
    pub(crate) smac: Mac,
    /// By which interface.
    pub(crate) ifindex: u32,
    /// The service's address.
    pub(crate) vaddr: u32,
    /// The service's port.
    pub(crate) vport: u16,
}

/// An answer on its way to the client.
#[inline(always)]
pub(crate) fn nat_reply<P: Packet>(p: &mut P, m: &Meta, back: &Back) -> Result<Reason, Reason> {
    let eth: &mut Eth = p.at_mut(0).ok_or(Reason::Inconsistent)?;
    eth.dst.set_u64(back.dmac);
    eth.src.set(&back.smac);
    nat_back(p, m, back.vaddr, back.vport)?;
    Ok(Reason::SentNatReply)
}

/// IP in IP as `ip_vs_tunnel_xmit` builds it: hop count and "don't fragment" of the inner header,
/// whose ECN bits are carried as RFC 6040 says (a mark of congestion is not copied outwards). The
/// helper that makes room costs more than all the rest, and what comes after it waits for its
/// return: what can be written before is, in the place of the old Ethernet header.
#[inline(always)]
pub(crate) fn tunnel<P: Packet>(
    p: &mut P,
    hop: &Hop,
    source: u32,
    server: u32,
) -> Result<Reason, Reason> {
    let inner: &mut Ipv4 = p.at_mut(L3).ok_or(Reason::Inconsistent)?;
    hop_less(inner);
    let [first, second, third, ..] = outer(inner, source, server).longs();
    let tail: &mut OuterTail = p.at_mut(0).ok_or(Reason::Inconsistent)?;
    tail.write(second, third, source, server);
    // Boxed, or the compiler puts off reckoning it until it is written.
    let start = black_box(OuterHead::start(first, second));
    p.grow_head::<{ size_of::<OuterHead>() }>().ok_or(Reason::NoHeadroom)?;
    let head: &mut OuterHead = p.at_mut(0).ok_or(Reason::Inconsistent)?;
    head.macs.set(&hop.macs);
    head.start.set_raw(start);
    Ok(Reason::SentTunnel)
}

#[inline(always)]
fn outer(inner: &Ipv4, source: u32, server: u32) -> NewIpv4 {
    let dont_fragment = inner.frag.get() & IP_DONT_FRAGMENT;
    // RFC 6864: an atomic datagram's identification means nothing. Others take the inner one, which
    // its sender keeps distinct, moved by who that is: two clients' fragments must not mix.
    let who = inner.src.raw() ^ inner.src.raw() >> 16;
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits")]
    let id = if dont_fragment == 0 { inner.id.raw() ^ who as u16 } else { 0 };
    NewIpv4 {
        tos: outer_tos(inner.tos),
        len: inner.len.get().wrapping_add(TUNNEL_OVERHEAD),
        id,
        frag: dont_fragment,
        ttl: inner.ttl,
        protocol: PROTO_IPIP,
        src: source,
        dst: server,
    }
}

/// `INET_ECN_encapsulate`: CE outside would be taken for a mark set on the way.
#[inline(always)]
const fn outer_tos(inner: u8) -> u8 {
    if inner & 3 == 3 { inner & !3 | 2 } else { inner }
}

/// A header to be written; `id`, `src` and `dst` in wire order.
pub(crate) struct NewIpv4 {
    pub(crate) tos: u8,
    pub(crate) len: u16,
    pub(crate) id: u16,
    pub(crate) frag: u16,
    pub(crate) ttl: u8,
    pub(crate) protocol: u8,
    pub(crate) src: u32,
    pub(crate) dst: u32,
}

impl NewIpv4 {
    /// Long by long: one write each, and few additions for the checksum.
    #[inline(always)]
    fn longs(&self) -> [u32; 5] {
        let len = self.len.to_be_bytes();
        let frag = self.frag.to_be_bytes();
        let id = self.id.to_ne_bytes();
        let mut longs = [
            u32::from_ne_bytes([0x45, self.tos, len[0], len[1]]),
            u32::from_ne_bytes([id[0], id[1], frag[0], frag[1]]),
            u32::from_ne_bytes([self.ttl, self.protocol, 0, 0]),
            self.src,
            self.dst,
        ];
        let sum = checksum::of_longs(&longs).to_ne_bytes();
        longs[2] = u32::from_ne_bytes([self.ttl, self.protocol, sum[0], sum[1]]);
        longs
    }
}

#[inline(always)]
pub(crate) fn write_ipv4<P: Packet>(p: &mut P, h: &NewIpv4) -> Result<(), Reason> {
    write_longs(p, &h.longs())
}

#[inline(always)]
fn write_longs<P: Packet>(p: &mut P, longs: &[u32; 5]) -> Result<(), Reason> {
    let ip: &mut Ipv4Longs = p.at_mut(L3).ok_or(Reason::Inconsistent)?;
    let [a, b, c, d, e] = &mut ip.0;
    a.set_raw(longs[0]);
    b.set_raw(longs[1]);
    c.set_raw(longs[2]);
    d.set_raw(longs[3]);
    e.set_raw(longs[4]);
    Ok(())
}

//! A frame's outside: what is known of a packet after one look, as offsets and numbers.

use core::mem::offset_of;

use xlvs_wire::{
    Be32, Be64, ETHERTYPE_IPV4, Eth, IP_FRAGMENT_MASK, Ipv4, PROTO_TCP, PROTO_UDP, Packet, Tcp, Udp,
};

use crate::{Reason, state::Event, tables::ConnKey};

/// Where the IP header is.
pub(crate) const L3: usize = size_of::<Eth>();

/// What is known of a packet: offsets, not pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The flow it belongs to.
    pub key: ConnKey,
    /// Where the TCP or UDP header is.
    pub l4: usize,
    /// The datagram's length by its header.
    pub ip_len: u16,
    /// Hops left.
    pub ttl: u8,
    /// Zero for UDP.
    pub tcp_flags: u8,
    /// What it says.
    pub event: Event,
}

/// Why there is no [`Meta`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMeta {
    /// None of ours: to the kernel.
    Pass(Reason),
    /// A fragment to this address.
    Fragment(u32),
}

/// The flow of a packet whose TCP or UDP header is at `l4`: the ports come first in both.
#[inline(always)]
pub(crate) fn key<P: Packet>(p: &P, l4: usize, protocol: u32) -> Option<ConnKey> {
    let addresses: &Be64 = p.at(L3 + offset_of!(Ipv4, src))?;
    let ports: &Be32 = p.at(l4)?;
    Some(ConnKey::from_words(addresses.raw(), ports.raw(), protocol))
}

/// One look at a frame.
#[inline(always)]
pub fn parse<P: Packet>(p: &P) -> Result<Meta, NoMeta> {
    let eth: &Eth = p.at(0).ok_or(NoMeta::Pass(Reason::NotIpv4))?;
    if eth.ethertype.get() != ETHERTYPE_IPV4 {
        return Err(NoMeta::Pass(Reason::NotIpv4));
    }
    let bad = NoMeta::Pass(Reason::BadHeader);
    let ip: &Ipv4 = p.at(L3).ok_or(bad)?;
    let header_len = ((ip.version_ihl & 0x0f) as usize) << 2;
    let ip_len = ip.len.get();
    if ip.version_ihl >> 4 != 4 || header_len < size_of::<Ipv4>() || L3 + ip_len as usize > p.len()
    {
        return Err(bad);
    }
    if ip.protocol != PROTO_TCP && ip.protocol != PROTO_UDP {
        return Err(NoMeta::Pass(Reason::OtherProtocol));
    }
    if ip.frag.get() & IP_FRAGMENT_MASK != 0 {
        return Err(NoMeta::Fragment(ip.dst.raw()));
    }
    let l4 = L3 + header_len;
    let (tcp_flags, need) = if ip.protocol == PROTO_TCP {
        let tcp: &Tcp = p.at(l4).ok_or(bad)?;
        (tcp.flags, size_of::<Tcp>())
    } else {
        (0, size_of::<Udp>())
    };
    if (ip_len as usize) < header_len + need {
        return Err(bad);
    }
    let protocol = u32::from(ip.protocol);
    let key = key(p, l4, protocol).ok_or(bad)?;
    let event = if protocol == u32::from(PROTO_TCP) {
        Event::of_segment(tcp_flags)
    } else {
        Event::DATAGRAM
    };
    Ok(Meta { key, l4, ip_len, ttl: ip.ttl, tcp_flags, event })
}

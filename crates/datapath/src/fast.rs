//! The way of nearly all packets: of a connection that is known, in a state that they do not
//! change, to a neighbour that is known, whole and not too long. Whatever is not so takes the whole
//! way from its beginning, so nothing is changed here before everything is known.
//!
//! It does exactly what the whole way would do; it is a program of its own in the kernel, whose few
//! instructions stay in the processor's caches.

use xlvs_wire::{
    ETHERTYPE_IPV4, Eth, IP_FRAGMENT_MASK, Ipv4, PROTO_TCP, PROTO_UDP, Packet, Tcp, tcp_flag::SYN,
};

use crate::{
    Reason, Tables, conn,
    forward::{self, Back},
    parse::{L3, Meta, key},
    pipeline::{Arrival, Outcome, count_in, count_out, present_tick},
    state::Event,
    tables::{
        CONN_DEAD, CONN_REPLY, Conn, DEST_AVAILABLE, HOP_NEIGHBOUR, Hop, METHOD_MASQ,
        METHOD_TUNNEL, Settings, Word,
    },
};

/// Where TCP or UDP begin behind an IP header without options.
const L4: usize = L3 + size_of::<Ipv4>();

/// The whole way of a packet, if it is a short one.
#[inline(always)]
pub fn fast<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Option<Outcome> {
    let s = t.settings()?;
    if s.services == 0 {
        return None;
    }
    let (ip_len, ttl, tcp_flags, event, protocol) = parse_plain(p)?;
    // The key by itself: what shares its place in memory with it is read back from there.
    let key = key(p, L4, protocol)?;
    let c = t.conn(&key)?;
    let m = Meta { key, l4: L4, ip_len, ttl, tcp_flags, event };
    let word = Word(c.word.get());
    if word.has(CONN_DEAD) || m.ttl <= 1 || c.expires.get() <= arrival.now {
        return None;
    }
    let (reason, ifindex) = if word.has(CONN_REPLY) {
        to_client(p, t, s, &m, arrival, &c, word)?
    } else {
        to_server(p, t, s, &m, arrival, &c, word)?
    };
    t.count(reason);
    Some(Outcome { reason, ifindex })
}

/// Length, hop count, flags, what they say, and protocol of a whole datagram of TCP or UDP
/// without IP options, at least as long as a TCP header needs: one comparison with the frame's
/// end is enough.
#[inline(always)]
fn parse_plain<P: Packet>(p: &P) -> Option<(u16, u8, u8, Event, u32)> {
    let tcp: &Tcp = p.at(L4)?;
    let eth: &Eth = p.at(0)?;
    let ip: &Ipv4 = p.at(L3)?;
    let ip_len = ip.len.get();
    let plain = eth.ethertype.get() == ETHERTYPE_IPV4
        && ip.version_ihl == 0x45
        && ip.frag.get() & IP_FRAGMENT_MASK == 0
        && ip_len as usize >= size_of::<Ipv4>() + size_of::<Tcp>()
        && L3 + ip_len as usize <= p.len();
    if !plain {
        return None;
    }
    let (tcp_flags, event) = match ip.protocol {
        PROTO_TCP => (tcp.flags, Event::of_segment(tcp.flags)),
        PROTO_UDP => (0, Event::DATAGRAM),
        _ => return None,
    };
    Some((ip_len, ip.ttl, tcp_flags, event, u32::from(ip.protocol)))
}

#[inline(always)]
fn to_server<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    s: &Settings,
    m: &Meta,
    arrival: &Arrival,
    c: &Conn,
    word: Word,
) -> Option<(Reason, u32)> {
    // A SYN may begin another connection.
    if m.tcp_flags & SYN != 0 || !conn::is_steady(word, m, false) {
        return None;
    }
    let dest = t.dest(word.dest())?;
    let hop: &Hop = &dest.hops[dest.hop as usize & 1];
    let method = word.method();
    if dest.flags & DEST_AVAILABLE == 0 || hop.kind != HOP_NEIGHBOUR || m.ip_len > hop.mtu {
        return None;
    }
    if method == METHOD_TUNNEL && m.ip_len > hop.mtu.saturating_sub(forward::TUNNEL_OVERHEAD) {
        return None;
    }
    conn::refresh(c, arrival.now + conn::timeout(s, m.key.protocol, word.state()));
    count_in(t, word.dest(), m, 0);
    let ifindex = hop.ifindex;
    let sent = match method {
        METHOD_MASQ => forward::nat_to(p, m, hop, dest.addr, conn::server_port(dest, m.key.dport)),
        METHOD_TUNNEL => forward::tunnel(p, m, hop, dest.tunnel_src, dest.addr),
        _ => forward::direct(p, hop),
    };
    let (Ok(reason) | Err(reason)) = sent;
    Some((reason, ifindex))
}

#[inline(always)]
fn to_client<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    s: &Settings,
    m: &Meta,
    arrival: &Arrival,
    r: &Conn,
    word: Word,
) -> Option<(Reason, u32)> {
    let (vaddr, vport, tick) = conn::origin_parts(r.origin.get());
    if tick != present_tick(s, arrival.now) || !conn::is_steady(word, m, true) {
        return None;
    }
    let dmac = r.hop.get();
    let port = t.port((dmac >> 48) as u32)?;
    if m.ip_len > port.mtu {
        return None;
    }
    conn::refresh(r, arrival.now + conn::timeout(s, m.key.protocol, word.state()));
    count_out(t, word.dest(), m);
    let back = Back { dmac, smac: port.mac, ifindex: port.ifindex, vaddr, vport };
    let (Ok(reason) | Err(reason)) = forward::nat_reply(p, m, &back);
    Some((reason, back.ifindex))
}

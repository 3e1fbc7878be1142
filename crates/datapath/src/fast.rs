//! The way of nearly all packets: of a connection that is known, in a state that they do not
//! change, to a neighbour that is known, whole and not too long. Whatever is not so takes the whole
//! way from its beginning, so nothing is changed here before everything is known.
//!
//! It does exactly what the whole way would do; it is a program of its own in the kernel, whose few
//! instructions stay in the processor's caches.

use xlvs_wire::{
    ETHERTYPE_IPV4, Eth, IP_FRAGMENT_MASK, Ipv4, PROTO_TCP, PROTO_UDP, Packet, Tcp,
    tcp_flag::{ACK, FIN, RST, SYN},
};

use crate::{
    Newcomer, Reason, Tables,
    admit::{NOT_PLAIN, admit},
    conn,
    forward::{self, Back},
    parse::{L3, Meta, key},
    pipeline::{Arrival, Outcome, count_in, count_out, present_tick},
    state::{self, Event},
    tables::{
        CONN_DEAD, CONN_NO_OUTPUT, CONN_REPLY, CONN_TIMED, Conn, Hop, METHOD_MASQ, METHOD_TUNNEL,
        Ready, Settings, Word,
    },
};

/// Where TCP or UDP begin behind an IP header without options.
const L4: usize = L3 + size_of::<Ipv4>();

/// What the short way came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To its end.
    Done(Outcome),
    /// There is no connection: [`newcomer`] is next.
    New,
    /// To nothing: the whole way is next.
    Whole,
    /// The connection is over, or its making needs care: [`rare`](crate::rare()) is next.
    Rare,
    /// To a service that keeps calls: [`sip`](crate::sip()) is next.
    Call,
    /// To a service with a cache: [`cache`](crate::cache()) is next.
    Cache,
    /// All is decided: [`begin`](crate::begin()) is next.
    Begin,
    /// No packet of TCP or UDP: [`icmp`](crate::icmp()) is next.
    Icmp,
    /// An ICMP error about an unknown flow: [`related`](crate::related()) is next.
    Related,
}

/// The way of a packet whose connection is known, if it is a short one.
#[inline(always)]
pub fn fast<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Way {
    let Some(m) = parse_plain(p) else { return Way::Whole };
    let Some(c) = t.conn(&m.key) else { return Way::New };
    match of_connection(p, t, &m, arrival, &c) {
        Some((reason, ifindex)) => done(t, reason, ifindex),
        None => Way::Whole,
    }
}

#[inline(always)]
pub(crate) fn done<T: Tables>(t: &T, reason: Reason, ifindex: u32) -> Way {
    t.count(reason);
    Way::Done(Outcome { reason, ifindex })
}

#[inline(always)]
fn of_connection<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    m: &Meta,
    arrival: &Arrival,
    c: &Conn,
) -> Option<(Reason, u32)> {
    let word = Word(c.word.get());
    if word.has(CONN_DEAD | CONN_TIMED) || c.expires.get() <= arrival.now {
        return None;
    }
    if word.has(CONN_REPLY) {
        return to_client(p, t, t.settings()?, m, arrival, c, word);
    }
    // A SYN may begin another connection.
    let steady = is_settled(word, m) || m.tcp_flags & SYN == 0 && conn::is_steady(word, m, false);
    if !steady {
        return None;
    }
    to_server(p, t, m, word, || conn::refresh_in_time(t, c, m.key.protocol(), word, arrival.now))
}

/// The way of a packet without a connection: another program in the kernel, so that the first one
/// calls no functions, which costs every packet. What the connection's making changed stands when
/// the packet then takes the whole way: it finds its connection there.
#[inline(always)]
pub fn newcomer<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Way {
    let Some(m) = parse_plain(p) else { return Way::Whole };
    let word = match admit(t, &Newcomer::of(p, t, &m, arrival, Word(0))).word() {
        Ok(word) => word,
        Err(NOT_PLAIN) => return Way::Rare,
        Err(reason) => return done(t, reason, arrival.ifindex),
    };
    match to_server(p, t, &m, word, || {}) {
        Some((reason, ifindex)) => done(t, reason, ifindex),
        None => Way::Whole,
    }
}

/// A whole datagram of TCP or UDP without IP options that may go on, at least as long as a TCP
/// header needs: one comparison with the frame's end is enough.
#[inline(always)]
fn parse_plain<P: Packet>(p: &P) -> Option<Meta> {
    let tcp: &Tcp = p.at(L4)?;
    let eth: &Eth = p.at(0)?;
    let ip: &Ipv4 = p.at(L3)?;
    let ip_len = ip.len.get();
    let plain = eth.ethertype.get() == ETHERTYPE_IPV4
        && ip.version_ihl == 0x45
        && ip.frag.get() & IP_FRAGMENT_MASK == 0
        && ip.ttl > 1
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
    let key = key(p, L4, u32::from(ip.protocol))?;
    Some(Meta { key, l4: L4, ip_len, ttl: ip.ttl, tcp_flags, event })
}

/// A segment that says nothing but ACK leaves ESTABLISHED as it is, whoever sent it: what the
/// tables of `state` say of nearly all segments.
#[inline(always)]
const fn is_settled(word: Word, m: &Meta) -> bool {
    word.state() == state::ESTABLISHED && m.tcp_flags & (SYN | FIN | RST | ACK) == ACK
}

/// Sends to the connection's server; `refresh` is called when nothing speaks against it.
#[inline(always)]
fn to_server<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    m: &Meta,
    word: Word,
    refresh: impl FnOnce(),
) -> Option<(Reason, u32)> {
    let dest = t.dest(word.dest())?;
    let (ready, method) = (Ready(dest.ready), word.method());
    if !ready.takes(method, m.ip_len) {
        return None;
    }
    let hop: &Hop = &dest.hops[ready.hop()];
    refresh();
    count_in(t, word.dest(), m);
    let ifindex = hop.ifindex;
    let sent = match method {
        METHOD_MASQ => {
            forward::nat_to(p, m, hop, dest.addr, conn::server_port(dest, m.key.dport()))
        }
        METHOD_TUNNEL => forward::tunnel(p, hop, dest.tunnel_src, dest.addr),
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
    // To the stricter table an answering SYN is news.
    let steady = is_settled(word, m) && !word.has(CONN_NO_OUTPUT)
        || conn::is_steady(word, m, true) && (m.tcp_flags & SYN == 0 || s.policy.secure() == 0);
    if tick != present_tick(s, arrival.now) || !steady {
        return None;
    }
    let dmac = r.hop.get();
    let port = t.port((dmac >> 48) as u32)?;
    if m.ip_len > port.mtu {
        return None;
    }
    conn::refresh(r, arrival.now + conn::timeout(s, m.key.protocol(), word.state()));
    count_out(t, word.dest(), m);
    let back = Back { dmac, smac: port.mac, ifindex: port.ifindex, vaddr, vport };
    let (Ok(reason) | Err(reason)) = forward::nat_reply(p, m, &back);
    Some((reason, back.ifindex))
}

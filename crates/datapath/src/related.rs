//! ICMP errors about packets of connections (`ip_vs_in_icmp`, `ip_vs_out_icmp`). What a router
//! says of a service's packet goes to the server that sent it, and what it says of a packet to a
//! server by NAT goes to the client, with the quoted addresses as that end knows them: path MTU
//! discovery lives on it. With `schedule_icmp` an error about an unknown flow finds a server, too.

use core::hint::black_box;

use xlvs_wire::{
    Be16, Be32, ICMP_DEST_UNREACHABLE, ICMP_TIME_EXCEEDED, IP_FRAGMENT_MASK, Icmp, Ipv4, Mac, Macs,
    PROTO_ICMP, PROTO_TCP, PROTO_UDP, Packet, checksum::Delta, tcp_flag::SYN,
};

use crate::{
    Newcomer, Reason, Tables,
    admit::{OTHER_HOST, may_begin},
    conn,
    fast::{Way, done},
    forward,
    parse::{L3, Meta, parse},
    pipeline::{Arrival, count_in, count_out, lives_by_answers, way_back},
    policy::POLICY_SCHEDULE_ICMP,
    rare::{serve, service_at},
    state::Event,
    tables::{
        CONN_DEAD, CONN_REPLY, Conn, ConnKey, HOP_LOCAL, HOP_NEIGHBOUR, Hop, METHOD_MASQ,
        METHOD_TUNNEL, SERVICE_CALLS, Settings, TUNNEL_OVERHEAD, Word,
    },
};

/// An ICMP error and the packet that it quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Related {
    /// Of the flow that the quoted packet answers; the ports are at `l4`, the lengths are the
    /// error's own.
    pub(crate) m: Meta,
    /// Where the quoted IP header is.
    quote: usize,
}

/// Before the quoted packet.
const ICMP: usize = size_of::<Icmp>();
/// A connection that an error began lives for so long: the kernel's, before its first state.
pub(crate) const BEFORE_STATE_NS: u64 = 3_000_000_000;
/// [`Newcomer::flow`]: an ICMP error quotes it.
pub(crate) const QUOTED: u64 = 1 << 48;
/// [`Icmp::kind`]: a router asks to send less (RFC 792).
const ICMP_SOURCE_QUENCH: u8 = 4;
/// Of [`Ipv4::frag`]: not the beginning of a datagram.
const IP_OFFSET: u16 = 0x1fff;

impl Related {
    /// None: no error about a packet of TCP or UDP whose ports can be seen.
    #[inline(always)]
    pub(crate) fn of<P: Packet>(p: &P) -> Option<Self> {
        let ip: &Ipv4 = p.at(L3)?;
        let (ip_len, ttl, to) = (ip.len.get(), ip.ttl, ip.dst.raw());
        if ip.protocol != PROTO_ICMP || ip.frag.get() & IP_FRAGMENT_MASK != 0 {
            return None;
        }
        let icmp_at = L3 + (((ip.version_ihl & 0x0f) as usize) << 2);
        let icmp: &Icmp = p.at(icmp_at)?;
        if !matches!(icmp.kind, ICMP_DEST_UNREACHABLE | ICMP_SOURCE_QUENCH | ICMP_TIME_EXCEEDED) {
            return None;
        }
        let quote = icmp_at + ICMP;
        let inner: &Ipv4 = p.at(quote)?;
        let header_len = ((inner.version_ihl & 0x0f) as usize) << 2;
        let (src, dst, protocol) = (inner.src.raw(), inner.dst.raw(), inner.protocol);
        let is_ours = inner.version_ihl >> 4 == 4
            && header_len >= size_of::<Ipv4>()
            && inner.frag.get() & IP_OFFSET == 0
            && (protocol == PROTO_TCP || protocol == PROTO_UDP)
            // An error goes to who sent the packet.
            && src == to;
        let l4 = quote + header_len;
        if !is_ours || l4 + size_of::<Be32>() > L3 + ip_len as usize {
            return None;
        }
        let ports: &Be32 = p.at(l4)?;
        let key = ConnKey::from_words(
            u64::from(dst) | u64::from(src) << 32,
            ports.raw().rotate_left(16),
            u32::from(protocol),
        );
        // No packet of the flow: it moves no state. It is scheduled as one that begins it.
        let m = Meta { key, l4, ip_len, ttl, tcp_flags: SYN, event: Event::DATAGRAM };
        Some(Self { m, quote })
    }
}

/// A packet, or one that an ICMP error quotes.
#[inline(always)]
pub(crate) fn parse_either<P: Packet>(p: &P) -> Option<(Meta, Option<Related>)> {
    match parse(p) {
        Ok(m) => Some((m, None)),
        Err(_) => Related::of(p).map(|related| (related.m, Some(related))),
    }
}

/// The way of an ICMP message.
#[inline(always)]
pub fn icmp<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Way {
    match decide(p, t, arrival) {
        Ok(way) => way,
        Err(reason) => done(t, reason, arrival.ifindex),
    }
}

#[inline(always)]
fn decide<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Result<Way, Reason> {
    let s = t.settings().ok_or(Reason::Idle)?;
    let related = &Related::of(p).ok_or(Reason::OtherProtocol)?;
    let asked = s.policy.has(POLICY_SCHEDULE_ICMP);
    let to_schedule = if asked { Ok(Way::Related) } else { Err(Reason::OtherProtocol) };
    let Some(c) = t.conn(&related.m.key) else { return to_schedule };
    let word = Word(c.word.get());
    if word.has(CONN_DEAD) {
        return Err(Reason::EntryBusy);
    }
    let (reason, ifindex) = if word.has(CONN_REPLY) {
        to_client(p, t, s, related, arrival, &c, word)?
    } else if c.expires.get() > arrival.now || lives_by_answers(t, &related.m, word, arrival.now) {
        count_in(t, word.dest(), &related.m);
        to_server(p, t, related, arrival, word)?
    } else {
        return to_schedule;
    };
    Ok(done(t, reason, ifindex))
}

/// The way of an error about a packet of no known connection, which is looked at as the packet
/// would be.
#[inline(always)]
pub fn related<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Way {
    match schedule(p, t, arrival) {
        Ok(way) => way,
        Err(reason) => done(t, reason, arrival.ifindex),
    }
}

/// Marks are not asked for: the kernel goes by that of the ICMP packet, which rules for a service's
/// ports do not give.
#[inline(always)]
fn schedule<P: Packet, T: Tables>(p: &P, t: &T, arrival: &Arrival) -> Result<Way, Reason> {
    let s = t.settings().ok_or(Reason::Idle)?;
    let notes = t.notes().ok_or(Reason::Inconsistent)?;
    let Related { m, .. } = Related::of(p).ok_or(Reason::Inconsistent)?;
    let mut seen = Word(0);
    if let Some(c) = t.conn(&m.key) {
        seen = Word(c.word.get());
        // Another CPU's packet began it meanwhile, or its next life.
        if seen.has(CONN_DEAD | CONN_REPLY) || c.expires.get() > arrival.now {
            return Err(Reason::EntryBusy);
        }
    }
    let n = Newcomer::of(p, t, &m, arrival, seen);
    let of = service_at(t, s, &n.key());
    let service = t.service(&of).ok_or(Reason::OtherProtocol)?;
    if n.came_by == OTHER_HOST {
        return Err(Reason::OtherHost);
    }
    // As the kernel: what a router quotes is no datagram of a call.
    if service.has(SERVICE_CALLS) {
        return Err(Reason::NoCall);
    }
    may_begin(s, &n.key(), SYN)?;
    serve(t, s, &n, of, &service, notes)
}

/// To the server whose packet is quoted.
#[inline(always)]
pub(crate) fn to_server<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    related: &Related,
    arrival: &Arrival,
    word: Word,
) -> Result<(Reason, u32), Reason> {
    let (m, method) = (&related.m, word.method());
    let dest = t.dest(word.dest()).ok_or(Reason::Inconsistent)?;
    let hop: &Hop = &dest.hops[dest.hop as usize & 1];
    let end = End { addr: dest.addr, port: conn::server_port(dest, m.key.dport()) };
    if hop.kind != HOP_NEIGHBOUR {
        if hop.kind != HOP_LOCAL {
            return Err(Reason::NoNeighbour);
        }
        if method != METHOD_MASQ {
            return Ok((Reason::LocalDirect, arrival.ifindex));
        }
        rewrite(p, related, &end, true)?;
        return Ok((Reason::LocalNat, arrival.ifindex));
    }
    // Nobody is told of an error (RFC 1812, 4.3.2.7).
    if m.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let overhead = if method == METHOD_TUNNEL { TUNNEL_OVERHEAD } else { 0 };
    if m.ip_len > hop.mtu.saturating_sub(overhead) {
        return Err(Reason::TooBig);
    }
    let reason = match method {
        METHOD_TUNNEL => forward::tunnel(p, hop, dest.tunnel_src, dest.addr)?,
        METHOD_MASQ => {
            forward::direct(p, hop)?;
            rewrite(p, related, &end, true)?;
            Reason::SentNat
        }
        _ => forward::direct(p, hop)?,
    };
    Ok((reason, hop.ifindex))
}

/// To the client whose packet is quoted, as the server by NAT got it.
#[inline(always)]
fn to_client<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    s: &Settings,
    related: &Related,
    arrival: &Arrival,
    r: &Conn,
    word: Word,
) -> Result<(Reason, u32), Reason> {
    let (m, origin) = (&related.m, r.origin.get());
    if r.expires.get() <= arrival.now {
        let c = t.conn(&conn::client_key(&m.key, origin)).ok_or(Reason::OtherProtocol)?;
        if c.expires.get() <= arrival.now || !Word(c.word.get()).is_life_of(word) {
            return Err(Reason::OtherProtocol);
        }
    }
    count_out(t, word.dest(), m);
    if m.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let (back, mtu) = way_back(t, s, r, origin, m.key.dst(), arrival)?;
    if m.ip_len > mtu {
        return Err(Reason::TooBig);
    }
    let mut dmac = Mac::default();
    dmac.set_u64(back.dmac);
    let macs = Macs::new(dmac, back.smac);
    let hop = Hop { macs, ifindex: back.ifindex, mtu, kind: HOP_NEIGHBOUR };
    forward::direct(p, &hop)?;
    rewrite(p, related, &End { addr: back.vaddr, port: back.vport }, false)?;
    Ok((Reason::SentNatReply, back.ifindex))
}

/// The end that the error is for, as it knows itself; or the service, as the client knows it.
struct End {
    addr: u32,
    port: u16,
}

/// What NAT changed in the quoted packet is changed back (`ip_vs_nat_icmp`), and the error comes
/// from or goes to the same end. The quoted transport checksum is left, as the kernel leaves it.
#[inline(always)]
fn rewrite<P: Packet>(
    p: &mut P,
    related: &Related,
    end: &End,
    to_server: bool,
) -> Result<(), Reason> {
    let ip: &mut Ipv4 = p.at_mut(L3).ok_or(Reason::Inconsistent)?;
    let field = if to_server { &mut ip.dst } else { &mut ip.src };
    let delta = Delta::new().long(field.raw(), end.addr);
    field.set_raw(end.addr);
    ip.checksum.set_raw(delta.apply(ip.checksum.raw()));
    // Hidden from the optimiser, which would see that these were looked at before; the verifier
    // has forgotten it by now.
    let quote_at = black_box(related.quote);
    let icmp_at = black_box(related.quote - ICMP);
    let port_at = black_box(related.m.l4 + if to_server { 0 } else { size_of::<Be16>() });
    let quoted: &mut Ipv4 = p.at_mut(quote_at).ok_or(Reason::Inconsistent)?;
    let field = if to_server { &mut quoted.src } else { &mut quoted.dst };
    let delta = Delta::new().long(field.raw(), end.addr);
    field.set_raw(end.addr);
    let before = quoted.checksum.raw();
    let after = delta.apply(before);
    quoted.checksum.set_raw(after);
    let delta = delta.word(before, after);
    let port: &mut Be16 = p.at_mut(port_at).ok_or(Reason::Inconsistent)?;
    let delta = delta.word(port.raw(), end.port);
    port.set_raw(end.port);
    let icmp: &mut Icmp = p.at_mut(icmp_at).ok_or(Reason::Inconsistent)?;
    icmp.checksum.set_raw(delta.apply(icmp.checksum.raw()));
    Ok(())
}

//! ICMP errors of the director's own, made in place of the packet that caused them and sent back
//! the way it came (RFC 792, RFC 1812 4.3.2). The kernel's limit holds: a thousand in a second.

use xlvs_wire::{
    ETHERTYPE_IPV4, Eth, ICMP_DEST_UNREACHABLE, ICMP_FRAG_NEEDED, ICMP_PORT_UNREACHABLE,
    ICMP_TIME_EXCEEDED, Icmp, Ipv4, PROTO_ICMP, Packet,
};

use crate::{
    Cell64, Reason, Tables,
    forward::{NewIpv4, write_ipv4},
    parse::L3,
    tick_of,
};

/// What to tell the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// No server is left.
    PortUnreachable,
    /// To a server by NAT: its packet belongs to no connection.
    Stray,
    /// The way on carries no more than this.
    FragNeeded(u16),
    /// The hop count ran out.
    TimeExceeded,
}

impl Message {
    /// The message that a reason asks for.
    #[inline(always)]
    const fn of(reason: Reason, room: u16) -> Option<Self> {
        match reason {
            Reason::SentUnreachable => Some(Self::PortUnreachable),
            Reason::SentStray => Some(Self::Stray),
            Reason::SentFragNeeded => Some(Self::FragNeeded(room)),
            Reason::SentTimeExceeded => Some(Self::TimeExceeded),
            _ => None,
        }
    }
}

/// What a message says beside its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// What the way on carries.
    pub room: u16,
    /// From whom it is, in wire order; 0: from the address that the packet was sent to.
    pub source: u32,
}

/// IP and ICMP header before what is quoted.
const OVERHEAD: usize = size_of::<Ipv4>() + size_of::<Icmp>();
/// The whole datagram stays within what every host takes (RFC 1812, 4.3.2.3), as the kernel's.
const QUOTE_MAX: usize = 576 - OVERHEAD;
/// Where the quoted packet begins.
const QUOTE: usize = L3 + OVERHEAD;
/// What the ICMP checksum covers, in whole longs.
#[expect(clippy::cast_possible_truncation, reason = "139")]
const SUM_LONGS: u32 = ((QUOTE_MAX + size_of::<Icmp>()) / 4) as u32;
/// `net.ipv4.icmp_msgs_per_sec`.
const MAX_PER_TICK: u64 = 1000;

/// Turns the packet into the error message to its sender that `reason` asks for, or says why not.
/// In the kernel a function of its own, so only numbers come in beside the packet.
#[inline(always)]
pub fn answer<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    now: u64,
    reason: Reason,
    details: Details,
) -> Reason {
    match Message::of(reason, details.room) {
        Some(message) => match try_answer(p, t, now, message, details.source) {
            Ok(sent) => sent,
            Err(silent) => silent,
        },
        None => reason,
    }
}

#[inline(always)]
fn try_answer<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    now: u64,
    message: Message,
    source: u32,
) -> Result<Reason, Reason> {
    let (kind, code, rest, sent, silent) = match message {
        Message::PortUnreachable => {
            let sent = Reason::SentUnreachable;
            (ICMP_DEST_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0, sent, Reason::NoServer)
        }
        Message::Stray => {
            let sent = Reason::SentStray;
            (ICMP_DEST_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0, sent, Reason::Stray)
        }
        Message::FragNeeded(mtu) => {
            let sent = Reason::SentFragNeeded;
            (ICMP_DEST_UNREACHABLE, ICMP_FRAG_NEEDED, u32::from(mtu), sent, Reason::TooBig)
        }
        Message::TimeExceeded => {
            (ICMP_TIME_EXCEEDED, 0, 0, Reason::SentTimeExceeded, Reason::TtlExpired)
        }
    };
    let limiter = t.limiter().ok_or(Reason::Inconsistent)?;
    if !allowed(limiter, tick_of(now)) {
        return Err(silent);
    }
    let quote = turn_around(p, source)?;
    let icmp: &mut Icmp = p.at_mut(L3 + size_of::<Ipv4>()).ok_or(Reason::Inconsistent)?;
    icmp.kind = kind;
    icmp.code = code;
    icmp.checksum.set_raw(0);
    icmp.rest.set(rest);
    let covered = size_of::<Icmp>() + quote;
    let sum = p.sum::<SUM_LONGS>(L3 + size_of::<Ipv4>(), covered).ok_or(Reason::Inconsistent)?;
    let icmp: &mut Icmp = p.at_mut(L3 + size_of::<Ipv4>()).ok_or(Reason::Inconsistent)?;
    icmp.checksum.set_raw(sum.finish());
    Ok(sent)
}

/// Makes room for the headers, cuts the quote, writes Ethernet and IP back to the sender from
/// `source`; how many bytes are quoted.
#[inline(always)]
fn turn_around<P: Packet>(p: &mut P, source: u32) -> Result<usize, Reason> {
    let eth: &Eth = p.at(0).ok_or(Reason::Inconsistent)?;
    let (us, them) = (eth.dst.to_u64(), eth.src.to_u64());
    let ip: &Ipv4 = p.at(L3).ok_or(Reason::Inconsistent)?;
    let (tos, id) = (ip.tos, ip.id.raw());
    let (src, dst) = (if source == 0 { ip.dst.raw() } else { source }, ip.src.raw());
    let whole = ip.len.get() as usize;
    p.grow_head::<OVERHEAD>().ok_or(Reason::NoHeadroom)?;
    let quote = if whole < QUOTE_MAX { whole } else { QUOTE_MAX };
    p.truncate(QUOTE + quote).ok_or(Reason::Inconsistent)?;
    let eth: &mut Eth = p.at_mut(0).ok_or(Reason::Inconsistent)?;
    eth.dst.set_u64(them);
    eth.src.set_u64(us);
    eth.ethertype.set(ETHERTYPE_IPV4);
    #[expect(clippy::cast_possible_truncation, reason = "at most 576")]
    let len = (OVERHEAD + quote) as u16;
    write_ipv4(
        p,
        &NewIpv4 {
            // icmp_send: the precedence "internetwork control" (RFC 1812, 4.3.2.5).
            tos: tos & 0x1e | 0xc0,
            len,
            id,
            frag: 0,
            ttl: 64,
            protocol: PROTO_ICMP,
            src,
            dst,
        },
    )?;
    Ok(quote)
}

/// Counts to [`MAX_PER_TICK`] anew in each tick. Two CPUs at a tick's turn may both begin it: the
/// limit is then exceeded by a message, which harms nobody.
#[inline(always)]
fn allowed(limiter: &Cell64, tick: u32) -> bool {
    let now = u64::from(tick) << 32;
    let seen = limiter.get();
    if seen & !0xffff_ffff != now {
        limiter.set(now | 1);
        return true;
    }
    if seen & 0xffff_ffff >= MAX_PER_TICK {
        return false;
    }
    limiter.add(1);
    true
}

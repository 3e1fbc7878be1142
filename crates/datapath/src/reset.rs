//! Ending a connection whose server was removed or is down: a reset to either side, at once.
//!
//! XDP sends one frame for each that came, so the client's segment goes on to the kernel's stack
//! ([`Reason::ResetBoth`](crate::Reason::ResetBoth)) and is met before it by a tc program, which
//! asks here what to send in its place. Both resets are made of the segment's own numbers: what it
//! acknowledges is the next that the client expects, and where it begins is the next that the
//! server does (RFC 9293, 3.10.7.4; RFC 5961, 3.2). A number that is no longer the next one is
//! answered with a challenge, or not at all, and the segment, which nobody acknowledged, comes
//! again with the right ones.
//!
//! Nobody's numbers are kept for that, so packets pay nothing for it. A client that sends nothing,
//! since it waits for an answer, is asked for them: see [`question`].

use core::mem::offset_of;

use xlvs_wire::{
    Be32, ETHERTYPE_IPV4, Eth, IP_DONT_FRAGMENT, Ipv4, PROTO_IPIP, PROTO_TCP, Packet, Tcp,
    checksum::{Sum, of_longs},
    tcp_flag::{ACK, RST, SYN},
};

use crate::{
    Tables, conn,
    parse::{L3, Meta, parse},
    pipeline::{fate, is_over},
    policy::Removed,
    state::Event,
    tables::{
        CONN_DEAD, CONN_REPLY, Conn, ConnKey, Dest, HOP_LOCAL, HOP_NEIGHBOUR, METHOD_MASQ,
        METHOD_TUNNEL, SETTING_REMOVED, Settings, TUNNEL_OVERHEAD, Word,
    },
};

/// What becomes of a frame that XDP let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// None of ours: to the stack.
    Leave,
    /// Ours, and what was to be done changed meanwhile: its sender repeats it.
    Drop,
    /// Resets go out in its place.
    Reset(Resets),
}

/// What both resets are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resets {
    /// The client's flow.
    key: ConnKey,
    /// The server, by its slot, and how it is reached.
    word: Word,
    /// Where the segment begins, in wire order.
    seq: u32,
    /// What it acknowledges, in wire order.
    ack: u32,
    /// From whom the frame came.
    from: u64,
    /// To whom.
    to: u64,
}

/// Where the reset to the server goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToServer {
    /// Nobody knows where.
    Nowhere,
    /// It is this host: to the stack.
    Local(Frame),
    /// Out by this interface.
    Out(u32, Frame),
    /// The same in another IP header.
    Tunnel(u32, Frame, [u32; 5]),
}

/// A reset: Ethernet header, IP header, TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// To whom; see [`Mac::to_u64`](xlvs_wire::Mac::to_u64).
    pub dmac: u64,
    /// From whom.
    pub smac: u64,
    /// The IP header, in wire order.
    pub ip: [u32; 5],
    /// The TCP header.
    pub tcp: [u32; 5],
}

/// What to do with a frame that XDP let through, and what that does to its connection: it is over.
#[inline(always)]
pub fn ingress<P: Packet, T: Tables>(p: &P, t: &T, now: u64) -> Ingress {
    let Some(s) = t.settings() else { return Ingress::Leave };
    if s.flags & SETTING_REMOVED == 0 {
        return Ingress::Leave;
    }
    let Ok(m) = parse(p) else { return Ingress::Leave };
    if m.key.protocol() != u32::from(PROTO_TCP) {
        return Ingress::Leave;
    }
    let Some(c) = t.conn(&m.key) else { return Ingress::Leave };
    let word = Word(c.word.get());
    if word.has(CONN_DEAD | CONN_REPLY) || is_over(p, t, s, &m, &c, word, now) {
        return Ingress::Leave;
    }
    let Some(dest) = t.dest(word.dest()) else { return Ingress::Leave };
    if fate(p, s, &m, dest) != Removed::Reset {
        let is_here = dest.hops[dest.hop as usize & 1].kind == HOP_LOCAL;
        return if is_here { Ingress::Leave } else { Ingress::Drop };
    }
    let Some(found) = Resets::of(p, &m, word) else { return Ingress::Drop };
    close(t, s, &m, &c, word, dest, now);
    Ingress::Reset(found)
}

/// As after a reset that was seen: the entry soon dies, and what is still under way finds it until
/// then.
#[inline(always)]
fn close<T: Tables>(t: &T, s: &Settings, m: &Meta, c: &Conn, word: Word, dest: &Dest, now: u64) {
    let reset = Meta { tcp_flags: RST, event: Event::of_segment(RST), ..*m };
    let Some(new) = conn::advance(t, c, word, &reset, false) else { return };
    let deadline = now + conn::timeout_of(t, s, m.key.protocol(), new);
    c.expires.set(deadline);
    if new.method() == METHOD_MASQ {
        conn::copy_to_reply(t, c, &conn::reply_key(&m.key, dest), deadline);
    }
}

impl Resets {
    /// None: the segment acknowledges nothing, so that no number is known.
    #[inline(always)]
    fn of<P: Packet>(p: &P, m: &Meta, word: Word) -> Option<Self> {
        let tcp: &Tcp = p.at(m.l4)?;
        let eth: &Eth = p.at(0)?;
        if tcp.flags & ACK == 0 {
            return None;
        }
        let (seq, ack) = (tcp.seq.raw(), tcp.ack.raw());
        let (from, to) = (eth.src.to_u64(), eth.dst.to_u64());
        Some(Self { key: m.key, word, seq, ack, from, to })
    }

    /// The one to the client, as its service sends it, back where the frame came from. `unfinished`
    /// as in `Segment::tcp`.
    #[inline(always)]
    pub fn to_client(&self, unfinished: bool) -> Frame {
        let segment = Segment {
            src: self.key.dst(),
            dst: self.key.src(),
            sport: self.key.dport(),
            dport: self.key.sport(),
            seq: self.ack,
            ack: 0,
            flags: RST,
        };
        segment.frame(self.from, self.to, unfinished)
    }

    /// The one to the server, as its client sends it.
    #[inline(always)]
    pub fn to_server<T: Tables>(&self, t: &T, unfinished: bool) -> ToServer {
        let Some(dest) = t.dest(self.word.dest()) else { return ToServer::Nowhere };
        let mut segment = Segment {
            src: self.key.src(),
            dst: self.key.dst(),
            sport: self.key.sport(),
            dport: self.key.dport(),
            seq: self.seq,
            ack: self.ack,
            flags: RST | ACK,
        };
        let method = self.word.method();
        if method == METHOD_MASQ {
            segment.dst = dest.addr;
            segment.dport = conn::server_port(dest, self.key.dport());
        }
        let hop = &dest.hops[dest.hop as usize & 1];
        if hop.kind == HOP_LOCAL {
            return ToServer::Local(segment.frame(self.to, self.from, unfinished));
        }
        if hop.kind != HOP_NEIGHBOUR {
            return ToServer::Nowhere;
        }
        let frame = segment.frame(hop.macs.dst().to_u64(), hop.macs.src().to_u64(), unfinished);
        if method == METHOD_TUNNEL {
            let outer = ipv4(SEGMENT + TUNNEL_OVERHEAD, PROTO_IPIP, dest.tunnel_src, dest.addr);
            return ToServer::Tunnel(hop.ifindex, frame, outer);
        }
        ToServer::Out(hop.ifindex, frame)
    }
}

/// What makes a client of this flow say what it waits for, whatever that is: a SYN with an
/// acknowledgement, as its service sends it, of no number in particular. To a connection that
/// stands a SYN is never right, so its owner answers with an acknowledgement that has the numbers
/// of both directions (RFC 5961, 4.2; before that RFC 793, 3.9, out of the window; in it, the owner
/// resets). Who knows of no connection answers with a reset. A translator or firewall that follows
/// connections lets it through, as it cannot know better itself (Linux: `TCP_CONNTRACK_IGNORE`),
/// which a reset or an acknowledgement with wrong numbers would not be sure of.
pub fn question(key: &ConnKey) -> [u8; SEGMENT as usize] {
    let segment = Segment {
        src: key.dst(),
        dst: key.src(),
        sport: key.dport(),
        dport: key.sport(),
        seq: 0,
        ack: 0,
        flags: SYN | ACK,
    };
    let Frame { ip, tcp, .. } = segment.frame(0, 0, false);
    let mut bytes = [0; SEGMENT as usize];
    for (place, long) in bytes.chunks_exact_mut(size_of::<u32>()).zip(ip.iter().chain(&tcp)) {
        place.copy_from_slice(&long.to_ne_bytes());
    }
    bytes
}

/// A segment without options and payload; all in wire order.
#[derive(Clone, Copy)]
struct Segment {
    src: u32,
    dst: u32,
    sport: u16,
    dport: u16,
    seq: u32,
    ack: u32,
    flags: u8,
}

impl Segment {
    #[inline(always)]
    fn frame(&self, dmac: u64, smac: u64, unfinished: bool) -> Frame {
        let ip = ipv4(SEGMENT, PROTO_TCP, self.src, self.dst);
        Frame { dmac, smac, ip, tcp: self.tcp(unfinished) }
    }

    /// With its checksum; or, in the place of a frame whose checksum was `unfinished`, with that of
    /// the pseudo-header alone, to which whoever sends it adds the rest.
    #[inline(always)]
    fn tcp(&self, unfinished: bool) -> [u32; 5] {
        let ports = u32::from(self.sport) | u32::from(self.dport) << 16;
        let offset = u32::from_ne_bytes([5 << 4, self.flags, 0, 0]);
        let [high, low] = TCP.to_be_bytes();
        let length = u32::from_ne_bytes([0, PROTO_TCP, high, low]);
        let pseudo = Sum::new().long(self.src).long(self.dst).long(length);
        let checksum = if unfinished {
            !pseudo.finish()
        } else {
            pseudo.long(ports).long(self.seq).long(self.ack).long(offset).finish()
        };
        [ports, self.seq, self.ack, offset, u32::from(checksum)]
    }
}

/// An IP header of ours.
#[inline(always)]
fn ipv4(len: u16, protocol: u8, src: u32, dst: u32) -> [u32; 5] {
    let (len, frag) = (len.to_be_bytes(), IP_DONT_FRAGMENT.to_be_bytes());
    let first = u32::from_ne_bytes([0x45, 0, len[0], len[1]]);
    let second = u32::from_ne_bytes([0, 0, frag[0], frag[1]]);
    let sum = of_longs(&[first, second, third(protocol, 0), src, dst]);
    [first, second, third(protocol, sum), src, dst]
}

#[inline(always)]
const fn third(protocol: u8, sum: u16) -> u32 {
    let sum = sum.to_ne_bytes();
    u32::from_ne_bytes([TTL, protocol, sum[0], sum[1]])
}

impl Frame {
    /// The Ethernet header.
    #[inline(always)]
    pub fn ethernet(&self) -> [u8; size_of::<Eth>()] {
        let (d, s) = (self.dmac.to_le_bytes(), self.smac.to_le_bytes());
        let [high, low] = ETHERTYPE_IPV4.to_be_bytes();
        [d[0], d[1], d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5], high, low]
    }
}

/// Hops that a reset of ours may go.
const TTL: u8 = 64;
/// A TCP header.
const TCP: u16 = 20;
/// IP and TCP header.
const SEGMENT: u16 = TUNNEL_OVERHEAD + TCP;
const _: () = assert!(TCP as usize == size_of::<Tcp>());
/// A reset, in bytes.
pub const RESET_BYTES: usize = L3 + SEGMENT as usize;
/// Where its TCP checksum is.
pub const RESET_CHECKSUM: usize = L3 + size_of::<Ipv4>() + offset_of!(Tcp, checksum);
const _: () = assert!(size_of::<Be32>() * 5 == size_of::<Tcp>());

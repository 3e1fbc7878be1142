//! Deciding: connection? service, scheduler, and then one `send`.

use xlvs_wire::{
    Eth, IP_DONT_FRAGMENT, Ipv4, PROTO_ICMP, PROTO_TCP, Packet, Tcp,
    tcp_flag::{RST, SYN},
};

use crate::{
    Details, Reason, Route, Tables, Verdict,
    conn::{self, Swept},
    fast::{Way, done, fast, newcomer},
    forward::{self, Back},
    parse::{L3, Meta, NoMeta, parse},
    policy::{Closing, Late, POLICY_NAT_ICMP, Removed},
    rare::{begin, cache, rare},
    related::{icmp, related},
    sip::sip,
    state,
    tables::{
        CONN_DEAD, CONN_NO_OUTPUT, CONN_REPLY, Conn, ConnKey, DEST_LEAVING, DEST_QUIESCED, Dest,
        HOP_LOCAL, HOP_NEIGHBOUR, Hop, METHOD_MASQ, METHOD_TUNNEL, SETTING_REMOVED, ServiceKey,
        Settings, Stats, TUNNEL_OVERHEAD, Word,
    },
    template,
};

/// When and where a frame came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Nanoseconds of the monotonic clock.
    pub now: u64,
    /// The interface it came by.
    pub ifindex: u32,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why, and so the verdict.
    pub reason: Reason,
    /// By which interface it goes, if it is sent.
    pub ifindex: u32,
}

/// Coarse time: about a second each.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "ticks wrap after 146 years")]
pub const fn tick_of(now: u64) -> u32 {
    (now >> 30) as u32
}

/// The tick that a way back to a client was found in, to be kept with it. Never 0, which an entry
/// is made with.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low bits are what changes")]
pub(crate) const fn present_tick(s: &Settings, now: u64) -> u16 {
    (tick_of(now).wrapping_add(s.routes) as u16) | 1
}

/// The way of a frame that came in, as the kernel's programs take it.
#[inline(always)]
pub fn director<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Outcome {
    let way = match fast(p, t, arrival) {
        Way::New => newcomer(p, t, arrival),
        way => way,
    };
    go_on(p, t, arrival, way)
}

/// The same without its short ways, for comparing.
#[inline(always)]
pub fn director_without_short_ways<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    arrival: &Arrival,
) -> Outcome {
    go_on(p, t, arrival, Way::Whole)
}

#[inline(always)]
fn go_on<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival, mut way: Way) -> Outcome {
    for _ in 0..STAGES {
        way = match way {
            Way::Done(outcome) => return outcome,
            Way::New | Way::Whole => whole(p, t, arrival),
            Way::Rare => rare(p, t, arrival),
            Way::Call => sip(p, t, arrival),
            Way::Cache => cache(p, t, arrival),
            Way::Icmp => icmp(p, t, arrival),
            Way::Related => related(p, t, arrival),
            Way::Begin => return begin(p, t, arrival),
        };
    }
    let reason = Reason::EntryBusy;
    t.count(reason);
    Outcome { reason, ifindex: arrival.ifindex }
}

/// Programs that a packet goes through at most, after the first two: the kernel allows 33.
const STAGES: u32 = 30;

/// The whole way of a packet that has a connection, or of one that is none of ours. What has none,
/// or one that is over, takes the careful way.
#[inline(always)]
pub fn whole<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Way {
    match decide(p, t, arrival) {
        Ok(way) => way,
        Err(reason) => done(t, reason, arrival.ifindex),
    }
}

#[inline(always)]
fn decide<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Result<Way, Reason> {
    let s = t.settings().ok_or(Reason::Idle)?;
    if s.services == 0 {
        return Err(Reason::Idle);
    }
    let m = match parse(p) {
        Ok(m) => m,
        Err(NoMeta::Pass(Reason::OtherProtocol)) if is_icmp(p) => return Ok(Way::Icmp),
        Err(NoMeta::Pass(reason)) => return Err(reason),
        Err(NoMeta::Fragment(addr)) => return Err(fragment(t, addr)),
    };
    let mut details = Details::default();
    match go(p, t, s, &m, arrival, &mut details) {
        Ok(Some((reason, ifindex))) => Ok(done(t, reason, ifindex)),
        Ok(None) => Ok(Way::Rare),
        Err(reason @ (Reason::SentFragNeeded | Reason::SentTimeExceeded | Reason::SentStray)) => {
            Err(t.answer(p, arrival.now, reason, details))
        }
        Err(reason) => Err(reason),
    }
}

#[inline(always)]
fn is_icmp<P: Packet>(p: &P) -> bool {
    p.at::<Ipv4>(L3).is_some_and(|ip| ip.protocol == PROTO_ICMP)
}

/// Finds the connection of a packet, and sends; None: there is none that takes it. `Err(Sent...)`
/// asks for a message to the sender, with `details`.
#[inline(always)]
fn go<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    s: &Settings,
    m: &Meta,
    arrival: &Arrival,
    details: &mut Details,
) -> Result<Option<(Reason, u32)>, Reason> {
    let Some(c) = t.conn(&m.key) else { return Ok(None) };
    let word = Word(c.word.get());
    if word.has(CONN_DEAD) {
        return Err(Reason::EntryBusy);
    }
    if word.has(CONN_REPLY) {
        return to_client(p, t, s, m, arrival, &c, word, details).map(Some);
    }
    if is_over(p, t, s, m, &c, word, arrival.now) {
        if let Some(dest) = t.dest(word.dest())
            && fate(p, s, m, dest) == Removed::Anew
        {
            t.bury(&m.key, word, arrival.now);
        }
        return Ok(None);
    }
    let dest = t.dest(word.dest()).ok_or(Reason::Inconsistent)?;
    match fate(p, s, m, dest) {
        Removed::Deliver => {}
        Removed::Reset if s.flags & SETTING_REMOVED != 0 => return Err(Reason::ResetBoth),
        _ => return Err(Reason::ServerRemoved),
    }
    follow(t, s, m, &c, word, dest, arrival.now)?;
    count_in(t, word.dest(), m);
    send(p, t, m, arrival, word, details).map(Some)
}

/// The connection takes no more packets of the client: it expired, this SYN begins another, or its
/// server was removed and what was set says that the next packet looks for another.
#[inline(always)]
pub(crate) fn is_over<P: Packet, T: Tables>(
    p: &P,
    t: &T,
    s: &Settings,
    m: &Meta,
    c: &Conn,
    word: Word,
    now: u64,
) -> bool {
    if c.expires.get() <= now && !lives_by_answers(t, m, word, now) {
        return true;
    }
    let Some(dest) = t.dest(word.dest()) else { return false };
    if m.tcp_flags & SYN != 0 {
        let closing = Closing {
            state: word.state(),
            no_output: word.has(CONN_NO_OUTPUT),
            is_controlled: c.hop.get() != 0,
            is_quiesced: dest.flags & DEST_QUIESCED != 0,
            is_leaving: dest.flags & DEST_LEAVING != 0,
        };
        if s.policy.begins_anew(closing) {
            return true;
        }
    }
    fate(p, s, m, dest) == Removed::Anew
}

/// What becomes of a client's packet by how it is with its server.
#[inline(always)]
pub(crate) fn fate<P: Packet>(p: &P, s: &Settings, m: &Meta, dest: &Dest) -> Removed {
    if dest.is_in_service() {
        return Removed::Deliver;
    }
    s.policy.late(dest.flags, late(p, m))
}

/// What a packet to a removed server is.
#[inline(always)]
fn late<P: Packet>(p: &P, m: &Meta) -> Late {
    if m.key.protocol() != u32::from(PROTO_TCP) {
        return Late::Datagram;
    }
    let header = match p.at::<Tcp>(m.l4) {
        Some(tcp) => u32::from(tcp.data_offset >> 4) * 4,
        None => 0,
    };
    #[expect(clippy::cast_possible_truncation, reason = "an offset in a header")]
    let before = (m.l4 - L3) as u32 + header;
    Late::of_segment(m.tcp_flags, u32::from(m.ip_len).saturating_sub(before))
}

/// A fragment is ours if its address has services; which one cannot be told from a later fragment.
#[inline(always)]
fn fragment<T: Tables>(t: &T, addr: u32) -> Reason {
    match t.service(&ServiceKey { addr, port: 0, protocol: 0 }) {
        Some(_) => Reason::Fragment,
        None => Reason::OtherFragment,
    }
}

/// A server's packet of a connection by NAT.
#[inline(always)]
fn to_client<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    s: &Settings,
    m: &Meta,
    arrival: &Arrival,
    r: &Conn,
    word: Word,
    details: &mut Details,
) -> Result<(Reason, u32), Reason> {
    let Some(origin) = follow_reply(t, s, m, r, word, arrival.now)? else {
        return Err(if is_stray(t, s, m, details) {
            Reason::SentStray
        } else {
            Reason::NoConnection
        });
    };
    count_out(t, word.dest(), m);
    // To the client it is sent, but of the host that it passes the server is told.
    details.source = t.dest(word.dest()).map_or(0, |dest| dest.tunnel_src);
    if m.ttl <= 1 {
        return Err(Reason::SentTimeExceeded);
    }
    let (back, mtu) = way_back(t, s, r, origin, m.key.dst(), arrival)?;
    details.room = mtu;
    if m.ip_len > mtu {
        return Err(too_long(p, t, m, arrival));
    }
    Ok((forward::nat_reply(p, m, &back)?, back.ifindex))
}

/// An answer that nobody waits for, of a server that is to be told so; the message's source is put
/// down.
#[inline(always)]
pub(crate) fn is_stray<T: Tables>(t: &T, s: &Settings, m: &Meta, details: &mut Details) -> bool {
    if !s.policy.has(POLICY_NAT_ICMP) || m.tcp_flags & RST != 0 {
        return false;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a protocol is 8 bits")]
    let found = t.stray(m.key.src(), m.key.sport(), m.key.protocol() as u16);
    #[expect(clippy::cast_possible_truncation, reason = "the address is the low half")]
    let source = found as u32;
    details.source = source;
    found != 0
}

/// The client's packet: state and expiry.
#[inline(always)]
fn follow<T: Tables>(
    t: &T,
    s: &Settings,
    m: &Meta,
    c: &Conn,
    word: Word,
    dest: &Dest,
    now: u64,
) -> Result<(), Reason> {
    if conn::is_steady_in(s, word, m, false) {
        conn::refresh_in_own_time(t, s, c, m.key.protocol(), word, now);
        return Ok(());
    }
    let new = conn::advance(t, c, word, m, false).ok_or(Reason::EntryBusy)?;
    let deadline = now + conn::timeout_of(t, s, m.key.protocol(), new);
    c.expires.set(deadline);
    if new.state() == state::ESTABLISHED {
        template::assure(t, c.hop.get(), m.key.src(), dest);
    }
    if new.method() == METHOD_MASQ {
        conn::copy_to_reply(t, c, &conn::reply_key(&m.key, dest), deadline);
    }
    Ok(())
}

/// The server's packet: state and expiry. The service's address, port and the tick of the way back;
/// None: no connection.
#[inline(always)]
fn follow_reply<T: Tables>(
    t: &T,
    s: &Settings,
    m: &Meta,
    r: &Conn,
    word: Word,
    now: u64,
) -> Result<Option<u64>, Reason> {
    let origin = r.origin.get();
    if r.expires.get() > now && conn::is_steady_in(s, word, m, true) {
        conn::refresh(r, now + conn::timeout_of(t, s, m.key.protocol(), word));
        return Ok(Some(origin));
    }
    let Some(c) = t.conn(&conn::client_key(&m.key, origin)) else { return Ok(None) };
    let authority = Word(c.word.get());
    if authority.has(CONN_DEAD) {
        return Err(Reason::EntryBusy);
    }
    let of_one = authority.is_life_of(word);
    let lives = r.expires.get() > now || c.expires.get() > now;
    if !of_one || !lives {
        return Ok(None);
    }
    let new = conn::advance(t, &c, authority, m, true).ok_or(Reason::EntryBusy)?;
    let deadline = now + conn::timeout_of(t, s, m.key.protocol(), new);
    c.expires.set(deadline);
    conn::copy_to_reply(t, &c, &m.key, deadline);
    Ok(Some(origin))
}

/// With NAT a connection lives while its answers come; another's may come by its entry now.
#[inline(always)]
pub(crate) fn lives_by_answers<T: Tables>(t: &T, m: &Meta, word: Word, now: u64) -> bool {
    if word.method() != METHOD_MASQ {
        return false;
    }
    let Some(d) = t.dest(word.dest()) else { return false };
    let Some(r) = t.conn(&conn::reply_key(&m.key, d)) else { return false };
    let w = Word(r.word.get());
    let origin = conn::origin(m.key.dst(), m.key.dport(), 0);
    let is_ours = w.has(CONN_REPLY) && w.is_life_of(word) && (r.origin.get() ^ origin) << 16 == 0;
    is_ours && r.expires.get() > now
}

/// The way to the client, as it was found in this tick or as the host's routes have it, and what it
/// carries.
#[inline(always)]
pub(crate) fn way_back<T: Tables>(
    t: &T,
    s: &Settings,
    r: &Conn,
    origin: u64,
    client: u32,
    arrival: &Arrival,
) -> Result<(Back, u16), Reason> {
    let (vaddr, vport, tick) = conn::origin_parts(origin);
    let present = present_tick(s, arrival.now);
    let mut hop = r.hop.get();
    if tick != present {
        // By the address that the client will see: routes may depend on it.
        match t.route(vaddr, client, arrival.ifindex) {
            Route::Found { port, mac } => {
                hop = mac & 0xffff_ffff_ffff | u64::from(port) << 48;
                r.hop.set(hop);
                // Not stored: the element may be another connection's by now, of another service.
                r.origin.replace(origin, conn::origin(vaddr, vport, present));
            }
            Route::NoNeighbour => {
                // Until somebody knows: back the way that the connection came by.
                if hop == 0 {
                    return Err(Reason::NoNeighbour);
                }
            }
            Route::None => return Err(Reason::NoRoute),
            Route::ForwardingOff => return Err(Reason::ForwardingOff),
        }
    }
    let port = t.port((hop >> 48) as u32).ok_or(Reason::NoRoute)?;
    Ok((Back { dmac: hop, smac: port.mac, ifindex: port.ifindex, vaddr, vport }, port.mtu))
}

#[inline(always)]
pub(crate) fn count_in<T: Tables>(t: &T, slot: u32, m: &Meta) {
    t.stats(slot, |x: &mut Stats| {
        x.in_packets += 1;
        x.in_bytes += u64::from(m.ip_len);
    });
}

#[inline(always)]
pub(crate) fn count_out<T: Tables>(t: &T, slot: u32, m: &Meta) {
    t.stats(slot, |x: &mut Stats| {
        x.out_packets += 1;
        x.out_bytes += u64::from(m.ip_len);
    });
}

/// To the connection's server.
#[inline(always)]
pub(crate) fn send<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    m: &Meta,
    arrival: &Arrival,
    word: Word,
    details: &mut Details,
) -> Result<(Reason, u32), Reason> {
    let method = word.method();
    let dest = t.dest(word.dest()).ok_or(Reason::Inconsistent)?;
    let hop: &Hop = &dest.hops[dest.hop as usize & 1];
    let port = conn::server_port(dest, m.key.dport());
    if hop.kind != HOP_NEIGHBOUR {
        if hop.kind != HOP_LOCAL {
            return Err(Reason::NoNeighbour);
        }
        if method != METHOD_MASQ {
            return Ok((Reason::LocalDirect, arrival.ifindex));
        }
        forward::nat(p, m, false, dest.addr, port)?;
        return Ok((Reason::LocalNat, arrival.ifindex));
    }
    if m.ttl <= 1 {
        return Err(Reason::SentTimeExceeded);
    }
    let overhead = if method == METHOD_TUNNEL { TUNNEL_OVERHEAD } else { 0 };
    details.room = hop.mtu.saturating_sub(overhead);
    if m.ip_len > details.room {
        return Err(too_long(p, t, m, arrival));
    }
    let reason = match method {
        METHOD_MASQ => forward::nat_to(p, m, hop, dest.addr, port)?,
        METHOD_TUNNEL => forward::tunnel(p, hop, dest.tunnel_src, dest.addr)?,
        _ => forward::direct(p, hop)?,
    };
    Ok((reason, hop.ifindex))
}

/// A packet too long for the way on: may its sender be told?
#[inline(always)]
pub(crate) fn too_long<P: Packet, T: Tables>(p: &P, t: &T, m: &Meta, arrival: &Arrival) -> Reason {
    if let Some(index) = t.port_of(arrival.ifindex)
        && let Some(port) = t.port(index)
        && m.ip_len > port.mtu
    {
        return Reason::Merged;
    }
    match p.at::<Ipv4>(L3) {
        Some(ip) if ip.frag.get() & IP_DONT_FRAGMENT != 0 => Reason::SentFragNeeded,
        _ => Reason::TooBig,
    }
}

/// A frame that the host itself sends: an answer of a server by NAT on this very host takes the
/// service's address and port, which the caller writes (the frame's checksums may be unfinished,
/// which only the kernel's helpers know to change). None: none of ours.
#[inline(always)]
pub fn local_reply<P: Packet, T: Tables>(p: &P, t: &T, now: u64) -> Option<(Meta, u32, u16)> {
    let s = t.settings()?;
    let m = parse(p).ok()?;
    let c = t.conn(&m.key)?;
    let word = Word(c.word.get());
    if word.has(CONN_DEAD) || !word.has(CONN_REPLY) {
        return None;
    }
    let (vaddr, vport, _) = conn::origin_parts(follow_reply(t, s, &m, &c, word, now).ok()??);
    count_out(t, word.dest(), &m);
    t.count(Reason::LocalNatReply);
    Some((m, vaddr, vport))
}

/// Expires the connection whose key is the `index`th behind the Ethernet header of `p`, if its time
/// has come, or by force if the header's destination is not 0. None: there are not so many keys.
#[inline(always)]
pub fn sweep<P: Packet, T: Tables>(p: &P, t: &T, index: u32, now: u64) -> Option<Swept> {
    let at = L3 + (index as usize & (SWEEP_KEYS - 1)) * size_of::<KeyBytes>();
    let forced = p.at::<Eth>(0)?.dst.to_u64() != 0;
    let key = p.at::<KeyBytes>(at)?.key();
    Some(conn::expire(t, &key, now, forced))
}

/// A [`ConnKey`] in a frame.
#[repr(C)]
#[derive(Clone, Copy)]
struct KeyBytes {
    src: xlvs_wire::Be32,
    dst: xlvs_wire::Be32,
    sport: xlvs_wire::Be16,
    dport: xlvs_wire::Be16,
    protocol: xlvs_wire::Be32,
}
#[expect(unsafe_code, reason = "a view over bytes, as those of xlvs-wire")]
// SAFETY: arrays of bytes.
unsafe impl xlvs_wire::Wire for KeyBytes {}

impl KeyBytes {
    #[inline(always)]
    fn key(&self) -> ConnKey {
        ConnKey::new(
            self.src.raw(),
            self.dst.raw(),
            self.sport.raw(),
            self.dport.raw(),
            self.protocol.raw(),
        )
    }
}

impl Outcome {
    /// What the home must do with the frame.
    #[inline(always)]
    pub const fn verdict(&self) -> Verdict {
        self.reason.verdict()
    }
}

/// Keys in a frame for [`sweep`], at most.
pub const SWEEP_KEYS: usize = 128;
const _: () = assert!(SWEEP_KEYS.is_power_of_two());

//! The careful way of a newcomer: where marks, persistence, tables, caches or the end of another
//! connection are concerned. What a site does not use is skipped by a flag; a plain newcomer never
//! comes here.

use xlvs_wire::{Mac, Macs, PROTO_TCP, PROTO_UDP, Packet};

use crate::{
    Admission, Details, Newcomer, Reason, Route, Tables,
    admit::{OTHER_HOST, event, may_begin},
    choose::{self, NO_SERVER},
    conn::{self, Beginning},
    fast::{Way, done},
    forward, gate,
    mark::{Facts, mark_of},
    parse::parse,
    pipeline::{Arrival, Outcome, count_in, is_over, is_stray, send, too_long},
    policy::{AccessKey, POLICY_ACCESS, POLICY_CACHE_BYPASS, POLICY_SERVICES},
    related::{BEFORE_STATE_NS, QUOTED, parse_either, to_server},
    state::Event,
    tables::{
        CONN_DEAD, CONN_REPLY, CONN_TIMED, ConnKey, DEST_AVAILABLE, HOP_NEIGHBOUR, Hop,
        MARK_PROTOCOL, Notes, SERVICE_CALLS, SERVICE_ONE_PACKET, SERVICE_PERSISTENT,
        SETTING_ALL_PORTS, Service, ServiceKey, Settings, Word,
    },
    template::Template,
};

/// The first part of the way of any newcomer: which service wants it, and which server it gets.
#[inline(always)]
pub fn rare<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Way {
    let mut details = Details::default();
    match decide(p, t, arrival, &mut details) {
        Ok(way) => way,
        Err(Reason::SentStray) => {
            let reason = t.answer(p, arrival.now, Reason::SentStray, details);
            done(t, reason, arrival.ifindex)
        }
        Err(reason) => done(t, reason, arrival.ifindex),
    }
}

#[inline(always)]
fn decide<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    arrival: &Arrival,
    details: &mut Details,
) -> Result<Way, Reason> {
    let s = t.settings().ok_or(Reason::Idle)?;
    let notes = t.notes().ok_or(Reason::Inconsistent)?;
    // It was parsed before, or it would not be here.
    let m = &parse(p).map_err(|_| Reason::Inconsistent)?;
    let mut seen = Word(0);
    if let Some(c) = t.conn(&m.key) {
        seen = Word(c.word.get());
        if seen.has(CONN_DEAD | CONN_REPLY) {
            return Err(Reason::EntryBusy);
        }
        // Another CPU's packet may have begun the next life meanwhile: then it is known.
        if !is_over(p, t, s, m, &c, seen, arrival.now) {
            return Ok(Way::Whole);
        }
    }
    if s.services == 0 {
        return Err(Reason::Idle);
    }
    let n = Newcomer::of(p, t, m, arrival, seen);
    if n.came_by != OTHER_HOST && is_stray(t, s, m, details) {
        return Err(Reason::SentStray);
    }
    let of = find_service(t, s, &n);
    let service = t.service(&of).ok_or(Reason::NoService)?;
    if n.came_by == OTHER_HOST {
        return Err(Reason::OtherHost);
    }
    if let Err(reason) = may_begin(s, &n.key(), n.tcp_flags()) {
        if s.policy.has(POLICY_ACCESS) {
            // Nor is the host to answer who was shut out.
            gate::pass(t, &n, &of, gate::ACCESS_ONLY)?;
        }
        if reason == Reason::NoConnection && bypasses(s, of) {
            // It may be of a flow that was sent on before: none of these has an entry.
            notes.service.set(of.pack());
            notes.seen.set(0);
            notes.slot.set(NO_SERVER);
            return Ok(Way::Begin);
        }
        return Err(reason);
    }
    serve(t, s, &n, of, &service, notes)
}

/// A service whose packets go on to where their client sent them when no server is left: one of a
/// mark (`ip_vs_leave`).
#[inline(always)]
const fn bypasses(s: &Settings, of: ServiceKey) -> bool {
    s.policy.has(POLICY_CACHE_BYPASS) && of.protocol == MARK_PROTOCOL
}

/// Which server a newcomer gets that a service wants.
#[inline(always)]
pub(crate) fn serve<T: Tables>(
    t: &T,
    s: &Settings,
    n: &Newcomer,
    of: ServiceKey,
    service: &Service,
    notes: &Notes,
) -> Result<Way, Reason> {
    if s.policy.limits() || service.policy != 0 {
        gate::pass(t, n, &of, service.policy)?;
    }
    notes.service.set(of.pack());
    notes.seen.set(n.seen);
    notes.template.set(0);
    notes.call.set(0);
    if service.has(SERVICE_CALLS) {
        return Ok(Way::Call);
    }
    Ok(keep_or_choose(t, s, n, of, service, notes))
}

/// The server of its template, if there is one, or of the scheduler.
#[inline(always)]
pub(crate) fn keep_or_choose<T: Tables>(
    t: &T,
    s: &Settings,
    n: &Newcomer,
    of: ServiceKey,
    service: &Service,
    notes: &Notes,
) -> Way {
    if service.has(SERVICE_PERSISTENT) {
        let template = Template::of(n, of, service, notes.call.get()).valid(t, s);
        if template != 0 {
            notes.template.set(template);
            notes.slot.set(u64::from(Word(template).dest()));
            return Way::Begin;
        }
    }
    match choose::by_kind(t, n, service) {
        Some(slot) => {
            notes.slot.set(slot);
            Way::Begin
        }
        None => Way::Cache,
    }
}

/// Is this the address and the port of a server by NAT (`ip_vs_has_real_service`)? Then what comes
/// from there and belongs to no connection is an answer that nobody waits for: our own address on
/// the way there, and the bit above it. Else 0.
#[inline(always)]
pub fn stray<T: Tables>(t: &T, addr: u32, port: u16, protocol: u16) -> u64 {
    let slot = t.access(&AccessKey::of_server(protocol, addr, port));
    match t.dest(slot.wrapping_sub(1)) {
        Some(dest) if slot != 0 => u64::from(dest.tunnel_src) | 1 << 32,
        _ => 0,
    }
}

/// Between the parts, where a cache is asked which server it is.
#[inline(always)]
pub fn cache<P: Packet, T: Tables>(p: &P, t: &T, arrival: &Arrival) -> Way {
    let (Some(notes), Some((m, _))) = (t.notes(), parse_either(p)) else {
        return done(t, Reason::Inconsistent, arrival.ifindex);
    };
    let of = notes.service.get();
    let Some(service) = t.service(&ServiceKey::unpack(of)) else {
        return done(t, Reason::NoService, arrival.ifindex);
    };
    let (plan, scheduler) = (service.plan, service.scheduler_number());
    notes.slot.set(choose::choose_cached(t, plan, scheduler, of, m.key.dst(), arrival.now));
    Way::Begin
}

/// The last part: makes the connection that was decided, and sends.
#[inline(always)]
pub fn begin<P: Packet, T: Tables>(p: &mut P, t: &T, arrival: &Arrival) -> Outcome {
    let mut details = Details::default();
    let (reason, ifindex) = match try_begin(p, t, arrival, &mut details) {
        Ok(sent) => sent,
        // Nobody is told of an error (RFC 1812, 4.3.2.7).
        Err(Reason::SentUnreachable) if parse(p).is_err() => (Reason::NoServer, arrival.ifindex),
        Err(
            reason @ (Reason::SentUnreachable | Reason::SentFragNeeded | Reason::SentTimeExceeded),
        ) => (t.answer(p, arrival.now, reason, details), arrival.ifindex),
        Err(reason) => (reason, arrival.ifindex),
    };
    t.count(reason);
    Outcome { reason, ifindex }
}

#[inline(always)]
fn try_begin<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    arrival: &Arrival,
    details: &mut Details,
) -> Result<(Reason, u32), Reason> {
    let admission = match decided(p, t, arrival) {
        Ok(admission) => admission,
        Err(Reason::SentBypass) => return bypass(p, t, arrival, details),
        Err(reason) => return Err(reason),
    };
    let word = admission.word()?;
    // Parsed again: what is kept in mind meanwhile takes room on the kernel's short stack.
    let (m, related) = &parse_either(p).ok_or(Reason::Inconsistent)?;
    if admission.is_ours() {
        limits_count(t, word, m.key.src());
    }
    count_in(t, word.dest(), m);
    match related {
        Some(related) => to_server(p, t, related, arrival, word),
        None => send(p, t, m, arrival, word, details),
    }
}

/// By the host's routes to where the client sent it (`ip_vs_bypass_xmit`). No entry says so: what
/// comes next goes the same way, as long as no server is there.
#[inline(always)]
fn bypass<P: Packet, T: Tables>(
    p: &mut P,
    t: &T,
    arrival: &Arrival,
    details: &mut Details,
) -> Result<(Reason, u32), Reason> {
    let m = &parse(p).map_err(|_| Reason::Inconsistent)?;
    let (port, mac) = match t.route(m.key.src(), m.key.dst(), arrival.ifindex) {
        Route::Found { port, mac } => (port, mac),
        Route::NoNeighbour => return Err(Reason::NoNeighbour),
        Route::ForwardingOff => return Err(Reason::ForwardingOff),
        // Nowhere, or to an address of the host's own.
        Route::None => return Err(Reason::SentUnreachable),
    };
    let port = t.port(u32::from(port)).ok_or(Reason::NoRoute)?;
    if m.ttl <= 1 {
        return Err(Reason::SentTimeExceeded);
    }
    details.room = port.mtu;
    if m.ip_len > port.mtu {
        return Err(too_long(p, t, m, arrival));
    }
    let mut dmac = Mac::default();
    dmac.set_u64(mac);
    let macs = Macs::new(dmac, port.mac);
    let hop = Hop { macs, ifindex: port.ifindex, mtu: port.mtu, kind: HOP_NEIGHBOUR };
    forward::direct(p, &hop)?;
    Ok((Reason::SentBypass, hop.ifindex))
}

/// A connection began, maybe in the place of another.
#[inline(always)]
fn limits_count<T: Tables>(t: &T, word: Word, client: u32) {
    let (Some(s), Some(notes)) = (t.settings(), t.notes()) else { return };
    if s.policy.conn_max == 0 && !s.policy.has(POLICY_SERVICES) {
        return;
    }
    t.tally(word.dest(), client, true);
    let old = Word(notes.seen.get());
    if old.0 != 0 {
        t.tally(old.dest(), client, false);
    }
}

/// The connection that was decided.
#[inline(always)]
fn decided<P: Packet, T: Tables>(p: &P, t: &T, arrival: &Arrival) -> Result<Admission, Reason> {
    let s = t.settings().ok_or(Reason::Idle)?;
    let notes = t.notes().ok_or(Reason::Inconsistent)?;
    let (m, related) = &parse_either(p).ok_or(Reason::Inconsistent)?;
    let slot = notes.slot.get();
    if slot == NO_SERVER {
        conn::end(t, &m.key, Word(notes.seen.get()), arrival.now);
        let of = ServiceKey::unpack(notes.service.get());
        let goes_on = related.is_none() && bypasses(s, of);
        return Err(if goes_on { Reason::SentBypass } else { Reason::SentUnreachable });
    }
    let of = ServiceKey::unpack(notes.service.get());
    let service = t.service(&of).ok_or(Reason::NoService)?;
    let mut n = Newcomer::of(p, t, m, arrival, Word(notes.seen.get()));
    if related.is_some() {
        n.flow |= QUOTED;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a slot is 32 bits")]
    let slot = slot as u32;
    if service.has(SERVICE_PERSISTENT) {
        let template = Template::of(&n, of, &service, notes.call.get());
        let mut word = Word(notes.template.get());
        if word.0 == 0 {
            word = template.make(t, slot).word()?;
        }
        template.put_off(t);
        connect(t, s, &n, word.dest(), &service, template.control(word))
    } else {
        connect(t, s, &n, slot, &service, 0)
    }
}

/// Which service wants the packet, in the kernel's order (`ip_vs_service_find`): its mark's, its
/// own, FTP's for a port that FTP may have opened, and one for all ports.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn find_service<T: Tables>(t: &T, s: &Settings, n: &Newcomer) -> ServiceKey {
    let key = n.key();
    if s.marks & 0xffff != 0 {
        let mark = t.mark(n);
        let of = ServiceKey { addr: mark.to_be(), port: 0, protocol: MARK_PROTOCOL };
        if mark != 0 && t.service(&of).is_some() {
            return of;
        }
    }
    service_at(t, s, &key)
}

/// The same without marks.
#[inline(always)]
pub(crate) fn service_at<T: Tables>(t: &T, s: &Settings, key: &ConnKey) -> ServiceKey {
    #[expect(clippy::cast_possible_truncation, reason = "a protocol is 8 bits")]
    let own = ServiceKey { addr: key.dst(), port: key.dport(), protocol: key.protocol() as u16 };
    if s.flags & SETTING_ALL_PORTS == 0 || t.service(&own).is_some() {
        return own;
    }
    let port = u16::from_be(key.dport());
    let ftp = ServiceKey { port: FTP.to_be(), ..own };
    let may_be_ftp = key.protocol() == u32::from(PROTO_TCP) && (port == FTP_DATA || port >= 1024);
    if may_be_ftp && t.service(&ftp).is_some() {
        return ftp;
    }
    ServiceKey { port: 0, ..own }
}

/// The mark that the rules give a newcomer.
#[inline(always)]
pub fn mark<T: Tables>(t: &T, n: &Newcomer) -> u32 {
    let Some(s) = t.settings() else { return 0 };
    let key = n.key();
    let ifindex = match t.port((n.came_by >> 48) as u32) {
        Some(port) if n.came_by != 0 && n.came_by != OTHER_HOST => port.ifindex,
        _ => 0,
    };
    let facts = Facts {
        smac: n.came_by & 0xffff_ffff_ffff,
        src: key.src(),
        dst: key.dst(),
        ifindex,
        protocol: key.protocol(),
        sport: u16::from_be(key.sport()),
        dport: u16::from_be(key.dport()),
        portless: 0,
    };
    mark_of(&Marks { t, first: s.marks >> 16, count: s.marks & 0xffff }, facts)
}

/// The rules of the tables.
struct Marks<'a, T> {
    t: &'a T,
    first: u32,
    count: u32,
}

impl<T: Tables> crate::mark::MarkRules for Marks<'_, T> {
    #[inline(always)]
    fn scan_marks<V: crate::mark::VisitMark>(&self, visitor: V) -> V {
        self.t.scan_marks(self.first, self.count, visitor)
    }
}

/// Begins the connection to a slot; `control` names the template it belongs to.
#[inline(always)]
fn connect<T: Tables>(
    t: &T,
    s: &Settings,
    n: &Newcomer,
    slot: u32,
    service: &Service,
    control: u64,
) -> Result<Admission, Reason> {
    let key = n.key();
    let dest = t.dest(slot).ok_or(Reason::Inconsistent)?;
    if dest.flags & DEST_AVAILABLE == 0 {
        return Err(Reason::ServerRemoved);
    }
    let is_quoted = n.flow & QUOTED != 0;
    let event = if is_quoted { Event::DATAGRAM } else { event(&key, n.tcp_flags()) };
    let mut first = conn::first_word(event, dest.method, slot, s.policy.secure());
    if service.has(SERVICE_ONE_PACKET) && key.protocol() == u32::from(PROTO_UDP) {
        t.stats(slot, |x| x.connections += 1);
        conn::weigh_one_packet(t, slot);
        return Ok(Admission(first.0));
    }
    let mut timeout = conn::timeout(s, key.protocol(), first.state());
    if service.policy != 0 {
        let own = t.own_timeout(slot, gate::ANY_TIMEOUT);
        if own != 0 {
            first = first.with(first.state(), first.flags() | CONN_TIMED);
            timeout = conn::timeout_of(t, s, key.protocol(), first);
        }
    }
    let deadline = n.now + if is_quoted { BEFORE_STATE_NS } else { timeout };
    let beginning = Beginning {
        key,
        first,
        deadline,
        now: n.now,
        seen: Word(n.seen),
        came_by: n.came_by,
        control,
    };
    Ok(t.begin(&beginning, dest))
}

/// FTP's control connection.
const FTP: u16 = 21;
/// And its data connection, from a server.
const FTP_DATA: u16 = 20;

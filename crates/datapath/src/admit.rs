//! Admitting: a packet of no known connection gets one, if a service wants it.
//!
//! The plain newcomer's whole way to a connection, and what the careful way (`rare.rs`) shares with
//! it. What comes out is one number, which the kernel's verifier follows best.

use xlvs_wire::{
    Eth, PROTO_TCP, Packet,
    tcp_flag::{RST, SYN},
};

use crate::{
    Reason, Tables,
    choose::NO_SERVER,
    conn::{self, Beginning},
    parse::Meta,
    pipeline::Arrival,
    policy::POLICY_SLOPPY_TCP,
    state::Event,
    tables::{
        CONN_DEAD, CONN_REPLY, ConnKey, DEST_AVAILABLE, SETTING_ALL_PORTS, SETTING_CAREFUL,
        SETTING_MIGRATING, ServiceKey, Settings, Word,
    },
};

/// A packet that may begin a connection.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer {
    /// Source and destination address, as they lie in the header.
    pub addresses: u64,
    /// From the lowest bit: the two ports as they lie in the header (32), protocol (8), TCP flags
    /// (8).
    pub flow: u64,
    /// Where it came from, as [`Conn::hop`](crate::tables::Conn::hop) has it; 0 if the port is not
    /// known, [`OTHER_HOST`] if the frame was none for us.
    pub came_by: u64,
    /// The word of the entry that was found and is over, as it was judged; 0: there was none.
    pub seen: u64,
    /// When it came.
    pub now: u64,
}

/// [`Newcomer::came_by`]: flooded by a switch that does not know the owner's port. No address is
/// like this: it would be a broadcast.
pub const OTHER_HOST: u64 = u64::MAX;

impl Newcomer {
    /// What is known of a packet; `seen` is as above.
    #[inline(always)]
    pub(crate) fn of<P: Packet, T: Tables>(
        p: &P,
        t: &T,
        m: &Meta,
        arrival: &Arrival,
        seen: Word,
    ) -> Self {
        let [addresses, ports] = m.key.words();
        Self {
            addresses,
            flow: ports | u64::from(m.tcp_flags) << 40,
            came_by: came_by(p, t, arrival),
            seen: seen.0,
            now: arrival.now,
        }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the fields of the word")]
    pub(crate) const fn key(&self) -> ConnKey {
        ConnKey::from_words(self.addresses, self.flow as u32, (self.flow >> 32) as u32 & 0xff)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the field is 8 bits")]
    pub(crate) const fn tcp_flags(&self) -> u8 {
        (self.flow >> 40) as u8
    }
}

/// A switch floods frames whose owner it does not know; they are not ours to balance.
#[inline(always)]
fn came_by<P: Packet, T: Tables>(p: &P, t: &T, arrival: &Arrival) -> u64 {
    let Some(eth) = p.at::<Eth>(0) else { return OTHER_HOST };
    let Some(index) = t.port_of(arrival.ifindex) else { return 0 };
    let Some(port) = t.port(index) else { return 0 };
    if port.mac.to_u64() == eth.dst.to_u64() {
        eth.src.to_u64() | u64::from(index) << 48
    } else {
        OTHER_HOST
    }
}

/// Where a newcomer goes: a connection's [`Word`], or why there is none. One number: where a
/// pointer and a number, or something and nothing, may share a register, the verifier refuses both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission(pub u64);

impl Admission {
    /// No connection that takes packets has a dead word, so this tells the two apart.
    #[inline(always)]
    pub(crate) const fn refused(reason: Reason) -> Self {
        Self(Word::new(0, CONN_DEAD, reason as u32).0)
    }

    /// A connection that this packet began. No client's entry has the flag of one for answers,
    /// so it can say this.
    #[inline(always)]
    pub(crate) const fn ours(word: Word) -> Self {
        Self(word.0 | OURS)
    }

    /// True for one that this packet began.
    #[inline(always)]
    pub(crate) const fn is_ours(self) -> bool {
        self.0 & (OURS | (CONN_DEAD as u64) << 8) == OURS
    }

    /// The connection's word.
    ///
    /// # Errors
    /// The number of the [`Reason`].
    #[inline(always)]
    pub fn word(self) -> Result<Word, Reason> {
        let word = Word(self.0 & !OURS);
        if !word.has(CONN_DEAD) {
            return Ok(word);
        }
        // Hidden from the optimiser, which would compare the whole word, of which the verifier then
        // knows the bounds and not of this part.
        Err(Reason::from_number(core::hint::black_box(word.dest())))
    }
}

/// Of an [`Admission`].
const OURS: u64 = (CONN_REPLY as u64) << 8;

/// Makes the connection of a plain newcomer: to a service whose scheduler walks, on a director that
/// asks nothing else of newcomers. What is not plain takes the careful way.
#[inline(always)]
pub(crate) fn admit<T: Tables>(t: &T, n: &Newcomer) -> Admission {
    match try_admit(t, n) {
        Ok(admission) => admission,
        Err(reason) => Admission::refused(reason),
    }
}

#[inline(always)]
fn try_admit<T: Tables>(t: &T, n: &Newcomer) -> Result<Admission, Reason> {
    let s = t.settings().ok_or(Reason::Idle)?;
    if s.services == 0 {
        return Err(Reason::Idle);
    }
    if s.flags & SETTING_CAREFUL != 0 {
        return Err(NOT_PLAIN);
    }
    let key = n.key();
    #[expect(clippy::cast_possible_truncation, reason = "a protocol is 8 bits")]
    let of = ServiceKey { addr: key.dst(), port: key.dport(), protocol: key.protocol() as u16 };
    let all_ports = s.flags & SETTING_ALL_PORTS != 0;
    let nobody = if all_ports { NOT_PLAIN } else { Reason::NoService };
    let service = t.service(&of).ok_or(nobody)?;
    if !service.is_plain() {
        return Err(NOT_PLAIN);
    }
    if n.came_by == OTHER_HOST {
        return Err(Reason::OtherHost);
    }
    may_begin(s, &key, n.tcp_flags())?;
    let slot = t.choose(service.plan, service.scheduler);
    if slot == NO_SERVER {
        return Err(Reason::SentUnreachable);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a slot is 32 bits")]
    let slot = slot as u32;
    let dest = t.dest(slot).ok_or(Reason::Inconsistent)?;
    // Chosen from a list that was replaced meanwhile: the next try finds another.
    if dest.flags & DEST_AVAILABLE == 0 {
        return Err(Reason::ServerRemoved);
    }
    let first = conn::first_word(event(&key, n.tcp_flags()), dest.method, slot, s.policy.secure());
    let deadline = n.now + conn::timeout(s, key.protocol(), first.state());
    let beginning = Beginning {
        key,
        first,
        deadline,
        now: n.now,
        seen: Word(n.seen),
        came_by: n.came_by,
        control: 0,
    };
    Ok(conn::begin(t, &beginning, dest))
}

/// Not a plain newcomer. Like no server, it is a matter for another program, which looks for
/// itself.
pub(crate) const NOT_PLAIN: Reason = Reason::SentUnreachable;

#[inline(always)]
pub(crate) const fn event(key: &ConnKey, tcp_flags: u8) -> Event {
    if key.protocol() == PROTO_TCP as u32 { Event::of_segment(tcp_flags) } else { Event::DATAGRAM }
}

/// What the kernel schedules (`ip_vs_schedule`, `tcp_conn_schedule`): of TCP a SYN, and never what
/// comes from port 20, which is FTP's data connection from a server of NAT.
#[inline(always)]
pub(crate) fn may_begin(s: &Settings, key: &ConnKey, tcp_flags: u8) -> Result<(), Reason> {
    let tcp = key.protocol() == u32::from(PROTO_TCP);
    let wanted = if s.policy.has(POLICY_SLOPPY_TCP) { 0 } else { SYN };
    let begins = !tcp || tcp_flags & (wanted | RST) == wanted;
    if s.flags & SETTING_MIGRATING != 0 && !(tcp && begins) {
        return Err(Reason::Migrating);
    }
    if !begins || key.sport() == FTP_DATA.to_be() {
        return Err(Reason::NoConnection);
    }
    Ok(())
}

/// The source port of FTP's data connections.
const FTP_DATA: u16 = 20;

//! Connections: following them, making them, ending them.
//!
//! The client's entry is the authority. A state change is one compare-and-swap of its word, and
//! only who wins it moves the destination's counters, so these always equal a census of the table.
//! With NAT a second entry finds the answers; it holds a copy of the word and an expiry of its own,
//! so that either direction of an established connection touches one entry. A connection lives
//! while either entry does.

use crate::{
    Admission, Insert, Reason, Tables,
    parse::Meta,
    state::{self, Direction, Event},
    tables::{
        CONN_DEAD, CONN_INACTIVE, CONN_METHOD, CONN_NO_OUTPUT, CONN_REPLY, CONN_TEMPLATE,
        CONN_TIMED, Conn, ConnKey, Dest, METHOD_MASQ, Settings, Stats, Word,
    },
    template::{self, BEGINS, CALL_PROTOCOL},
};

/// How often a lost compare-and-swap is tried again: each loss means that another CPU moved the
/// same connection in the same instant. Hidden from the optimiser where it is used, which would
/// unroll.
const TRIES: u32 = 4;

/// An expiry moves by less than this are not written: a quarter of a second, and a cache line that
/// stays clean.
const EXPIRY_GRAIN_NS: u64 = 1 << 28;

/// The service's address and port as an entry for answers keeps them.
#[inline(always)]
pub const fn origin(vaddr: u32, vport: u16, tick: u16) -> u64 {
    vaddr as u64 | (vport as u64) << 32 | (tick as u64) << 48
}

/// Address, port and tick of [`Conn::origin`].
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the fields of the word")]
pub const fn origin_parts(origin: u64) -> (u32, u16, u16) {
    (origin as u32, (origin >> 32) as u16, (origin >> 48) as u16)
}

/// The port that packets reach the server on: a server without one keeps the service's.
#[inline(always)]
pub const fn server_port(d: &Dest, dport: u16) -> u16 {
    if d.port == 0 { dport } else { d.port }
}

/// The key of the entry for answers.
#[inline(always)]
pub fn reply_key(client: &ConnKey, d: &Dest) -> ConnKey {
    ConnKey::new(
        d.addr,
        client.src(),
        server_port(d, client.dport()),
        client.sport(),
        client.protocol(),
    )
}

/// The key of the client's entry, from an answer's.
#[inline(always)]
pub fn client_key(reply: &ConnKey, origin: u64) -> ConnKey {
    let (vaddr, vport, _) = origin_parts(origin);
    ConnKey::new(reply.dst(), vaddr, reply.dport(), vport, reply.protocol())
}

/// Nanoseconds that a connection may idle in `state`.
#[inline(always)]
pub const fn timeout(s: &Settings, protocol: u32, state: u8) -> u64 {
    s.timeouts[state::timeout_index(protocol, state)]
}

/// The same for a connection of this word, whose service may have one of its own.
#[inline(always)]
pub fn timeout_of<T: Tables>(t: &T, s: &Settings, protocol: u32, word: Word) -> u64 {
    let general = timeout(s, protocol, word.state());
    if !word.has(CONN_TIMED) {
        return general;
    }
    #[expect(clippy::cast_possible_truncation, reason = "an index below 16")]
    let own = t.own_timeout(word.dest(), state::timeout_index(protocol, word.state()) as u32);
    if own == 0 { general } else { own }
}

/// Puts the expiry off, if that is worth a write. Also brings it nearer: `ipvsadm --set`.
#[inline(always)]
pub fn refresh(c: &Conn, deadline: u64) {
    if deadline.wrapping_sub(c.expires.get()) > EXPIRY_GRAIN_NS {
        c.expires.set(deadline);
    }
}

/// The same for a client's entry, which notes when that is next worth a write: until then the
/// timeouts need not be looked up.
#[inline(always)]
pub fn refresh_in_time<T: Tables>(t: &T, c: &Conn, protocol: u32, word: Word, now: u64) {
    if now < c.origin.get() {
        return;
    }
    let Some(s) = t.settings() else { return };
    c.expires.set(now + timeout(s, protocol, word.state()));
    c.origin.set(now + EXPIRY_GRAIN_NS);
}

/// The same on the whole way, where a service's own timeouts count.
#[inline(always)]
pub fn refresh_in_own_time<T: Tables>(
    t: &T,
    s: &Settings,
    c: &Conn,
    protocol: u32,
    word: Word,
    now: u64,
) {
    if now >= c.origin.get() {
        c.expires.set(now + timeout_of(t, s, protocol, word));
        c.origin.set(now + EXPIRY_GRAIN_NS);
    }
}

/// The word after a packet. Without a branch: see [`Event::of_segment`].
#[inline(always)]
const fn step(word: Word, event: Event, out: bool, secure: u32) -> Word {
    let seen = if out { word.flags() & !CONN_NO_OUTPUT } else { word.flags() };
    // 0 of In, 2 of InOnly: the flag's bit, moved.
    let direction = if out { Direction::OUT } else { Direction((seen & CONN_NO_OUTPUT) >> 1) };
    let new = state::next_in(secure, direction, event, word.state());
    let inactive = CONN_INACTIVE * !state::is_active(new) as u8;
    word.with(new, seen & !CONN_INACTIVE | inactive)
}
const _: () = assert!(CONN_NO_OUTPUT >> 1 == Direction::IN_ONLY.0);

/// True if the packet leaves the word as it is: the way of nearly all packets.
#[inline(always)]
pub const fn is_steady(word: Word, m: &Meta, out: bool) -> bool {
    let no_output = word.flags() & CONN_NO_OUTPUT;
    if out {
        no_output == 0 && state::is_steady(Direction::OUT, m.event, word.state())
    } else {
        state::is_steady(Direction(no_output >> 1), m.event, word.state())
    }
}

/// The same by whichever table is in force.
#[inline(always)]
pub fn is_steady_in(s: &Settings, word: Word, m: &Meta, out: bool) -> bool {
    let secure = s.policy.secure();
    if secure == 0 { is_steady(word, m, out) } else { step(word, m.event, out, secure).0 == word.0 }
}

/// Moves the word of the client's entry, and the counters with it. None: the entry is being
/// removed, or begins another life.
#[inline(always)]
pub fn advance<T: Tables>(t: &T, c: &Conn, seen: Word, m: &Meta, out: bool) -> Option<Word> {
    let secure = t.settings()?.policy.secure();
    let mut word = seen;
    for _ in 0..core::hint::black_box(TRIES) {
        let next = step(word, m.event, out, secure);
        if next.0 == word.0 {
            return Some(word);
        }
        if c.word.replace(word.0, next.0) {
            if next.has(CONN_INACTIVE) != word.has(CONN_INACTIVE) {
                recount(t, next);
            }
            return Some(next);
        }
        word = Word(c.word.get());
        if word.has(CONN_DEAD) || !word.is_life_of(seen) {
            return None;
        }
    }
    Some(word)
}

/// A connection changed between active and inactive.
#[inline(always)]
fn recount<T: Tables>(t: &T, word: Word) {
    let Some(live) = t.live(word.dest()) else { return };
    if word.has(CONN_INACTIVE) {
        live.active.dec();
        live.inactive.add(1);
    } else {
        live.inactive.dec();
        live.active.add(1);
    }
}

/// A connection of this word begins, or ends.
#[inline(always)]
fn count_one<T: Tables>(t: &T, word: Word, begins: bool) {
    let Some(live) = t.live(word.dest()) else { return };
    let cell = if word.has(CONN_INACTIVE) { &live.inactive } else { &live.active };
    if begins {
        cell.add(1);
    } else {
        cell.dec();
    }
    if live.upper.get() != 0 {
        t.weigh(word.dest(), begins);
    }
}

/// What a connection more, or less, does to a server with thresholds.
#[inline(always)]
pub fn weigh<T: Tables>(t: &T, slot: u32, begins: bool) {
    if let Some(live) = t.live(slot) {
        live.weigh(begins);
    }
}

/// A connection of a single packet began and ended.
#[inline(always)]
pub(crate) fn weigh_one_packet<T: Tables>(t: &T, slot: u32) {
    if let Some(live) = t.live(slot)
        && live.upper.get() != 0
    {
        live.weigh_at(live.total().wrapping_add(1), true);
        live.weigh(false);
    }
}

/// The same for the template that controls it, if one does: see [`template::count`].
#[inline(always)]
fn control_one<T: Tables>(t: &T, control: u64, key: &ConnKey, d: &Dest, until: u64) {
    if control != 0 {
        template::count(t, control, key.src(), d, until);
    }
}

/// Brings the entry for answers in line with the client's after a change; the authority is read
/// again afterwards, so that of two CPUs that changed it the later one's copy stays.
#[inline(always)]
pub fn copy_to_reply<T: Tables>(t: &T, authority: &Conn, key: &ConnKey, deadline: u64) {
    let Some(r) = t.conn(key) else { return };
    for _ in 0..core::hint::black_box(TRIES) {
        let word = Word(authority.word.get());
        let copy = Word(r.word.get());
        let same_life = copy.is_life_of(word);
        if !copy.has(CONN_REPLY) || copy.has(CONN_DEAD) || word.has(CONN_DEAD) || !same_life {
            return;
        }
        // Swapped, not stored: the entry may be another connection's by now.
        let new = word.with(word.state(), word.flags() | CONN_REPLY);
        if !r.word.replace(copy.0, new.0) {
            continue;
        }
        r.expires.set(deadline);
        if authority.word.get() == word.0 {
            return;
        }
    }
}

/// The first word of a connection to `slot`, and its first packet's state.
#[inline(always)]
pub fn first_word(event: Event, method: u8, slot: u32, secure: u32) -> Word {
    let no_output = if method == METHOD_MASQ { 0 } else { CONN_NO_OUTPUT };
    let born = Word::new(state::NONE, method & CONN_METHOD | no_output | CONN_INACTIVE, slot);
    step(born, event, false, secure)
}

/// A connection to be.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// Its client's entry.
    pub key: ConnKey,
    /// Its first word.
    pub first: Word,
    /// When it expires.
    pub deadline: u64,
    /// Now.
    pub now: u64,
    /// The entry's word as it was judged; no word is 0, which says that there was none.
    pub seen: Word,
    /// Where its packet came from, as [`Conn::hop`] has it.
    pub came_by: u64,
    /// Which template controls it; 0: none. See `template.rs`.
    pub control: u64,
}

/// Whose connection is in the table: its word, `Ours` if it is the new one. `Theirs` is another
/// CPU's, which was faster with another packet that begins the same connection: both go the same
/// way, and the second leaves the state as the first made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The new one.
    Ours(Word),
    /// Another CPU's.
    Theirs(Word),
}

/// Begins a connection to `d`, and counts it: in a new entry, or as another life of an expired or
/// closing one, in place; removing and inserting would leave an instant without a connection.
#[inline(always)]
pub fn begin<T: Tables>(t: &T, b: &Beginning, d: &Dest) -> Admission {
    match try_begin(t, b, d) {
        Ok(Inserted::Ours(word)) => {
            t.stats(word.dest(), |x: &mut Stats| x.connections += 1);
            Admission::ours(word)
        }
        Ok(Inserted::Theirs(winner)) => Admission(winner.0),
        Err(reason) => Admission::refused(reason),
    }
}

#[inline(always)]
fn try_begin<T: Tables>(t: &T, b: &Beginning, d: &Dest) -> Result<Inserted, Reason> {
    // Not looked for where none was a moment ago: the insertion notices one that came since.
    let stands = if b.seen.0 == 0 { None } else { t.conn(&b.key) };
    let old = match &stands {
        Some(c) => Word(c.word.get()),
        None => Word(0),
    };
    if old.has(CONN_DEAD) {
        return Err(Reason::EntryBusy);
    }
    // Only the life that was judged may be ended: another CPU's packet may have begun the next one.
    if stands.is_some() && old.0 != b.seen.0 {
        return if old.has(CONN_REPLY) {
            Err(Reason::EntryBusy)
        } else {
            Ok(Inserted::Theirs(old))
        };
    }
    let word = match &stands {
        Some(_) => old.reborn(b.first.state(), b.first.flags(), b.first.dest()),
        None => b.first,
    };
    let ours = word.method() == METHOD_MASQ && claim_reply(t, b, d, word)?;
    match stands {
        Some(c) => revive(t, &c, b, d, old, word),
        None => insert(t, b, d, word, ours),
    }
}

/// Puts a new connection in the table; `ours` says that its entry for answers was made for it.
#[inline(always)]
fn insert<T: Tables>(
    t: &T,
    b: &Beginning,
    d: &Dest,
    word: Word,
    ours: bool,
) -> Result<Inserted, Reason> {
    let conn = Conn::new(b.deadline, word, b.control, b.now + EXPIRY_GRAIN_NS);
    let full = match t.conn_insert(&b.key, &conn) {
        Insert::Done => {
            count_one(t, word, true);
            control_one(t, b.control, &b.key, d, BEGINS);
            return Ok(Inserted::Ours(word));
        }
        Insert::Exists => false,
        Insert::Full => true,
    };
    let winner = match t.conn(&b.key) {
        Some(c) => Word(c.word.get()),
        None => Word(u64::from(CONN_DEAD) << 8),
    };
    // The winner may have chosen the same server, whose answers our entry then finds.
    if ours && (winner.has(CONN_DEAD) || winner.dest() != word.dest()) {
        remove_reply(t, &reply_key(&b.key, d), word);
    }
    if full {
        Err(Reason::TableFull)
    } else if winner.has(CONN_DEAD | CONN_REPLY) {
        Err(Reason::EntryBusy)
    } else {
        Ok(Inserted::Theirs(winner))
    }
}

/// Gives an expired or closing entry another life.
#[inline(always)]
fn revive<T: Tables>(
    t: &T,
    c: &Conn,
    b: &Beginning,
    d: &Dest,
    old: Word,
    word: Word,
) -> Result<Inserted, Reason> {
    if !c.word.replace(old.0, word.0) {
        return Err(Reason::EntryBusy);
    }
    let over = c.expires.get();
    let ended = if over < b.now { over } else { b.now };
    c.expires.set(b.deadline);
    c.origin.set(b.now + EXPIRY_GRAIN_NS);
    let control = c.hop.get();
    c.hop.set(b.control);
    // In this order, which thresholds notice: the kernel's new one begins before the old one ends.
    count_one(t, word, true);
    count_one(t, old, false);
    if let Some(before) = t.dest(old.dest()) {
        control_one(t, control, &b.key, before, ended);
        if old.method() == METHOD_MASQ {
            let reply = reply_key(&b.key, before);
            if word.method() != METHOD_MASQ || reply != reply_key(&b.key, d) {
                remove_reply(t, &reply, old);
            }
        }
    }
    control_one(t, b.control, &b.key, d, BEGINS);
    Ok(Inserted::Ours(word))
}

/// Makes the entry for answers, or takes over one that nobody lives in. True: it was made.
#[inline(always)]
fn claim_reply<T: Tables>(t: &T, b: &Beginning, d: &Dest, word: Word) -> Result<bool, Reason> {
    let reply = reply_key(&b.key, d);
    let copy = word.with(word.state(), word.flags() | CONN_REPLY);
    let ours = origin(b.key.dst(), b.key.dport(), 0);
    let conn = Conn::new(b.deadline, copy, b.came_by, ours);
    match t.conn_insert(&reply, &conn) {
        Insert::Done => return Ok(true),
        Insert::Full => return Err(Reason::TableFull),
        Insert::Exists => {}
    }
    let stands = t.conn(&reply).ok_or(Reason::EntryBusy)?;
    let theirs = Word(stands.word.get());
    if !theirs.has(CONN_REPLY) {
        return Err(Reason::ReplyKeyTaken);
    }
    let whose = stands.origin.get();
    if (whose ^ ours) << 16 != 0
        && let Some(c) = t.conn(&client_key(&reply, whose))
    {
        let w = Word(c.word.get());
        let lives = c.expires.get() > b.now || stands.expires.get() > b.now;
        if lives && !w.has(CONN_DEAD) && w.dest() == theirs.dest() {
            return Err(Reason::ReplyKeyTaken);
        }
    }
    if theirs.has(CONN_DEAD) || !stands.word.replace(theirs.0, copy.0) {
        return Err(Reason::EntryBusy);
    }
    stands.hop.set(b.came_by);
    stands.origin.set(ours);
    stands.expires.set(b.deadline);
    Ok(false)
}

/// The connection of this word is over, though no other begins in its place
/// (`ip_vs_conn_expire_now`): the sweep takes it away.
#[inline(always)]
pub(crate) fn end<T: Tables>(t: &T, key: &ConnKey, seen: Word, now: u64) {
    if seen.0 == 0 {
        return;
    }
    let Some(c) = t.conn(key) else { return };
    if c.word.get() != seen.0 {
        return;
    }
    c.expires.set(now);
    if seen.method() == METHOD_MASQ
        && let Some(d) = t.dest(seen.dest())
        && let Some(r) = t.conn(&reply_key(key, d))
        && Word(r.word.get()).is_life_of(seen)
    {
        r.expires.set(now);
    }
}

/// What became of an entry that the sweep looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// It lives, or is not there any more.
    Kept,
    /// It was dead and is gone, with its entry for answers.
    Removed,
}

/// Removes the entry of `key` if its time has come, or by force. Whoever swaps the word to dead
/// does the counting and the removing; nobody can bring a dead word back.
#[inline(always)]
pub fn expire<T: Tables>(t: &T, key: &ConnKey, now: u64, forced: bool) -> Swept {
    let Some(c) = t.conn(key) else { return Swept::Kept };
    let word = Word(c.word.get());
    if word.has(CONN_DEAD) || c.expires.get() > now && !forced {
        return Swept::Kept;
    }
    // While what it controls lives, so does it.
    if word.has(CONN_TEMPLATE) && c.hop.get() != 0 {
        return Swept::Kept;
    }
    let (control, over) = (c.hop.get(), c.expires.get());
    let ended = if over < now { over } else { now };
    let partner = if word.has(CONN_TEMPLATE) {
        *key
    } else if word.has(CONN_REPLY) {
        client_key(key, c.origin.get())
    } else if word.method() == METHOD_MASQ
        && let Some(d) = t.dest(word.dest())
    {
        reply_key(key, d)
    } else {
        *key
    };
    if partner != *key
        && let Some(other) = t.conn(&partner)
    {
        let w = Word(other.word.get());
        if w.is_life_of(word) && !w.has(CONN_DEAD) {
            if word.has(CONN_REPLY) {
                // The client's entry decides for both.
                return Swept::Kept;
            }
            let theirs = other.expires.get();
            if theirs > now && !forced {
                c.expires.set(theirs);
                return Swept::Kept;
            }
        }
    }
    if !c.word.replace(word.0, word.with(word.state(), word.flags() | CONN_DEAD).0) {
        return Swept::Kept;
    }
    if !word.has(CONN_REPLY | CONN_TEMPLATE) {
        count_one(t, word, false);
        t.tally(word.dest(), key.src(), false);
        if let Some(d) = t.dest(word.dest()) {
            control_one(t, control, key, d, ended);
        }
        if partner != *key {
            remove_reply(t, &partner, word);
        }
    }
    // Before the entry: until that is gone, nobody can make another of its key.
    if word.has(CONN_TEMPLATE) && key.protocol() & CALL_PROTOCOL == CALL_PROTOCOL {
        t.call_remove(key);
    }
    t.conn_remove(key);
    Swept::Removed
}

/// Removes the entry for answers of this very life.
#[inline(always)]
fn remove_reply<T: Tables>(t: &T, key: &ConnKey, of: Word) {
    let Some(r) = t.conn(key) else { return };
    let w = Word(r.word.get());
    if !w.is_life_of(of) || !w.has(CONN_REPLY) || w.has(CONN_DEAD) {
        return;
    }
    if r.word.replace(w.0, w.with(w.state(), w.flags() | CONN_DEAD).0) {
        t.conn_remove(key);
    }
}

/// Removes a connection that was seen, before its time (`ip_vs_conn_expire_now`).
#[inline(always)]
pub fn bury<T: Tables>(t: &T, key: &ConnKey, seen: Word, now: u64) -> Swept {
    let Some(c) = t.conn(key) else { return Swept::Kept };
    let word = Word(c.word.get());
    let control = c.hop.get();
    if word.has(CONN_DEAD | CONN_REPLY | CONN_TEMPLATE) || !word.is_life_of(seen) {
        return Swept::Kept;
    }
    if !c.word.replace(word.0, word.with(word.state(), word.flags() | CONN_DEAD).0) {
        return Swept::Kept;
    }
    count_one(t, word, false);
    t.tally(word.dest(), key.src(), false);
    if let Some(d) = t.dest(word.dest()) {
        control_one(t, control, key, d, now);
        if word.method() == METHOD_MASQ {
            remove_reply(t, &reply_key(key, d), word);
        }
    }
    t.conn_remove(key);
    Swept::Removed
}

//! Persistence: a *template* keeps a client (or all clients of a network) with one server
//! (`ip_vs_sched_persist`). Templates lie among the connections, under keys that no packet has.
//!
//! | entry | `word` | `hop` | `origin` |
//! |---|---|---|---|
//! | template | state 1: assured; [`CONN_TEMPLATE`] | how many connections it controls | - |
//! | a client's entry | as ever | which template controls it, see [`Template::control`] | as ever |

use crate::{
    Admission, Insert, Newcomer, Reason, Tables,
    policy::POLICY_EXPIRE_TEMPLATE,
    tables::{
        CONN_DEAD, CONN_TEMPLATE, Conn, ConnKey, DEST_QUIESCED, Dest, MARK_PROTOCOL, Service,
        ServiceKey, Settings, Word,
    },
};

/// [`ConnKey::protocol`] of a template, beside the protocol of its connections (0 of marks, as the
/// kernel's `IPPROTO_IP`).
pub const TEMPLATE_PROTOCOL: u32 = 0x100;
/// A template whose connections live on when its own time is over gets so much more.
const LATER_NS: u64 = 60_000_000_000;
/// [`Word::state`] of a template: one of its connections was established.
pub const ASSURED: u8 = 1;
/// FTP's control connection: its data connections belong to the same template.
const FTP: u16 = 21;
const SECOND: u64 = 1_000_000_000;
/// The bits of a generation that connections remember.
const GENERATION: u64 = 0x7fff;
/// Templates made so many nanoseconds (a millisecond) apart are of other generations.
const GENERATION_SHIFT: u32 = 20;

/// The template's key of a connection from `client` to a server of the service.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the fields of the word")]
fn key_of(control: u64, client: u32, d: &Dest) -> ConnKey {
    let (mask, port) = (control as u32, (control >> 32) as u16);
    ConnKey::new(client & mask, d.vaddr, 0, port, u32::from(d.protocol) | TEMPLATE_PROTOCOL)
}

/// A client's template, there or not.
pub(crate) struct Template {
    key: ConnKey,
    mask: u32,
    port: u16,
    expires: u64,
    now: u64,
}

impl Template {
    /// Of a newcomer to a persistent service.
    #[inline(always)]
    pub(crate) fn of(n: &Newcomer, of: ServiceKey, service: &Service) -> Self {
        let protocol = if of.protocol == MARK_PROTOCOL { 0 } else { u32::from(of.protocol) };
        let port = if of.port == FTP.to_be() { 0 } else { of.port };
        let client = n.key().src() & service.mask;
        Self {
            key: ConnKey::new(client, of.addr, 0, port, protocol | TEMPLATE_PROTOCOL),
            mask: service.mask,
            port,
            expires: n.now + u64::from(service.persistence) * SECOND,
            now: n.now,
        }
    }

    /// Which template it is, for [`Conn::hop`] of a client's entry: the mask of the client's
    /// address (32 bits), the template's port (16), the low bits of its generation (15), and 1. 0:
    /// none.
    #[inline(always)]
    pub(crate) const fn control(&self, word: Word) -> u64 {
        let generation = word.generation() as u64 & GENERATION;
        self.mask as u64 | (self.port as u64) << 32 | generation << 48 | 1 << 63
    }

    /// Its word, if it still leads anywhere (`ip_vs_check_template`); else 0, which no word is.
    #[cfg_attr(target_arch = "bpf", inline(never))]
    pub(crate) fn valid<T: Tables>(&self, t: &T, s: &Settings) -> u64 {
        let Some(template) = t.conn(&self.key) else { return 0 };
        let word = Word(template.word.get());
        let lives = template.expires.get() > self.now || template.hop.get() != 0;
        if word.has(CONN_DEAD) || !lives {
            return 0;
        }
        let Some(dest) = t.dest(word.dest()) else { return 0 };
        let quiesced = s.policy.has(POLICY_EXPIRE_TEMPLATE) && dest.flags & DEST_QUIESCED != 0;
        if !dest.is_in_service() || quiesced { 0 } else { word.0 }
    }

    /// Puts it in, or gives the one that leads nowhere another life.
    #[cfg_attr(target_arch = "bpf", inline(never))]
    pub(crate) fn make<T: Tables>(&self, t: &T, slot: u32) -> Admission {
        // An earlier template of this key may have gone while connections of a life before its last
        // lived on: by the time, a generation is not theirs.
        let generation = self.now >> GENERATION_SHIFT & GENERATION;
        let first = Word(Word::new(0, CONN_TEMPLATE, slot).0 | generation << 16);
        match t.conn_insert(&self.key, &Conn::new(self.expires, first, 0, 0)) {
            Insert::Done => return Admission(first.0),
            Insert::Full => return Admission::refused(Reason::TableFull),
            Insert::Exists => {}
        }
        let Some(stands) = t.conn(&self.key) else {
            return Admission::refused(Reason::EntryBusy);
        };
        let old = Word(stands.word.get());
        if old.has(CONN_DEAD) {
            return Admission::refused(Reason::EntryBusy);
        }
        let new = old.reborn(0, CONN_TEMPLATE, slot);
        if !stands.word.replace(old.0, new.0) {
            // Another CPU's packet of the same client: its choice counts.
            return Admission(stands.word.get());
        }
        stands.hop.set(0);
        stands.expires.set(self.expires);
        Admission(new.0)
    }

    /// A connection began: its time begins anew (`ip_vs_conn_put`).
    #[inline(always)]
    pub(crate) fn put_off<T: Tables>(&self, t: &T) {
        if let Some(template) = t.conn(&self.key) {
            template.expires.set(self.expires);
        }
    }
}

/// A connection that a template controls begins; or it ended, at `until`, when the template may
/// have been over already: then it had so much more, and more again (`ip_vs_conn_expire`). Reckoned
/// here, so that it does not matter which of the two the sweep finds first.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn count<T: Tables>(t: &T, control: u64, client: u32, d: &Dest, until: u64) {
    let Some(template) = t.conn(&key_of(control, client, d)) else { return };
    let word = Word(template.word.get());
    if u64::from(word.generation()) & GENERATION != control >> 48 & GENERATION {
        return;
    }
    if until == BEGINS {
        template.hop.add(1);
        return;
    }
    if template.hop.get() != 0 {
        template.hop.dec();
    }
    let over = template.expires.get();
    if over <= until {
        template.expires.set(over + ((until - over) / LATER_NS + 1) * LATER_NS);
    }
}

/// Of [`count`]: no end at all.
pub(crate) const BEGINS: u64 = u64::MAX;

/// A connection that a template controls was established (`ip_vs_control_assure_ct`).
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn assure<T: Tables>(t: &T, control: u64, client: u32, d: &Dest) {
    if control == 0 {
        return;
    }
    let Some(template) = t.conn(&key_of(control, client, d)) else { return };
    let word = Word(template.word.get());
    if word.state() != ASSURED && !word.has(CONN_DEAD) {
        template.word.replace(word.0, word.with(ASSURED, word.flags()).0);
    }
}

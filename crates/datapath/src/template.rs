//! Persistence: a *template* keeps a client (or all clients of a network) with one server
//! (`ip_vs_sched_persist`). Templates lie among the connections, under keys that no packet has.
//!
//! | entry | `word` | `hop` | `origin` |
//! |---|---|---|---|
//! | template | state 1: assured; [`CONN_TEMPLATE`] | how many connections it controls | - |
//! | a client's entry | as ever | which template controls it, see `Template::control` | as ever |

use crate::{
    Admission, Insert, Newcomer, Reason, Tables,
    policy::POLICY_EXPIRE_TEMPLATE,
    sip::{CALL, CALL_NUMBER},
    tables::{
        CONN_DEAD, CONN_TEMPLATE, Conn, ConnKey, DEST_LEAVING, DEST_QUIESCED, Dest, MARK_PROTOCOL,
        Service, ServiceKey, Settings, Word,
    },
};

/// [`ConnKey::protocol`] of a template, beside the protocol of its connections (0 of marks, as the
/// kernel's `IPPROTO_IP`).
pub const TEMPLATE_PROTOCOL: u32 = 0x100;
/// The same of a call's template, whose key holds the call's number where others hold the client:
/// see `sip.rs`.
pub const CALL_PROTOCOL: u32 = 0x300;
/// A template whose connections live on when its own time is over gets so much more.
const LATER_NS: u64 = 60_000_000_000;
/// [`Word::state`] of a template: one of its connections was established.
pub const ASSURED: u8 = 1;
/// FTP's control connection: its data connections belong to the same template.
const FTP: u16 = 21;
const SECOND: u64 = 1_000_000_000;
/// The bits of a generation that connections remember.
const GENERATION: u64 = 0x3fff;
/// Templates made so many nanoseconds (a millisecond) apart are of other generations.
const GENERATION_SHIFT: u32 = 20;

/// The template's key of a connection from `client` to a server of the service.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the fields of the word")]
fn key_of(control: u64, client: u32, d: &Dest) -> ConnKey {
    if control & CALL != 0 {
        return call_key(control, d.vaddr, template_port(d.ports().1), d.protocol);
    }
    let (mask, port) = (control as u32, (control >> 32) as u16);
    ConnKey::new(client & mask, d.vaddr, 0, port, u32::from(d.protocol) | TEMPLATE_PROTOCOL)
}

/// The key of the template of this call to a service.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the number in two parts")]
const fn call_key(call: u64, addr: u32, port: u16, protocol: u8) -> ConnKey {
    ConnKey::new(call as u32, addr, (call >> 32) as u16, port, protocol as u32 | CALL_PROTOCOL)
}

/// FTP's connections of either port share a template.
#[inline(always)]
const fn template_port(port: u16) -> u16 {
    if port == FTP.to_be() { 0 } else { port }
}

/// A client's template, there or not.
pub(crate) struct Template {
    key: ConnKey,
    /// What makes it this one among the templates of its service: a call's number; or the mask of
    /// the client's address (32 bits) and the template's port (16).
    which: u64,
    expires: u64,
    now: u64,
}

impl Template {
    /// Of a newcomer to a persistent service; `call` is the number of its call, or 0.
    #[inline(always)]
    pub(crate) fn of(n: &Newcomer, of: ServiceKey, service: &Service, call: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a protocol is 8 bits")]
        let protocol = if of.protocol == MARK_PROTOCOL { 0 } else { of.protocol as u8 };
        let port = template_port(of.port);
        let client = n.key().src() & service.mask;
        let (key, which) = if call == 0 {
            let protocol = u32::from(protocol) | TEMPLATE_PROTOCOL;
            let which = u64::from(service.mask) | u64::from(port) << 32;
            (ConnKey::new(client, of.addr, 0, port, protocol), which)
        } else {
            (call_key(call, of.addr, port, protocol), call & (CALL | CALL_NUMBER))
        };
        Self { key, which, expires: n.now + u64::from(service.persistence) * SECOND, now: n.now }
    }

    /// Which template it is, for [`Conn::hop`] of a client's entry: what makes it this one (48
    /// bits), the low bits of its generation (14), whether that is a call, and 1. 0: none.
    #[inline(always)]
    pub(crate) const fn control(&self, word: Word) -> u64 {
        let generation = word.generation() as u64 & GENERATION;
        self.which | generation << 48 | 1 << 63
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
        let leaves = quiesced || dest.flags & DEST_LEAVING != 0;
        if !dest.is_in_service() || leaves { 0 } else { word.0 }
    }

    /// Puts it in, or gives the one that leads nowhere another life.
    #[cfg_attr(target_arch = "bpf", inline(never))]
    pub(crate) fn make<T: Tables>(&self, t: &T, slot: u32) -> Admission {
        // An earlier template of this key may have gone while connections of a life before its last
        // lived on: by the time, a generation is not theirs.
        let generation = self.now >> GENERATION_SHIFT & GENERATION;
        let first = Word(Word::new(0, CONN_TEMPLATE, slot).0 | generation << 16);
        match t.conn_insert(&self.key, &Conn::new(self.expires, first, 0, 0)) {
            Insert::Done => {
                if self.which & CALL != 0 {
                    t.call_insert(&self.key);
                }
                return Admission(first.0);
            }
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

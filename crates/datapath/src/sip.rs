//! Persistence by SIP's Call-ID (`--pe sip`, the kernel's `ip_vs_pe_sip`): each call keeps a
//! server, not each client. A template's key then holds a number made of the call's identifier and
//! the client's network (all clients are one with the netmask 0.0.0.0).
//!
//! The number is 48 bits of SipHash-1-3 under a key that this director drew, so nobody outside can
//! make two calls share one. Should two share one nevertheless, they share a server and a template,
//! which does no harm: no call in progress moves. The identifier itself is kept beside the
//! connections, for people to read ([`CallRecord`]).
//!
//! The identifier is found as the kernel finds it (`ct_sip_get_header`): in the first line, also of
//! the body, that begins with `Call-ID` or `i`, case aside, folded or not; words as its parser has
//! them, with one `@` at most, and right behind them the line's end. One byte a step, or eight in
//! lines that nobody looks for: what is known between two steps lies in a table, where the kernel's
//! verifier makes no guesses.

use core::hint::black_box;

use xlvs_wire::{Be16, Be32, Be64, PROTO_UDP, Packet, Udp};

use crate::{
    Cell32, Cell64, Newcomer, Reason, Tables,
    fast::{Way, done},
    parse::{L3, parse},
    pipeline::Arrival,
    rare::keep_or_choose,
    tables::{METER_CALL_KEY, Notes, Service, ServiceKey, Word},
};

/// Longest identifier (`IP_VS_PEDATA_MAXLEN`).
pub const CALL_BYTES: u64 = 255;
/// Words of eight bytes that hold one.
const CALL_WORDS: usize = 32;
/// Steps of a search at most: more than a frame of 1500 bytes can take.
pub const SEARCH_STEPS: u32 = 2048;
/// Of a call's number: there is one.
pub const CALL: u64 = 1 << 62;
/// The number itself.
pub const CALL_NUMBER: u64 = (1 << 48) - 1;

/// What a template was made for.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// The client's network, in wire order.
    pub client: Cell32,
    /// Bytes of the identifier.
    pub length: Cell32,
    /// The identifier, eight bytes a word; behind its end anything.
    pub words: [Cell64; CALL_WORDS],
}

/// A search, one for each CPU.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Search {
    /// What it found.
    pub record: CallRecord,
    stage: Cell64,
    at: Cell64,
    end: Cell64,
    /// Bytes up to the identifier's `@`, and with it.
    local: Cell64,
    /// Bytes that are no whole word yet.
    word: Cell64,
    key: [Cell64; 2],
    sip: [Cell64; 4],
}

impl CallRecord {
    /// Nothing.
    pub const fn new() -> Self {
        let words = [const { Cell64::new(0) }; CALL_WORDS];
        Self { client: Cell32::new(0), length: Cell32::new(0), words }
    }
}

impl Default for CallRecord {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Search {
    fn default() -> Self {
        Self {
            record: CallRecord::new(),
            stage: Cell64::new(0),
            at: Cell64::new(0),
            end: Cell64::new(0),
            local: Cell64::new(0),
            word: Cell64::new(0),
            key: [const { Cell64::new(0) }; 2],
            sip: [const { Cell64::new(0) }; 4],
        }
    }
}

/// In a line that is not looked at.
const LINE: u64 = 0;
/// At the beginning of one.
const START: u64 = 1;
/// Behind the header's name.
const NAME: u64 = 2;
/// Behind its colon.
const COLON: u64 = 3;
/// In the identifier.
const LOCAL: u64 = 4;
/// Behind its `@`.
const DOMAIN: u64 = 5;
/// There is one.
const FOUND: u64 = 6;
/// There is none.
const NONE: u64 = 7;
/// Beside NAME and COLON: behind a folded line's beginning.
const FOLDED: u64 = 8;

/// The part of a newcomer's way that looks for its call; then it is as with any other template.
#[inline(always)]
pub fn sip<P: Packet, T: Tables>(p: &P, t: &T, arrival: &Arrival) -> Way {
    match decide(p, t, arrival) {
        Ok(way) => way,
        Err(reason) => done(t, reason, arrival.ifindex),
    }
}

#[inline(always)]
fn decide<P: Packet, T: Tables>(p: &P, t: &T, arrival: &Arrival) -> Result<Way, Reason> {
    let s = t.settings().ok_or(Reason::Idle)?;
    let notes: &Notes = t.notes().ok_or(Reason::Inconsistent)?;
    let of = ServiceKey::unpack(notes.service.get());
    let service: Service = t.service(&of).ok_or(Reason::NoService)?;
    let m = &parse(p).map_err(|_| Reason::Inconsistent)?;
    // As the kernel: of no other protocol has the service newcomers.
    if m.key.protocol() != u32::from(PROTO_UDP) {
        return Err(Reason::NoCall);
    }
    let search = t.search().ok_or(Reason::Inconsistent)?;
    let key = call_key(t, arrival.now).ok_or(Reason::Inconsistent)?;
    search.begin(m.l4 + size_of::<Udp>(), L3 + m.ip_len as usize, m.key.src() & service.mask, key);
    t.find_call(p);
    if search.stage.get() != FOUND {
        return Err(Reason::NoCall);
    }
    notes.call.set(search.number());
    let n = Newcomer::of(p, t, m, arrival, Word(notes.seen.get()));
    Ok(keep_or_choose(t, s, &n, of, &service, notes))
}

/// The director's own key, drawn with its first call.
#[inline(always)]
fn call_key<T: Tables>(t: &T, now: u64) -> Option<[u64; 2]> {
    Some([half_key(t, METER_CALL_KEY, now)?, half_key(t, METER_CALL_KEY + 1, now)?])
}

#[inline(always)]
fn half_key<T: Tables>(t: &T, which: u32, now: u64) -> Option<u64> {
    let cell = t.meter(which)?;
    if cell.get() == 0 {
        // Another CPU may be faster: its counts.
        cell.replace(0, t.random(now ^ u64::from(which)) | 1);
    }
    Some(cell.get())
}

/// [`search_step`] until it says no, as often as [`SEARCH_STEPS`] says.
#[inline(always)]
pub fn find_call<P: Packet, T: Tables>(p: &P, t: &T) {
    for _ in 0..SEARCH_STEPS {
        if !search_step(p, t) {
            return;
        }
    }
}

/// Goes on with the search of this CPU. False ends it.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "places in a frame")]
pub fn search_step<P: Packet, T: Tables>(p: &P, t: &T) -> bool {
    let Some(search) = t.search() else { return false };
    let (at, end) = (search.at.get(), search.end.get());
    // An identifier without a line's end behind it is none.
    let stage =
        if at < end { search.step(p, at as usize, end as usize).unwrap_or(NONE) } else { NONE };
    search.stage.set(stage);
    stage != FOUND && stage != NONE
}

impl Search {
    #[inline(always)]
    fn begin(&self, at: usize, end: usize, network: u32, [k0, k1]: [u64; 2]) {
        self.stage.set(LINE);
        self.at.set(at as u64);
        self.end.set(end as u64);
        self.record.client.set(network);
        let [a, b] = &self.key;
        a.set(k0);
        b.set(k1);
    }

    #[inline(always)]
    fn begin_identifier(&self) {
        self.record.length.set(0);
        self.local.set(0);
        self.word.set(0);
        self.begin_hash();
    }

    /// The next stage; `None`: the frame ends.
    #[inline(always)]
    fn step<P: Packet>(&self, p: &P, at: usize, end: usize) -> Option<u64> {
        let stage = self.stage.get();
        match stage {
            LINE => self.in_line(p, at, end),
            START => Some(self.at_start(p, at, end)),
            LOCAL | DOMAIN => self.in_identifier(p, stage, at),
            _ => self.behind(p, stage, at, end),
        }
    }

    #[inline(always)]
    fn go(&self, at: usize, stage: u64) -> u64 {
        self.at.set(at as u64);
        stage
    }

    /// To the line's end, and over it.
    #[inline(always)]
    fn in_line<P: Packet>(&self, p: &P, at: usize, end: usize) -> Option<u64> {
        let c = byte(p, at)?;
        if is_line_end(c) {
            return Some(self.go(over_line_end(p, c, at, end), START));
        }
        if at + size_of::<Be64>() > end {
            return Some(self.go(at + 1, LINE));
        }
        let word = p.at::<Be64>(black_box(at))?.raw();
        let ends = zero_bytes(word ^ (EVERY * u64::from(b'\n')))
            | zero_bytes(word ^ (EVERY * u64::from(b'\r')));
        let skipped = if ends == 0 { 8 } else { ends.trailing_zeros() as usize / 8 };
        Some(self.go(at + skipped, LINE))
    }

    /// Is this line the header? If not, its first byte is not looked at again, as the kernel has
    /// it: an empty line hides the line behind it if line ends are single.
    #[inline(always)]
    fn at_start<P: Packet>(&self, p: &P, at: usize, end: usize) -> u64 {
        if at + 7 <= end && is_name(p, at) {
            return self.go(at + 7, NAME);
        }
        let is_short = at + 2 <= end
            && byte(p, at).is_some_and(|c| c | 0x20 == b'i')
            && byte(p, at + 1).is_some_and(|c| !is_letter(c));
        self.go(at + 1, if is_short { NAME } else { LINE })
    }

    /// Blanks and one folding; then the colon, or the identifier.
    #[inline(always)]
    fn behind<P: Packet>(&self, p: &P, stage: u64, at: usize, end: usize) -> Option<u64> {
        let c = byte(p, at)?;
        if is_blank(c) {
            return Some(self.go(at + 1, stage));
        }
        if is_line_end(c) && stage & FOLDED == 0 {
            let next = over_line_end(p, c, at, end);
            let folded = next < end && byte(p, next).is_some_and(is_blank);
            return Some(if folded { self.go(next, stage | FOLDED) } else { NONE });
        }
        if stage & !FOLDED == COLON {
            self.begin_identifier();
            return Some(LOCAL);
        }
        Some(if c == b':' { self.go(at + 1, COLON) } else { NONE })
    }

    #[inline(always)]
    fn in_identifier<P: Packet>(&self, p: &P, stage: u64, at: usize) -> Option<u64> {
        let c = byte(p, at)?;
        let length = u64::from(self.record.length.get());
        let is_at = c == b'@' && stage == LOCAL && length != 0;
        if is_word(c) || is_at {
            if length >= CALL_BYTES {
                return None;
            }
            self.take(c, length);
            if is_at {
                self.local.set(length + 1);
            }
            return Some(self.go(at + 1, if is_at { DOMAIN } else { stage }));
        }
        if length == self.local.get() {
            // Nothing there: the kernel looks on for another.
            return Some(LINE);
        }
        Some(if is_line_end(c) { FOUND } else { NONE })
    }

    /// One more byte of the identifier.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a length below 256")]
    fn take(&self, c: u8, length: u64) {
        let word = self.word.get() | u64::from(c) << (8 * (length & 7));
        let whole = length & 7 == 7;
        if whole {
            self.keep(word, length);
            self.absorb(word);
        }
        self.word.set(if whole { 0 } else { word });
        self.record.length.set(length as u32 + 1);
    }

    #[inline(always)]
    fn keep(&self, word: u64, length: u64) {
        if let Some(place) = self.record.words.get((length / 8) as usize & (CALL_WORDS - 1)) {
            place.set(word);
        }
    }

    /// The number of the call that was found.
    #[inline(always)]
    fn number(&self) -> u64 {
        let length = u64::from(self.record.length.get());
        let word = self.word.get();
        self.keep(word, length);
        self.absorb(word | (length + NETWORK_BYTES) << 56);
        self.finish() & CALL_NUMBER | CALL
    }
}

/// SipHash-1-3 of the client's network, in eight bytes, and the identifier.
impl Search {
    #[inline(always)]
    fn begin_hash(&self) {
        let [k0, k1] = &self.key;
        let (k0, k1) = (k0.get(), k1.get());
        let start = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        self.set_sip(start);
        self.absorb(u64::from(self.record.client.get()));
    }

    #[inline(always)]
    fn set_sip(&self, v: [u64; 4]) {
        let [a, b, c, d] = &self.sip;
        a.set(v[0]);
        b.set(v[1]);
        c.set(v[2]);
        d.set(v[3]);
    }

    #[inline(always)]
    fn sip(&self) -> [u64; 4] {
        let [a, b, c, d] = &self.sip;
        [a.get(), b.get(), c.get(), d.get()]
    }

    #[inline(always)]
    fn absorb(&self, word: u64) {
        let [a, b, c, d] = self.sip();
        let [a, b, c, d] = round([a, b, c, d ^ word]);
        self.set_sip([a ^ word, b, c, d]);
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        let [a, b, c, d] = self.sip();
        let [a, b, c, d] = round(round(round([a, b, c ^ 0xff, d])));
        a ^ b ^ c ^ d
    }
}

#[inline(always)]
const fn round([a, b, c, d]: [u64; 4]) -> [u64; 4] {
    let (a, c) = (a.wrapping_add(b), c.wrapping_add(d));
    let (b, d) = (b.rotate_left(13) ^ a, d.rotate_left(16) ^ c);
    let (a, c) = (a.rotate_left(32).wrapping_add(d), c.wrapping_add(b));
    let (b, d) = (b.rotate_left(17) ^ c, d.rotate_left(21) ^ a);
    [a, b, c.rotate_left(32), d]
}

/// Bytes before the identifier.
const NETWORK_BYTES: u64 = 8;
/// A one in every byte.
const EVERY: u64 = 0x0101_0101_0101_0101;

/// The high bit of the first byte that is zero, and maybe others above it; 0: none is.
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(EVERY) & !word & (EVERY << 7)
}

/// With the one before it: of a single byte's bounds the kernel's verifier is not convinced; nor of
/// one offset by another's, which is why they are hidden from the optimiser.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the second byte of two")]
fn byte<P: Packet>(p: &P, at: usize) -> Option<u8> {
    p.at::<Be16>(black_box(at.wrapping_sub(1))).map(|two| two.get() as u8)
}

/// Behind a CR, an LF, or both.
#[inline(always)]
fn over_line_end<P: Packet>(p: &P, c: u8, at: usize, end: usize) -> usize {
    let next = at + 1;
    let both = c == b'\r' && next < end && byte(p, next) == Some(b'\n');
    next + usize::from(both)
}

/// `Call-ID`, in whatever case.
#[inline(always)]
fn is_name<P: Packet>(p: &P, at: usize) -> bool {
    let (Some(four), Some(two)) = (p.at::<Be32>(black_box(at)), p.at::<Be16>(black_box(at + 4)))
    else {
        return false;
    };
    four.get() | 0x2020_2020 == u32::from_be_bytes(*b"call")
        && two.get() | 0x0020 == u16::from_be_bytes(*b"-i")
        && byte(p, at + 6).is_some_and(|c| c | 0x20 == b'd')
}

#[inline(always)]
const fn is_line_end(c: u8) -> bool {
    c == b'\r' || c == b'\n'
}

#[inline(always)]
const fn is_blank(c: u8) -> bool {
    c == b' ' || c == b'\t'
}

/// As the kernel has it: of Latin-1.
#[inline(always)]
const fn is_letter(c: u8) -> bool {
    (c | 0x20).wrapping_sub(b'a') < 26 || c >= 0xc0 && c != 0xd7 && c != 0xf7
}

/// What identifiers are made of (`iswordc`; RFC 3261, 25.1).
#[inline(always)]
const fn is_word(c: u8) -> bool {
    let half = if c < 64 { WORD_LOW } else { WORD_HIGH };
    c < 128 && half >> (c & 63) & 1 != 0 || c >= 128 && is_letter(c)
}

const WORDS: u128 = {
    let listed = b"!\"%'()*+-./:<>?[\\]_`{}~0123456789";
    let (mut set, mut i) = (0, 0);
    while i < listed.len() {
        set |= 1 << listed[i];
        i += 1;
    }
    let mut letter = b'a';
    while letter <= b'z' {
        set |= 1 << letter | 1 << (letter - 32);
        letter += 1;
    }
    set
};
#[expect(clippy::cast_possible_truncation, reason = "its halves")]
const WORD_LOW: u64 = WORDS as u64;
const WORD_HIGH: u64 = (WORDS >> 64) as u64;

const _: () = assert!(size_of::<CallRecord>() == 264 && size_of::<Search>() == 352);

/// The number of the call with this identifier from this network, under a key.
pub fn call_number(key: [u64; 2], network: u32, identifier: &[u8]) -> u64 {
    let search = Search::default();
    search.begin(0, 0, network, key);
    search.begin_identifier();
    for (length, c) in (0..CALL_BYTES).zip(identifier) {
        search.take(*c, length);
    }
    search.number()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::hash::Hasher;
    use std::hash::DefaultHasher;

    use super::*;

    #[test]
    fn numbers_are_sip_hash_as_the_standard_library_has_it() {
        let bytes = *b"f81d4fae-7dec-11d0-a765-00a0c91e6bf6@10.1.1.8";
        for length in 0..bytes.len() {
            let mut hasher = DefaultHasher::new();
            hasher.write(&0x0a01_0108_u64.to_le_bytes());
            hasher.write(&bytes[..length]);
            let number = call_number([0, 0], 0x0a01_0108, &bytes[..length]);
            assert_eq!(number, hasher.finish() & CALL_NUMBER | CALL, "of {length} bytes");
        }
    }

    #[test]
    fn the_first_zero_is_found() {
        for (bytes, place) in [
            ([1, 2, 0, 4, 5, 6, 0, 8], Some(2)),
            ([0, 1, 1, 1, 1, 1, 1, 1], Some(0)),
            ([1, 1, 1, 1, 1, 1, 1, 0], Some(7)),
            ([128, 255, 1, 127, 129, 1, 2, 3], None),
        ] {
            let found = zero_bytes(u64::from_le_bytes(bytes));
            let is = (found != 0).then(|| found.trailing_zeros() / 8);
            assert_eq!(is, place, "{bytes:?}");
        }
    }
}

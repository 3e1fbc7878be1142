//! What names a connection, and the word of its state.

use super::CONN_METHOD;

/// A flow as its packets show it: the client's (to the service), or with NAT the answers' (from the
/// real server to the client). One look-up finds either.
///
/// Two words, as the table's hash reads them: a word that was written in pieces makes a processor
/// wait until the pieces are in its cache. In memory: source and destination address (32 bits
/// each), source and destination port (16 each), IP protocol (32).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnKey {
    addresses: u64,
    ports: u64,
}

#[expect(clippy::cast_possible_truncation, reason = "the fields of the words")]
impl ConnKey {
    /// Of these addresses, ports and protocol.
    #[inline(always)]
    pub const fn new(src: u32, dst: u32, sport: u16, dport: u16, protocol: u32) -> Self {
        let ports = sport as u32 | (dport as u32) << 16;
        Self::from_words(src as u64 | (dst as u64) << 32, ports, protocol)
    }
    /// From the header's two addresses and the two ports, each pair as it lies there.
    #[inline(always)]
    pub const fn from_words(addresses: u64, ports: u32, protocol: u32) -> Self {
        Self { addresses, ports: ports as u64 | (protocol as u64) << 32 }
    }
    /// The two words.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 2] {
        [self.addresses, self.ports]
    }
    /// Source address.
    #[inline(always)]
    pub const fn src(&self) -> u32 {
        self.addresses as u32
    }
    /// Destination address.
    #[inline(always)]
    pub const fn dst(&self) -> u32 {
        (self.addresses >> 32) as u32
    }
    /// Source port.
    #[inline(always)]
    pub const fn sport(&self) -> u16 {
        self.ports as u16
    }
    /// Destination port.
    #[inline(always)]
    pub const fn dport(&self) -> u16 {
        (self.ports >> 16) as u16
    }
    /// IP protocol.
    #[inline(always)]
    pub const fn protocol(&self) -> u32 {
        (self.ports >> 32) as u32
    }
    /// The same flow from another client's address.
    #[must_use]
    pub const fn with_src(&self, src: u32) -> Self {
        Self { addresses: self.addresses & !0xffff_ffff | src as u64, ..*self }
    }
}

impl core::fmt::Debug for ConnKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ConnKey")
            .field("src", &self.src().to_ne_bytes())
            .field("dst", &self.dst().to_ne_bytes())
            .field("sport", &u16::from_be(self.sport()))
            .field("dport", &u16::from_be(self.dport()))
            .field("protocol", &self.protocol())
            .finish()
    }
}
#[cfg(not(target_endian = "little"))]
compile_error!("xlvs-datapath lays keys out for little-endian machines");

/// [`Conn::word`](super::Conn::word) taken apart. From the lowest bit: state (8), flags (8),
/// generation (16, counts the entry's lives), destination (32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub u64);

impl Word {
    /// A first life.
    #[inline(always)]
    pub const fn new(state: u8, flags: u8, dest: u32) -> Self {
        Self(state as u64 | (flags as u64) << 8 | (dest as u64) << 32)
    }
    /// `state::*`.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the field is the low byte")]
    pub const fn state(self) -> u8 {
        self.0 as u8
    }
    /// `CONN_*`.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the field is the second byte")]
    pub const fn flags(self) -> u8 {
        (self.0 >> 8) as u8
    }
    /// The slot of the destination.
    #[inline(always)]
    pub const fn dest(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// Which life of the entry this is.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the field is 16 bits")]
    pub const fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }
    /// The same life of one entry, or of an entry and its entry for answers.
    #[inline(always)]
    pub const fn is_life_of(self, other: Self) -> bool {
        self.dest() == other.dest() && self.generation() == other.generation()
    }
    /// Any of the flags is set.
    #[inline(always)]
    pub const fn has(self, flags: u8) -> bool {
        self.flags() & flags != 0
    }
    /// How packets reach the server.
    #[inline(always)]
    pub const fn method(self) -> u8 {
        self.flags() & CONN_METHOD
    }
    /// Another state and other flags, the same life and destination.
    #[inline(always)]
    pub const fn with(self, state: u8, flags: u8) -> Self {
        Self(self.0 & !0xffff | state as u64 | (flags as u64) << 8)
    }
    /// The next life, with another destination.
    #[inline(always)]
    pub const fn reborn(self, state: u8, flags: u8, dest: u32) -> Self {
        let generation = self.generation().wrapping_add(1);
        Self(Self::new(state, flags, dest).0 | (generation as u64) << 16)
    }
}

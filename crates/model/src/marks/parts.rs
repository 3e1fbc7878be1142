//! The values of conditions, each one word that is read and written as iptables does.

use std::{fmt, net::Ipv4Addr, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A word that is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{word}` is not {expected}")]
pub struct ParsePartError {
    /// As it was given.
    pub word: String,
    /// What it should have been, with an example.
    pub expected: &'static str,
}

/// A value that must be so, or must not: `80`, `!80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Is<T> {
    /// It must not.
    pub not: bool,
    /// The value.
    pub value: T,
}

impl<T> Is<T> {
    /// It must be so.
    pub const fn so(value: T) -> Self {
        Self { not: false, value }
    }

    /// It must not be so.
    pub const fn not(value: T) -> Self {
        Self { not: true, value }
    }
}

impl<T: fmt::Display> fmt::Display for Is<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.not { "!" } else { "" }, self.value)
    }
}

impl<T: FromStr> FromStr for Is<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        match text.strip_prefix('!') {
            Some(rest) => Ok(Self::not(rest.trim_start().parse()?)),
            None => Ok(Self::so(text.parse()?)),
        }
    }
}

/// Some IPv4 addresses: `10.0.0.0/8`, `10.0.0.1`, or with a mask of any bits
/// `10.0.0.0/255.0.255.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The bits of an address that count; all others are 0.
    pub address: Ipv4Addr,
    /// Which those are.
    pub mask: u32,
}

impl Prefix {
    /// This address is one of them.
    pub const fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask == self.address.to_bits()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.mask.leading_ones();
        if length == self.mask.count_ones() {
            write!(f, "{}/{length}", self.address)
        } else {
            write!(f, "{}/{}", self.address, Ipv4Addr::from_bits(self.mask))
        }
    }
}

impl FromStr for Prefix {
    type Err = ParsePartError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || wrong(text, "addresses like 10.0.0.0/8");
        let (address, mask) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let mask = match mask.parse::<u32>() {
            Ok(0) => 0,
            Ok(length @ 1..=32) => u32::MAX << (32 - length),
            _ => mask.parse::<Ipv4Addr>().map_err(|_| wrong())?.to_bits(),
        };
        Ok(Self { address: Ipv4Addr::from_bits(address.to_bits() & mask), mask })
    }
}

/// What an IP header carries, by its number; some have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// TCP, UDP and their like: the header begins with two ports.
    pub const fn has_ports(self) -> bool {
        matches!(self.0, 6 | 17 | 33 | 132 | 136)
    }
}

impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PROTOCOLS.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for IpProtocol {
    type Err = ParsePartError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let number = named.map(|(_, number)| *number).or_else(|| text.parse().ok());
        number.map(Self).ok_or_else(|| wrong(text, "a protocol like tcp, udp, sctp or 47"))
    }
}

/// Ports from one to another, both included: `80`, `10000:20000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}:{}", self.first, self.last)
        }
    }
}

/// Some ports: `80,443,10000:20000`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ports(Vec<PortRange>);

impl Ports {
    /// None: no range or too many.
    pub fn new(ranges: Vec<PortRange>) -> Option<Self> {
        (1..=MAX_PORT_RANGES).contains(&ranges.len()).then_some(Self(ranges))
    }

    /// At least one, at most [`MAX_PORT_RANGES`].
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// This port is one of them.
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| (range.first..=range.last).contains(&port))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Ports {
    type Err = ParsePartError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || wrong(text, "up to 15 ports or ranges like 80,443,10000:20000");
        let mut ranges = Vec::new();
        for word in text.split(',') {
            let (first, last) = word.split_once(':').unwrap_or((word, word));
            // An end that is left out is the first or last port there is.
            let end = |text: &str, open: u16| if text.is_empty() { Ok(open) } else { text.parse() };
            let open_last = if word.contains(':') { u16::MAX } else { 0 };
            let range = (|| Ok::<_, ParseIntError>((end(first, 0)?, end(last, open_last)?)))();
            match range {
                Ok((first, last)) if first <= last && !word.is_empty() => {
                    ranges.push(PortRange { first, last });
                }
                _ => return Err(wrong()),
            }
        }
        Self::new(ranges).ok_or_else(wrong)
    }
}

/// An interface, or with a `+` at the end all whose names begin so: `eth0`, `eth+`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InterfacePattern(String);

impl InterfacePattern {
    /// This interface is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('+') {
            Some(head) => name.starts_with(head),
            None => self.0 == name,
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for InterfacePattern {
    type Err = ParsePartError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = !text.is_empty()
            && text.len() < IFNAMSIZ
            && !text.contains(|c: char| c.is_whitespace() || c == '/');
        let name = is_name.then(|| Self(text.to_owned()));
        name.ok_or_else(|| wrong(text, "an interface like eth0 or eth+"))
    }
}

/// An Ethernet address: `02:00:00:00:00:01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

impl FromStr for MacAddress {
    type Err = ParsePartError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let byte = |word: &str| u8::from_str_radix(word, 16).ok();
        let bytes: Option<Vec<_>> = text.split(':').map(byte).collect();
        let mac = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        mac.map(Self).ok_or_else(|| wrong(text, "an Ethernet address like 02:00:00:00:00:01"))
    }
}

/// A mark and the bits of it that are meant: `8`, `0x10/0xff`. Alone, all bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Masked {
    /// The mark.
    pub value: u32,
    /// The bits.
    pub mask: u32,
}

impl Masked {
    /// `--set-mark VALUE/MASK`: the bits of the mask and the value become the value.
    pub const fn set(self) -> Self {
        Self { value: self.value, mask: self.mask | self.value }
    }

    /// `--or-mark BITS`.
    pub const fn or(bits: u32) -> Self {
        Self { value: bits, mask: bits }
    }

    /// `--and-mark BITS`.
    pub const fn and(bits: u32) -> Self {
        Self { value: 0, mask: !bits }
    }

    /// `--xor-mark BITS`.
    pub const fn xor(bits: u32) -> Self {
        Self { value: bits, mask: 0 }
    }

    /// What `--set-xmark` makes of a mark (`mark_tg` of the kernel's `xt_mark.c`).
    pub const fn applied_to(self, mark: u32) -> u32 {
        (mark & !self.mask) ^ self.value
    }

    /// What `-m mark` says of a mark (`mark_mt`).
    pub const fn is_of(self, mark: u32) -> bool {
        mark & self.mask == self.value
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}/{:#x}", self.value, self.mask)
    }
}

impl FromStr for Masked {
    type Err = ParsePartError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
        let masked = number(value).zip(number(mask)).map(|(value, mask)| Self { value, mask });
        masked.ok_or_else(|| wrong(text, "a mark like 8 or 0x10/0xff"))
    }
}

/// Decimal, or with `0x` hexadecimal.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn wrong(word: &str, expected: &'static str) -> ParsePartError {
    ParsePartError { word: word.to_owned(), expected }
}

impl<T: fmt::Display> Serialize for Is<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de, T: FromStr<Err = ParsePartError>> Deserialize<'de> for Is<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Masked {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Masked {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// As many as `-m multiport` takes.
pub const MAX_PORT_RANGES: usize = 15;

/// The kernel's room for an interface's name, the final 0 included.
const IFNAMSIZ: usize = 16;

/// Those that iptables knows without asking the system's list, and a few more of that list.
const PROTOCOLS: [(&str, u8); 12] = [
    ("tcp", 6),
    ("udp", 17),
    ("udplite", 136),
    ("icmp", 1),
    ("esp", 50),
    ("ah", 51),
    ("sctp", 132),
    ("dccp", 33),
    ("gre", 47),
    ("ipencap", 4),
    ("igmp", 2),
    ("ospf", 89),
];

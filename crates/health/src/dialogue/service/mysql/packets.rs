//! Packets of `MySQL`'s protocol, and what is in a few of them.

use super::super::{WHOLE_LIMIT, shorten, wrong};
use crate::Outcome;

/// Packets out of bytes that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Packets {
    bytes: Vec<u8>,
    /// Where the next one begins.
    from: usize,
    seen: usize,
}

impl Packets {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.from);
        self.from = 0;
        self.seen = self.seen.saturating_add(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole one, with its number; none yet; or a server that says too much.
    pub(super) fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, Outcome> {
        let rest = &self.bytes[self.from..];
        let length = match rest {
            [a, b, c, ..] => usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16,
            _ => 0,
        };
        if self.seen > WHOLE_LIMIT || length > WHOLE_LIMIT {
            return Err(wrong(format!("more than {WHOLE_LIMIT} bytes"), None));
        }
        let (Some(number), Some(packet)) = (rest.get(3), rest.get(4..4 + length)) else {
            return Ok(None);
        };
        self.from += 4 + length;
        Ok(Some((*number, packet.to_vec())))
    }
}

/// A packet with its length and number.
pub(super) fn framed(number: u8, body: &[u8]) -> Vec<u8> {
    let [a, b, c, ..] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&[a, b, c, number], body].concat()
}

/// What the client's first words begin with, and what alone is said before TLS.
pub(super) fn head(tls: bool, database: bool) -> Vec<u8> {
    let more = if tls { TLS } else { 0 } | if database { WITH_DATABASE } else { 0 };
    let mut head = (ABLE | more).to_le_bytes().to_vec();
    head.extend(LARGEST.to_le_bytes());
    head.push(UTF8);
    head.extend([0; 23]);
    head
}

/// What the server says first.
#[derive(Debug)]
pub(super) struct Greeting {
    /// What the proof is made with.
    pub(super) nonce: Vec<u8>,
    /// How its accounts prove themselves, if they say nothing else.
    pub(super) plugin: String,
    /// It can do TLS.
    pub(super) tls: bool,
}

impl Greeting {
    /// Version 10, of `MySQL` 3.21 and later; its parts since 4.1.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(packet);
        if cursor.take(1)? != [10] {
            return None;
        }
        cursor.text()?; // The version.
        cursor.take(4)?; // The connection's number.
        let mut nonce = cursor.take(8)?.to_vec();
        cursor.take(1)?;
        let low = cursor.take(2)?;
        cursor.take(3)?; // A character set and the state.
        let high = cursor.take(2)?;
        let able = u32::from_le_bytes([low[0], low[1], high[0], high[1]]);
        let length = usize::from(cursor.take(1)?[0]);
        cursor.take(10)?;
        // It ends with a zero, which is none of it.
        let rest = cursor.take(length.saturating_sub(8).max(13))?;
        nonce.extend(rest.strip_suffix(&[0]).unwrap_or(rest));
        let plugin = if able & PLUGINS == 0 { None } else { cursor.text() };
        Some(Self { nonce, plugin: plugin.unwrap_or_default(), tls: able & TLS != 0 })
    }
}

/// The outcome of an error's packet.
pub(super) fn fault(packet: &[u8]) -> Outcome {
    let mut cursor = Cursor(packet.get(1..).unwrap_or_default());
    let code = cursor.take(2).map_or(0, |code| u16::from_le_bytes([code[0], code[1]]));
    let text = match cursor.0 {
        [b'#', rest @ ..] => rest.get(5..).unwrap_or_default(),
        rest => rest,
    };
    let text = shorten(&String::from_utf8_lossy(text));
    wrong(format!("error {code}: {text}"), Some(code))
}

/// Reads from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A text up to a zero, or up to the end.
    pub(super) fn text(&mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(end.unwrap_or(self.0.len()))?;
        if end.is_some() {
            self.take(1)?;
        }
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// A number of one to nine bytes.
    pub(super) fn length(&mut self) -> Option<u64> {
        let count = match self.take(1)?[0] {
            small @ ..=0xfa => return Some(small.into()),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            _ => return None,
        };
        let digits = self.take(count)?;
        Some(digits.iter().rev().fold(0, |sum, digit| sum << 8 | u64::from(*digit)))
    }
}

/// Capabilities: long passwords and flags, protocol 4.1 with its transactions and proofs, plugins.
const ABLE: u32 = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | PLUGINS;
const WITH_DATABASE: u32 = 0x8;
const TLS: u32 = 0x800;
const PLUGINS: u32 = 0x8_0000;
/// The largest packet that is taken: the protocol's own limit.
const LARGEST: u32 = 1 << 24;
/// `utf8_general_ci`, which every version knows.
const UTF8: u8 = 33;

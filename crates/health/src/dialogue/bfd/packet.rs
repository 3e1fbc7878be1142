//! The control packet (RFC 5880, section 4.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
//! |                       My Discriminator                        |
//! |                      Your Discriminator                       |
//! |                    Desired Min TX Interval                    |
//! |                   Required Min RX Interval                    |
//! |                 Required Min Echo RX Interval                 |
//! ```

use std::time::Duration;

use thiserror::Error;

use super::{Diagnostic, State};

/// A control packet without authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Why the sender's session went down last.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// It wants an answer with `F` at once.
    pub poll: bool,
    /// It is that answer.
    pub is_final: bool,
    /// The sender wants no periodic packets while the session is up.
    pub demand: bool,
    /// So many packets may be missed, less one.
    pub multiplier: u8,
    /// The sender's number of the session.
    pub mine: u32,
    /// The receiver's, as far as the sender knows it; else 0.
    pub yours: u32,
    /// How often the sender wants to send.
    pub desired_min_tx: Duration,
    /// How often it takes packets; 0: it takes no periodic ones.
    pub required_min_rx: Duration,
}

/// Why a datagram is dropped (section 6.8.6). Its text completes `a packet `.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Less than a packet has, or says that it has.
    #[error("that is cut short")]
    Short,
    /// Not version 1.
    #[error("of BFD's version {0}, not 1")]
    Version(u8),
    /// It has to be told of: a person configured it.
    #[error("with authentication, which xlvs does not do: the neighbor is to speak without")]
    Authentication,
    /// The flag is for point-to-multipoint.
    #[error("for several receivers")]
    Multipoint,
    /// A detection time of nothing.
    #[error("with a multiplier of 0")]
    Multiplier,
    /// Nothing to answer to.
    #[error("without a discriminator")]
    Discriminator,
    /// A session that is up knows both numbers.
    #[error("of a session that is up without knowing ours")]
    Stranger,
}

/// The length of a packet without authentication.
pub(super) const LENGTH: usize = 24;

const POLL: u8 = 1 << 5;
const FINAL: u8 = 1 << 4;
const AUTHENTICATED: u8 = 1 << 2;
const DEMAND: u8 = 1 << 1;
const MULTIPOINT: u8 = 1;

impl Control {
    /// Reads a datagram, as far as that needs no session.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((packet, _)) = bytes.split_first_chunk::<LENGTH>() else {
            return Err(Malformed::Short);
        };
        let [head, flags, multiplier, length, words @ ..] = packet;
        let version = head >> 5;
        let length = usize::from(*length);
        let least = if flags & AUTHENTICATED == 0 { LENGTH } else { LENGTH + 2 };
        let (mine, yours) = (number(words, 0), number(words, 1));
        let state = State::of(flags >> 6);
        let wrong = match () {
            () if version != 1 => Some(Malformed::Version(version)),
            () if length < least || length > bytes.len() => Some(Malformed::Short),
            () if *multiplier == 0 => Some(Malformed::Multiplier),
            () if flags & MULTIPOINT != 0 => Some(Malformed::Multipoint),
            () if mine == 0 => Some(Malformed::Discriminator),
            () if yours == 0 && matches!(state, State::Init | State::Up) => {
                Some(Malformed::Stranger)
            }
            () if flags & AUTHENTICATED != 0 => Some(Malformed::Authentication),
            () => None,
        };
        match wrong {
            Some(wrong) => Err(wrong),
            None => Ok(Self {
                diagnostic: Diagnostic(head & 0x1f),
                state,
                poll: flags & POLL != 0,
                is_final: flags & FINAL != 0,
                demand: flags & DEMAND != 0,
                multiplier: *multiplier,
                mine,
                yours,
                desired_min_tx: Duration::from_micros(number(words, 2).into()),
                required_min_rx: Duration::from_micros(number(words, 3).into()),
            }),
        }
    }

    /// The datagram.
    pub fn emit(&self) -> [u8; LENGTH] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = (self.state as u8) << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.demand, DEMAND);
        let mut packet = [0; LENGTH];
        packet[0] = 1 << 5 | (self.diagnostic.0 & 0x1f);
        packet[1] = flags;
        packet[2] = self.multiplier;
        packet[3] = 24;
        let words =
            [self.mine, self.yours, micros(self.desired_min_tx), micros(self.required_min_rx)];
        for (place, word) in packet[4..20].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        packet
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn number(words: &[u8; LENGTH - 4], at: usize) -> u32 {
    words
        .chunks_exact(4)
        .nth(at)
        .map_or(0, |word| word.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

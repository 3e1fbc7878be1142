//! What one question found.

use std::{fmt, mem::discriminant, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The end of one dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered as it should.
    Good(Good),
    /// It did not.
    Bad(Fault),
    /// It could not be asked, for a reason on this host: that says nothing of the server, which
    /// stays as it is. It is asked again after `delay_loop`.
    Unasked(String),
}

impl Outcome {
    /// A good answer without more to say.
    pub const GOOD: Self = Self::Good(Good { code: None, weight: None });

    /// True of a good answer.
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Good(_))
    }

    /// The same for a person: a page whose digest is another each time is the same fault.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bad(one), Self::Bad(other)) => {
                discriminant(one) == discriminant(other) && one.code() == other.code()
            }
            _ => discriminant(self) == discriminant(other),
        }
    }

    /// A status or exit code.
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Good(good) => good.code,
            Self::Bad(fault) => fault.code(),
            Self::Unasked(_) => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(Good { weight: Some(said @ Weight::Load(_)), .. }) => said.fmt(f),
            Self::Good(Good { code: Some(code), .. }) => write!(f, "good, code {code}"),
            Self::Good(_) => f.write_str("good"),
            Self::Bad(fault) => fault.fmt(f),
            Self::Unasked(why) => write!(f, "could not be asked: {why}"),
        }
    }
}

/// What a good answer says beside that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Good {
    /// A status or exit code.
    pub code: Option<u16>,
    /// What it asks of the server's weight.
    pub weight: Option<Weight>,
}

/// What a good answer asks of the server's weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// This weight (`misc_dynamic`).
    Be(u32),
    /// So much more than it would be (`FILE_CHECK`).
    Add(i64),
    /// So many hundredths of what is written (an agent).
    Percent(u32),
    /// What follows from this load (`load_monitor`), by the weight that there is.
    Load(Load),
    /// This weight, which followed from that load.
    Follow {
        /// The weight.
        weight: u32,
        /// The load.
        load: Load,
    },
}

impl Weight {
    /// What it makes of the written weight. Of a part of a weight at least 1 is left, so that
    /// nothing but 0 % keeps new connections away.
    pub fn of(self, written: u32) -> i64 {
        let written = i64::from(written);
        match self {
            Self::Be(weight) | Self::Follow { weight, .. } => i64::from(weight),
            Self::Add(more) => written.saturating_add(more),
            Self::Percent(part) => (written * i64::from(part) + 99) / 100,
            Self::Load(_) => written,
        }
    }
}

/// A load average in hundredths, as programs print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Load(pub u32);

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "load {}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Be(weight) => write!(f, "weight {weight}"),
            Self::Add(more) => write!(f, "weight {more:+}"),
            Self::Percent(part) => write!(f, "{part}% of the weight"),
            Self::Load(load) => load.fmt(f),
            Self::Follow { weight, load } => write!(f, "weight {weight} at {load}"),
        }
    }
}

/// Why an answer is not good. Its text completes `TCP_CHECK 10.0.0.5:80: ...`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// ECONNREFUSED.
    #[error("connection refused")]
    Refused,
    /// No way there, or an ICMP error.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Nothing came within the time.
    #[error("{stage} took longer than {} s", .limit.as_secs_f32())]
    Timeout {
        /// Which part of the dialogue.
        stage: Stage,
        /// What it may take.
        limit: Duration,
    },
    /// The server took no connection for the virtual address, whatever it does for its own.
    #[error(
        "no answer for the virtual address {target} within {} s: is it on the server's lo or \
         tunnel, and does the service listen on it?",
        .limit.as_secs_f32()
    )]
    NotForVirtual {
        /// The virtual address.
        target: std::net::SocketAddr,
        /// What connecting may take.
        limit: Duration,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// TLS could not be agreed on.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The end came without TLS's goodbye, and `tls_compliant` asks for one.
    #[error("TLS ended without close_notify")]
    TlsTruncated,
    /// The server closed without an answer.
    #[error("closed without an answer")]
    Silent,
    /// What came is not HTTP.
    #[error("answered with something that is not HTTP: {0}")]
    NotHttp(String),
    /// The head of the answer does not end.
    #[error("answered with a head of more than {0} bytes")]
    LongHead(usize),
    /// Another status than those asked for.
    #[error("answered {0}")]
    Status(u16),
    /// Another answer than a check of SMTP, DNS or UDP wants.
    #[error("answered {what}")]
    Answered {
        /// What it said.
        what: String,
        /// The code in it.
        code: Option<u16>,
    },
    /// A BFD session is not up.
    #[error("the session is down: {0}")]
    Session(String),
    /// The body's MD5 sum is another.
    #[error("digest is {got}, not {wanted}")]
    Digest {
        /// What the body has.
        got: xlvs_model::health::Digest,
        /// What it should have.
        wanted: xlvs_model::health::Digest,
    },
    /// The body is too long to be hashed or searched.
    #[error("sent more than {0} bytes, and what they should be is not decided by then")]
    LongBody(u64),
    /// The pattern is not found, or is found and should not be.
    #[error("the pattern is {}in the body", if *.found { "" } else { "not " })]
    Pattern {
        /// It was found.
        found: bool,
    },
    /// The number in a file.
    #[error("the file says {0}")]
    Number(i64),
    /// A program's exit code.
    #[error("exit code {0}")]
    Exit(u8),
    /// A program was ended by a signal that is not ours.
    #[error("ended by signal {0}")]
    Signal(i32),
    /// A program took too long and was ended.
    #[error("took longer than {} s and was ended", .0.as_secs_f32())]
    Overran(Duration),
    /// A program cannot be run.
    #[error("cannot be run: {0}")]
    CannotRun(String),
    /// What the last daemon found.
    #[error("{what}")]
    Before {
        /// In its words.
        what: String,
        /// The code in it.
        code: Option<u16>,
    },
}

impl Fault {
    /// A status or exit code.
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Status(code) => Some(*code),
            Self::Exit(code) => Some(*code as u16),
            Self::Answered { code, .. } | Self::Before { code, .. } => *code,
            _ => None,
        }
    }
}

/// A part of a dialogue that has a time limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Until the connection stands.
    Connect,
    /// TLS's handshake.
    Handshake,
    /// From one piece of the answer to the next.
    Answer,
    /// The whole answer.
    Whole,
    /// An ICMP echo.
    Echo,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Handshake => "the TLS handshake",
            Self::Answer => "the next piece of the answer",
            Self::Whole => "the whole answer",
            Self::Echo => "the echo",
        })
    }
}

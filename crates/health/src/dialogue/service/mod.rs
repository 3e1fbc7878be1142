//! ldirectord's `negotiate`: a dialogue of each service's own kind.
//!
//! One machine per kind. Bytes go in; what to send and the verdict come out ([`ServiceStep`]).
//! What a server sends is bounded: a line, and all that is said in one dialogue.

mod ber;
mod dns;
mod ftp;
mod ldap;
mod lines;
mod mysql;
mod pgsql;
mod radius;
mod simple;
mod sip;
mod web;

use std::fmt::Debug;

use xlvs_model::health::{ServiceCheck, UrlRegex};

use super::{Pattern, PatternFault};
use crate::{Fault, Outcome};

pub use self::{
    dns::{Dns, FramedDns},
    ftp::Ftp,
    ldap::Ldap,
    lines::{Lines, imap, nntp, pop},
    mysql::Mysql,
    pgsql::{Pgsql, wants_no_tls},
    radius::Radius,
    simple::Simple,
    sip::Sip,
    web::web,
};

/// What a line of a server may be long.
const LINE_LIMIT: usize = 16 << 10;

/// What a server may say in one dialogue, or a file may be long.
pub const WHOLE_LIMIT: usize = 1 << 20;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceStep {
    /// Wait for more.
    Read,
    /// Send this, then wait.
    Send(Vec<u8>),
    /// Send this and nothing after it (the sending half is closed), then wait.
    SendLast(Vec<u8>),
    /// Send this, agree on TLS, and go on by [`ServiceDialogue::secured`].
    Secure(Vec<u8>),
    /// Make a second connection, to this port; then send this on the first, and wait.
    Open(u16, Vec<u8>),
    /// Read the second connection to its end, and hand that to [`ServiceDialogue::fetched`].
    Fetch,
    /// The verdict is in; say goodbye, and do not mind the answer.
    Bye(Vec<u8>, Outcome),
    /// The verdict is in.
    Done(Outcome),
}

/// One dialogue over a stream.
pub trait ServiceDialogue: Debug + Send {
    /// Before the first byte: who speaks first?
    fn begin(&mut self) -> ServiceStep {
        ServiceStep::Read
    }

    /// Bytes came.
    fn feed(&mut self, bytes: &[u8]) -> ServiceStep;

    /// TLS was agreed on.
    fn secured(&mut self) -> ServiceStep {
        ServiceStep::Read
    }

    /// What came by the second connection.
    fn fetched(&mut self, _file: &[u8]) -> ServiceStep {
        ServiceStep::Read
    }

    /// The server closed.
    fn end(&mut self) -> Outcome {
        Outcome::Bad(Fault::Silent)
    }
}

/// `receive`, compiled; none: any answer is good.
pub fn receive(check: &ServiceCheck) -> Result<Option<Pattern>, PatternFault> {
    let terms = || UrlRegex { pattern: check.receive.clone(), ..UrlRegex::default() };
    (!check.receive.is_empty()).then(|| Pattern::new(&terms())).transpose()
}

/// The outcome of an answer that `receive` is asked about.
fn judge(pattern: Option<&Pattern>, answer: &[u8]) -> Outcome {
    match pattern {
        Some(pattern) if !pattern.is_in(answer) => {
            let first = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
            unlike(&String::from_utf8_lossy(first))
        }
        _ => Outcome::GOOD,
    }
}

/// The outcome of an answer that `receive` does not match; of a long one its beginning is told.
fn unlike(answer: &str) -> Outcome {
    wrong(format!("`{}`, which is not what it should receive", shorten(answer)), None)
}

/// The outcome of a wrong answer.
fn wrong(what: impl Into<String>, code: Option<u16>) -> Outcome {
    Outcome::Bad(Fault::Answered { what: what.into(), code })
}

/// As much of a line as a person wants to see.
fn shorten(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// A word of the configuration for a protocol of lines. What would end the line cannot be said.
fn word<'a>(what: &str, text: &'a str) -> Result<&'a str, Outcome> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(Outcome::Unasked(format!("its {what} is more than one line")));
    }
    Ok(text)
}

/// Lines out of bytes that come in pieces.
#[derive(Debug, Default)]
struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the next line begins.
    from: usize,
    seen: usize,
}

impl LineBuffer {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.from);
        self.from = 0;
        self.seen = self.seen.saturating_add(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line with its end; none yet; or a server that does not stop.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Outcome> {
        let rest = &self.bytes[self.from..];
        let end = rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        if end.unwrap_or(rest.len()) > LINE_LIMIT {
            return Err(wrong("a line without an end", None));
        }
        if self.seen > WHOLE_LIMIT {
            return Err(wrong(format!("more than {WHOLE_LIMIT} bytes"), None));
        }
        let line = end.map(|end| rest[..end].to_vec());
        self.from += end.unwrap_or(0);
        Ok(line)
    }

    /// What came after the last line's end.
    fn rest(&mut self) -> Vec<u8> {
        self.bytes.split_off(self.from)
    }

    /// The next whole line as a text without its end.
    fn next_text(&mut self) -> Result<Option<String>, Outcome> {
        let line = self.next()?;
        Ok(line.map(|line| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }
}

#[cfg(test)]
mod garbage;

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a server's part, and then closes. What was said, and the verdict.
    pub(super) fn play(dialogue: &mut dyn ServiceDialogue, server: &[&[u8]]) -> (String, Outcome) {
        let (said, outcome) = play_bytes(dialogue, server);
        (String::from_utf8_lossy(&said).into_owned(), outcome)
    }

    /// The same, with what was said as bytes.
    pub(super) fn play_bytes(
        dialogue: &mut dyn ServiceDialogue,
        server: &[&[u8]],
    ) -> (Vec<u8>, Outcome) {
        let mut said = Vec::new();
        let mut step = dialogue.begin();
        let mut server = server.iter();
        loop {
            match step {
                ServiceStep::Read | ServiceStep::Fetch => {}
                ServiceStep::Send(bytes)
                | ServiceStep::SendLast(bytes)
                | ServiceStep::Open(_, bytes) => said.extend(bytes),
                ServiceStep::Secure(bytes) => {
                    said.extend(bytes);
                    step = dialogue.secured();
                    continue;
                }
                ServiceStep::Bye(bytes, outcome) => {
                    said.extend(bytes);
                    return (said, outcome);
                }
                ServiceStep::Done(outcome) => return (said, outcome),
            }
            step = match server.next() {
                Some(bytes) => match bytes.strip_prefix(b"FILE ") {
                    Some(file) => dialogue.fetched(file),
                    None => dialogue.feed(bytes),
                },
                None => ServiceStep::Done(dialogue.end()),
            };
        }
    }

    /// A server that sends one byte without an end gets its verdict after a bounded number.
    pub(super) fn assert_bounded(dialogue: &mut dyn ServiceDialogue, byte: u8) {
        let _ = dialogue.begin();
        let block = [byte; 4096];
        let limit = (LINE_LIMIT + WHOLE_LIMIT) / block.len() + 2;
        for _ in 0..limit {
            if let ServiceStep::Done(outcome) = dialogue.feed(&block) {
                assert!(!outcome.is_good(), "{dialogue:?}");
                return;
            }
        }
        panic!("no verdict after {limit} blocks of {byte:?}");
    }

    #[test]
    fn what_cannot_be_said_in_a_line_is_not_said() {
        assert_eq!(word("login", "me"), Ok("me"));
        assert!(matches!(word("login", "me\r\nQUIT"), Err(Outcome::Unasked(_))));
    }
}

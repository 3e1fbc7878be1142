//! nanny's `send` and `expect`: what comes is compared with what should, byte by byte as it comes.
//!
//! nanny reads once and compares what that gave it, so an answer in two segments is a wrong one to
//! it. Here the answer may come in any pieces.

use regex::bytes::{Regex, RegexBuilder};
use xlvs_model::health::{Expect, TalkCheck};

use crate::{Fault, Outcome};

/// So much is looked at with an expression, as nanny does.
const REGEX_BYTES: usize = 254;

/// How large a compiled expression may be.
const SIZE_LIMIT: usize = 1 << 18;

/// What a person is shown of a wrong answer.
const SHOWN: usize = 80;

/// One dialogue, after what is sent.
#[derive(Debug)]
pub struct Talk {
    wanted: Wanted,
    heard: Vec<u8>,
}

#[derive(Debug)]
enum Wanted {
    Nothing,
    Anything,
    Prefix(Vec<u8>),
    Regex(Regex),
}

impl Talk {
    /// Before the first byte; an expression that cannot be used is told.
    pub fn new(check: &TalkCheck) -> Result<Self, String> {
        let wanted = match &check.expect {
            None if check.udp => Wanted::Anything,
            None => Wanted::Nothing,
            Some(Expect::Anything) => Wanted::Anything,
            Some(Expect::Prefix(bytes)) if bytes.is_empty() => Wanted::Nothing,
            Some(Expect::Prefix(bytes)) => Wanted::Prefix(bytes.clone()),
            Some(Expect::Regex(pattern)) => Wanted::Regex(
                RegexBuilder::new(pattern)
                    .unicode(false)
                    .dot_matches_new_line(true)
                    .size_limit(SIZE_LIMIT)
                    .build()
                    .map_err(|fault| format!("`{pattern}` cannot be used: {fault}"))?,
            ),
        };
        Ok(Self { wanted, heard: Vec::new() })
    }

    /// Whether an answer has to be waited for.
    pub const fn waits(&self) -> bool {
        !matches!(self.wanted, Wanted::Nothing)
    }

    /// Bytes came; the verdict, if it is in.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Outcome> {
        // More than decides is kept to be told.
        let room = self.limit().max(SHOWN).saturating_sub(self.heard.len());
        self.heard.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let is_full = self.heard.len() >= self.limit();
        let is_good = match &self.wanted {
            Wanted::Nothing => true,
            Wanted::Anything => !self.heard.is_empty(),
            Wanted::Prefix(wanted) => {
                // A wrong byte is no better for what follows it.
                let common = self.heard.len().min(wanted.len());
                if self.heard[..common] != wanted[..common] {
                    return Some(self.wrong());
                }
                is_full
            }
            Wanted::Regex(regex) => regex.is_match(&self.heard),
        };
        match (is_good, is_full) {
            (true, _) => Some(Outcome::GOOD),
            (false, true) => Some(self.wrong()),
            (false, false) => None,
        }
    }

    /// Nothing more comes.
    pub fn end(&self) -> Outcome {
        if self.heard.is_empty() { Outcome::Bad(Fault::Silent) } else { self.wrong() }
    }

    /// So many bytes decide.
    const fn limit(&self) -> usize {
        match &self.wanted {
            Wanted::Nothing => 0,
            Wanted::Anything => 1,
            Wanted::Prefix(wanted) => wanted.len(),
            Wanted::Regex(_) => REGEX_BYTES,
        }
    }

    fn wrong(&self) -> Outcome {
        let text = String::from_utf8_lossy(&self.heard);
        let shown: String = text.chars().take(SHOWN).flat_map(char::escape_default).collect();
        Outcome::Bad(Fault::Answered { what: format!("`{shown}`"), code: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(what: &str) -> Outcome {
        Outcome::Bad(Fault::Answered { what: format!("`{what}`"), code: None })
    }

    #[test]
    fn rows() {
        let prefix = |text: &str| Some(Expect::Prefix(text.into()));
        let regex = |text: &str| Some(Expect::Regex(text.into()));
        let silent = || Outcome::Bad(Fault::Silent);
        for (expect, heard, expected, why) in [
            (prefix("HTTP"), "HTTP/1.0 200", Outcome::GOOD, "the first bytes"),
            (prefix("HTTP"), "SSH-2.0", wrong("SSH-2.0"), "others"),
            (prefix("HTTP"), "HTT", wrong("HTT"), "not all of them"),
            (prefix("HTTP"), "", silent(), "none"),
            (Some(Expect::Anything), "x", Outcome::GOOD, "anything"),
            (Some(Expect::Anything), "", silent(), "nothing is not anything"),
            (regex("^HTTP/1\\.[01] 2"), "HTTP/1.1 200 OK\r\n", Outcome::GOOD, "an expression"),
            (regex("a.b"), "xa\nb", Outcome::GOOD, "POSIX: a dot is also a newline"),
            (regex("^b"), "a\nb", wrong("a\\nb"), "POSIX: one beginning"),
        ] {
            let check = TalkCheck { expect, ..TalkCheck::default() };
            for piece in [1, 2, 1000] {
                let mut talk = Talk::new(&check).expect("a dialogue");
                assert!(talk.waits());
                let found = heard.as_bytes().chunks(piece).find_map(|bytes| talk.feed(bytes));
                let found = found.unwrap_or_else(|| talk.end());
                // How much of a wrong answer is shown depends on how it came.
                let is_expected = found == expected || !expected.is_good() && !found.is_good();
                assert!(is_expected, "{why}, by {piece}: {found:?}");
            }
        }
    }

    #[test]
    fn more_of_a_wrong_answer_is_told_than_decides() {
        let expect = Some(Expect::Prefix("SSH".into()));
        let check = TalkCheck { expect, ..TalkCheck::default() };
        let mut talk = Talk::new(&check).expect("a dialogue");
        let found = talk.feed(b"HTTP/1.1 200 OK\r\n");
        assert_eq!(found, Some(wrong("HTTP/1.1 200 OK\\r\\n")));
    }

    #[test]
    fn an_answer_without_an_end_is_decided() {
        let expect = Some(Expect::Regex("needle".into()));
        let mut talk =
            Talk::new(&TalkCheck { expect, ..TalkCheck::default() }).expect("a dialogue");
        let found = (0..1000).find_map(|_| talk.feed(&[b'x'; 100]));
        assert_eq!(found, Some(wrong(&"x".repeat(SHOWN))));
        assert!(talk.heard.len() <= REGEX_BYTES);
    }

    #[test]
    fn what_is_waited_for() {
        let expect = Some(Expect::Regex("(".into()));
        assert!(Talk::new(&TalkCheck { expect, ..TalkCheck::default() }).is_err());
        for (udp, waits) in [(false, false), (true, true)] {
            let talk = Talk::new(&TalkCheck { udp, ..TalkCheck::default() }).expect("a dialogue");
            assert_eq!(talk.waits(), waits, "by UDP a connection says nothing");
        }
    }
}

//! `SMTP_CHECK`: greeting, HELO, QUIT (RFC 5321), as far as keepalived goes.

use crate::{Fault, Outcome};

/// What a line of the server may be long.
const LINE_LIMIT: usize = 4096;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmtpStep {
    /// Wait for more.
    Read,
    /// Send this, then wait.
    Send(String),
    /// The verdict is in.
    Done(Outcome),
}

/// One dialogue.
#[derive(Debug)]
pub struct Smtp {
    helo: String,
    stage: Stage,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Helo,
    Quit,
}

impl Smtp {
    /// Before the first byte: the server speaks first.
    pub fn new(helo: &str) -> Self {
        let helo = helo.chars().filter(|c| !c.is_control()).collect();
        Self { helo, stage: Stage::Greeting, line: Vec::new() }
    }

    /// Bytes came.
    pub fn feed(&mut self, bytes: &[u8]) -> SmtpStep {
        for byte in bytes {
            self.line.push(*byte);
            if self.line.len() > LINE_LIMIT {
                return SmtpStep::Done(answered("a line without an end".into(), None));
            }
            if *byte != b'\n' {
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
            self.line.clear();
            if !goes_on(&line) {
                return self.answer(&line);
            }
        }
        SmtpStep::Read
    }

    /// The server closed. Once QUIT is said that is its right.
    pub fn end(&self) -> Outcome {
        if self.stage == Stage::Quit { Outcome::GOOD } else { Outcome::Bad(Fault::Silent) }
    }

    fn answer(&mut self, line: &str) -> SmtpStep {
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        let wrong = || SmtpStep::Done(answered(shorten(line), code));
        match (self.stage, code) {
            (Stage::Greeting, Some(220)) => {
                self.stage = Stage::Helo;
                SmtpStep::Send(format!("HELO {}\r\n", self.helo))
            }
            (Stage::Helo, Some(250)) => {
                self.stage = Stage::Quit;
                SmtpStep::Send("QUIT\r\n".into())
            }
            (Stage::Greeting | Stage::Helo, _) => wrong(),
            (Stage::Quit, _) => SmtpStep::Done(Outcome::GOOD),
        }
    }
}

/// `250-` says that more lines follow.
pub(super) fn goes_on(line: &str) -> bool {
    matches!(line.as_bytes(), [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..])
}

const fn answered(what: String, code: Option<u16>) -> Outcome {
    Outcome::Bad(Fault::Answered { what, code })
}

/// As much of a line as a person wants to see.
fn shorten(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let refused = |what: &str, code| answered(what.into(), code);
        for (server, expected, why) in [
            (&["220 hi\r\n", "250 ok\r\n", "221 bye\r\n"][..], Some(Outcome::GOOD), "whole"),
            (
                &["220-a\r\n22", "0 b\r\n", "250-a\r\n250 b\r\n", "500 no\r\n"],
                Some(Outcome::GOOD),
                "cut",
            ),
            (&["220 hi\r\n", "250 ok\r\n"], None, "QUIT needs no answer"),
            (&["554 no\r\n"], Some(refused("554 no", Some(554))), "the greeting"),
            (&["220 hi\r\n", "502 no\r\n"], Some(refused("502 no", Some(502))), "HELO"),
            (&["SSH-2.0\r\n"], Some(refused("SSH-2.0", None)), "another protocol"),
        ] {
            let mut smtp = Smtp::new("me\r\nQUIT");
            let mut found = None;
            for bytes in server {
                match smtp.feed(bytes.as_bytes()) {
                    SmtpStep::Read => {}
                    SmtpStep::Send(text) => assert!(
                        ["HELO meQUIT\r\n", "QUIT\r\n"].contains(&text.as_str()),
                        "{why}: {text}"
                    ),
                    SmtpStep::Done(outcome) => found = Some(outcome),
                }
            }
            assert_eq!(found.clone(), expected, "{why}");
            assert_eq!(
                found.unwrap_or_else(|| smtp.end()).is_good(),
                expected.is_none_or(|o| o.is_good())
            );
        }
        assert_eq!(Smtp::new("a").end(), Outcome::Bad(Fault::Silent));
        let step = Smtp::new("a").feed(&[b'2'; LINE_LIMIT + 1]);
        assert!(matches!(step, SmtpStep::Done(Outcome::Bad(_))), "a line without an end");
    }
}

//! `HAProxy`'s agent check: a line of words, and what it makes of the server.
//!
//! As `HAProxy`'s manual has it: words stand in any order between blanks and commas, up to the
//! first CR or LF or the end of the connection. What an agent does not mention stays as it is, so
//! that only an agent undoes what an agent did. An agent that cannot be reached, or that says
//! nothing that is understood, says nothing of the server.

use crate::{Fault, Good, Outcome, Weight};

/// A line is no longer.
pub const LINE_LIMIT: usize = 512;

/// No part of a weight is larger, in percent.
const LARGEST_PART: u32 = 25_600;

/// What a person is shown of a line.
const SHOWN: usize = 80;

/// What an agent said of its server up to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// `75%`.
    part: Option<u32>,
    /// `ready`, `drain`, `maint`.
    admin: Admin,
    /// `down`, `fail` or `stopped`, with what it said of it; none: `up`.
    down: Option<String>,
}

/// What a hand at the agent wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Admin {
    #[default]
    Ready,
    Drain,
    Maint,
}

/// A line, as it comes.
#[derive(Debug, Default)]
pub struct AgentLine(Vec<u8>);

impl AgentLine {
    /// Takes what came; the line once it is there, or none where it does not end.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Result<String, Outcome>> {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let end = bytes.iter().position(is_end);
        let room = LINE_LIMIT - self.0.len();
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        if piece.len() > room {
            return Some(Err(unheard(&format!("the agent's line is over {LINE_LIMIT} bytes"))));
        }
        self.0.extend_from_slice(piece);
        end.map(|_| self.end())
    }

    /// The agent closed, which ends a line, too.
    pub fn end(&mut self) -> Result<String, Outcome> {
        match String::from_utf8(std::mem::take(&mut self.0)) {
            Ok(line) => Ok(line),
            Err(_) => Err(unheard("the agent's line is not text")),
        }
    }
}

impl Agent {
    /// Takes a line in: how the server is now.
    pub fn hear(&mut self, line: &str) -> Outcome {
        let (words, remark) = line.split_once('#').unwrap_or((line, ""));
        let is_gap = |c: char| matches!(c, ' ' | '\t' | ',');
        let mut understood = false;
        for word in words.split(is_gap).filter(|word| !word.is_empty()) {
            understood |= self.word(&word.to_ascii_lowercase(), remark.trim());
        }
        if understood {
            return self.outcome();
        }
        let told: String = line.chars().take(SHOWN).collect();
        unheard(&format!("the agent says `{}`, which means nothing", told.escape_debug()))
    }

    /// One word; whether it means something.
    fn word(&mut self, word: &str, remark: &str) -> bool {
        match word {
            "up" => self.down = None,
            "down" | "fail" | "stopped" => {
                let remark: String = remark.chars().take(SHOWN).collect();
                let gap = if remark.is_empty() { "" } else { ": " };
                self.down = Some(format!("{word}{gap}{}", remark.escape_debug()));
            }
            "ready" => self.admin = Admin::Ready,
            "drain" => self.admin = Admin::Drain,
            "maint" => self.admin = Admin::Maint,
            // The limit of connections is the file's (`upper`).
            _ if word.strip_prefix("maxconn:").is_some_and(|n| n.parse::<u32>().is_ok()) => {}
            _ => match word.strip_suffix('%').and_then(|part| part.parse().ok()) {
                Some(part) if part <= LARGEST_PART => self.part = Some(part),
                _ => return false,
            },
        }
        true
    }

    fn outcome(&self) -> Outcome {
        let bad = |what: String| Outcome::Bad(Fault::Answered { what, code: None });
        match (&self.down, self.admin) {
            (Some(down), _) => bad(down.clone()),
            (None, Admin::Maint) => bad("maint".into()),
            (None, Admin::Drain) => Outcome::Good(Good { code: None, weight: Some(Weight::Be(0)) }),
            (None, Admin::Ready) => {
                Outcome::Good(Good { code: None, weight: self.part.map(Weight::Percent) })
            }
        }
    }
}

/// Nothing that is to be followed.
fn unheard(why: &str) -> Outcome {
    Outcome::Unasked(format!("{why}; the server stays as it is"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(lines: &[&str]) -> String {
        let mut agent = Agent::default();
        let mut last = String::new();
        for line in lines {
            let outcome = agent.hear(line);
            let weight = match &outcome {
                Outcome::Good(Good { weight: Some(weight), .. }) => format!(", {weight}"),
                _ => String::new(),
            };
            last = format!("{outcome}{weight}");
        }
        last
    }

    #[test]
    fn lines_have_their_meaning() {
        for (lines, expected, why) in [
            (&["up"][..], "good", "the plain word"),
            (&["UP"], "good", "whatever its case"),
            (&["75%"], "good, 75% of the weight", "a part of the weight"),
            (&["up 75%"], "good, 75% of the weight", "both"),
            (&["75%,\tup , maxconn:30"], "good, 75% of the weight", "in any order, by any gap"),
            (&["0%"], "good, 0% of the weight", "no new connections"),
            (&["150%"], "good, 150% of the weight", "more than its weight"),
            (&["maxconn:30"], "good", "the limit is the file's, and the word is known"),
            (&["down"], "answered down", "down"),
            (&["fail # disk full"], "answered fail: disk full", "the remark is told"),
            (&["stopped#by hand, ready"], "answered stopped: by hand, ready", "it is no word"),
            (&["maint"], "answered maint", "out"),
            (&["drain"], "good, weight 0", "no new connections"),
            (&["50%", "up"], "good, 50% of the weight", "what is not said stays"),
            (&["down", "50%"], "answered down", "only `up` brings it up again"),
            (&["down", "up"], "good", "which it does"),
            (&["drain", "up 50%"], "good, weight 0", "only `ready` ends a drain"),
            (&["drain", "ready 50%"], "good, 50% of the weight", "which it does"),
            (&["maint", "up"], "answered maint", "and maintenance"),
            (&["down", "ready"], "answered down", "which is another matter"),
            (&["up nonsense"], "good", "what is not known is passed over"),
        ] {
            assert_eq!(told(lines), expected, "{why}");
        }
    }

    #[test]
    fn what_means_nothing_changes_nothing() {
        for (line, why) in [
            ("", "nothing"),
            (" , \t", "gaps"),
            ("hello", "another word"),
            ("-5%", "less than nothing"),
            ("25601%", "too much"),
            ("%", "no number"),
            ("maxconn:many", "no number"),
            ("# up", "a remark"),
            ("HTTP/1.1 400 Bad Request", "another protocol"),
        ] {
            let mut agent =
                Agent { part: Some(50), admin: Admin::Drain, down: Some("down".into()) };
            let before = agent.clone();
            assert!(matches!(agent.hear(line), Outcome::Unasked(_)), "{why}");
            assert_eq!(agent, before, "{why}");
        }
    }

    #[test]
    fn a_line_comes_in_pieces() {
        for (pieces, expected, why) in [
            (&["up\n"][..], Some("up"), "at once"),
            (&["u", "p", " 50", "%\r\nmore"], Some("up 50%"), "in pieces"),
            (&["\n"], Some(""), "an empty one"),
            (&["up"], None, "it does not end yet"),
        ] {
            let mut line = AgentLine::default();
            let found = pieces.iter().find_map(|piece| line.feed(piece.as_bytes()));
            let found = found.map(|line| line.expect("a line"));
            assert_eq!(found.as_deref(), expected, "{why}");
        }
        let mut line = AgentLine::default();
        assert_eq!(line.feed(b"drain"), None);
        assert_eq!(line.end(), Ok("drain".into()), "its connection's end ends it");
        assert!(AgentLine::default().feed(b"\xff\xfe\n").expect("the end").is_err(), "no text");
        let mut line = AgentLine::default();
        assert_eq!(line.feed(&[b'a'; LINE_LIMIT]), None, "a long one");
        assert!(line.feed(b"a").expect("a verdict").is_err(), "one byte too long");
    }

    proptest! {
        #[test]
        fn no_bytes_harm(pieces: Vec<Vec<u8>>) {
            let (mut line, mut agent) = (AgentLine::default(), Agent::default());
            for piece in &pieces {
                match line.feed(piece) {
                    Some(Ok(line)) => drop(agent.hear(&line)),
                    Some(Err(_)) => break,
                    None => {}
                }
                prop_assert!(line.0.len() <= LINE_LIMIT);
            }
        }
    }
}

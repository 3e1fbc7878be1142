//! A letter by SMTP (RFC 5321): keepalived's alerts.
//!
//! Line by line: greeting, HELO, MAIL FROM, RCPT TO for each address, DATA, the letter, QUIT. An
//! answer of any other class than the step wants ends it. Recipients that are refused are passed
//! over while one is left.

use std::fmt::Write as _;

use thiserror::Error;

use super::smtp::goes_on;

/// What a line of the server may be long.
const LINE_LIMIT: usize = 4096;

/// A letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What this host calls itself.
    pub helo: String,
    /// `notification_email_from`.
    pub from: String,
    /// `notification_email`.
    pub to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// As RFC 5322 writes it; empty: without.
    pub date: String,
    /// The text.
    pub body: String,
}

/// Why a letter could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MailFault {
    /// The server refuses.
    #[error("the mail server answered `{answer}` to {step}")]
    Refused {
        /// Which step.
        step: &'static str,
        /// What it said.
        answer: String,
    },
    /// It is no SMTP server.
    #[error("what answers is not a mail server")]
    NotSmtp,
    /// It closed.
    #[error("the mail server closed in the midst of it")]
    Closed,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailStep {
    /// Wait for more.
    Read,
    /// Send this, then wait.
    Send(String),
    /// It is sent, or not.
    Done(Result<(), MailFault>),
}

/// The sending of a letter.
#[derive(Debug)]
pub struct MailDialogue {
    letter: Letter,
    stage: Stage,
    line: Vec<u8>,
    taken: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Helo,
    From,
    /// The recipient of this place was named.
    To(usize),
    Data,
    Text,
    Quit,
}

impl MailDialogue {
    /// Before the first byte: the server speaks first.
    pub const fn new(letter: Letter) -> Self {
        Self { letter, stage: Stage::Greeting, line: Vec::new(), taken: 0 }
    }

    /// Bytes came.
    pub fn feed(&mut self, bytes: &[u8]) -> MailStep {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > LINE_LIMIT {
                    return MailStep::Done(Err(MailFault::NotSmtp));
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
            self.line.clear();
            if goes_on(&line) {
                continue;
            }
            match self.answer(&line) {
                MailStep::Read => {}
                step => return step,
            }
        }
        MailStep::Read
    }

    /// The server closed.
    pub fn end(&self) -> Result<(), MailFault> {
        if self.stage == Stage::Quit { Ok(()) } else { Err(MailFault::Closed) }
    }

    fn answer(&mut self, line: &str) -> MailStep {
        let class = match line.as_bytes() {
            [class @ b'1'..=b'5', b'0'..=b'9', b'0'..=b'9', ..] => *class,
            _ => return MailStep::Done(Err(MailFault::NotSmtp)),
        };
        let refused =
            |step| MailStep::Done(Err(MailFault::Refused { step, answer: line.to_owned() }));
        match (self.stage, class) {
            (Stage::Greeting, b'2') => self.say(Stage::Helo, format!("HELO {}", self.letter.helo)),
            (Stage::Greeting, _) => refused("the connection"),
            (Stage::Helo, b'2') => {
                self.say(Stage::From, format!("MAIL FROM:<{}>", address(&self.letter.from)))
            }
            (Stage::Helo, _) => refused("HELO"),
            (Stage::From, b'2') => self.next_recipient(0).unwrap_or_else(|| refused("MAIL FROM")),
            (Stage::From, _) => refused("MAIL FROM"),
            (Stage::To(at), class) => {
                self.taken += usize::from(class == b'2');
                if let Some(step) = self.next_recipient(at + 1) {
                    step
                } else if self.taken == 0 {
                    refused("RCPT TO")
                } else {
                    self.say(Stage::Data, "DATA".into())
                }
            }
            (Stage::Data, b'3') => self.say(Stage::Text, self.letter.text()),
            (Stage::Data, _) => refused("DATA"),
            (Stage::Text, b'2') => self.say(Stage::Quit, "QUIT".into()),
            (Stage::Text, _) => refused("the letter"),
            (Stage::Quit, _) => MailStep::Done(Ok(())),
        }
    }

    fn next_recipient(&mut self, at: usize) -> Option<MailStep> {
        let line = format!("RCPT TO:<{}>", address(self.letter.to.get(at)?));
        Some(self.say(Stage::To(at), line))
    }

    fn say(&mut self, stage: Stage, mut line: String) -> MailStep {
        self.stage = stage;
        line.push_str("\r\n");
        MailStep::Send(line)
    }
}

impl Letter {
    /// Head and body, with dots doubled and the last one at the end.
    fn text(&self) -> String {
        let mut text = String::new();
        if !self.date.is_empty() {
            let _ = write!(text, "Date: {}\r\n", one_line(&self.date));
        }
        let to: Vec<_> = self.to.iter().map(|to| one_line(to)).collect();
        let _ = write!(
            text,
            "From: {}\r\nSubject: {}\r\nX-Mailer: xlvs\r\nTo: {}\r\n\r\n",
            one_line(&self.from),
            one_line(&self.subject),
            to.join(", ")
        );
        for line in self.body.lines() {
            let dot = if line.starts_with('.') { "." } else { "" };
            let _ = write!(text, "{dot}{}\r\n", line.trim_end_matches('\r'));
        }
        text.push('.');
        text
    }
}

/// `Name <a@b>` -> `a@b`, and nothing that could begin another command.
fn address(text: &str) -> String {
    let inner = text.rsplit_once('<').map_or(text, |(_, inner)| inner.trim_end_matches('>'));
    one_line(inner)
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(to: &[&str]) -> Letter {
        Letter {
            helo: "director".into(),
            from: "LVS <lvs@example.org>".into(),
            to: to.iter().map(ToString::to_string).collect(),
            subject: "[director] down\r\nBcc: all".into(),
            date: "Sat, 21 Nov 2026 10:00:00 +0000".into(),
            body: "=> TCP CHECK failed on service <=\n.\n".into(),
        }
    }

    /// Plays the server's lines; what is said, and how it ends.
    fn play(to: &[&str], server: &[&str]) -> (String, Option<Result<(), MailFault>>) {
        let mut dialogue = MailDialogue::new(letter(to));
        let mut said = String::new();
        for line in server {
            match dialogue.feed(line.as_bytes()) {
                MailStep::Read => said.push_str("...\n"),
                MailStep::Send(text) => said.push_str(&text.replace("\r\n", "\n")),
                MailStep::Done(end) => return (said, Some(end)),
            }
        }
        (said, None)
    }

    #[test]
    fn a_letter_is_sent() {
        let server = [
            "220-hello\r\n220 there\r\n",
            "25",
            "0 yes\r\n",
            "250 ok\r\n",
            "250 ok\r\n",
            "550 nobody\r\n",
            "354 go\r\n",
            "250 queued\r\n",
            "221 bye\r\n",
        ];
        let (said, end) = play(&["<a@b>", "c@d"], &server);
        assert_eq!(end, Some(Ok(())));
        assert_eq!(
            said,
            "HELO director\n...\nMAIL FROM:<lvs@example.org>\nRCPT TO:<a@b>\nRCPT TO:<c@d>\nDATA\n\
             Date: Sat, 21 Nov 2026 10:00:00 +0000\nFrom: LVS <lvs@example.org>\n\
             Subject: [director] downBcc: all\nX-Mailer: xlvs\nTo: <a@b>, c@d\n\n\
             => TCP CHECK failed on service <=\n..\n.\nQUIT\n"
        );
    }

    #[test]
    fn refusals() {
        for (server, step) in [
            (&["554 no\r\n"][..], "the connection"),
            (&["220 a\r\n", "500 no\r\n"], "HELO"),
            (&["220 a\r\n", "250 a\r\n", "500 no\r\n"], "MAIL FROM"),
            (&["220 a\r\n", "250 a\r\n", "250 a\r\n", "550 no\r\n"], "RCPT TO"),
            (&["220 a\r\n", "250 a\r\n", "250 a\r\n", "250 a\r\n", "550 no\r\n"], "DATA"),
        ] {
            let answer = server.last().expect("a line").trim_end().to_owned();
            let expected = Err(MailFault::Refused { step, answer });
            assert_eq!(play(&["a@b"], server).1, Some(expected));
        }
        assert_eq!(play(&["a@b"], &["hello\r\n"]).1, Some(Err(MailFault::NotSmtp)));
        let long = "2".repeat(LINE_LIMIT + 1);
        assert_eq!(play(&["a@b"], &[&long]).1, Some(Err(MailFault::NotSmtp)));
        let cut = MailDialogue::new(letter(&[])).end();
        assert_eq!(cut, Err(MailFault::Closed));
    }
}

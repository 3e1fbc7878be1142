//! POP3 (RFC 1939), IMAP (RFC 9051) and NNTP (RFC 3977): the server greets, and to each command
//! it answers with a line that says whether it is content.

use std::collections::VecDeque;

use xlvs_model::health::ServiceCheck;

use super::{LineBuffer, ServiceDialogue, ServiceStep, shorten, word, wrong};
use crate::{Outcome, dialogue::smtp::goes_on};

/// One dialogue of lines.
#[derive(Debug)]
pub struct Lines {
    turns: VecDeque<Turn>,
    lines: LineBuffer,
}

/// An answer that is waited for, and what is said to it.
#[derive(Debug)]
struct Turn {
    wants: Wants,
    say: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Wants {
    /// `+OK`.
    PopOk,
    /// `* OK` or `* PREAUTH`.
    ImapGreeting,
    /// `tag OK`; what is not tagged comes before.
    ImapTag(&'static str),
    /// A code of the class 2.
    Two,
}

impl Wants {
    /// None: the answer goes on.
    fn hear(self, line: &str) -> Option<bool> {
        let upper = line.to_ascii_uppercase();
        match self {
            Self::PopOk => Some(upper.starts_with("+OK")),
            Self::ImapGreeting => Some(upper.starts_with("* OK") || upper.starts_with("* PREAUTH")),
            Self::ImapTag(tag) => match upper.strip_prefix(tag) {
                Some(rest) => Some(rest.trim_start().starts_with("OK")),
                None if upper.starts_with("* ") && !upper.starts_with("* BYE") => None,
                None => Some(false),
            },
            Self::Two if goes_on(line) => None,
            Self::Two => Some(line.starts_with('2')),
        }
    }
}

impl Lines {
    /// What is waited for, and what is said to it; the last is a goodbye.
    fn new(turns: Vec<(Wants, String)>) -> Self {
        let turn = |(wants, say): (Wants, String)| Turn { wants, say: say.into_bytes() };
        let turns = turns.into_iter().map(turn).collect();
        Self { turns, lines: LineBuffer::default() }
    }
}

impl ServiceDialogue for Lines {
    fn feed(&mut self, bytes: &[u8]) -> ServiceStep {
        self.lines.push(bytes);
        loop {
            let line = match self.lines.next_text() {
                Ok(Some(line)) => line,
                Ok(None) => return ServiceStep::Read,
                Err(outcome) => return ServiceStep::Done(outcome),
            };
            let Some(turn) = self.turns.front_mut() else {
                return ServiceStep::Done(Outcome::GOOD);
            };
            match turn.wants.hear(&line) {
                None => {}
                Some(false) => {
                    let code = line.get(..3).and_then(|code| code.parse().ok());
                    return ServiceStep::Done(wrong(format!("`{}`", shorten(&line)), code));
                }
                Some(true) => {
                    let say = std::mem::take(&mut turn.say);
                    self.turns.pop_front();
                    return if self.turns.is_empty() {
                        ServiceStep::Bye(say, Outcome::GOOD)
                    } else {
                        ServiceStep::Send(say)
                    };
                }
            }
        }
    }
}

/// POP3: the greeting; with a login, that it is taken and the mailbox can be looked at.
pub fn pop(check: &ServiceCheck) -> Result<Lines, Outcome> {
    let (login, passwd) = (word("login", &check.login)?, word("passwd", &check.passwd)?);
    let quit = "QUIT\r\n".to_owned();
    if login.is_empty() {
        return Ok(Lines::new(vec![(Wants::PopOk, quit)]));
    }
    Ok(Lines::new(vec![
        (Wants::PopOk, format!("USER {login}\r\n")),
        (Wants::PopOk, format!("PASS {passwd}\r\n")),
        (Wants::PopOk, "STAT\r\n".into()),
        (Wants::PopOk, quit),
    ]))
}

/// IMAP: the greeting; with a login, that it is taken.
pub fn imap(check: &ServiceCheck) -> Result<Lines, Outcome> {
    let (login, passwd) = (word("login", &check.login)?, word("passwd", &check.passwd)?);
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    if login.is_empty() {
        return Ok(Lines::new(vec![(Wants::ImapGreeting, "X1 LOGOUT\r\n".into())]));
    }
    let (login, passwd) = (quote(login), quote(passwd));
    Ok(Lines::new(vec![
        (Wants::ImapGreeting, format!("X1 LOGIN {login} {passwd}\r\n")),
        (Wants::ImapTag("X1 "), "X2 LOGOUT\r\n".into()),
    ]))
}

/// NNTP: the greeting (200: posting is allowed; 201: it is not).
pub fn nntp() -> Lines {
    Lines::new(vec![(Wants::Two, "QUIT\r\n".into())])
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{assert_bounded, play},
        *,
    };

    fn check(login: &str) -> ServiceCheck {
        ServiceCheck { login: login.into(), passwd: "a\"b\\".into(), ..ServiceCheck::default() }
    }

    #[test]
    fn pop_rows() {
        let whole = "USER me\r\nPASS a\"b\\\r\nSTAT\r\nQUIT\r\n";
        for (login, server, said, good, why) in [
            ("", &[&b"+OK hi\r\n"[..]][..], "QUIT\r\n", true, "a greeting is enough"),
            ("", &[b"+O", b"K hi\r", b"\n"], "QUIT\r\n", true, "cut"),
            ("", &[b"-ERR busy\r\n"], "", false, "no greeting"),
            ("", &[b"+OK hi"], "", false, "half a greeting"),
            ("", &[b"SSH-2.0\r\n"], "", false, "another protocol"),
            ("me", &[b"+OK\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK 0 0\r\n"], whole, true, "logged in"),
            (
                "me",
                &[b"+OK\r\n", b"+OK\r\n", b"-ERR no\r\n"],
                "USER me\r\nPASS a\"b\\\r\n",
                false,
                "the password is wrong",
            ),
        ] {
            let (found, outcome) = play(&mut pop(&check(login)).expect("a dialogue"), server);
            assert_eq!((found.as_str(), outcome.is_good()), (said, good), "{why}: {outcome}");
        }
        assert_bounded(&mut pop(&check("")).expect("a dialogue"), b'+');
        assert!(pop(&check("a\r\nQUIT")).is_err(), "two lines are no name");
    }

    #[test]
    fn imap_rows() {
        let login = "X1 LOGIN \"me\" \"a\\\"b\\\\\"\r\n";
        let whole = format!("{login}X2 LOGOUT\r\n");
        for (name, server, said, good, why) in [
            ("", &[&b"* OK hi\r\n"[..]][..], "X1 LOGOUT\r\n", true, "a greeting"),
            ("", &[b"* PREAUTH hi\r\n"], "X1 LOGOUT\r\n", true, "known already"),
            ("", &[b"* BYE no\r\n"], "", false, "turned away"),
            ("me", &[b"* OK\r\n", b"* CAPA", b"BILITY\r\nX1 OK\r\n"], &whole, true, "logged in"),
            ("me", &[b"* OK\r\n", b"X1 NO\r\n"], login, false, "the password is wrong"),
            ("me", &[b"* OK\r\n", b"* BYE\r\n"], login, false, "thrown out"),
            ("me", &[b"* OK\r\n", b"what\r\n"], login, false, "another protocol"),
        ] {
            let (found, outcome) = play(&mut imap(&check(name)).expect("a dialogue"), server);
            assert_eq!((found.as_str(), outcome.is_good()), (said, good), "{why}: {outcome}");
        }
        let mut logging_in = imap(&check("me")).expect("a dialogue");
        let _ = logging_in.feed(b"* OK\r\n");
        for _ in 0..WHOLE / 8 {
            if let ServiceStep::Done(outcome) = logging_in.feed(b"* what\r\n") {
                assert!(!outcome.is_good(), "lines without an end");
                return;
            }
        }
        panic!("lines without an end got no verdict");
    }

    const WHOLE: usize = super::super::WHOLE_LIMIT * 2;

    #[test]
    fn nntp_rows() {
        for (server, good, why) in [
            (&[&b"200 hi\r\n"[..]][..], true, "posting is allowed"),
            (&[b"20", b"1 hi\r\n"], true, "posting is not"),
            (&[b"400 no\r\n"], false, "not now"),
            (&[], false, "nothing"),
        ] {
            let (_, outcome) = play(&mut nntp(), server);
            assert_eq!(outcome.is_good(), good, "{why}: {outcome}");
        }
    }
}

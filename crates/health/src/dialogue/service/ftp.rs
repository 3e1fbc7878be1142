//! FTP (RFC 959): a login, and where a file is named, that file by a passive connection.
//!
//! ldirectord does not look at whether the login or any other step went well, but at the file's
//! text alone, so that an expression that is empty makes any server good. Here each step has to go
//! well.

use xlvs_model::health::ServiceCheck;

use super::{LineBuffer, ServiceDialogue, ServiceStep, judge, shorten, word, wrong};
use crate::{
    Outcome,
    dialogue::{Pattern, smtp::goes_on},
};

/// One dialogue.
#[derive(Debug)]
pub struct Ftp {
    login: String,
    passwd: String,
    file: String,
    pattern: Option<Pattern>,
    stage: Stage,
    lines: LineBuffer,
    file_says: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    User,
    Pass,
    Root,
    Binary,
    Passive,
    Retrieve,
    End,
}

impl Ftp {
    /// Before the first byte.
    pub fn new(check: &ServiceCheck, pattern: Option<Pattern>) -> Result<Self, Outcome> {
        Ok(Self {
            login: word("login", &check.login)?.to_owned(),
            passwd: word("passwd", &check.passwd)?.to_owned(),
            file: word("request", &check.request)?.to_owned(),
            pattern,
            stage: Stage::Greeting,
            lines: LineBuffer::default(),
            file_says: None,
        })
    }

    fn answer(&mut self, line: &str) -> ServiceStep {
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        let say = |text: String| ServiceStep::Send(format!("{text}\r\n").into_bytes());
        let (stage, step) = match (self.stage, code.unwrap_or(0)) {
            // Later, it says.
            (Stage::Greeting, 120) => return ServiceStep::Read,
            (Stage::Greeting, 220) if self.login.is_empty() => return bye(Outcome::GOOD),
            (Stage::Greeting, 220) => (Stage::User, say(format!("USER {}", self.login))),
            (Stage::User, 331) => (Stage::Pass, say(format!("PASS {}", self.passwd))),
            (Stage::User | Stage::Pass, 230 | 202) if self.file.is_empty() => {
                return bye(Outcome::GOOD);
            }
            (Stage::User | Stage::Pass, 230 | 202) => (Stage::Root, say("CWD /".into())),
            (Stage::Root, 200..=299) => (Stage::Binary, say("TYPE I".into())),
            (Stage::Binary, 200..=299) => (Stage::Passive, say("PASV".into())),
            (Stage::Passive, 227) => match passive(line) {
                Some(port) => {
                    let retrieve = format!("RETR {}\r\n", self.file).into_bytes();
                    (Stage::Retrieve, ServiceStep::Open(port, retrieve))
                }
                None => return ServiceStep::Done(wrong(format!("`{}`", shorten(line)), code)),
            },
            (Stage::Retrieve, 125 | 150) => (Stage::End, ServiceStep::Fetch),
            (Stage::End, 226 | 250) => {
                let missing = || wrong("without the file", None);
                return bye(self.file_says.take().unwrap_or_else(missing));
            }
            _ => return ServiceStep::Done(wrong(format!("`{}`", shorten(line)), code)),
        };
        self.stage = stage;
        step
    }
}

impl ServiceDialogue for Ftp {
    fn feed(&mut self, bytes: &[u8]) -> ServiceStep {
        self.lines.push(bytes);
        loop {
            match self.lines.next_text() {
                Ok(Some(line)) if goes_on(&line) || line.starts_with(' ') => {}
                Ok(Some(line)) => match self.answer(&line) {
                    ServiceStep::Read => {}
                    step => return step,
                },
                Ok(None) => return ServiceStep::Read,
                Err(outcome) => return ServiceStep::Done(outcome),
            }
        }
    }

    /// The file; the answer that it is whole may be there already.
    fn fetched(&mut self, file: &[u8]) -> ServiceStep {
        self.file_says = Some(judge(self.pattern.as_ref(), file));
        self.feed(&[])
    }
}

fn bye(outcome: Outcome) -> ServiceStep {
    ServiceStep::Bye(b"QUIT\r\n".to_vec(), outcome)
}

/// The port in `227 Entering Passive Mode (192,0,2,1,4,5)`. The address is not looked at: the
/// check asks this server and no other.
fn passive(line: &str) -> Option<u16> {
    let numbers = line.get(4..)?.trim_matches(|c: char| !c.is_ascii_digit());
    let bytes = numbers.split(',').map(|number| number.trim().parse::<u8>());
    let bytes = bytes.collect::<Result<Vec<_>, _>>().ok()?;
    match bytes[..] {
        [_, _, _, _, high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            receive,
            tests::{assert_bounded, play},
        },
        *,
    };

    fn ftp(login: &str, request: &str) -> Ftp {
        let check = ServiceCheck {
            login: login.into(),
            passwd: "x".into(),
            request: request.into(),
            receive: "h.+o".into(),
            ..ServiceCheck::default()
        };
        Ftp::new(&check, receive(&check).expect("a pattern")).expect("a dialogue")
    }

    #[test]
    fn rows() {
        let login = "USER me\r\nPASS x\r\n";
        let get = "USER me\r\nPASS x\r\nCWD /\r\nTYPE I\r\nPASV\r\nRETR a\r\n";
        let two = |first: &str| [first, "QUIT\r\n"].concat();
        let pasv = &b"227 Entering Passive Mode (127,0,0,1,4,5).\r\n"[..];
        let before = [&b"220 hi\r\n"[..], b"331 ?\r\n", b"230 in\r\n", b"250 /\r\n", b"200 I\r\n"];
        let whole = |more: &[&'static [u8]]| [&before[..], more].concat();
        for (login, request, server, said, good, why) in [
            ("", "", vec![&b"220 hi\r\n"[..]], two(""), true, "no login: a greeting"),
            ("me", "", before[..3].to_vec(), two(login), true, "a login alone"),
            (
                "me",
                "",
                vec![b"220-a\r\n b\r\n22", b"0 c\r\n", b"230 in\r\n"],
                two("USER me\r\n"),
                true,
                "no password is asked for, and lines are cut",
            ),
            (
                "me",
                "",
                vec![b"220 hi\r\n", b"331 ?\r\n", b"530 no\r\n"],
                login.into(),
                false,
                "a wrong password",
            ),
            (
                "me",
                "a",
                whole(&[pasv, b"150 here\r\n", b"FILE hello", b"226 done\r\n"]),
                two(get),
                true,
                "the file is right",
            ),
            (
                "me",
                "a",
                whole(&[pasv, b"150 here\r\n226 done\r\n", b"FILE hello"]),
                two(get),
                true,
                "and its end may come early",
            ),
            (
                "me",
                "a",
                whole(&[pasv, b"150 here\r\n", b"FILE hi", b"226 done\r\n"]),
                two(get),
                false,
                "the file is another",
            ),
            ("me", "a", whole(&[pasv, b"550 none\r\n"]), get.into(), false, "there is no file"),
            ("me", "a", whole(&[b"227 what\r\n"]), get.replace("RETR a\r\n", ""), false, "no port"),
            ("me", "a", vec![b"421 busy\r\n"], String::new(), false, "no greeting"),
        ] {
            let (found, outcome) = play(&mut ftp(login, request), &server);
            assert_eq!((found, outcome.is_good()), (said, good), "{why}: {outcome}");
        }
        assert_bounded(&mut ftp("me", "a"), b'2');
        assert_bounded(&mut ftp("me", "a"), b'\n');
    }

    #[test]
    fn ports() {
        for (line, expected) in [
            ("227 Entering Passive Mode (127,0,0,1,4,5)", Some(1029)),
            ("227 =127,0,0,1,255,255", Some(65535)),
            ("227 (1,2,3)", None),
            ("227 (1,2,3,4,5,256)", None),
            ("227", None),
        ] {
            assert_eq!(passive(line), expected, "{line}");
        }
    }
}

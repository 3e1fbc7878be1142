//! LDAP (RFC 4511): a bind, and one entry that is there.
//!
//! As ldirectord does: without both a login and a password the bind is anonymous; `request` is the
//! name of an entry (empty: the server's own), which has to be found, and `receive` is about its
//! name as the server writes it.

use xlvs_model::health::ServiceCheck;

use super::{
    ServiceDialogue, ServiceStep, WHOLE_LIMIT,
    ber::{self, BOOLEAN, ENUMERATED, Elements, INTEGER, OCTETS, SEQUENCE, element},
    judge, shorten, wrong,
};
use crate::{Fault, Outcome, dialogue::Pattern};

/// One dialogue.
#[derive(Debug)]
pub struct Ldap {
    bind: Vec<u8>,
    search: Vec<u8>,
    pattern: Option<Pattern>,
    heard: Vec<u8>,
    seen: usize,
    is_bound: bool,
    /// The names of the entries that came; more than one is not kept.
    found: Vec<Vec<u8>>,
}

impl Ldap {
    /// Before the first byte.
    pub fn new(check: &ServiceCheck, pattern: Option<Pattern>) -> Self {
        let (login, passwd) = match (check.login.as_str(), check.passwd.as_str()) {
            ("", _) | (_, "") => ("", ""),
            both => both,
        };
        let bind = [
            element(INTEGER, &[&[3]]),
            element(OCTETS, &[login.as_bytes()]),
            element(SIMPLE, &[passwd.as_bytes()]),
        ];
        let search = [
            element(OCTETS, &[check.request.as_bytes()]),
            element(ENUMERATED, &[&[0]]), // The entry itself.
            element(ENUMERATED, &[&[0]]), // Aliases are not followed.
            element(INTEGER, &[&[0]]),
            element(INTEGER, &[&[0]]),
            element(BOOLEAN, &[&[0]]),
            element(PRESENT, &[b"objectClass"]),
            // Its name is enough: no attributes.
            element(SEQUENCE, &[&element(OCTETS, &[b"1.1"])]),
        ];
        Self {
            bind: message(1, BIND_REQUEST, &bind.concat()),
            search: message(2, SEARCH_REQUEST, &search.concat()),
            pattern,
            heard: Vec::new(),
            seen: 0,
            is_bound: false,
            found: Vec::new(),
        }
    }

    /// The next whole message's operation; none yet.
    fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, Outcome> {
        let other = || wrong("with something that is not LDAP", None);
        let whole = match ber::head(&self.heard).map_err(|()| other())? {
            Some((header, content)) => header.saturating_add(content),
            None => 0,
        };
        if self.heard.first().is_some_and(|tag| *tag != SEQUENCE) {
            return Err(other());
        }
        if self.seen > WHOLE_LIMIT || whole > WHOLE_LIMIT {
            return Err(wrong(format!("more than {WHOLE_LIMIT} bytes"), None));
        }
        if whole == 0 || self.heard.len() < whole {
            return Ok(None);
        }
        let rest = self.heard.split_off(whole);
        let message = std::mem::replace(&mut self.heard, rest);
        let mut inside = Elements(Elements(&message).take(SEQUENCE).ok_or_else(other)?);
        inside.take(INTEGER).ok_or_else(other)?;
        let (tag, content) = inside.next().ok_or_else(other)?;
        Ok(Some((tag, content.to_vec())))
    }

    fn hear(&mut self, tag: u8, content: &[u8]) -> Option<ServiceStep> {
        Some(match (tag, self.is_bound) {
            (BIND_ANSWER, false) => match said(content) {
                None => {
                    self.is_bound = true;
                    ServiceStep::Send(std::mem::take(&mut self.search))
                }
                Some(outcome) => ServiceStep::Done(outcome),
            },
            (ENTRY, true) => {
                let name = Elements(content).take(OCTETS).unwrap_or_default();
                if self.found.len() < 2 {
                    self.found.push(name.to_vec());
                }
                return None;
            }
            (REFERENCE, true) => return None,
            (SEARCH_DONE, true) => {
                ServiceStep::Bye(message(3, UNBIND, &[]), self.verdict(said(content)))
            }
            (EXTENDED, _) => {
                let why = said(content);
                ServiceStep::Done(why.unwrap_or_else(|| wrong("that it is going", None)))
            }
            _ => ServiceStep::Done(wrong(format!("with message {tag:#x} out of turn"), None)),
        })
    }

    fn verdict(&self, fault: Option<Outcome>) -> Outcome {
        match (&self.found[..], fault) {
            ([name], None) => judge(self.pattern.as_ref(), name),
            (_, Some(fault)) => fault,
            ([], None) => wrong("without the entry", None),
            _ => wrong("with more than one entry", None),
        }
    }
}

impl ServiceDialogue for Ldap {
    fn begin(&mut self) -> ServiceStep {
        ServiceStep::Send(std::mem::take(&mut self.bind))
    }

    fn feed(&mut self, bytes: &[u8]) -> ServiceStep {
        self.seen = self.seen.saturating_add(bytes.len());
        self.heard.extend_from_slice(bytes);
        loop {
            match self.next() {
                Ok(Some((tag, content))) => {
                    if let Some(step) = self.hear(tag, &content) {
                        return step;
                    }
                }
                Ok(None) => return ServiceStep::Read,
                Err(outcome) => return ServiceStep::Done(outcome),
            }
        }
    }

    fn end(&mut self) -> Outcome {
        Outcome::Bad(Fault::Silent)
    }
}

/// A message of LDAP.
fn message(number: u8, tag: u8, content: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&element(INTEGER, &[&[number]]), &element(tag, &[content])])
}

/// What a result says, if that is not success.
fn said(result: &[u8]) -> Option<Outcome> {
    let mut parts = Elements(result);
    let code = parts.take(ENUMERATED).and_then(ber::number);
    let Some(code) = code else { return Some(wrong("with a result that has no code", None)) };
    if code == 0 {
        return None;
    }
    let text = parts.next().and_then(|_| parts.take(OCTETS)).unwrap_or_default();
    let text = shorten(&String::from_utf8_lossy(text));
    let name = NAMES.iter().find(|(of, _)| *of == code).map_or("", |(_, name)| name);
    let mut what = format!("result {code}");
    for more in [name, &text].into_iter().filter(|more| !more.is_empty()) {
        what = format!("{what}, {more}");
    }
    Some(wrong(what, u16::try_from(code).ok()))
}

/// What a person may meet of RFC 4511's results.
const NAMES: [(u32, &str); 12] = [
    (1, "operations error"),
    (2, "protocol error"),
    (8, "stronger authentication is required"),
    (10, "referral"),
    (13, "confidentiality is required"),
    (32, "no such object"),
    (34, "invalid name"),
    (48, "inappropriate authentication"),
    (49, "invalid credentials"),
    (50, "insufficient rights"),
    (51, "busy"),
    (52, "unavailable"),
];

const BIND_REQUEST: u8 = 0x60;
const BIND_ANSWER: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH_REQUEST: u8 = 0x63;
const ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x78;
/// A password as it is.
const SIMPLE: u8 = 0x80;
/// The filter that an attribute is there.
const PRESENT: u8 = 0x87;

#[cfg(test)]
mod tests {
    use super::{
        super::{receive, tests::play_bytes},
        *,
    };

    /// What `OpenLDAP`'s slapd 2.5 sent: a bind's success, one entry, the search's end.
    const BOUND: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
    const HERE: &[u8] = b"\x30\x18\x02\x01\x02\x64\x13\x04\x0fdc=example,dc=a\x30\x00";
    const DONE: &[u8] = b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00";
    const WRONG: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00";
    const NOWHERE: &[u8] = b"\x30\x0e\x02\x01\x02\x65\x09\x0a\x01\x20\x04\x00\x04\x02hm";
    const GOING: &[u8] = b"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00";

    fn ldap(login: &str, passwd: &str, pattern: &str) -> Ldap {
        let check = ServiceCheck {
            login: login.into(),
            passwd: passwd.into(),
            request: "dc=example,dc=a".into(),
            receive: pattern.into(),
            ..ServiceCheck::default()
        };
        Ldap::new(&check, receive(&check).expect("a pattern"))
    }

    #[test]
    fn rows() {
        for (pattern, server, expected, why) in [
            ("", &[BOUND, HERE, DONE][..], "good", "the entry is there"),
            ("^dc=ex.*,dc=a$", &[BOUND, HERE, DONE], "good", "and is the one"),
            (
                "dc=b",
                &[BOUND, HERE, DONE],
                "answered `dc=example,dc=a`, which is not what it should receive",
                "another",
            ),
            ("", &[WRONG], "answered result 49, invalid credentials", "no bind"),
            ("", &[BOUND, NOWHERE], "answered result 32, no such object, hm", "no entry"),
            ("", &[BOUND, DONE], "answered without the entry", "none without a fault"),
            ("", &[BOUND, HERE, HERE, DONE], "answered with more than one entry", "too many"),
            ("", &[GOING], "answered result 52, unavailable", "it goes"),
            ("", &[BOUND, HERE], "closed without an answer", "half of it"),
            ("", &[HERE], "answered with message 0x64 out of turn", "no bind before"),
            ("", &[b"HTTP/1.1 400 Bad\r\n"], "answered with something that is not LDAP", "HTTP"),
            ("", &[b"\x30\x03\x04\x01x"], "answered with something that is not LDAP", "no number"),
        ] {
            let whole = server.concat();
            let cut = whole.iter().map(std::slice::from_ref).collect::<Vec<_>>();
            for server in [server, &cut] {
                let (_, outcome) = play_bytes(&mut ldap("", "", pattern), server);
                assert_eq!(outcome.to_string(), expected, "{why}");
            }
        }
    }

    #[test]
    fn what_is_asked() {
        for (login, passwd, bind, why) in [
            ("", "", &b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"[..], "nobody"),
            ("me", "", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", "half"),
            ("me", "x", b"\x30\x0f\x02\x01\x01\x60\x0a\x02\x01\x03\x04\x02me\x80\x01x", "me"),
        ] {
            let (said, _) = play_bytes(&mut ldap(login, passwd, ""), &[BOUND, HERE, DONE]);
            assert!(said.starts_with(bind), "{why}: {said:02x?}");
            let unbind = b"\x30\x05\x02\x01\x03\x42\x00";
            assert!(said.ends_with(unbind), "{why}: {said:02x?}");
            let base = b"\x04\x0fdc=example,dc=a\x0a\x01\x00";
            assert!(said.windows(base.len()).any(|some| some == base), "{why}: {said:02x?}");
        }
    }

    #[test]
    fn a_server_without_an_end_gets_a_verdict() {
        for header in [&b"\x30\x84\x7f\xff\xff\xff"[..], b"\x30\x84\x00\x10\x00\x00"] {
            let mut ldap = ldap("", "", "");
            let _ = ldap.begin();
            let _ = ldap.feed(header);
            let blocks = WHOLE_LIMIT / 4096 + 2;
            let done = (0..blocks).any(|_| matches!(ldap.feed(&[0; 4096]), ServiceStep::Done(_)));
            assert!(done, "{header:02x?}");
        }
    }
}

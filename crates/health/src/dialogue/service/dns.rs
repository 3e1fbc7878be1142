//! `dns`: a name's address, or an address's name, that must match.
//!
//! The query is [`Query`]'s; here its answer's records are read (RFC 1035, section 4.1.3). As in
//! ldirectord, the addresses (A) and the names (PTR) of the answer are looked at. Without a
//! `receive` any answer with a record is good.

use std::net::{IpAddr, Ipv4Addr};

use xlvs_model::health::{DnsCheck, DnsType, ServiceCheck};

use super::{ServiceDialogue, ServiceStep, unlike, wrong};
use crate::{
    Outcome,
    dialogue::{Pattern, Query},
};

/// One query.
#[derive(Debug)]
pub struct Dns {
    query: Vec<u8>,
    check: Query,
    pattern: Option<Pattern>,
}

impl Dns {
    /// A query with this number: of an address its name is asked, else the name's address.
    pub fn new(check: &ServiceCheck, pattern: Option<Pattern>, id: u16) -> Result<Self, Outcome> {
        let name = check.request.trim_start_matches('/');
        let (name, kind) = match name.parse() {
            Ok(address) => (reverse(address), PTR),
            Err(_) => (name.to_owned(), A),
        };
        let terms = DnsCheck { kind: DnsType::A, name };
        let query = Query::new(&terms, id).map_err(|fault| Outcome::Unasked(fault.to_string()))?;
        let mut bytes = query.bytes().to_vec();
        // The type is the last field but the class.
        let at = bytes.len() - 4;
        bytes[at..at + 2].copy_from_slice(&kind.to_be_bytes());
        Ok(Self { query: bytes, check: query, pattern })
    }

    /// What to send.
    pub fn bytes(&self) -> &[u8] {
        &self.query
    }

    /// The outcome of a message; none: it is not the answer.
    pub fn reply(&self, message: &[u8]) -> Option<Outcome> {
        let outcome = self.check.reply(message)?;
        if !outcome.is_good() {
            return Some(outcome);
        }
        let Some(records) = records(message) else {
            return Some(wrong("with a message that cannot be read", None));
        };
        Some(match &self.pattern {
            _ if records.is_empty() => wrong("without a record", None),
            None => Outcome::GOOD,
            Some(_) if records.iter().all(Option::is_none) => {
                wrong("with neither an address (A) nor a name (PTR)", None)
            }
            Some(pattern) => {
                let texts: Vec<&str> = records.iter().flatten().map(String::as_str).collect();
                if texts.iter().any(|text| pattern.is_in(text.as_bytes())) {
                    Outcome::GOOD
                } else {
                    unlike(&texts.join(", "))
                }
            }
        })
    }
}

/// The same by TCP: messages with their lengths before them.
#[derive(Debug)]
pub struct FramedDns {
    dns: Dns,
    bytes: Vec<u8>,
    messages: usize,
}

impl FramedDns {
    /// Before the first byte.
    pub const fn new(dns: Dns) -> Self {
        Self { dns, bytes: Vec::new(), messages: 0 }
    }
}

impl ServiceDialogue for FramedDns {
    fn begin(&mut self) -> ServiceStep {
        let query = self.dns.bytes();
        // A query is some hundred bytes at most.
        let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
        ServiceStep::Send([&length.to_be_bytes()[..], query].concat())
    }

    fn feed(&mut self, bytes: &[u8]) -> ServiceStep {
        self.bytes.extend_from_slice(bytes);
        while let Some((length, rest)) = self.bytes.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(message) = rest.get(..length) else { return ServiceStep::Read };
            if let Some(outcome) = self.dns.reply(message) {
                return ServiceStep::Done(outcome);
            }
            self.messages += 1;
            if self.messages > MESSAGES {
                return ServiceStep::Done(wrong("other questions alone", None));
            }
            self.bytes.drain(..length + 2);
        }
        ServiceStep::Read
    }
}

const A: u16 = 1;
const PTR: u16 = 12;
const HEADER: usize = 12;

/// So many messages that are no answer are passed over.
const MESSAGES: usize = 64;

/// `192.0.2.1` -> `1.2.0.192.in-addr.arpa`.
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", u128::from(address));
            let labels = digits.chars().rev().flat_map(|digit| [digit, '.']);
            labels.collect::<String>() + "ip6.arpa"
        }
    }
}

/// The answer's records; of those of addresses and names, their texts. None: it is cut.
fn records(message: &[u8]) -> Option<Vec<Option<String>>> {
    let count = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    let mut at = HEADER;
    for _ in 0..count(4)? {
        at = skip_name(message, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..count(6)? {
        at = skip_name(message, at)?;
        let (kind, length) = (count(at)?, usize::from(count(at + 8)?));
        let data = message.get(at + 10..at + 10 + length)?;
        found.push(match kind {
            A => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).to_string()),
            PTR => name(message, at + 10),
            _ => None,
        });
        at += 10 + length;
    }
    Some(found)
}

/// Where a name ends.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += usize::from(length) + 1,
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// A name as a text, its pointers followed; each has to lead backwards.
fn name(message: &[u8], mut at: usize) -> Option<String> {
    let (mut text, mut before) = (String::new(), at);
    loop {
        match *message.get(at)? {
            0 => return Some(text),
            length @ 1..=63 => {
                let label = message.get(at + 1..=at + usize::from(length))?;
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&String::from_utf8_lossy(label));
                at += usize::from(length) + 1;
            }
            high @ 192.. => {
                let low = *message.get(at + 1)?;
                at = usize::from(u16::from_be_bytes([high & 63, low]));
                if at >= before {
                    return None;
                }
                before = at;
            }
            _ => return None,
        }
        if text.len() > 255 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{receive, tests::play},
        *,
    };

    fn dns(request: &str, pattern: &str) -> Dns {
        let check = ServiceCheck {
            request: request.into(),
            receive: pattern.into(),
            ..ServiceCheck::default()
        };
        Dns::new(&check, receive(&check).expect("a pattern"), 0x1234).expect("a query")
    }

    /// An answer to a question with one record of this kind.
    fn answer(question: &Dns, code: u8, records: &[(u16, &[u8])]) -> Vec<u8> {
        let count = u8::try_from(records.len()).expect("few");
        let mut message = question.bytes().to_vec();
        message[2..4].copy_from_slice(&[0x81, 0x80 | code]);
        message[7] = count;
        for (kind, data) in records {
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            message.extend(*data);
        }
        message
    }

    #[test]
    fn rows() {
        let pointer = &[1, b'x', 0xc0, 12][..];
        for (request, pattern, code, records, good, why) in [
            ("a.b", r"^192\.0\.2\.1$", 0, &[(1, &[192, 0, 2, 1][..])][..], true, "the address"),
            ("a.b", r"192\.0\.2\.1", 0, &[(5, &[0]), (1, &[192, 0, 2, 1])], true, "after a CNAME"),
            ("a.b", r"192\.0\.2\.2", 0, &[(1, &[192, 0, 2, 1])], false, "another"),
            ("a.b", "", 0, &[(1, &[192, 0, 2, 1])], true, "any"),
            ("a.b", "", 0, &[], false, "none"),
            ("a.b", "", 3, &[], false, "no such name"),
            ("192.0.2.1", r"^x\.1\.2\.0\.192\.in", 0, &[(12, pointer)], true, "a name"),
            ("192.0.2.1", "x", 0, &[(12, &[0xc0, 0xff])], false, "a pointer to nowhere"),
        ] {
            let dns = dns(request, pattern);
            let message = answer(&dns, code, records);
            let outcome = dns.reply(&message).expect(why);
            assert_eq!(outcome.is_good(), good, "{why}: {outcome}");
            if good {
                let cut = dns.reply(&message[..message.len() - 1]).expect(why);
                assert!(!cut.is_good(), "{why}, cut");
            }
        }
        assert_eq!(dns("a", "").reply(&[0x12, 0x35, 0x80, 0]), None, "another number");
        assert_eq!(&dns("192.0.2.1", "").bytes()[12..16], b"\x011\x012");
        assert!(reverse("2001:db8::1".parse().expect("an address")).ends_with(".1.0.0.2.ip6.arpa"));
    }

    #[test]
    fn what_came_instead_is_told() {
        let dns = dns("a.b", r"192\.0\.2\.2");
        for (records, expected) in [
            (
                &[(1, &[192, 0, 2, 1][..]), (1, &[192, 0, 2, 3])][..],
                "answered `192.0.2.1, 192.0.2.3`, which is not what it should receive",
            ),
            (&[(5, &[0])], "answered with neither an address (A) nor a name (PTR)"),
        ] {
            let outcome = dns.reply(&answer(&dns, 0, records)).expect("an outcome");
            assert_eq!(outcome.to_string(), expected);
        }
    }

    #[test]
    fn a_loop_of_pointers_ends() {
        let dns = dns("192.0.2.1", "x");
        let own = u8::try_from(dns.bytes().len() + 12).expect("short");
        let message = answer(&dns, 0, &[(12, &[0xc0, own])]);
        let outcome = dns.reply(&message).expect("an outcome");
        assert_eq!(outcome, wrong("with neither an address (A) nor a name (PTR)", None));
    }

    #[test]
    fn by_tcp() {
        let dns = || dns("a.b", r"192\.0\.2\.1");
        let message = answer(&dns(), 0, &[(1, &[192, 0, 2, 1])]);
        let framed = [&u16::try_from(message.len()).expect("short").to_be_bytes(), &*message];
        let framed = framed.concat();
        for cut in 0..framed.len() {
            let (one, other) = framed.split_at(cut);
            let (_, outcome) = play(&mut FramedDns::new(dns()), &[one, other]);
            assert_eq!(outcome, Outcome::GOOD, "cut at {cut}");
        }
        let (_, outcome) = play(&mut FramedDns::new(dns()), &[&framed[..9]]);
        assert_eq!(outcome, Outcome::Bad(crate::Fault::Silent), "half of it");
        let (_, outcome) = play(&mut FramedDns::new(dns()), &[&[0; 4096]]);
        assert!(!outcome.is_good(), "messages that are none");
    }
}

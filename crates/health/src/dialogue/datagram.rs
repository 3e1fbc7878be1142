//! Datagrams: `UDP_CHECK` and `DNS_CHECK`.
//!
//! As in keepalived, a UDP check without `require_reply` is good unless an ICMP error comes; and a
//! DNS check takes any answer of its own number whose code is NOERROR, whatever is in it.

use thiserror::Error;
use xlvs_model::health::{DnsCheck, UdpCheck};

use crate::{Fault, Outcome};

/// What is sent when no payload is said.
pub const DEFAULT_PAYLOAD: [u8; 32] = *b"xlvs asks whether anyone is here";

/// The outcome of a reply to a UDP check.
pub fn udp_reply(check: &UdpCheck, reply: &[u8]) -> Outcome {
    if !check.require_reply {
        return Outcome::GOOD;
    }
    let (least, most) = (check.min_reply_length, check.max_reply_length);
    if !(usize::from(least)..=usize::from(most)).contains(&reply.len()) {
        let what = format!("with {} bytes, not {least} to {most}", reply.len());
        return Outcome::Bad(Fault::Answered { what, code: None });
    }
    // As far as both are long.
    let wrong =
        check.reply.iter().zip(reply).position(|(want, got)| (want.value ^ got) & want.mask != 0);
    match wrong {
        None => Outcome::GOOD,
        Some(at) => {
            let what = format!("otherwise than wanted: byte {at} is {:02x}", reply[at]);
            Outcome::Bad(Fault::Answered { what, code: None })
        }
    }
}

/// A name that DNS cannot ask for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a name of DNS: labels have 1 to 63 bytes, all of it at most 255")]
pub struct BadName(pub String);

/// One query (RFC 1035, section 4.1).
#[derive(Clone, Debug)]
pub struct Query {
    id: [u8; 2],
    bytes: Vec<u8>,
}

impl Query {
    /// A query with this number.
    pub fn new(check: &DnsCheck, id: u16) -> Result<Self, BadName> {
        let bad = || BadName(check.name.clone());
        let id = id.to_be_bytes();
        // Recursion desired, one question.
        let mut bytes = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let name = check.name.strip_suffix('.').unwrap_or(&check.name);
        for label in name.split('.').filter(|_| !name.is_empty()) {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
            bytes.push(length.ok_or_else(bad)?);
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        if bytes.len() > HEADER + 255 {
            return Err(bad());
        }
        let [high, low] = check.kind.number().to_be_bytes();
        bytes.extend_from_slice(&[high, low, 0, 1]);
        Ok(Self { id, bytes })
    }

    /// What to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The outcome of a datagram; none: it is not the answer.
    pub fn reply(&self, datagram: &[u8]) -> Option<Outcome> {
        if datagram.len() < HEADER || datagram[..2] != self.id || datagram[2] & 0x80 == 0 {
            return None;
        }
        let code = datagram[3] & 15;
        if code == 0 {
            return Some(Outcome::GOOD);
        }
        let name = NAMES.get(usize::from(code)).copied().unwrap_or("an error");
        let what = format!("{name} (rcode {code})");
        Some(Outcome::Bad(Fault::Answered { what, code: Some(u16::from(code)) }))
    }
}

const HEADER: usize = 12;

/// IANA's first response codes.
const NAMES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

#[cfg(test)]
mod tests {
    use xlvs_model::health::{DnsType, ReplyByte};

    use super::*;

    #[test]
    fn udp_replies() {
        let exact =
            |text: &[u8]| text.iter().map(|b| ReplyByte { value: *b, mask: 0xff }).collect();
        let half = vec![ReplyByte { value: 0x40, mask: 0xf0 }];
        for (reply, min, max, got, good, why) in [
            (Vec::new(), 0, 255, &b"anything"[..], true, "any reply"),
            (exact(b"pong"), 0, 255, b"pong", true, "this one"),
            (exact(b"pong"), 0, 255, b"ponG", false, "another"),
            (exact(b"pong"), 0, 255, b"po", true, "as far as both are long"),
            (exact(b"pong"), 3, 255, b"po", false, "too short"),
            (exact(b"pong"), 0, 5, b"pongpong", false, "too long"),
            (half.clone(), 0, 255, b"M", true, "four bits are compared"),
            (half, 0, 255, b"m", false, "and differ"),
        ] {
            let check = UdpCheck {
                require_reply: true,
                reply,
                min_reply_length: min,
                max_reply_length: max,
                ..UdpCheck::default()
            };
            assert_eq!(udp_reply(&check, got).is_good(), good, "{why}");
        }
        assert!(udp_reply(&UdpCheck::default(), &[0; 1000]).is_good(), "no reply was asked for");
        let check = UdpCheck {
            require_reply: true,
            reply: exact(b"pong"),
            max_reply_length: 5,
            ..UdpCheck::default()
        };
        for (got, says) in [
            (&b"ping"[..], "answered otherwise than wanted: byte 1 is 69"),
            (b"pongpong", "answered with 8 bytes, not 0 to 5"),
        ] {
            assert_eq!(udp_reply(&check, got).to_string(), says);
        }
    }

    #[test]
    fn queries() {
        for (name, kind, expected) in [
            (".", DnsType::Soa, &b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\0\0\x06\0\x01"[..]),
            (
                "www.example",
                DnsType::Aaaa,
                b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x1c\0\x01",
            ),
        ] {
            let check = DnsCheck { kind, name: name.into() };
            assert_eq!(Query::new(&check, 0x1234).expect("a query").bytes(), expected, "{name}");
        }
        let dots = "a.".repeat(200);
        for name in ["a..b", &"x".repeat(64), &dots] {
            let check = DnsCheck { name: name.into(), ..DnsCheck::default() };
            assert_eq!(Query::new(&check, 1).err(), Some(BadName(name.into())));
        }
    }

    #[test]
    fn dns_replies() {
        let query = Query::new(&DnsCheck::default(), 0x1234).expect("a query");
        let reply = |flags: [u8; 2]| [&[0x12, 0x34][..], &flags, &[0; 8]].concat();
        for (datagram, expected, why) in [
            (reply([0x81, 0x80]), Some(None), "NOERROR"),
            (reply([0x81, 0x83]), Some(Some(3)), "NXDOMAIN"),
            (reply([0x81, 0x82]), Some(Some(2)), "SERVFAIL"),
            (reply([0x01, 0x00]), None, "a query"),
            ([&[0x12, 0x35][..], &[0x81, 0x80], &[0; 8]].concat(), None, "another number"),
            (vec![0x12, 0x34, 0x81], None, "too short"),
        ] {
            let found = query.reply(&datagram).map(|outcome| outcome.code());
            assert_eq!(found, expected, "{why}");
        }
    }
}

//! RADIUS (RFC 2865, 2869): an Access-Request with a password by PAP, which has to be accepted.
//!
//! The request carries a Message-Authenticator, and first, since servers want one after
//! Blast-RADIUS (CVE-2024-3596). An answer counts only if the secret signs it; others are passed
//! over, as the RFC says, but told of when no better one comes: then the secret is wrong.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use xlvs_model::health::ServiceCheck;

use super::{shorten, wrong};
use crate::{Good, Outcome};

/// One question.
#[derive(Clone, Debug)]
pub struct Radius {
    request: Vec<u8>,
    secret: Vec<u8>,
    /// An answer came that the secret does not sign.
    is_strange: bool,
}

impl Radius {
    /// A question from this address, with this number and 16 bytes that nobody expects.
    pub fn new(
        check: &ServiceCheck,
        from: IpAddr,
        number: u8,
        salt: [u8; 16],
    ) -> Result<Self, Outcome> {
        let secret = check.secret.clone().into_bytes();
        if check.login.len() > LONGEST || check.passwd.len() > 128 {
            return Err(Outcome::Unasked("its login or passwd is too long for RADIUS".into()));
        }
        let mut request = vec![ACCESS_REQUEST, number, 0, 0];
        request.extend(salt);
        attribute(&mut request, MESSAGE_AUTHENTICATOR, &[0; 16]);
        attribute(&mut request, USER_NAME, check.login.as_bytes());
        attribute(&mut request, USER_PASSWORD, &hide(check.passwd.as_bytes(), &secret, salt));
        match from {
            IpAddr::V4(address) => attribute(&mut request, NAS_IP_ADDRESS, &address.octets()),
            IpAddr::V6(address) => attribute(&mut request, NAS_IPV6_ADDRESS, &address.octets()),
        }
        let length = u16::try_from(request.len()).expect("its parts are short");
        request[2..4].copy_from_slice(&length.to_be_bytes());
        let signature = sign(&request, &secret);
        request[HEAD + 2..HEAD + 18].copy_from_slice(&signature);
        Ok(Self { request, secret, is_strange: false })
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.request
    }

    /// What a datagram is worth; none: it is no answer to this.
    pub fn reply(&mut self, datagram: &[u8]) -> Option<Outcome> {
        let length = u16::from_be_bytes([*datagram.get(2)?, *datagram.get(3)?]);
        // What comes after that is padding.
        let answer = datagram.get(..usize::from(length)).filter(|whole| whole.len() >= HEAD)?;
        if answer[1] != self.request[1] {
            return None;
        }
        if !self.is_signed(answer) {
            self.is_strange = true;
            return None;
        }
        let text = attributes(answer).find(|(kind, _)| *kind == REPLY_MESSAGE);
        let text = text.map_or_else(String::new, |(_, text)| {
            format!(": {}", shorten(&String::from_utf8_lossy(text)))
        });
        let code = Some(u16::from(answer[0]));
        Some(match answer[0] {
            ACCESS_ACCEPT => Outcome::Good(Good { code, weight: None }),
            ACCESS_REJECT => wrong(format!("Access-Reject{text}"), code),
            ACCESS_CHALLENGE => wrong(format!("Access-Challenge{text}"), code),
            other => wrong(format!("with a message of code {other}"), code),
        })
    }

    /// Nothing came that is an answer; what came instead, if anything.
    pub fn end(&self) -> Option<Outcome> {
        self.is_strange.then(|| wrong("with what its secret does not sign", None))
    }

    /// By the Response Authenticator, and by a Message-Authenticator if it has one.
    fn is_signed(&self, answer: &[u8]) -> bool {
        let asked = &self.request[4..HEAD];
        let sum = Md5::new()
            .chain_update(&answer[..4])
            .chain_update(asked)
            .chain_update(&answer[HEAD..])
            .chain_update(&self.secret);
        if sum.finalize()[..] != answer[4..HEAD] {
            return false;
        }
        let mut at = HEAD;
        for (kind, value) in attributes(answer) {
            if kind == MESSAGE_AUTHENTICATOR {
                let mut signed = answer.to_vec();
                signed[4..HEAD].copy_from_slice(asked);
                signed[at + 2..at + 2 + value.len()].fill(0);
                return value == sign(&signed, &self.secret);
            }
            at += 2 + value.len();
        }
        true
    }
}

/// The attributes of a message, as far as they are well-formed.
fn attributes(message: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = message.get(HEAD..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, length) = (*rest.first()?, usize::from(*rest.get(1)?));
        let value = rest.get(2..length)?;
        rest = &rest[length..];
        Some((kind, value))
    })
}

fn attribute(message: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let length = u8::try_from(value.len() + 2).expect("it was looked at");
    message.extend([kind, length]);
    message.extend(value);
}

/// RFC 2865, 5.2: blocks of 16 bytes, each hidden by the one before.
fn hide(password: &[u8], secret: &[u8], salt: [u8; 16]) -> Vec<u8> {
    let mut padded = password.to_vec();
    padded.resize(password.len().next_multiple_of(16).max(16), 0);
    let mut before = salt;
    for block in padded.chunks_exact_mut(16) {
        let mask = Md5::new().chain_update(secret).chain_update(before).finalize();
        for (byte, mask) in block.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        before.copy_from_slice(block);
    }
    padded
}

fn sign(message: &[u8], secret: &[u8]) -> [u8; 16] {
    let hmac = Hmac::<Md5>::new_from_slice(secret).expect("keys of any length are good");
    hmac.chain_update(message).finalize().into_bytes().into()
}

/// Code, number, length and authenticator.
const HEAD: usize = 20;
/// What an attribute may hold.
const LONGEST: usize = 253;

const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCESS_REJECT: u8 = 3;
const ACCESS_CHALLENGE: u8 = 11;

const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;
const NAS_IP_ADDRESS: u8 = 4;
const REPLY_MESSAGE: u8 = 18;
const MESSAGE_AUTHENTICATOR: u8 = 80;
const NAS_IPV6_ADDRESS: u8 = 95;

#[cfg(test)]
mod tests {
    use super::*;

    fn radius(passwd: &str, secret: &str) -> Radius {
        let check = ServiceCheck {
            login: "nemo".into(),
            passwd: passwd.into(),
            secret: secret.into(),
            ..ServiceCheck::default()
        };
        Radius::new(&check, IpAddr::from([192, 168, 1, 16]), 0, SALT).expect("a question")
    }

    /// The authenticator of RFC 2865's first example.
    const SALT: [u8; 16] = [
        0x0f, 0x40, 0x3f, 0x94, 0x73, 0x97, 0x80, 0x57, 0xbd, 0x83, 0xd5, 0xcb, 0x98, 0xf4, 0x22,
        0x7a,
    ];

    /// The answer of RFC 2865, 7.1.
    const ACCEPT: [u8; 38] = [
        0x02, 0x00, 0x00, 0x26, 0x86, 0xfe, 0x22, 0x0e, 0x76, 0x24, 0xba, 0x2a, 0x10, 0x05, 0xf6,
        0xbf, 0x9b, 0x55, 0xe0, 0xb2, 0x06, 0x06, 0x00, 0x00, 0x00, 0x01, 0x0f, 0x06, 0x00, 0x00,
        0x00, 0x00, 0x0e, 0x06, 0xc0, 0xa8, 0x01, 0x03,
    ];

    /// A message that the secret signs.
    fn answer(code: u8, attributes: &[u8], signed: bool) -> Vec<u8> {
        let mut message = vec![code, 0, 0, 0];
        message.extend(SALT);
        if signed {
            attribute(&mut message, MESSAGE_AUTHENTICATOR, &[0; 16]);
        }
        message.extend(attributes);
        let length = u16::try_from(message.len()).expect("short");
        message[2..4].copy_from_slice(&length.to_be_bytes());
        if signed {
            let signature = sign(&message, b"xyzzy5461");
            message[22..38].copy_from_slice(&signature);
        }
        let sum = Md5::new().chain_update(&message).chain_update(b"xyzzy5461").finalize();
        message[4..20].copy_from_slice(&sum);
        message
    }

    #[test]
    fn what_is_asked_is_the_rfcs_example() {
        let radius = radius("arctangent", "xyzzy5461");
        let said = radius.bytes();
        assert_eq!(said[2..4], [0, 18 + 20 + 6 + 18 + 6], "its length");
        let hidden = [
            0x0d, 0xbe, 0x70, 0x8d, 0x93, 0xd4, 0x13, 0xce, 0x31, 0x96, 0xe4, 0x3f, 0x78, 0x2a,
            0x0a, 0xee,
        ];
        assert_eq!(said[HEAD..HEAD + 2], [80, 18], "the signature is first");
        assert_eq!(said[HEAD + 18..HEAD + 24], *b"\x01\x06nemo");
        assert_eq!(said[HEAD + 26..HEAD + 42], hidden);
        assert_eq!(said[HEAD + 42..], [4, 6, 192, 168, 1, 16]);
        for (length, blocks) in [(0, 1), (16, 1), (17, 2), (128, 8)] {
            assert_eq!(hide(&vec![b'x'; length], b"s", SALT).len(), blocks * 16, "{length}");
        }
    }

    #[test]
    fn rows() {
        let text = b"\x12\x05out";
        for (datagram, expected, why) in [
            (ACCEPT.to_vec(), Some("good, code 2"), "the RFC's own answer"),
            (answer(2, &[], true), Some("good, code 2"), "accepted, and signed twice"),
            (answer(3, text, false), Some("answered Access-Reject: out"), "refused"),
            (answer(11, &[], true), Some("answered Access-Challenge"), "asked back"),
            (answer(5, &[], true), Some("answered with a message of code 5"), "of accounting"),
            ([&answer(3, &[], true)[..], b"more"].concat(), Some("answered Access-Reject"), "more"),
            (b"\x02\x01\x00\x14".to_vec(), None, "cut"),
            (Vec::new(), None, "nothing"),
        ] {
            let outcome = radius("arctangent", "xyzzy5461").reply(&datagram);
            assert_eq!(outcome.map(|found| found.to_string()).as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn what_the_secret_does_not_sign_is_no_answer() {
        let signed = answer(2, &[], true);
        for at in 4..signed.len() {
            let mut forged = signed.clone();
            forged[at] ^= 1;
            assert_eq!(radius("", "xyzzy5461").reply(&forged), None, "byte {at}");
        }
        // The outer sum is right, the inner one is not.
        let mut forged = signed;
        forged[30] ^= 1;
        forged[4..20].copy_from_slice(&SALT);
        let sum = Md5::new().chain_update(&forged).chain_update(b"xyzzy5461").finalize();
        forged[4..20].copy_from_slice(&sum);
        let mut radius = radius("", "xyzzy5461");
        assert_eq!(radius.end(), None, "nothing came");
        assert_eq!(radius.reply(&forged), None);
        let told = radius.end().expect("something came");
        assert_eq!(told.to_string(), "answered with what its secret does not sign");
    }
}

//! gRPC's health checking: `grpc.health.v1.Health/Check`, one call whose question and answer are a
//! message of one field each. HTTP/2 itself is the shell's; here is what its pieces mean.
//!
//! A message is five bytes (compressed or not, and its length) and Protobuf. The answer ends with
//! trailers that say `grpc-status`; a server that has no answer says it in the head instead.

use crate::{Fault, Outcome};

/// The call's path.
pub const GRPC_PATH: &str = "/grpc.health.v1.Health/Check";

/// An answer's message is no longer; the whole of a good one has seven bytes.
pub const MESSAGE_LIMIT: usize = 4096;

/// What a person is shown of a text.
const SHOWN: usize = 160;

/// What stands before a message.
const PREFIX: usize = 5;

/// The message that asks for a service; an empty one asks for the server as a whole.
pub fn grpc_request(service: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(PREFIX + 6 + service.len());
    message.extend([0; PREFIX]);
    if !service.is_empty() {
        // Field 1, of the wire type that has a length.
        message.push(1 << 3 | 2);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap_or(0));
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len() - PREFIX).unwrap_or(u32::MAX);
    message[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    message
}

/// The values that say how a call ended: in trailers, or in the head where there is no message.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcEnd<'a> {
    /// `grpc-status`.
    pub status: Option<&'a [u8]>,
    /// `grpc-message`.
    pub message: Option<&'a [u8]>,
}

/// An answer, as it comes.
#[derive(Debug)]
pub struct Grpc {
    service: String,
    body: Vec<u8>,
}

impl Grpc {
    /// Before the answer to the question after a service.
    pub fn new(service: &str) -> Self {
        Self { service: service.to_owned(), body: Vec::new() }
    }

    /// The head. A verdict where there is nothing to wait for.
    pub fn head(&self, code: u16, content: Option<&[u8]>, end: GrpcEnd<'_>) -> Option<Outcome> {
        if code != 200 {
            return Some(Outcome::Bad(Fault::Status(code)));
        }
        let kind = content.unwrap_or_default();
        let is_grpc = kind
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')));
        if !is_grpc {
            let what = match content {
                Some(kind) => format!("with {}, which is not gRPC", shown(kind)),
                None => "without a content-type, which is not gRPC".to_owned(),
            };
            return Some(answered(what, None));
        }
        end.status.is_some().then(|| self.trailers(end))
    }

    /// A piece of the message. A verdict where there will be no good one.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Outcome> {
        if bytes.len() > PREFIX + MESSAGE_LIMIT - self.body.len() {
            let limit = u64::try_from(MESSAGE_LIMIT).unwrap_or(u64::MAX);
            return Some(Outcome::Bad(Fault::LongBody(limit)));
        }
        self.body.extend_from_slice(bytes);
        None
    }

    /// The trailers, which end it.
    pub fn trailers(&self, end: GrpcEnd<'_>) -> Outcome {
        let Some(status) = end.status else { return self.end() };
        let code = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok());
        let Some(code) = code else {
            return answered(format!("grpc-status {}, which is no number", shown(status)), None);
        };
        if code != 0 {
            return answered(self.refusal(code, end.message), Some(code));
        }
        match message(&self.body).and_then(serving) {
            Ok(SERVING) => Outcome::GOOD,
            Ok(0) => answered("UNKNOWN".into(), None),
            Ok(2) => answered("NOT_SERVING".into(), None),
            Ok(3) => answered(format!("SERVICE_UNKNOWN: {}", self.asked()), None),
            Ok(other) => answered(format!("the status {other}, which is none"), None),
            Err(what) => answered(what.to_owned(), None),
        }
    }

    /// It ended without trailers.
    pub fn end(&self) -> Outcome {
        answered("without grpc-status: the answer was cut short".into(), None)
    }

    fn refusal(&self, code: u16, message: Option<&[u8]>) -> String {
        let name = STATUS.get(usize::from(code)).copied().unwrap_or("no status that is known");
        let means = match code {
            5 => format!("; {} is not known there", self.asked()),
            12 => "; it has no grpc.health.v1.Health service".to_owned(),
            _ => String::new(),
        };
        let message = message.map(percent).filter(|text| !text.is_empty());
        let message = message.map(|text| format!(": {}", shown(&text))).unwrap_or_default();
        format!("grpc-status {code} ({name}){message}{means}")
    }

    fn asked(&self) -> String {
        match &*self.service {
            "" => "the server as a whole".into(),
            service => format!("the service {service}"),
        }
    }
}

/// The one message of an answer, without what stands before it.
fn message(body: &[u8]) -> Result<&[u8], &'static str> {
    let Some((prefix, message)) = body.split_first_chunk::<PREFIX>() else {
        return Err(if body.is_empty() { "without a message" } else { "half a message" });
    };
    let [compressed, a, b, c, d] = *prefix;
    if compressed != 0 {
        return Err("a compressed message, which was not asked for");
    }
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    match message.len() {
        have if have < length => Err("half a message"),
        have if have > length => Err("more than one message"),
        _ => Ok(message),
    }
}

/// `HealthCheckResponse.status`: field 1, a number. Other fields are passed over, as Protobuf asks.
fn serving(mut message: &[u8]) -> Result<u64, &'static str> {
    const BROKEN: &str = "a message that is not Protobuf";
    let mut status = 0;
    while !message.is_empty() {
        let tag = varint(&mut message).ok_or(BROKEN)?;
        let skip = match tag & 7 {
            0 => {
                let value = varint(&mut message).ok_or(BROKEN)?;
                if tag >> 3 == 1 {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => {
                let length = varint(&mut message).ok_or(BROKEN)?;
                usize::try_from(length).unwrap_or(usize::MAX)
            }
            5 => 4,
            _ => return Err(BROKEN),
        };
        message = message.get(skip..).ok_or(BROKEN)?;
    }
    Ok(status)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// `grpc-message` is percent-encoded.
fn percent(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, more @ ..]) => match digit(*high).zip(digit(*low)) {
                Some((high, low)) => {
                    out.push(high << 4 | low);
                    rest = more;
                }
                None => out.push(byte),
            },
            _ => out.push(byte),
        }
    }
    out
}

fn shown(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN).collect();
    text.escape_debug().to_string()
}

fn answered(what: String, code: Option<u16>) -> Outcome {
    Outcome::Bad(Fault::Answered { what, code })
}

const SERVING: u64 = 1;

/// gRPC's status codes.
const STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn questions_are_coded_as_protobuf_has_them() {
        let long = "s".repeat(200);
        for (service, start, length, why) in [
            ("", &[0, 0, 0, 0, 0][..], 5, "the server as a whole"),
            ("web", b"\0\0\0\0\x05\x0a\x03web", 10, "a service"),
            (&long, b"\0\0\0\0\xcb\x0a\xc8\x01ss", 208, "a length of two bytes"),
        ] {
            let request = grpc_request(service);
            assert!(request.starts_with(start), "{why}: {request:?}");
            assert_eq!(request.len(), length, "{why}");
        }
    }

    const OK: GrpcEnd<'_> = GrpcEnd { status: Some(b"0"), message: None };

    #[test]
    fn answers_have_their_meaning() {
        for (body, expected, why) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], "good", "SERVING"),
            (b"\0\0\0\0\x02\x08\x02", "answered NOT_SERVING", "NOT_SERVING"),
            (b"\0\0\0\0\x00", "answered UNKNOWN", "a default is not written"),
            (b"\0\0\0\0\x02\x08\x00", "answered UNKNOWN", "or is"),
            (
                b"\0\0\0\0\x02\x08\x03",
                "answered SERVICE_UNKNOWN: the service web",
                "as Watch would say",
            ),
            (b"\0\0\0\0\x02\x08\x07", "answered the status 7, which is none", "another"),
            (b"\0\0\0\0\x06\x12\x02ab\x08\x01", "good", "a field that is not known"),
            (b"\0\0\0\0\x04\x08\x02\x08\x01", "good", "the last one counts"),
            (b"", "answered without a message", "nothing"),
            (b"\0\0\0", "answered half a message", "a part of the prefix"),
            (b"\0\0\0\0\x02\x08", "answered half a message", "a part of it"),
            (
                b"\x01\0\0\0\x02\x08\x01",
                "answered a compressed message, which was not asked for",
                "compressed",
            ),
            (b"\0\0\0\0\x02\x08\x01\0\0\0\0\0", "answered more than one message", "two"),
            (b"\0\0\0\0\x01\x08", "answered a message that is not Protobuf", "no value"),
            (b"\0\0\0\0\x02\x0b\x01", "answered a message that is not Protobuf", "a group"),
            (b"\0\0\0\0\x02\x12\x7f", "answered a message that is not Protobuf", "too long"),
        ] {
            for size in [1, 3, 100] {
                let mut grpc = Grpc::new("web");
                assert_eq!(grpc.head(200, Some(b"application/grpc"), GrpcEnd::default()), None);
                for piece in body.chunks(size) {
                    assert_eq!(grpc.feed(piece), None, "{why}");
                }
                assert_eq!(grpc.trailers(OK).to_string(), expected, "{why}, by {size}");
            }
        }
    }

    #[test]
    fn calls_end_with_a_status() {
        let end = |status: &'static [u8], message: &'static [u8]| GrpcEnd {
            status: Some(status),
            message: Some(message),
        };
        for (end, expected, why) in [
            (
                end(b"5", b"unknown service"),
                "answered grpc-status 5 (NOT_FOUND): unknown service; the service web is not \
                 known there",
                "another service",
            ),
            (
                end(b"12", b""),
                "answered grpc-status 12 (UNIMPLEMENTED); it has no grpc.health.v1.Health service",
                "no health service",
            ),
            (
                end(b"14", b"caf%C3%A9 %41%4"),
                "answered grpc-status 14 (UNAVAILABLE): caf\u{e9} A%4",
                "its message is percent-encoded",
            ),
            (
                end(b"99", b"a\nb"),
                "answered grpc-status 99 (no status that is known): a\\nb",
                "a number of its own",
            ),
            (end(b"x", b""), "answered grpc-status x, which is no number", "no number"),
            (
                GrpcEnd::default(),
                "answered without grpc-status: the answer was cut short",
                "trailers without it",
            ),
        ] {
            let mut grpc = Grpc::new("web");
            assert_eq!(grpc.feed(b"\0\0\0\0\x02\x08\x01"), None);
            assert_eq!(grpc.trailers(end).to_string(), expected, "{why}");
        }
    }

    #[test]
    fn heads_are_judged() {
        for (code, content, status, expected, why) in [
            (200, Some(&b"application/grpc"[..]), None, None, "goes on"),
            (200, Some(b"application/grpc+proto"), None, None, "goes on"),
            (200, Some(b"application/grpc;x=y"), None, None, "goes on"),
            (503, Some(b"application/grpc"), None, Some("answered 503"), "a proxy's"),
            (
                200,
                Some(b"text/html"),
                None,
                Some("answered with text/html, which is not gRPC"),
                "a web server",
            ),
            (
                200,
                Some(b"application/grpcs"),
                None,
                Some("answered with application/grpcs, which is not gRPC"),
                "nearly",
            ),
            (
                200,
                None,
                None,
                Some("answered without a content-type, which is not gRPC"),
                "nothing",
            ),
            (
                200,
                Some(b"application/grpc"),
                Some(&b"16"[..]),
                Some("answered grpc-status 16 (UNAUTHENTICATED)"),
                "trailers alone",
            ),
        ] {
            let end = GrpcEnd { status, message: None };
            let found = Grpc::new("").head(code, content, end);
            assert_eq!(found.map(|o| o.to_string()).as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn no_message_is_endless() {
        let mut grpc = Grpc::new("");
        assert_eq!(grpc.feed(&[0; PREFIX + MESSAGE_LIMIT]), None);
        assert_eq!(grpc.feed(&[0]), Some(Outcome::Bad(Fault::LongBody(4096))));
    }

    proptest! {
        #[test]
        fn no_bytes_harm(pieces: Vec<Vec<u8>>, status: Vec<u8>, text: Vec<u8>) {
            let mut grpc = Grpc::new("web");
            for piece in &pieces {
                if grpc.feed(piece).is_some() {
                    break;
                }
            }
            let _ = grpc.trailers(OK);
            let end = GrpcEnd { status: Some(&status), message: Some(&text) };
            prop_assert!(grpc.head(200, Some(&text), end).is_some());
        }
    }
}

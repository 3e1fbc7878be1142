//! SIP (RFC 3261): OPTIONS, by UDP or TCP, to which a server says 200.

use std::net::SocketAddr;

use xlvs_model::health::ServiceCheck;

use super::{LineBuffer, ServiceDialogue, ServiceStep, shorten, word, wrong};
use crate::Outcome;

/// One question.
#[derive(Debug)]
pub struct Sip {
    request: Vec<u8>,
    lines: LineBuffer,
}

impl Sip {
    /// A question from this address, with this number as its own.
    pub fn new(check: &ServiceCheck, from: SocketAddr, number: u64) -> Result<Self, Outcome> {
        let login = word("login", &check.login)?;
        let way = if check.udp { "UDP" } else { "TCP" };
        let request = format!(
            "OPTIONS sip:{login} SIP/2.0\r\n\
             Via: SIP/2.0/{way} {from};branch=z9hG4bK{number:016x}\r\n\
             Max-Forwards: 70\r\n\
             To: <sip:{login}>\r\n\
             From: <sip:{login}>;tag=1928301774\r\n\
             Call-ID: {number:016x}\r\n\
             CSeq: 63104 OPTIONS\r\n\
             Contact: <sip:{login}>\r\n\
             Accept: application/sdp\r\n\
             Content-Length: 0\r\n\r\n"
        );
        Ok(Self { request: request.into_bytes(), lines: LineBuffer::default() })
    }
}

impl ServiceDialogue for Sip {
    fn begin(&mut self) -> ServiceStep {
        ServiceStep::Send(std::mem::take(&mut self.request))
    }

    fn feed(&mut self, bytes: &[u8]) -> ServiceStep {
        self.lines.push(bytes);
        match self.lines.next_text() {
            Ok(Some(line)) if line.starts_with("SIP/2.0 200 OK") => {
                ServiceStep::Done(Outcome::GOOD)
            }
            Ok(Some(line)) => {
                let code = line.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
                let code = code.and_then(|code| code.parse().ok());
                ServiceStep::Done(wrong(format!("`{}`", shorten(&line)), code))
            }
            Ok(None) => ServiceStep::Read,
            Err(outcome) => ServiceStep::Done(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{assert_bounded, play},
        *,
    };

    #[test]
    fn rows() {
        let check = ServiceCheck { login: "me@here".into(), udp: true, ..ServiceCheck::default() };
        let from = "192.0.2.1:5060".parse().expect("an address");
        let sip = || Sip::new(&check, from, 7).expect("a question");
        for (server, good, code, why) in [
            (&[&b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n"[..]][..], true, None, "well"),
            (&[b"SIP/2.0 2", b"00 OK\r\n"], true, None, "cut"),
            (&[b"SIP/2.0 503 No\r\n"], false, Some(503), "not well"),
            (&[b"HTTP/1.1 200 OK\r\n"], false, None, "another protocol"),
            (&[], false, None, "nothing"),
        ] {
            let (said, outcome) = play(&mut sip(), server);
            assert!(said.starts_with("OPTIONS sip:me@here SIP/2.0\r\n"), "{said}");
            assert!(said.contains("UDP 192.0.2.1:5060;branch=z9hG4bK0000000000000007\r\n"));
            assert!(said.ends_with("\r\n\r\n"), "{said}");
            assert_eq!((outcome.is_good(), outcome.code()), (good, code), "{why}");
        }
        assert_bounded(&mut sip(), b'S');
    }
}

//! One question of HTTP/1.0 or 1.1 and its answer.
//!
//! `httparse` reads the head; the body streams by a [`Judge`]. keepalived reads until the server
//! closes; this is content as soon as `Content-Length` or the last chunk is there, so that a server
//! that keeps the connection open is no failure. A body shorter than its `Content-Length` is not
//! held against the server, as keepalived does not.

use std::{net::SocketAddr, sync::Arc};

use xlvs_model::health::HttpProtocol;

use super::{Chunks, Judge, Page};
use crate::{Fault, Outcome};

/// What a head may be long.
pub const HEAD_LIMIT: usize = 16 << 10;

/// What a head may have of fields.
const FIELDS: usize = 128;

/// The request for a page, as keepalived writes it.
pub fn request(protocol: HttpProtocol, page: &Page, target: SocketAddr) -> Vec<u8> {
    let version = if protocol == HttpProtocol::V11 { "1.1" } else { "1.0" };
    let close = match protocol {
        HttpProtocol::V10Close | HttpProtocol::V11 => "Connection: close\r\n",
        HttpProtocol::V10 | HttpProtocol::V2 => "",
    };
    let host = page.url.virtualhost.clone().unwrap_or_else(|| target.to_string());
    format!(
        "GET {} HTTP/{version}\r\nUser-Agent: KeepAliveClient\r\n{close}Host: {host}\r\n\r\n",
        page.url.path
    )
    .into_bytes()
}

/// Reads one answer.
#[derive(Debug)]
pub struct Http {
    page: Arc<Page>,
    head: Vec<u8>,
    /// The head is looked at when a line ends, or when there is twice as much of it.
    look_at: usize,
    stage: Stage,
    /// It answers HEAD.
    bodiless: bool,
}

#[derive(Debug)]
enum Stage {
    Head,
    /// A body of so many bytes more, or until the connection ends.
    Plain(Judge, Option<u64>),
    Chunked(Judge, Chunks),
}

impl Http {
    /// Before the first byte.
    pub const fn new(page: Arc<Page>) -> Self {
        Self { page, head: Vec::new(), look_at: 1, stage: Stage::Head, bodiless: false }
    }

    /// Of HEAD: no body comes, whatever the fields say.
    pub const fn without_body(mut self) -> Self {
        self.bodiless = true;
        self
    }

    /// Bytes came. An outcome ends the dialogue.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Outcome> {
        match &mut self.stage {
            Stage::Head => {
                self.head.extend_from_slice(bytes);
                if !bytes.contains(&b'\n') && self.head.len() < self.look_at.min(HEAD_LIMIT) {
                    return None;
                }
                self.look_at = self.head.len() * 2;
                self.read_head()
            }
            Stage::Plain(judge, left) => plain(judge, left, bytes),
            Stage::Chunked(judge, chunks) => chunked(judge, chunks, bytes),
        }
    }

    /// The server closed.
    pub fn end(mut self) -> Outcome {
        match &mut self.stage {
            Stage::Head if self.head.is_empty() => Outcome::Bad(Fault::Silent),
            Stage::Head => Outcome::Bad(Fault::NotHttp("the head is not whole".into())),
            Stage::Plain(judge, _) | Stage::Chunked(judge, _) => judge.end(),
        }
    }

    fn read_head(&mut self) -> Option<Outcome> {
        let (status, framing) = match self.take_head() {
            Ok(head) => head?,
            Err(fault) => return Some(Outcome::Bad(fault)),
        };
        let rest = std::mem::take(&mut self.head);
        let mut judge = Judge::new(Arc::clone(&self.page), status);
        // The status first, however the body is framed and wherever TCP cut it.
        if let Some(outcome) = judge.body(&[]) {
            return Some(outcome);
        }
        self.stage = match framing {
            _ if self.bodiless || status == 204 || status == 304 || status < 200 => {
                Stage::Plain(judge, Some(0))
            }
            Framing::Chunked => Stage::Chunked(judge.with_framing(), Chunks::default()),
            Framing::Length(length) => Stage::Plain(judge, Some(length)),
            Framing::UntilClose => Stage::Plain(judge, None),
        };
        self.feed(&rest)
    }

    /// Takes the head of the answer that counts off the bytes that came, as soon as it is whole,
    /// with any interim answers before it. A loop: a server may send thousands of these at once.
    fn take_head(&mut self) -> Result<Option<(u16, Framing)>, Fault> {
        let mut taken = 0;
        let found = loop {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS];
            let mut response = httparse::Response::new(&mut fields);
            let head = &self.head[taken..];
            match lenient().parse_response(&mut response, head) {
                Ok(httparse::Status::Complete(length)) => taken += length,
                Ok(httparse::Status::Partial) if head.len() < HEAD_LIMIT => break None,
                Ok(httparse::Status::Partial) => return Err(Fault::LongHead(HEAD_LIMIT)),
                Err(httparse::Error::TooManyHeaders) => {
                    return Err(Fault::NotHttp(format!("more than {FIELDS} fields")));
                }
                Err(fault) => return Err(Fault::NotHttp(fault.to_string())),
            }
            let status = response.code.unwrap_or(0);
            let interim = (100..200).contains(&status) && status != 101;
            if !interim || self.page.url.takes_status(status) {
                break Some((status, framing(response.headers)));
            }
        };
        if taken > 0 {
            self.head.drain(..taken);
            self.look_at = (self.head.len() * 2).max(1);
        }
        Ok(found)
    }
}

enum Framing {
    Chunked,
    Length(u64),
    UntilClose,
}

fn framing(fields: &[httparse::Header<'_>]) -> Framing {
    let mut framing = Framing::UntilClose;
    for field in fields {
        let Ok(value) = str::from_utf8(field.value) else { continue };
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            let last = value.rsplit(',').next().unwrap_or("").trim();
            if last.eq_ignore_ascii_case("chunked") {
                return Framing::Chunked;
            }
        } else if field.name.eq_ignore_ascii_case("content-length")
            && let Ok(length) = value.trim().parse()
        {
            framing = Framing::Length(length);
        }
    }
    framing
}

fn plain(judge: &mut Judge, left: &mut Option<u64>, bytes: &[u8]) -> Option<Outcome> {
    let Some(left) = left else { return judge.body(bytes) };
    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left -= take as u64;
    match judge.body(&bytes[..take]) {
        None if *left == 0 => Some(judge.end()),
        outcome => outcome,
    }
}

fn chunked(judge: &mut Judge, chunks: &mut Chunks, bytes: &[u8]) -> Option<Outcome> {
    judge.framed(bytes);
    let mut outcome = None;
    let over = chunks.feed(bytes, |data| {
        if outcome.is_none() {
            outcome = judge.body(data);
        }
    });
    match (outcome, over) {
        (Some(outcome), _) => Some(outcome),
        (None, Ok(false)) => judge.body(&[]),
        (None, Ok(true)) => Some(judge.end()),
        (None, Err(why)) => Some(Outcome::Bad(Fault::NotHttp(why.into()))),
    }
}

/// What servers are forgiven: keepalived looks for a number in the first line and for nothing else.
fn lenient() -> httparse::ParserConfig {
    let mut config = httparse::ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    config.allow_obsolete_multiline_headers_in_responses(true);
    config.allow_multiple_spaces_in_response_status_delimiters(true);
    config.ignore_invalid_headers_in_responses(true);
    config
}

#[cfg(test)]
mod tests;

//! What the answer to one URL is worth: its status, its digest, its pattern. For every version of
//! HTTP; the body streams by and is not kept.
//!
//! The order is keepalived's: no head, then the status, then the digest, then the pattern. The
//! digest is `genhash`'s: MD5 of what follows the head, up to `Content-Length`. For a chunked body
//! keepalived hashes the framing too; here the sum of the data alone is right as well.

use std::sync::Arc;

use md5::{Digest as _, Md5};
use xlvs_model::health::{Digest, Url};

use super::{Pattern, Search};
use crate::{Fault, Good, Outcome};

/// So much of a body is read. What is decided by then stands; a digest is not.
pub const BODY_LIMIT: u64 = 16 << 20;

/// A URL with its pattern compiled.
#[derive(Clone, Debug)]
pub struct Page {
    /// As it was written.
    pub url: Url,
    /// `regex`.
    pub pattern: Option<Pattern>,
}

/// Judges one answer.
#[derive(Debug)]
pub struct Judge {
    page: Arc<Page>,
    status: u16,
    data: Option<Md5>,
    framed: Option<Md5>,
    search: Search,
    seen: u64,
}

impl Judge {
    /// A judge of an answer whose head says this status.
    pub fn new(page: Arc<Page>, status: u16) -> Self {
        let hashes = page.url.digest.is_some() && page.url.takes_status(status);
        Self {
            page,
            status,
            data: hashes.then(Md5::new),
            framed: None,
            search: Search::default(),
            seen: 0,
        }
    }

    /// The body comes with framing, which [`Judge::framed`] takes.
    pub fn with_framing(mut self) -> Self {
        self.framed.clone_from(&self.data);
        self
    }

    /// Framing and data, as they came.
    pub fn framed(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.framed {
            hash.update(bytes);
        }
    }

    /// Data of the body. An outcome: nothing that may come changes it.
    pub fn body(&mut self, bytes: &[u8]) -> Option<Outcome> {
        if !self.page.url.takes_status(self.status) {
            return Some(Outcome::Bad(Fault::Status(self.status)));
        }
        if let Some(hash) = &mut self.data {
            hash.update(bytes);
        }
        if let Some(pattern) = &self.page.pattern {
            self.search.feed(pattern, bytes);
        }
        self.seen += bytes.len() as u64;
        if self.seen < BODY_LIMIT {
            return None;
        }
        if self.data.is_some() {
            return Some(Outcome::Bad(Fault::LongBody(BODY_LIMIT)));
        }
        if self.page.pattern.is_some() && !self.search.is_decided() {
            return Some(Outcome::Bad(Fault::LongBody(BODY_LIMIT)));
        }
        Some(self.end())
    }

    /// The answer is over.
    pub fn end(&mut self) -> Outcome {
        if !self.page.url.takes_status(self.status) {
            return Outcome::Bad(Fault::Status(self.status));
        }
        if let (Some(wanted), Some(hash)) = (self.page.url.digest, self.data.take()) {
            let got = Digest(hash.finalize().into());
            let framed = self.framed.take().map(|hash| Digest(hash.finalize().into()));
            if got != wanted && framed != Some(wanted) {
                return Outcome::Bad(Fault::Digest { got, wanted });
            }
        }
        if let Some(pattern) = &self.page.pattern {
            let found = self.search.end(pattern);
            if !pattern.takes(found) {
                return Outcome::Bad(Fault::Pattern { found });
            }
        }
        Outcome::Good(Good { code: Some(self.status), weight: None })
    }
}

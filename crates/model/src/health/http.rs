//! `HTTP_GET` and `SSL_GET`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::is_default;

/// URLs that are fetched one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpCheck {
    /// `SSL_GET`: by TLS.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: bool,
    /// `http_protocol`.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: HttpProtocol,
    /// `fast_recovery`: at the start and after a failure all URLs are fetched without
    /// `delay_loop` between them.
    #[serde(skip_serializing_if = "is_default")]
    pub fast_recovery: bool,
    /// `enable_sni`: TLS says the server's name, `sni_name` or else the URL's virtual host.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_sni: bool,
    /// `sni_name`.
    #[serde(skip_serializing_if = "is_default")]
    pub sni_name: Option<String>,
    /// `tls_compliant`: an end of the connection without TLS's own goodbye is a failure.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_compliant: bool,
    /// `url`; at least one.
    pub urls: Vec<Url>,
}

/// `http_protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpProtocol {
    /// HTTP/1.0 (the default).
    #[default]
    #[serde(rename = "1.0")]
    V10,
    /// HTTP/1.0 with `Connection: close`.
    #[serde(rename = "1.0C")]
    V10Close,
    /// HTTP/1.1 with `Connection: close`.
    #[serde(rename = "1.1")]
    V11,
    /// HTTP/2 (xlvs's own): by ALPN with TLS, else with prior knowledge.
    #[serde(rename = "2")]
    V2,
}

/// `url`: one page, and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Url {
    /// `path`, with its query; default `/`.
    pub path: String,
    /// `digest`: MD5 of the body, as `genhash` makes it.
    #[serde(skip_serializing_if = "is_default")]
    pub digest: Option<Digest>,
    /// `status_code`: an answer with any other fails. Resolved: 200-299 unless said.
    pub status: Vec<StatusRange>,
    /// `virtualhost`: the `Host:`. Those of the real and the virtual server are resolved.
    #[serde(skip_serializing_if = "is_default")]
    pub virtualhost: Option<String>,
    /// `regex`, and what belongs to it.
    #[serde(skip_serializing_if = "is_default")]
    pub regex: Option<UrlRegex>,
    /// `tls_compliant`, for this URL alone; none: as the check has it.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_compliant: Option<bool>,
}

impl Default for Url {
    fn default() -> Self {
        Self {
            path: "/".into(),
            digest: None,
            status: vec![StatusRange::SUCCESS],
            virtualhost: None,
            regex: None,
            tls_compliant: None,
        }
    }
}

impl Url {
    /// The status code is one of those asked for.
    pub fn takes_status(&self, code: u16) -> bool {
        self.status.iter().any(|range| (range.first..=range.last).contains(&code))
    }
}

/// Status codes from one to another, both included. As JSON: `[200, 299]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u16, u16)", into = "(u16, u16)")]
pub struct StatusRange {
    /// 100 to 599.
    pub first: u16,
    /// `first` to 599.
    pub last: u16,
}

impl StatusRange {
    /// keepalived's default.
    pub const SUCCESS: Self = Self { first: 200, last: 299 };
}

impl From<(u16, u16)> for StatusRange {
    fn from((first, last): (u16, u16)) -> Self {
        Self { first, last }
    }
}

impl From<StatusRange> for (u16, u16) {
    fn from(range: StatusRange) -> Self {
        (range.first, range.last)
    }
}

/// `regex` and its options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UrlRegex {
    /// `regex`: a PCRE2 pattern.
    pub pattern: String,
    /// `regex_no_match`: a match is the failure.
    #[serde(skip_serializing_if = "is_default")]
    pub no_match: bool,
    /// `regex_options`: PCRE2's names in lower case, such as `caseless`.
    #[serde(skip_serializing_if = "is_default")]
    pub options: Vec<String>,
    /// `regex_min_offset`: matches begin at this byte of the body or later; default 0.
    #[serde(skip_serializing_if = "is_default")]
    pub min_offset: u64,
    /// `regex_max_offset`: matches begin before this byte; none: anywhere.
    #[serde(skip_serializing_if = "is_default")]
    pub max_offset: Option<u64>,
    /// `regex_stack START MAX`: for PCRE2's compiler; without meaning to xlvs.
    #[serde(skip_serializing_if = "is_default")]
    pub stack: Option<(u64, u64)>,
}

/// An MD5 sum. As text: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 16]);

/// 32 hexadecimal digits were expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a digest: it is 32 hexadecimal digits, as genhash prints them")]
pub struct ParseDigestError(pub String);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseDigestError(text.to_owned());
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut sum = [0; 16];
        for (i, byte) in sum.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(sum))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

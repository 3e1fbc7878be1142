//! The checks of Piranha and ldirectord that keepalived does not have, and those that nobody had.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Script, seconds};
use crate::is_default;

/// nanny's `send` and `expect`: something is said, something is heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TalkCheck {
    /// By UDP; else by TCP.
    #[serde(skip_serializing_if = "is_default")]
    pub udp: bool,
    /// Said first; none: nothing.
    #[serde(with = "text", skip_serializing_if = "is_default")]
    pub send: Option<Vec<u8>>,
    /// What must be heard; none: nothing is waited for (by UDP: one byte of anything).
    #[serde(skip_serializing_if = "is_default")]
    pub expect: Option<Expect>,
}

/// What must be heard. As JSON: `{"prefix": "HTTP"}`, `{"regex": "^HTTP"}`, `"anything"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// The first bytes of what is heard are these. nanny reads once, as many as it compares.
    Prefix(#[serde(with = "bytes")] Vec<u8>),
    /// At least one byte (`expect = "*"`).
    Anything,
    /// `use_regex`: a POSIX extended expression, found in the first 254 bytes.
    Regex(String),
}

/// nanny's `send_program`: what a program prints is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputCheck {
    /// The program; `%h` and `%p` are replaced by the server's address and port already.
    pub script: Script,
    /// It is killed after this long.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// What it must print, but for its last byte (the end of the line). None: no output is right,
    /// so that the server never comes up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expect: Option<String>,
}

/// ldirectord's `external-perl`: a Perl script with the arguments of `external`
/// (virtual address, virtual port, server's address, server's port); 0 is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalCheck {
    /// The script's file.
    pub program: String,
    /// What it gets.
    pub arguments: Vec<String>,
    /// It is Perl that is read as the body of a function; else a program that is run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub perl: bool,
    /// It is ended after this long.
    #[serde(with = "seconds")]
    pub timeout: Duration,
}

/// ldirectord's `negotiate`: a dialogue of the service's own kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceCheck {
    /// The kind.
    pub service: Talks,
    /// `request`: a path, a name, a query, a search base: the service's kind says. With what the
    /// file's reader made of it (a `/` before, or a whole URL for `http_proxy`).
    pub request: String,
    /// `receive`: an expression of Perl that the answer must match; empty: any answer is good.
    #[serde(skip_serializing_if = "is_default")]
    pub receive: String,
    /// `login`.
    #[serde(skip_serializing_if = "is_default")]
    pub login: String,
    /// `passwd`.
    #[serde(skip_serializing_if = "is_default")]
    pub passwd: String,
    /// `database`.
    #[serde(skip_serializing_if = "is_default")]
    pub database: String,
    /// `secret`, of RADIUS.
    #[serde(skip_serializing_if = "is_default")]
    pub secret: String,
    /// `httpmethod HEAD`; else GET.
    #[serde(skip_serializing_if = "is_default")]
    pub head: bool,
    /// `virtualhost`.
    #[serde(skip_serializing_if = "is_default")]
    pub virtualhost: Option<String>,
    /// By UDP: of SIP and DNS.
    #[serde(skip_serializing_if = "is_default")]
    pub udp: bool,
    /// `checktype = N`: so many good connections come between two dialogues; 0: each check is one.
    #[serde(skip_serializing_if = "is_default")]
    pub connects: u32,
}

/// The kinds of services that ldirectord talks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Talks {
    /// DNS.
    Dns,
    /// FTP.
    Ftp,
    /// HTTP.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
    /// A proxy of HTTP.
    HttpProxy,
    /// IMAP.
    Imap,
    /// IMAP over TLS.
    Imaps,
    /// LDAP.
    Ldap,
    /// LDAP over TLS.
    Ldaps,
    /// `MySQL` and `MariaDB`.
    Mysql,
    /// NNTP.
    Nntp,
    /// Oracle's database.
    Oracle,
    /// `PostgreSQL`.
    Pgsql,
    /// POP3.
    Pop,
    /// POP3 over TLS.
    Pops,
    /// RADIUS.
    Radius,
    /// A text is sent and an answer read.
    Simpletcp,
    /// SIP.
    Sip,
    /// SMTP.
    Smtp,
    /// Mail submission.
    Submission,
}

impl Talks {
    /// All of them, each with its word and the port that it is known by (0: none).
    pub const ALL: [(Self, &'static str, u16); 20] = [
        (Self::Dns, "dns", 53),
        (Self::Ftp, "ftp", 21),
        (Self::Http, "http", 80),
        (Self::Https, "https", 443),
        (Self::HttpProxy, "http_proxy", 3128),
        (Self::Imap, "imap", 143),
        (Self::Imaps, "imaps", 993),
        (Self::Ldap, "ldap", 389),
        (Self::Ldaps, "ldaps", 636),
        (Self::Mysql, "mysql", 3306),
        (Self::Nntp, "nntp", 119),
        (Self::Oracle, "oracle", 1521),
        (Self::Pgsql, "pgsql", 5432),
        (Self::Pop, "pop", 110),
        (Self::Pops, "pops", 995),
        (Self::Radius, "radius", 1812),
        (Self::Simpletcp, "simpletcp", 0),
        (Self::Sip, "sip", 5060),
        (Self::Smtp, "smtp", 25),
        (Self::Submission, "submission", 587),
    ];

    /// ldirectord's word.
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The port that it is known by.
    pub const fn port(self) -> Option<u16> {
        match Self::ALL[self as usize].2 {
            0 => None,
            port => Some(port),
        }
    }
}

/// The gRPC health checking protocol: `grpc.health.v1.Health/Check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrpcCheck {
    /// The service that is asked for; empty: the server as a whole.
    pub service: String,
    /// Over TLS.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: bool,
}

/// `HAProxy`'s agent check: the server's agent says how it is, and may set the weight in percent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentCheck {
    /// `agent-send`: said first.
    #[serde(skip_serializing_if = "is_default")]
    pub send: String,
}

/// Bytes as a text in which `\xNN` stands for what is no text and `\\` for a backslash.
mod bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::written(value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        super::read(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

/// The same of bytes that may be absent.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Vec<u8>>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.serialize_some(&super::written(value)),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| super::read(&text).map_err(D::Error::custom)).transpose()
    }
}

fn written(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn read(text: &str) -> Result<Vec<u8>, String> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        rest = if let Some(after) = after.strip_prefix('\\') {
            bytes.push(b'\\');
            after
        } else {
            let digits = after.strip_prefix('x').and_then(|after| after.get(..2));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let wrong = || format!("a backslash is written \\\\, a byte \\x1b: `\\{after}`");
            bytes.push(byte.ok_or_else(wrong)?);
            &after[3..]
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_services_are_found_by_their_place() {
        for (at, (kind, name, _)) in Talks::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{name}");
            assert_eq!(serde_json::to_value(kind).expect(name), name);
        }
    }

    #[test]
    fn bytes_are_read_as_they_are_written() {
        for (bytes, expected, why) in [
            (&b"GET /\r\n"[..], "GET /\r\n", "a text is itself"),
            (b"a\\b", "a\\\\b", "a backslash is doubled"),
            (b"\xff\x00", "\\xff\0", "what is no text is in digits"),
        ] {
            assert_eq!(written(bytes), expected, "{why}");
            assert_eq!(read(expected).as_deref(), Ok(bytes), "{why}");
        }
        assert!(read("\\n").is_err(), "no other escape");
        assert!(read("\\x1").is_err(), "two digits");
    }
}

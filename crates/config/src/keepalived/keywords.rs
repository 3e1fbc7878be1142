//! Every keyword, once: where it stands, what it takes, what becomes of it, and its text in the
//! reference. Parsing, checking, suggestions and `docs/keepalived.md` all come from this table.

mod checks;
mod global;
mod reference;
mod service;
mod vrrp;

use std::{collections::HashMap, sync::LazyLock};

pub use reference::reference;

/// The block that a keyword stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Within {
    Top,
    Global,
    Ssl,
    Service,
    Server,
    Http,
    Url,
    Tcp,
    Smtp,
    SmtpHost,
    Dns,
    Misc,
    Udp,
    Ping,
    FileCheck,
    BfdCheck,
    TrackFile,
    BfdInstance,
    Instance,
    SyncGroup,
    VrrpScript,
    TrackProcess,
    TrackGroup,
    GarpGroup,
    Authentication,
    AuthHmac,
}

impl Within {
    /// All of them, in the order of the reference.
    pub(super) const ALL: [Self; 26] = [
        Self::Top,
        Self::Global,
        Self::Service,
        Self::Server,
        Self::Http,
        Self::Url,
        Self::Tcp,
        Self::Smtp,
        Self::SmtpHost,
        Self::Dns,
        Self::Misc,
        Self::Udp,
        Self::Ping,
        Self::FileCheck,
        Self::BfdCheck,
        Self::Ssl,
        Self::TrackFile,
        Self::Instance,
        Self::Authentication,
        Self::AuthHmac,
        Self::SyncGroup,
        Self::VrrpScript,
        Self::TrackProcess,
        Self::BfdInstance,
        Self::TrackGroup,
        Self::GarpGroup,
    ];

    /// The keyword of the block.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Top => "the top level",
            Self::Global => "global_defs",
            Self::Ssl => "SSL",
            Self::Service => "virtual_server",
            Self::Server => "real_server",
            Self::Http => "HTTP_GET and SSL_GET",
            Self::Url => "url",
            Self::Tcp => "TCP_CHECK",
            Self::Smtp => "SMTP_CHECK",
            Self::SmtpHost => "host",
            Self::Dns => "DNS_CHECK",
            Self::Misc => "MISC_CHECK",
            Self::Udp => "UDP_CHECK",
            Self::Ping => "PING_CHECK",
            Self::FileCheck => "FILE_CHECK",
            Self::BfdCheck => "BFD_CHECK",
            Self::TrackFile => "track_file",
            Self::BfdInstance => "bfd_instance",
            Self::Instance => "vrrp_instance",
            Self::SyncGroup => "vrrp_sync_group",
            Self::VrrpScript => "vrrp_script",
            Self::TrackProcess => "vrrp_track_process",
            Self::TrackGroup => "track_group",
            Self::GarpGroup => "garp_group",
            Self::Authentication => "authentication",
            Self::AuthHmac => "auth_hmac",
        }
    }
}

/// What a keyword takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Takes {
    /// Nothing.
    Flag,
    /// `on`, `true`, `yes`, `off`, `false`, `no`; without one: on.
    Bool,
    /// A whole number.
    Number(i64, i64),
    /// A whole number, or nothing.
    MaybeNumber(i64, i64),
    /// Seconds, with up to six decimals.
    Seconds(f64, f64),
    /// Milliseconds, with up to three decimals.
    Millis(f64, f64),
    /// An IP address.
    Address,
    /// One word.
    Word(&'static str),
    /// A word, or nothing.
    MaybeWord(&'static str),
    /// One of these words, in any case.
    OneOf(&'static [&'static str]),
    /// One word in which quotes and escapes count.
    Text(&'static str),
    /// A command, and who runs it.
    Script,
    /// Words; how many and which is looked at where they are lowered.
    Words(&'static str),
    /// Words, or nothing.
    MaybeWords(&'static str),
    /// Words and a block of keywords.
    Block(&'static str, Within),
    /// A block of lines of their own kind.
    Lines(&'static str),
    /// A name and a block of lines.
    NamedLines(&'static str, &'static str),
}

/// What becomes of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It does what keepalived does.
    Honoured,
    /// It is checked and kept, and takes effect when xlvs takes addresses over.
    Later,
    /// It is accepted, and does nothing, for a reason.
    Nothing(&'static str),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyword {
    pub(super) within: &'static [Within],
    /// The first one is what the rest of the code calls it.
    pub(super) names: &'static [&'static str],
    pub(super) takes: Takes,
    pub(super) status: Status,
    pub(super) doc: &'static str,
}

impl Keyword {
    pub(super) const fn name(&self) -> &'static str {
        self.names[0]
    }

    const fn later(self) -> Self {
        Self { status: Status::Later, ..self }
    }

    const fn nothing(self, why: &'static str) -> Self {
        Self { status: Status::Nothing(why), ..self }
    }
}

const fn row(
    within: &'static [Within],
    names: &'static [&'static str],
    takes: Takes,
    doc: &'static str,
) -> Keyword {
    Keyword { within, names, takes, status: Status::Honoured, doc }
}

/// Every row.
pub(super) fn all() -> impl Iterator<Item = &'static Keyword> {
    let tables = [global::TOP, global::GLOBAL, service::TABLE, checks::TABLE, vrrp::TABLE];
    tables.into_iter().flatten()
}

/// The keyword of a name in a block.
pub(super) fn find(within: Within, name: &str) -> Option<&'static Keyword> {
    INDEX.get(&(within, name)).copied()
}

/// Names that a block knows.
pub(super) fn names(within: Within) -> impl Iterator<Item = &'static str> {
    let rows = all().filter(move |row| row.within.contains(&within));
    rows.flat_map(|row| row.names.iter().copied())
}

/// Blocks that know a name.
pub(super) fn blocks_with(name: &str) -> Vec<&'static str> {
    let knows = |within: &Within| find(*within, name).is_some();
    Within::ALL.into_iter().filter(knows).map(Within::name).collect()
}

/// Every row by its blocks and names: a file may have a million lines.
static INDEX: LazyLock<HashMap<(Within, &'static str), &'static Keyword>> = LazyLock::new(|| {
    let places = all().flat_map(|row| row.within.iter().map(move |within| (*within, row)));
    let names =
        places.flat_map(|(within, row)| row.names.iter().map(move |name| (within, *name, row)));
    names.map(|(within, name, row)| ((within, name), row)).collect()
});

/// Weights of IPVS (`IPVS_WEIGHT_LIMIT`), counts and marks.
const WEIGHT: i64 = 2_147_483_647;
const U32: i64 = 4_294_967_295;
/// keepalived's longest timer, in seconds.
const LONG: f64 = 4_294_967.0;

#[cfg(test)]
mod tests;

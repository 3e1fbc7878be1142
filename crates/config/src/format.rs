//! Which format a file is of.

use serde::{Deserialize, Serialize};

use crate::{ldirectord, native, piranha, save};

/// A format of configuration files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "&str", try_from = "String")]
pub enum Format {
    /// `keepalived.conf`.
    Keepalived,
    /// Piranha's `lvs.cf`.
    LvsCf,
    /// `ldirectord.cf`.
    Ldirectord,
    /// What `ipvsadm -Sn` prints.
    IpvsadmSave,
    /// xlvs's own TOML.
    Toml,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Keepalived, Self::LvsCf, Self::Ldirectord, Self::IpvsadmSave, Self::Toml];

    /// As `--format` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::LvsCf => "lvs.cf",
            Self::Ldirectord => "ldirectord",
            Self::IpvsadmSave => "ipvsadm",
            Self::Toml => "toml",
        }
    }

    /// What it is, for people.
    pub const fn described(self) -> &'static str {
        match self {
            Self::Keepalived => "`keepalived.conf`",
            Self::LvsCf => "Piranha's `lvs.cf`",
            Self::Ldirectord => "`ldirectord.cf`",
            Self::IpvsadmSave => "What `ipvsadm -Sn` prints",
            Self::Toml => "xlvs's own",
        }
    }

    /// The format of a file: by its name where that tells, else by its first lines that do.
    pub fn find(path: &str, bytes: &[u8]) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        match name {
            "keepalived.conf" => return Self::Keepalived,
            "lvs.cf" => return Self::LvsCf,
            "ldirectord.cf" => return Self::Ldirectord,
            name if name.rsplit_once('.').is_some_and(|(_, end)| end == "toml") => {
                return Self::Toml;
            }
            _ => {}
        }
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LOOKED_AT)]);
        let mut lines = text.lines().map(str::trim_end);
        lines.find_map(Self::of_line).unwrap_or(Self::Keepalived)
    }

    /// What a line alone tells.
    fn of_line(line: &str) -> Option<Self> {
        let bare = line.trim_start();
        if bare.is_empty() || bare.starts_with(['#', '!']) {
            return None;
        }
        if native::looks_like(bare) {
            return Some(Self::Toml);
        }
        if piranha::looks_like(bare) {
            return Some(Self::LvsCf);
        }
        if save::looks_like(bare) {
            return Some(Self::IpvsadmSave);
        }
        ldirectord::looks_like(line).then_some(Self::Ldirectord)
    }
}

impl From<Format> for &'static str {
    fn from(format: Format) -> Self {
        format.name()
    }
}

impl TryFrom<String> for Format {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| format!("no format `{name}`; there are {names}"))
    }
}

/// The first line that tells comes within so many bytes.
const LOOKED_AT: usize = 64 << 10;

//! Which format a file is of.

use crate::piranha;

/// A format of configuration files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `keepalived.conf`.
    Keepalived,
    /// Piranha's `lvs.cf`.
    LvsCf,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Keepalived, Self::LvsCf];

    /// As `--format` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::LvsCf => "lvs.cf",
        }
    }

    /// The format of a file: by its name where that tells, else by its first lines that do.
    pub fn find(path: &str, bytes: &[u8]) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name == "lvs.cf" || name == "keepalived.conf" {
            return if name == "lvs.cf" { Self::LvsCf } else { Self::Keepalived };
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
        if piranha::looks_like(bare) {
            return Some(Self::LvsCf);
        }
        None
    }
}

/// The first line that tells comes within so many bytes.
const LOOKED_AT: usize = 64 << 10;

//! Which format a file is of.

/// A format of configuration files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `keepalived.conf`.
    Keepalived,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Keepalived];

    /// As `--format` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
        }
    }

    /// The format of a file, by what it says, then by its name.
    pub fn find(_path: &str, _bytes: &[u8]) -> Self {
        Self::Keepalived
    }
}

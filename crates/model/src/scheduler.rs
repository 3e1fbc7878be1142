//! The schedulers by name, and their flags.

use serde::{Deserialize, Serialize};

/// Which server gets a new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connections.
    Lc,
    /// Weighted least connections (the default).
    #[default]
    Wlc,
    /// Locality-based least connections: a destination address keeps its server.
    Lblc,
    /// Locality-based least connections with replication: a destination address keeps a set.
    Lblcr,
    /// Destination hashing.
    Dh,
    /// Source hashing.
    Sh,
    /// Shortest expected delay.
    Sed,
    /// Never queue.
    Nq,
    /// Weighted failover: the heaviest.
    Fo,
    /// Weighted overflow: the heaviest that has fewer active connections than its weight.
    Ovf,
    /// Maglev hashing.
    Mh,
    /// The better of two drawn at random.
    Twos,
    /// Consistent hashing with bounded loads (xlvs's own).
    Chbl,
    /// Nobody: every new connection is refused.
    None,
}

impl Scheduler {
    /// All of them, in the order that help texts list them.
    pub const ALL: [Self; 16] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Lblc,
        Self::Lblcr,
        Self::Dh,
        Self::Sh,
        Self::Sed,
        Self::Nq,
        Self::Fo,
        Self::Ovf,
        Self::Mh,
        Self::Twos,
        Self::Chbl,
        Self::None,
    ];

    /// The name in `ipvsadm -s NAME`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
            Self::Dh => "dh",
            Self::Sh => "sh",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Mh => "mh",
            Self::Twos => "twos",
            Self::Chbl => "chbl",
            Self::None => "none",
        }
    }

    /// In a few words, for help texts.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Rr => "round robin",
            Self::Wrr => "weighted round robin",
            Self::Lc => "least connections",
            Self::Wlc => "weighted least connections",
            Self::Lblc => "locality-based least connections, for caches",
            Self::Lblcr => "locality-based least connections with replication",
            Self::Dh => "destination hashing",
            Self::Sh => "source hashing",
            Self::Sed => "shortest expected delay",
            Self::Nq => "never queue",
            Self::Fo => "weighted failover: the heaviest",
            Self::Ovf => "weighted overflow: the heaviest with room",
            Self::Mh => "Maglev hashing",
            Self::Twos => "the better of two drawn at random",
            Self::Chbl => "consistent hashing with bounded loads",
            Self::None => "nobody: new connections are refused",
        }
    }

    /// The scheduler of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// What it calls its flags, the lowest bit first; `flag-1` to `flag-3` where it has no names.
    pub const fn flag_names(self) -> [&'static str; 3] {
        match self {
            Self::Sh => ["sh-fallback", "sh-port", "flag-3"],
            Self::Mh => ["mh-fallback", "mh-port", "flag-3"],
            _ => ["flag-1", "flag-2", "flag-3"],
        }
    }
}

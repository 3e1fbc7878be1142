//! The schedulers' numbers, what kind of choice each makes, and their flags.

/// Which scheduler; the number is the tables' number.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// Round robin.
    Rr = 0,
    /// Weighted round robin.
    Wrr = 1,
    /// Least connections.
    Lc = 2,
    /// Weighted least connections.
    Wlc = 3,
    /// Shortest expected delay.
    Sed = 4,
    /// Never queue.
    Nq = 5,
    /// Weighted failover.
    Fo = 6,
    /// Weighted overflow.
    Ovf = 7,
    /// The better of two drawn by weight.
    Twos = 8,
    /// Destination hashing.
    Dh = 9,
    /// Source hashing.
    Sh = 10,
    /// Maglev hashing.
    Mh = 11,
    /// Locality-based least connections.
    Lblc = 12,
    /// The same with replication.
    Lblcr = 13,
    /// Consistent hashing with bounded loads: not in the kernel.
    Chbl = 14,
}

/// What a scheduler chooses by, so that the way of a packet can go to the function that does it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A walk over the list: [`crate::walk()`].
    Walk = 0,
    /// A walk and a random number: [`crate::twos()`].
    Random = 1,
    /// A table made when the list changes: [`crate::find`].
    Table = 2,
    /// A cache by destination address, and a walk: [`crate::cached`].
    Cache = 3,
    /// A table, a walk and live loads: [`crate::bounded`].
    Bounded = 4,
}

/// `flag-1`, of sh and mh: `sh-fallback`, `mh-fallback`. Another server when the hashed one may
/// not.
pub const FALLBACK: u32 = 1;
/// `flag-2`, of sh, mh and chbl: `sh-port`, `mh-port`. The client's port counts, too.
pub const PORT: u32 = 2;

impl Scheduler {
    /// All of them, by number.
    pub const ALL: [Self; 15] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Sed,
        Self::Nq,
        Self::Fo,
        Self::Ovf,
        Self::Twos,
        Self::Dh,
        Self::Sh,
        Self::Mh,
        Self::Lblc,
        Self::Lblcr,
        Self::Chbl,
    ];

    /// The scheduler of the tables' number.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Rr,
            1 => Self::Wrr,
            2 => Self::Lc,
            3 => Self::Wlc,
            4 => Self::Sed,
            5 => Self::Nq,
            6 => Self::Fo,
            7 => Self::Ovf,
            8 => Self::Twos,
            9 => Self::Dh,
            10 => Self::Sh,
            11 => Self::Mh,
            12 => Self::Lblc,
            13 => Self::Lblcr,
            14 => Self::Chbl,
            _ => return None,
        })
    }

    /// What it chooses by.
    #[inline(always)]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Rr
            | Self::Wrr
            | Self::Lc
            | Self::Wlc
            | Self::Sed
            | Self::Nq
            | Self::Fo
            | Self::Ovf => Kind::Walk,
            Self::Twos => Kind::Random,
            Self::Dh | Self::Sh | Self::Mh => Kind::Table,
            Self::Lblc | Self::Lblcr => Kind::Cache,
            Self::Chbl => Kind::Bounded,
        }
    }

    /// Whether its table is made anew when a weight changes. When a server is added or removed
    /// every table is; dh has no hook for weights (`ip_vs_dh.c`), so that its table stays what it
    /// was.
    pub const fn weights_make_table(self) -> bool {
        matches!(self, Self::Sh | Self::Mh | Self::Chbl)
    }
}

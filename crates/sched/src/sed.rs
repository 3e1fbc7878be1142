//! Shortest expected delay (`ip_vs_sed.c`): the least (active + 1) for its weight.

use crate::least::{Burden, NEVER, NONE};

/// `ip_vs_sed_dest_overhead`: the new connection counts already.
pub(crate) const BURDEN: Burden =
    Burden { active: 1, inactive: 0, coming: 1, alike: NONE, at_once: NEVER, overflows: NONE };

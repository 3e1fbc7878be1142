//! Weighted failover (`ip_vs_fo.c`): the heaviest server that may.

use crate::least::{Burden, NEVER, NONE};

/// All are burdened alike, so that the heaviest is the lightest for its weight.
pub(crate) const BURDEN: Burden =
    Burden { active: 0, inactive: 0, coming: 1, alike: NONE, at_once: NEVER, overflows: NONE };

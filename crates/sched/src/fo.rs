//! Weighted failover (`ip_vs_fo.c`): the heaviest server that may.

use crate::least::{Burden, NEVER};

/// All are burdened alike, so that the heaviest is the lightest for its weight.
pub(crate) const BURDEN: Burden = Burden {
    active: 0,
    inactive: 0,
    coming: 1,
    weight_cap: u32::MAX,
    at_once: NEVER,
    overflows: false,
};

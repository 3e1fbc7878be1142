//! Least connections (`ip_vs_lc.c`): the least overhead, whatever the weights, 0 excepted.

use crate::least::{Burden, NEVER};

/// `ip_vs_dest_conn_overhead`: (activeconns << 8) + totalconns.
pub(crate) const BURDEN: Burden =
    Burden { active: 257, inactive: 1, coming: 0, weight_cap: 1, at_once: NEVER, overflows: false };

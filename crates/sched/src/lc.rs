//! Least connections (`ip_vs_lc.c`): the least overhead, whatever the weights, 0 excepted.

use crate::least::{ALL, Burden, NEVER, NONE};

/// `ip_vs_dest_conn_overhead`: (activeconns << 8) + totalconns.
pub(crate) const BURDEN: Burden =
    Burden { active: 257, inactive: 1, coming: 0, alike: ALL, at_once: NEVER, overflows: NONE };

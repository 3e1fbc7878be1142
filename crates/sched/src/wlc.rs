//! Weighted least connections (`ip_vs_wlc.c`): the least overhead for its weight.

use crate::least::{Burden, NEVER, NONE};

/// `ip_vs_dest_conn_overhead`: (activeconns << 8) + totalconns.
pub(crate) const BURDEN: Burden =
    Burden { active: 257, inactive: 1, coming: 0, alike: NONE, at_once: NEVER, overflows: NONE };

//! Never queue (`ip_vs_nq.c`): a server without active connections at once, else as sed.

use crate::least::{Burden, NONE};

/// `ip_vs_nq_dest_overhead`: the new connection counts already.
pub(crate) const BURDEN: Burden =
    Burden { active: 1, inactive: 0, coming: 1, alike: NONE, at_once: 0, overflows: NONE };

//! Never queue (`ip_vs_nq.c`): a server without active connections at once, else as sed.

use crate::least::Burden;

/// `ip_vs_nq_dest_overhead`: the new connection counts already.
pub(crate) const BURDEN: Burden = Burden {
    active: 1,
    inactive: 0,
    coming: 1,
    weight_cap: u32::MAX,
    at_once: 0,
    overflows: false,
};

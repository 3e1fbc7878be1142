//! Weighted least connections (`ip_vs_wlc.c`): the least overhead for its weight.

use crate::{Search, Server};

#[inline(always)]
pub(crate) fn visit<S: Server>(search: &mut Search, server: &S) -> bool {
    let load = server.load();
    // ip_vs_dest_conn_overhead: (activeconns << 8) + totalconns.
    let overhead = i64::from(load.active) * 257 + i64::from(load.inactive);
    search.lighter(server, overhead, i64::from(server.weight()));
    true
}

//! Least connections (`ip_vs_lc.c`): the least overhead, whatever the weights, 0 excepted.

use crate::{Search, Server};

#[inline(always)]
pub(crate) fn visit<S: Server>(search: &mut Search, server: &S) -> bool {
    let load = server.load();
    // ip_vs_dest_conn_overhead: (activeconns << 8) + totalconns.
    let overhead = i64::from(load.active) * 257 + i64::from(load.inactive);
    search.lighter(server, overhead, 1);
    true
}

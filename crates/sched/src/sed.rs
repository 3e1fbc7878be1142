//! Shortest expected delay (`ip_vs_sed.c`): the least (active + 1) for its weight.

use crate::{Search, Server};

#[inline(always)]
pub(crate) fn visit<S: Server>(search: &mut Search, server: &S) -> bool {
    // ip_vs_sed_dest_overhead: the new connection counts already.
    let overhead = i64::from(server.load().active) + 1;
    search.lighter(server, overhead, i64::from(server.weight()));
    true
}

//! Never queue (`ip_vs_nq.c`): a server without active connections at once, else as sed.

use crate::{Search, Server};

#[inline(always)]
pub(crate) fn visit<S: Server>(search: &mut Search, server: &S) -> bool {
    let active = server.load().active;
    if active == 0 {
        search.found = true;
        search.id = server.id();
        return false;
    }
    // ip_vs_nq_dest_overhead: the new connection counts already.
    search.lighter(server, i64::from(active) + 1, i64::from(server.weight()));
    true
}

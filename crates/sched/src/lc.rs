//! Least connections (`ip_vs_lc.c`): the least overhead, whatever the weights, 0 excepted.

use crate::{Destinations, Server, Visit};

struct Least {
    found: bool,
    id: u32,
    overhead: u64,
}

impl Visit for Least {
    #[inline(always)]
    fn visit<S: Server>(&mut self, _position: u32, server: &S) -> bool {
        if server.weight() == 0 {
            return true;
        }
        let load = server.load();
        // ip_vs_dest_conn_overhead: (activeconns << 8) + totalconns.
        let overhead = u64::from(load.active) * 257 + u64::from(load.inactive);
        if !self.found || overhead < self.overhead {
            *self = Self { found: true, id: server.id(), overhead };
        }
        true
    }
}

#[inline(always)]
pub(crate) fn pick<D: Destinations>(list: &D) -> Option<u32> {
    let least = list.scan(0, Least { found: false, id: 0, overhead: 0 });
    least.found.then_some(least.id)
}

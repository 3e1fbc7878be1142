//! Weighted least connections (`ip_vs_wlc.c`): the least overhead for its weight.

use crate::{Destinations, Load, Server, Visit};

struct Least {
    found: bool,
    id: u32,
    overhead: i64,
    weight: i64,
}

const fn overhead(load: Load) -> i64 {
    // ip_vs_dest_conn_overhead: (activeconns << 8) + totalconns.
    (load.active as i64) * 257 + load.inactive as i64
}

impl Visit for Least {
    #[inline(always)]
    fn visit<S: Server>(&mut self, _position: u32, server: &S) -> bool {
        let weight = i64::from(server.weight());
        if weight == 0 {
            return true;
        }
        let overhead = overhead(server.load());
        // Products wrap as the kernel's do.
        let better = self.overhead.wrapping_mul(weight) > overhead.wrapping_mul(self.weight);
        if !self.found || better {
            *self = Self { found: true, id: server.id(), overhead, weight };
        }
        true
    }
}

#[inline(always)]
pub(crate) fn pick<D: Destinations>(list: &D) -> Option<u32> {
    let least = list.scan(0, Least { found: false, id: 0, overhead: 0, weight: 0 });
    least.found.then_some(least.id)
}

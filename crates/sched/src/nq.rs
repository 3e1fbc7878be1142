//! Never queue (`ip_vs_nq.c`): a server without active connections at once, else as sed.

use crate::{Destinations, Load, Server, Visit};

struct Least {
    found: bool,
    id: u32,
    overhead: i64,
    weight: i64,
}

const fn overhead(load: Load) -> i64 {
    // ip_vs_nq_dest_overhead: the new connection counts already.
    load.active as i64 + 1
}

impl Visit for Least {
    #[inline(always)]
    fn visit<S: Server>(&mut self, _position: u32, server: &S) -> bool {
        let weight = i64::from(server.weight());
        if weight == 0 {
            return true;
        }
        let load = server.load();
        let overhead = overhead(load);
        if load.active == 0 {
            *self = Self { found: true, id: server.id(), overhead, weight };
            return false;
        }
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

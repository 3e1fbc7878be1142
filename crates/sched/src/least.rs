//! The schedulers that look for the least burden: one walk, with numbers for what differs, because
//! the kernel's verifier walks every branch and a processor mispredicts some.

use crate::{NOBODY, Scheduler, Server, Visit, fo, lc, nq, ovf, sed, wlc};

/// What a server's burden is made of, and how its weight counts.
#[derive(Clone, Copy)]
pub(crate) struct Burden {
    /// For each active connection.
    pub(crate) active: u32,
    /// For each other connection.
    pub(crate) inactive: u32,
    /// For the connection to come.
    pub(crate) coming: u32,
    /// [`ALL`]: every weight counts as 1, if it is not 0.
    pub(crate) alike: i64,
    /// A server with so many active connections is taken at once.
    pub(crate) at_once: u32,
    /// [`ALL`]: a server with more active connections than its weight gets none.
    pub(crate) overflows: i64,
}

/// Of a mask.
pub(crate) const ALL: i64 = -1;
/// Of a mask.
pub(crate) const NONE: i64 = 0;
/// No server has so many connections.
pub(crate) const NEVER: u32 = u32::MAX;

/// By the scheduler's number; rr and wrr weigh none and never look here.
pub(crate) static BURDENS: [Burden; 8] = {
    let none = lc::BURDEN;
    [none, none, lc::BURDEN, wlc::BURDEN, sed::BURDEN, nq::BURDEN, fo::BURDEN, ovf::BURDEN]
};
const _: () = assert!(Scheduler::Lc as u32 == 2 && Scheduler::Ovf as u32 == 7);

/// [`Least`] on a list of at most [`FEW`](crate::FEW): a loop that goes on otherwise, for more,
/// would need a stack for both.
pub(crate) struct LeastOfFew(pub(crate) Least);

impl Visit for LeastOfFew {
    const WHOLE: bool = true;
    const FEW: bool = true;

    #[inline(always)]
    fn visit<S: Server>(&mut self, position: u32, server: &S) -> bool {
        self.0.visit(position, server)
    }
}

/// A walk over the whole list.
pub(crate) struct Least {
    /// Where it lies: the kernel's stack has little room.
    burden: &'static Burden,
    /// The lightest so far.
    pub(crate) id: u32,
    overhead: i64,
    /// Its weight; 0: there is none.
    weight: i64,
}

impl Least {
    #[inline(always)]
    pub(crate) const fn new(burden: &'static Burden) -> Self {
        // Of no weight, so that every server that has one is lighter.
        Self { burden, id: NOBODY, overhead: 1, weight: 0 }
    }
}

impl Visit for Least {
    const WHOLE: bool = true;

    /// `loh * w(d) > doh * w(least)` of the kernel, whose products wrap alike. A server of weight 0
    /// never is lighter, and who may not have the connection counts as one.
    #[inline(always)]
    fn visit<S: Server>(&mut self, _position: u32, server: &S) -> bool {
        let b = self.burden;
        let Some((load, weight)) = server.load_and_weight() else { return false };
        // By masks: each branch doubles the ways that the verifier walks.
        let weight = i64::from(weight);
        let over = (weight - i64::from(load.active)) >> 63 & b.overflows;
        let weight = weight & !over;
        let any = (-weight >> 63) & 1;
        let weight = weight & !b.alike | any & b.alike;
        let overhead = i64::from(load.active)
            .wrapping_mul(i64::from(b.active))
            .wrapping_add(i64::from(load.inactive).wrapping_mul(i64::from(b.inactive)))
            .wrapping_add(i64::from(b.coming));
        let at_once = b.at_once != NEVER && i64::from(load.active ^ b.at_once) < any;
        if at_once || self.overhead.wrapping_mul(weight) > overhead.wrapping_mul(self.weight) {
            self.id = server.id();
            self.overhead = overhead;
            self.weight = weight;
        }
        !at_once
    }
}

//! The schedulers on the tables: which destination gets a new connection.

use xlvs_sched::{Destinations, Load, Scheduler, Server, Visit, Weights};

use crate::{
    Tables, VisitOrder,
    tables::{Order, Plan},
};

/// Asks the scheduler of a service: the slot of a destination, or [`NO_SERVER`].
#[inline(always)]
pub fn choose<T: Tables>(t: &T, plan: u32, scheduler: u32) -> u64 {
    let Some(plan) = t.plan(plan) else { return NO_SERVER };
    let Some(scheduler) = Scheduler::from_number(scheduler) else { return NO_SERVER };
    let list = List { t, plan };
    // Two ways that share nothing: what remembers its place in the list asks again where another
    // CPU was faster, and the verifier walks all of that as often.
    if matches!(scheduler, Scheduler::Rr | Scheduler::Wrr) {
        in_turn(scheduler, &list)
    } else {
        match xlvs_sched::pick(scheduler, &list, 0) {
            Some(choice) => u64::from(choice.id),
            None => NO_SERVER,
        }
    }
}

/// Remembers the place. A lost race is another CPU's choice, so the next is tried.
#[inline(always)]
fn in_turn<T: Tables>(scheduler: Scheduler, list: &List<'_, T>) -> u64 {
    let mut slot = NO_SERVER;
    // Hidden from the optimiser, which would unroll the loop over every scheduler's walk.
    for _ in 0..core::hint::black_box(CHOICES) {
        let state = list.plan.state.get();
        let Some(choice) = xlvs_sched::pick(scheduler, list, state) else { return NO_SERVER };
        slot = u64::from(choice.id);
        if choice.state == state || list.plan.state.replace(state, choice.state) {
            break;
        }
    }
    slot
}

/// A plan as the schedulers see it.
struct List<'a, T> {
    t: &'a T,
    plan: &'a Plan,
}

struct Candidate<'a, T> {
    t: &'a T,
    order: &'a Order,
}

impl<T: Tables> Server for Candidate<'_, T> {
    #[inline(always)]
    fn id(&self) -> u32 {
        self.order.slot
    }
    #[inline(always)]
    fn weight(&self) -> u32 {
        self.order.weight
    }
    #[inline(always)]
    fn overloaded(&self) -> bool {
        false
    }
    #[inline(always)]
    fn load(&self) -> Load {
        match self.t.live(self.order.slot) {
            Some(l) => Load { active: l.active.get(), inactive: l.inactive.get() },
            None => Load::default(),
        }
    }
}

/// A scheduler's visitor on the orders of a plan.
struct OnOrders<'a, T, V> {
    t: &'a T,
    visitor: V,
}

impl<T: Tables, V: Visit> VisitOrder for OnOrders<'_, T, V> {
    const WHOLE: bool = V::WHOLE;

    #[inline(always)]
    fn visit(&mut self, position: u32, order: &Order) -> bool {
        self.visitor.visit(position, &Candidate { t: self.t, order })
    }
}

impl<T: Tables> Destinations for List<'_, T> {
    #[inline(always)]
    fn count(&self) -> u32 {
        self.plan.count
    }
    #[inline(always)]
    fn scan<V: Visit>(&self, start: u32, visitor: V) -> V {
        let on_orders = OnOrders { t: self.t, visitor };
        self.t.scan(self.plan.first, self.plan.count, start, on_orders).visitor
    }
    #[inline(always)]
    fn weights(&self) -> Weights {
        Weights { divisor: self.plan.divisor, max: self.plan.max_weight }
    }
}

/// Of [`choose`]: no server may have the connection.
pub const NO_SERVER: u64 = u64::MAX;
/// How often a scheduler whose memory another CPU moved is asked. Who loses so often takes its last
/// choice, and two connections in a row have the same server: the verifier walks each try.
const CHOICES: u32 = 2;

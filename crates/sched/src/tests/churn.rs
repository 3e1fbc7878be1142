//! A million operations for each scheduler, against its model: servers are added, deleted and
//! edited, connections open, close and expire, time goes by; each choice must be the model's.

use std::{boxed::Box, vec::Vec};

use super::{
    naive::{Forgetful, Model, Rr, Wrr, twos},
    naive_caches::Caches,
    naive_tables::Tables,
    world::{At, Entries, Rng, SERVERS, World},
};
use crate::{build::Expiry, *};

const OPERATIONS: u32 = 1_000_000;
const HOUR: u64 = 3600 * 1_000_000_000;
const EXPIRES: u64 = 24 * HOUR;

struct Churn {
    world: World,
    flags: u32,
    cache: Entries,
    expiry: Expiry,
    model: Box<dyn Model>,
    rng: Rng,
    /// twos: by place in the list, how often it was chosen less how often it was to be expected,
    /// and the variance of that.
    surprise: [(f64, f64); SERVERS as usize],
}

impl Churn {
    fn new(scheduler: Scheduler, flags: u32, seed: u64) -> Self {
        let model: Box<dyn Model> = match (scheduler, scheduler.kind()) {
            (Scheduler::Rr, _) => Box::new(Rr::default()),
            (Scheduler::Wrr, _) => Box::new(Wrr::default()),
            (_, Kind::Walk | Kind::Random) => Box::new(Forgetful),
            (_, Kind::Table | Kind::Bounded) => Box::new(Tables::new(flags)),
            (_, Kind::Cache) => Box::new(Caches::new(EXPIRES, MAX_ENTRIES as usize)),
        };
        Self {
            world: World::new(scheduler),
            flags,
            cache: Entries::default(),
            expiry: Expiry::default(),
            model,
            rng: Rng(seed),
            surprise: [(0.0, 0.0); SERVERS as usize],
        }
    }

    fn choose(&mut self, client: u32, port: u16, to: u32) -> u32 {
        let (world, flags) = (&self.world, self.flags);
        let scheduler = world.scheduler;
        let key = table_key(scheduler, flags, client, port, to);
        match scheduler.kind() {
            Kind::Walk => {
                let choice = walk(scheduler, world, world.state);
                self.world.state = choice.state;
                choice.id
            }
            Kind::Random => crate::twos(world, self.rng.next()),
            Kind::Table => find(scheduler, flags, world, key),
            Kind::Cache => cached(scheduler, world, &At(&self.cache, to), world.now, EXPIRES),
            Kind::Bounded => bounded(world, world, key),
        }
    }

    fn connect(&mut self) {
        // From few clients to few destinations: caches are hit and servers have their fill.
        let client = 0x0a01_0000 + self.rng.below(500);
        let port = 1024 + self.rng.below(5000) as u16;
        let to = 0x0a03_0000 + self.rng.below(200);
        let id = self.choose(client, port, to);
        let chosen = (id != NOBODY).then_some(id);
        if self.world.scheduler == Scheduler::Twos {
            self.compare_with_chances(chosen);
        } else {
            let expected = self.model.choose(&self.world, client, port, to);
            let list: Vec<_> = super::naive::listed(&self.world);
            assert_eq!(chosen, expected, "{:?} on {list:#?}", self.world.scheduler);
        }
        if let Some(id) = chosen {
            let active = !self.rng.one_in(4);
            self.world.connect(id, active);
        }
    }

    fn compare_with_chances(&mut self, chosen: Option<u32>) {
        let chances = twos(&self.world);
        assert_eq!(chosen.is_none(), chances.is_empty());
        for (place, (id, chance)) in chances.into_iter().enumerate() {
            let (surplus, variance) = &mut self.surprise[place];
            *surplus += f64::from(u8::from(chosen == Some(id))) - chance;
            *variance += chance * (1.0 - chance);
        }
    }

    fn change(&mut self) {
        let before = self.world.list.clone();
        let change = self.world.change(&mut self.rng);
        self.model.changed(&self.world, change, &before);
    }

    fn tick(&mut self) {
        self.world.now += u64::from(self.rng.below(2 * 3600)) * 1_000_000_000;
        self.model.tick(&self.world);
        let mut entries: Vec<(u32, u64)> =
            self.cache.borrow().iter().map(|(to, entry)| (*to, entry.used)).collect();
        entries.sort_unstable();
        for at in self.expiry.tick(self.world.now, EXPIRES, &entries) {
            self.cache.borrow_mut().remove(&entries[at].0);
        }
    }

    /// Changes are rare where they make a table, lest making tables is all that a test does.
    fn run(&mut self, operations: u32, changes_in: u32) {
        let crowd = 60 + self.rng.below(200) as usize;
        for _ in 0..operations {
            let full = self.world.open() > crowd;
            if self.rng.one_in(changes_in) {
                self.change();
            } else if self.rng.one_in(200) {
                self.tick();
            } else if self.rng.one_in(if full { 2 } else { 3 }) {
                self.world.close(&mut self.rng);
            } else {
                self.connect();
            }
        }
    }
}

fn churn(scheduler: Scheduler) {
    Churn::new(scheduler, 0, 7 + scheduler as u64).run(OPERATIONS, 20);
}

/// With each set of flags in turn.
fn churn_tables(scheduler: Scheduler) {
    for (seed, flags) in (1..).zip([0, FALLBACK, PORT, FALLBACK | PORT]) {
        Churn::new(scheduler, flags, seed).run(OPERATIONS / 4, 2000);
    }
}

#[test]
fn rr_is_the_kernels() {
    churn(Scheduler::Rr);
}

#[test]
fn wrr_is_the_kernels() {
    churn(Scheduler::Wrr);
}

#[test]
fn lc_is_the_kernels() {
    churn(Scheduler::Lc);
}

#[test]
fn wlc_is_the_kernels() {
    churn(Scheduler::Wlc);
}

#[test]
fn sed_is_the_kernels() {
    churn(Scheduler::Sed);
}

#[test]
fn nq_is_the_kernels() {
    churn(Scheduler::Nq);
}

#[test]
fn fo_is_the_kernels() {
    churn(Scheduler::Fo);
}

#[test]
fn ovf_is_the_kernels() {
    churn(Scheduler::Ovf);
}

/// Each place within five deviations of the kernel's chances.
#[test]
fn twos_has_the_kernels_chances() {
    let mut churn = Churn::new(Scheduler::Twos, 0, 3);
    churn.run(OPERATIONS, 20);
    for (place, (surplus, variance)) in churn.surprise.iter().enumerate() {
        assert!(surplus.abs() < 5.0 * variance.sqrt(), "{place}: {surplus} of {variance}");
    }
}

#[test]
fn dh_is_the_kernels() {
    churn_tables(Scheduler::Dh);
}

#[test]
fn sh_is_the_kernels() {
    churn_tables(Scheduler::Sh);
}

#[test]
fn mh_is_the_kernels() {
    churn_tables(Scheduler::Mh);
}

#[test]
fn chbl_keeps_its_bound() {
    churn_tables(Scheduler::Chbl);
}

#[test]
fn lblc_is_the_kernels() {
    churn(Scheduler::Lblc);
}

#[test]
fn lblcr_is_the_kernels() {
    churn(Scheduler::Lblcr);
}

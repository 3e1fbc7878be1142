//! Models of the walking schedulers: the kernel's loops written down once more, over ids.

use std::vec::Vec;

use super::world::{Change, Dest, World};
use crate::Scheduler;

/// What a scheduler chooses, said the simplest way.
pub(super) trait Model {
    /// The list changed; it was `before`.
    fn changed(&mut self, _world: &World, _change: Change, _before: &[u32]) {}
    /// The server of a new connection.
    fn choose(&mut self, world: &World, client: u32, port: u16, to: u32) -> Option<u32>;
    /// Time for upkeep.
    fn tick(&mut self, _world: &World) {}
}

/// The servers of the list in order.
pub(super) fn listed(world: &World) -> Vec<&Dest> {
    world.list.iter().map(|&id| &world.servers[id as usize]).collect()
}

pub(super) fn available(server: &Dest) -> bool {
    !server.overloaded && server.weight > 0
}

pub(super) fn overhead(server: &Dest) -> i128 {
    let total = i128::from(server.active) + i128::from(server.inactive);
    (i128::from(server.active) << 8) + total
}

/// The first of the least `cost` for its weight.
fn least(world: &World, cost: impl Fn(&Dest) -> i128, weighted: bool) -> Option<u32> {
    let mut least: Option<&Dest> = None;
    for d in listed(world) {
        if !available(d) {
            continue;
        }
        let weight = |d: &Dest| if weighted { i128::from(d.weight) } else { 1 };
        if least.is_none_or(|l| cost(l) * weight(d) > cost(d) * weight(l)) {
            least = Some(d);
        }
    }
    least.map(|d| d.id)
}

pub(super) fn wlc(world: &World) -> Option<u32> {
    least(world, overhead, true)
}

/// lc, wlc, sed, nq, fo and ovf remember nothing.
pub(super) struct Forgetful;

impl Model for Forgetful {
    fn choose(&mut self, world: &World, _: u32, _: u16, _: u32) -> Option<u32> {
        let delay = |d: &Dest| i128::from(d.active) + 1;
        let list = listed(world);
        let heaviest = |fit: &dyn Fn(&Dest) -> bool| {
            let fits: Vec<&&Dest> = list.iter().filter(|d| available(d) && fit(d)).collect();
            let greatest = fits.iter().map(|d| d.weight).max()?;
            fits.iter().find(|d| d.weight == greatest).map(|d| d.id)
        };
        match world.scheduler {
            Scheduler::Lc => least(world, overhead, false),
            Scheduler::Wlc => wlc(world),
            Scheduler::Sed => least(world, delay, true),
            Scheduler::Nq => {
                let idle = list.iter().find(|d| available(d) && d.active == 0).map(|d| d.id);
                idle.or_else(|| least(world, delay, true))
            }
            Scheduler::Fo => heaviest(&|_| true),
            Scheduler::Ovf => heaviest(&|d| d.active <= d.weight),
            other => panic!("{other:?}"),
        }
    }
}

/// The list node that `ip_vs_rr.c` remembers; None: the head of the list.
#[derive(Default)]
pub(super) struct Rr(Option<u32>);

impl Model for Rr {
    fn changed(&mut self, _: &World, change: Change, before: &[u32]) {
        if let Change::Delete(id) = change
            && self.0 == Some(id)
        {
            let at = before.iter().position(|other| *other == id).unwrap();
            self.0 = at.checked_sub(1).map(|p| before[p]);
        }
    }

    fn choose(&mut self, world: &World, _: u32, _: u16, _: u32) -> Option<u32> {
        let list = listed(world);
        let after = self.0.map_or(0, |id| 1 + list.iter().position(|d| d.id == id).unwrap());
        let chosen = list[after..].iter().chain(&list[..after]).find(|d| available(d))?;
        self.0 = Some(chosen.id);
        self.0
    }
}

/// `ip_vs_wrr.c`, pass by pass.
#[derive(Default)]
pub(super) struct Wrr {
    /// None: the head.
    cl: Option<u32>,
    cw: i64,
    mw: i64,
    di: i64,
}

impl Model for Wrr {
    fn changed(&mut self, world: &World, _: Change, _: &[u32]) {
        let weights = || world.list.iter().map(|&id| i64::from(world.servers[id as usize].weight));
        let greatest = weights().max().unwrap_or(0);
        let divides = |n: &i64| weights().all(|w| w % n == 0);
        self.di = if greatest == 0 { 1 } else { (1..=greatest).rev().find(divides).unwrap() };
        self.mw = if greatest == 0 { 0 } else { greatest - (self.di - 1) };
        self.cl = None;
        if self.cw > self.mw || self.cw == 0 {
            self.cw = self.mw;
        } else if self.di > 1 {
            self.cw = (self.cw / self.di) * self.di + 1;
        }
    }

    fn choose(&mut self, world: &World, _: u32, _: u16, _: u32) -> Option<u32> {
        if self.mw == 0 {
            return None;
        }
        let list = listed(world);
        let (last, mut stop) = (self.cl, None);
        let (mut last_pass, mut restarted) = (false, false);
        let mut next = last.map_or(0, |id| 1 + list.iter().position(|d| d.id == id).unwrap());
        loop {
            while next < list.len() {
                let d = list[next];
                next += 1;
                if !d.overloaded && i64::from(d.weight) >= self.cw {
                    self.cl = Some(d.id);
                    return self.cl;
                }
                if Some(d.id) == stop {
                    self.cl = stop;
                    return None;
                }
            }
            next = 0;
            self.cw -= self.di;
            if self.cw <= 0 {
                self.cw = self.mw;
                if last_pass || last.is_none() {
                    self.cl = None;
                    return None;
                }
                restarted = true;
            }
            last_pass = self.cw <= self.di;
            if last_pass && restarted && last.is_some() {
                stop = last;
            }
        }
    }
}

/// `ip_vs_twos.c` says how likely each server is: the two are drawn one after the other, of all
/// weights and one, by where numbers fall on the list.
pub(super) fn twos(world: &World) -> Vec<(u32, f64)> {
    let list: Vec<&Dest> = listed(world).into_iter().filter(|d| available(d)).collect();
    let total: u32 = list.iter().map(|d| d.weight).sum();
    let chance = |at: usize| f64::from(list[at].weight + u32::from(at == 0)) / f64::from(total + 1);
    let mut chances: Vec<(u32, f64)> = list.iter().map(|d| (d.id, 0.0)).collect();
    for one in 0..list.len() {
        for two in 0..list.len() {
            let (a, b) = (list[one], list[two]);
            let better = i128::from(b.weight) * overhead(a) > i128::from(a.weight) * overhead(b);
            chances[if better { two } else { one }].1 += chance(one) * chance(two);
        }
    }
    chances
}

//! Models of lblc and lblcr: the kernel's table of destinations, buckets and all.

use std::{vec, vec::Vec};

use super::{
    naive::{Model, available, listed, overhead, wlc},
    world::{Dest, World},
};
use crate::{Scheduler, build::ENTRY_IDLE};

/// An entry of the kernel's table.
struct Entry {
    to: u32,
    /// The set, head first; lblc has one.
    set: Vec<u32>,
    last_use: u64,
    last_mod: u64,
}

pub(super) struct Caches {
    expiration: u64,
    max: usize,
    buckets: Vec<Vec<Entry>>,
    counter: u32,
    rover: usize,
}

impl Caches {
    pub(super) fn new(expiration: u64, max: usize) -> Self {
        let buckets = (0..1024).map(|_| vec![]).collect();
        Self { expiration, max, buckets, counter: 1, rover: 0 }
    }

    /// How many destinations are known, and their addresses in order.
    pub(super) fn known(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.buckets.iter().flatten().map(|e| e.to).collect();
        all.sort_unstable();
        all
    }

    pub(super) fn remember(&mut self, to: u32, last_use: u64) {
        self.buckets[bucket(to)].push(Entry { to, set: vec![], last_use, last_mod: 0 });
    }

    /// `ip_vs_lblc_check_expire`.
    pub(super) fn expire(&mut self, now: u64) {
        if self.counter.is_multiple_of(30) {
            let expiration = self.expiration;
            for bucket in &mut self.buckets {
                bucket.retain(|e| now < e.last_use + expiration);
            }
            self.counter = 1;
            return;
        }
        let entries = self.known().len();
        if entries <= self.max {
            self.counter += 1;
            return;
        }
        let mut goal = ((entries - self.max) * 4 / 3).min(self.max / 2) as i64;
        let mut j = self.rover;
        for _ in 0..1024 {
            j = (j + 1) % 1024;
            let before = self.buckets[j].len();
            self.buckets[j].retain(|e| now < e.last_use + ENTRY_IDLE);
            goal -= (before - self.buckets[j].len()) as i64;
            if goal <= 0 {
                break;
            }
        }
        self.rover = j;
    }
}

fn bucket(to: u32) -> usize {
    (to.wrapping_mul(0x61c8_8647) >> 22) as usize
}

fn too_busy(world: &World, d: &Dest) -> bool {
    d.active > d.weight && listed(world).iter().any(|d| d.active * 2 < d.weight)
}

impl Model for Caches {
    fn tick(&mut self, world: &World) {
        self.expire(world.now);
    }

    fn choose(&mut self, world: &World, _: u32, _: u16, to: u32) -> Option<u32> {
        let (now, expiration) = (world.now, self.expiration);
        let server = |id: &u32| &world.servers[*id as usize];
        let bucket = &mut self.buckets[bucket(to)];
        let Some(entry) = bucket.iter_mut().find(|e| e.to == to) else {
            let id = wlc(world)?;
            bucket.push(Entry { to, set: vec![id], last_use: now, last_mod: now });
            return Some(id);
        };
        entry.last_use = now;
        if world.scheduler == Scheduler::Lblc {
            let d = server(&entry.set[0]);
            // The thresholds' overload is not asked about.
            if d.available && d.weight > 0 && !too_busy(world, d) {
                return Some(d.id);
            }
            let id = wlc(world)?;
            entry.set = vec![id];
            return Some(id);
        }
        let mut min: Option<&Dest> = None;
        for d in entry.set.iter().map(server).filter(|d| d.available && available(d)) {
            let lighter =
                |l: &Dest| overhead(l) * i128::from(d.weight) > overhead(d) * i128::from(l.weight);
            if min.is_none_or(lighter) {
                min = Some(d);
            }
        }
        if entry.set.len() > 1 && now > entry.last_mod + expiration {
            let gone = entry.set.iter().rposition(|id| !server(id).available);
            let mut max: Option<&Dest> = None;
            for d in entry.set.iter().map(server).filter(|d| d.weight > 0) {
                let heavier = |m: &Dest| {
                    overhead(m) * i128::from(d.weight) < overhead(d) * i128::from(m.weight)
                };
                if max.is_none_or(heavier) {
                    max = Some(d);
                }
            }
            let heaviest = || entry.set.iter().position(|id| max.is_some_and(|m| m.id == *id));
            let victim = gone.or_else(heaviest);
            if let Some(victim) = victim {
                entry.set.remove(victim);
                entry.last_mod = now;
            }
        }
        if let Some(d) = min.filter(|d| !too_busy(world, d)) {
            return Some(d.id);
        }
        let id = wlc(world)?;
        if !entry.set.contains(&id) {
            entry.set.insert(0, id);
            entry.last_mod = now;
        }
        Some(id)
    }
}

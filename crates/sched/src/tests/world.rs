//! A service with servers that come and go, connections that open, close and expire, and a clock:
//! what both the schedulers and the models of them look at.

use std::{cell::RefCell, collections::HashMap, vec, vec::Vec};

use crate::{
    build::{Member, table},
    *,
};

/// A server, known by its place in [`World::servers`] for ever.
#[derive(Clone, Debug)]
pub(super) struct Dest {
    pub(super) id: u32,
    pub(super) address: u32,
    pub(super) port: u16,
    pub(super) weight: u32,
    pub(super) last_weight: u32,
    pub(super) active: u32,
    pub(super) inactive: u32,
    pub(super) upper: u32,
    pub(super) lower: u32,
    pub(super) overloaded: bool,
    /// In the list; else in the trash, with its counts.
    pub(super) available: bool,
}

impl Server for Dest {
    fn id(&self) -> u32 {
        self.id
    }
    fn weight(&self) -> u32 {
        self.weight
    }
    fn load(&self) -> Load {
        Load { active: self.active, inactive: self.inactive }
    }
    fn overloaded(&self) -> bool {
        self.overloaded
    }
}

/// A small generator: tests are the same each time.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
}

/// What is cached of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cached {
    pub(super) used: u64,
    pub(super) changed: u64,
    pub(super) count: u32,
    pub(super) servers: [u32; SET],
}

pub(super) type Entries = RefCell<HashMap<u32, Cached>>;

/// The cache at one address.
pub(super) struct At<'a>(pub(super) &'a Entries, pub(super) u32);

impl At<'_> {
    fn edit(&self, edit: impl FnOnce(&mut Cached)) {
        edit(self.0.borrow_mut().get_mut(&self.1).unwrap());
    }

    pub(super) fn entry(&self) -> Option<Cached> {
        self.0.borrow().get(&self.1).copied()
    }
}

impl Cache for At<'_> {
    fn count(&self) -> u32 {
        self.entry().map_or(0, |e| e.count)
    }
    fn member(&self, rank: u32) -> u32 {
        // What lies beyond the count is of no account, here a server that there is.
        self.entry().map_or(0, |e| e.servers[rank as usize])
    }
    fn set_member(&self, rank: u32, id: u32) {
        self.edit(|e| e.servers[rank as usize] = id);
    }
    fn changed(&self) -> u64 {
        self.entry().map_or(0, |e| e.changed)
    }
    fn set_count(&self, count: u32, now: u64) {
        self.edit(|e| (e.count, e.changed) = (count, now));
    }
    fn touch(&self, now: u64) {
        self.edit(|e| e.used = now);
    }
    fn insert(&self, id: u32, now: u64) {
        let mut servers = [0; SET];
        servers[0] = id;
        let entry = Cached { used: now, changed: now, count: 1, servers };
        assert_eq!(self.0.borrow_mut().insert(self.1, entry), None, "only where there is none");
    }
}

/// What happens to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add(u32),
    Delete(u32),
    Edit(u32),
}

/// The truth, and what of it the tables would hold for the schedulers.
pub(super) struct World {
    pub(super) scheduler: Scheduler,
    pub(super) servers: Vec<Dest>,
    /// Ids, the one added last first.
    pub(super) list: Vec<u32>,
    /// Each connection: its server, and whether it is active.
    connections: Vec<(u32, bool)>,
    pub(super) now: u64,
    /// The scheduler's memory, as the compiler keeps it.
    pub(super) state: u64,
    pub(super) table: Vec<u16>,
}

impl Destinations for World {
    fn count(&self) -> u32 {
        self.list.len() as u32
    }
    fn scan<V: Visit>(&self, start: u32, mut visitor: V) -> V {
        let (head, tail) = self.list.split_at(start as usize);
        let head = (0..).zip(head);
        for (position, &id) in (start..).zip(tail).chain(head) {
            if !visitor.visit(position, &self.servers[id as usize]) {
                break;
            }
        }
        visitor
    }
    fn weights(&self) -> Weights {
        Weights::of(self.list.iter().map(|&id| self.servers[id as usize].weight))
    }
}

impl Table for World {
    type Server = Dest;
    fn buckets(&self) -> u32 {
        self.table.len() as u32
    }
    fn get(&self, bucket: u32) -> Option<Dest> {
        let id = self.list.get(usize::from(self.table[bucket as usize]))?;
        Some(self.servers[*id as usize].clone())
    }
}

impl World {
    pub(super) fn new(scheduler: Scheduler) -> Self {
        let server = |id: u32| Dest {
            id,
            address: 0x0a02_0001 + id * 7,
            port: 80 + id as u16 % 3,
            weight: 0,
            last_weight: 0,
            active: 0,
            inactive: 0,
            upper: 0,
            lower: 0,
            overloaded: false,
            available: false,
        };
        Self {
            scheduler,
            servers: (0..SERVERS).map(server).collect(),
            list: vec![],
            connections: vec![],
            now: 1,
            state: 0,
            table: vec![],
        }
    }

    /// Adds, deletes or edits a server at random.
    pub(super) fn change(&mut self, rng: &mut Rng) -> Change {
        let before = self.list.clone();
        let id = rng.below(SERVERS);
        let server = &mut self.servers[id as usize];
        let change = if !server.available {
            server.available = true;
            self.list.insert(0, id);
            Change::Add(id)
        } else if rng.one_in(3) {
            server.available = false;
            self.list.retain(|other| *other != id);
            Change::Delete(id)
        } else {
            Change::Edit(id)
        };
        if !matches!(change, Change::Delete(_)) {
            set(server, rng);
        }
        self.compile(&before, change);
        change
    }

    /// What the compiler of the data plane does when a list changes.
    fn compile(&mut self, before: &[u32], change: Change) {
        let edit = matches!(change, Change::Edit(_));
        if !edit || self.scheduler.weights_make_table() {
            let server = |&id: &u32| &self.servers[id as usize];
            let members: Vec<Member> = self.list.iter().map(server).map(member).collect();
            self.table = table(self.scheduler, &members).unwrap();
        }
        match self.scheduler {
            Scheduler::Wrr => self.state = wrr_state_after_change(self.state, self.weights()),
            Scheduler::Rr => {
                let chosen = (self.state as usize).min(before.len());
                let place = |id: &u32| self.list.iter().position(|other| other == id);
                let stays = before[..chosen].iter().rev().find_map(place);
                self.state = rr_state(stays.map(|p| p as u32));
            }
            _ => {}
        }
    }

    pub(super) fn connect(&mut self, id: u32, active: bool) {
        self.connections.push((id, active));
        let server = &mut self.servers[id as usize];
        *(if active { &mut server.active } else { &mut server.inactive }) += 1;
        let total = server.active + server.inactive;
        server.overloaded = overload::after_connect(server.overloaded, total, server.upper);
    }

    /// A connection closes, or expires if it is closed.
    pub(super) fn close(&mut self, rng: &mut Rng) {
        if self.connections.is_empty() {
            return;
        }
        let at = rng.below(self.connections.len() as u32) as usize;
        let (id, active) = self.connections[at];
        let server = &mut self.servers[id as usize];
        if active {
            server.active -= 1;
            server.inactive += 1;
            self.connections[at].1 = false;
            return;
        }
        server.inactive -= 1;
        self.connections.swap_remove(at);
        let total = server.active + server.inactive;
        server.overloaded =
            overload::after_close(server.overloaded, total, server.upper, server.lower);
    }

    pub(super) fn open(&self) -> usize {
        self.connections.len()
    }
}

/// New weight and thresholds.
fn set(server: &mut Dest, rng: &mut Rng) {
    server.weight = match rng.below(8) {
        0 | 1 => 0,
        2 => 1,
        3 => 10 * (1 + rng.below(10)),
        _ => 1 + rng.below(6),
    };
    if server.weight > 0 {
        server.last_weight = server.weight;
    }
    server.upper = if rng.one_in(3) { 1 + rng.below(40) } else { 0 };
    server.lower = if server.upper > 0 && rng.one_in(2) { rng.below(server.upper) } else { 0 };
    let total = server.active + server.inactive;
    server.overloaded = overload::after_edit(server.overloaded, total, server.upper, server.lower);
}

pub(super) fn member(server: &Dest) -> Member {
    let &Dest { address, port, weight, last_weight, .. } = server;
    Member { address, port, weight, last_weight, share: FULL }
}

/// How many servers there are, in the list or not.
pub(super) const SERVERS: u32 = 9;

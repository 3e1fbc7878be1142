//! Slots of destinations. A slot is kept while connections name it and, as the kernel's trash, for
//! two minutes after; a server that comes back meanwhile finds its slot, connections and all.

use std::collections::{BTreeMap, BTreeSet};

use xlvs_datapath::tables::{DEST_AVAILABLE, Dest, ServiceKey};

use super::keys::DestKey;

/// `IP_VS_DEST_TRASH_PERIOD`.
pub(crate) const TRASH_NS: u64 = 120_000_000_000;

/// A destination as it was written last.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) dest: Dest,
    /// Removed, and seen without connections since then.
    pub(crate) idle_since: Option<u64>,
}

/// Who has which slot.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    used: BTreeMap<u32, Slot>,
    /// In order of services.
    by_key: BTreeMap<DestKey, u32>,
    /// Slots below `next` that nobody has.
    free: BTreeSet<u32>,
    next: u32,
    size: u32,
}

impl Slots {
    pub(crate) fn new(size: u32) -> Self {
        let (used, by_key) = (BTreeMap::new(), BTreeMap::new());
        Self { used, by_key, free: BTreeSet::new(), next: 0, size }
    }

    /// From the tables: a destination says itself whose it is.
    pub(crate) fn adopt(size: u32, dests: Vec<(u32, Dest)>) -> Self {
        let mut slots = Self::new(size);
        slots.next = dests.iter().map(|&(slot, _)| slot + 1).max().unwrap_or(0);
        for (slot, dest) in dests {
            slots.by_key.insert(DestKey::of(&dest), slot);
            slots.used.insert(slot, Slot { dest, idle_since: None });
        }
        slots.free = (0..slots.next).filter(|slot| !slots.used.contains_key(slot)).collect();
        slots
    }

    pub(crate) fn find(&self, key: &DestKey) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Slot> {
        self.used.get(&slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.used.iter().map(|(&slot, entry)| (slot, entry))
    }

    /// The destinations of a service, removed ones included.
    pub(crate) fn of_service(&self, service: ServiceKey) -> impl Iterator<Item = (u32, DestKey)> {
        let first = DestKey { service, addr: 0, port: 0 };
        let last = DestKey { service, addr: u32::MAX, port: u16::MAX };
        self.by_key.range(first..=last).map(|(key, &slot)| (slot, *key))
    }

    /// A slot for a destination that has none; None: the table is full.
    pub(crate) fn add(&mut self, dest: Dest) -> Option<u32> {
        let slot = match self.free.pop_first() {
            Some(slot) => slot,
            None if self.next < self.size => {
                self.next += 1;
                self.next - 1
            }
            None => return None,
        };
        self.by_key.insert(DestKey::of(&dest), slot);
        self.used.insert(slot, Slot { dest, idle_since: None });
        Some(slot)
    }

    /// Notes what is written now; true if that is a change.
    pub(crate) fn set(&mut self, slot: u32, dest: Dest) -> bool {
        let Some(entry) = self.used.get_mut(&slot) else { return false };
        let changed = entry.dest != dest;
        entry.dest = dest;
        if dest.flags & DEST_AVAILABLE != 0 {
            entry.idle_since = None;
        }
        changed
    }

    /// Removed destinations whose time is up, given whether a slot has connections: they are free
    /// now.
    pub(crate) fn reap<E>(
        &mut self,
        now: u64,
        mut has_connections: impl FnMut(u32) -> Result<bool, E>,
    ) -> Result<Vec<u32>, E> {
        let mut gone = Vec::new();
        for (&slot, entry) in &mut self.used {
            if entry.dest.flags & DEST_AVAILABLE != 0 {
                continue;
            }
            if has_connections(slot)? {
                entry.idle_since = None;
            } else if now.saturating_sub(*entry.idle_since.get_or_insert(now)) >= TRASH_NS {
                gone.push(slot);
            }
        }
        for slot in &gone {
            if let Some(entry) = self.used.remove(slot) {
                self.by_key.remove(&DestKey::of(&entry.dest));
                self.free.insert(*slot);
            }
        }
        Ok(gone)
    }
}

//! Slots of destinations. A slot is kept while connections name it and, as the kernel's trash, for
//! two minutes after; a server that comes back meanwhile finds its slot, connections and all.

use xlvs_datapath::tables::{DEST_AVAILABLE, DEST_RESET, Dest, ServiceKey};

use super::{keys::DestKey, undo::Undo};

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
    used: Undo<u32, Slot>,
    /// In order of services.
    by_key: Undo<DestKey, u32>,
    /// By the server's address.
    by_addr: Undo<(u32, u32), ()>,
    /// Those in use that no list names.
    removed: Undo<u32, ()>,
    /// Those whose clients are reset.
    resetting: Undo<u32, ()>,
    /// Slots below `next` that nobody has.
    free: Undo<u32, ()>,
    next: u32,
    /// `next` as it was before the change under way.
    before: u32,
    size: u32,
}

impl Slots {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            used: Undo::default(),
            by_key: Undo::default(),
            by_addr: Undo::default(),
            removed: Undo::default(),
            resetting: Undo::default(),
            free: Undo::default(),
            next: 0,
            before: 0,
            size,
        }
    }

    /// From the tables: a destination says itself whose it is.
    pub(crate) fn adopt(size: u32, dests: Vec<(u32, Dest)>) -> Self {
        let mut slots = Self::new(size);
        slots.next = dests.iter().map(|&(slot, _)| slot + 1).max().unwrap_or(0);
        for (slot, dest) in dests {
            slots.put(slot, dest);
        }
        let free = (0..slots.next).filter(|slot| !slots.used.contains_key(slot));
        slots.free = free.map(|slot| (slot, ())).collect();
        slots
    }

    /// From here on changes can be taken back.
    pub(crate) fn begin(&mut self) {
        self.used.begin();
        self.by_key.begin();
        self.by_addr.begin();
        self.removed.begin();
        self.resetting.begin();
        self.free.begin();
        self.before = self.next;
    }

    /// They will not be.
    pub(crate) fn commit(&mut self) {
        self.used.commit();
        self.by_key.commit();
        self.by_addr.commit();
        self.removed.commit();
        self.resetting.commit();
        self.free.commit();
    }

    /// Takes them back.
    pub(crate) fn roll_back(&mut self) {
        self.used.roll_back();
        self.by_key.roll_back();
        self.by_addr.roll_back();
        self.removed.roll_back();
        self.resetting.roll_back();
        self.free.roll_back();
        self.next = self.before;
    }

    fn put(&mut self, slot: u32, dest: Dest) {
        self.by_key.insert(DestKey::of(&dest), slot);
        self.by_addr.insert((dest.addr, slot), ());
        self.sort(slot, &dest);
        self.used.insert(slot, Slot { dest, idle_since: None });
    }

    pub(crate) fn find(&self, key: &DestKey) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// Some server that no list names, or whose clients are reset, may have connections.
    pub(crate) fn has_late(&self) -> bool {
        !self.removed.is_empty() || !self.resetting.is_empty()
    }

    /// Those whose clients are reset.
    pub(crate) fn resetting(&self) -> impl Iterator<Item = u32> {
        self.resetting.keys().copied()
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Slot> {
        self.used.get(&slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.used.iter().map(|(&slot, entry)| (slot, entry))
    }

    /// The slots of an address (wire order), of whatever services.
    pub(crate) fn of_address(&self, addr: u32) -> impl Iterator<Item = u32> {
        self.by_addr.range((addr, 0)..=(addr, u32::MAX)).map(|(&(_, slot), ())| slot)
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
            Some((slot, ())) => slot,
            None if self.next < self.size => {
                self.next += 1;
                self.next - 1
            }
            None => return None,
        };
        self.put(slot, dest);
        Some(slot)
    }

    /// Notes what is written now; true if that is a change. The destination stays whose it is.
    pub(crate) fn set(&mut self, slot: u32, dest: Dest) -> bool {
        let Some(entry) = self.used.get(&slot) else { return false };
        let available = dest.flags & DEST_AVAILABLE != 0;
        if entry.dest == dest && !(available && entry.idle_since.is_some()) {
            return false;
        }
        let changed = entry.dest != dest;
        let idle_since = entry.idle_since.filter(|_| !available);
        self.used.insert(slot, Slot { dest, idle_since });
        self.sort(slot, &dest);
        changed
    }

    /// Among those that want looking after, or not.
    fn sort(&mut self, slot: u32, dest: &Dest) {
        for (set, is_in) in [
            (&mut self.removed, dest.flags & DEST_AVAILABLE == 0),
            (&mut self.resetting, dest.flags & DEST_RESET != 0),
        ] {
            if is_in {
                set.insert(slot, ());
            } else {
                set.remove(&slot);
            }
        }
    }

    /// Removed destinations whose time is up, given whether a slot has connections: they are free
    /// now.
    pub(crate) fn reap<E>(
        &mut self,
        now: u64,
        mut has_connections: impl FnMut(u32) -> Result<bool, E>,
    ) -> Result<Vec<(u32, Dest)>, E> {
        let removed: Vec<u32> = self.removed.keys().copied().collect();
        let busy: Vec<bool> =
            removed.iter().map(|slot| has_connections(*slot)).collect::<Result<_, E>>()?;
        let mut gone = Vec::new();
        for (slot, busy) in removed.into_iter().zip(busy) {
            let Some(entry) = self.used.get_mut(&slot) else { continue };
            if busy {
                entry.idle_since = None;
            } else if now.saturating_sub(*entry.idle_since.get_or_insert(now)) >= TRASH_NS {
                gone.push((slot, entry.dest));
            }
        }
        for (slot, dest) in &gone {
            self.used.remove(slot);
            self.by_key.remove(&DestKey::of(dest));
            self.by_addr.remove(&(dest.addr, *slot));
            self.removed.remove(slot);
            self.resetting.remove(slot);
            self.free.insert(*slot, ());
        }
        Ok(gone)
    }
}

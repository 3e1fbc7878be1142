//! The servers of a service: a destination for each, with its method, its thresholds and its share.

use xlvs_datapath::tables::{
    DEST_AVAILABLE, DEST_LEAVING, DEST_QUIESCED, DEST_RESET, Dest, SERVICE_PERSISTENT, ServiceKey,
};
use xlvs_model::{Server, ServerKey};

use super::{Compiler, DestKey, NO_THRESHOLDS, Wanted, Write, keys, leave, slow::Listed};
use crate::Error;

/// A list to be, and whether a server of it was edited (which wrr notices even if no weight
/// changed).
pub(super) struct List {
    pub(super) listed: Vec<Listed>,
    pub(super) edited: bool,
}

impl Compiler {
    /// Destinations for the servers of a service, new, changed or as they were.
    pub(super) fn list(
        &mut self,
        key: ServiceKey,
        wanted: &Wanted<'_>,
        now: u64,
        writes: &mut Vec<Write>,
    ) -> Result<List, Error> {
        let Wanted { slow_start_s, servers, service, resets, .. } = *wanted;
        let keeps_clients = service.has(SERVICE_PERSISTENT);
        let served = self.served(key, slow_start_s);
        let edited = self.edited.contains(&key);
        let mut list = List { listed: Vec::with_capacity(servers.len()), edited };
        for server in servers.iter().filter(|server| leave::forwarded_to(server).is_ok()) {
            let Some(dest_key) = DestKey::new(key, &server.key) else { continue };
            let slot = if let Some(slot) = self.slots.find(&dest_key) {
                let known = self.slots.get(slot).map_or(0, |entry| entry.dest.flags);
                if known & DEST_AVAILABLE == 0 {
                    // Back from the trash it has no past: `add ||` in `__ip_vs_update_dest`.
                    self.last_weights.remove(&slot);
                }
                list.edited |= self.edit(slot, server, resets.contains(&server.key), writes);
                slot
            } else {
                let dest = self.with_hop(keys::dest(&dest_key, server, keeps_clients));
                let full = Error::Full { table: "servers", room: self.sizes.dests };
                let slot = self.slots.add(dest).ok_or(full)?;
                self.last_weights.remove(&slot);
                writes.push(Write::Dest(slot, dest));
                slot
            };
            list.edited |= self.limit(slot, (server.upper, server.lower), writes);
            if server.weight != 0 {
                self.last_weights.insert(slot, server.weight);
            }
            let (weight, limited) = (server.weight, server.upper != 0);
            let share = self.ramp(slot, weight, slow_start_s, &served, now);
            list.listed.push(Listed { slot, weight, limited, share });
        }
        Ok(list)
    }

    /// Method and presence of a destination that has a slot. One that is back stops resetting
    /// before a list names it.
    fn edit(&mut self, slot: u32, server: &Server, resets: bool, writes: &mut Vec<Write>) -> bool {
        let Some(entry) = self.slots.get(slot) else { return false };
        let old = entry.dest;
        let shunned = DEST_QUIESCED | DEST_LEAVING;
        let gone = if resets { shunned } else { shunned | DEST_RESET };
        let new = Dest {
            method: keys::method_number(server.method),
            flags: old.flags & !gone | DEST_AVAILABLE | keys::quiesced(server),
            ..old
        };
        if self.slots.set(slot, new) {
            writes.push(Write::Dest(slot, new));
        }
        old.method != new.method
    }

    /// Whose clients are reset, among the servers of a service that its list names or named.
    pub(super) fn settle_resets(
        &mut self,
        key: ServiceKey,
        resets: &[ServerKey],
        writes: &mut Vec<Write>,
    ) {
        if resets.is_empty() && self.slots.resetting().next().is_none() {
            return;
        }
        let slots: Vec<(u32, ServerKey)> = self.slots_of(key).collect();
        for (slot, server) in slots {
            let Some(old) = self.slots.get(slot).map(|entry| entry.dest) else { continue };
            let flag = if resets.contains(&server) { DEST_RESET } else { 0 };
            let dest = Dest { flags: old.flags & !DEST_RESET | flag, ..old };
            if self.slots.set(slot, dest) {
                writes.push(Write::Dest(slot, dest));
            }
        }
    }

    /// Thresholds of a server; true if they are others than before.
    pub(super) fn limit(&mut self, slot: u32, wanted: (u32, u32), writes: &mut Vec<Write>) -> bool {
        let known = self.thresholds.get(&slot).copied().unwrap_or(NO_THRESHOLDS);
        if known == wanted {
            return false;
        }
        if wanted == NO_THRESHOLDS {
            self.thresholds.remove(&slot);
        } else {
            self.thresholds.insert(slot, wanted);
        }
        writes.push(Write::Thresholds(slot, wanted.0, wanted.1));
        true
    }
}

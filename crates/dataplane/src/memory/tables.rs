//! The tables as the way of a packet sees them.

use std::sync::Arc;

use xlvs_datapath::{
    Cell64, Insert, Reason, Round, Route, Tables, VisitOrder,
    mark::VisitMark,
    policy::{AccessKey, Client, ClientKey, ServicePolicy, network_mask},
    sip::Search,
    tables::{
        CacheEntry, CacheKey, Conn, ConnKey, Dest, EVENT_NEIGHBOUR, Event, Live, Notes, Order,
        Plan, Port, Service, ServiceKey, Settings, Stats,
    },
};

use super::Memory;

impl Tables for Memory {
    type ConnRef<'a> = Arc<Conn>;
    type CacheRef<'a> = Arc<CacheEntry>;

    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        self.services.get(key).copied()
    }
    fn plan(&self, index: u32) -> Option<&Plan> {
        self.plans.get(index as usize)
    }
    fn dest(&self, slot: u32) -> Option<&Dest> {
        self.dests.get(slot as usize)
    }
    fn live(&self, slot: u32) -> Option<&Live> {
        self.live.get(slot as usize)
    }
    fn stats(&self, slot: u32, change: impl FnOnce(&mut Stats)) {
        if let Some(cell) = self.stats.get(slot as usize) {
            let mut stats = cell.get();
            change(&mut stats);
            cell.set(stats);
        }
    }
    fn port_of(&self, ifindex: u32) -> Option<u32> {
        self.port_of.get(&ifindex).copied()
    }
    fn port(&self, index: u32) -> Option<&Port> {
        self.ports.get(index as usize)
    }
    fn conn(&self, key: &ConnKey) -> Option<Arc<Conn>> {
        self.conns.borrow().get(key).cloned()
    }
    fn conn_insert(&self, key: &ConnKey, conn: &Conn) -> Insert {
        let mut conns = self.conns.borrow_mut();
        if conns.contains_key(key) {
            return Insert::Exists;
        }
        if conns.len() >= self.sizes.conns as usize {
            return Insert::Full;
        }
        conns.insert(*key, Arc::new(conn.clone()));
        Insert::Done
    }
    fn conn_remove(&self, key: &ConnKey) {
        self.conns.borrow_mut().remove(key);
    }
    fn count(&self, reason: Reason) {
        if let Some(counter) = self.reasons.get(reason as usize) {
            counter.add(1);
        }
    }
    fn route(&self, _src: u32, dst: u32, ifindex: u32) -> Route {
        match self.routes.get(&dst).copied().unwrap_or(self.route) {
            Route::NoNeighbour => {
                let wanted = Event { kind: EVENT_NEIGHBOUR, ifindex, addr: dst, reserved: 0 };
                self.events.borrow_mut().push(wanted);
                Route::NoNeighbour
            }
            other => other,
        }
    }
    fn limiter(&self) -> Option<&Cell64> {
        Some(&self.limiter)
    }
    fn scan<V: VisitOrder>(&self, first: u32, count: u32, start: u32, mut visitor: V) -> V {
        for i in 0..count {
            let at = start + i;
            let position = if at >= count { at - count } else { at };
            let Some(order) = self.orders.get((first + position) as usize) else { break };
            if !visitor.visit(position, order) {
                break;
            }
        }
        visitor
    }
    fn order(&self, index: u32) -> Option<&Order> {
        self.orders.get(index as usize)
    }
    fn buckets(&self, word: u32) -> Option<u64> {
        self.buckets.get(word as usize).copied()
    }
    fn repeat<R: Round>(&self, rounds: u32, mut round: R) -> R {
        for number in 0..rounds {
            if !round.round(number) {
                break;
            }
        }
        round
    }
    fn scan_marks<V: VisitMark>(&self, first: u32, count: u32, mut visitor: V) -> V {
        for place in 0..count {
            let Some(rule) = self.marks.get((first + place) as usize) else { break };
            if !visitor.visit(place, rule) {
                break;
            }
        }
        visitor
    }
    fn cache(&self, key: &CacheKey) -> Option<Arc<CacheEntry>> {
        self.caches.borrow().get(key).cloned()
    }
    fn cache_insert(&self, key: &CacheKey, slot: u32, now: u64) {
        let entry = || Arc::new(CacheEntry::new(slot, now));
        self.caches.borrow_mut().entry(*key).or_insert_with(entry);
    }
    fn access(&self, key: &AccessKey) -> u32 {
        // `addr` lies in wire order.
        let addr = u32::from_be(key.addr);
        let mut networks = (0..=32_u8).rev().map(|prefix| {
            let mask = u32::from_be(network_mask(prefix));
            AccessKey::of_network(key.scope, (addr & mask).to_be(), prefix)
        });
        networks.find_map(|network| self.access.get(&network)).copied().unwrap_or(0)
    }
    fn service_policy(&self, index: u32) -> Option<&ServicePolicy> {
        self.policies.get(index as usize)
    }
    fn with_client<V>(&self, key: &ClientKey, look: impl FnOnce(&Client) -> V) -> Option<V> {
        let client = self.clients.borrow().get(key).cloned();
        client.map(|client| look(&client))
    }
    fn client_insert(&self, key: &ClientKey) {
        self.clients.borrow_mut().entry(*key).or_default();
    }
    fn meter(&self, which: u32) -> Option<&Cell64> {
        self.meters.get(which as usize)
    }
    fn notes(&self) -> Option<&Notes> {
        Some(&self.notes)
    }
    fn search(&self) -> Option<&Search> {
        Some(&self.search)
    }
    fn call_insert(&self, key: &ConnKey) {
        self.calls.borrow_mut().insert(*key, self.search.record.clone());
    }
    fn call_remove(&self, key: &ConnKey) {
        self.calls.borrow_mut().remove(key);
    }
    fn random(&self, seed: u64) -> u64 {
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

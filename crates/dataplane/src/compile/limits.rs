//! Lists of clients and limits of services on their way to the tables.

use std::collections::BTreeMap;

use xlvs_datapath::{
    policy::{AccessKey, POLICY_NAT_ICMP, Policy, ServicePolicy},
    tables::{
        DEST_AVAILABLE, METHOD_MASQ, SERVICE_POLICY, SETTING_CAREFUL, Service, ServiceKey, Settings,
    },
};
use xlvs_model::Model;
use xlvs_wire::{PROTO_TCP, PROTO_UDP};

use super::{Write, access, room::Room, slots::Slots, undo::Undo};
use crate::{Error, Home};

/// What is in the tables of it.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    access: Undo<AccessKey, u32>,
    /// Slots of servers by NAT, and one, while packets from them are looked for (`nat_icmp_send`).
    servers: Undo<AccessKey, u32>,
    policies: Undo<ServiceKey, (u32, ServicePolicy)>,
    room: Room,
    /// Pages of memory that are free, as far as somebody looked.
    pub(super) free_pages: i64,
}

impl Limits {
    /// Of tables that may be in force.
    pub(super) fn adopt(home: &impl Home) -> Result<Self, Error> {
        let mut room = Room::new(home.sizes().policies);
        // Place 0 is that of services without a policy.
        room.claim(0, 1);
        let mut policies = Undo::default();
        for (key, service) in home.services()? {
            if key.protocol != 0 && service.policy != 0 && room.claim(service.policy, 1) {
                policies.insert(key, (service.policy, home.service_policy(service.policy)?));
            }
        }
        let elements = home.access()?.into_iter();
        let (servers, access): (Vec<_>, Vec<_>) = elements.partition(|(key, _)| key.is_of_server());
        let (servers, access) = (servers.into_iter().collect(), access.into_iter().collect());
        Ok(Self { access, servers, policies, room, free_pages: i64::MAX })
    }

    /// From here on changes can be taken back.
    pub(super) fn begin(&mut self, now: u64) {
        self.access.begin();
        self.servers.begin();
        self.policies.begin();
        self.room.begin(now);
    }

    /// They will not be.
    pub(super) fn commit(&mut self) {
        self.access.commit();
        self.servers.commit();
        self.policies.commit();
        self.room.commit();
    }

    /// Takes them back.
    pub(super) fn roll_back(&mut self) {
        self.access.roll_back();
        self.servers.roll_back();
        self.policies.roll_back();
        self.room.roll_back();
    }

    /// The lists of clients: networks first, then what a list says of everybody else, so that a
    /// list which lets few in does not keep these out meanwhile.
    pub(super) fn settle_access(&mut self, model: &Model, writes: &mut Vec<Write>) {
        let wanted = access(model);
        let is_new = |(key, verdict): &(&AccessKey, &u32)| self.access.get(key) != Some(*verdict);
        let mut new: Vec<_> = wanted.iter().filter(is_new).map(|(k, v)| (*k, *v)).collect();
        new.sort_by_key(|(key, _)| std::cmp::Reverse(key.prefix_len));
        let is_gone = |key: &&AccessKey| !wanted.contains_key(key);
        let mut gone: Vec<_> = self.access.keys().filter(is_gone).copied().collect();
        gone.sort_by_key(|key| key.prefix_len);
        for (key, verdict) in new {
            self.access.insert(key, verdict);
            writes.push(Write::Access(key, Some(verdict)));
        }
        for key in gone {
            self.access.remove(&key);
            writes.push(Write::Access(key, None));
        }
    }

    /// Where servers by NAT are found by their own address and port; of several at one place any
    /// will do. Nowhere, unless somebody asks.
    pub(super) fn settle_servers(
        &mut self,
        policy: &Policy,
        slots: &Slots,
        writes: &mut Vec<Write>,
    ) {
        let is_asked = policy.has(POLICY_NAT_ICMP);
        if !is_asked && self.servers.is_empty() {
            // A look at each of a hundred thousand slots would be most of what a change costs.
            return;
        }
        let mut wanted = BTreeMap::new();
        for (slot, entry) in slots.iter().filter(|_| is_asked) {
            let dest = &entry.dest;
            if dest.flags & DEST_AVAILABLE == 0 || dest.method != METHOD_MASQ || dest.port == 0 {
                continue;
            }
            // A service of marks balances either.
            let own = [u16::from(dest.protocol)];
            let protocols = if own == [0] { &EITHER[..] } else { &own[..] };
            for protocol in protocols {
                let key = AccessKey::of_server(*protocol, dest.addr, dest.port);
                wanted.entry(key).or_insert(slot + 1);
            }
        }
        let gone = self.servers.keys().filter(|key| !wanted.contains_key(key));
        for key in gone.copied().collect::<Vec<_>>() {
            self.servers.remove(&key);
            writes.push(Write::Access(key, None));
        }
        for (key, element) in wanted {
            if self.servers.get(&key) != Some(&element) {
                self.servers.insert(key, element);
                writes.push(Write::Access(key, Some(element)));
            }
        }
    }

    /// Where a service finds what is set for it, which its element then says.
    pub(super) fn settle_policy(
        &mut self,
        key: ServiceKey,
        wanted: Option<ServicePolicy>,
        service: &mut Service,
        now: u64,
        writes: &mut Vec<Write>,
    ) -> Result<(), Error> {
        let known = self.policies.get(&key).copied();
        let Some(wanted) = wanted else {
            self.forget(key, now);
            return Ok(());
        };
        let index = if let Some((index, _)) = known {
            index
        } else {
            let room = self.room.take(1, now);
            room.ok_or(Error::Full { table: "services with limits", room: POLICIES })?
        };
        service.policy = index;
        service.scheduler |= SERVICE_POLICY;
        if known != Some((index, wanted)) {
            self.policies.insert(key, (index, wanted));
            writes.push(Write::Policy(index, wanted));
        }
        Ok(())
    }

    /// The service is gone, or has none any more.
    pub(super) fn forget(&mut self, key: ServiceKey, now: u64) {
        if let Some((index, _)) = self.policies.remove(&key) {
            self.room.give(index, 1, now);
        }
    }

    /// What is set for a service.
    pub(crate) fn policy(&self, key: ServiceKey) -> Option<&ServicePolicy> {
        self.policies.get(&key).map(|(_, policy)| policy)
    }

    /// Some service counts the connections of its clients.
    pub(crate) fn counts_clients(&self) -> bool {
        self.policies.values().any(|(_, policy)| policy.client_max != 0)
    }

    /// What a list says of a client, by the longest match.
    pub(crate) fn verdict(&self, scope: ServiceKey, addr: u32) -> Option<u32> {
        let addr = u32::from_be(addr);
        (0..=32_u8).rev().find_map(|prefix| {
            let mask = u32::from_be(xlvs_datapath::policy::network_mask(prefix));
            let key = AccessKey::of_network(scope, (addr & mask).to_be(), prefix);
            self.access.get(&key).copied()
        })
    }
}

/// Newcomers take the careful way.
pub(super) fn with_care(mut settings: Settings) -> Settings {
    let careful = settings.marks & 0xffff != 0 || settings.policy.is_careful();
    let flag = if careful { SETTING_CAREFUL } else { 0 };
    settings.flags = settings.flags & !SETTING_CAREFUL | flag;
    settings
}

const POLICIES: u32 = 16_383;
/// IP protocols of services.
const EITHER: [u16; 2] = [PROTO_TCP as u16, PROTO_UDP as u16];

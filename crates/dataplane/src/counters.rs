//! Counters as people see them: since the server or service was added, or since the last zeroing.
//! The tables only ever count up; what to subtract is kept here, and by the daemon across restarts.

use std::{collections::BTreeMap, iter::Sum, ops::AddAssign};

use serde::{Deserialize, Serialize, Serializer};
use xlvs_datapath::tables;
use xlvs_model::{ServerKey, ServiceKey};

use crate::home::LiveCount;

/// Sums of packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets from servers.
    pub out_packets: u64,
    /// Bytes from clients, IP header included.
    pub in_bytes: u64,
    /// Bytes from servers, IP header included.
    pub out_bytes: u64,
}

impl From<tables::Stats> for Totals {
    fn from(s: tables::Stats) -> Self {
        let tables::Stats { connections, in_packets, out_packets, in_bytes, out_bytes } = s;
        Self { connections, in_packets, out_packets, in_bytes, out_bytes }
    }
}

impl Totals {
    /// What was counted since `base`; never less than nothing.
    #[must_use]
    pub fn since(self, base: Self) -> Self {
        Self {
            connections: self.connections.saturating_sub(base.connections),
            in_packets: self.in_packets.saturating_sub(base.in_packets),
            out_packets: self.out_packets.saturating_sub(base.out_packets),
            in_bytes: self.in_bytes.saturating_sub(base.in_bytes),
            out_bytes: self.out_bytes.saturating_sub(base.out_bytes),
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.in_packets += other.in_packets;
        self.out_packets += other.out_packets;
        self.in_bytes += other.in_bytes;
        self.out_bytes += other.out_bytes;
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, each| {
            sum += each;
            sum
        })
    }
}

/// What the whole director counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeCounters {
    /// Since the start or since everything was zeroed.
    pub totals: Totals,
    /// By CPU, and never zeroed.
    pub cpus: Vec<Totals>,
}

/// What the whole director's counters need beside those in the tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// What servers counted whose slots were freed, by CPU.
    pub(crate) buried: Vec<Totals>,
    /// What stood there when everything was zeroed.
    pub(crate) zeroed: Totals,
}

impl Ledger {
    /// A slot is freed.
    pub(crate) fn bury(&mut self, cpus: &[tables::Stats]) {
        add_by_cpu(&mut self.buried, cpus);
    }
}

/// Adds a slot's counters.
pub(crate) fn add_by_cpu(sums: &mut Vec<Totals>, cpus: &[tables::Stats]) {
    sums.resize(sums.len().max(cpus.len()), Totals::default());
    for (sum, &cpu) in sums.iter_mut().zip(cpus) {
        *sum += Totals::from(cpu);
    }
}

/// What a server counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCounters {
    /// Its connections now.
    pub live: LiveCount,
    /// Packets and bytes.
    pub totals: Totals,
    /// In slow start: how much of its weight it has, of 64.
    pub share: Option<u32>,
}

/// What was counted before counting began anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// For the server's own counters.
    pub server: Totals,
    /// For its share in the service's.
    pub service: Totals,
}

/// One service's part of [`Baselines`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceBase {
    /// What servers counted that are gone for good.
    #[serde(default)]
    pub past: Totals,
    /// By server; one that is not here began at nought.
    #[serde(default)]
    pub servers: BTreeMap<ServerKey, Base>,
}

/// What to subtract from the tables' counters. The daemon keeps it beside the model, so that `zero`
/// and the counters of removed servers outlive it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baselines {
    /// By service. One that is not here began at nought, so those that did are not written.
    #[serde(default, serialize_with = "telling")]
    pub services: BTreeMap<ServiceKey, ServiceBase>,
}

fn telling<S: Serializer>(
    services: &BTreeMap<ServiceKey, ServiceBase>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(services.iter().filter(|(_, base)| **base != ServiceBase::default()))
}

impl Baselines {
    pub(crate) fn base(&self, service: &ServiceKey, server: &ServerKey) -> Base {
        let found = self.services.get(service).and_then(|s| s.servers.get(server));
        found.copied().unwrap_or_default()
    }

    pub(crate) fn past(&self, service: &ServiceKey) -> Totals {
        self.services.get(service).map(|s| s.past).unwrap_or_default()
    }

    /// The server's slot is freed: what it counted for its service stays. True: that is news.
    pub(crate) fn bury(&mut self, service: &ServiceKey, server: &ServerKey, now: Totals) -> bool {
        let Some(entry) = self.services.get_mut(service) else { return false };
        let base = entry.servers.remove(server);
        let counted = now.since(base.unwrap_or_default().service);
        entry.past += counted;
        base.is_some() || counted != Totals::default()
    }
}

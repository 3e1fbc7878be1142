//! What people and programs are shown: the model, joined with what the data plane counts.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use xlvs_api::{EffectiveWeight, NextHop, ServerView, ServiceView};
use xlvs_model::{Method, Model, Server};

use crate::{
    engine::{Engine, EngineError},
    firewall::Firewall,
    hops::{Host, Resolved, Sight, Unresolved},
    plane::{Hop, PlaneStatus, ServerCounters},
};

/// What `GET /v1/status` and its warnings are made of.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    /// The desired state.
    pub(crate) model: Model,
    /// The host.
    pub(crate) host: Host,
    /// Servers whose next hop is unknown, and why.
    pub(crate) unresolved: Vec<(Ipv4Addr, String)>,
    /// Counters.
    pub(crate) plane: PlaneStatus,
    /// Set when the state could not be saved.
    pub(crate) not_saved: Option<String>,
    /// The host's firewall.
    pub(crate) firewall: Firewall,
    /// What the daemon's own work fails at.
    pub(crate) troubles: Vec<String>,
}

impl Engine {
    /// `GET /v1/services`. `persistent`: the clients that servers keep are counted too, which walks
    /// all connections.
    pub(crate) fn services(&mut self, persistent: bool) -> Result<Vec<ServiceView>, EngineError> {
        let Some(plane) = &mut self.plane else { return Err(EngineError::Detached) };
        let kept = if persistent { plane.persistent()? } else { HashMap::new() };
        let mut views = Vec::with_capacity(self.model.services.len());
        for service in &self.model.services {
            let counted = plane.counters(service)?;
            let servers = service.servers.iter().zip(counted.servers);
            let servers = servers.map(|(server, counted)| {
                let kept = kept.get(&(service.key, server.key)).copied().unwrap_or_default();
                ServerView { persistent: kept, ..view(&self.sight, server, counted) }
            });
            let (stats, servers) = (counted.stats, servers.collect());
            views.push(ServiceView { stats, servers, ..ServiceView::new(service) });
        }
        self.fill_rates(&mut views, Instant::now());
        Ok(views)
    }

    /// For `GET /v1/status`.
    pub(crate) fn survey(&mut self) -> Result<Survey, EngineError> {
        let plane = self.plane()?.status()?;
        let known = &self.sight.servers;
        let why = |address: &Ipv4Addr| known.get(address).map_or(PENDING, |r| r.why.as_ref());
        let unresolved = self.roster.addresses();
        let unresolved = unresolved.filter_map(|a| Some((a, why(&a)?.to_string()))).collect();
        Ok(Survey {
            model: self.model.clone(),
            host: self.sight.host.clone(),
            unresolved,
            plane,
            not_saved: self.not_saved.clone(),
            firewall: self.marks.firewall.clone(),
            troubles: self.troubles.values().cloned().collect(),
        })
    }
}

fn view(sight: &Sight, server: &Server, counted: ServerCounters) -> ServerView {
    let next_hop = match server.key.ip() {
        IpAddr::V4(address) => next_hop(sight.servers.get(&address).unwrap_or(&Resolved::PENDING)),
        IpAddr::V6(_) => NextHop::Unresolved { why: "IPv6 is not forwarded yet".into() },
    };
    let ServerCounters { active, inactive, stats, share } = counted;
    let effective_weight = share.map(|share| EffectiveWeight::of(server.weight, share));
    ServerView { active, inactive, stats, effective_weight, ..ServerView::new(server, next_hop) }
}

impl Survey {
    /// Some server is reached by NAT.
    pub(crate) fn uses_nat(&self) -> bool {
        let mut servers = self.model.services.iter().flat_map(|service| &service.servers);
        servers.any(|server| server.method == Method::Masq)
    }
}

/// Many are written for a listing: in one go.
fn mac(mac: [u8; 6]) -> String {
    let [m0, m1, m2, m3, m4, m5] = mac;
    format!("{m0:02x}:{m1:02x}:{m2:02x}:{m3:02x}:{m4:02x}:{m5:02x}")
}

fn next_hop(resolved: &Resolved) -> NextHop {
    match &resolved.hop {
        Hop::Local => NextHop::Local,
        Hop::Neighbour { dmac, mtu, .. } => NextHop::Neighbour {
            interface: resolved.interface.clone().unwrap_or_default(),
            mac: mac(*dmac),
            mtu: *mtu,
        },
        Hop::Unknown => NextHop::Unresolved {
            why: resolved.why.as_ref().map(ToString::to_string).unwrap_or_default(),
        },
    }
}

/// Nobody looked for it yet.
const PENDING: Option<&Unresolved> = Some(&Unresolved::Pending);

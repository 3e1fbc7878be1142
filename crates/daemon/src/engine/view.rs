//! What people and programs are shown: the model, joined with what the data plane counts.

use std::net::{IpAddr, Ipv4Addr};

use xlvs_api::{NextHop, ServerView, ServiceView};
use xlvs_model::{Method, Model, Server, ServiceKey};

use crate::{
    engine::{Engine, EngineError},
    hops::{Host, Resolved},
    plane::{Hop, PlaneStatus},
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
    /// What the daemon's own work fails at.
    pub(crate) troubles: Vec<String>,
}

impl Engine {
    /// `GET /v1/services`.
    pub(crate) fn services(&mut self) -> Result<Vec<ServiceView>, EngineError> {
        self.plane()?;
        let services = self.model.services.clone();
        let mut views = Vec::with_capacity(services.len());
        for service in &services {
            let servers = service.servers.iter().map(|server| self.server(&service.key, server));
            let servers = servers.collect::<Result<_, _>>()?;
            let stats = self.plane()?.service_stats(&service.key)?;
            views.push(ServiceView { stats, servers, ..ServiceView::new(service) });
        }
        Ok(views)
    }

    /// For `GET /v1/status`.
    pub(crate) fn survey(&mut self) -> Result<Survey, EngineError> {
        let plane = self.plane()?.status()?;
        let unresolved = super::real_servers(&self.model)
            .into_iter()
            .filter_map(|address| Some((address, self.resolved(address).why?.to_string())))
            .collect();
        Ok(Survey {
            model: self.model.clone(),
            host: self.sight.host.clone(),
            unresolved,
            plane,
            not_saved: self.not_saved.clone(),
            troubles: self.troubles.values().cloned().collect(),
        })
    }

    fn server(&mut self, key: &ServiceKey, server: &Server) -> Result<ServerView, EngineError> {
        let counters = self.plane()?.server_counters(key, &server.key)?;
        let next_hop = match server.key.ip() {
            IpAddr::V4(address) => next_hop(&self.resolved(address)),
            IpAddr::V6(_) => NextHop::Unresolved { why: "IPv6 is not forwarded yet".into() },
        };
        Ok(ServerView {
            active: counters.active,
            inactive: counters.inactive,
            stats: counters.stats,
            ..ServerView::new(server, next_hop)
        })
    }

    fn resolved(&self, address: Ipv4Addr) -> Resolved {
        self.sight.servers.get(&address).cloned().unwrap_or(Resolved::PENDING)
    }
}

impl Survey {
    /// Some server is reached by NAT.
    pub(crate) fn uses_nat(&self) -> bool {
        let mut servers = self.model.services.iter().flat_map(|service| &service.servers);
        servers.any(|server| server.method == Method::Masq)
    }
}

fn next_hop(resolved: &Resolved) -> NextHop {
    match &resolved.hop {
        Hop::Local => NextHop::Local,
        Hop::Neighbour { dmac, mtu, .. } => NextHop::Neighbour {
            interface: resolved.interface.clone().unwrap_or_default(),
            mac: dmac.map(|byte| format!("{byte:02x}")).join(":"),
            mtu: *mtu,
        },
        Hop::Unknown => NextHop::Unresolved {
            why: resolved.why.as_ref().map(ToString::to_string).unwrap_or_default(),
        },
    }
}

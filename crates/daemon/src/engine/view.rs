//! What people and programs are shown: the model, joined with what the data plane counts.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Instant,
};

use tokio::sync::broadcast;
use xlvs_api::{
    EffectiveWeight, Event, EventKind, FileView, NextHop, ServerDetail, ServerFilter, ServerView,
    ServiceView, Stats,
};
use xlvs_model::{Effective, Method, Model, Server, ServerKey, Service, ServiceKey, Standing};

use super::{chronicle::unix_ms, drains::Drains, files};
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
    /// The configuration file that is in force.
    pub(crate) file: Option<FileView>,
}

/// What metrics are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrape {
    /// Services and servers.
    pub(crate) services: Vec<ServiceView>,
    /// Counters of the data plane.
    pub(crate) plane: PlaneStatus,
    /// What the whole director counts.
    pub(crate) totals: Stats,
    /// Events by kind.
    pub(crate) events: BTreeMap<EventKind, u64>,
    /// What the daemon's own work fails at.
    pub(crate) troubles: usize,
}

impl Engine {
    /// `GET /v1/services`, all or one. `persistent`: the clients that servers keep are counted too,
    /// which walks all connections.
    pub(crate) fn services(
        &mut self,
        only: Option<&ServiceKey>,
        persistent: bool,
    ) -> Result<Vec<ServiceView>, EngineError> {
        let Some(plane) = &mut self.plane else { return Err(EngineError::Detached) };
        let kept = if persistent { plane.persistent()? } else { HashMap::new() };
        let one = only.and_then(|key| self.model.service(key));
        let all = only.is_none().then(|| self.model.services.iter());
        let services = one.into_iter().chain(all.into_iter().flatten());
        let mut views = Vec::new();
        for service in services {
            let sorry = self.effective.sorry(&service.key);
            let with_sorry = sorry.as_ref().map(|(sorry, _)| with(service, *sorry));
            let service = with_sorry.as_ref().unwrap_or(service);
            let counted = plane.counters(service)?;
            let look = Look {
                sight: &self.sight,
                written: &self.model,
                effective: &self.effective,
                drains: &self.drains,
                now_s: unix_ms() / 1000,
            };
            let owner = |server: Option<&ServerKey>| {
                files::owner((self.file.as_ref(), &self.hands), &service.key, server)
            };
            let servers = service.servers.iter().zip(counted.servers);
            let servers = servers.map(|(server, counted)| {
                let kept = kept.get(&(service.key, server.key)).copied().unwrap_or_default();
                let stands_in = sorry.as_ref().filter(|(sorry, _)| sorry.key == server.key);
                let standing = stands_in.map(|(_, standing)| standing.clone());
                let view = look.server(&service.key, server, standing, counted);
                let owner = owner(Some(&server.key));
                ServerView { persistent: kept, owner, ..view }
            });
            let (stats, servers) = (counted.stats, servers.collect());
            let owner = owner(None);
            views.push(ServiceView { owner, stats, servers, ..ServiceView::new(service) });
        }
        self.fill_rates(&mut views, Instant::now());
        Ok(views)
    }

    /// `GET /v1/servers`.
    pub(crate) fn servers(
        &mut self,
        filter: &ServerFilter,
    ) -> Result<Vec<ServerDetail>, EngineError> {
        let has_some = |service: &&Service| {
            service.servers.iter().any(|server| filter.lets(&service.key, &server.key))
                || self.effective.sorry(&service.key).is_some()
        };
        let keys: Vec<ServiceKey> = match &filter.service {
            Some(key) => vec![*key],
            None => self.model.services.iter().filter(has_some).map(|s| s.key).collect(),
        };
        let mut services = Vec::new();
        for key in keys {
            services.extend(self.services(Some(&key), false)?);
        }
        let mut found = Vec::new();
        for view in services {
            for server in view.servers.into_iter().filter(|s| filter.lets(&view.key, &s.address)) {
                let checks = self.checks.as_ref();
                let checks = checks.map(|checks| checks.of(&view.key, &server.address));
                let events = self.chronicle.about(&view.key, &server.address);
                let (service, checks) = (view.key, checks.unwrap_or_default());
                found.push(ServerDetail { service, server, checks, events });
            }
        }
        Ok(found)
    }

    /// `GET /v1/events`: at most `limit` of those after `seq`.
    pub(crate) fn events(&self, seq: u64, limit: usize) -> Vec<Arc<Event>> {
        self.chronicle.after(seq, limit)
    }

    /// The same, and those to come.
    pub(crate) fn listen(&self, seq: u64) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        (self.events(seq, usize::MAX), self.chronicle.listen())
    }

    /// `GET /metrics`.
    pub(crate) fn scrape(&mut self) -> Result<Scrape, EngineError> {
        Ok(Scrape {
            services: self.services(None, false)?,
            plane: self.plane()?.status()?,
            totals: self.plane()?.whole()?.0,
            events: self.chronicle.counts().clone(),
            troubles: self.troubles.len(),
        })
    }

    /// For `GET /v1/status`.
    pub(crate) fn survey(&mut self) -> Result<Survey, EngineError> {
        let asked = self.asked;
        let mut plane = self.plane()?.status()?;
        if asked > 0 {
            plane.packets.insert(ASKED.to_owned(), asked);
        }
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
            file: self.file_view(),
        })
    }
}

/// What is known beside the counters.
struct Look<'a> {
    sight: &'a Sight,
    written: &'a Model,
    effective: &'a Effective,
    drains: &'a Drains,
    now_s: u64,
}

impl Look<'_> {
    /// A server as it stands; `standing` of one that is not written.
    fn server(
        &self,
        service: &ServiceKey,
        server: &Server,
        standing: Option<Standing>,
        counted: ServerCounters,
    ) -> ServerView {
        let next_hop = match server.key.ip() {
            IpAddr::V4(address) => {
                next_hop(self.sight.servers.get(&address).unwrap_or(&Resolved::PENDING))
            }
            IpAddr::V6(_) => NextHop::Unresolved { why: "IPv6 is not forwarded yet".into() },
        };
        let standing =
            standing.unwrap_or_else(|| self.effective.standing(self.written, service, server));
        let person = self.written.overrides.get(service, &server.key);
        let drain = person.and_then(|person| {
            self.drains.view(&(*service, server.key), person, &counted, self.now_s)
        });
        let ServerCounters { active, inactive, stats, share } = counted;
        let effective_weight = share.map(|share| EffectiveWeight::of(standing.weight, share));
        let view = ServerView::new(server, next_hop).with(standing);
        let person = person.cloned();
        ServerView { active, inactive, stats, effective_weight, person, drain, ..view }
    }
}

/// A service with its sorry server.
fn with(service: &Service, sorry: Server) -> Service {
    let mut service = service.clone();
    service.servers.retain(|server| server.key != sorry.key);
    service.servers.insert(0, sorry);
    service
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

/// Among the packets: those that asked clients of servers that are down what they wait for.
const ASKED: &str = "clients_asked";
/// Nobody looked for it yet.
const PENDING: Option<&Unresolved> = Some(&Unresolved::Pending);

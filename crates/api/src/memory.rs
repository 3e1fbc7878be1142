//! A director without a kernel: the desired state alone, for tests of what speaks to directors.

use std::collections::BTreeMap;

use xlvs_model::{
    Change, Effective, Fault, Finding, Model, ServerKey, ServiceKey, SyncDaemon, Timeouts,
};

use crate::{
    AccessEntry, ApiError, ClientError, ConnectionView, Connections, Director, DrainView,
    EffectiveWeight, Event, Filter, MarksView, NextHop, Outcome, Rate, ServerDetail, ServerFilter,
    ServerView, ServiceView, SettingsView, Stats, Status, TotalsView, Zero,
};

/// Holds what it is told; what packets would have done is put in by hand.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The desired state.
    pub model: Model,
    /// Counters of services.
    pub service_stats: BTreeMap<ServiceKey, Stats>,
    /// Counters, active and inactive connections of servers.
    pub server_stats: BTreeMap<(ServiceKey, ServerKey), (Stats, u32, u32)>,
    /// Counters a second of services (without a server) and servers.
    pub rates: BTreeMap<(ServiceKey, Option<ServerKey>), Rate>,
    /// What servers in slow start have of their weights.
    pub effective: BTreeMap<(ServiceKey, ServerKey), EffectiveWeight>,
    /// Clients that keep a server.
    pub persistent: BTreeMap<(ServiceKey, ServerKey), u32>,
    /// What the whole director counts.
    pub totals: TotalsView,
    /// The interfaces there are, beside `lo`, and their MTUs.
    pub interfaces: BTreeMap<String, u32>,
    /// What a host's firewall would add to [`Director::marks`].
    pub host_marks: MarksView,
    /// The connections to list.
    pub connections: Vec<ConnectionView>,
    /// What [`Status::connection_capacity`] says.
    pub capacity: u64,
    /// What [`Outcome::not_saved`] says.
    pub not_saved: Option<String>,
    /// What happened.
    pub events: Vec<Event>,
    /// What checks found, beside the desired state.
    pub found: Vec<Finding>,
    /// How far drains got.
    pub drains: BTreeMap<(ServiceKey, ServerKey), DrainView>,
    /// How often [`Director::change`] was called.
    pub requests: usize,
}

impl Director for Memory {
    fn status(&mut self) -> Result<Status, ClientError> {
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            instance: "memory".into(),
            pid: std::process::id(),
            interfaces: Vec::new(),
            services: self.model.services.len(),
            servers: self.model.services.iter().map(|s| s.servers.len()).sum(),
            connection_entries: self.connections.len() as u64,
            connection_capacity: self.capacity,
            packets: BTreeMap::new(),
            file: None,
            warnings: Vec::new(),
        })
    }

    fn services(&mut self) -> Result<Vec<ServiceView>, ClientError> {
        let mut services = self.services_and_clients()?;
        for server in services.iter_mut().flat_map(|service| &mut service.servers) {
            server.persistent = 0;
        }
        Ok(services)
    }

    fn services_and_clients(&mut self) -> Result<Vec<ServiceView>, ClientError> {
        let mut effective = Effective::of(&self.model);
        for finding in &self.found {
            effective.hear(&self.model, finding.clone());
        }
        let views = self.model.services.iter().map(|service| {
            let sorry = effective.sorry(&service.key).into_iter();
            let sorry =
                sorry.map(|(server, standing)| self.server(&service.key, &server).with(standing));
            let servers = service.servers.iter().map(|server| {
                let standing = effective.standing(&self.model, &service.key, server);
                self.server(&service.key, server).with(standing)
            });
            ServiceView {
                stats: self.service_stats.get(&service.key).copied().unwrap_or_default(),
                rate: self.rates.get(&(service.key, None)).copied().unwrap_or_default(),
                servers: sorry.chain(servers).collect(),
                ..ServiceView::new(service)
            }
        });
        Ok(views.collect())
    }

    fn servers(&mut self, filter: &ServerFilter) -> Result<Vec<ServerDetail>, ClientError> {
        let mut found = Vec::new();
        for service in self.services()? {
            for server in service.servers {
                if filter.lets(&service.key, &server.address) {
                    let (checks, events) = (Vec::new(), self.events.clone());
                    found.push(ServerDetail { service: service.key, server, checks, events });
                }
            }
        }
        Ok(found)
    }

    fn events(&mut self, after: u64) -> Result<Vec<Event>, ClientError> {
        Ok(self.events.iter().filter(|event| event.seq > after).cloned().collect())
    }

    fn follow(
        &mut self,
        after: u64,
        each: &mut dyn FnMut(Event) -> bool,
    ) -> Result<(), ClientError> {
        // Nothing happens here while somebody follows.
        let known = self.events(after)?;
        let _ended = known.into_iter().all(each);
        Ok(())
    }

    fn totals(&mut self) -> Result<TotalsView, ClientError> {
        Ok(self.totals.clone())
    }

    fn change(&mut self, changes: &[Change]) -> Result<Outcome, ClientError> {
        self.requests += 1;
        let faults = changes.iter().map(|change| self.apply(change).err()).collect();
        Ok(Outcome { faults, not_saved: self.not_saved.clone() })
    }

    fn zero(&mut self, what: Zero) -> Result<(), ClientError> {
        let Some(service) = what.service else {
            self.service_stats.clear();
            self.server_stats.clear();
            return Ok(());
        };
        if self.model.service(&service).is_none() {
            let fault = Fault::NoSuchService;
            let (message, hint) = (fault.to_string(), None);
            return Err(ClientError::Refused(ApiError { message, hint, fault: Some(fault) }));
        }
        self.service_stats.remove(&service);
        self.server_stats.retain(|(key, _), _| *key != service);
        Ok(())
    }

    fn marks(&mut self) -> Result<MarksView, ClientError> {
        Ok(MarksView { own: self.model.marks.clone(), ..self.host_marks.clone() })
    }

    fn timeouts(&mut self) -> Result<Timeouts, ClientError> {
        Ok(self.model.timeouts)
    }

    fn settings(&mut self) -> Result<SettingsView, ClientError> {
        Ok((&self.model.settings).into())
    }

    fn access(&mut self) -> Result<Vec<AccessEntry>, ClientError> {
        Ok(AccessEntry::all(&self.model))
    }

    fn sync(&mut self) -> Result<Vec<SyncDaemon>, ClientError> {
        Ok(self.model.sync.clone())
    }

    fn connections(&mut self, filter: &Filter) -> Result<Connections, ClientError> {
        let passes = |connection: &&ConnectionView| {
            filter.service.is_none_or(|s| s == connection.service)
                && filter.server.is_none_or(|s| s == connection.server)
                && filter.state.as_ref().is_none_or(|s| *s == connection.state)
        };
        let mut connections: Vec<_> = self.connections.iter().filter(passes).cloned().collect();
        let limit = filter.limit.unwrap_or(usize::MAX);
        let truncated = connections.len() > limit;
        connections.truncate(limit);
        Ok(Connections { connections, truncated })
    }

    fn detach(&mut self) -> Result<(), ClientError> {
        Ok(())
    }
}

impl Memory {
    fn apply(&mut self, change: &Change) -> Result<(), Fault> {
        let mtu_of = |name: &str| match name {
            "lo" => Some(65536),
            _ => self.interfaces.get(name).copied(),
        };
        let change = self.model.resolve(change, mtu_of)?;
        self.model.apply(&change)
    }

    fn server(&self, service: &ServiceKey, server: &xlvs_model::Server) -> ServerView {
        let known = self.server_stats.get(&(*service, server.key));
        let (stats, active, inactive) = known.copied().unwrap_or_default();
        let next_hop = NextHop::Unresolved { why: "there is no network here".into() };
        let key = (*service, server.key);
        ServerView {
            active,
            inactive,
            effective_weight: self.effective.get(&key).copied(),
            person: self.model.overrides.get(service, &server.key).cloned(),
            drain: self.drains.get(&key).copied(),
            persistent: self.persistent.get(&key).copied().unwrap_or_default(),
            stats,
            rate: self.rates.get(&(*service, Some(server.key))).copied().unwrap_or_default(),
            ..ServerView::new(server, next_hop)
        }
    }
}

//! The services that a file owns: what it says of them, and where. What somebody changes by hand is
//! found by comparing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    Model, Server, ServerKey, Service, ServiceKey, Wanted,
    health::{Origin, VirtualServer},
    plan,
};

/// Who owns a service or a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A file, at this line.
    File(Origin),
    /// Who made it by hand: `ipvsadm`, `xlvs`, `API`.
    Hand(String),
}

/// `keepalived.conf:12`, `ipvsadm`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(origin) => origin.fmt(f),
            Self::Hand(face) => f.write_str(face),
        }
    }
}

/// What a file that is in force says of services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The file, as it was named.
    pub file: String,
    /// Its services, in its order.
    pub services: Vec<Service>,
    #[serde(skip)]
    places: BTreeMap<ServiceKey, Places>,
}

/// Where a service and its servers are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    at: usize,
    origin: Option<Origin>,
    servers: BTreeMap<ServerKey, Origin>,
}

impl InForce {
    /// Of a file: its services, and the virtual servers that they were written as.
    pub fn new(file: String, services: Vec<Service>, written: &[VirtualServer]) -> Self {
        let mut this = Self { file, services, places: BTreeMap::new() };
        for (at, service) in this.services.iter().enumerate() {
            this.places.insert(service.key, Places { at, ..Places::default() });
        }
        for virtual_server in written {
            for key in &virtual_server.services {
                let Some(places) = this.places.get_mut(key) else { continue };
                places.origin.clone_from(&virtual_server.origin);
                for server in &virtual_server.servers {
                    let Some(origin) = server.origin.clone() else { continue };
                    places
                        .servers
                        .insert(VirtualServer::server_of(key, &server.server).key, origin);
                }
            }
        }
        this
    }

    /// As it was read back from disk: without places.
    #[must_use]
    pub fn indexed(self) -> Self {
        Self::new(self.file, self.services, &[])
    }

    /// What the file says of a service; none: nothing.
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(self.places.get(key)?.at)
    }

    /// Where a service, or one of its servers, is written; none: not in this file.
    pub fn origin(&self, service: &ServiceKey, server: Option<&ServerKey>) -> Option<Origin> {
        let places = self.places.get(service)?;
        let whole = || Origin { file: self.file.clone(), line: 1 };
        match server {
            None => Some(places.origin.clone().unwrap_or_else(whole)),
            Some(server) => {
                self.service(service)?.server(server)?;
                Some(places.servers.get(server).cloned().unwrap_or_else(whole))
            }
        }
    }

    /// What all of its services are to be, and those that went with the file before it.
    pub fn wanted(&self, before: Option<&Self>) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> =
            self.services.iter().map(|service| (service.key, Some(service.clone()))).collect();
        let old = before.into_iter().flat_map(|before| &before.services);
        let gone = old.filter(|service| !self.places.contains_key(&service.key));
        wanted.extend(gone.map(|service| (service.key, None)));
        wanted
    }

    /// What puts these services right again, among those that are the file's.
    pub fn wanted_of<'a>(&self, keys: impl IntoIterator<Item = &'a ServiceKey>) -> Vec<Wanted> {
        let service = |key: &ServiceKey| Some((*key, Some(self.service(key)?.clone())));
        keys.into_iter().filter_map(service).collect()
    }

    /// Which of these services are not what the file says.
    pub fn drifted<'a>(
        &self,
        model: &Model,
        keys: impl IntoIterator<Item = &'a ServiceKey>,
    ) -> BTreeSet<ServiceKey> {
        let differs = |key: &&ServiceKey| {
            let wanted = self.wanted_of([*key]);
            !wanted.is_empty() && !plan(model, &wanted).is_empty()
        };
        keys.into_iter().filter(differs).copied().collect()
    }
}

/// Services that came into being by hand, and who made them and their servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hands(BTreeMap<ServiceKey, Makers>);

/// Who made a service, and who made those of its servers that were made by somebody else. Nobody
/// in particular: no name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Makers {
    by: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    others: BTreeMap<ServerKey, String>,
}

impl Hands {
    /// Somebody made a change.
    pub fn note(&mut self, change: &crate::Change, by: &str) {
        use crate::Change::{AddServer, AddService, Clear, DeleteServer, DeleteService};
        match change {
            AddService { service, .. } => {
                self.0.insert(*service, Makers { by: by.to_owned(), ..Makers::default() });
            }
            AddServer { service, server: Server { key, .. } } => {
                let makers = self.0.entry(*service).or_default();
                if makers.by != by {
                    makers.others.insert(*key, by.to_owned());
                }
            }
            DeleteServer { service, server } => {
                if let Some(makers) = self.0.get_mut(service) {
                    makers.others.remove(server);
                }
            }
            DeleteService { service } => {
                self.0.remove(service);
            }
            Clear => self.0.clear(),
            _ => {}
        }
    }

    /// Who made a service that there is, or one of its servers; none: nobody that is known.
    pub fn of(&self, service: &ServiceKey, server: Option<&ServerKey>) -> Option<&str> {
        let makers = self.0.get(service)?;
        let other = server.and_then(|server| makers.others.get(server));
        Some(other.unwrap_or(&makers.by).as_str()).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests;

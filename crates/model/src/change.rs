//! Edits of the desired state, and the state they edit.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Fault, Method, Scheduler, Server, ServerKey, Service, ServiceKey, Timeouts};

/// One edit of the desired state. As JSON: `{"op": "add_server", "service": "tcp:10.0.0.1:80",
/// ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Change {
    /// `ipvsadm -A`.
    AddService {
        /// The service to make.
        service: ServiceKey,
        /// Its scheduler.
        scheduler: Scheduler,
    },
    /// `ipvsadm -E`.
    EditService {
        /// The service to change.
        service: ServiceKey,
        /// Its new scheduler.
        scheduler: Scheduler,
    },
    /// `ipvsadm -D`: the service and its servers.
    DeleteService {
        /// The service to delete.
        service: ServiceKey,
    },
    /// `ipvsadm -C`: every service.
    Clear,
    /// `ipvsadm -a`: the server becomes the first of the list.
    AddServer {
        /// The service to add to.
        service: ServiceKey,
        /// The server.
        server: Server,
    },
    /// `ipvsadm -e`: method and weight of a server; its place in the list stays.
    EditServer {
        /// The service it belongs to.
        service: ServiceKey,
        /// The server, found by its address and port.
        server: Server,
    },
    /// `ipvsadm -d`.
    DeleteServer {
        /// The service to take it from.
        service: ServiceKey,
        /// Address and port.
        server: ServerKey,
    },
    /// `ipvsadm --set`; 0 leaves a value as it is.
    SetTimeouts {
        /// Seconds; 0 keeps.
        timeouts: Timeouts,
    },
}

/// The desired state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// In the order they were added.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Idle timeouts.
    #[serde(default)]
    pub timeouts: Timeouts,
}

impl Model {
    /// The service of this key.
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.iter().find(|s| s.key == *key)
    }

    /// Makes one change, or leaves everything as it is and says why.
    pub fn apply(&mut self, change: &Change) -> Result<(), Fault> {
        match change {
            Change::AddService { service, scheduler } => {
                supported(service.address)?;
                if self.service(service).is_some() {
                    return Err(Fault::ServiceExists);
                }
                let servers = Vec::new();
                self.services.push(Service { key: *service, scheduler: *scheduler, servers });
            }
            Change::EditService { service, scheduler } => {
                self.service_mut(service)?.scheduler = *scheduler;
            }
            Change::DeleteService { service } => {
                self.service_mut(service)?;
                self.services.retain(|s| s.key != *service);
            }
            Change::Clear => self.services.clear(),
            Change::AddServer { service, server } => {
                let found = self.service_mut(service)?;
                valid_server(server)?;
                if found.server(&server.key).is_some() {
                    return Err(Fault::ServerExists);
                }
                found.servers.insert(0, *server);
            }
            Change::EditServer { service, server } => {
                // Its address was checked when it was added; one that could not be is not there.
                let found = self.service_mut(service)?;
                let old = found.servers.iter_mut().find(|s| s.key == server.key);
                *old.ok_or(Fault::NoSuchServer)? = *server;
            }
            Change::DeleteServer { service, server } => {
                let found = self.service_mut(service)?;
                let at = found.servers.iter().position(|s| s.key == *server);
                found.servers.remove(at.ok_or(Fault::NoSuchServer)?);
            }
            Change::SetTimeouts { timeouts } => self.set_timeouts(timeouts)?,
        }
        Ok(())
    }

    fn service_mut(&mut self, key: &ServiceKey) -> Result<&mut Service, Fault> {
        self.services.iter_mut().find(|s| s.key == *key).ok_or(Fault::NoSuchService)
    }

    fn set_timeouts(&mut self, new: &Timeouts) -> Result<(), Fault> {
        if [new.tcp, new.tcp_fin, new.udp].into_iter().any(|s| s > MAX_TIMEOUT_S) {
            return Err(Fault::TimeoutRange);
        }
        for (old, new) in [
            (&mut self.timeouts.tcp, new.tcp),
            (&mut self.timeouts.tcp_fin, new.tcp_fin),
            (&mut self.timeouts.udp, new.udp),
        ] {
            if new != 0 {
                *old = new;
            }
        }
        Ok(())
    }
}

fn supported(address: IpAddr) -> Result<(), Fault> {
    if address.is_ipv4() { Ok(()) } else { Err(Fault::Unsupported) }
}

fn valid_server(server: &Server) -> Result<(), Fault> {
    let IpAddr::V4(address) = server.key.ip() else { return Err(Fault::Unsupported) };
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return Err(Fault::NotUnicast);
    }
    Ok(())
}

/// `INT_MAX / HZ` of a kernel with HZ = 250 (`ip_vs_set_timeout`).
const MAX_TIMEOUT_S: u32 = i32::MAX as u32 / 250;

impl Method {
    /// True when packets keep the service's port on their way to the server.
    pub const fn keeps_port(self) -> bool {
        match self {
            Self::Masq => false,
            Self::Tunnel | Self::Route => true,
        }
    }
}

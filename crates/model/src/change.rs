//! Edits of the desired state, and the state they edit.

use std::{borrow::Cow, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    Access, ClientMask, Family, Fault, MarkRule, Method, Network, Override, Overrides, Server,
    ServerKey, Service, ServiceKey, Services, SyncDaemon, SyncRole, Terms, Timeouts, Tuning,
    Tunnel, TunnelChecksum, Verdict, is_default, marks,
    settings::{Assignment, Profile, Setting, Settings, Value},
};

/// One edit of the desired state. As JSON: `{"op": "add_service", "service": "tcp:10.0.0.1:80",
/// "scheduler": "rr"}`, `{"op": "add_server", "service": "tcp:10.0.0.1:80", "server": {...}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Change {
    /// `ipvsadm -A`.
    AddService {
        /// The service to make.
        service: ServiceKey,
        /// Its scheduler and so on.
        #[serde(flatten)]
        terms: Terms,
    },
    /// `ipvsadm -E`: all its terms anew. Its tuning stays.
    EditService {
        /// The service to change.
        service: ServiceKey,
        /// Its new terms.
        #[serde(flatten)]
        terms: Terms,
    },
    /// What IPVS does not know of, all of it anew.
    TuneService {
        /// The service to change.
        service: ServiceKey,
        /// Its new tuning.
        #[serde(flatten)]
        tuning: Tuning,
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
    /// `ipvsadm -e`: all of a server but its address; its place in the list stays.
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
    /// `xlvs server drain`, `xlvs server disable`: holds until it is taken back.
    SetOverride {
        /// The service that the server belongs to.
        service: ServiceKey,
        /// Address and port.
        server: ServerKey,
        /// What is to be done with it, and who wants it.
        #[serde(rename = "override")]
        value: Override,
    },
    /// `xlvs server undrain`, `xlvs server enable`.
    ClearOverride {
        /// The service that the server belongs or belonged to.
        service: ServiceKey,
        /// Address and port.
        server: ServerKey,
    },
    /// A mark rule of the director's own.
    AddMark {
        /// Before the rule of this number, counted from 1; without one, after all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<u32>,
        /// The rule.
        rule: MarkRule,
    },
    /// Takes a mark rule out.
    RemoveMark {
        /// Its number, counted from 1.
        at: u32,
    },
    /// `ipvsadm --set`; 0 leaves a value as it is.
    SetTimeouts {
        /// Seconds; 0 keeps.
        timeouts: Timeouts,
    },
    /// `xlvs set NAME=VALUE`.
    Set {
        /// Which setting.
        setting: Setting,
        /// Its new value; none: its profile's default.
        value: Option<Value>,
    },
    /// `xlvs set profile=NAME`: every setting gets this profile's default.
    SetProfile {
        /// Whose defaults.
        profile: Profile,
    },
    /// `xlvs allow add`, `xlvs deny add`.
    AddAccess {
        /// To which list.
        verdict: Verdict,
        /// Which clients.
        network: Network,
        /// What they connect to; none: any service.
        service: Option<ServiceKey>,
    },
    /// `xlvs allow remove`, `xlvs deny remove`.
    RemoveAccess {
        /// From which list.
        verdict: Verdict,
        /// Which clients.
        network: Network,
        /// What they connect to; none: any service.
        service: Option<ServiceKey>,
    },
    /// `ipvsadm --start-daemon`. A director looks its interface up first.
    StartDaemon {
        /// The daemon.
        daemon: SyncDaemon,
    },
    /// `ipvsadm --stop-daemon`.
    StopDaemon {
        /// Which.
        role: SyncRole,
    },
}

/// The desired state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// In the order they were added.
    #[serde(default)]
    pub services: Services,
    /// Idle timeouts.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The profile, and what was set by hand.
    #[serde(default, skip_serializing_if = "is_default")]
    pub settings: Settings,
    /// Who may connect to any service.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// Servers that are drained or disabled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overrides: Overrides,
    /// The director's own mark rules, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<MarkRule>,
    /// At most one of each role.
    #[serde(default)]
    pub sync: Vec<SyncDaemon>,
}

impl Model {
    /// The service of this key.
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(key)
    }

    /// Makes one change, or leaves everything as it is and says why. The order of checks is the
    /// kernel's: what a caller is told first is part of what it is told.
    pub fn apply(&mut self, change: &Change) -> Result<(), Fault> {
        match change {
            Change::AddService { service, terms } => {
                if self.service(service).is_some() {
                    return Err(Fault::ServiceExists);
                }
                valid_terms(service, terms)?;
                self.services.push(Service::new(*service, terms.clone()));
            }
            Change::EditService { service, terms } => {
                let found = self.service_mut(service)?;
                valid_terms(service, terms)?;
                found.terms.clone_from(terms);
            }
            Change::TuneService { service, tuning } => {
                let found = self.service_mut(service)?;
                valid_tuning(tuning, service.family())?;
                found.tuning.clone_from(tuning);
            }
            Change::DeleteService { service } => {
                if !self.services.remove(service) {
                    return Err(Fault::NoSuchService);
                }
            }
            Change::Clear => self.services.clear(),
            Change::AddServer { service, server } => {
                let found = self.server_of(service, server)?;
                if found.server(&server.key).is_some() {
                    return Err(Fault::ServerExists);
                }
                unicast(server.key.ip())?;
                found.servers.insert(0, *server);
            }
            Change::EditServer { service, server } => {
                // Its address was checked when it was added; one that could not be is not there.
                let found = self.server_of(service, server)?;
                let old = found.servers.iter_mut().find(|s| s.key == server.key);
                *old.ok_or(Fault::NoSuchServer)? = *server;
            }
            Change::DeleteServer { service, server } => {
                let found = self.service_mut(service)?;
                let at = found.servers.iter().position(|s| s.key == *server);
                found.servers.remove(at.ok_or(Fault::NoSuchServer)?);
            }
            Change::SetOverride { .. } | Change::ClearOverride { .. } => self.say(change)?,
            Change::AddMark { at, rule } => marks::add(&mut self.marks, *at, rule)?,
            Change::RemoveMark { at } => marks::remove(&mut self.marks, *at)?,
            Change::SetTimeouts { timeouts } => self.set_timeouts(timeouts)?,
            Change::Set { setting, value } => {
                let is_set = self.settings.set(*setting, value.as_ref());
                return if is_set { Ok(()) } else { Err(Fault::SettingValue) };
            }
            Change::SetProfile { profile } => self.settings.set_profile(*profile),
            Change::AddAccess { verdict, network, service } => {
                if service.is_some_and(|key| key.family() != Family::of(network.address())) {
                    return Err(Fault::OtherNetworkFamily);
                }
                self.access_of(service.as_ref())?.add(*verdict, *network);
            }
            Change::RemoveAccess { verdict, network, service } => {
                let is_gone = self.access_of(service.as_ref())?.remove(*verdict, *network);
                return if is_gone { Ok(()) } else { Err(Fault::NoSuchEntry) };
            }
            Change::StartDaemon { daemon } => self.start_daemon(daemon)?,
            Change::StopDaemon { role } => {
                let at = self.sync.iter().position(|d| d.role == *role);
                self.sync.remove(at.ok_or(Fault::NoDaemon)?);
            }
        }
        Ok(())
    }

    /// The change as it is to be applied: a daemon's interface is looked up, by its MTU, and its
    /// message length settled.
    pub fn resolve<'a>(
        &self,
        change: &'a Change,
        mtu_of: impl FnOnce(&str) -> Option<u32>,
    ) -> Result<Cow<'a, Change>, Fault> {
        let Change::StartDaemon { daemon } = change else { return Ok(Cow::Borrowed(change)) };
        self.one_family()?;
        let mtu = mtu_of(&daemon.interface).ok_or(Fault::NoSuchDevice)?;
        Ok(Cow::Owned(Change::StartDaemon { daemon: daemon.clone().with_length(mtu) }))
    }

    fn service_mut(&mut self, key: &ServiceKey) -> Result<&mut Service, Fault> {
        self.services.get_mut(key).ok_or(Fault::NoSuchService)
    }

    /// What a person says of a server. One that is not written cannot be drained; that it was is
    /// taken back all the same.
    fn say(&mut self, change: &Change) -> Result<(), Fault> {
        match change {
            Change::SetOverride { service, server, value } => {
                let found = self.service(service).ok_or(Fault::NoSuchService)?;
                found.server(server).ok_or(Fault::NoSuchServer)?;
                self.overrides.set(*service, *server, value.clone());
                Ok(())
            }
            Change::ClearOverride { service, server } => {
                let is_gone = self.overrides.clear(service, server);
                if is_gone { Ok(()) } else { Err(Fault::NoSuchOverride) }
            }
            _ => Ok(()),
        }
    }

    /// The list of a service, or the director's.
    fn access_of(&mut self, service: Option<&ServiceKey>) -> Result<&mut Access, Fault> {
        match service {
            Some(key) => Ok(&mut self.service_mut(key)?.tuning.limits.access),
            None => Ok(&mut self.access),
        }
    }

    /// The service that `server` is to be added to or edited in, if it may be like this.
    fn server_of(&mut self, key: &ServiceKey, server: &Server) -> Result<&mut Service, Fault> {
        let synchronised = !self.sync.is_empty();
        let found = self.service_mut(key)?;
        let is_foreign = Family::of(server.key.ip()) != key.family();
        if is_foreign && (synchronised || server.method != Method::Tunnel) {
            return Err(Fault::OtherFamily);
        }
        if server.weight > MAX_WEIGHT || server.lower > server.upper {
            return Err(Fault::OutOfRange);
        }
        match server.tunnel {
            Tunnel::Gue { port: 0, .. } | Tunnel::Gre { checksum: TunnelChecksum::Remote } => {
                Err(Fault::BadTunnel)
            }
            Tunnel::Ipip | Tunnel::Gue { .. } | Tunnel::Gre { .. } => Ok(found),
        }
    }

    fn set_timeouts(&mut self, new: &Timeouts) -> Result<(), Fault> {
        valid_timeouts(new)?;
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

    /// The kernel's messages know one family of addresses for a connection, so services that mix
    /// them and daemons exclude each other.
    fn one_family(&self) -> Result<(), Fault> {
        let mixes = |service: &Service| {
            let family = service.key.family();
            service.servers.iter().any(|server| Family::of(server.key.ip()) != family)
        };
        if self.services.iter().any(mixes) { Err(Fault::OtherFamily) } else { Ok(()) }
    }

    fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), Fault> {
        self.one_family()?;
        if self.sync.iter().any(|d| d.role == daemon.role) {
            return Err(Fault::DaemonRuns);
        }
        self.sync.push(daemon.clone());
        self.sync.sort_by_key(|d| d.role);
        Ok(())
    }
}

fn valid_terms(service: &ServiceKey, terms: &Terms) -> Result<(), Fault> {
    if terms.engine.as_ref().is_some_and(|engine| !ENGINES.contains(&engine.as_str())) {
        return Err(Fault::NoSuchEngine);
    }
    let Some(persistence) = terms.persistence else { return Ok(()) };
    if persistence.timeout_s > MAX_TIMEOUT_S {
        return Err(Fault::TimeoutRange);
    }
    let is_mask = match persistence.mask {
        ClientMask::V4(_) => true,
        ClientMask::V6(prefix) => (1..=128).contains(&prefix),
    };
    let suits = is_mask && persistence.mask.family() == service.family();
    if suits { Ok(()) } else { Err(Fault::BadMask) }
}

fn valid_tuning(tuning: &Tuning, family: Family) -> Result<(), Fault> {
    tuning.timeouts.as_ref().map_or(Ok(()), valid_timeouts)?;
    tuning.limits.check(family)
}

fn valid_timeouts(timeouts: &Timeouts) -> Result<(), Fault> {
    let in_range =
        [timeouts.tcp, timeouts.tcp_fin, timeouts.udp].iter().all(|s| *s <= MAX_TIMEOUT_S);
    if in_range { Ok(()) } else { Err(Fault::TimeoutRange) }
}

/// `inet_addr_type` and `ipv6_addr_type` of the kernel, as far as no route has a say.
fn unicast(address: IpAddr) -> Result<(), Fault> {
    let is_unicast = match address {
        IpAddr::V4(v4) => {
            // The loopback network has a broadcast address too, on every host.
            let broadcast = v4.is_broadcast() || v4.octets() == [127, 255, 255, 255];
            !(v4.is_unspecified() || v4.is_multicast() || broadcast)
        }
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped().is_some();
            !(v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local() || mapped)
        }
    };
    if is_unicast { Ok(()) } else { Err(Fault::NotUnicast) }
}

impl Change {
    /// The service of whose servers it edits one, whatever that changes.
    pub(crate) const fn edited(&self) -> Option<ServiceKey> {
        match self {
            Self::EditServer { service, .. } => Some(*service),
            _ => None,
        }
    }

    /// The service of whose servers it overrides one, or no longer does.
    pub(crate) const fn overridden(&self) -> Option<ServiceKey> {
        match self {
            Self::SetOverride { service, .. } | Self::ClearOverride { service, .. } => {
                Some(*service)
            }
            _ => None,
        }
    }
}

impl From<Assignment> for Change {
    fn from(assignment: Assignment) -> Self {
        match assignment {
            Assignment::Profile(profile) => Self::SetProfile { profile },
            Assignment::Set(setting, value) => Self::Set { setting, value },
        }
    }
}

/// `INT_MAX / HZ` of a kernel with HZ = 250 (`ip_vs_set_timeout`).
const MAX_TIMEOUT_S: u32 = i32::MAX as u32 / 250;
/// `INT_MAX`.
pub(crate) const MAX_WEIGHT: u32 = i32::MAX as u32;
/// Persistence engines by name.
const ENGINES: [&str; 1] = ["sip"];

#[cfg(test)]
mod tests;

//! The last step: what is beyond this version is refused, the rest becomes a [`Command`].

use std::net::{IpAddr, SocketAddr};

use xlvs_model::{Change, Protocol, Scheduler, Server, ServiceKey};

use super::{
    super::{Command, List, Listing, Refusal},
    Kind, Line, Topic, Verb,
};

impl Line {
    /// What the line asks for.
    pub(super) fn command(self) -> Result<Command, Refusal> {
        self.refuse_what_is_beyond()?;
        match self.verb {
            Verb::List => self.list(),
            Verb::Restore => Ok(Command::Restore),
            Verb::Save => Ok(Command::Save { numeric: self.topics.has(Topic::Numeric) }),
            Verb::Flush => Ok(Command::Change(Change::Clear)),
            Verb::Zero if !self.topics.has(Topic::Service) => Ok(Command::Zero(None)),
            Verb::Zero => Ok(Command::Zero(Some(self.key()?))),
            Verb::Set => Ok(Command::Change(Change::SetTimeouts { timeouts: self.timeouts })),
            Verb::Add | Verb::Edit => self.service_change(),
            Verb::Delete => Ok(Command::Change(Change::DeleteService { service: self.key()? })),
            Verb::AddServer | Verb::EditServer | Verb::DeleteServer => self.server_change(),
            Verb::StartDaemon | Verb::StopDaemon => beyond("the connection sync daemon"),
        }
    }

    fn refuse_what_is_beyond(&self) -> Result<(), Refusal> {
        if let Some((_, what)) = BEYOND.iter().find(|(topic, _)| self.topics.has(*topic)) {
            return beyond(what);
        }
        if self.tunnel != 0 {
            return beyond("--tun-type gue and gre");
        }
        Ok(())
    }

    fn list(&self) -> Result<Command, Refusal> {
        let what = if self.topics.has(Topic::Connection) {
            Listing::Connections
        } else if self.topics.has(Topic::Service) {
            Listing::Service(self.key()?)
        } else if self.topics.has(Topic::Timeout) {
            Listing::Timeouts
        } else {
            Listing::Services
        };
        Ok(Command::List(List {
            what,
            numeric: self.topics.has(Topic::Numeric),
            stats: self.topics.has(Topic::Stats),
            exact: self.topics.has(Topic::Exact),
            nosort: self.topics.has(Topic::NoSort),
        }))
    }

    fn service_change(&self) -> Result<Command, Refusal> {
        let service = self.key()?;
        let edit = self.verb == Verb::Edit;
        let name = if self.scheduler.is_empty() { "wlc" } else { &self.scheduler };
        // The kernel's field has room for 15 characters.
        let name = name.get(..15).unwrap_or(name);
        if KERNEL_SCHEDULERS.contains(&name) {
            return beyond(&format!("scheduler {name}"));
        }
        let Some(scheduler) = Scheduler::by_name(name) else {
            return Ok(Command::UnknownScheduler { service, edit });
        };
        Ok(Command::Change(if edit {
            Change::EditService { service, scheduler }
        } else {
            Change::AddService { service, scheduler }
        }))
    }

    fn server_change(&self) -> Result<Command, Refusal> {
        let service = self.key()?;
        let Some(address @ IpAddr::V4(_)) = self.server.address else { return beyond("IPv6") };
        let key = SocketAddr::new(address, self.server.port);
        if self.verb == Verb::DeleteServer {
            return Ok(Command::Change(Change::DeleteServer { service, server: key }));
        }
        // Direct routing and tunnels cannot change the port.
        let port = if self.method.keeps_port() { service.port } else { key.port() };
        let server = Server {
            key: SocketAddr::new(address, port),
            method: self.method,
            weight: self.weight,
        };
        Ok(Command::Change(if self.verb == Verb::AddServer {
            Change::AddServer { service, server }
        } else {
            Change::EditServer { service, server }
        }))
    }

    fn key(&self) -> Result<ServiceKey, Refusal> {
        let protocol = match self.kind {
            Some(Kind::Udp) => Protocol::Udp,
            Some(Kind::Sctp) => return beyond("--sctp-service"),
            Some(Kind::Fwmark) => return beyond("-f (services by firewall mark)"),
            Some(Kind::Tcp) | None => Protocol::Tcp,
        };
        match self.service.address {
            Some(address @ IpAddr::V4(_)) => {
                Ok(ServiceKey { protocol, address, port: self.service.port })
            }
            Some(IpAddr::V6(_)) | None => beyond("IPv6"),
        }
    }
}

fn beyond<T>(what: &str) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(what.to_owned()))
}

/// Options that parse and then are refused, with the words for it.
const BEYOND: [(Topic, &str); 14] = [
    (Topic::Persistent, "-p (persistent services)"),
    (Topic::Netmask, "-M (persistence netmask)"),
    (Topic::Engine, "--pe"),
    (Topic::Ops, "-o (one-packet scheduling)"),
    (Topic::SchedFlags, "-b (scheduler flags)"),
    (Topic::UpperThreshold, "-x (upper threshold)"),
    (Topic::LowerThreshold, "-y (lower threshold)"),
    (Topic::TunPort, "--tun-port"),
    (Topic::TunNocsum, "--tun-nocsum"),
    (Topic::Rate, "--rate"),
    (Topic::Thresholds, "--thresholds"),
    (Topic::PersistentConn, "--persistent-conn"),
    (Topic::TunInfo, "--tun-info"),
    (Topic::Daemon, "--daemon"),
];

/// Schedulers that the kernel has and xlvs has not yet.
const KERNEL_SCHEDULERS: [&str; 9] =
    ["lblc", "lblcr", "dh", "sh", "fo", "ovf", "mh", "twos", "none"];

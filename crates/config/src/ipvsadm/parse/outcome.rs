//! The last step: what was read becomes a [`Command`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use xlvs_model::{
    Change, ClientMask, Persistence, Protocol, Scheduler, Server, ServiceKey, Terms, Tunnel,
    TunnelChecksum,
};

use super::{
    super::{Command, Figures, List, Listing},
    Kind, Line, Topic, Verb,
};

impl Line {
    /// What the line asks for.
    pub(super) fn command(self) -> Command {
        match self.verb {
            Verb::List => self.list(),
            Verb::Restore => Command::Restore,
            Verb::Save => Command::Save { numeric: self.topics.has(Topic::Numeric) },
            Verb::Flush => Command::Change(Change::Clear),
            Verb::Zero if !self.topics.has(Topic::Service) => Command::Zero(None),
            Verb::Zero => Command::Zero(Some(self.key())),
            Verb::Set => Command::Change(Change::SetTimeouts { timeouts: self.timeouts }),
            Verb::Add | Verb::Edit => self.service_change(),
            Verb::Delete => Command::Change(Change::DeleteService { service: self.key() }),
            Verb::AddServer | Verb::EditServer | Verb::DeleteServer => self.server_change(),
            Verb::StartDaemon => Command::Change(Change::StartDaemon { daemon: self.daemon }),
            Verb::StopDaemon => Command::Change(Change::StopDaemon { role: self.daemon.role }),
        }
    }

    fn list(&self) -> Command {
        let what = if self.topics.has(Topic::Connection) {
            Listing::Connections
        } else if self.topics.has(Topic::Service) {
            Listing::Service(self.key())
        } else if self.topics.has(Topic::Timeout) {
            Listing::Timeouts
        } else if self.topics.has(Topic::Daemon) {
            Listing::Daemons
        } else {
            Listing::Services
        };
        // Of several the first counts.
        let figures = [
            (Topic::Stats, Figures::Stats),
            (Topic::Rate, Figures::Rate),
            (Topic::Thresholds, Figures::Thresholds),
            (Topic::PersistentConn, Figures::Persistence),
            (Topic::TunInfo, Figures::Tunnels),
        ];
        let asked = figures.into_iter().find(|(topic, _)| self.topics.has(*topic));
        Command::List(List {
            what,
            numeric: self.topics.has(Topic::Numeric),
            figures: asked.map_or(Figures::Plain, |(_, figures)| figures),
            engines: self.topics.has(Topic::PersistentConn),
            exact: self.topics.has(Topic::Exact),
            nosort: self.topics.has(Topic::NoSort),
        })
    }

    fn service_change(self) -> Command {
        let service = self.key();
        let edit = self.verb == Verb::Edit;
        let name = if self.scheduler.is_empty() { "wlc" } else { &self.scheduler };
        // The kernel's field has room for 15 characters.
        let name = name.get(..15).unwrap_or(name);
        let Some(scheduler) = Scheduler::by_name(name) else {
            return Command::UnknownScheduler { service, edit };
        };
        let persistence = self.topics.has(Topic::Persistent).then(|| Persistence {
            timeout_s: self.persistent_s,
            mask: self.mask.unwrap_or(ClientMask::host(self.family())),
        });
        let terms = Terms {
            scheduler,
            scheduler_flags: self.flag_bits,
            one_packet: self.topics.has(Topic::Ops),
            persistence,
            engine: Some(self.engine).filter(|name| !name.is_empty()),
        };
        Command::Change(if edit {
            Change::EditService { service, terms }
        } else {
            Change::AddService { service, terms }
        })
    }

    fn server_change(&self) -> Command {
        let service = self.key();
        let address = self.server.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let key = SocketAddr::new(address, self.server.port);
        if self.verb == Verb::DeleteServer {
            return Command::Change(Change::DeleteServer { service, server: key });
        }
        // Direct routing and tunnels cannot change the port; of a mark's service any port may be.
        let fixed = self.method.keeps_port() && service.mark().is_none();
        let port = if fixed { service.port() } else { key.port() };
        let server = Server {
            key: SocketAddr::new(address, port),
            method: self.method,
            weight: self.weight,
            upper: self.upper,
            lower: self.lower,
            tunnel: self.tunnel(),
            leaving: false,
        };
        Command::Change(if self.verb == Verb::AddServer {
            Change::AddServer { service, server }
        } else {
            Change::EditServer { service, server }
        })
    }

    fn tunnel(&self) -> Tunnel {
        let checksum = if self.topics.has(Topic::TunCsum) {
            TunnelChecksum::Full
        } else if self.topics.has(Topic::TunRemcsum) {
            TunnelChecksum::Remote
        } else {
            TunnelChecksum::None
        };
        match self.tunnel {
            0 => Tunnel::Ipip,
            1 => Tunnel::Gue { port: self.tunnel_port, checksum },
            _ => Tunnel::Gre { checksum },
        }
    }

    fn key(&self) -> ServiceKey {
        let protocol = match self.kind {
            Some(Kind::Fwmark) => {
                return ServiceKey::Mark { mark: self.mark, family: self.family() };
            }
            Some(Kind::Udp) => Protocol::Udp,
            Some(Kind::Sctp) => Protocol::Sctp,
            Some(Kind::Tcp) | None => Protocol::Tcp,
        };
        let address = self.service.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        ServiceKey::socket(protocol, address, self.service.port)
    }
}

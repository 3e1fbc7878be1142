//! `xlvs server`.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
};

use xlvs_api::{Director, NextHop, ServerView};
use xlvs_model::{Change, Fault, Method, Server, ServerKey, ServiceKey, Tunnel};

use super::{
    Where,
    drain::{self, Disable, Drain, Target},
    explain, method_name,
    reach::Flags,
    service::change_one,
    show::{self, Show},
    sure::Sure,
};
use crate::{
    face,
    output::{self, Format, Hinted, Output},
};

/// `xlvs server`
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List servers.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Those of one service.
        #[arg(long)]
        service: Option<ServiceKey>,
        /// Count the clients that keep each server, too: looks at all connections.
        #[arg(long)]
        persistent: bool,
        #[command(flatten)]
        place: Where,
        #[command(flatten)]
        output: Output,
    },
    /// Add a server to a service: by route and with weight 1 unless said otherwise.
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        #[command(flatten)]
        server: Name,
        #[command(flatten)]
        flags: Flags,
    },
    /// Change a server; what is not said stays.
    #[command(after_help = SET_EXAMPLES)]
    Set {
        #[command(flatten)]
        server: Name,
        #[command(flatten)]
        flags: Flags,
    },
    /// All that is known of a server: its state and why, its checks, what happened to it.
    #[command(after_help = show::EXAMPLES)]
    Show(Show),
    /// Give a server no new connections, and let those that it has end.
    #[command(after_help = drain::DRAIN_EXAMPLES)]
    Drain(Drain),
    /// Give a drained server new connections again.
    #[command(after_help = drain::UNDRAIN_EXAMPLES)]
    Undrain(Target),
    /// Take a server out at once, and keep it written.
    #[command(after_help = drain::DISABLE_EXAMPLES)]
    Disable(Disable),
    /// Bring a disabled server back.
    #[command(after_help = drain::ENABLE_EXAMPLES)]
    Enable(Target),
    /// Remove a server from a service; its connections end.
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove {
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        server: Name,
    },
}

/// A server of a service.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Name {
    /// The service: tcp:ADDRESS:PORT (or udp:, sctp:), fwmark:MARK or fwmark6:MARK.
    service: ServiceKey,

    /// The server: ADDRESS or ADDRESS:PORT; without a port it is the service's.
    #[arg(value_parser = address)]
    server: Address,

    #[command(flatten)]
    place: Where,
}

/// An address, perhaps with a port.
pub(super) type Address = (IpAddr, Option<u16>);

impl Verb {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let place = match self {
            Self::List { place, .. } => place,
            Self::Add { server, .. } | Self::Set { server, .. } | Self::Remove { server, .. } => {
                &server.place
            }
            Self::Show(show) => &show.target.place,
            Self::Drain(drain) => &drain.target.place,
            Self::Disable(disable) => &disable.target.place,
            Self::Undrain(target) | Self::Enable(target) => &target.place,
        };
        self.run_on(&mut place.connect()?, &mut output::stdout())
    }

    /// Does it to a director.
    pub(super) fn run_on(
        &self,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let (name, change) = match self {
            Self::Show(show) => return show.run_on(director, out),
            Self::Drain(drain) => return drain.run_on(director, out),
            Self::Disable(disable) => return disable.run_on(director),
            Self::Undrain(target) => return target.take_back(true, director),
            Self::Enable(target) => return target.take_back(false, director),
            Self::List { service, persistent, output, .. } => {
                return list(director, service.as_ref(), *persistent, *output, out);
            }
            Self::Add { server: name, flags } => {
                let method = flags.method(Method::Route);
                let server = flags.over(&Server::new(name.key(method)?, method, 1))?;
                (name, Change::AddServer { service: name.service, server })
            }
            Self::Set { server: name, flags } => {
                if !flags.is_given() {
                    let message = format!("{}: nothing is to change", name.what());
                    return Err(Hinted::new(message, "xlvs server set --help").into());
                }
                let old = name.find(director)?;
                let server = flags.over(&old.server())?;
                let port = name.server.1.unwrap_or(old.address.port());
                if name.keeps_port(server.method) && port != name.service.port() {
                    return Err(name.wrong_port(server.method, port));
                }
                (name, Change::EditServer { service: name.service, server })
            }
            Self::Remove { server: name, sure } => {
                let server = name.find(director)?;
                let cut = u64::from(server.active) + u64::from(server.inactive);
                sure.ask(&name.what(), cut)?;
                let server = server.address;
                (name, Change::DeleteServer { service: name.service, server })
            }
        };
        change_one(director, change, &name.what())
    }
}

impl Name {
    /// Its name in complaints.
    fn what(&self) -> String {
        match self.server {
            (address, Some(port)) => {
                format!("{} of {}", SocketAddr::new(address, port), self.service)
            }
            (address, None) => format!("{address} of {}", self.service),
        }
    }

    /// The key of a server to add.
    fn key(&self, method: Method) -> anyhow::Result<ServerKey> {
        let port = self.server.1.unwrap_or(self.service.port());
        if self.keeps_port(method) && port != self.service.port() {
            return Err(self.wrong_port(method, port));
        }
        Ok(ServerKey::new(self.server.0, port))
    }

    /// A mark's packets come to any port.
    const fn keeps_port(&self, method: Method) -> bool {
        method.keeps_port() && self.service.mark().is_none()
    }

    fn wrong_port(&self, method: Method, port: u16) -> anyhow::Error {
        let message = format!(
            "{} cannot change the port {} to {port}",
            method_name(method),
            self.service.port()
        );
        Hinted::new(message, "leave the port out, or use --method nat").into()
    }

    /// The server as it stands: of the port that was given, else the service's, else the only one
    /// of this address.
    fn find(&self, director: &mut dyn Director) -> anyhow::Result<ServerView> {
        let services = director.services()?;
        let service = services.into_iter().find(|s| s.key == self.service);
        let Some(service) = service else {
            return Err(explain(Fault::NoSuchService, &self.service.to_string()));
        };
        let what = self.what();
        let (address, port) = self.server;
        let mut found: Vec<_> =
            service.servers.into_iter().filter(|s| s.address.ip() == address).collect();
        let wanted = port.unwrap_or(self.service.port());
        if let Some(at) = found.iter().position(|s| s.address.port() == wanted) {
            return Ok(found.swap_remove(at));
        }
        match (port, found.len()) {
            (None, 1) => Ok(found.swap_remove(0)),
            (None, 2..) => Err(Hinted::new(
                format!("{what}: there are {} servers of this address", found.len()),
                "say which: ADDRESS:PORT",
            )
            .into()),
            _ => Err(explain(Fault::NoSuchServer, &what)),
        }
    }
}

fn list(
    director: &mut dyn Director,
    only: Option<&ServiceKey>,
    persistent: bool,
    format: Output,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut services =
        if persistent { director.services_and_clients()? } else { director.services()? };
    if let Some(only) = only {
        services.retain(|s| s.key == *only);
        if services.is_empty() {
            return Err(explain(Fault::NoSuchService, &only.to_string()));
        }
    }
    if format.output == Format::Json {
        return output::json(out, &services);
    }
    let each = services.iter().flat_map(|s| s.servers.iter().map(move |server| (s, server)));
    // What is the same in all rows is not said: a listing without it fits on more screens.
    let odd = services.iter().any(|s| s.servers.iter().any(|server| server.standing.is_some()));
    let mut head: Vec<&str> = HEAD.into();
    if persistent {
        head.insert(4, "KEPT");
    }
    if odd {
        head.push("STATE");
    }
    let rows = each.map(|(service, server)| {
        let mut cells: Vec<String> = row(&service.key, server).into();
        if persistent {
            cells.insert(4, server.persistent.to_string());
        }
        if odd {
            cells.push(state(server));
        }
        cells
    });
    output::table(out, &head, rows)
}

fn row(service: &ServiceKey, server: &ServerView) -> [String; 8] {
    [
        service.to_string(),
        server.address.to_string(),
        method(server),
        weight(server),
        server.active.to_string(),
        server.inactive.to_string(),
        server.stats.connections.to_string(),
        next_hop(&server.next_hop),
    ]
}

/// `3`; `3 (0.62 now)` in slow start, `3 (0 now)` while something keeps it from more, `3 (out)`
/// where it is not in the list that packets see.
fn weight(server: &ServerView) -> String {
    let (written, now) = (server.weight, server.weight_now());
    match server.effective_weight {
        _ if !server.is_listed() => format!("{written} (out)"),
        Some(now) => format!("{written} ({now} now)"),
        None if now != written => format!("{written} ({now} now)"),
        None => written.to_string(),
    }
}

/// `up`, or `down: HTTP status 500`.
pub(super) fn state(server: &ServerView) -> String {
    let cause = server.standing.as_ref().and_then(|standing| standing.cause.as_ref());
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{}{cause}", server.state().name())
}

/// `tunnel`, or `tunnel gue:6080:+c` where it is not IP in IP.
pub(super) fn method(server: &ServerView) -> String {
    let name = method_name(server.method);
    match server.tunnel {
        Tunnel::Ipip => name.to_owned(),
        tunnel => format!("{name} {}", face::tunnel_info(server.method, tunnel)),
    }
}

pub(super) fn next_hop(hop: &NextHop) -> String {
    match hop {
        NextHop::Local => "this host".to_owned(),
        NextHop::Neighbour { interface, mac, .. } => format!("{mac} on {interface}"),
        NextHop::Unresolved { why } => format!("none: {why}"),
    }
}

/// `ADDRESS` or `ADDRESS:PORT`.
pub(super) fn address(text: &str) -> Result<Address, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address, None));
    }
    match text.parse::<SocketAddr>() {
        Ok(socket) => Ok((socket.ip(), Some(socket.port()))),
        Err(_) => Err("write ADDRESS or ADDRESS:PORT".to_owned()),
    }
}

const HEAD: [&str; 8] =
    ["SERVICE", "SERVER", "METHOD", "WEIGHT", "ACTIVE", "INACTIVE", "CONNECTIONS", "NEXT HOP"];
const LIST_EXAMPLES: &str = "\
Examples:
  xlvs server list
  xlvs server list --persistent            with the clients that each keeps
  xlvs server list --service tcp:10.0.0.1:80 -o json";
const ADD_EXAMPLES: &str = "\
Examples:
  xlvs server add tcp:10.0.0.1:80 10.0.1.1 --weight 3
  xlvs server add tcp:10.0.0.1:80 10.0.1.2:8080 --method nat
  xlvs server add tcp:10.0.0.1:80 192.0.2.7 --method tunnel
  xlvs server add tcp:10.0.0.1:80 192.0.2.8 --tunnel gue:6080 --tunnel-checksum full
  xlvs server add fwmark:8 10.0.1.3 --upper 1000 --lower 800";
const SET_EXAMPLES: &str = "\
Examples:
  xlvs server set tcp:10.0.0.1:80 10.0.1.1 --weight 0   quiesce it
  xlvs server set tcp:10.0.0.1:80 10.0.1.1 --method tunnel
  xlvs server set tcp:10.0.0.1:80 10.0.1.1 --upper 0    no limit any more";
const REMOVE_EXAMPLES: &str = "\
Example:
  xlvs server remove tcp:10.0.0.1:80 10.0.1.1";

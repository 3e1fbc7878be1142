//! `-L` and `-S`: the real tool's columns.

use std::{fmt::Write as _, net::IpAddr};

use xlvs_api::{
    ClientError, ConnectionView, Director, Filter, Rate, ServerView, ServiceView, Stats,
};
use xlvs_config::ipvsadm::{Figures, List, Listing, Resolver};
use xlvs_model::{Family, Method, Protocol, ServiceKey, SyncDaemon};

use super::{
    Status, Tool, sort,
    terms::{self, Style},
};

/// What no argument at all lists.
pub(super) const EVERYTHING: List = List {
    what: Listing::Services,
    numeric: false,
    figures: Figures::Plain,
    engines: false,
    exact: false,
    nosort: false,
};

impl Tool<'_> {
    /// `-L`.
    pub(super) fn list(&mut self, list: &List, director: &mut dyn Director) -> Status {
        match self.listing(list, director) {
            Ok(Some(text)) => self.say(&text),
            Ok(None) => {
                self.complain("No such service");
                Err(1)
            }
            Err(error) => {
                self.report(&error);
                Err(1)
            }
        }
    }

    /// `-S`.
    pub(super) fn list_rules(&mut self, numeric: bool, director: &mut dyn Director) -> Status {
        let services = match director.services() {
            Ok(services) => services,
            Err(error) => {
                self.report(&error);
                return Err(1);
            }
        };
        let (names, salt) = (self.names, self.salt);
        let page = Page { names, salt, numeric, shape: Shape::Rules, exact: false, sorted: true };
        self.say(&page.services(&services))
    }

    /// The text of a listing; none when the one service it is about is not there.
    fn listing(
        &mut self,
        list: &List,
        director: &mut dyn Director,
    ) -> Result<Option<String>, ClientError> {
        let List { numeric, exact, .. } = *list;
        let shape = Shape::Listing(list.figures);
        let (names, salt) = (self.names, self.salt);
        let page = Page { names, salt, numeric, shape, exact, sorted: !list.nosort };
        Ok(Some(match list.what {
            Listing::Services => {
                let size = director.status()?.connection_capacity;
                let services = page.services(&services_for(list.figures, director)?);
                format!("IP Virtual Server version 1.2.1 (size={size})\n{}{services}", page.title())
            }
            Listing::Service(key) => {
                // Only one listing takes a walk over all connections, and tells of all services.
                let service = match list.figures {
                    Figures::Persistence => {
                        director.services_and_clients()?.into_iter().find(|s| s.key == key)
                    }
                    _ => director.service(&key)?,
                };
                let Some(service) = service else { return Ok(None) };
                let mut text = page.title().to_owned();
                page.service(&service, &mut text);
                text
            }
            Listing::Connections => {
                let all = Filter { limit: Some(usize::MAX), ..Filter::default() };
                let listed = director.connections(&all)?;
                let lines = listed.connections.iter().map(|c| page.connection(c, list.engines));
                let title = if list.engines { ENGINES_TITLE } else { CONNECTIONS_TITLE };
                let text = title.to_owned() + &lines.collect::<String>();
                if listed.truncated {
                    let shown = listed.connections.len();
                    self.complain(&format!("xlvs: {shown} connections shown, there are more"));
                }
                text
            }
            Listing::Timeouts => {
                let t = director.timeouts()?;
                format!("Timeout (tcp tcpfin udp): {} {} {}\n", t.tcp, t.tcp_fin, t.udp)
            }
            Listing::Daemons => director.sync()?.iter().map(daemon).collect(),
        }))
    }
}

/// All of them.
fn services_for(
    figures: Figures,
    director: &mut dyn Director,
) -> Result<Vec<ServiceView>, ClientError> {
    match figures {
        Figures::Persistence => director.services_and_clients(),
        _ => director.services(),
    }
}

/// How services and servers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Under a title.
    Listing(Figures),
    /// As command lines.
    Rules,
}

/// Writes what a listing consists of.
struct Page<'a> {
    names: &'a dyn Resolver,
    salt: u8,
    numeric: bool,
    shape: Shape,
    exact: bool,
    sorted: bool,
}

impl Page<'_> {
    const fn title(&self) -> &'static str {
        match self.shape {
            Shape::Listing(Figures::Plain) => PLAIN_TITLE,
            Shape::Listing(Figures::Stats) => STATS_TITLE,
            Shape::Listing(Figures::Rate) => RATE_TITLE,
            Shape::Listing(Figures::Thresholds) => THRESHOLDS_TITLE,
            Shape::Listing(Figures::Persistence) => PERSISTENCE_TITLE,
            Shape::Listing(Figures::Tunnels) => TUNNELS_TITLE,
            Shape::Rules => "",
        }
    }

    fn services(&self, services: &[ServiceView]) -> String {
        let mut order = sort::as_held(services, self.salt);
        if self.sorted {
            sort::services(&mut order);
        }
        let mut text = String::new();
        for service in order {
            self.service(service, &mut text);
        }
        text
    }

    /// A service and its servers.
    fn service(&self, service: &ServiceView, text: &mut String) {
        let name = self.service_name(&service.key);
        let family = service.key.family();
        let line = match self.shape {
            Shape::Rules => {
                format!("-A {name} -s {}", terms::text(&service.terms, family, Style::Rule))
            }
            Shape::Listing(Figures::Stats) => {
                format!("{name:<33}{}", figures(&service.stats, self.exact))
            }
            Shape::Listing(Figures::Rate) => {
                format!("{name:<33}{}", rates(&service.rate, self.exact))
            }
            Shape::Listing(_) => {
                format!("{name} {}", terms::text(&service.terms, family, Style::Listing))
            }
        };
        text.push_str(&line);
        text.push('\n');
        // A listing shows what is in force, as where a daemon edits the kernel's table; what is
        // saved is what was asked for.
        let is_shown = |server: &&ServerView| match self.shape {
            Shape::Rules => server.is_written(),
            Shape::Listing(_) => server.is_listed(),
        };
        let mut servers: Vec<_> = service.servers.iter().filter(is_shown).collect();
        if self.sorted {
            sort::servers(&mut servers);
        }
        // Ports of a mark's servers have no names: the kernel keeps no protocol for a mark.
        for server in servers {
            self.server(server, service.key.protocol(), &name, text);
        }
    }

    /// `TCP  10.0.0.1:80` in a listing, `-t 10.0.0.1:80` in a rule. A mark is written as the signed
    /// number that C makes of it.
    fn service_name(&self, key: &ServiceKey) -> String {
        let is_rule = self.shape == Shape::Rules;
        let (protocol, address, port) = match *key {
            ServiceKey::Socket { protocol, address, port } => (protocol, address, port),
            ServiceKey::Mark { mark, family } => {
                let mark = mark.cast_signed();
                return match (is_rule, family) {
                    (true, Family::V4) => format!("-f {mark}"),
                    (true, Family::V6) => format!("-f {mark} -6"),
                    (false, Family::V4) => format!("FWM  {mark}"),
                    (false, Family::V6) => format!("FWM  {mark} IPv6"),
                };
            }
        };
        let end = self.any_name(address, port, Some(protocol));
        let (option, name) = match protocol {
            Protocol::Tcp => ("-t", "TCP"),
            Protocol::Udp => ("-u", "UDP"),
            Protocol::Sctp => ("--sctp-service", "SCTP"),
        };
        if is_rule {
            return format!("{option} {end}");
        }
        let mut name = format!("{name:<4} {end}");
        if address.is_ipv4() {
            truncate(&mut name, 33);
        }
        name
    }

    fn server(
        &self,
        server: &ServerView,
        protocol: Option<Protocol>,
        rule: &str,
        text: &mut String,
    ) {
        let mut name = self.any_name(server.address.ip(), server.address.port(), protocol);
        if self.shape != Shape::Rules && server.address.is_ipv4() {
            truncate(&mut name, 28);
        }
        let (option, method) = match server.method {
            Method::Masq => ("-m", "Masq"),
            Method::Tunnel => ("-i", "Tunnel"),
            Method::Route => ("-g", "Route"),
        };
        let ServerView { active, inactive, .. } = server;
        let weight = server.weight_now();
        let figures = match self.shape {
            Shape::Rules => {
                let tunnel = terms::tunnel_options(server.method, server.tunnel);
                let weight = server.weight;
                let line = format!("-a {rule} -r {name} {option} -w {weight}{tunnel}\n");
                text.push_str(&line);
                return;
            }
            Shape::Listing(Figures::Plain) => {
                format!(" {method:<7} {weight:<6} {active:<10} {inactive:<10}")
            }
            Shape::Listing(Figures::Stats) => figures(&server.stats, self.exact),
            Shape::Listing(Figures::Rate) => server_rates(&server.rate, self.exact),
            Shape::Listing(Figures::Thresholds) => {
                let ServerView { upper, lower, .. } = server;
                format!(" {upper:<10} {lower:<10} {active:<10} {inactive:<10}")
            }
            Shape::Listing(Figures::Persistence) => {
                format!(" {weight:<9} {:<11} {active:<10} {inactive:<10}", server.persistent)
            }
            Shape::Listing(Figures::Tunnels) => {
                let tunnel = terms::tunnel_info(server.method, server.tunnel);
                format!(" {method:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}")
            }
        };
        let line = format!("  -> {name:<28}{figures}\n");
        text.push_str(&line);
    }

    fn connection(&self, connection: &ConnectionView, engines: bool) -> String {
        let protocol =
            Protocol::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(&connection.protocol));
        let name = |end: std::net::SocketAddr| self.any_name(end.ip(), end.port(), protocol);
        let server = name(connection.server);
        let server = match &connection.engine {
            Some(engine) if engines => {
                format!("{server:<16} {:<18} {}", engine.name, engine.data)
            }
            _ => server,
        };
        format!(
            "{:<3} {:<6} {:<11} {:<18} {:<18} {server}\n",
            connection.protocol,
            format!("{:02}:{:02}", connection.expires_s / 60, connection.expires_s % 60),
            connection.state,
            name(connection.client),
            name(connection.vip),
        )
    }

    /// `ADDRESS:PORT` in numbers or names, in a buffer of 60 bytes.
    fn any_name(&self, address: IpAddr, port: u16, protocol: Option<Protocol>) -> String {
        let (host, service) = if self.numeric {
            (None, None)
        } else {
            let name_of = |protocol: Protocol| self.names.port_name(port, protocol.name());
            (self.names.host_name(address), protocol.and_then(name_of))
        };
        let host = host.unwrap_or_else(|| address.to_string());
        let service = service.unwrap_or_else(|| port.to_string());
        let mut name = match address {
            IpAddr::V4(_) => format!("{host}:{service}"),
            IpAddr::V6(_) => format!("[{host}]:{service}"),
        };
        truncate(&mut name, 59);
        name
    }
}

fn daemon(daemon: &SyncDaemon) -> String {
    let SyncDaemon { role, interface, syncid, maxlen, group, port, ttl } = daemon;
    let mut text = format!("{} sync daemon (mcast={interface}, syncid={syncid}", role.name());
    if *maxlen != 0 {
        write!(text, ", maxlen={maxlen}").unwrap_or_default();
    }
    text + &format!(", group={group}, port={port}, ttl={ttl})\n")
}

fn truncate(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
}

/// The five counters.
fn figures(stats: &Stats, exact: bool) -> String {
    [stats.connections, stats.in_packets, stats.out_packets, stats.in_bytes, stats.out_bytes]
        .map(|n| figure(n, exact))
        .concat()
}

/// The five counters a second of a service.
fn rates(rate: &Rate, exact: bool) -> String {
    [rate.cps, rate.inpps, rate.outpps, rate.inbps, rate.outbps].map(|n| figure(n, exact)).concat()
}

/// Of a server only the bytes are shortened.
fn server_rates(rate: &Rate, exact: bool) -> String {
    let Rate { cps, inpps, outpps, inbps, outbps } = *rate;
    let bytes = [inbps, outbps].map(|n| figure(n, exact)).concat();
    format!(" {cps:>8} {inpps:>8} {outpps:>8}{bytes}")
}

/// A number in nine columns: what has more than eight digits loses its last ones to a letter,
/// unless every digit is asked for.
fn figure(n: u64, exact: bool) -> String {
    if exact {
        let width = n.to_string().len().max(8) + 1;
        return format!("{n:>width$}");
    }
    match n {
        0..100_000_000 => format!("{n:>9}"),
        100_000_000..1_000_000_000 => format!("{:>8}K", n / 1000),
        1_000_000_000..100_000_000_000 => format!("{:>8}M", n / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{:>8}G", n / 1_000_000_000),
        _ => format!("{:>8}T", n / 1_000_000_000_000),
    }
}

const PLAIN_TITLE: &str = "\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
";
const STATS_TITLE: &str = "\
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
";
const RATE_TITLE: &str = "\
Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
";
const THRESHOLDS_TITLE: &str = concat!(
    "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n",
    "  -> RemoteAddress:Port\n"
);
const PERSISTENCE_TITLE: &str = concat!(
    "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n",
    "  -> RemoteAddress:Port\n"
);
const TUNNELS_TITLE: &str = "\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn
";
const CONNECTIONS_TITLE: &str = "\
IPVS connection entries
pro expire state       source             virtual            destination
";
const ENGINES_TITLE: &str = concat!(
    "IPVS connection entries\n",
    "pro expire state       source             virtual            destination        ",
    "pe name          pe_data\n"
);

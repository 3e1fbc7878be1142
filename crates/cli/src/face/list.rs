//! `-L` and `-S`: the real tool's columns.

use std::net::IpAddr;

use xlvs_api::{ClientError, ConnectionView, Director, Filter, ServerView, ServiceView, Stats};
use xlvs_config::ipvsadm::{List, Listing, Resolver};
use xlvs_model::{Method, Protocol};

use super::{Status, Tool, sort};

/// What no argument at all lists.
pub(super) const EVERYTHING: List =
    List { what: Listing::Services, numeric: false, stats: false, exact: false, nosort: false };

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
        let page = Page { names: self.names, numeric, shape: Shape::Rules, sorted: true };
        self.say(&page.services(&services))
    }

    /// The text of a listing; none when the one service it is about is not there.
    fn listing(
        &mut self,
        list: &List,
        director: &mut dyn Director,
    ) -> Result<Option<String>, ClientError> {
        let shape = if list.stats { Shape::Stats { exact: list.exact } } else { Shape::Plain };
        let page = Page { names: self.names, numeric: list.numeric, shape, sorted: !list.nosort };
        Ok(Some(match list.what {
            Listing::Services => {
                let size = director.status()?.connection_capacity;
                let services = page.services(&director.services()?);
                format!("IP Virtual Server version 1.2.1 (size={size})\n{}{services}", page.title())
            }
            Listing::Service(key) => {
                let services = director.services()?;
                let Some(service) = services.iter().find(|s| s.key == key) else {
                    return Ok(None);
                };
                let mut text = page.title().to_owned();
                page.service(service, &mut text);
                text
            }
            Listing::Connections => {
                let all = Filter { limit: Some(usize::MAX), ..Filter::default() };
                let listed = director.connections(&all)?;
                let lines = listed.connections.iter().map(|c| page.connection(c));
                let text = CONNECTIONS_TITLE.to_owned() + &lines.collect::<String>();
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
        }))
    }
}

/// How services and servers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Plain,
    Stats {
        exact: bool,
    },
    /// As command lines.
    Rules,
}

/// Writes what a listing consists of.
struct Page<'a> {
    names: &'a dyn Resolver,
    numeric: bool,
    shape: Shape,
    sorted: bool,
}

impl Page<'_> {
    const fn title(&self) -> &'static str {
        match self.shape {
            Shape::Plain => PLAIN_TITLE,
            Shape::Stats { .. } => STATS_TITLE,
            Shape::Rules => "",
        }
    }

    fn services(&self, services: &[ServiceView]) -> String {
        let mut order: Vec<_> = services.iter().collect();
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
        let (key, scheduler) = (&service.key, service.scheduler.name());
        let address = self.any_name(key.address, key.port, key.protocol);
        let (option, protocol) = match key.protocol {
            Protocol::Tcp => ("-t", "TCP"),
            Protocol::Udp => ("-u", "UDP"),
        };
        let rule = format!("{option} {address}");
        let mut name = format!("{protocol:<4} {address}");
        if key.address.is_ipv4() {
            truncate(&mut name, 33);
        }
        let line = match self.shape {
            Shape::Plain => format!("{name} {scheduler}\n"),
            Shape::Stats { exact } => {
                format!("{name:<33}{}\n", figures(&service.stats, exact))
            }
            Shape::Rules => format!("-A {rule} -s {scheduler}\n"),
        };
        text.push_str(&line);
        let mut servers: Vec<_> = service.servers.iter().collect();
        if self.sorted {
            sort::servers(&mut servers);
        }
        for server in servers {
            self.server(server, key.protocol, &rule, text);
        }
    }

    fn server(&self, server: &ServerView, protocol: Protocol, rule: &str, text: &mut String) {
        let mut name = self.any_name(server.address.ip(), server.address.port(), protocol);
        if self.shape != Shape::Rules && server.address.is_ipv4() {
            truncate(&mut name, 28);
        }
        let (option, method) = match server.method {
            Method::Masq => ("-m", "Masq"),
            Method::Tunnel => ("-i", "Tunnel"),
            Method::Route => ("-g", "Route"),
        };
        let weight = server.weight;
        let line = match self.shape {
            Shape::Plain => format!(
                "  -> {name:<28} {method:<7} {weight:<6} {:<10} {:<10}\n",
                server.active, server.inactive
            ),
            Shape::Stats { exact } => {
                format!("  -> {name:<28}{}\n", figures(&server.stats, exact))
            }
            Shape::Rules => {
                let tunnel = if server.method == Method::Tunnel { " --tun-type ipip" } else { "" };
                format!("-a {rule} -r {name} {option} -w {weight}{tunnel}\n")
            }
        };
        text.push_str(&line);
    }

    fn connection(&self, connection: &ConnectionView) -> String {
        let protocol = connection.service.protocol;
        let name = |ip, port| self.any_name(ip, port, protocol);
        let (client, server) = (connection.client, connection.server);
        format!(
            "{:<3} {:<6} {:<11} {:<18} {:<18} {}\n",
            protocol.name().to_uppercase(),
            format!("{:02}:{:02}", connection.expires_s / 60, connection.expires_s % 60),
            connection.state,
            name(client.ip(), client.port()),
            name(connection.service.address, connection.service.port),
            name(server.ip(), server.port()),
        )
    }

    /// `ADDRESS:PORT` in numbers or names, in a buffer of 60 bytes.
    fn any_name(&self, address: IpAddr, port: u16, protocol: Protocol) -> String {
        let (host, service) = if self.numeric {
            (None, None)
        } else {
            (self.names.host_name(address), self.names.port_name(port, protocol.name()))
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

fn truncate(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
}

/// The five counters.
fn figures(stats: &Stats, exact: bool) -> String {
    [stats.connections, stats.in_packets, stats.out_packets, stats.in_bytes, stats.out_bytes]
        .map(|n| figure(n, exact))
        .concat()
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
const CONNECTIONS_TITLE: &str = "\
IPVS connection entries
pro expire state       source             virtual            destination
";

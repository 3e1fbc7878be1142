//! Names of hosts and ports, from where the C library has them.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
};

use xlvs_config::ipvsadm::Resolver;

/// Hosts through the system's resolver, ports from `/etc/services`.
#[derive(Default)]
pub(super) struct SystemNames {
    services: OnceCell<Vec<Entry>>,
    /// Reverse look-ups already made: a listing repeats addresses.
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
}

/// A line of `/etc/services`.
struct Entry {
    port: u16,
    protocol: String,
    /// Its name, then its other names.
    names: Vec<String>,
}

impl SystemNames {
    fn services(&self) -> &[Entry] {
        self.services.get_or_init(|| {
            let text = fs::read_to_string("/etc/services").unwrap_or_default();
            text.lines().filter_map(entry).collect()
        })
    }
}

impl Resolver for SystemNames {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        let found = (name, 0).to_socket_addrs().ok()?;
        found.into_iter().find_map(|address| match address {
            SocketAddr::V4(address) => Some(*address.ip()),
            SocketAddr::V6(_) => None,
        })
    }

    fn port(&self, name: &str, protocol: &str) -> Option<u16> {
        let named =
            |entry: &&Entry| entry.protocol == protocol && entry.names.iter().any(|n| n == name);
        self.services().iter().find(named).map(|entry| entry.port)
    }

    fn host_name(&self, address: IpAddr) -> Option<String> {
        let mut hosts = self.hosts.borrow_mut();
        let name = hosts.entry(address).or_insert_with(|| {
            let name = dns_lookup::lookup_addr(&address).ok()?;
            // Without a name it gives the number back.
            name.parse::<IpAddr>().is_err().then_some(name)
        });
        name.clone()
    }

    fn port_name(&self, port: u16, protocol: &str) -> Option<String> {
        let found = self.services().iter().find(|e| e.port == port && e.protocol == protocol)?;
        found.names.first().cloned()
    }
}

/// `http  80/tcp  www  # WorldWideWeb HTTP`.
fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split('#').next()?.split_whitespace();
    let name = words.next()?.to_owned();
    let (port, protocol) = words.next()?.split_once('/')?;
    let names = std::iter::once(name).chain(words.map(str::to_owned)).collect();
    Some(Entry { port: port.parse().ok()?, protocol: protocol.to_owned(), names })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_the_systems_names() {
        let names = SystemNames::default();
        names.services.get_or_init(|| {
            "http 80/tcp www # web\n# no\nhttp-alt 8080/tcp\ndomain 53/udp\nbad x/y"
                .lines()
                .filter_map(entry)
                .collect()
        });
        assert_eq!(names.port("www", "tcp"), Some(80), "an alias");
        assert_eq!(names.port("www", "udp"), None, "another protocol");
        assert_eq!(names.port("WWW", "tcp"), None, "case counts");
        assert_eq!(names.port_name(80, "tcp").as_deref(), Some("http"), "the first name");
        assert_eq!(names.port_name(53, "tcp"), None);
    }

    #[test]
    fn the_local_host_is_known() {
        let names = SystemNames::default();
        assert_eq!(names.host("localhost"), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(names.host(""), None);
    }
}

//! A lab as data: which hosts, plugged into which bridges, with which addresses and routes.

use std::{fmt, net::Ipv4Addr, str::FromStr};

/// An address and the length of its network's prefix: `10.0.0.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of the network.
    pub prefix: u8,
}

/// A layer-2 network. All of a lab's bridges live in the namespace `switch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge(pub String);

/// A host's place on a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPlan {
    /// Its name on the host: `eth0`.
    pub interface: String,
    /// The bridge it is plugged into.
    pub bridge: String,
    /// Its addresses.
    pub addresses: Vec<Net>,
}

/// A route through a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutePlan {
    /// Where to; `0.0.0.0/0` is everywhere.
    pub to: Net,
    /// The gateway.
    pub via: Ipv4Addr,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// Its name in the lab: `director`.
    pub name: String,
    /// Its interfaces.
    pub links: Vec<LinkPlan>,
    /// Its routes.
    pub routes: Vec<RoutePlan>,
    /// Kernel settings: (`net.ipv4.ip_forward`, `1`).
    pub sysctls: Vec<(String, String)>,
}

/// A whole lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The layer-2 networks.
    pub bridges: Vec<Bridge>,
    /// The hosts.
    pub hosts: Vec<HostPlan>,
    /// The MTU of every link.
    pub mtu: u32,
}

impl HostPlan {
    /// A host with nothing yet.
    pub fn new(name: &str) -> Self {
        let name = name.to_owned();
        Self { name, links: Vec::new(), routes: Vec::new(), sysctls: Vec::new() }
    }

    /// With an interface on a bridge.
    #[must_use]
    pub fn link(mut self, interface: &str, bridge: &str, addresses: Vec<Net>) -> Self {
        let (interface, bridge) = (interface.to_owned(), bridge.to_owned());
        self.links.push(LinkPlan { interface, bridge, addresses });
        self
    }

    /// With a route.
    #[must_use]
    pub fn route(mut self, to: Net, via: Ipv4Addr) -> Self {
        self.routes.push(RoutePlan { to, via });
        self
    }

    /// With a kernel setting.
    #[must_use]
    pub fn sysctl(mut self, key: &str, value: &str) -> Self {
        self.sysctls.push((key.to_owned(), value.to_owned()));
        self
    }
}

impl Plan {
    /// One network, as in most first installations: the client, the director and the servers
    /// (`rs1`...) all on the bridge `lan`.
    ///
    /// 172.16.0.0/16. Client 172.16.0.100, its further addresses from 172.16.16.1 on; director
    /// 172.16.0.110 and the virtual address 172.16.0.113; servers from 172.16.0.114 on. (A director
    /// needs an address besides the virtual one: a server that has that itself takes an ARP request
    /// from it for a forgery, and does not answer.)
    pub fn one_arm(servers: u8, client_addresses: u16) -> Self {
        let lan = |address| Net { address, prefix: 16 };
        let mut clients = vec![lan(Ipv4Addr::new(172, 16, 0, 100))];
        clients.extend(
            addresses(Ipv4Addr::new(172, 16, 16, 1), client_addresses.saturating_sub(1)).map(lan),
        );
        let mut hosts = vec![
            HostPlan::new("client").link("eth0", "lan", clients),
            HostPlan::new("director").link(
                "eth0",
                "lan",
                vec![lan(Ipv4Addr::new(172, 16, 0, 110)), Net::host(ONE_ARM_VIP)],
            ),
        ];
        hosts.extend((1..=servers).map(|number| {
            let address = Ipv4Addr::new(172, 16, 0, 113 + number);
            HostPlan::new(&format!("rs{number}")).link("eth0", "lan", vec![lan(address)])
        }));
        Self::of(&["lan"], hosts)
    }

    /// Two networks, the director between them: clients on `outside`, servers on `inside` with the
    /// director as their gateway, as NAT wants it. For what must not come back through the director
    /// (DR, tunnel) there is a `router` beside it: give the servers the route [`Self::BESIDE`].
    ///
    /// Outside 10.1.0.0/16: client 10.1.0.100 and from 10.1.16.1 on, director 10.1.0.1 and the
    /// virtual address 10.1.0.10, router 10.1.0.254. Inside 10.2.0.0/24: director 10.2.0.1, router
    /// 10.2.0.254, servers from 10.2.0.21 on.
    pub fn two_arm(servers: u8, client_addresses: u16) -> Self {
        let inside = |host| Net { address: Ipv4Addr::new(10, 2, 0, host), prefix: 24 };
        let director = HostPlan::new("director")
            .link("eth0", "outside", vec![near(1), near(10)])
            .link("eth1", "inside", vec![inside(1)]);
        let router = HostPlan::new("router")
            .link("eth0", "outside", vec![near(254)])
            .link("eth1", "inside", vec![inside(254)])
            .sysctl("net.ipv4.ip_forward", "1");
        let client =
            HostPlan::new("client").link("eth0", "outside", near_clients(client_addresses));
        let mut hosts = vec![client, director, router];
        hosts.extend((1..=servers).map(|number| {
            HostPlan::new(&format!("rs{number}"))
                .link("eth0", "inside", vec![inside(20 + number)])
                .route(Net::EVERYWHERE, inside(1).address)
        }));
        Self::of(&["outside", "inside"], hosts)
    }

    /// In [`Self::two_arm`]: the servers' way to the clients that leaves the director out.
    pub const BESIDE: RoutePlan = RoutePlan {
        to: Net { address: Ipv4Addr::new(10, 1, 0, 0), prefix: 16 },
        via: Ipv4Addr::new(10, 2, 0, 254),
    };

    /// Servers far away: a router between them and the network of client and director, for
    /// tunnels. The servers answer the client through the router.
    ///
    /// Near 10.1.0.0/16 as outside in [`Self::two_arm`]; far 10.3.0.0/24, the router there is
    /// 10.3.0.254, servers from 10.3.0.21 on.
    pub fn behind_router(servers: u8, client_addresses: u16) -> Self {
        let far = |host| Net { address: Ipv4Addr::new(10, 3, 0, host), prefix: 24 };
        let router_near = near(254).address;
        let director = HostPlan::new("director")
            .link("eth0", "near", vec![near(1), near(10)])
            .route(Net::EVERYWHERE, router_near);
        let router = HostPlan::new("router")
            .link("eth0", "near", vec![near(254)])
            .link("eth1", "far", vec![far(254)])
            .sysctl("net.ipv4.ip_forward", "1");
        let client = HostPlan::new("client")
            .link("eth0", "near", near_clients(client_addresses))
            .route(far(0), router_near);
        let mut hosts = vec![client, director, router];
        hosts.extend((1..=servers).map(|number| {
            HostPlan::new(&format!("rs{number}"))
                .link("eth0", "far", vec![far(20 + number)])
                .route(Net::EVERYWHERE, far(254).address)
        }));
        Self::of(&["near", "far"], hosts)
    }

    /// These hosts on these bridges, MTU 1500.
    pub fn of(bridges: &[&str], hosts: Vec<HostPlan>) -> Self {
        let bridges = bridges.iter().map(|name| Bridge((*name).to_owned())).collect();
        Self { bridges, hosts, mtu: 1500 }
    }

    /// Why this plan cannot be built, if so.
    pub fn fault(&self) -> Option<String> {
        let mut seen: Vec<&str> = vec!["switch"];
        for host in &self.hosts {
            if seen.contains(&host.name.as_str()) {
                return Some(format!("the plan has two hosts named {}", host.name));
            }
            // The switch's port is named `HOST.N`.
            if host.name.len() > PORT_NAME_MAX - 2 {
                let most = PORT_NAME_MAX - 2;
                return Some(format!("host name {} has more than {most} characters", host.name));
            }
            seen.push(&host.name);
            for link in &host.links {
                if !self.bridges.iter().any(|bridge| bridge.0 == link.bridge) {
                    return Some(format!("{} is on no known bridge: {}", host.name, link.bridge));
                }
            }
        }
        None
    }
}

impl Net {
    /// `0.0.0.0/0`.
    pub const EVERYWHERE: Self = Self { address: Ipv4Addr::UNSPECIFIED, prefix: 0 };

    /// One host: `/32`.
    pub const fn host(address: Ipv4Addr) -> Self {
        Self { address, prefix: 32 }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not ADDRESS/PREFIX");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address = address.parse().map_err(|_| wrong())?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(wrong)?;
        Ok(Self { address, prefix })
    }
}

/// So many addresses, one after the other.
pub fn addresses(first: Ipv4Addr, count: u16) -> impl Iterator<Item = Ipv4Addr> {
    (0..u32::from(count)).map(move |step| Ipv4Addr::from(u32::from(first).saturating_add(step)))
}

/// A host of 10.1.0.0/16.
const fn near(host: u8) -> Net {
    Net { address: Ipv4Addr::new(10, 1, 0, host), prefix: 16 }
}

/// The client's addresses there.
fn near_clients(count: u16) -> Vec<Net> {
    let further = addresses(Ipv4Addr::new(10, 1, 16, 1), count.saturating_sub(1));
    let further = further.map(|address| Net { address, ..near(0) });
    std::iter::once(near(100)).chain(further).collect()
}

/// The virtual address of [`Plan::one_arm`].
const ONE_ARM_VIP: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 113);
/// IFNAMSIZ less the NUL.
const PORT_NAME_MAX: usize = 15;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test is a panic")]
    use super::*;

    #[test]
    fn the_three_topologies_can_be_built() {
        for plan in [Plan::one_arm(3, 250), Plan::two_arm(3, 250), Plan::behind_router(3, 250)] {
            assert_eq!(plan.fault(), None);
            let client = plan.hosts.iter().find(|host| host.name == "client").unwrap();
            let addresses = &client.links[0].addresses;
            assert_eq!(addresses.len(), 250);
            assert!(addresses.iter().all(|net| net.prefix == 16));
        }
    }

    #[test]
    fn what_cannot_be_built_is_said() {
        let rows = [
            (vec![HostPlan::new("a"), HostPlan::new("a")], "the plan has two hosts named a"),
            (vec![HostPlan::new("switch")], "the plan has two hosts named switch"),
            (
                vec![HostPlan::new("a").link("eth0", "moon", vec![])],
                "a is on no known bridge: moon",
            ),
            (
                vec![HostPlan::new("director-of-all")],
                "host name director-of-all has more than 13 characters",
            ),
        ];
        for (hosts, expected) in rows {
            assert_eq!(Plan::of(&["lan"], hosts).fault().as_deref(), Some(expected));
        }
    }

    #[test]
    fn networks_are_read_and_written() {
        for text in ["10.0.0.1/24", "0.0.0.0/0", "255.255.255.255/32"] {
            assert_eq!(text.parse::<Net>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.1", "10.0.0.1/33", "10.0.0/24", "/8"] {
            assert!(text.parse::<Net>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_carry_over_the_byte() {
        let last: Vec<_> = addresses(Ipv4Addr::new(10, 0, 0, 254), 3).collect();
        assert_eq!(last[2], Ipv4Addr::new(10, 0, 1, 0));
    }
}

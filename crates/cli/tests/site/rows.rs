//! The three forwarding methods, each in the topology that it is for, with three servers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use xlvs_testkit::{
    Plan, addresses,
    peers::{HttpServer, Load, Tally},
};

use super::Site;

/// One method in one topology.
#[derive(Clone)]
pub(crate) struct Row {
    /// The hosts.
    pub(crate) plan: Plan,
    /// The virtual address.
    pub(crate) vip: &'static str,
    /// The first server's address; the others follow.
    pub(crate) first: Ipv4Addr,
    /// The first of 250 client addresses.
    pub(crate) client: Ipv4Addr,
    /// Of `xlvs run`.
    pub(crate) interfaces: &'static str,
    /// `ipvsadm`'s letter.
    pub(crate) method: &'static str,
    /// The servers' own preparation.
    pub(crate) prepare: &'static str,
}

/// Everybody on one network.
pub(crate) fn direct_routing() -> Row {
    Row {
        plan: Plan::one_arm(3, 251),
        vip: "172.16.0.113",
        first: Ipv4Addr::new(172, 16, 0, 114),
        client: Ipv4Addr::new(172, 16, 16, 1),
        interfaces: "--interface eth0",
        method: "-g",
        prepare: "realserver start --vip 172.16.0.113",
    }
}

/// The director between clients and servers.
pub(crate) fn nat() -> Row {
    Row {
        plan: nat_plan(),
        vip: "10.1.0.10",
        first: Ipv4Addr::new(10, 2, 0, 21),
        client: Ipv4Addr::new(10, 1, 16, 1),
        interfaces: "--interface eth0 --interface eth1",
        method: "-m",
        prepare: "realserver status",
    }
}

/// The director's kernel must be willing to route, for NAT's answers.
fn nat_plan() -> Plan {
    let mut plan = Plan::two_arm(3, 251);
    let director = plan.hosts.iter_mut().find(|host| host.name == "director").unwrap();
    director.sysctls.push(("net.ipv4.ip_forward".to_owned(), "1".to_owned()));
    plan
}

/// The servers behind a router.
pub(crate) fn tunnel() -> Row {
    Row {
        plan: Plan::behind_router(3, 251),
        vip: "10.1.0.10",
        first: Ipv4Addr::new(10, 3, 0, 21),
        client: Ipv4Addr::new(10, 1, 16, 1),
        interfaces: "--interface eth0",
        method: "-i",
        prepare: "realserver start --vip 10.1.0.10 --mode tun",
    }
}

/// A site that is up: servers, director, the service with its servers of weights 3, 2, 1.
pub(crate) struct Running {
    /// Its hosts.
    pub(crate) site: Site,
    /// The director's process.
    pub(crate) daemon: usize,
    /// The servers, on port 80.
    pub(crate) servers: Vec<HttpServer>,
    /// The service.
    pub(crate) target: SocketAddr,
}

/// Starts it; `flags` are more of `xlvs run`.
pub(crate) fn start(row: &Row, scheduler: &str, flags: &str) -> Option<Running> {
    let mut site = Site::build(&row.plan)?;
    let mut servers = Vec::new();
    let everywhere = "0.0.0.0:80".parse().unwrap();
    for name in ["rs1", "rs2", "rs3"] {
        site.xlvs(name, row.prepare);
        servers.push(HttpServer::start(site.lab.host(name), everywhere).unwrap());
    }
    let daemon = site.start_director(&format!("{} {flags}", row.interfaces));
    let service = format!("{}:80", row.vip);
    site.xlvs("director", &format!("ipvsadm -A -t {service} -s {scheduler}"));
    for (address, weight) in addresses(row.first, 3).zip([3, 2, 1]) {
        let method = row.method;
        let line = format!("ipvsadm -a -t {service} -r {address}:80 {method} -w {weight}");
        site.xlvs("director", &line);
    }
    site.await_next_hops();
    Some(Running { site, daemon, servers, target: service.parse().unwrap() })
}

impl Running {
    /// So many requests from 250 addresses, each on a connection of its own.
    pub(crate) fn load(&self, row: &Row, requests: usize) -> Tally {
        load(row, self.target, requests).run(self.site.lab.host("client")).unwrap()
    }
}

/// So many requests from 250 addresses.
pub(crate) fn load(row: &Row, target: SocketAddr, requests: usize) -> Load {
    let sources = addresses(row.client, 250).map(IpAddr::V4).collect();
    Load { target, sources, requests, at_once: 50 }
}

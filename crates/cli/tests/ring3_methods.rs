//! Methods where they are rarer: NAT on one network, servers on the director itself, ports
//! translated. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::net::IpAddr;

use xlvs_testkit::{
    Evidence, Net, Plan,
    peers::{HttpServer, Load, download, upload},
};

use site::Site;

const VIP: &str = "172.16.0.113";

/// One network with HTTP servers on these hosts and ports, and a service on port 80 with rr.
struct OneArm {
    site: Site,
    servers: Vec<HttpServer>,
}

impl OneArm {
    /// `servers`: host, port, and how `ipvsadm` names it.
    fn start(servers: &[(&str, u16, &str)], route_back: bool) -> Option<Self> {
        let mut plan = Plan::one_arm(3, 251);
        let director = plan.hosts.iter_mut().find(|host| host.name == "director").unwrap();
        director.sysctls.push(("net.ipv4.ip_forward".to_owned(), "1".to_owned()));
        let mut site = Site::build(&plan)?;
        let mut running = Vec::new();
        for (name, port, _) in servers {
            let host = site.lab.host(name);
            let everywhere = format!("0.0.0.0:{port}").parse().unwrap();
            running.push(HttpServer::start(host, everywhere).unwrap());
            if route_back && *name != "director" {
                for net in ["172.16.0.100/32", "172.16.16.0/23"] {
                    let net: Net = net.parse().unwrap();
                    host.add_route(net, VIP.parse().unwrap()).unwrap();
                }
            }
        }
        site.start_director("--interface eth0 --connections 65536");
        site.xlvs("director", &format!("ipvsadm -A -t {VIP}:80 -s rr"));
        for (_, _, server) in servers {
            site.xlvs("director", &format!("ipvsadm -a -t {VIP}:80 -r {server}"));
        }
        site.await_next_hops();
        Some(Self { site, servers: running })
    }

    /// 600 requests from 250 addresses, shared out evenly; bytes both ways.
    fn check(&self) {
        let evidence = Evidence::collect(&self.site.lab, &Site::evidence_folder()).unwrap();
        let client = self.site.lab.host("client");
        let target = format!("{VIP}:80").parse().unwrap();
        let sources = (1..=250).map(|last| IpAddr::from([172, 16, 16, last])).collect();
        let load = Load { target, sources, requests: 600, at_once: 16 };
        let tally = load.run(client).unwrap();
        assert_eq!(tally.faults, Vec::<String>::new());
        let share = 600 / self.servers.len();
        assert!(tally.hosts.values().all(|count| *count == share), "{:?}", tally.hosts);
        assert_eq!(tally.hosts.len(), self.servers.len());
        drop(evidence);
        for _ in &self.servers {
            client.enter(|| download(target, 2 << 20)).unwrap().unwrap();
            client.enter(|| upload(target, 2 << 20)).unwrap().unwrap();
        }
    }
}

#[test]
fn nat_works_on_one_network_and_translates_ports() {
    let servers = [
        ("rs1", 8081, "172.16.0.114:8081 -m"),
        ("rs2", 8082, "172.16.0.115:8082 -m"),
        ("rs3", 8083, "172.16.0.116:8083 -m"),
    ];
    let Some(one_arm) = OneArm::start(&servers, true) else { return };
    one_arm.check();
}

#[test]
fn a_local_server_behind_another_port_takes_its_share() {
    let servers =
        [("director", 8080, "172.16.0.113:8080 -m"), ("rs1", 8081, "172.16.0.114:8081 -m")];
    let Some(one_arm) = OneArm::start(&servers, true) else { return };
    one_arm.check();
}

#[test]
fn a_local_server_by_direct_routing_takes_its_share() {
    let servers = [("director", 80, "172.16.0.113:80 -g"), ("rs1", 80, "172.16.0.114:80 -g")];
    let Some(one_arm) = OneArm::start(&servers, false) else { return };
    one_arm.site.xlvs("rs1", &format!("realserver start --vip {VIP}"));
    one_arm.check();
    let packets = one_arm.site.packets("local_direct");
    assert!(packets > 0, "the director's own share came to it");
}

//! What is rarer than TCP through remote servers: UDP, no server left, a server on the director
//! itself, port translation, DR between two networks. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{collections::BTreeMap, io::ErrorKind, net::TcpStream};

use xlvs_testkit::{
    Evidence, Plan,
    peers::{HttpServer, Load},
    udp::{UdpServer, ask},
};

use site::Site;

/// The three of them, each with so many.
fn even(count: usize) -> BTreeMap<String, usize> {
    (1..=3).map(|number| (format!("rs{number}"), count)).collect()
}

/// Two networks with a director that routes between them.
fn between() -> Plan {
    let mut plan = Plan::two_arm(3, 1);
    let director = plan.hosts.iter_mut().find(|host| host.name == "director").unwrap();
    director.sysctls.push(("net.ipv4.ip_forward".to_owned(), "1".to_owned()));
    plan
}

fn add(site: &Site, service: &str, servers: &[String], rest: &str) {
    site.xlvs("director", &format!("ipvsadm -A {service} -s rr"));
    for server in servers {
        site.xlvs("director", &format!("ipvsadm -a {service} -r {server} {rest}"));
    }
    site.await_next_hops();
}

fn inside(port: u16) -> Vec<String> {
    (21..=23).map(|host| format!("10.2.0.{host}:{port}")).collect()
}

#[test]
fn udp_is_shared_out_by_every_method() {
    // (plan, VIP, first server's last byte and network, method, servers' preparation)
    let rows = [
        (Plan::one_arm(3, 1), "172.16.0.113", "172.16.0.11", 4, "-g", ""),
        (between(), "10.1.0.10", "10.2.0.2", 1, "-m", "own"),
        (Plan::behind_router(3, 1), "10.1.0.10", "10.3.0.2", 1, "-i", "--mode tun"),
    ];
    for (plan, vip, network, first, method, mode) in rows {
        let Some(mut site) = Site::build(&plan) else { return };
        let mut servers = Vec::new();
        for number in 0..3 {
            let name = format!("rs{}", number + 1);
            let own = format!("{network}{}:53", first + number);
            let bound = if mode == "own" { own.clone() } else { format!("{vip}:53") };
            if mode != "own" {
                site.xlvs(&name, &format!("realserver start --vip {vip} {mode}"));
            }
            let server = UdpServer::start(site.lab.host(&name), bound.parse().unwrap()).unwrap();
            servers.push((own, server));
        }
        let interfaces = if method == "-m" { "--interface eth1" } else { "" };
        site.start_director(&format!("--interface eth0 {interfaces} --connections 65536"));
        let addresses: Vec<_> = servers.iter().map(|(own, _)| own.clone()).collect();
        add(&site, &format!("-u {vip}:53"), &addresses, method);
        let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
        let client = site.lab.host("client");
        let target = format!("{vip}:53").parse().unwrap();
        // The first answer may be lost: by NAT it waits for the client's Ethernet address.
        ask(client, target, 3).unwrap();
        assert_eq!(ask(client, target, 30).unwrap(), even(10), "{method}");
        drop(evidence);
    }
}

#[test]
fn without_a_server_left_clients_are_refused_at_once() {
    let Some(mut site) = Site::build(&Plan::one_arm(1, 1)) else { return };
    site.start_director("--interface eth0 --connections 65536");
    let servers = ["172.16.0.114:80".to_owned()];
    add(&site, "-t 172.16.0.113:80", &servers, "-g -w 0");
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let dial = || TcpStream::connect("172.16.0.113:80").map(drop);
    let refused = site.lab.host("client").enter(dial).unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(evidence);
}

#[test]
fn nat_translates_ports() {
    let Some(mut site) = Site::build(&between()) else { return };
    let everywhere = "0.0.0.0:8080".parse().unwrap();
    let servers: Vec<_> = (1..=3)
        .map(|n| HttpServer::start(site.lab.host(&format!("rs{n}")), everywhere).unwrap())
        .collect();
    site.start_director("--interface eth0 --interface eth1 --connections 65536");
    add(&site, "-t 10.1.0.10:80", &inside(8080), "-m");
    check_http(&site);
    drop(servers);
}

#[test]
fn direct_routing_works_between_two_networks() {
    let Some(mut site) = Site::build(&Plan::two_arm(3, 1)) else { return };
    let everywhere = "0.0.0.0:80".parse().unwrap();
    let mut servers = Vec::new();
    for name in ["rs1", "rs2", "rs3"] {
        let host = site.lab.host(name);
        host.add_route(Plan::BESIDE.to, Plan::BESIDE.via).unwrap();
        servers.push(HttpServer::start(host, everywhere).unwrap());
        site.xlvs(name, "realserver start --vip 10.1.0.10");
    }
    site.start_director("--interface eth0 --interface eth1 --connections 65536");
    add(&site, "-t 10.1.0.10:80", &inside(80), "-g");
    check_http(&site);
    drop(servers);
}

#[test]
fn a_server_on_the_director_itself_takes_its_share() {
    let Some(mut site) = Site::build(&between()) else { return };
    let everywhere = "0.0.0.0:80".parse().unwrap();
    let servers: Vec<_> = ["rs1", "rs2", "director"]
        .map(|name| HttpServer::start(site.lab.host(name), everywhere).unwrap())
        .into();
    site.start_director("--interface eth0 --interface eth1 --connections 65536");
    let addresses = ["10.2.0.21:80", "10.2.0.22:80", "10.1.0.1:80"].map(str::to_owned);
    add(&site, "-t 10.1.0.10:80", &addresses, "-m");
    let expected = ["rs1", "rs2", "director"].map(|name| (name.to_owned(), 40));
    assert_eq!(http(&site, 120), BTreeMap::from(expected));
    drop::<Vec<_>>(servers);
}

fn check_http(site: &Site) {
    assert_eq!(http(site, 120), even(40));
}

/// So many requests to 10.1.0.10:80; answers by server.
fn http(site: &Site, requests: usize) -> BTreeMap<String, usize> {
    let target = "10.1.0.10:80".parse().unwrap();
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let load = Load { target, sources: Vec::new(), requests, at_once: 8 };
    let tally = load.run(site.lab.host("client")).unwrap();
    assert_eq!(tally.faults, Vec::<String>::new());
    drop(evidence);
    tally.hosts
}

//! Seed 002: the site of an `lvs.cf` with tunnels, its file and its addresses as they are, with
//! real nginx. A server that stops is noticed and comes back, with `quiesce_server` both ways; the
//! listings are the seed's. Needs root and nginx; says so when skipped.
//!
//! The seed's servers take packets out of the tunnel by the kernel's `ipip` module, which not every
//! kernel has: `xlvs realserver start --mode tun` does it here.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;
use xlvs_testkit::{Evidence, HostPlan, Net, Plan, find_program, wait_until};

use site::{LONG, Site, nginx, skip};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 104, 99);
const FILE: &str = include_str!("seeds/002-lvs.cf");
/// The seed's real servers: one beside the director, one behind a router.
const SERVERS: [(&str, &str); 2] = [("rs1", "192.168.104.69"), ("rs2", "192.168.113.23")];

/// The seed's networks; nobody has the virtual address yet.
fn plan() -> Plan {
    let at = |net, last| Net { address: Ipv4Addr::new(192, 168, net, last), prefix: 24 };
    let router = |net| Ipv4Addr::new(192, 168, net, 254);
    let host = |name: &str, net: u8, last: u8| {
        HostPlan::new(name)
            .link("eth0", &format!("lan{net}"), vec![at(net, last)])
            .route(Net::EVERYWHERE, router(net))
    };
    let hosts = vec![
        host("client", 14, 206),
        host("director", 104, 52),
        host("rs1", 104, 69),
        host("rs2", 113, 23),
        HostPlan::new("router")
            .link("eth0", "lan14", vec![at(14, 254)])
            .link("eth1", "lan104", vec![at(104, 254)])
            .link("eth2", "lan113", vec![at(113, 254)])
            .sysctl("net.ipv4.ip_forward", "1"),
    ];
    Plan::of(&["lan14", "lan104", "lan113"], hosts)
}

/// The seed's site, up.
struct Seed {
    site: Site,
    path: PathBuf,
    /// The first server's nginx.
    first: usize,
}

impl Seed {
    fn start() -> Option<Self> {
        if let Err(reason) = find_program("nginx") {
            skip(&format!("{reason}, the real server"));
            return None;
        }
        let mut site = Site::build(&plan())?;
        for (host, _) in SERVERS {
            site.xlvs(host, &format!("realserver start --vip {VIP} --mode tun"));
        }
        let first = nginx::start(&mut site, "rs1");
        nginx::start(&mut site, "rs2");
        let path = site.lab.folder().join("lvs.cf");
        fs::write(&path, FILE).unwrap();
        assert!(!has_vip(&site), "the director puts it on");
        site.start_director(&format!("--interface eth0 -c {}", path.display()));
        let seed = Self { site, path, first };
        seed.await_servers("both to be good once", &[("rs1", 1), ("rs2", 1)]);
        seed.site.await_next_hops();
        Some(seed)
    }

    /// The seed's file with another line in force.
    fn apply(&self, old: &str, new: &str) {
        assert!(FILE.contains(old));
        fs::write(&self.path, FILE.replace(old, new)).unwrap();
        let done = self.site.attempt("director", &format!("apply {}", self.path.display()));
        assert!(done.status.success(), "{done:?}");
    }

    /// Servers and weights as `ipvsadm -Ln` has them.
    fn servers(&self) -> Vec<(&'static str, u32)> {
        let listing = self.site.run("director", "ipvsadm", &["-Ln"]);
        let row = |line: &str| {
            let words: Vec<&str> = line.trim().strip_prefix("-> ")?.split_whitespace().collect();
            let (address, _) = words[0].split_once(':')?;
            let (host, _) = SERVERS.iter().find(|(_, known)| *known == address)?;
            Some((*host, words[2].parse().unwrap()))
        };
        let mut rows: Vec<_> = listing.lines().filter_map(row).collect();
        rows.sort_unstable();
        rows
    }

    fn await_servers(&self, what: &str, expected: &[(&str, u32)]) {
        let waited = wait_until(what, LONG, || (self.servers() == expected).then_some(()));
        assert!(waited.is_ok(), "{what}: {:?}\n{}", self.servers(), self.site.lab.logs());
    }

    /// Who answers so many requests, one after the other.
    fn ask(&self, times: usize) -> Vec<String> {
        let client = self.site.lab.host("client");
        let mut hosts: Vec<_> = (0..times).map(|_| client.enter(get).unwrap()).collect();
        hosts.sort_unstable();
        hosts
    }

    /// The state of a server, and why.
    fn told(&self, server: &str) -> (String, String) {
        let shown = self.site.xlvs("director", &format!("server show {server} -o json"));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let standing = &shown[0]["server"]["standing"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&standing["state"]), shown.to_string())
    }

    /// The first server goes and comes back; its row and its name are meanwhile.
    fn goes_and_comes(&mut self, meanwhile: &[(&str, u32)], called: &str) {
        self.site.kill(self.first);
        self.await_servers("timeout to notice that it is gone", meanwhile);
        let (state, shown) = self.told(SERVERS[0].1);
        assert_eq!(state, called, "{shown}");
        assert!(shown.contains("connection refused"), "{shown}");
        let events = self.site.xlvs("director", "events -o json");
        assert!(events.contains("connection refused"), "{events}");
        assert_eq!(self.ask(4), ["rs2"; 4], "nobody notices");
        self.first = nginx::start(&mut self.site, "rs1");
        self.await_servers("reentry to bring it back", &[("rs1", 1), ("rs2", 1)]);
        let (state, shown) = self.told(SERVERS[0].1);
        assert!(state.is_empty() || state == "up", "{shown}");
        self.site.await_next_hops();
        assert_eq!(self.ask(4), ["rs1", "rs1", "rs2", "rs2"]);
    }
}

/// The director has the virtual address.
fn has_vip(site: &Site) -> bool {
    let addresses = site.lab.host("director").netlink().addresses().unwrap();
    addresses.iter().any(|at| (at.address, at.prefix) == (VIP, 32))
}

/// The page, by a connection that is closed as a browser closes it.
fn get() -> String {
    let target = SocketAddr::from((VIP, 80));
    let mut stream = TcpStream::connect_timeout(&target, LONG).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.rsplit("\r\n\r\n").next().unwrap().trim().to_owned()
}

/// Lines of a listing with one blank between words, as the seed's has come down to us.
fn lines(listing: &str) -> Vec<String> {
    listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_site_starts_xlvs_with_the_file_that_it_has() {
    let Some(mut seed) = Seed::start() else { return };
    let evidence = Evidence::collect(&seed.site.lab, &Site::evidence_folder()).unwrap();
    assert!(has_vip(&seed.site), "address = 192.168.104.99 eth0:0: {}", seed.site.lab.logs());

    // `ipvsadm`, as the seed prints it but for the order in which nanny found its servers.
    let mut listing = lines(&seed.site.run("director", "ipvsadm", &[]));
    assert_eq!(
        listing[1..4],
        [
            "Prot LocalAddress:Port Scheduler Flags",
            "-> RemoteAddress:Port Forward Weight ActiveConn InActConn",
            "TCP 192.168.104.99:http rr",
        ]
    );
    assert!(listing[0].starts_with("IP Virtual Server version"), "{}", listing[0]);
    listing[4..].sort();
    let rows = ["-> 192.168.104.69:http Tunnel 1 0 0", "-> 192.168.113.23:http Tunnel 1 0 0"];
    assert_eq!(listing[4..], rows);

    assert_eq!(seed.ask(4), ["rs1", "rs1", "rs2", "rs2"], "rr");
    connections(&seed);
    drop(evidence);

    seed.goes_and_comes(&[("rs2", 1)], "down");
    seed.apply("quiesce_server = 0", "quiesce_server = 1");
    seed.goes_and_comes(&[("rs1", 0), ("rs2", 1)], "inhibited");
}

/// `ipvsadm -lcn`, as the seed prints it: connections that were closed, and one whose server does
/// not take packets for the virtual address, though its nginx is well.
fn connections(seed: &Seed) {
    let site = &seed.site;
    site.xlvs("rs1", "realserver stop");
    let nobody = || {
        let target = SocketAddr::from((VIP, 80));
        TcpStream::connect_timeout(&target, Duration::from_millis(300)).is_err()
    };
    let refused: Vec<bool> =
        (0..2).map(|_| site.lab.host("client").enter(nobody).unwrap()).collect();
    assert!(refused.contains(&true), "every other one goes to the first server");
    let listing = lines(&site.run("director", "ipvsadm", &["-lcn"]));
    assert_eq!(
        listing[..2],
        ["IPVS connection entries", "pro expire state source virtual destination"]
    );
    let (mut closed, mut waiting) = (Vec::new(), 0);
    for line in &listing[2..] {
        let words: Vec<&str> = line.split(' ').collect();
        let [protocol, expire, state, source, target, server] = words[..] else { panic!("{line}") };
        assert_eq!((protocol, target), ("TCP", "192.168.104.99:80"), "{line}");
        assert!(source.starts_with("192.168.14.206:"), "{line}");
        let (minutes, seconds) = expire.split_once(':').unwrap();
        let left: u32 = minutes.parse::<u32>().unwrap() * 60 + seconds.parse::<u32>().unwrap();
        match state {
            "FIN_WAIT" => {
                assert!(left <= 120, "{line}");
                closed.push(server.to_owned());
            }
            "SYN_RECV" => {
                assert!(left <= 60, "{line}");
                assert_eq!(server, "192.168.104.69:80", "{line}");
                waiting += 1;
            }
            // The other of the two, which was dropped as soon as it stood.
            other => assert!(matches!(other, "ESTABLISHED" | "CLOSE_WAIT"), "{line}"),
        }
    }
    for server in ["192.168.104.69:80", "192.168.113.23:80"] {
        assert!(closed.iter().filter(|one| *one == server).count() >= 2, "{listing:?}");
    }
    assert_eq!(waiting, 1, "{listing:?}");
    site.xlvs("rs1", &format!("realserver start --vip {VIP} --mode tun"));
}

#[test]
fn the_address_is_there_while_the_file_asks_for_it() {
    let Some(mut seed) = Seed::start() else { return };
    let site = &mut seed.site;
    let run = |site: &mut Site| site.start_director("--interface eth0");
    let detach = |site: &Site| {
        site.xlvs("director", "detach");
        let gone = || (!site.attempt("director", "status").status.success()).then_some(());
        wait_until("the daemon to end", LONG, gone).unwrap();
    };
    let once = |site: &Site| {
        let addresses = site.lab.host("director").netlink().addresses().unwrap();
        addresses.iter().filter(|at| at.address == VIP).count() == 1
    };
    let ip = find_program("ip").unwrap();
    let labels = site.run("director", ip, &["addr", "show", "label", "eth0:0"]);
    assert!(labels.contains("192.168.104.99/32"), "{labels}");

    // A crash and a stop leave it, as they leave the forwarding; the next daemon knows it.
    detach(site);
    assert!(!has_vip(site), "detached");
    let daemon = run(site);
    assert!(once(site), "it is ready with its address");
    site.kill(daemon);
    assert!(once(site), "a crash");
    run(site);
    assert!(once(site), "the next daemon");

    // The service leaves the file.
    seed.apply("virtual JBOSS {\nactive = 1", "virtual JBOSS {\nactive = 0");
    let site = &mut seed.site;
    assert!(!has_vip(site), "nothing asks for it");
    seed.apply("serial_no = 294", "serial_no = 295");
    let site = &mut seed.site;
    assert!(once(site), "it is asked for again");

    // Taken off by hand it is put on again; what was there before is nobody's to take off.
    let netlink = site.lab.host("director").netlink();
    netlink.remove_address("eth0", VIP, 32).unwrap();
    wait_until("the address to be put right", LONG, || once(site).then_some(())).unwrap();
    detach(site);
    assert!(!has_vip(site), "detached again");
    site.lab.host("director").netlink().add_address("eth0", VIP, 32).unwrap();
    run(site);
    assert!(once(site), "it was there before");
    detach(site);
    assert!(once(site), "so it stays");
}

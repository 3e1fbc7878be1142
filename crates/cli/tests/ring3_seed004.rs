//! Seed 004, its three scripts as they are: PCC, PPC and PNMPP keep a client on one server for the
//! time given, while other clients spread. Needs root and iptables; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use xlvs_testkit::{Evidence, HostPlan, Net, Plan, addresses, find_program, peers::Load};

use site::{Site, skip};

const VIP: Ipv4Addr = Ipv4Addr::new(172, 16, 100, 1);
/// The seed's real servers, by the last byte of their addresses.
const SERVERS: [u8; 4] = [10, 11, 20, 21];
/// The ends and the middle of the range that the seed's FTP has, too.
const PORTS: [u16; 8] = [21, 25, 80, 443, 9999, 10000, 15000, 20000];
const CLIENTS: u16 = 20;

/// One network, with the seed's own addresses.
fn plan() -> Plan {
    let lan = |address| Net { address, prefix: 16 };
    let mut clients = vec![lan(Ipv4Addr::new(172, 16, 0, 100))];
    clients.extend(sources().map(lan));
    let director = vec![lan(Ipv4Addr::new(172, 16, 0, 110)), Net::host(VIP)];
    let mut hosts = vec![
        HostPlan::new("client").link("eth0", "lan", clients),
        HostPlan::new("director").link("eth0", "lan", director),
    ];
    hosts.extend(SERVERS.map(|n| {
        let address = vec![lan(Ipv4Addr::new(172, 16, 100, n))];
        HostPlan::new(&format!("rs{n}")).link("eth0", "lan", address)
    }));
    Plan::of(&["lan"], hosts)
}

fn sources() -> impl Iterator<Item = Ipv4Addr> {
    addresses(Ipv4Addr::new(172, 16, 16, 1), CLIENTS)
}

/// A server on every port of a host, which answers with its name. Dropped, it ends.
struct Web {
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl Web {
    fn start(site: &Site, host: &str) -> Self {
        let listen = |port| {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let listeners = site.lab.host(host).enter(|| PORTS.map(listen)).unwrap();
        let (stop, name) = (Arc::new(AtomicBool::new(false)), host.to_owned());
        let stopped = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let calls = listeners.iter().filter_map(|listener| listener.accept().ok());
                // A client that goes away ends its own request only.
                if calls.map(|(stream, _)| drop(answer(stream, &name))).count() == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        Self { stop, worker: Some(worker) }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.worker.take().map(JoinHandle::join));
    }
}

fn answer(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // All of it: what is closed with words unread is reset.
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len())
}

/// The seed's site with one of its scripts run; the servers.
fn start(script: &str) -> Option<(Site, Vec<Web>)> {
    if let Err(reason) = find_program("iptables") {
        skip(&format!("{reason}, and the seed's script calls it"));
        return None;
    }
    let mut site = Site::build(&plan())?;
    let mut webs = Vec::new();
    for n in SERVERS {
        let host = format!("rs{n}");
        site.xlvs(&host, &format!("realserver start --vip {VIP}"));
        webs.push(Web::start(&site, &host));
    }
    site.start_director("--interface eth0");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(script);
    assert_eq!(site.run("director", "/bin/sh", &[path.to_str().unwrap()]), "");
    site.await_next_hops();
    Some((site, webs))
}

/// Who answers this client on this port; None: refused.
fn ask(site: &Site, client: Ipv4Addr, port: u16) -> Option<String> {
    let target = SocketAddr::new(VIP.into(), port);
    let load = Load { target, sources: vec![IpAddr::V4(client)], requests: 1, at_once: 1 };
    let tally = load.run(site.lab.host("client")).unwrap();
    tally.hosts.into_keys().next()
}

/// Who answers each client on the first of these ports; who does on the others must be the same, by
/// turns of the clients and again.
fn stay(site: &Site, ports: &[u16]) -> BTreeMap<Ipv4Addr, String> {
    let first = |client| (client, ask(site, client, ports[0]).unwrap());
    let homes: BTreeMap<_, _> = sources().map(first).collect();
    for port in ports.iter().chain(ports) {
        for (client, home) in &homes {
            assert_eq!(ask(site, *client, *port).as_ref(), Some(home), "{client} on {port}");
        }
    }
    homes
}

/// How many clients each server has.
fn spread(homes: &BTreeMap<Ipv4Addr, String>) -> BTreeMap<&str, usize> {
    let mut spread = BTreeMap::new();
    for home in homes.values() {
        *spread.entry(home.as_str()).or_default() += 1;
    }
    spread
}

/// The templates of `ipvsadm -Lnc --persistent-conn`, by client and by what they are for: the
/// seconds left and the server.
fn templates(site: &Site) -> BTreeMap<(Ipv4Addr, String), (u32, String)> {
    let list = site.run("director", "ipvsadm", &["-Lnc", "--persistent-conn"]);
    let template = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let client = words.get(3)?.strip_suffix(":0")?.parse().ok()?;
        let (minutes, seconds) = words[1].split_once(':')?;
        let left = 60 * minutes.parse::<u32>().ok()? + seconds.parse::<u32>().ok()?;
        let to = format!("{} {}", words[0], words[4]);
        Some(((client, to), (left, words[5].to_owned())))
    };
    list.lines().filter_map(template).collect()
}

/// Each client has a template for `to` that holds it on its server for `timeout` seconds from its
/// last connection, which was a moment ago.
fn held(site: &Site, homes: &BTreeMap<Ipv4Addr, String>, to: &str, timeout: u32) {
    let list = templates(site);
    for (client, home) in homes {
        let (left, server) = &list[&(*client, to.to_owned())];
        assert!((timeout - 60..=timeout).contains(left), "{client}: {left} s of {timeout}");
        let address = format!("172.16.100.{}:", home.trim_start_matches("rs"));
        assert!(server.starts_with(&address), "{client} on {home}, its template on {server}");
    }
}

#[test]
fn pcc_keeps_a_client_on_one_server_for_all_ports() {
    let Some((site, _webs)) = start("004-pcc.sh") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let homes = stay(&site, &[80, 443, 21, 10000, 15000, 20000]);
    assert_eq!(spread(&homes), BTreeMap::from([("rs10", 10), ("rs11", 10)]));
    held(&site, &homes, "TCP 172.16.100.1:0", 3600);
    assert_eq!(templates(&site).len(), usize::from(CLIENTS), "one for each client");
    drop(evidence);
}

#[test]
fn ppc_keeps_a_client_on_one_server_for_each_port() {
    let Some((site, _webs)) = start("004-ppc.sh") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let homes = stay(&site, &[80]);
    assert_eq!(spread(&homes), BTreeMap::from([("rs10", 10), ("rs11", 10)]));
    // Another service, another server, whoever serves the client on port 80.
    let mail = stay(&site, &[25]);
    assert_eq!(spread(&mail), BTreeMap::from([("rs11", 20)]));
    assert_eq!(stay(&site, &[80]), homes, "and that is as it was");
    held(&site, &homes, "TCP 172.16.100.1:80", 3600);
    held(&site, &mail, "TCP 172.16.100.1:25", 3600);
    assert_eq!(ask(&site, Ipv4Addr::new(172, 16, 16, 1), 443), None, "there is no such service");
    drop(evidence);
}

#[test]
fn pnmpp_keeps_a_client_on_one_server_for_all_ports_of_a_mark() {
    let Some((site, _webs)) = start("004-pnmpp.sh") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let web = stay(&site, &[80, 443]);
    assert_eq!(spread(&web), BTreeMap::from([("rs10", 10), ("rs11", 10)]));
    let ftp = stay(&site, &[21, 10000, 15000, 20000]);
    assert_eq!(spread(&ftp), BTreeMap::from([("rs20", 10), ("rs21", 10)]));
    assert_eq!(stay(&site, &[443, 80]), web, "and the other mark's clients are where they were");
    held(&site, &web, "IP 0.0.0.8:0", 600);
    held(&site, &ftp, "IP 0.0.0.10:0", 1800);
    assert_eq!(ask(&site, Ipv4Addr::new(172, 16, 16, 1), 9999), None, "a port without a mark");
    drop(evidence);
}

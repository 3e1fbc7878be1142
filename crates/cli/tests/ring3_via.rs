//! Checks by the way of clients' packets (`via_forwarding`): a server that answers for its own
//! address and not for the virtual one is found, by direct routing and by tunnel. Needs root; says
//! so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{fs, net::Ipv4Addr, path::Path, process::Command};

use serde_json::Value;
use xlvs_testkit::{addresses, peers::HttpServer, wait_until};

use site::{
    LONG, Site,
    rows::{Row, direct_routing, tunnel},
};

/// A service checked by its virtual address, and one of the same servers checked by their own.
struct Checked {
    site: Site,
    row: Row,
    daemon: usize,
    _servers: Vec<HttpServer>,
}

impl Checked {
    fn start(row: Row) -> Option<Self> {
        let mut site = Site::build(&row.plan)?;
        let mut servers = Vec::new();
        for name in ["rs1", "rs2"] {
            site.xlvs(name, row.prepare);
            let everywhere = "0.0.0.0:80".parse().unwrap();
            servers.push(HttpServer::start(site.lab.host(name), everywhere).unwrap());
        }
        let path = site.lab.folder().join("keepalived.conf");
        fs::write(&path, configuration(&row)).unwrap();
        let daemon = site.start_director(&format!("{} -c {}", row.interfaces, path.display()));
        site.await_next_hops();
        let checked = Self { site, row, daemon, _servers: servers };
        for (number, service) in [(0, VIRTUAL), (1, VIRTUAL), (0, OWN), (1, OWN)] {
            checked.await_result(number, service, "good");
        }
        Some(checked)
    }

    fn address(&self, number: usize) -> Ipv4Addr {
        addresses(self.row.first, 2).nth(number).unwrap()
    }

    /// A server as one of the services has it.
    fn shown(&self, number: usize, service: u16) -> Value {
        let line = format!("server show {} -o json", self.address(number));
        let shown: Value = serde_json::from_str(&self.site.xlvs("director", &line)).unwrap();
        let service = format!("tcp:{}:{service}", self.row.vip);
        let row = shown.as_array().unwrap().iter().find(|row| row["service"] == service.as_str());
        row.unwrap_or_else(|| panic!("{service}: {shown}\n{}", self.site.lab.logs())).clone()
    }

    fn result(&self, number: usize, service: u16) -> String {
        let shown = self.shown(number, service);
        shown["checks"][0]["results"][0]["result"].as_str().unwrap_or_default().to_owned()
    }

    fn await_result(&self, number: usize, service: u16, expected: &str) {
        let found = || self.result(number, service).starts_with(expected).then_some(());
        let waited = wait_until("a check's result", LONG, found);
        let shown = || self.shown(number, service);
        assert!(waited.is_ok(), "{service} {expected}: {}\n{}", shown(), self.site.lab.logs());
    }

    /// `up` or `down` or the like.
    fn state(&self, number: usize, service: u16) -> String {
        let shown = self.shown(number, service);
        shown["server"]["standing"]["state"].as_str().unwrap_or("up").to_owned()
    }

    fn await_state(&self, number: usize, service: u16, expected: &str) {
        let found = || (self.state(number, service) == expected).then_some(());
        let waited = wait_until("a server's state", LONG, found);
        let shown = || self.shown(number, service);
        assert!(waited.is_ok(), "{service} {expected}: {}\n{}", shown(), self.site.lab.logs());
    }

    /// The first server loses its virtual address and gets it back.
    fn it_finds_what_an_ordinary_check_does_not(&self) {
        let up = self.state(0, VIRTUAL);
        let name = self.shown(0, VIRTUAL)["checks"][0]["name"].as_str().unwrap().to_owned();
        assert!(name.contains(&format!("for {}:{VIRTUAL} by", self.row.vip)), "{name}");
        self.site.xlvs("rs1", &format!("realserver stop --vip {}", self.row.vip));
        self.await_state(0, VIRTUAL, "down");
        let why = self.result(0, VIRTUAL);
        let said = format!("no answer for the virtual address {}:{VIRTUAL}", self.row.vip);
        assert!(why.starts_with(&said), "{why}");
        let people = self.site.xlvs("director", &format!("server show {}", self.address(0)));
        assert!(people.contains(&said), "{people}");
        assert_eq!(self.state(0, OWN), up, "its own address answers as ever");
        assert_eq!(self.state(1, VIRTUAL), up, "and the other server is not concerned");
        self.site.xlvs("rs1", self.row.prepare);
        self.await_state(0, VIRTUAL, &up);
        self.await_result(0, VIRTUAL, "good");
    }

    /// Clients' counters have seen nothing of it.
    fn nothing_is_counted(&self) {
        let listing = self.site.xlvs("director", "ipvsadm -Ln --stats");
        let rows: Vec<&str> = listing.lines().filter(|line| line.contains("->")).skip(1).collect();
        assert_eq!(rows.len(), 4, "{listing}");
        for row in rows {
            let numbers: Vec<&str> = row.split_whitespace().skip(2).collect();
            assert!(numbers.iter().all(|number| *number == "0"), "{listing}");
        }
        let connections = self.site.xlvs("director", "ipvsadm -Lnc");
        assert!(!connections.contains(self.row.vip), "{connections}");
    }

    /// The daemon's children that hold a namespace.
    fn holders(&self) -> Vec<String> {
        let status = self.site.xlvs("director", "status -o json");
        let status: Value = serde_json::from_str(&status).unwrap();
        let parent = format!("\nPPid:\t{}\n", status["pid"]);
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
        let is_holder = |pid: &String| {
            let read = |name| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
            read("status").contains(&parent) && read("cmdline").contains("check-namespace")
        };
        pids.filter(is_holder).collect()
    }

    /// Interfaces, rules and routes of the director.
    fn network(&self) -> String {
        let show = |args: &[&str]| self.site.run("director", "/usr/sbin/ip", args);
        let links = show(&["-br", "link"]);
        format!("{links}{}{}", show(&["rule"]), show(&["route", "show", "table", "all"]))
    }
}

/// Port 80 is asked by the virtual address, port 443 by the servers' own.
fn configuration(row: &Row) -> String {
    let kind = if row.method == "-i" { "TUN" } else { "DR" };
    let pace = "connect_timeout 1\n retry 1\n delay_before_retry 1\n warmup 0\n";
    let [first, second] = [0, 1].map(|n| addresses(row.first, 2).nth(n).unwrap());
    let vip = row.vip;
    let terms = format!("delay_loop 1\n lb_algo rr\n lb_kind {kind}\n protocol TCP\n");
    let head = |port: u16| format!("virtual_server {vip} {port} {{\n {terms}");
    // A long answer comes in pieces that the kernel merges.
    let page = "url {\n path /bytes/1000000\n regex never-to-be-found\n regex_no_match\n }\n";
    format!(
        "{}real_server {first} 80 {{\n TCP_CHECK {{\n via_forwarding\n {pace} }}\n }}\n\
         real_server {second} 80 {{\n HTTP_GET {{\n via_forwarding\n {page} {pace} }}\n }}\n}}\n\
         {}real_server {first} 443 {{\n TCP_CHECK {{\n connect_port 80\n {pace} }}\n }}\n\
         real_server {second} 443 {{\n TCP_CHECK {{\n connect_port 80\n {pace} }}\n }}\n}}\n",
        head(VIRTUAL),
        head(OWN),
    )
}

/// Asked by the virtual address.
const VIRTUAL: u16 = 80;
/// Asked by the servers' own addresses.
const OWN: u16 = 443;

fn check(row: Row) {
    let Some(mut checked) = Checked::start(row) else { return };
    let network = checked.network();
    for trace in ["xlvs0", "xlvs1"] {
        assert!(!network.contains(trace), "nothing is made in the director's own: {network}");
    }
    checked.it_finds_what_an_ordinary_check_does_not();
    checked.nothing_is_counted();
    // Killed, the daemon leaves no namespace behind, and the next one makes its own.
    let holders = checked.holders();
    assert_eq!(holders.len(), 1, "{holders:?}");
    checked.site.kill(checked.daemon);
    let gone = || (!Path::new("/proc").join(&holders[0]).exists()).then_some(());
    wait_until("the namespace's holder to end", LONG, gone).unwrap();
    let path = checked.site.lab.folder().join("keepalived.conf");
    checked.site.start_director(&format!("-c {}", path.display()));
    checked.await_result(0, VIRTUAL, "good");
    checked.await_result(1, VIRTUAL, "good");
    // One whose holder is lost makes another.
    let holders = checked.holders();
    assert!(Command::new("kill").args(["-9", &holders[0]]).status().unwrap().success());
    let another = || {
        let now = checked.holders();
        (now.len() == 1 && now != holders).then_some(())
    };
    wait_until("another holder", LONG, another).unwrap();
    checked.await_result(0, VIRTUAL, "good");
    assert_eq!(checked.network(), network);
    checked.site.xlvs("director", "detach");
}

#[test]
fn direct_routing_is_checked_as_clients_see_it() {
    check(direct_routing());
}

#[test]
fn a_tunnel_is_checked_as_clients_see_it() {
    check(tunnel());
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let rows = [
        ("10.0.0.1 80", "DR", "10.0.1.1 80", "TCP_CHECK", "via_forwarding", ""),
        ("10.0.0.1 80", "TUN", "10.0.1.1 80", "TCP_CHECK", "via_forwarding\n bindto 10.0.0.2", ""),
        ("10.0.0.1 80", "DR", "10.0.1.1 80", "TCP_CHECK", "via_forwarding no\n fwmark 1", ""),
        (
            "10.0.0.1 80",
            "DR",
            "10.0.1.1 80",
            "PING_CHECK",
            "via_forwarding",
            "it belongs in HTTP_GET and SSL_GET or TCP_CHECK",
        ),
        (
            "fwmark 3",
            "DR",
            "10.0.1.1 80",
            "TCP_CHECK",
            "via_forwarding",
            "via_forwarding without a virtual address",
        ),
        (
            "fd00::1 80",
            "DR",
            "fd00::5 80",
            "TCP_CHECK",
            "via_forwarding",
            "via_forwarding for IPv6",
        ),
        (
            "10.0.0.1 80",
            "DR",
            "10.0.1.1 80",
            "TCP_CHECK",
            "via_forwarding\n connect_port 81",
            "via_forwarding beside connect_ip or connect_port",
        ),
        (
            "10.0.0.1 80",
            "DR",
            "10.0.1.1 80",
            "TCP_CHECK",
            "via_forwarding\n fwmark 1",
            "via_forwarding beside bind_if, bind_port or fwmark",
        ),
        (
            "10.0.0.1 80",
            "NAT",
            "10.0.1.1 80",
            "TCP_CHECK",
            "via_forwarding",
            "via_forwarding changes nothing by NAT",
        ),
    ];
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("via.conf");
    for (service, kind, server, check, words, expected) in rows {
        let text = format!(
            "virtual_server {service} {{\n delay_loop 1\n lb_algo rr\n lb_kind {kind}\n \
             real_server {server} {{\n {check} {{\n {words}\n }}\n }}\n}}\n"
        );
        fs::write(&path, &text).unwrap();
        let output = Command::new(site::XLVS).arg("check").arg(&path).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        let refused = !expected.is_empty() && kind != "NAT";
        assert_eq!(output.status.success(), !refused, "{text}: {told}");
        assert!(told.contains(expected), "{text}: {told}");
    }
}

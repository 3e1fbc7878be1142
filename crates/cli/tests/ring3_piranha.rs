//! What Piranha did around services: failover services, the second of a pair, weights by load, and
//! gratuitous ARP. Needs root, and nginx for failover services; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;
use xlvs_testkit::{Net, Plan, find_program, peers::HttpServer, wait_until};

use site::{LONG, Site, dial::SILENCE, skip};

const VIP: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 113);

/// One network; nobody has the virtual address.
fn site() -> Option<Site> {
    let mut plan = Plan::one_arm(1, 1);
    for link in plan.hosts.iter_mut().flat_map(|host| &mut host.links) {
        link.addresses.retain(|address| *address != Net::host(VIP));
    }
    Site::build(&plan)
}

fn has_vip(site: &Site) -> bool {
    let addresses = site.lab.host("director").netlink().addresses().unwrap();
    addresses.iter().any(|at| at.address == VIP)
}

/// Writes `lvs.cf`.
fn write(site: &Site, text: &str) -> PathBuf {
    let path = site.lab.folder().join("lvs.cf");
    fs::write(&path, text).unwrap();
    path
}

/// Puts it in force.
fn apply(site: &Site, path: &Path) {
    let done = site.attempt("director", &format!("apply {}", path.display()));
    assert!(done.status.success(), "{done:?}");
}

fn program(site: &Site, name: &str, text: &str) -> String {
    let path = site.lab.folder().join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn events(site: &Site) -> String {
    site.xlvs("director", "events -o json")
}

/// A service of one server, asked every second.
fn with(lines: &str) -> String {
    format!(
        "primary = 172.16.0.110\nbackup = 172.16.0.111\nnetwork = direct\nvirtual web {{\nactive = \
         1\naddress = {VIP} eth0:7\nvip_nmask = 255.255.255.255\nscheduler = wlc\ntimeout = \
         1\nreentry = 1\n{lines}\nserver one {{\naddress = 172.16.0.114\nactive = 1\nweight = \
         100\n}}\n}}\n"
    )
}

#[test]
fn weights_follow_loads_and_say_why() {
    let Some(mut site) = site() else { return };
    let server = HttpServer::start(site.lab.host("rs1"), "0.0.0.0:80".parse().unwrap()).unwrap();
    let load = site.lab.folder().join("load");
    fs::write(&load, "0.00").unwrap();
    let asks = program(
        &site,
        "ask",
        &format!("echo \"$1 up, load average: $(cat {}), 0.10, 0.20\"", load.display()),
    );
    let path = write(&site, &with(&format!("load_monitor = {asks}")));
    site.start_director(&format!("--interface eth0 -c {}", path.display()));
    let told = || {
        let shown = site.xlvs("director", "server show 172.16.0.114");
        shown.contains("weight 150 at load 0.00").then_some(shown)
    };
    let shown = wait_until("the weight to grow", LONG, told).unwrap();
    assert!(shown.contains(&format!("LOAD {asks} 172.16.0.114")), "{shown}");
    let listing = site.run("director", "ipvsadm", &["-Ln"]);
    let weight = |listing: &str| {
        let row = listing.lines().find(|line| line.contains("172.16.0.114:80"))?;
        row.split_whitespace().nth(3)?.parse::<u32>().ok()
    };
    assert!(weight(&listing) >= Some(150), "{listing}");
    fs::write(&load, "9.00").unwrap();
    let shrunk = || {
        let listing = site.run("director", "ipvsadm", &["-Ln"]);
        (weight(&listing) == Some(100)).then_some(())
    };
    wait_until("the weight to shrink to what is written", LONG, shrunk).unwrap();
    drop(server);
}

#[test]
fn everybody_hears_of_the_address_and_a_backup_leaves_it_alone() {
    let Some(mut site) = site() else { return };
    let capture = site.lab.host("client").capture("eth0").unwrap();
    let path = write(&site, &with("").replace("primary", "backup_active = 1\nprimary"));
    let config = format!("--interface eth0 -c {}", path.display());
    site.start_director(&config);
    assert!(has_vip(&site), "this is the primary");
    let heard = || {
        let is_ours = |frame: &[u8]| {
            frame.get(12..14) == Some(&[8, 6]) && frame.get(28..32) == Some(&VIP.octets())
        };
        let frames = capture.frames();
        frames.iter().any(|frame| is_ours(&frame.bytes)).then_some(())
    };
    wait_until("a gratuitous ARP", LONG, heard).unwrap();

    // The same file where `backup` is at home, and its virtual address is the primary's to have.
    let swapped = fs::read_to_string(&path).unwrap();
    let swapped = swapped.replace("backup = 172.16.0.111", "backup = 172.16.0.110");
    write(&site, &swapped.replace("primary = 172.16.0.110", "primary = 172.16.0.109"));
    apply(&site, &path);
    assert!(!has_vip(&site), "the primary has it");
    assert!(events(&site).contains("this is the backup (172.16.0.110)"), "{}", events(&site));
    let status = site.xlvs("director", "status");
    assert!(status.contains("this is the backup (172.16.0.110)"), "{status}");
    let services: Value =
        serde_json::from_str(&site.xlvs("director", "service list -o json")).unwrap();
    assert_eq!(services.as_array().map(Vec::len), Some(1), "it is ready: {services}");
}

/// The failover service answers a client at the virtual address.
fn answers(site: &Site) -> bool {
    let ask = || {
        let target = SocketAddr::from((VIP, 8080));
        let mut stream = TcpStream::connect_timeout(&target, SILENCE).ok()?;
        stream.set_read_timeout(Some(LONG)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains("here").then_some(())
    };
    site.lab.host("client").enter(ask).unwrap().is_some()
}

#[test]
fn a_failover_service_runs_where_its_address_is() {
    if let Err(reason) = find_program("nginx") {
        return skip(&format!("{reason}, the service"));
    }
    let Some(mut site) = site() else { return };
    let folder = site.lab.folder();
    let at = folder.display().to_string();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let nginx = folder.join("nginx.conf");
    let config = format!(
        "pid {at}/nginx.pid;\nerror_log {at}/nginx.log;\nevents {{ }}\nhttp {{\naccess_log \
         off;\n{temporary}server {{\nlisten {VIP}:8080;\nlocation / {{ return 200 \"here\\n\"; \
         }}\n}}\n}}\n"
    );
    fs::write(&nginx, config).unwrap();
    let service = program(
        &site,
        "service",
        &format!(
            "echo $1 >>{at}/commands\nnginx={}\ncase $1 in\nstart) $nginx -c {} -e {at}/nginx.log \
             ;;\nstop) kill $(cat {at}/nginx.pid) && while [ -e {at}/nginx.pid ]; do sleep 0.1; \
             done ;;\nesac",
            find_program("nginx").unwrap().display(),
            nginx.display()
        ),
    );
    let commands = || fs::read_to_string(folder.join("commands")).unwrap_or_default();
    let text = format!(
        "service = fos\nprimary = 172.16.0.110\nfailover web {{\nactive = 1\naddress = {VIP} \
         eth0:1\nport = 8080\ntimeout = 1\nsend = \"GET / HTTP/1.0\\r\\n\\r\\n\"\nexpect = \
         \"HTTP\"\nstart_cmd = \"{service} start\"\nstop_cmd = \"{service} stop\"\n}}\n"
    );
    let path = write(&site, &text);
    let daemon = site.start_director(&format!("--interface eth0 -c {}", path.display()));
    let up = |site: &Site, what: &str| {
        let up = wait_until(what, LONG, || answers(site).then_some(()));
        assert!(up.is_ok(), "{what}: {}\n{}", commands(), site.lab.logs());
    };
    up(&site, "the service to run");
    assert!(has_vip(&site), "with its address");
    assert_eq!(commands(), "stop\nstart\n", "what may run already is stopped first");
    let told = |what: &str| events(&site).contains(what).then_some(());
    wait_until("its first answer", LONG, || told("failover web: answers at")).unwrap();

    // It dies: it is started again, and that is told.
    let kill = |signal: &str| {
        let pid = fs::read_to_string(folder.join("nginx.pid")).unwrap();
        site.run("director", "/bin/kill", &[signal, pid.trim()]);
    };
    kill("-TERM");
    let again = || (commands().matches("start").count() == 2).then_some(());
    wait_until("it to be started again", LONG, again).unwrap();
    up(&site, "the service to run again");
    assert!(told("it is started again").is_some(), "{}", events(&site));

    // A crash of the daemon is none of the service, and the next daemon goes on with it.
    let before = commands();
    site.kill(daemon);
    assert!(answers(&site) && has_vip(&site), "the daemon crashed");
    site.start_director("--interface eth0");
    up(&site, "the service to run under the next daemon");
    assert_eq!(commands(), before, "nothing was started or stopped for that");

    // It leaves the file, and its address with it.
    write(&site, &text.replace("active = 1", "active = 0"));
    apply(&site, &path);
    assert!(!has_vip(&site), "its address is gone");
    assert_eq!(commands(), format!("{before}stop\n"));
    assert!(!answers(&site), "and the service is");
}

//! Where forwarding ends, and what those concerned are told: long packets, lost servers, unknown
//! neighbours, a full table, a full disk; and what is none of the director's business. Needs root;
//! says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use xlvs_testkit::{
    Evidence, Plan, find_program,
    peers::{HttpServer, Load, download, upload},
    wait_until,
};

use site::{
    LONG, Site,
    rows::{Running, start, tunnel},
    skip,
    talk::Talk,
};

/// One network, one server with `xlvs testserver`, DR, more flags of `xlvs run`.
fn one_server(flags: &str) -> Option<Site> {
    let mut site = Site::build(&Plan::one_arm(1, 1))?;
    site.xlvs("rs1", "realserver start --vip 172.16.0.113");
    site.start("rs1", "testserver 2100 --quiet --name rs1", "Listening Port is 2100...");
    site.start_director(&format!("--interface eth0 {flags}"));
    site.xlvs("director", "ipvsadm -A -t 172.16.0.113:2100 -s rr");
    site.xlvs("director", ADD);
    site.await_next_hops();
    Some(site)
}

fn service() -> SocketAddr {
    "172.16.0.113:2100".parse().unwrap()
}

#[test]
fn a_tunnel_tells_clients_its_mtu() {
    let row = tunnel();
    let Some(running) = start(&row, "rr", "--connections 65536") else { return };
    let Running { site, target, servers, .. } = &running;
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    // Linux sets DF on every TCP segment, and begins with the whole 1500 bytes.
    site.lab.host("client").enter(|| upload(*target, 4 << 20)).unwrap().unwrap();
    site.lab.host("client").enter(|| download(*target, 4 << 20)).unwrap().unwrap();
    assert!(site.packets("sent_frag_needed") > 0);
    let learnt = site.run("client", find_program("ip").unwrap(), &["route", "get", row.vip]);
    assert!(learnt.contains("mtu 1480"), "{learnt}");
    drop(evidence);
    assert_eq!(servers.len(), 3);
}

#[test]
fn a_server_that_was_removed_stalls_and_revives() {
    let Some(site) = one_server("--connections 65536") else { return };
    let mut talk = Talk::open(&site, service());
    site.xlvs("director", "set profile=kernel");
    site.xlvs("director", "ipvsadm -d -t 172.16.0.113:2100 -r 172.16.0.114:2100");
    talk.be_patient(Duration::from_secs(1));
    // As the kernel does with expire_nodest_conn=0: nothing comes, and nothing breaks.
    let stalled = talk.say("is somebody there?").unwrap_err().kind();
    assert!(matches!(stalled, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stalled}");
    assert!(site.packets("server_removed") > 0);
    let refused = site.lab.host("client").enter(|| TcpStream::connect(service()).map(drop));
    assert_eq!(refused.unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(site.packets("sent_port_unreachable") > 0);

    site.xlvs("director", ADD);
    talk.be_patient(LONG);
    assert_eq!(talk.hear().unwrap(), "rs1", "what was said meanwhile is answered");
    talk.goes_on("there it is");
}

#[test]
fn a_server_that_comes_late_needs_no_restart() {
    let Some(mut site) = Site::build(&Plan::one_arm(1, 1)) else { return };
    let server = site.lab.host("rs1").netlink();
    server.set_up("eth0", false).unwrap();
    site.start_director("--interface eth0 --connections 65536");
    site.xlvs("director", "ipvsadm -A -t 172.16.0.113:2100 -s rr");
    site.xlvs("director", ADD);
    let dial = |patience| TcpStream::connect_timeout(&service(), patience).map(drop);
    let client = site.lab.host("client");
    let lost = client.enter(|| dial(Duration::from_millis(300))).unwrap().unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::TimedOut);
    assert!(site.packets("no_neighbour") > 0);
    let status = site.xlvs("director", "status");
    assert!(status.contains("server 172.16.0.114 gets no packets"), "{status}");

    site.lab.host("rs1").netlink().set_up("eth0", true).unwrap();
    site.xlvs("rs1", "realserver start --vip 172.16.0.113");
    site.start("rs1", "testserver 2100 --quiet --name rs1", "Listening Port is 2100...");
    site.await_next_hops();
    Talk::open(&site, service()).goes_on("awake");
}

#[test]
fn a_full_table_refuses_new_connections_only() {
    let Some(site) = one_server("--connections 16") else { return };
    let client = site.lab.host("client");
    let mut talks = Vec::new();
    // A SYN that finds no room is dropped, and repeated by the client: wait for none of them.
    let dial = || TcpStream::connect_timeout(&service(), Duration::from_millis(500));
    for _ in 0..64 {
        match client.enter(dial).unwrap() {
            Ok(stream) => talks.push(stream),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                break;
            }
        }
    }
    assert!((8..64).contains(&talks.len()), "{} connections", talks.len());
    assert!(site.packets("table_full") > 0);
    for talk in &mut talks {
        talk.set_read_timeout(Some(LONG)).unwrap();
        talk.write_all(b"still here\n").unwrap();
        let mut answer = [0; 64];
        let length = talk.read(&mut answer).unwrap();
        assert_eq!(&answer[..length], b"it's from the host: rs1\n");
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let Some(site) = one_server("--connections 65536") else { return };
    let everywhere = "0.0.0.0:22".parse().unwrap();
    let own = HttpServer::start(site.lab.host("director"), everywhere).unwrap();
    // The director's own server, on another port of the virtual address.
    let target = "172.16.0.113:22".parse().unwrap();
    let load = Load { target, sources: Vec::new(), requests: 50, at_once: 4 };
    let tally = load.run(site.lab.host("client")).unwrap();
    assert_eq!(tally.faults, Vec::<String>::new());
    assert_eq!(tally.hosts.into_iter().collect::<Vec<_>>(), [("director".to_owned(), 50)]);
    site.lab.host("client").enter(|| upload(target, 1 << 20)).unwrap().unwrap();
    drop(own);
    // Nobody listens there: the kernel says so itself.
    let refused = site.lab.host("client").enter(|| TcpStream::connect("172.16.0.113:23").map(drop));
    assert_eq!(refused.unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    // The director as a client.
    let far = site.lab.host("rs1").enter(|| TcpListener::bind("172.16.0.114:23")).unwrap().unwrap();
    site.lab.host("director").enter(|| TcpStream::connect("172.16.0.114:23")).unwrap().unwrap();
    drop(far);
    match find_program("ping") {
        Ok(ping) => drop(site.run("client", ping, &["-c", "3", "-i", "0.2", "172.16.0.113"])),
        Err(why) => skip(&why),
    }
}

#[test]
fn a_full_disk_is_reported_and_the_old_state_kept() {
    let Some(mut site) = Site::build(&Plan::one_arm(1, 1)) else { return };
    let disk = site.lab.folder().join("state");
    fs::create_dir(&disk).unwrap();
    mount("tmpfs", &disk, "tmpfs", MountFlags::empty(), Some(c"size=64k")).unwrap();
    site.start_director("--interface eth0 --instance web --connections 65536");
    site.xlvs("director", "service add tcp:172.16.0.113:80 --instance web");
    let state = disk.join("web/state.json");
    let before = fs::read_to_string(&state).unwrap();
    let filler = disk.join("filler");
    let full = fs::write(&filler, vec![0; 128 << 10]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);

    // The journal's last page takes a few changes more.
    let unsaved = (81..300).find(|port| {
        let add = format!("service add tcp:172.16.0.113:{port} --instance web");
        let output = site.attempt("director", &add);
        String::from_utf8_lossy(&output.stderr).contains("not saved")
    });
    let unsaved = format!("172.16.0.113:{}", unsaved.expect("a journal has an end"));
    assert_eq!(fs::read_to_string(&state).unwrap(), before);
    let listing = site.xlvs("director", "service list --instance web");
    assert!(listing.contains(&unsaved), "in force: {listing}");
    let status = site.xlvs("director", "status --instance web");
    assert!(status.contains("not saved"), "{status}");

    fs::remove_file(&filler).unwrap();
    let saved = || fs::read_to_string(&state).unwrap().contains(&unsaved).then_some(());
    wait_until("the state to be saved after all", LONG, saved).unwrap();
    site.xlvs("director", "detach --instance web");
    let _ = unmount(&disk, UnmountFlags::DETACH); // the lab's removal does it too
}

#[test]
fn the_state_outlives_a_detach() {
    let Some(mut site) = one_server("--connections 65536") else { return };
    let table = site.xlvs("director", "ipvsadm -Ln");
    let saved = site.xlvs("director", "ipvsadm -Sn");
    site.xlvs("director", "detach");
    wait_until("the director to go", LONG, || {
        (!site.attempt("director", "status").status.success()).then_some(())
    })
    .unwrap();
    // Nothing forwards any more: the director's own kernel answers.
    let dial = || TcpStream::connect_timeout(&service(), LONG).map(drop);
    let refused = site.lab.host("client").enter(dial).unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    site.start_director("");
    site.await_next_hops();
    assert_eq!(site.xlvs("director", "ipvsadm -Ln"), table);
    assert_eq!(site.xlvs("director", "ipvsadm -Sn"), saved);
    Talk::open(&site, service()).goes_on("back again");
}

const ADD: &str = "ipvsadm -a -t 172.16.0.113:2100 -r 172.16.0.114:2100 -g";

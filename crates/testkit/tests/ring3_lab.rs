//! Labs are built, carry packets, and leave nothing behind. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a failing test is a panic")]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use xlvs_testkit::{Evidence, Lab, Plan, labs, netns, remove, sweep, wait_until};

/// Only root can make namespaces.
fn skipped() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: making network namespaces needs root");
    }
    !root
}

/// A connection from `client`, bound to `source`, to `server`; the answer names the client.
fn talk(lab: &Lab, client: &str, server: &str, target: &str, source: &str) -> String {
    let target: SocketAddr = target.parse().unwrap();
    let listener = lab.host(server).enter(|| TcpListener::bind(target)).unwrap().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        stream.write_all(peer.ip().to_string().as_bytes()).unwrap();
    });
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    let stream = lab.host(client).enter(|| connect(source, target)).unwrap();
    let mut answer = String::new();
    { stream }.read_to_string(&mut answer).unwrap();
    answering.join().unwrap();
    answer
}

fn connect(source: SocketAddr, target: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &source).unwrap();
    connect(&socket, &target).unwrap();
    socket.into()
}

/// As by a network card with several queues: else two processors that get an ACK and a request of
/// one connection at once reset it now and then.
#[test]
fn a_flow_is_received_by_one_processor() {
    if skipped() {
        return;
    }
    let lab = Lab::build(&Plan::one_arm(1, 1)).unwrap();
    let processors = std::thread::available_parallelism().unwrap().get();
    for host in lab.hosts() {
        let queue = "/sys/class/net/eth0/queues/rx-0/rps_cpus";
        let mut command = Command::new("ip");
        let said =
            command.args(["netns", "exec", host.namespace(), "cat", queue]).output().unwrap();
        let mask = String::from_utf8(said.stdout).unwrap();
        let group = mask.trim().rsplit(',').next().unwrap();
        let spread = u32::from_str_radix(group, 16).unwrap().count_ones();
        assert_eq!(spread as usize, processors.min(32), "{}: {mask}", host.name());
    }
}

#[test]
fn packets_pass_in_every_topology() {
    if skipped() {
        return;
    }
    // (plan, client, server, server's address, one of the client's addresses)
    let rows = [
        (Plan::one_arm(2, 3), "client", "rs2", "172.16.0.115:80", "172.16.16.2"),
        (Plan::two_arm(1, 250), "director", "rs1", "10.2.0.21:80", "10.2.0.1"),
        (Plan::behind_router(1, 1), "client", "rs1", "10.3.0.21:80", "10.1.0.100"),
    ];
    for (plan, client, server, target, source) in rows {
        let lab = Lab::build(&plan).unwrap();
        assert_eq!(talk(&lab, client, server, target, source), source);
    }
}

#[test]
fn a_dropped_lab_leaves_nothing() {
    if skipped() {
        return;
    }
    let lab = Lab::build(&Plan::one_arm(1, 1)).unwrap();
    let host = lab.host("rs1");
    let mut sleeper = host.command("sleep").unwrap();
    sleeper.arg("600");
    let mut process = host.spawn("sleep", sleeper).unwrap();
    process.leave();
    let (pid, namespace, folder) = (process.id(), netns::path(host.namespace()), lab.folder());
    assert!(namespace.exists() && folder.exists());
    let prefix = lab.prefix().to_owned();
    assert!(labs().contains(&prefix));
    drop(lab);
    assert!(!namespace.exists() && !folder.exists() && !labs().contains(&prefix));
    wait_until("the end of sleep", Duration::from_secs(5), || process.ended()).unwrap();
    let _ = pid;
}

#[test]
fn a_panic_takes_the_lab_away() {
    if skipped() {
        return;
    }
    let folder = std::panic::catch_unwind(|| {
        let lab = Lab::build(&Plan::one_arm(1, 1)).unwrap();
        std::panic::panic_any(lab.folder());
    });
    let folder = folder.unwrap_err().downcast::<std::path::PathBuf>().unwrap();
    assert!(!folder.exists());
}

#[test]
fn what_a_dead_process_left_is_swept() {
    if skipped() {
        return;
    }
    // A record whose owner (pid 1 of another boot) is dead, with a namespace and a process.
    let prefix = format!("xl{}dead", std::process::id());
    let folder = Path::new("/run/xlvs-labs").join(&prefix);
    let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", sleeper.id())).unwrap();
    let start = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().to_owned();
    let record = format!("owner 1 1\nprocess {} {start}\n", sleeper.id());
    let namespace = format!("{prefix}-client");
    drop(netns::create(&namespace).unwrap());
    // The record last: another test's sweep may come at any time.
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("record"), record).unwrap();
    sweep();
    let gone = || (!folder.exists()).then_some(());
    wait_until("the sweep", Duration::from_secs(10), gone).unwrap();
    assert!(!netns::path(&namespace).exists());
    assert!(!sleeper.wait().unwrap().success(), "it was ended");
    remove(&prefix).unwrap(); // once more does no harm
}

#[test]
fn a_capture_sees_what_passes() {
    if skipped() {
        return;
    }
    let lab = Lab::build(&Plan::one_arm(1, 1)).unwrap();
    let capture = lab.host("rs1").capture("eth0").unwrap();
    talk(&lab, "client", "rs1", "172.16.0.114:80", "172.16.0.100");
    let ipv4 = |frames: Vec<xlvs_testkit::capture::Frame>| {
        frames.into_iter().find(|frame| frame.bytes[12..14] == [8, 0])
    };
    wait_until("an IPv4 frame", Duration::from_secs(5), || ipv4(capture.frames())).unwrap();
    let file = lab.folder().join("rs1.pcap");
    capture.write(&file).unwrap();
    assert_eq!(fs::read(file).unwrap()[..4], 0xa1b2_c3d4_u32.to_ne_bytes());
}

#[test]
fn a_failing_test_leaves_evidence() {
    if skipped() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("xlvs-evidence-{}", std::process::id()));
    let there = folder.clone();
    let failing = std::panic::catch_unwind(move || {
        let lab = Lab::build(&Plan::one_arm(1, 1)).unwrap();
        let _evidence = Evidence::collect(&lab, &there).unwrap();
        talk(&lab, "client", "rs1", "172.16.0.114:80", "172.16.0.100");
        panic!("as a test would");
    });
    assert!(failing.is_err());
    let written = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let names = ["client.0.pcap", "director.0.pcap", "rs1.0.pcap", "logs.txt"];
    assert!(names.iter().all(|name| written.join(name).exists()));
    fs::remove_dir_all(folder).unwrap();
}

//! `xlvs realserver` on a host of its own: what it changes, what it undoes, what comes out of a
//! tunnel. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a failing test is a panic")]

use std::{
    net::{Ipv4Addr, UdpSocket},
    process::Output,
    time::Duration,
};

use xlvs_testkit::{Lab, Plan, netlink::Address};

const ONE: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 113);
const TWO: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 112);
const KEYS: [&str; 5] = [
    "net.ipv4.conf.lo.arp_ignore",
    "net.ipv4.conf.lo.arp_announce",
    "net.ipv4.conf.all.arp_ignore",
    "net.ipv4.conf.all.arp_announce",
    "net.ipv4.conf.eth0.rp_filter",
];

/// Arguments, exit code, settings, addresses on lo, sentence.
type Row = (&'static str, i32, [&'static str; 5], &'static [Ipv4Addr], &'static str);

fn lab() -> Option<Lab> {
    if rustix::process::geteuid().is_root() {
        return Some(Lab::build(&Plan::one_arm(1, 1)).unwrap());
    }
    eprintln!("skipped: making network namespaces needs root");
    None
}

fn realserver(lab: &Lab, args: &str) -> Output {
    let host = lab.host("rs1");
    let mut command = host.command(env!("CARGO_BIN_EXE_xlvs")).unwrap();
    command.arg("realserver").args(args.split(' ')).env("XLVS_RUN_DIR", lab.folder().join("run"));
    host.run(command, Duration::from_secs(20)).unwrap()
}

/// What `realserver` may change: settings, and the addresses of `lo`.
fn state(lab: &Lab) -> (Vec<String>, Vec<Ipv4Addr>) {
    let host = lab.host("rs1");
    let settings = KEYS.iter().map(|key| host.read_sysctl(key).unwrap()).collect();
    let loopback = host.netlink().index("lo").unwrap();
    let on_loopback = |one: &Address| one.index == loopback && !one.address.is_loopback();
    let addresses = host.netlink().addresses().unwrap();
    (settings, addresses.into_iter().filter(on_loopback).map(|one| one.address).collect())
}

#[test]
fn what_start_changes_stop_undoes_exactly() {
    let Some(lab) = lab() else { return };
    // One of them is set already: it is not ours to undo.
    lab.host("rs1").sysctl("net.ipv4.conf.all.arp_announce", "2").unwrap();
    lab.host("rs1").sysctl("net.ipv4.conf.all.rp_filter", "1").unwrap();
    let before = state(&lab);
    let quiet = ["1", "2", "1", "2", "0"];
    let loose = ["1", "2", "1", "2", "2"];
    let rows: [Row; 8] = [
        ("start --vip 172.16.0.113", 0, quiet, &[ONE], "started"),
        ("start --vip 172.16.0.113", 0, quiet, &[ONE], "twice started is started"),
        ("start --vip 172.16.0.112", 0, quiet, &[ONE, TWO], "another one"),
        ("start --vip 172.16.0.112 --mode tun", 1, quiet, &[ONE, TWO], "in force otherwise"),
        ("stop --vip 172.16.0.112", 0, quiet, &[ONE], "one stopped, one goes on"),
        ("start --vip 172.16.0.112 --mode tun", 0, loose, &[ONE, TWO], "a tunnel beside DR"),
        ("stop --vip 172.16.0.112", 0, quiet, &[ONE], "the tunnel's setting goes with it"),
        ("stop --vip 10.9.9.9", 0, quiet, &[ONE], "one that is not there"),
    ];
    for (args, code, settings, addresses, sentence) in rows {
        let output = realserver(&lab, args);
        assert_eq!(output.status.code(), Some(code), "{sentence}: {output:?}");
        let (found, on_loopback) = state(&lab);
        assert_eq!(found, settings, "{sentence}");
        assert_eq!(on_loopback, addresses, "{sentence}");
    }
    assert!(realserver(&lab, "stop").status.success());
    assert_eq!(state(&lab), before);
    let status = realserver(&lab, "status");
    assert_eq!(String::from_utf8_lossy(&status.stdout), "no virtual address is in force\n");
}

#[test]
fn an_interface_that_is_taken_is_named_and_nothing_stays() {
    let Some(lab) = lab() else { return };
    let before = state(&lab);
    lab.pass_on("rs1", "eth0").unwrap();
    let output = realserver(&lab, "start --vip 172.16.0.113 --mode tun");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("attach to eth0 (if it is busy, another XDP program is on it"), "{told}");
    assert_eq!(state(&lab), before);
    let status = String::from_utf8(realserver(&lab, "status").stdout).unwrap();
    assert_eq!(status, "no virtual address is in force\n");
    assert!(
        !lab.folder()
            .join("run/realserver")
            .read_dir()
            .unwrap()
            .flatten()
            .any(|entry| { entry.file_name().to_string_lossy().ends_with(".bpf") })
    );
}

#[test]
fn a_setting_that_somebody_else_changed_is_left_alone() {
    let Some(lab) = lab() else { return };
    assert!(realserver(&lab, "start --vip 172.16.0.113").status.success());
    lab.host("rs1").sysctl("net.ipv4.conf.all.arp_ignore", "8").unwrap();
    assert!(realserver(&lab, "stop").status.success());
    assert_eq!(state(&lab).0, ["0", "0", "8", "0", "0"]);
}

#[test]
fn packets_come_out_of_the_tunnel_and_are_counted() {
    let Some(lab) = lab() else { return };
    let started = realserver(&lab, "start --vip 172.16.0.113 --mode tun");
    assert!(started.status.success(), "{started:?}");
    let bind = || UdpSocket::bind("172.16.0.113:2100").unwrap();
    let server = lab.host("rs1").enter(bind).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let inner = udp([172, 16, 0, 100], [172, 16, 0, 113], b"hello");
    lab.host("client").enter(|| send_wrapped(&inner, [172, 16, 0, 114])).unwrap();
    let mut buffer = [0; 64];
    let (length, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(
        (&buffer[..length], from.to_string().as_str()),
        (&b"hello"[..], "172.16.0.100:4000")
    );
    let status = String::from_utf8(realserver(&lab, "status").stdout).unwrap();
    let expected = "tunnel on eth0: 1 packets, 33 bytes unwrapped; 0 not for a virtual address";
    assert!(status.contains(expected), "{status}");
}

/// An IPv4 packet with a UDP datagram from port 4000 to 2100, without UDP's optional checksum.
fn udp(source: [u8; 4], target: [u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(28 + data.len()).unwrap().to_be_bytes();
    let mut header =
        [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[12..16].copy_from_slice(&source);
    header[16..].copy_from_slice(&target);
    let words = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    header[10..12].copy_from_slice(&(!sum).to_be_bytes());
    let udp_length = u16::try_from(8 + data.len()).unwrap().to_be_bytes();
    let udp = [0x0f, 0xa0, 0x08, 0x34, udp_length[0], udp_length[1], 0, 0];
    [&header[..], &udp[..], data].concat()
}

/// Sends it within a packet of protocol 4, IP in IP.
fn send_wrapped(inner: &[u8], target: [u8; 4]) {
    use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
    let ipip = ipproto::IPIP;
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipip)).unwrap();
    let target = std::net::SocketAddr::from((target, 0));
    sendto(&socket, inner, SendFlags::empty(), &target).unwrap();
}

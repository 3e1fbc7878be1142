//! What the recordings do not show: requests in bulk, counters, connections, saving and restoring.

use std::fmt::Write as _;

use xlvs_api::{ConnectionView, EngineData, Rate, Stats, virtual_end};
use xlvs_model::Method;

use super::world::World;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn restore_sends_changes_together_and_complains_line_by_line() {
    let world = World::new();
    let mut lines = "-A -t 10.0.0.1:80 -s rr\n".to_owned();
    for host in 0..2500 {
        let (a, b) = (host / 250, host % 250 + 1);
        writeln!(lines, "-a -t 10.0.0.1:80 -r 10.1.{a}.{b} -m").unwrap();
        if host == 1700 {
            lines += "-A -t 10.0.0.1:80 -s rr\n-D -t 10.0.0.9:80\n";
        }
    }
    let answer = world.run(&words("ipvsadm -R"), &lines);
    assert_eq!(answer.err, "Service already exists\nNo such service\n");
    assert_eq!(answer.status, 0, "the last line went well");
    let memory = world.memory.borrow();
    assert_eq!(memory.model.services[0].servers.len(), 2500);
    assert!(memory.requests < 20, "{} requests for 2503 lines", memory.requests);
}

#[test]
fn restore_shows_what_the_lines_before_did() {
    let world = World::new();
    let lines =
        "-A -t 1.1.1.1:80 -s rr\n-S -n\n-a -t 1.1.1.1:80 -r 2.2.2.2\n-S -n\n-D -t 9.9.9.9:9\n";
    let answer = world.run(&words("ipvsadm -R"), lines);
    assert_eq!(
        answer.out,
        "-A -t 1.1.1.1:80 -s rr\n\
         -A -t 1.1.1.1:80 -s rr\n-a -t 1.1.1.1:80 -r 2.2.2.2:80 -g -w 1\n"
    );
    assert_eq!((answer.err.as_str(), answer.status), ("No such service\n", 255));
}

#[test]
fn what_is_saved_restores_the_same() {
    let world = World::new();
    for line in [
        "-A -t 10.0.0.1:80 -s wrr",
        "-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 3",
        "-a -t 10.0.0.1:80 -r 10.0.1.2 -i",
        "-A -u 10.0.0.1:53 -o",
        "-A --sctp-service 10.0.0.1:53 -s sh -b sh-port",
        "-A -f 8 -6 -p 60 -M 64 --pe sip",
        "-a -f 8 -6 -r [fd00::1]:81 -i --tun-type gue --tun-port 6080 --tun-remcsum",
        "-a -f 8 -6 -r 10.0.1.1 -i --tun-type gre",
    ] {
        assert_eq!(world.shell(&format!("ipvsadm {line}")).status, 0, "{line}");
    }
    let saved = world.run(&words("ipvsadm-save -n"), "");
    let other = World::new();
    let restored = other.run(&words("/usr/sbin/ipvsadm-restore"), &format!("# x\n{}", saved.out));
    assert_eq!((restored.err.as_str(), restored.status), ("", 0));
    assert_eq!(other.run(&words("ipvsadm-save -n"), "").out, saved.out);
}

#[test]
fn counters_lose_digits_unless_exact() {
    let world = World::new();
    world.shell("ipvsadm -A -t 10.0.0.1:80 -s rr");
    let stats = Stats {
        connections: 99_999_999,
        in_packets: 123_456_789,
        out_packets: 12_345_678_901,
        in_bytes: 1_234_567_890_123,
        out_bytes: 987_654_321_098_765,
    };
    let key = "tcp:10.0.0.1:80".parse().unwrap();
    world.memory.borrow_mut().service_stats.insert(key, stats);
    let last = |command: &str| {
        let out = world.shell(command).out;
        out.lines().last().unwrap().to_owned()
    };
    assert_eq!(
        last("ipvsadm -Ln --stats"),
        "TCP  10.0.0.1:80                  99999999  123456K   12345M    1234G     987T"
    );
    assert_eq!(
        last("ipvsadm -Ln --stats --exact"),
        "TCP  10.0.0.1:80                  99999999 123456789 12345678901 1234567890123 \
         987654321098765"
    );
    world.shell("ipvsadm -Z");
    assert!(last("ipvsadm -Ln --stats").ends_with("        0        0"));
}

/// A connection that is listed as `line`.
pub(super) fn connection(line: &str) -> ConnectionView {
    let words: Vec<_> = line.split_whitespace().collect();
    let [protocol, expires, state, client, vip, server] = words[..] else { panic!("{line}") };
    let (minutes, seconds) = expires.split_once(':').unwrap();
    let expires_s = minutes.parse::<u64>().unwrap() * 60 + seconds.parse::<u64>().unwrap();
    ConnectionView {
        service: "fwmark:8".parse().unwrap(),
        protocol: protocol.to_owned(),
        client: client.parse().unwrap(),
        vip: vip.parse().unwrap(),
        server: server.parse().unwrap(),
        state: state.to_owned(),
        expires_s,
        method: Method::Route,
        template: client.ends_with(":0"),
        synced: false,
        engine: None,
    }
}

#[test]
fn connections_are_listed_as_the_kernel_and_the_real_tool_did() {
    let world = World::new();
    let golden = super::golden("connections");
    world.memory.borrow_mut().connections = golden.lines().map(connection).collect();
    let title = "\
IPVS connection entries
pro expire state       source             virtual            destination";
    assert_eq!(world.shell("ipvsadm -Lcn").out, format!("{title}\n{golden}"));
    let engines = format!("{title}        pe name          pe_data\n{golden}");
    assert_eq!(world.shell("ipvsadm -Lcn --persistent-conn").out, engines);
    assert!(world.shell("ipvsadm -Lc --sort").out.contains(" 10.1.0.101:http "));
    assert!(world.shell("ipvsadm -L --connection").out.contains(" 0.0.0.8:0 "), "no protocol");
}

#[test]
fn engines_data_is_listed_when_asked_for() {
    let world = World::new();
    let line = "UDP 100:55 NONE        10.1.1.8:0         10.1.0.109:5060    10.2.0.21:5060";
    let (name, data) = ("sip".to_owned(), "f81d4fae-7dec@10.1.1.8".to_owned());
    let engine = Some(EngineData { name, data });
    world.memory.borrow_mut().connections = vec![ConnectionView { engine, ..connection(line) }];
    let last = |command: &str| world.shell(command).out.lines().last().unwrap().to_owned();
    assert_eq!(last("ipvsadm -Lcn"), line);
    assert_eq!(
        last("ipvsadm -Lcn --persistent-conn"),
        format!("{line}   sip                f81d4fae-7dec@10.1.1.8")
    );
}

#[test]
fn a_mark_stands_where_an_address_would_begin() {
    for (key, protocol, end) in [
        ("fwmark:8", "IP", "0.0.0.8:0"),
        ("fwmark:4294967295", "IP", "255.255.255.255:0"),
        ("fwmark6:8", "IP", "[0:8::]:0"),
        ("udp:[fd00::1]:53", "UDP", "[fd00::1]:53"),
    ] {
        let (said, at) = virtual_end(&key.parse().unwrap());
        assert_eq!((said.as_str(), at.to_string().as_str()), (protocol, end), "{key}");
    }
}

#[test]
fn rates_of_servers_lose_digits_of_bytes_alone() {
    let world = World::new();
    world.shell("ipvsadm -A -t 10.0.0.1:80 -s rr");
    world.shell("ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.1 -m");
    let (service, server) = ("tcp:10.0.0.1:80".parse().unwrap(), "10.0.1.1:80".parse().unwrap());
    let rate =
        Rate { cps: 123_456_789, inpps: 99_999_999, outpps: 0, inbps: 1_234_567_890, outbps: 5 };
    world.memory.borrow_mut().rates =
        [((service, None), rate), ((service, Some(server)), rate)].into();
    let listed = |command: &str| {
        let out = world.shell(command).out;
        out.lines().skip(3).map(|line| line[33..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        listed("ipvsadm -Ln --rate"),
        [
            "  123456K 99999999        0    1234M        5",
            " 123456789 99999999        0    1234M        5"
        ]
        .map(str::to_owned)
    );
    assert_eq!(
        listed("ipvsadm -Ln --rate --exact"),
        [
            " 123456789 99999999        0 1234567890        5",
            " 123456789 99999999        0 1234567890        5"
        ]
        .map(str::to_owned)
    );
}

#[test]
fn persistent_clients_are_counted_by_server() {
    let world = World::new();
    world.shell("ipvsadm -A -t 10.0.0.1:80 -s rr -p");
    world.shell("ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.1 -m");
    let key = ("tcp:10.0.0.1:80".parse().unwrap(), "10.0.1.1:80".parse().unwrap());
    world.memory.borrow_mut().persistent = [(key, 7)].into();
    assert_eq!(
        world.shell("ipvsadm -Ln --persistent-conn").out.lines().last().unwrap(),
        "  -> 10.0.1.1:80                  1         7           0          0         "
    );
    let one = world.shell("ipvsadm -Ln -t 10.0.0.1:80 --persistent-conn").out;
    assert!(one.contains("1         7           0"), "of one service, too: {one}");
}

#[test]
fn a_disk_that_is_full_is_told_of() {
    let world = World::new();
    world.memory.borrow_mut().not_saved = Some("no space left on device".to_owned());
    let answer = world.run(&words("ipvsadm -A -t 10.0.0.1:80"), "");
    assert!(answer.err.contains("not saved"), "{}", answer.err);
    assert_eq!(answer.status, 0, "it is in force");
}

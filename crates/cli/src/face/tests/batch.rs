//! What the recordings do not show: requests in bulk, counters, connections, saving and restoring.

use std::fmt::Write as _;

use xlvs_api::{ConnectionView, Stats, virtual_end};
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
        "-A -u 10.0.0.1:53",
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

#[test]
fn connections_have_the_real_columns() {
    let world = World::new();
    let connection = |state: &str, expires_s, service: &str| {
        let service = service.parse().unwrap();
        let (protocol, vip) = virtual_end(&service);
        ConnectionView {
            service,
            protocol,
            client: "10.1.0.1:21001".parse().unwrap(),
            vip,
            server: "10.1.0.21:8009".parse().unwrap(),
            state: state.to_owned(),
            expires_s,
            method: Method::Route,
            template: false,
            engine: None,
        }
    };
    world.memory.borrow_mut().connections = vec![
        connection("ESTABLISHED", 899, "tcp:10.1.0.102:8009"),
        connection("FIN_WAIT", 119, "tcp:10.1.0.102:80"),
        connection("UDP", 6000, "udp:10.1.0.102:53"),
    ];
    // The first two lines are from a recording of the kernel's.
    assert_eq!(
        world.shell("ipvsadm -Lcn").out,
        "\
IPVS connection entries
pro expire state       source             virtual            destination
TCP 14:59  ESTABLISHED 10.1.0.1:21001     10.1.0.102:8009    10.1.0.21:8009
TCP 01:59  FIN_WAIT    10.1.0.1:21001     10.1.0.102:80      10.1.0.21:8009
UDP 100:00 UDP         10.1.0.1:21001     10.1.0.102:53      10.1.0.21:8009
"
    );
    assert!(world.shell("ipvsadm -Lc").out.contains(" 10.1.0.102:http "));
}

#[test]
fn a_disk_that_is_full_is_told_of() {
    let world = World::new();
    world.memory.borrow_mut().not_saved = Some("no space left on device".to_owned());
    let answer = world.run(&words("ipvsadm -A -t 10.0.0.1:80"), "");
    assert!(answer.err.contains("not saved"), "{}", answer.err);
    assert_eq!(answer.status, 0, "it is in force");
}

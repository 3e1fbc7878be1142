//! Seed 000, its scripts as they are: an engineer takes a real server out of service without
//! breaking a connection. Needs root and net-tools; says so when skipped.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a failing test is a panic")]

mod site;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::PathBuf,
    time::Duration,
};

use site::Site;
use xlvs_testkit::{Evidence, Plan, find_program};

const SERVICE: &str = "172.16.0.113:2100";
/// The seed's real servers.
const CEPH1: (&str, &str) = ("rs1", "ceph1");
const CEPH2: (&str, &str) = ("rs2", "ceph2");

/// Runs one of the seed's scripts.
fn script(site: &Site, host: &str, name: &str, args: &[&str]) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(name);
    site.run(host, "/bin/sh", &[&[script.to_str().unwrap()], args].concat())
}

fn connect(site: &Site) -> Talk {
    let dial = || TcpStream::connect(SERVICE).unwrap();
    let stream = site.lab.host("client").enter(dial).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut talk = Talk { reader: BufReader::new(stream), host: String::new() };
    talk.host = talk.say("hello");
    talk
}

/// A long connection, as the seed's sockettest holds it.
struct Talk {
    reader: BufReader<TcpStream>,
    /// Who answered first.
    host: String,
}

impl Talk {
    /// Says a line; who answers?
    fn say(&mut self, line: &str) -> String {
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.reader.read_line(&mut answer).unwrap();
        answer.trim_end().strip_prefix("it's from the host: ").unwrap().to_owned()
    }
}

#[test]
fn a_server_is_taken_out_by_weight_zero() {
    for program in ["ifconfig", "route"] {
        if let Err(reason) = find_program(program) {
            eprintln!("skipped: {reason}, and the seed's script calls it");
            return;
        }
    }
    // The seed's addresses are the lab's own.
    let Some(mut site) = Site::build(&Plan::one_arm(2, 1)) else { return };

    // 2. The real servers and their TCP servers, ready before the director asks for them.
    for (host, name) in [CEPH1, CEPH2] {
        assert_eq!(
            script(&site, host, "000-realserver.sh", &["start"]),
            "reparing for Real Server\n"
        );
        site.start(host, &format!("testserver 2100 --name {name}"), "Listening Port is 2100...");
    }
    // 1. The director, two records of distribution.
    site.start_director("--interface eth0");
    assert_eq!(script(&site, "director", "000-director.sh", &[]), "");
    site.await_next_hops();
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();

    // 3. Long connections to both.
    let mut talks: Vec<_> = (0..4).map(|_| connect(&site)).collect();
    let on = |talks: &[Talk], name: &str| talks.iter().filter(|talk| talk.host == name).count();
    assert_eq!((on(&talks, "ceph1"), on(&talks, "ceph2")), (2, 2));
    let listing = site.run("director", "ipvsadm", &["-Ln"]);
    let expected = "\
TCP  172.16.0.113:2100 wrr
  -> 172.16.0.114:2100            Route   1      2          0         \n  \
  -> 172.16.0.115:2100            Route   1      2          0         \n";
    assert!(listing.ends_with(expected), "{listing}");

    // 4. Weight 0.
    assert_eq!(script(&site, "director", "000-quiesce.sh", &[]), "");

    // 5. The open connections are not broken and go on to be served, by the same host.
    for round in 0..3 {
        for talk in &mut talks {
            let host = talk.say(&format!("still there? {round}"));
            assert_eq!(host, talk.host);
        }
    }
    assert!(site.log(CEPH1.0, "testserver").contains(" still there? 2"));

    // 6. New ones go to the other host alone.
    let new: Vec<_> = (0..10).map(|_| connect(&site)).collect();
    assert_eq!((on(&new, "ceph1"), on(&new, "ceph2")), (0, 10));

    // 7. The end: each side closes, and the scripts undo.
    for mut talk in talks.into_iter().chain(new) {
        assert_eq!(talk.say("shutdown"), talk.host);
    }
    drop(evidence);
    for (host, _) in [CEPH1, CEPH2] {
        assert_eq!(script(&site, host, "000-realserver.sh", &["stop"]), "stop Real Server\n");
    }
    site.run("director", "ipvsadm", &["-C"]);
}

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::{Command, Refusal, Resolver, help, number, options, parse, words};

/// Knows one host and two ports.
struct Names;

impl Resolver for Names {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        (name == "web").then_some(Ipv4Addr::new(10, 0, 0, 7))
    }

    fn port(&self, name: &str, protocol: &str) -> Option<u16> {
        match (name, protocol) {
            ("http", "tcp") => Some(80),
            ("domain", "udp") => Some(53),
            _ => None,
        }
    }

    fn host_name(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn port_name(&self, _: u16, _: &str) -> Option<String> {
        None
    }
}

fn read(line: &str) -> Result<Command, Refusal> {
    parse(&words(line), &Names)
}

/// What a line becomes, as one text.
fn said(line: &str) -> String {
    match read(line) {
        Ok(Command::Change(change)) => format!("{change:?}"),
        Ok(command) => format!("{command:?}"),
        Err(refusal) => format!("{} {}", refusal.status(), refusal.message("ipvsadm")),
    }
}

#[test]
fn lines_become_commands() {
    for (line, part, why) in [
        ("-At web:http -s rr", "tcp, address: 10.0.0.7, port: 80", "names of host and port"),
        ("-A -u 1.1.1.1:domain", "Udp, address: 1.1.1.1, port: 53", "a UDP port's name"),
        ("-A -t 1.1.1.1:80", "scheduler: Wlc", "the default scheduler"),
        ("-A --sctp-service 1.1.1.1:80", "Sctp, address: 1.1.1.1, port: 80", "SCTP"),
        ("-A -f 8", "service: Mark { mark: 8, family: V4 }", "a mark"),
        ("-A -f 8 -6 -p 9 -M 64", "timeout_s: 9, mask: V6(64)", "a mark of IPv6"),
        ("-A -f 8 -M 255.0.0.0 -6 -p", "timeout_s: 360, mask: V6(128)", "-6 forgets the mask"),
        ("-A -t 1.1.1.1:80 -p -M 255.0.255.0", "mask: V4(255.0.255.0)", "any mask"),
        ("-A -t 1.1.1.1:80 -M 255.0.0.0", "persistence: None", "a mask alone does nothing"),
        ("-A -t 1.1.1.1:80 --pe sip", "persistence: None, engine: Some(\"sip\")", "it is kept"),
        ("-A -u 1.1.1.1:80 -o -s mh -b mh-port,flag-3", "scheduler_flags: 6", "names and numbers"),
        ("-a -f 8 -r 2.2.2.2:81 -g", "key: 2.2.2.2:81", "a mark's servers keep any port"),
        ("-a -t 1.1.1.1:80 -r 2.2.2.2 -x 9 -y 8", "upper: 9, lower: 8", "thresholds"),
        (
            "-a -t 1.1.1.1:80 -r [::2]:80 -i --tun-type gue --tun-port 7 --tun-remcsum",
            "tunnel: Gue { port: 7, checksum: Remote }",
            "a tunnel",
        ),
        ("-L -c --persistent-conn", "engines: true", "engines' data with connections"),
        ("-L --rate --stats", "figures: Stats", "of several figures the first of the list"),
        (
            "--start-daemon backup --mcast-interface eth0 --mcast-group ff02::81 --syncid 7",
            "role: Backup, interface: \"eth0\", syncid: 7, maxlen: 0, group: ff02::81, port: 8848",
            "a daemon",
        ),
        ("-a -t 1.1.1.1:80 -r 2.2.2.2", "key: 2.2.2.2:80, method: Route, weight: 1", "defaults"),
        ("-a -t 1.1.1.1:80 -r 2.2.2.2:81 -g", "key: 2.2.2.2:80", "DR keeps the service's port"),
        ("-a -t 1.1.1.1:80 -r 2.2.2.2:81 -m", "key: 2.2.2.2:81, method: Masq", "NAT may not"),
        ("-a -r 2.2.2.2 -t 1.1.1.1:80 -m", "key: 2.2.2.2:0", "-r before -t knows no port yet"),
        ("-a -t 1.1.1.1:80 -r 2.2.2.2 -i --tun-type ipip", "method: Tunnel", "as -S writes it"),
        ("-d -t 1.1.1.1:80 -r 2.2.2.2:81", "server: 2.2.2.2:81", "a deletion takes it as it is"),
        ("--set 1 -- 2 3", "tcp: 1, tcp_fin: 2, udp: 3", "words may come behind --"),
        ("-E -t 1.1.1.1:80 -s nosuch", "edit: true", "an unknown scheduler is no usage error"),
        ("-A -t 1.1.1.1:80 -p -5", "255 -5: unknown option", "-p takes no word with a dash"),
        ("-A -t [::1]:0", "2 Zero port", "the real tool's complaint comes first"),
        ("-L --rate -c", "2 options conflicts", "the real tool's complaint comes first"),
    ] {
        let said = said(line);
        assert!(said.to_lowercase().contains(&part.to_lowercase()), "{why}: {line}\n{said}");
    }
}

#[test]
fn topics_stand_at_their_place_in_the_matrix() {
    for (index, (topic, name, _)) in options::MATRIX.iter().enumerate() {
        assert_eq!(*topic as usize, index, "{name}");
    }
}

#[test]
fn every_option_is_in_the_help() {
    let help = help("ipvsadm");
    for opt in &options::OPTIONS {
        // `-v` and `-X` work without a word in the help.
        let known = opt.long == "version" || help.contains(&format!("--{}", opt.long));
        assert!(known, "--{}", opt.long);
    }
}

#[test]
fn every_option_is_in_the_guide() {
    let guide = include_str!("../../../../docs/ipvsadm.md");
    for opt in &options::OPTIONS {
        let (long, short) = (format!("--{}", opt.long), opt.short.map(char::from));
        assert!(guide.contains(&long), "{long}");
        let short = short.map_or(long, |short| format!("-{short}"));
        assert!(
            guide.contains(&format!("{short}`")) || guide.contains(&format!("{short} ")),
            "{short}"
        );
    }
}

#[test]
fn addresses_are_read_as_inet_aton_does() {
    for (text, expected, why) in [
        ("10.0.0.1", Some([10, 0, 0, 1]), "four parts"),
        ("010.8.9.1", Some([8, 8, 9, 1]), "a leading 0 is octal"),
        ("0xa.1", Some([10, 0, 0, 1]), "hexadecimal, two parts"),
        ("10.8.9", Some([10, 8, 0, 9]), "the last of three fills two bytes"),
        ("4294967295", Some([255, 255, 255, 255]), "one part fills all"),
        ("10.0.0.1 x", Some([10, 0, 0, 1]), "what follows white space does not count"),
        ("4294967296", None, "too large"),
        ("256.1.1.1", None, "a byte too large"),
        ("1.2.3.4.5", None, "five parts"),
        ("1.2.3.", None, "a part without digits"),
        ("09.1.1.1", None, "9 is no octal digit"),
        ("0x", None, "no hexadecimal digits"),
        ("", None, "nothing"),
    ] {
        let expected = expected.map(|[a, b, c, d]: [u8; 4]| Ipv4Addr::new(a, b, c, d));
        assert_eq!(number::inet_aton(text), expected, "{text}: {why}");
    }
}

#[test]
fn a_line_is_taken_apart_at_white_space_alone() {
    let line = "  ipvsadm -A\t-t 1.1.1.1:80 '-s rr' # x \r\n";
    assert_eq!(words(line), ["-A", "-t", "1.1.1.1:80", "'-s", "rr'", "#", "x"]);
    assert!(words(" \r\n").is_empty());
}

proptest! {
    #[test]
    fn any_words_get_an_answer(args in prop::collection::vec(
        prop_oneof![
            "-[A-Za-z0-9=]{0,6}", "--[a-z-]{0,12}=?[0-9]{0,3}",
            (0..options::OPTIONS.len()).prop_map(|o| format!("--{}", options::OPTIONS[o].long)),
            Just("1.2.3.4:80".to_owned()), Just("[fd00::1]:80".to_owned()), "[0-9]{1,3}",
            "\\PC{0,8}",
        ], 0..8)) {
        match parse(&args, &Names) {
            Ok(_) => {}
            Err(refusal) => prop_assert!(!refusal.message("ipvsadm").is_empty()),
        }
    }
}

#[test]
fn help_is_the_real_tools() {
    let help = help("./x");
    assert!(help.starts_with("ipvsadm v1.31 2019/12/24"));
    assert_eq!(help.lines().nth(2).unwrap(), HELP_LINE);
}

const HELP_LINE: &str = "  ./x -A|E virtual-service [-s scheduler] [-p [timeout]] [-M netmask] \
                         [--pe persistence_engine] [-b sched-flags]";

//! `ldirectord.cf`.

use std::time::Duration;

use xlvs_config::{Config, Format, Report, Severity, load};
use xlvs_model::{
    Method,
    health::{Kind, Talks},
};

use crate::{golden, host::InMemory, snapshot};

fn read(text: &str) -> (Config, Report) {
    let host = InMemory::default().with("ldirectord.cf", text);
    load("ldirectord.cf", &host)
}

/// What is refused in which file, and why that is right.
const REFUSED: &[(&str, &str, &str)] = &[
    ("examples.cf", "`sql01` is not an address", "a name that no host of the test has"),
    ("examples.cf", "`192.168.6.2:` is not an address", "`::5060` is a slip of the sample"),
    ("examples.cf", "`192.168.6.3:` is not an address", "as above"),
    ("examples.cf", "`192.168.6.6:` is not an address", "as above"),
];

#[test]
fn samples_load_with_no_refusal_but_what_is_listed() {
    for (name, services) in [("ldirectord.cf", 1), ("examples.cf", 18), ("manual.cf", 9)] {
        let (config, report) = read(&golden(&format!("ldirectord/{name}")));
        for told in report.diagnostics.iter().filter(|d| d.severity == Severity::Error) {
            let listed =
                REFUSED.iter().any(|(file, what, _)| *file == name && *what == told.message);
            assert!(listed, "{name}: {}", report.render(false));
        }
        assert!(config.services.len() >= services, "{name}: {}", config.services.len());
        snapshot(&format!("ldirectord/expected/{name}.txt"), &report.render(false));
    }
}

#[test]
fn the_sample_is_what_ldirectord_made_of_it() {
    let (config, _) = read(&golden("ldirectord/ldirectord.cf"));
    let [of] = &config.virtual_servers[..] else { panic!("one virtual server") };
    assert_eq!(of.snmp_name.as_deref(), Some("Web Site"));
    let sorry = of.sorry_server.as_ref().expect("the fallback");
    assert_eq!(
        (sorry.server.key.to_string(), sorry.server.method),
        ("127.0.0.1:80".into(), Method::Route)
    );
    assert!(!of.inhibit_on_failure, "quiescent=no");
    assert_eq!(of.servers.len(), 3);
    let [check] = &of.servers[0].checks[..] else { panic!("one check") };
    let Kind::Service(service) = &check.kind else { panic!("a dialogue") };
    assert_eq!(
        (service.service, &*service.request, &*service.receive),
        (Talks::Http, "/index.html", "Test Page")
    );
    assert_eq!(service.virtualhost.as_deref(), Some("www.x.y.z"));
    let (one, three) = (Duration::from_secs(1), Duration::from_secs(3));
    assert_eq!(
        (check.common.delay_loop, check.common.connect_timeout, check.common.retry),
        (one, three, 0)
    );
}

#[test]
fn what_is_asked_follows_from_the_checktype() {
    let (config, _) = read(&golden("ldirectord/manual.cf"));
    let of = |at: usize| &config.virtual_servers[at];
    let web = of(0);
    let keys: Vec<String> = web.servers.iter().map(|s| s.key().to_string()).collect();
    assert_eq!(keys, ["10.0.1.1:8080", "10.0.1.2:8080", "10.0.1.3:8080", "10.0.1.9:80"], "a range");
    assert_eq!((web.servers[0].server.lower, web.servers[0].server.upper), (10, 100));
    let Kind::Service(own) = &web.servers[0].checks[0].kind else { panic!("a dialogue") };
    assert_eq!(
        (own.connects, &*own.request, &*own.receive, own.head),
        (3, "/check.html", "OK", true)
    );
    let common = &web.servers[0].checks[0].common;
    assert_eq!((common.delay_loop.as_secs(), common.connect_timeout.as_secs()), (7, 20));
    assert_eq!(common.retry, 1, "failurecount = 2");
    let down = web.quorum_down.as_ref().expect("the fallback's command");
    assert_eq!(down.argv, ["/usr/local/bin/fallback", "start", "10.0.0.1:80", "tcp"]);
    let Kind::Service(sip) = &of(1).servers[0].checks[0].kind else { panic!("SIP") };
    assert_eq!((sip.service, &*sip.login, sip.udp), (Talks::Sip, "ldirectord@main", true));
    let Kind::Misc(external) = &of(2).servers[0].checks[0].kind else { panic!("a program") };
    assert_eq!(external.script.argv, ["/usr/bin/ask", "10.0.0.3", "99", "10.0.1.1", "99"]);
    assert_eq!(of(2).quorum_down.as_ref().map(|s| &*s.argv[0]), Some("/bin/sh"), "a pipe");
    assert!(matches!(&of(3).servers[0].checks[0].kind, Kind::External(perl) if perl.perl));
    assert_eq!(of(4).servers[0].checks[0].kind, Kind::Ping, "connect by UDP");
    assert!(of(5).servers[0].checks.is_empty(), "on");
    assert_eq!(of(6).servers[0].server.weight, 0, "off, quiescent");
    assert_eq!(of(7).servers[0].checks[0].common.connect_port, Some(443), "a mark's checkport");
    assert_eq!(of(8).services[0].to_string(), "tcp:[2001:db8::5]:119");
    assert_eq!(config.globals.mail.to.len(), 2);
    let itself = config.globals.ldirectord.as_ref().expect("ldirectord's own");
    assert!(!itself.clean_stop && itself.fork && itself.maintenance.is_some());
}

#[test]
fn mistakes_are_told_of_with_their_place() {
    let inside = |line: &str| format!("virtual=10.0.0.1:80\n\t{line}\n");
    for (text, expected, why) in [
        (
            "chekinterval=1\n".into(),
            "1:1 unknown keyword `chekinterval` at the top level: did you mean `checkinterval`?",
            "a slip",
        ),
        (
            "\treal=10.0.1.1:80 gate\n".into(),
            "1:2 this line is set in and belongs to no virtual: ",
            "set in",
        ),
        (
            "virtual=10.0.0.1:80\n  real=10.0.1.1:80 gate\n".into(),
            "2:3 this line is set in too little: four blanks",
            "two blanks",
        ),
        (
            inside("real=10.0.1.1:80 dr"),
            "2:7 `dr` is no way to a server: gate, masq or ipip",
            "a method",
        ),
        (inside("real=10.0.1.1:80 gate x"), "2:7 `x` is nothing for a server: ", "more words"),
        (
            inside("real6=[fd00::1]:80 gate"),
            "2:2 `real6` in a virtual: `real` belongs here",
            "a family",
        ),
        (
            inside("checktype=negociate"),
            "2:12 `negociate` is no checktype: did you mean `negotiate`?",
            "a type",
        ),
        (inside("request=index.html"), "2:10 `request` must stand in quotes: ", "no quotes"),
        (
            inside("service=htttp"),
            "2:10 `htttp` is nothing for `service`: did you mean `http`?",
            "a service",
        ),
        (inside("scheduler=wr"), "2:12 `wr` is no scheduler: did you mean `rr`?", "a scheduler"),
        (
            inside("protocol=fwm"),
            "2:11 an address and port are of a protocol: tcp or udp",
            "a protocol",
        ),
        ("virtual=[fd00::1]:80\n".into(), "1:9 an IPv6 address: of a `virtual6`", "IPv6"),
        (
            "quiescent=maybe\n".into(),
            "1:11 `maybe` is nothing for `quiescent`: no or yes",
            "yes or no",
        ),
        ("checkinterval=0\n".into(), "1:15 `0` is nothing for `checkinterval`: from 1", "a range"),
    ] {
        let text: String = text;
        let (_, report) = read(&text);
        let first = report.diagnostics.iter().find(|d| d.severity == Severity::Error).expect(why);
        let place = first.place.as_ref().expect(why);
        let told = format!("{}:{} {}: {}", place.line, place.column, first.message, first.label);
        assert!(told.starts_with(expected), "{why}: {told}");
    }
}

#[test]
fn the_format_is_found_without_the_name() {
    for (text, why) in [
        ("# comment\nchecktimeout=3\n", "a keyword"),
        ("virtual = 10.0.0.1:80\n", "a service"),
        ("virtual=3\n\tservice=http\n", "a mark"),
    ] {
        assert_eq!(Format::find("/etc/some.conf", text.as_bytes()), Format::Ldirectord, "{why}");
    }
}

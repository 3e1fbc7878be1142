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
    ("manual.cf", "there is no configuration `other.cf`", "a file that no host of the test has"),
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
    assert_eq!(itself.clean_stop, Some(false));
    assert!(itself.fork && itself.maintenance.is_some());
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

const EXECUTES: &str = "checkinterval=2
cleanstop=yes
maintenancedir=/m
emailalert=a@example.com
emailalertfreq=60
execute = \"web.cf\"
virtual=10.0.0.1:80
\treal=10.0.1.1:80 gate
\temailalertfreq=0
\temailalertstatus=all
";

const EXECUTED: &str = "checkinterval=7
quiescent=yes
emailalert=b@example.com
emailalertfrom=c@example.com
emailalertstatus=running,stopping
virtual=10.0.0.2:80
\treal=10.0.1.1:80 gate
virtual=10.0.0.3:80
\treal=10.0.1.1:80 gate
\tcleanstop=yes
";

#[test]
fn a_further_configuration_is_one_of_its_own() {
    for place in ["/etc/ha.d/web.cf", "/etc/ha.d/conf/web.cf", "web.cf"] {
        let host = InMemory::default().with("ldirectord.cf", EXECUTES).with(place, EXECUTED);
        let (config, report) = load("ldirectord.cf", &host);
        assert!(!report.has_errors(), "{place}: {}", report.render(false));
        let [first, second, third] = &config.virtual_servers[..] else { panic!("{place}: three") };
        let delay = |at: usize| config.virtual_servers[at].servers[0].checks[0].common.delay_loop;
        assert_eq!((delay(0).as_secs(), delay(1).as_secs()), (2, 7), "{place}");
        assert_eq!((first.inhibit_on_failure, second.inhibit_on_failure), (false, true));
        let origin = second.origin.as_ref().expect("its place");
        assert_eq!((&*origin.file, origin.line), (place, 6));
        assert_eq!(
            (second.clean_stop, third.clean_stop),
            (Some(false), Some(true)),
            "not the first's"
        );
        let alert = first.alert.clone().expect("its own");
        let all = ["starting", "running", "stopping", "reloading"].map(str::to_owned).to_vec();
        assert_eq!((alert.repeat, alert.during), (Some(Duration::ZERO), Some(all)), "0 is never");
        let alert = second.alert.clone().expect("the file's");
        assert_eq!(alert.to, ["b@example.com"]);
        assert_eq!(
            (alert.from.as_deref(), alert.repeat),
            (Some("c@example.com"), Some(Duration::ZERO))
        );
        assert_eq!(alert.during.expect("two").join(" "), "running stopping");
        assert_eq!(config.globals.mail.to, ["a@example.com"]);
        let itself = config.globals.ldirectord.as_ref().expect("ldirectord's own");
        assert_eq!((itself.clean_stop, itself.maintenance.as_deref()), (Some(true), Some("/m")));
    }
}

#[test]
fn what_two_files_cannot_both_have_is_refused() {
    let service = |port: u16| format!("virtual=10.0.0.1:{port}\n\treal=10.0.1.1:80 masq\n");
    for (other, expected, why) in [
        (service(80), "2.cf:1: tcp:10.0.0.1:80 is there already", "a service"),
        (
            format!("maintenancedir=/n\n{}", service(81)),
            "2.cf:1: `maintenancedir` is not as 1.cf has it",
            "a folder",
        ),
        (format!("maintenancedir=/m\n{}", service(81)), "", "the same folder"),
        (service(81), "", "another service"),
        (
            "callback=\"/bin/x\"\n".to_owned(),
            "2.cf:1: `callback` is not as 1.cf has it",
            "a command",
        ),
        ("autoreload=yes\n".to_owned(), "2.cf:1: `autoreload` is not as 1.cf has it", "reloads"),
        ("readdquiescent=yes\n".to_owned(), "2.cf:1: `readdquiescent` is not", "quiescent servers"),
        ("execute=1.cf\n".to_owned(), "", "the first again"),
        ("execute=3.cf\n".to_owned(), "2.cf:1: there is no configuration `3.cf`", "a file"),
    ] {
        let first = format!("maintenancedir=/m\nexecute=2.cf\n{}", service(80));
        let host = InMemory::default().with("1.cf", first).with("2.cf", other);
        let (_, report) = load("1.cf", &host);
        let told = report.diagnostics.iter().find(|d| d.severity == Severity::Error);
        let told = told.map_or_else(String::new, |told| {
            let place = told.place.as_ref().expect(why);
            format!("{}:{}: {}", place.file, place.line, told.message)
        });
        assert!(
            told.starts_with(expected) && told.is_empty() == expected.is_empty(),
            "{why}: {told}"
        );
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

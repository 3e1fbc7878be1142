//! `lvs.cf`.

use std::time::Duration;

use xlvs_config::{Config, Format, Report, Severity, load, load_as};
use xlvs_model::{
    Method, Scheduler,
    health::{Expect, Kind, LoadMonitor, TalkCheck},
};

use crate::{golden, host::InMemory, snapshot};

fn read(text: &str) -> (Config, Report) {
    load("lvs.cf", &InMemory::default().with("lvs.cf", text))
}

/// A virtual server with a line more, and one server.
fn with(line: &str) -> String {
    format!(
        "virtual V {{\nactive = 1\naddress = 10.0.0.1 eth0:1\n{line}\nserver S {{\naddress = \
         10.0.1.1\nactive = 1\n}}\n}}\n"
    )
}

#[test]
fn samples_load_with_no_refusal() {
    for (name, services, servers) in [("jboss.cf", 1, 2), ("sample.cf", 1, 2), ("manual.cf", 4, 5)]
    {
        let (config, report) = read(&golden(&format!("piranha/{name}")));
        assert_eq!(report.count(Severity::Error), 0, "{name}: {}", report.render(false));
        assert_eq!(report.count(Severity::Warning), 0, "{name}: {}", report.render(false));
        assert_eq!(config.services.len(), services, "{name}");
        let count: usize = config.services.iter().map(|service| service.servers.len()).sum();
        assert_eq!(count, servers, "{name}");
        snapshot(&format!("piranha/expected/{name}.txt"), &report.render(false));
    }
}

#[test]
fn the_file_of_a_site_is_what_nanny_did() {
    let (config, _) = read(&golden("piranha/jboss.cf"));
    let [service] = &config.services[..] else { panic!("one service") };
    assert_eq!(service.key.to_string(), "tcp:192.168.104.99:80");
    assert_eq!(service.terms.scheduler, Scheduler::Rr);
    assert!(service.terms.persistence.is_none(), "persistent = 0");
    assert!(service.servers.iter().all(|server| server.method == Method::Tunnel));
    let [of] = &config.virtual_servers[..] else { panic!("one virtual server") };
    let address = of.active_address.as_ref().expect("its address");
    assert_eq!((&*address.interface, address.label.as_deref()), ("eth0", Some("eth0:0")));
    assert_eq!((address.prefix, &of.load_monitor), (Some(32), &Some(LoadMonitor::Ruptime)));
    assert!(!of.inhibit_on_failure, "quiesce_server = 0");
    for server in &of.servers {
        let [check] = &server.checks[..] else { panic!("one check") };
        let send = Some(b"GET / HTTP/1.0\r\n\r\n".to_vec());
        let expect = Some(Expect::Prefix(b"HTTP".to_vec()));
        assert_eq!(check.kind, Kind::Talk(TalkCheck { udp: false, send, expect }));
        let six = Duration::from_secs(6);
        let common = &check.common;
        assert_eq!((common.delay_loop, common.connect_timeout, common.retry), (six, six, 0));
        assert_eq!(common.rise, 2, "15 seconds well are two checks of 6");
        assert!(common.alpha && common.warmup.is_zero(), "in once it was good, asked at once");
    }
    let piranha = config.globals.piranha.expect("the pair");
    assert_eq!(piranha.primary.as_deref(), Some("192.168.104.52"));
    assert_eq!((piranha.heartbeat_port, piranha.deadtime.as_secs()), (539, 18));
}

#[test]
fn what_is_asked_follows_from_send_and_expect() {
    let talk = |send: Option<&str>, expect| {
        Kind::Talk(TalkCheck { udp: false, send: send.map(|s| s.as_bytes().to_vec()), expect })
    };
    let prefix = |text: &str| Some(Expect::Prefix(text.as_bytes().to_vec()));
    for (lines, expected, why) in [
        ("", talk(Some("GET / HTTP/1.0\r\n\r\n"), prefix("HTTP")), "nothing said, port 80: HTTP"),
        ("port = 22", Kind::Tcp, "another port: a connection"),
        ("port = ssh", Kind::Tcp, "by name"),
        ("send = \"a\\tb\\\\\"", talk(Some("a\tb\\"), None), "escapes"),
        ("send = \"\\n\"", talk(Some("\n"), None), "an escape alone"),
        ("send = '\\\"'", talk(Some("\""), None), "quotes of the other kind"),
        ("expect = *", talk(None, Some(Expect::Anything)), "any answer"),
        ("expect = \"a b\"\nuse_regex = 1", talk(None, Some(Expect::Regex("a b".into()))), "regex"),
    ] {
        let (config, report) = read(&with(lines));
        assert_eq!(report.count(Severity::Error), 0, "{why}: {}", report.render(false));
        let check = &config.virtual_servers[0].servers[0].checks[0];
        assert_eq!(check.kind, expected, "{why}");
    }
    let (config, _) = read(&with("send_program = \"/bin/ask %h  %p\"\nexpect = OK"));
    let Kind::Output(output) = &config.virtual_servers[0].servers[0].checks[0].kind else {
        panic!("a program")
    };
    assert_eq!(output.script.argv, ["/bin/ask", "10.0.1.1", "80"], "%h and %p are the server's");
    assert_eq!(output.expect.as_deref(), Some("OK"));
}

#[test]
fn mistakes_are_told_of_with_their_place() {
    for (text, expected, why) in [
        (
            "prmiary = 10.0.0.1\n",
            "1:1 unknown keyword `prmiary` at the top level: did you mean `primary`?",
            "a slip",
        ),
        (
            "weight = 1\n",
            "1:1 unknown keyword `weight` at the top level: it belongs into server",
            "elsewhere",
        ),
        (
            "primary=10.0.0.1\n",
            "1:1 unknown keyword `primary=10.0.0.1` at the top level: did you mean",
            "no blanks",
        ),
        ("primary 10.0.0.1\n", "1:9 `=` must follow `primary`: ", "no sign"),
        (
            "network = dirct\n",
            "1:11 `dirct` is nothing for `network`: did you mean `direct`?",
            "a word",
        ),
        ("heartbeat = 2\n", "1:13 `2` is nothing for `heartbeat`: 0 or 1", "no boolean"),
        ("keepalive = x\n", "1:13 `x` is nothing for `keepalive`: a whole number", "no number"),
        ("keepalive = 1 # often\n", "1:15 `#` is too much for `keepalive`: ", "a comment behind"),
        ("virtual V {\n", "1:1 a closing brace is missing: `virtual` is open", "open"),
        ("}\n", "1:1 a brace too many: it closes nothing", "closed twice"),
        ("virtual V\n", "1:1 `virtual` opens no block: ", "no brace"),
        ("virtual V {\nsend = \"a\n}\n", "2:8 a quote is not closed: ", "a quote"),
        ("virtual V {\nactive = 1\n}\n", "1:1 virtual V has no address: ", "no address"),
    ] {
        let (_, report) = read(text);
        let first = report.diagnostics.iter().find(|d| d.severity == Severity::Error).expect(why);
        let place = first.place.as_ref().expect(why);
        let told = format!("{}:{} {}: {}", place.line, place.column, first.message, first.label);
        assert!(told.starts_with(expected), "{why}: {told}");
    }
    let twice = with("") + &with("");
    let (_, report) = read(&twice);
    assert!(report.render(false).contains("is there already"), "{}", report.render(false));
}

#[test]
fn the_format_is_found_without_the_name() {
    for (text, expected, why) in [
        ("# comment\nserial_no = 1\n", Format::LvsCf, "a keyword of its own"),
        ("\nvirtual V {\n", Format::LvsCf, "a block"),
        ("global_defs {\n", Format::Keepalived, "keepalived's"),
        ("", Format::Keepalived, "nothing"),
    ] {
        assert_eq!(Format::find("/etc/some.conf", text.as_bytes()), expected, "{why}");
    }
    let host = InMemory::default().with("x", "heartbeat = 1\n");
    let (_, report) = load_as(Some(Format::Keepalived), "x", &host);
    assert!(report.has_errors(), "a format that is said is the one");
}

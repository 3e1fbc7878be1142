use std::fmt::Write;

use super::*;
use crate::save::tables;

fn guarded(name: &str, protocol: u8, address: [u8; 4], port: u16) -> Guarded {
    let (name, protocol, address) = (name.to_owned(), IpProtocol(protocol), address.into());
    Guarded { name, protocol, address, port }
}

/// A web service, a name service, and one of all ports.
fn services() -> [Guarded; 3] {
    [
        guarded("web", 6, [10, 0, 0, 1], 80),
        guarded("dns", 17, [10, 0, 0, 2], 53),
        guarded("all", 6, [10, 0, 0, 3], 0),
    ]
}

/// The refusals of these rules of INPUT and the chain A: text, services.
fn said(policy: &str, rules: &str) -> Vec<(String, String)> {
    let mut save = format!("*filter\n:INPUT {policy} [0:0]\n:A - [0:0]\n");
    for rule in rules.split(" / ") {
        writeln!(save, "-A {rule}").expect("a string");
    }
    let found = refusals(&tables(Tool::Nft, &save), &services());
    found.into_iter().map(|r| (r.text, r.services.join(" "))).collect()
}

#[test]
fn rules_name_the_services_they_concern() {
    let rows = [
        ("INPUT -d 10.0.0.1/32 -j DROP", "web", "an address"),
        ("INPUT -d 10.0.0.9/32 -j DROP", "", "another"),
        ("INPUT ! -d 10.0.0.1/32 -j DROP", "dns all", "all others"),
        ("INPUT -p tcp -m tcp --dport 80 -j REJECT", "web all", "a port without an address"),
        ("INPUT -p udp -m multiport --dports 52:54,99 -j DROP", "dns", "several"),
        ("INPUT -p tcp -m multiport ! --dports 80 -j DROP", "all", "all but one"),
        ("INPUT ! -p tcp -j DROP", "dns", "all protocols but one"),
        ("INPUT -s 192.0.2.0/24 -j DROP", "web dns all", "some clients of all"),
        (
            "INPUT -m conntrack --ctstate INVALID -j DROP",
            "web dns all",
            "whom it is about is not known",
        ),
        ("INPUT -i lo -j DROP", "", "from this host alone"),
        ("INPUT -i eth0 -j DROP", "web dns all", "by one way"),
        ("INPUT -j LOG", "", "nobody"),
    ];
    for (rules, expected, sentence) in rows {
        let said = said("ACCEPT", rules);
        let found = said.first().map_or("", |(_, services)| services.as_str());
        assert_eq!(
            (found, said.len()),
            (expected, usize::from(!expected.is_empty())),
            "{sentence}"
        );
    }
}

/// Policy, rules, what is said of which services, a sentence.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

#[test]
fn what_is_decided_before_is_not_refused_after() {
    let rows: [Row; 9] = [
        (
            "DROP",
            "INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            &[("policy DROP of INPUT", "web dns all")],
            "a policy",
        ),
        (
            "DROP",
            "INPUT -p tcp -j ACCEPT",
            &[("policy DROP of INPUT", "dns")],
            "who is let in by all",
        ),
        (
            "DROP",
            "INPUT -s 10.0.0.0/8 -p tcp -j ACCEPT",
            &[("policy DROP of INPUT", "web dns all")],
            "by some",
        ),
        (
            "ACCEPT",
            "INPUT -d 10.0.0.1/32 -j ACCEPT / INPUT -j DROP",
            &[("INPUT -j DROP", "dns all")],
            "let in",
        ),
        (
            "DROP",
            "INPUT -j A / A -d 10.0.0.1/32 -j ACCEPT / A -j DROP",
            &[("A -j DROP", "dns all")],
            "a chain decides",
        ),
        (
            "DROP",
            "INPUT -p tcp -j A / A -j DROP",
            &[("A -j DROP", "web all"), ("policy DROP of INPUT", "dns")],
            "about those that get there",
        ),
        (
            "DROP",
            "INPUT -j A / A -p tcp -j RETURN / A -j ACCEPT",
            &[("policy DROP of INPUT", "web all")],
            "a way back",
        ),
        ("ACCEPT", "INPUT -g A / INPUT -j DROP / A -j LOG", &[], "the rest is never reached"),
        (
            "ACCEPT",
            "INPUT -p tcp -m tcp --dport 80 -j ACCEPT / INPUT -p tcp -j DROP",
            &[("INPUT -p tcp -j DROP", "all")],
            "one port of all",
        ),
    ];
    for (policy, rules, expected, sentence) in rows {
        let said = said(policy, rules);
        let said: Vec<_> =
            said.iter().map(|(t, s)| (t.strip_prefix("-A ").unwrap_or(t), s.as_str())).collect();
        assert_eq!(said, expected, "{sentence}");
    }
}

#[test]
fn plain_sources_are_told() {
    let from = |rule: &str| {
        let save = format!("*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {rule} -j DROP\n");
        let found = refusals(&tables(Tool::Legacy, &save), &services());
        found.first().and_then(|r| r.from).map_or_else(String::new, |p| p.to_string())
    };
    assert_eq!(from("-s 203.0.113.0/24"), "203.0.113.0/24");
    assert_eq!(from("! -s 203.0.113.0/24"), "");
    assert_eq!(from("-s 203.0.113.0/24 -m limit --limit 5/sec"), "");
    assert_eq!(from(""), "");
}

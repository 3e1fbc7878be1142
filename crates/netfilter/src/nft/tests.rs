use super::*;
use crate::{
    refuse::{Guarded, refusals},
    save,
};

/// `nft -j list ruleset` of Debian 12, with tables of iptables-nft among them.
fn recorded() -> (Vec<Table>, Vec<Table>) {
    let ruleset = serde_json::from_str(include_str!("../../tests/golden/nft.json")).expect("JSON");
    let known = save::tables(Tool::Nft, include_str!("../../tests/golden/nft-mixed.save"));
    (native_tables(&ruleset, &known), known)
}

#[test]
fn tables_of_iptables_are_not_natives() {
    let (tables, known) = recorded();
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["inet fw", "netdev early"]);
    assert_eq!(known.len(), 2);
    assert_eq!(native_tables(&Value::Null, &known), [], "no ruleset");
}

#[test]
fn marks_are_named() {
    let (tables, _) = recorded();
    let texts: Vec<_> = native_marks(&tables).into_iter().map(|n| (n.text, n.reason)).collect();
    let named = |text: &str| (text.to_owned(), NATIVE.to_owned());
    assert_eq!(
        texts,
        [
            named("inet fw marking: ip daddr 10.0.0.1 tcp dport 80 meta mark set 8"),
            named("inet fw marking: iifname eth0 meta mark set meta mark | 16"),
        ]
    );
}

#[test]
fn refusals_are_found_behind_sets_and_chains() {
    let (tables, _) = recorded();
    let service = |name: &str, address: [u8; 4], port| Guarded {
        name: name.to_owned(),
        protocol: IpProtocol(6),
        address: address.into(),
        port,
    };
    let services = [service("web", [10, 0, 0, 1], 80), service("shell", [10, 0, 1, 7], 22)];
    let found = refusals(&tables, &services);
    let found: Vec<_> = found.iter().map(|r| (r.text.as_str(), r.services.join(" "))).collect();
    let row = |text: &'static str, services: &str| (text, services.to_owned());
    assert_eq!(
        found,
        [
            row("netdev early in: ip saddr 9.9.9.9 drop", "web shell"),
            row("inet fw input: ip saddr @blocked drop", "web shell"),
            row(
                "inet fw input: ip daddr 10.0.0.1 tcp dport { 80, 443 } \
                 ip saddr != 192.0.2.0/24 reject",
                "web"
            ),
            row("policy DROP of input", "web"),
            row("inet fw input: ip daddr { 10.0.0.9, 10.0.1.0/24 } drop", "shell"),
        ]
    );
}

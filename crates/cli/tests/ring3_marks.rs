//! Rules of the host's own iptables, by either backend: followed when they are typed, before the
//! director starts or later, and named where they cannot be or where they guarded a service. Needs
//! root and iptables; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::os::unix::fs::symlink;

use serde_json::Value;
use xlvs_testkit::{Plan, find_program, wait_until};

use site::{LONG, Site, skip};

/// A director whose `iptables` is this backend's.
fn site(backend: &str) -> Option<Site> {
    let program = match find_program(&format!("iptables-{backend}")) {
        Ok(program) => program,
        Err(why) => {
            skip(&why);
            return None;
        }
    };
    let site = Site::build(&Plan::one_arm(1, 1))?;
    symlink(program, site.lab.folder().join("iptables")).unwrap();
    Some(site)
}

/// Types a line on the director.
fn shell(site: &Site, line: &str) {
    site.run("director", "/bin/sh", &["-c", line]);
}

/// `xlvs mark list`.
fn marks(site: &Site) -> Value {
    serde_json::from_str(&site.xlvs("director", "mark list -o json")).unwrap()
}

/// The host's rules as they are followed, without `-A PREROUTING`.
fn followed(site: &Site) -> Vec<String> {
    let marks = marks(site);
    let rules = marks["followed"].as_array().unwrap().iter();
    let text = |rule: &Value| {
        let rule = rule["rule"].as_str().unwrap();
        rule.strip_prefix("-A PREROUTING ").unwrap_or(rule).to_owned()
    };
    rules.map(text).collect()
}

fn await_followed(site: &Site, expected: &[&str]) {
    let settled =
        wait_until("the director to follow", LONG, || (followed(site) == expected).then_some(()));
    assert!(settled.is_ok(), "{:?}\nexpected {expected:?}", followed(site));
}

fn await_warning(site: &Site, expected: &str) {
    let settled = wait_until("a warning", LONG, || {
        site.xlvs("director", "status").contains(expected).then_some(())
    });
    assert!(settled.is_ok(), "{expected}\n{}", site.xlvs("director", "status"));
}

const SEED_001: &str = include_str!("seeds/001-mark-director1.sh");
const SEED_004: &str = include_str!("seeds/004-pnmpp.sh");

/// The lines of a seed that mark.
fn marking(seed: &str) -> impl Iterator<Item = &str> {
    seed.lines().filter(|line| line.starts_with("iptables"))
}

const BY_MAC: &str = "-d 172.16.0.113/32 -p tcp -m tcp --dport 80 \
                      -m mac ! --mac-source 02:00:00:00:00:02 -j MARK --set-xmark 0x3/0xffffffff";
const WEB: [&str; 4] = [
    "-d 172.16.100.1/32 -i eth0 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x8/0xffffffff",
    "-d 172.16.100.1/32 -i eth0 -p tcp -m tcp --dport 443 -j MARK --set-xmark 0x8/0xffffffff",
    "-d 172.16.100.1/32 -p tcp -m tcp --dport 21 -j MARK --set-xmark 0xa/0xffffffff",
    "-d 172.16.100.1/32 -p tcp -m tcp --dport 10000:20000 -j MARK --set-xmark 0xa/0xffffffff",
];

fn seeds_are_followed(backend: &str) {
    let Some(mut site) = site(backend) else { return };
    // Before the director: in force when it says that it is ready.
    for line in marking(SEED_004) {
        shell(&site, line);
    }
    site.start_director("--interface eth0");
    assert_eq!(followed(&site), WEB);
    // Later, and before the others.
    let set = "export VIP=172.16.0.113 VPORT=80 MAC_Director2=02:00:00:00:00:02";
    for line in marking(SEED_001) {
        shell(&site, &format!("{set}\n{line}"));
    }
    await_followed(&site, &[&[BY_MAC][..], &WEB].concat());
    shell(&site, "iptables -t mangle -D PREROUTING 2");
    await_followed(&site, &[&[BY_MAC][..], &WEB[1..]].concat());
    shell(&site, "iptables -t mangle -F PREROUTING");
    await_followed(&site, &[]);
}

#[test]
fn lines_of_the_seeds_are_followed_from_nf_tables() {
    seeds_are_followed("nft");
}

#[test]
fn lines_of_the_seeds_are_followed_from_ip_tables() {
    seeds_are_followed("legacy");
}

#[test]
fn chains_are_gone_into_and_what_cannot_be_done_is_named() {
    let Some(mut site) = site("nft") else { return };
    site.start_director("--interface eth0");
    shell(
        &site,
        "iptables -t mangle -N WEB && \
         iptables -t mangle -A WEB -s 192.0.2.0/24 -j RETURN && \
         iptables -t mangle -A WEB -p tcp -m multiport --dports 80,443 -j MARK --set-mark 8 && \
         iptables -t mangle -A PREROUTING -d 172.16.0.113 -j WEB && \
         iptables -t mangle -A PREROUTING -m limit --limit 5/s -j MARK --set-mark 9",
    );
    await_followed(
        &site,
        &[
            "-d 172.16.0.113/32 -j WEB",
            "-A WEB -s 192.0.2.0/24 -j RETURN",
            "-A WEB -p tcp -m multiport --dports 80,443 -j MARK --set-xmark 0x8/0xffffffff",
        ],
    );
    let rule = "-A PREROUTING -m limit --limit 5/sec -j MARK --set-xmark 0x9/0xffffffff";
    await_warning(&site, &format!("mark rule `{rule}` is not mirrored: the condition -m limit"));
    let json = marks(&site);
    assert_eq!(json["not_mirrored"][0]["text"], rule);
    shell(&site, "iptables -t mangle -F");
    await_followed(&site, &[]);
    wait_until("the warning to go", LONG, || {
        (!site.xlvs("director", "status").contains("not mirrored")).then_some(())
    })
    .unwrap();
}

#[test]
fn rules_that_guarded_a_service_are_named() {
    let Some(mut site) = site("legacy") else { return };
    site.start_director("--interface eth0");
    site.xlvs("director", "service add tcp:172.16.0.113:80");
    shell(&site, "iptables -A INPUT -s 192.0.2.0/24 -d 172.16.0.113 -p tcp --dport 80 -j DROP");
    shell(&site, "iptables -A INPUT -d 172.16.0.114 -j DROP");
    await_warning(
        &site,
        "`-A INPUT -s 192.0.2.0/24 -d 172.16.0.113/32 -p tcp -m tcp --dport 80 -j DROP` of \
         iptables-legacy (table filter) no longer keeps packets from tcp:172.16.0.113:80. Try: \
         xlvs deny add 192.0.2.0/24 --service tcp:172.16.0.113:80",
    );
    shell(&site, "iptables -P INPUT DROP");
    await_warning(&site, "`policy DROP of INPUT` of iptables-legacy (table filter)");
    let status = site.xlvs("director", "status");
    assert!(!status.contains("172.16.0.114"), "no service is there: {status}");
}

#[test]
fn own_rules_are_kept_over_a_restart() {
    let Some(mut site) = site("nft") else { return };
    let daemon = site.start_director("--interface eth0");
    site.xlvs("director", "mark add -d 172.16.0.113 -p tcp --dport 80,443 --set-mark 8");
    site.xlvs("director", "mark add -s !192.0.2.0/24 --or-mark 0x10 --at 1");
    let before = marks(&site);
    assert_eq!(before["own"].as_array().unwrap().len(), 2);
    site.kill(daemon);
    let daemon = site.start_director("");
    assert_eq!(marks(&site), before);
    site.xlvs("director", "mark remove 1");
    let after = marks(&site);
    assert_eq!(after["own"], Value::Array(vec![before["own"][1].clone()]));
    site.kill(daemon);
    site.start_director("");
    assert_eq!(marks(&site), after);
}

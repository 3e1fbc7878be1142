//! Mark rules on their way to the plane.

use xlvs_datapath::mark::{Facts, mark_of};
use xlvs_model::MarkRule;
use xlvs_netfilter::{Tool, tables};

use super::*;
use crate::firewall::Firewall;

fn rule(json: &str) -> MarkRule {
    serde_json::from_str(json).unwrap()
}

fn add(json: &str) -> Change {
    Change::AddMark { at: None, rule: rule(json) }
}

/// A firewall whose PREROUTING of mangle has these rules.
fn firewall(rules: &[&str]) -> Firewall {
    let mut save = "*mangle\n:PREROUTING ACCEPT [0:0]\n".to_owned();
    for rule in rules {
        save.extend(["-A PREROUTING ", rule, "\n"]);
    }
    Firewall::new(true, tables(Tool::Nft, &save), Vec::new())
}

/// The mark of a packet that came by this interface.
fn mark(bench: &Bench, ifindex: u32) -> u32 {
    mark_of(bench.fake.told().marks.as_slice(), Facts { ifindex, ..Facts::default() })
}

const BY_ETH0: &str = "-i eth0 -j MARK --set-xmark 0x1/0xffffffff";
const BY_ETH1: &str = "-i eth1 -j MARK --set-xmark 0x2/0xffffffff";

#[test]
fn the_hosts_rules_come_before_the_directors() {
    let mut bench = Bench::new();
    bench.engine.look_around(sight(neighbour(), None), false);
    assert_eq!(mark(&bench, 4), 0, "no rules");
    bench.engine.see_firewall(firewall(&[BY_ETH0]));
    assert_eq!(mark(&bench, 4), 1, "the host's");
    bench.engine.change(&[add(r#"{"mark":"1","then":{"set":"8"}}"#)]).unwrap();
    assert_eq!(mark(&bench, 4), 8, "the director's sees what the host's set");
    let view = bench.engine.mark_rules();
    assert_eq!(view.followed[0].rule, format!("-A PREROUTING {BY_ETH0}"));
    assert_eq!(view.own.len(), 1);
    assert_eq!(bench.saved().marks, view.own, "the director's are saved, the host's are not");
    bench.engine.see_firewall(firewall(&[]));
    assert_eq!(mark(&bench, 4), 0, "the host's are gone");
    bench.engine.change(&[Change::RemoveMark { at: 1 }]).unwrap();
    assert_eq!(bench.fake.told().marks, []);
}

#[test]
fn interfaces_get_their_numbers_when_they_come() {
    let mut bench = Bench::new();
    bench.engine.see_firewall(firewall(&[BY_ETH0, BY_ETH1]));
    assert_eq!((mark(&bench, 4), mark(&bench, 5)), (0, 0), "there is no interface yet");
    bench.engine.look_around(sight(neighbour(), None), false);
    assert_eq!((mark(&bench, 4), mark(&bench, 5)), (1, 0));
    let mut other = sight(neighbour(), None);
    other.host.others.insert(5, "eth1".into());
    bench.engine.look_around(other, false);
    assert_eq!((mark(&bench, 4), mark(&bench, 5)), (1, 2), "no Ethernet, but named");
}

#[test]
fn rules_that_could_not_be_programmed_are_tried_again() {
    let mut bench = Bench::new();
    bench.engine.look_around(sight(neighbour(), None), false);
    bench.fake.told().failing = Some("bpf: EIO".into());
    bench.engine.see_firewall(firewall(&[BY_ETH0]));
    bench.fake.told().failing = None;
    let trouble = "mark rules are not as they should be: the data plane failed: bpf: EIO";
    assert_eq!(bench.engine.survey().unwrap().troubles, [trouble]);
    bench.engine.look_around(sight(neighbour(), None), false);
    assert_eq!(mark(&bench, 4), 1);
    assert_eq!(bench.engine.survey().unwrap().troubles, [""; 0], "mended");
}

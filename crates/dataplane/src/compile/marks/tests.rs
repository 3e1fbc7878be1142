#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::Ipv4Addr;

use proptest::prelude::*;
use xlvs_datapath::mark::{Facts, mark_of};
use xlvs_model::{IpProtocol, MacAddress, Masked};

use super::*;

/// `eth0` is 3, `eth1` is 4.
fn numbers(pattern: &InterfacePattern) -> Vec<u32> {
    let all = [("eth0", 3), ("eth1", 4)];
    all.into_iter().filter(|(name, _)| pattern.matches(name)).map(|(_, n)| n).collect()
}

fn name(ifindex: u32) -> &'static str {
    if ifindex == 3 { "eth0" } else { "eth1" }
}

/// A packet in the model's words.
#[derive(Clone, Debug)]
struct Packet {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    sport: u16,
    dport: u16,
    ifindex: u32,
    mac: [u8; 6],
}

impl Packet {
    fn facts(&self) -> Facts {
        Facts {
            smac: Mac::new(self.mac).to_u64(),
            src: u32::from_ne_bytes(self.source.octets()),
            dst: u32::from_ne_bytes(self.destination.octets()),
            ifindex: self.ifindex,
            protocol: self.protocol.into(),
            sport: self.sport,
            dport: self.dport,
            portless: 0,
        }
    }
}

/// The walk as iptables' manual has it, on the rules as they were read: a second opinion.
mod manual {
    use super::*;

    pub(super) fn is_about(matches: &MarkMatch, packet: &Packet, mark: u32) -> bool {
        fn holds<T>(is: Option<&Is<T>>, so: impl Fn(&T) -> bool) -> bool {
            is.is_none_or(|is| so(&is.value) != is.not)
        }
        holds(matches.source.as_ref(), |p| p.contains(packet.source))
            && holds(matches.destination.as_ref(), |p| p.contains(packet.destination))
            && holds(matches.protocol.as_ref(), |p| p.0 == packet.protocol)
            && holds(matches.source_ports.as_ref(), |p| p.contains(packet.sport))
            && holds(matches.destination_ports.as_ref(), |p| p.contains(packet.dport))
            && holds(matches.ports.as_ref(), |p| {
                p.contains(packet.sport) || p.contains(packet.dport)
            })
            && holds(matches.interface.as_ref(), |i| i.matches(name(packet.ifindex)))
            && holds(matches.source_mac.as_ref(), |m| m.0 == packet.mac)
            && holds(matches.mark.as_ref(), |m| m.is_of(mark))
    }

    /// How a chain is left.
    #[derive(PartialEq, Eq)]
    enum Left {
        AtItsEnd,
        ForGood,
    }

    pub(super) fn mark(mirror: &Mirror, own: &[MarkRule], packet: &Packet) -> u32 {
        let mut mark = 0;
        for section in &mirror.sections {
            chain(section, packet, &mut mark);
        }
        for rule in own {
            if is_about(&rule.matches, packet, mark) {
                match rule.then {
                    MarkThen::Set(set) => mark = set.applied_to(mark),
                    MarkThen::Stop => break,
                }
            }
        }
        mark
    }

    fn chain(rules: &[Followed], packet: &Packet, mark: &mut u32) -> Left {
        for rule in rules {
            if !rule.all.iter().all(|matches| is_about(matches, packet, *mark)) {
                continue;
            }
            match &rule.then {
                FollowedThen::Set(set) => *mark = set.applied_to(*mark),
                FollowedThen::Accept => return Left::ForGood,
                FollowedThen::Return => return Left::AtItsEnd,
                FollowedThen::Jump(body) => {
                    if chain(body, packet, mark) == Left::ForGood {
                        return Left::ForGood;
                    }
                }
                FollowedThen::Goto(body) => return chain(body, packet, mark),
            }
        }
        Left::AtItsEnd
    }
}

fn word<T>(words: &'static [&'static str]) -> BoxedStrategy<Option<Is<T>>>
where
    T: std::str::FromStr<Err: std::fmt::Debug> + Clone + std::fmt::Debug + 'static,
{
    let words = proptest::sample::select(words);
    proptest::option::weighted(0.3, words.prop_map(|w| w.parse().unwrap())).boxed()
}

fn matches() -> impl Strategy<Value = MarkMatch> {
    (
        word::<Prefix>(&["10.0.0.1", "!10.0.0.1", "10.0.0.0/30", "!0.0.0.0/0", "10.0.0.1/0.0.0.1"]),
        word::<Prefix>(&["10.0.0.2", "!10.0.0.2", "0.0.0.0/0"]),
        word::<IpProtocol>(&["tcp", "!tcp", "udp"]),
        word::<Ports>(&["1", "!2", "1:2", "!1,3"]),
        word::<Ports>(&["2", "!1", "0:1,3", "!2:65535"]),
        word::<Ports>(&["1,3", "!1,3"]),
        word::<InterfacePattern>(&["eth0", "!eth0", "eth+", "!eth+", "wlan0", "!wlan0"]),
        word::<MacAddress>(&["2:0:0:0:0:1", "!2:0:0:0:0:1"]),
        word::<Masked>(&["0", "!0", "0x1/0x1", "!0x1/0x3", "0x8/0x1"]),
    )
        .prop_map(|(source, destination, protocol, sports, dports, ports, i, mac, mark)| {
            MarkMatch {
                source,
                destination,
                protocol,
                source_ports: sports,
                destination_ports: dports,
                ports,
                interface: i,
                source_mac: mac,
                mark,
            }
        })
}

fn masked() -> impl Strategy<Value = Masked> {
    (0..8_u32, 0..8_u32).prop_map(|(value, mask)| Masked { value, mask })
}

fn followed() -> impl Strategy<Value = Vec<Followed>> {
    let then = prop_oneof![
        4 => masked().prop_map(FollowedThen::Set),
        1 => Just(FollowedThen::Accept),
        1 => Just(FollowedThen::Return),
    ];
    let rule = |then: BoxedStrategy<FollowedThen>| {
        let all = proptest::collection::vec(matches(), 0..3);
        (all, then).prop_map(|(all, then)| Followed { text: String::new(), all, then })
    };
    let leaf = proptest::collection::vec(rule(then.boxed()), 0..4);
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let then = prop_oneof![
            2 => masked().prop_map(FollowedThen::Set),
            1 => Just(FollowedThen::Return),
            3 => inner.clone().prop_map(FollowedThen::Jump),
            2 => inner.prop_map(FollowedThen::Goto),
        ];
        proptest::collection::vec(rule(then.boxed()), 0..5)
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    (0..4_u8, 0..4_u8, any::<bool>(), 0..4_u16, 0..4_u16, 3..5_u32, 0..3_u8).prop_map(
        |(source, destination, tcp, sport, dport, ifindex, mac)| Packet {
            source: [10, 0, 0, source].into(),
            destination: [10, 0, 0, destination].into(),
            protocol: if tcp { 6 } else { 17 },
            sport,
            dport,
            ifindex,
            mac: [2, 0, 0, 0, 0, mac],
        },
    )
}

proptest! {
    #[test]
    fn the_entries_do_what_the_rules_say(
        sections in proptest::collection::vec(followed(), 0..3),
        own in proptest::collection::vec((matches(), proptest::option::of(masked())), 0..4),
        packets in proptest::collection::vec(packet(), 40),
    ) {
        let mirror = Mirror { sections, not_mirrored: Vec::new() };
        let then = |set: Option<Masked>| set.map_or(MarkThen::Stop, MarkThen::Set);
        let own: Vec<_> =
            own.into_iter().map(|(matches, set)| MarkRule { matches, then: then(set) }).collect();
        let entries = compile_marks(&mirror, &own, numbers).unwrap();
        for (at, entry) in (0..).zip(&entries) {
            prop_assert!(entry.hit > at && entry.miss > at, "entries lead further down");
        }
        for packet in &packets {
            let expected = manual::mark(&mirror, &own, packet);
            prop_assert_eq!(mark_of(entries.as_slice(), packet.facts()), expected, "{:?}", packet);
        }
    }
}

fn own(text: &str) -> MarkRule {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_rule_takes_as_few_entries_as_it_can() {
    for (rule, entries, sentence) in [
        (
            r#"{"source":"10.0.0.1","destination":"!10.0.0.2","protocol":"tcp","destination_ports":"1,2,3:4","interface":"eth0","source_mac":"!2:0:0:0:0:1","mark":"1","then":{"set":"1"}}"#,
            1,
            "one of each",
        ),
        (
            r#"{"protocol":"tcp","source_ports":"1","destination_ports":"2","then":{"set":"1"}}"#,
            2,
            "ports twice",
        ),
        (r#"{"interface":"eth+","then":{"set":"1"}}"#, 3, "two interfaces, and what remains"),
        (r#"{"interface":"wlan0","then":{"set":"1"}}"#, 0, "one that is not there"),
        (r#"{"interface":"!wlan0","then":{"set":"1"}}"#, 1, "any but one that is not there"),
    ] {
        let compiled = compile_marks(&Mirror::default(), &[own(rule)], numbers).unwrap();
        assert_eq!(compiled.len(), entries, "{sentence}");
    }
}

#[test]
fn rules_beyond_the_table_are_refused() {
    let set = |text: &str| Followed {
        text: text.to_owned(),
        all: Vec::new(),
        then: FollowedThen::Set(Masked { value: 1, mask: 1 }),
    };
    let sections = |n| Mirror { sections: vec![vec![set(""); n]], not_mirrored: Vec::new() };
    let room = compile_marks(&sections(MAX_MARK_ENTRIES), &[], numbers).unwrap();
    assert_eq!(room.len(), MAX_MARK_ENTRIES);
    let full = compile_marks(&sections(MAX_MARK_ENTRIES + 1), &[], numbers);
    assert!(matches!(full, Err(Error::Full { table: "mark rules", room: 4096 })));
    // Chains that lead to chains multiply: their entries are never all made.
    let mut rules = vec![set("")];
    for _ in 0..8 {
        let jump = |body| Followed { then: FollowedThen::Jump(body), ..set("") };
        rules = vec![jump(rules.clone()), jump(rules.clone()), jump(rules)];
    }
    let mirror = Mirror { sections: vec![rules], not_mirrored: Vec::new() };
    assert!(matches!(compile_marks(&mirror, &[], numbers), Err(Error::Full { .. })));
}

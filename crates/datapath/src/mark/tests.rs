use super::*;

const HERE: u32 = u32::from_be_bytes([10, 0, 0, 1]).to_be();
const CLIENT: u32 = u32::from_be_bytes([192, 0, 2, 7]).to_be();

/// TCP from 192.0.2.7:5000 to 10.0.0.1:80, by interface 3.
const PACKET: Facts = Facts {
    smac: 0x0102_0304_0506,
    src: CLIENT,
    dst: HERE,
    ifindex: 3,
    protocol: 6,
    sport: 5000,
    dport: 80,
    portless: 0,
};

fn ports(sides: u16, ranges: &[(u16, u16)]) -> MarkRule {
    let mut rule = MarkRule { sides, ..MarkRule::ANY };
    for (place, (first, last)) in rule.ranges.iter_mut().zip(ranges) {
        *place = PortRange { first: *first, last: *last };
    }
    rule
}

/// Each condition: a rule that is about the packet, and one that is not, but for `not`.
#[test]
fn each_condition_and_its_negation() {
    let any = MarkRule::ANY;
    let all = u32::MAX;
    let rows = [
        (
            NOT_SOURCE,
            MarkRule { src: CLIENT, src_mask: all, ..any },
            MarkRule { src: HERE, src_mask: all, ..any },
        ),
        (
            NOT_DESTINATION,
            MarkRule { dst: HERE & 0xff, dst_mask: 0xff, ..any },
            MarkRule { dst: CLIENT & 0xff, dst_mask: 0xff, ..any },
        ),
        (
            NOT_INTERFACE,
            MarkRule { ifindex: 3, ifindex_mask: all, ..any },
            MarkRule { ifindex: 4, ifindex_mask: all, ..any },
        ),
        (
            NOT_PROTOCOL,
            MarkRule { protocol: 6, protocol_mask: u16::MAX, ..any },
            MarkRule { protocol: 17, protocol_mask: u16::MAX, ..any },
        ),
        (
            NOT_MAC,
            MarkRule { smac: PACKET.smac, smac_mask: (1 << 48) - 1, ..any },
            MarkRule { smac: PACKET.smac ^ 1 << 47, smac_mask: (1 << 48) - 1, ..any },
        ),
        (
            NOT_MARK,
            MarkRule { mark: 0x12, mark_mask: 0xff, ..any },
            MarkRule { mark: 0x12, mark_mask: 0x2, ..any },
        ),
        (NOT_PORTS, ports(SIDE_DESTINATION, &[(80, 80)]), ports(SIDE_DESTINATION, &[(81, 90)])),
        (NOT_PORTS, ports(SIDE_SOURCE, &[(1, 9), (5000, 6000)]), ports(SIDE_SOURCE, &[(80, 80)])),
        (NOT_PORTS, ports(SIDE_DESTINATION, &[(0, 65535)]), ports(SIDE_DESTINATION, &[])),
        (
            NOT_PORTS,
            ports(SIDE_SOURCE | SIDE_DESTINATION, &[(80, 80)]),
            ports(SIDE_SOURCE | SIDE_DESTINATION, &[(81, 4999), (5001, 65535)]),
        ),
    ];
    for (at, (not, so, otherwise)) in rows.into_iter().enumerate() {
        assert!(matches(&so, &PACKET, 0x112), "row {at}");
        assert!(!matches(&otherwise, &PACKET, 0x112), "row {at}");
        assert!(!matches(&MarkRule { not, ..so }, &PACKET, 0x112), "row {at}, negated");
        assert!(matches(&MarkRule { not, ..otherwise }, &PACKET, 0x112), "row {at}, negated");
    }
    assert!(matches(&any, &PACKET, 0), "no condition lets everything through");
    assert!(matches(&any, &Facts::default(), 7), "also nothing at all");
}

#[test]
fn all_conditions_must_hold() {
    let both = MarkRule { src: CLIENT, src_mask: u32::MAX, ..ports(SIDE_DESTINATION, &[(80, 80)]) };
    assert!(matches(&both, &PACKET, 0));
    assert!(!matches(&both, &Facts { dport: 81, ..PACKET }, 0));
    assert!(!matches(&both, &Facts { src: 1, ..PACKET }, 0));
    assert!(!matches(&both, &Facts { src: 1, dport: 81, ..PACKET }, 0));
}

#[test]
fn every_port_of_every_place_is_told() {
    for place in 0..PORT_RANGES {
        let mut rule = ports(SIDE_DESTINATION, &[]);
        rule.ranges[place] = PortRange { first: 100, last: 200 };
        for (port, within) in [(0, false), (99, false), (100, true), (200, true), (201, false)] {
            let facts = Facts { dport: port, ..PACKET };
            assert_eq!(matches(&rule, &facts, 0), within, "place {place}, port {port}");
        }
        rule.ranges[place] = PortRange { first: 65535, last: 65535 };
        assert!(matches(&rule, &Facts { dport: 65535, ..PACKET }, 0), "the last port");
    }
}

/// `par->fragoff != 0` in the kernel's `xt_tcpudp.c` and `xt_multiport.c`.
#[test]
fn negation_makes_no_port_out_of_none() {
    let fragment = Facts { portless: 1, sport: 0, dport: 0, ..PACKET };
    let rule = ports(SIDE_DESTINATION, &[(80, 80)]);
    let not = NOT_PORTS;
    assert!(!matches(&rule, &fragment, 0));
    assert!(!matches(&MarkRule { not, ..rule }, &fragment, 0));
    assert!(matches(&MarkRule::ANY, &fragment, 0), "a rule that asks for no ports is about it");
}

#[test]
fn a_value_outside_its_mask_is_never_met() {
    let rule = MarkRule { mark: 0x103, mark_mask: 0xff, ..MarkRule::ANY };
    assert!(!matches(&rule, &PACKET, 0x103));
    let not = NOT_MARK;
    assert!(matches(&MarkRule { not, ..rule }, &PACKET, 0x103));
}

fn set(value: u32, hit: u16, miss: u16) -> MarkRule {
    MarkRule { clear: u32::MAX, flip: value, hit, miss, ..MarkRule::ANY }
}

#[test]
fn the_walk_goes_where_rules_lead() {
    let to_80 = |rule: MarkRule| MarkRule {
        sides: SIDE_DESTINATION,
        ranges: ports(0, &[(80, 80)]).ranges,
        ..rule
    };
    let rows: [(&[MarkRule], u32, &str); 7] = [
        (&[], 0, "no rules, no mark"),
        (&[set(1, 1, 1), set(2, 2, 2)], 2, "setting a mark does not end the walk"),
        (&[set(1, MARKS_END, 1), set(2, 2, 2)], 1, "unless the rule says so"),
        (&[set(1, 2, 1), set(2, 2, 2), to_80(set(3, 3, 3))], 3, "over what is not its way"),
        (&[to_80(set(1, 1, 2)), set(2, 2, 2)], 2, "a chain is gone into"),
        (
            &[MarkRule { not: 64, ..to_80(set(1, 1, 2)) }, set(2, 2, 2), set(3, 3, 3)],
            3,
            "or passed over",
        ),
        (
            &[
                set(0x13, 1, 1),
                MarkRule {
                    mark: 3,
                    mark_mask: 0xf,
                    clear: 0xf,
                    flip: 0x105,
                    hit: 2,
                    miss: 2,
                    ..MarkRule::ANY
                },
            ],
            0x115,
            "a rule sees the mark that one before it set",
        ),
    ];
    for (rules, expected, sentence) in rows {
        assert_eq!(mark_of(rules, PACKET), expected, "{sentence}");
    }
}

#[test]
fn facts_go_through_four_numbers() {
    for facts in [PACKET, Facts { portless: 1, ..PACKET }, Facts::default()] {
        assert_eq!(Facts::from_words(facts.to_words()), facts);
    }
}

use std::{format, vec::Vec};

use super::*;

extern crate std;

/// `tcp_states` of the kernel's `ip_vs_proto_tcp.c`, as its comments draw them.
const KERNEL: &str = "\
IN      syn  SR ES ES SR SR SR SR SR SR SR SR
IN      fin  CL CW SS TW TW TW CL CW LA LI TW
IN      ack  ES ES SS ES FW TW CL CW CL LI ES
IN      rst  CL CL CL SR CL CL CL CL LA LI SR
OUT     syn  SS ES SS SR SS SS SS SS SS LI SR
OUT     fin  TW FW SS TW FW TW CL TW LA LI TW
OUT     ack  ES ES SS ES FW TW CL CW LA ES ES
OUT     rst  CL CL SS CL CL TW CL CL CL CL CL
IN-ONLY syn  SR ES ES SR SR SR SR SR SR SR SR
IN-ONLY fin  CL FW SS TW FW TW CL CW LA LI TW
IN-ONLY ack  ES ES SS ES FW TW CL CW CL LI ES
IN-ONLY rst  CL CL CL SR CL CL CL CL LA LI CL
IN      none CL CL CL CL CL CL CL CL CL CL CL
OUT     none CL CL CL CL CL CL CL CL CL CL CL
IN-ONLY none CL CL CL CL CL CL CL CL CL CL CL
";

fn state_of(short: &str) -> u8 {
    let all = ["NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA"];
    u8::try_from(all.iter().position(|s| *s == short).unwrap()).unwrap()
}

#[test]
fn every_cell_is_the_kernels() {
    let mut cells = 0;
    for line in KERNEL.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let direction = match words[0] {
            "IN" => Direction::IN,
            "OUT" => Direction::OUT,
            _ => Direction::IN_ONLY,
        };
        let flags = match words[1] {
            "syn" => SYN,
            "fin" => FIN,
            "ack" => ACK,
            "rst" => RST,
            _ => 0,
        };
        for (from, to) in words[2..].iter().enumerate() {
            let got = next(direction, Event::of_segment(flags), u8::try_from(from).unwrap());
            assert_eq!(got, state_of(to), "{line}: from {}", TCP_NAMES[from]);
            cells += 1;
        }
    }
    assert_eq!(cells, 15 * 11);
}

#[test]
fn the_first_flag_of_rst_syn_fin_ack_counts() {
    for flags in 0..=u8::MAX {
        let expected = [(RST, 3), (SYN, 0), (FIN, 1), (ACK, 2)]
            .into_iter()
            .find_map(|(flag, event)| (flags & flag != 0).then_some(event))
            .unwrap_or(4);
        assert_eq!(Event::of_segment(flags).row(), expected, "flags {flags:#x}");
    }
}

#[test]
fn a_datagram_moves_nothing_and_idles_five_minutes() {
    for direction in [Direction::IN, Direction::OUT, Direction::IN_ONLY] {
        for state in 0..16 {
            assert_eq!(next(direction, Event::DATAGRAM, state), state);
        }
    }
    assert_eq!(TIMEOUTS_S[timeout_index(17, NONE)], 300);
    assert_eq!(TIMEOUTS_S[timeout_index(6, ESTABLISHED)], 900);
    assert_eq!(TIMEOUTS_S[timeout_index(6, FIN_WAIT)], 120);
}

#[test]
fn the_active_states_are_the_four() {
    let active: Vec<&str> =
        (0..11u8).filter(|s| is_active(*s)).map(|s| TCP_NAMES[usize::from(s)]).collect();
    assert_eq!(format!("{active:?}"), r#"["ESTABLISHED", "SYN_SENT", "SYN_RECV", "SYNACK"]"#);
}

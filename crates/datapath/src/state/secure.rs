//! The stricter table of TCP states, in force under `secure_tcp` (`tcp_states_dos` of the kernel's
//! `ip_vs_proto_tcp.c`).
//!
//! It parts from the normal one where a client alone could seem to be connected: where the server's
//! packets are seen, the client's ACK ends neither `SYN_RECV` nor SYNACK, which the server's SYN
//! leads to. Where they are not, a SYN after the first leads to SYNACK. Both states count as half
//! open: `drop_entry` removes them.

use super::{BARE, CL, CW, Direction, ES, Event, FW, LA, LI, NO, SAME, SR, SS, SYNACK as SA, TW};

/// The state after a segment, under `secure_tcp`.
#[inline(always)]
pub const fn next(direction: Direction, event: Event, state: u8) -> u8 {
    super::next_in(1, direction, event, state)
}

/// By direction, event (syn, fin, ack, rst, none, datagram) and state.
pub(super) const ROWS: [[[u8; 16]; 8]; 4] = [
    [
        // NO ES SS SR FW TW CL CW LA LI SA
        [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA, NO, NO, NO, NO, NO],
        [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, SA, NO, NO, NO, NO, NO],
        [ES, ES, SS, SR, FW, TW, CL, CW, CL, LI, SA, NO, NO, NO, NO, NO],
        [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL, NO, NO, NO, NO, NO],
        BARE,
        SAME,
        SAME,
        SAME,
    ],
    [
        [SS, ES, SS, SA, SS, SS, SS, SS, SS, LI, SA, NO, NO, NO, NO, NO],
        [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW, NO, NO, NO, NO, NO],
        [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES, NO, NO, NO, NO, NO],
        [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL, NO, NO, NO, NO, NO],
        BARE,
        SAME,
        SAME,
        SAME,
    ],
    [
        [SA, ES, ES, SR, SA, SA, SA, SA, SA, SA, SA, NO, NO, NO, NO, NO],
        [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW, NO, NO, NO, NO, NO],
        [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES, NO, NO, NO, NO, NO],
        [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL, NO, NO, NO, NO, NO],
        BARE,
        SAME,
        SAME,
        SAME,
    ],
    [SAME; 8],
];

#[cfg(test)]
mod tests {
    use xlvs_wire::tcp_flag::{ACK, FIN, RST, SYN};

    use super::*;
    use crate::state;

    /// `tcp_states_dos`, as its comments draw it.
    const KERNEL: &str = "\
IN      syn  SR ES ES SR SR SR SR SR SR SR SA
IN      fin  CL CW SS TW TW TW CL CW LA LI SA
IN      ack  ES ES SS SR FW TW CL CW CL LI SA
IN      rst  CL CL CL SR CL CL CL CL LA LI CL
OUT     syn  SS ES SS SA SS SS SS SS SS LI SA
OUT     fin  TW FW SS TW FW TW CL TW LA LI TW
OUT     ack  ES ES SS ES FW TW CL CW LA ES ES
OUT     rst  CL CL SS CL CL TW CL CL CL CL CL
IN-ONLY syn  SA ES ES SR SA SA SA SA SA SA SA
IN-ONLY fin  CL FW SS TW FW TW CL CW LA LI TW
IN-ONLY ack  ES ES SS ES FW TW CL CW CL LI ES
IN-ONLY rst  CL CL CL SR CL CL CL CL LA LI CL
IN      none CL CL CL CL CL CL CL CL CL CL CL
OUT     none CL CL CL CL CL CL CL CL CL CL CL
IN-ONLY none CL CL CL CL CL CL CL CL CL CL CL
";

    /// The cells in which the two tables differ.
    const DIFFERING: usize = 15;

    #[test]
    fn every_cell_is_the_kernels() {
        let names = ["NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA"];
        let (mut cells, mut differing) = (0, 0);
        for line in KERNEL.lines() {
            let mut words = line.split_whitespace();
            let direction = match words.next() {
                Some("IN") => Direction::IN,
                Some("OUT") => Direction::OUT,
                _ => Direction::IN_ONLY,
            };
            let event = Event::of_segment(match words.next() {
                Some("syn") => SYN,
                Some("fin") => FIN,
                Some("ack") => ACK,
                Some("rst") => RST,
                _ => 0,
            });
            for (from, to) in (0_u8..).zip(words) {
                let to = names.iter().position(|name| *name == to);
                let got = next(direction, event, from);
                assert_eq!(Some(usize::from(got)), to, "{line}: from state {from}");
                differing += usize::from(got != state::next(direction, event, from));
                cells += 1;
            }
        }
        assert_eq!((cells, differing), (15 * 11, DIFFERING));
    }
}

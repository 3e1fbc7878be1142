//! `PING_CHECK`: an ICMP echo and its answer (RFC 792; of IPv6 RFC 4443).
//!
//! On a datagram socket the kernel fills in the identifier (and the checksum of `ICMPv6`) and hands
//! over this socket's answers alone; on a raw one everything comes, an IPv4 header first. Both are
//! read the same: what counts is the payload, which no other question has.

use std::net::IpAddr;

/// Bytes behind the ICMP header: as many as keepalived sends.
pub const PAYLOAD: usize = 128;

const HEADER: usize = 8;

/// One echo.
#[derive(Clone, Debug)]
pub struct Echo {
    is_v6: bool,
    sequence: u16,
    cookie: u64,
}

impl Echo {
    /// An echo to this address. The cookie is to be unlike that of any other that is under way.
    pub fn new(target: IpAddr, sequence: u16, cookie: u64) -> Self {
        Self { is_v6: target.is_ipv6(), sequence, cookie }
    }

    /// The request.
    pub fn request(&self) -> [u8; HEADER + PAYLOAD] {
        let mut packet = [0; HEADER + PAYLOAD];
        packet[0] = if self.is_v6 { 128 } else { 8 };
        packet[4..6].copy_from_slice(&self.cookie.to_be_bytes()[6..]);
        packet[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        packet[HEADER..HEADER + 8].copy_from_slice(&self.cookie.to_be_bytes());
        for (at, byte) in (8u8..).zip(&mut packet[HEADER + 8..]) {
            *byte = at;
        }
        if !self.is_v6 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    /// This packet is the answer.
    pub fn is_answer(&self, packet: &[u8]) -> bool {
        let message = match packet.first() {
            // A raw IPv4 socket gives the header too; no ICMP type of an answer begins with 4.
            Some(first) if !self.is_v6 && first >> 4 == 4 => {
                packet.get(usize::from(first & 15) * 4..).unwrap_or_default()
            }
            _ => packet,
        };
        let kind = if self.is_v6 { 129 } else { 0 };
        message.len() >= HEADER + 8
            && message[0] == kind
            && message[1] == 0
            && message[6..8] == self.sequence.to_be_bytes()
            && message[HEADER..HEADER + 8] == self.cookie.to_be_bytes()
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [_, _, high, low] = sum.to_be_bytes();
    !u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(target: &str) -> Echo {
        Echo::new(target.parse().expect("an address"), 7, 0x0123_4567_89ab_cdef)
    }

    fn answer(echo: &Echo) -> Vec<u8> {
        let mut packet = echo.request().to_vec();
        packet[0] = if echo.is_v6 { 129 } else { 0 };
        packet
    }

    #[test]
    fn a_request_is_whole() {
        let packet = echo("10.0.0.1").request();
        assert_eq!((packet[0], packet[1], packet.len()), (8, 0, 136));
        assert_eq!(checksum(&packet), 0, "with its checksum it sums up to nothing");
        assert_eq!(echo("fd00::1").request()[0], 128);
    }

    #[test]
    fn answers() {
        let v4 = echo("10.0.0.1");
        let with = |at: usize, value: u8| {
            let mut packet = answer(&v4);
            packet[at] = value;
            packet
        };
        let ip_header = [&[0x46u8][..], &[0; 23]].concat();
        for (packet, expected, why) in [
            (answer(&v4), true, "the answer"),
            ([ip_header, answer(&v4)].concat(), true, "behind an IPv4 header with options"),
            (with(5, 99), true, "the kernel has another identifier"),
            (with(0, 8), false, "our own request"),
            (with(0, 3), false, "unreachable"),
            (with(7, 8), false, "another sequence"),
            (with(15, 0), false, "another cookie"),
            (vec![0; 7], false, "too short"),
            (vec![0x4f; 20], false, "a header that is longer than the packet"),
            (Vec::new(), false, "nothing"),
        ] {
            assert_eq!(v4.is_answer(&packet), expected, "{why}");
        }
        let v6 = echo("fd00::1");
        assert!(v6.is_answer(&answer(&v6)));
        assert!(!v6.is_answer(&answer(&v4)));
    }
}

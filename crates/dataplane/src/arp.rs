//! ARP probes (RFC 5227, 2.1.1): questions without a sender's address.
//!
//! A director whose only address on a network is the virtual one cannot ask its real servers by the
//! kernel's own questions: those carry the virtual address as the sender's, which is the servers'
//! own too, so they take the question for a forgery. A probe they answer, and the kernel learns
//! from the answer as from any other.

use std::{io, net::Ipv4Addr};

use crate::PacketSocket;

/// Asks by `ifindex`, whose Ethernet address is `mac`, who has `target`. The answer goes to the
/// kernel's neighbour table, if that waits for one.
pub fn arp_probe(ifindex: u32, mac: [u8; 6], target: Ipv4Addr) -> io::Result<()> {
    PacketSocket::sender()?.send_to(ifindex, &probe(mac, target))
}

/// RFC 826: hardware 1 (Ethernet), protocol 0x0800, lengths 6 and 4, operation 1 (request).
fn probe(mac: [u8; 6], target: Ipv4Addr) -> [u8; 42] {
    let mut frame = [0; 42];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&mac);
    frame[38..].copy_from_slice(&target.octets());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_names_no_sender() {
        let frame = probe([2, 0, 0, 0, 1, 2], Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!(frame[..6], [0xff; 6], "to everybody");
        assert_eq!(frame[22..28], [2, 0, 0, 0, 1, 2], "from our Ethernet address");
        assert_eq!(frame[28..32], [0; 4], "but from no IP address");
        assert_eq!(frame[32..38], [0; 6], "the answer is to fill this in");
        assert_eq!(frame[38..], [10, 0, 0, 9]);
    }
}

//! ARP that the kernel does not send by itself: probes and announcements.
//!
//! A probe (RFC 5227, 2.1.1) is a question without a sender's address.
//!
//! A director whose only address on a network is the virtual one cannot ask its real servers by the
//! kernel's own questions: those carry the virtual address as the sender's, which is the servers'
//! own too, so they take the question for a forgery. A probe they answer, and the kernel learns
//! from the answer as from any other.
//!
//! An announcement (2.3) asks for the sender's own address: nobody is to answer, and whoever knows
//! the address under another Ethernet address learns the new one.

use std::{io, net::Ipv4Addr};

use crate::PacketSocket;

/// Asks by `ifindex`, whose Ethernet address is `mac`, who has `target`. The answer goes to the
/// kernel's neighbour table, if that waits for one.
pub fn arp_probe(ifindex: u32, mac: [u8; 6], target: Ipv4Addr) -> io::Result<()> {
    PacketSocket::sender()?.send_to(ifindex, &request(mac, Ipv4Addr::UNSPECIFIED, target))
}

/// Tells everybody by `ifindex` that `address` is at the Ethernet address `mac`.
pub fn arp_announce(ifindex: u32, mac: [u8; 6], address: Ipv4Addr) -> io::Result<()> {
    PacketSocket::sender()?.send_to(ifindex, &request(mac, address, address))
}

/// RFC 826: hardware 1 (Ethernet), protocol 0x0800, lengths 6 and 4, operation 1 (request).
fn request(mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> [u8; 42] {
    let mut frame = [0; 42];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&sender.octets());
    frame[38..].copy_from_slice(&target.octets());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_names_no_sender() {
        let target = Ipv4Addr::new(10, 0, 0, 9);
        let frame = request([2, 0, 0, 0, 1, 2], Ipv4Addr::UNSPECIFIED, target);
        assert_eq!(frame[..6], [0xff; 6], "to everybody");
        assert_eq!(frame[22..28], [2, 0, 0, 0, 1, 2], "from our Ethernet address");
        assert_eq!(frame[28..32], [0; 4], "but from no IP address");
        assert_eq!(frame[32..38], [0; 6], "the answer is to fill this in");
        assert_eq!(frame[38..], [10, 0, 0, 9]);
    }

    #[test]
    fn an_announcement_asks_for_its_own_address() {
        let address = Ipv4Addr::new(10, 0, 0, 9);
        let frame = request([2, 0, 0, 0, 1, 2], address, address);
        assert_eq!(frame[..6], [0xff; 6], "to everybody");
        assert_eq!(frame[20..22], [0, 1], "as a question, which every host looks at");
        assert_eq!((&frame[28..32], &frame[38..]), (&[10, 0, 0, 9][..], &[10, 0, 0, 9][..]));
    }
}

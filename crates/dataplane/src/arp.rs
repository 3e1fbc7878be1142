//! ARP probes (RFC 5227, 2.1.1): questions without a sender's address.
//!
//! A director whose only address on a network is the virtual one cannot ask its real servers by the
//! kernel's own questions: those carry the virtual address as the sender's, which is the servers'
//! own too, so they take the question for a forgery. A probe they answer, and the kernel learns
//! from the answer as from any other.

#![allow(unsafe_code, reason = "the address of a packet socket")]

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Asks by `ifindex`, whose Ethernet address is `mac`, who has `target`. The answer goes to the
/// kernel's neighbour table, if that waits for one.
pub fn arp_probe(ifindex: u32, mac: [u8; 6], target: Ipv4Addr) -> io::Result<()> {
    send_frame(ifindex, &probe(mac, target))
}

/// Sends a whole frame (packet(7)).
fn send_frame(ifindex: u32, frame: &[u8]) -> io::Result<()> {
    // Protocol 0: nothing is received.
    // SAFETY: plain numbers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: plain data, all zero is valid.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = u16::try_from(libc::AF_PACKET).expect("AF_PACKET is 17");
    to.sll_ifindex = i32::try_from(ifindex).map_err(io::Error::other)?;
    to.sll_halen = 6;
    to.sll_addr[..6].copy_from_slice(&frame[..6]);
    let size = libc::socklen_t::try_from(size_of_val(&to)).expect("20 bytes");
    // SAFETY: the frame and the address are alive and as long as said.
    let sent = unsafe {
        let (bytes, len) = (frame.as_ptr().cast(), frame.len());
        libc::sendto(socket.as_raw_fd(), bytes, len, 0, (&raw const to).cast(), size)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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

//! Packet sockets (packet(7)): whole frames past the host's own stack.

#![allow(unsafe_code, reason = "the addresses and options of packet sockets")]

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// A socket for whole frames, that does not block.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl From<OwnedFd> for PacketSocket {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<PacketSocket> for OwnedFd {
    fn from(socket: PacketSocket) -> Self {
        socket.0
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl PacketSocket {
    /// One that only sends.
    pub fn sender() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Protocol 0: nothing is received.
        // SAFETY: plain numbers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Frames begin with a [`VNET_HEADER`] in either direction: what is left to be done about
    /// checksums, and how a frame that the kernel merged falls into segments.
    pub fn with_vnet_headers(self) -> io::Result<Self> {
        self.set(libc::SOL_PACKET, PACKET_VNET_HDR, &1i32)?;
        Ok(self)
    }

    /// Receives the IPv4 frames that come in by `ifindex`, 0: by any, and have come past XDP; and
    /// sends to it.
    pub fn receive_ipv4(&self, ifindex: u32) -> io::Result<()> {
        let address = address(ifindex, [0; 6])?;
        let size = libc::socklen_t::try_from(size_of_val(&address)).expect("20 bytes");
        // SAFETY: the address is alive and as long as said.
        let bound = unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), size) };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Receives TCP from these addresses and nothing else from now on.
    pub fn only_tcp_from(&self, sources: &[Ipv4Addr]) -> io::Result<()> {
        let mut filter = tcp_from(sources);
        let program = libc::sock_fprog {
            len: u16::try_from(filter.len()).map_err(io::Error::other)?,
            filter: filter.as_mut_ptr(),
        };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Sends a whole frame by this interface.
    pub fn send_to(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        let head = frame.first_chunk::<6>().ok_or(io::ErrorKind::InvalidInput)?;
        let to = address(ifindex, *head)?;
        let size = libc::socklen_t::try_from(size_of_val(&to)).expect("20 bytes");
        // SAFETY: the frame and the address are alive and as long as said.
        let sent = unsafe {
            let (bytes, len) = (frame.as_ptr().cast(), frame.len());
            libc::sendto(self.0.as_raw_fd(), bytes, len, 0, (&raw const to).cast(), size)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn set<T>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        let size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
        // SAFETY: the value is alive and as long as said; the kernel copies what it points to.
        let set = unsafe {
            let value = (&raw const *value).cast();
            libc::setsockopt(self.0.as_raw_fd(), level, option, value, size)
        };
        if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn address(ifindex: u32, mac: [u8; 6]) -> io::Result<libc::sockaddr_ll> {
    // SAFETY: plain data, all zero is valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).expect("AF_PACKET is 17");
    address.sll_protocol = u16::try_from(libc::ETH_P_IP).expect("it is 0x0800").to_be();
    address.sll_ifindex = i32::try_from(ifindex).map_err(io::Error::other)?;
    address.sll_halen = 6;
    address.sll_addr[..6].copy_from_slice(&mac);
    Ok(address)
}

/// Classic BPF: loads from a frame, jumps, and how much of the frame is kept.
fn tcp_from(sources: &[Ipv4Addr]) -> Vec<libc::sock_filter> {
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).expect("a small number"),
        jt,
        jf,
        k,
    };
    let load = |width| libc::BPF_LD | width | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let keep = |bytes| step(libc::BPF_RET | libc::BPF_K, 0, 0, bytes);
    let tcp = u32::try_from(libc::IPPROTO_TCP).expect("it is 6");
    let mut filter = vec![step(load(libc::BPF_B), 0, 0, 23), step(equal, 1, 0, tcp), keep(0)];
    if sources.len() > MAX_FILTERED {
        filter.push(keep(u32::MAX));
        return filter;
    }
    filter.push(step(load(libc::BPF_W), 0, 0, 26));
    for source in sources {
        filter.extend([step(equal, 0, 1, u32::from(*source)), keep(u32::MAX)]);
    }
    filter.push(keep(0));
    filter
}

/// The length of `struct virtio_net_hdr`.
pub const VNET_HEADER: usize = 10;

/// Two steps each; the kernel takes 4,096 in all. With more, whoever reads has to sort.
const MAX_FILTERED: usize = 2000;

// linux/if_packet.h
const PACKET_VNET_HDR: i32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do with such a filter, as far as ours go.
    fn keeps(filter: &[libc::sock_filter], frame: &[u8]) -> bool {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = filter[at];
            let (class, k) = (u32::from(step.code) & 7, step.k as usize);
            at += 1;
            match class {
                libc::BPF_LD if u32::from(step.code) & libc::BPF_B != 0 => {
                    value = u32::from(frame[k]);
                }
                libc::BPF_LD => {
                    value = u32::from_be_bytes(*frame[k..].first_chunk().expect("a frame"));
                }
                libc::BPF_JMP => at += usize::from(if value == step.k { step.jt } else { step.jf }),
                _ => return step.k != 0,
            }
        }
    }

    #[test]
    fn a_filter_keeps_tcp_from_its_sources() {
        let frame = |protocol, source: [u8; 4]| {
            let mut frame = [0; 60];
            frame[23] = protocol;
            frame[26..30].copy_from_slice(&source);
            frame
        };
        let one = [Ipv4Addr::new(10, 0, 0, 1)];
        let two = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        let many = vec![Ipv4Addr::LOCALHOST; MAX_FILTERED + 1];
        let rows = [
            (&[][..], 6, [10, 0, 0, 1], false, "nothing is asked for"),
            (&one[..], 6, [10, 0, 0, 1], true, "an answer"),
            (&one[..], 6, [10, 0, 0, 2], false, "somebody else's"),
            (&one[..], 17, [10, 0, 0, 1], false, "UDP"),
            (&two[..], 6, [10, 0, 0, 2], true, "the second source"),
            (&many[..], 6, [10, 0, 0, 2], true, "too many to be told apart here"),
            (&many[..], 17, [10, 0, 0, 2], false, "but UDP is still none of them"),
        ];
        for (sources, protocol, source, expected, sentence) in rows {
            let kept = keeps(&tcp_from(sources), &frame(protocol, source));
            assert_eq!(kept, expected, "{sentence}");
        }
    }
}

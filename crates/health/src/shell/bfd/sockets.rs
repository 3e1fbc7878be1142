//! Sockets of BFD: those that all sessions of a port hear with, and the one that each speaks with.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket},
    os::fd::AsRawFd as _,
    task::Poll,
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt::Ipv4RecvTtl,
    },
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{io::Interest, net::UdpSocket};
use xlvs_model::health::BfdCheck;

use crate::shell::net::words;

/// Whence they go (RFC 5881, section 4).
const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49152..=65535;

/// So many of these are tried.
const SOURCE_TRIES: u64 = 100;

/// Internetwork control, as routers mark such packets.
const TOS: u32 = 0xc0;

/// A datagram that came.
pub(super) struct Heard {
    pub(super) bytes: Vec<u8>,
    pub(super) from: IpAddr,
    /// Its TTL or hop limit; 0 where that is not known.
    pub(super) ttl: u8,
}

/// Returns when one of them has something.
pub(super) async fn readable(ears: &BTreeMap<(bool, u16), UdpSocket>) {
    poll_fn(|context| {
        let mut any = ears.values().map(|ear| ear.poll_recv_ready(context).is_ready());
        if any.any(|ready| ready) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A datagram that has come, whether tokio knows of it or not.
pub(super) fn receive(ear: &UdpSocket) -> Option<Heard> {
    let read = || datagram(ear).map_err(io::Error::from);
    match read() {
        Ok(heard) => Some(heard),
        // Tells tokio that there is nothing more.
        Err(_) => ear.try_io(Interest::READABLE, read).ok(),
    }
}

fn datagram(ear: &UdpSocket) -> Result<Heard, Errno> {
    let mut bytes = [0; 128];
    let mut space = cmsg_space!(i32);
    let mut vectors = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<SockaddrStorage>(
        ear.as_raw_fd(),
        &mut vectors,
        Some(&mut space),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let ttl = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => Some(ttl),
        _ => None,
    });
    let from = message.address.and_then(|from| {
        let v4 = from.as_sockaddr_in().map(|from| IpAddr::V4(from.ip()));
        v4.or_else(|| from.as_sockaddr_in6().map(|from| IpAddr::V6(from.ip())))
    });
    let length = message.bytes;
    Ok(Heard {
        from: from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        ttl: ttl.and_then(|ttl| u8::try_from(ttl).ok()).unwrap_or(0),
        bytes: bytes[..length].to_vec(),
    })
}

/// A socket for what comes.
pub(super) fn ear((v6, port): (bool, u16)) -> io::Result<UdpSocket> {
    let any = anywhere(v6);
    let socket = udp(v6)?;
    if v6 {
        socket.set_recv_hoplimit_v6(true)?;
    } else {
        setsockopt(&socket, Ipv4RecvTtl, &true)?;
    }
    socket.bind(&SocketAddr::new(any, port).into())?;
    UdpSocket::from_std(socket.into())
}

/// A socket for what a session sends. The number chooses the port that is tried first.
pub(super) fn voice(check: &BfdCheck, v6: bool, roll: u64) -> Result<StdSocket, String> {
    let from = check.source_ip.unwrap_or(anywhere(v6));
    let open = || -> io::Result<StdSocket> {
        let socket = udp(v6)?;
        let ttl = u32::from(check.ttl);
        if v6 {
            socket.set_unicast_hops_v6(ttl)?;
            socket.set_tclass_v6(TOS)?;
        } else {
            socket.set_ttl_v4(ttl)?;
            socket.set_tos_v4(TOS)?;
        }
        let (first, last) = (*SOURCE_PORTS.start(), *SOURCE_PORTS.end());
        let count = u64::from(last - first) + 1;
        let mut found = io::Error::from(io::ErrorKind::AddrInUse);
        for step in 0..SOURCE_TRIES {
            let port = first + u16::try_from(roll.wrapping_add(step) % count).unwrap_or(0);
            match socket.bind(&SocketAddr::new(from, port).into()) {
                Ok(()) => return Ok(socket.into()),
                Err(fault) => found = fault,
            }
            if found.kind() != io::ErrorKind::AddrInUse {
                break;
            }
        }
        Err(found)
    };
    open().map_err(|fault| format!("no socket from {from}: {}", words(&fault)))
}

fn udp(v6: bool) -> io::Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    if v6 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

const fn anywhere(v6: bool) -> IpAddr {
    if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
}

//! Clients that wait for servers which are down are asked what they wait for: what they answer
//! passes the director, which then resets either side. Costs nothing while no server is down.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
};

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, sendto, socket_with, sockopt,
};
use tracing::warn;
use xlvs_dataplane::Waiting;

use super::{Engine, PlaneError, Work};

impl Engine {
    /// Once in a tick. Whom a question could not be sent to is asked again with the others that did
    /// not answer.
    pub(super) fn ask(&mut self) {
        let trouble = self.try_ask().err();
        let waits = |e| format!("clients that wait for servers which are down are not told: {e}");
        self.report(Work::Ask, trouble.map(waits));
    }

    fn try_ask(&mut self) -> Result<(), PlaneError> {
        let Some(plane) = &mut self.plane else { return Ok(()) };
        let (mut failed, mut sockets) = (None, BTreeMap::new());
        for waiting in plane.waiting()? {
            match send(&mut sockets, &waiting) {
                Ok(()) => self.asked += 1,
                Err(e) => failed = Some((waiting.client(), e)),
            }
        }
        if let Some((client, e)) = failed {
            warn!("{client} waits for a server that is down and cannot be told: {e}");
        }
        Ok(())
    }
}

/// By the host's own routes, as from the service's address: routes may depend on it, and it need
/// not be one of the host's.
fn send(sockets: &mut BTreeMap<Ipv4Addr, OwnedFd>, waiting: &Waiting) -> io::Result<()> {
    let socket = match sockets.entry(waiting.vip()) {
        Entry::Occupied(socket) => socket.into_mut(),
        Entry::Vacant(place) => place.insert(open(waiting.vip())?),
    };
    let to = SocketAddrV4::new(*waiting.client().ip(), 0);
    sendto(&*socket, waiting.question().as_ref(), SendFlags::DONTWAIT, &to)?;
    Ok(())
}

/// A raw socket that receives nothing and sends what brings its own IP header.
fn open(source: Ipv4Addr) -> io::Result<OwnedFd> {
    let (flags, raw) = (SocketFlags::CLOEXEC, Some(rustix::net::ipproto::RAW));
    let socket: OwnedFd = socket_with(AddressFamily::INET, SocketType::RAW, flags, raw)?;
    sockopt::set_ip_freebind(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(source, 0))?;
    Ok(socket)
}

//! Connections from an address of the client's own choice.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, bind, connect, socket, sockopt},
};

use super::{LONG, Site, talk::Talk};

/// How long a client waits before silence is silence. Its first segment is sent again after a
/// second, which would be another packet to count.
pub(crate) const SILENCE: Duration = Duration::from_millis(400);

/// What became of a connection.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// Some server talks.
    Talk(Talk),
    /// An ICMP error or a reset came.
    Refused,
    /// Nothing came.
    Silence,
}

impl Dialled {
    /// The server's name, `refused` or `silence`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Talk(talk) => &talk.host,
            Self::Refused => "refused",
            Self::Silence => "silence",
        }
    }

    /// The connection that there must be.
    pub(crate) fn talk(self) -> Talk {
        match self {
            Self::Talk(talk) => talk,
            other => panic!("{}", other.name()),
        }
    }
}

/// Dials from this address, and waits at most so long for the handshake.
pub(crate) fn dial(site: &Site, source: Ipv4Addr, target: &str, patience: Duration) -> Dialled {
    let target: SocketAddr = target.parse().unwrap();
    let reach = || reach(source, target, patience).unwrap();
    match site.lab.host("client").enter(reach).unwrap() {
        Ok(stream) => Dialled::Talk(Talk::over(stream)),
        Err(other) => other,
    }
}

fn reach(
    source: Ipv4Addr,
    target: SocketAddr,
    patience: Duration,
) -> io::Result<Result<TcpStream, Dialled>> {
    let stream = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_timeout(&stream, sockopt::Timeout::Send, Some(STEP))?;
    bind(&stream, &SocketAddr::new(source.into(), 0))?;
    let end = Instant::now() + patience;
    loop {
        match connect(&stream, &target) {
            Ok(()) => break,
            Err(Errno::CONNREFUSED | Errno::CONNRESET) => return Ok(Err(Dialled::Refused)),
            Err(Errno::AGAIN | Errno::INPROGRESS | Errno::ALREADY) => {}
            Err(other) => return Err(other.into()),
        }
        // An ICMP error that comes while the call still sends is kept for whoever asks for it, and
        // the call waits for its next segment, a second later.
        if sockopt::socket_error(&stream)? == Err(Errno::CONNREFUSED) {
            return Ok(Err(Dialled::Refused));
        }
        if Instant::now() >= end {
            return Ok(Err(Dialled::Silence));
        }
    }
    sockopt::set_socket_timeout(&stream, sockopt::Timeout::Send, Some(LONG))?;
    Ok(Ok(stream.into()))
}

/// A flow of datagrams from this address.
pub(crate) fn flow(site: &Site, source: Ipv4Addr, target: &str) -> UdpSocket {
    let open = || UdpSocket::bind((source, 0)).unwrap();
    let socket = site.lab.host("client").enter(open).unwrap();
    socket.connect(target).unwrap();
    socket
}

/// Who answers a datagram on a flow, if anybody does in so long.
pub(crate) fn ask(flow: &UdpSocket, patience: Duration) -> Option<String> {
    flow.send(b"who?").unwrap();
    hear(flow, patience)
}

/// The next answer on a flow.
pub(crate) fn hear(flow: &UdpSocket, patience: Duration) -> Option<String> {
    flow.set_read_timeout(Some(patience)).unwrap();
    let mut answer = [0; 64];
    let length = flow.recv(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// How often a client looks whether it was refused.
const STEP: Duration = Duration::from_millis(50);

//! Sockets as a check's terms say.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket as Socket2, Type};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::syn;
use crate::{Ask, Fault, Outcome, Stage, ask::Socket};

/// A connection to the target, or the outcome that its lack is.
pub(super) async fn connect(ask: &Ask) -> Result<TcpStream, Outcome> {
    let socket = stream(ask)
        .map_err(|fault| Outcome::Unasked(format!("no socket as this check wants it: {fault}")))?;
    match timeout(ask.timeout, socket.connect(ask.target)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(fault)) => Err(unreached(&fault)),
        Err(_) => Err(late(Stage::Connect, ask.timeout)),
    }
}

/// The outcome of what took too long.
pub(super) const fn late(stage: Stage, limit: Duration) -> Outcome {
    Outcome::Bad(Fault::Timeout { stage, limit })
}

/// The outcome of a target that was not reached.
pub(super) fn unreached(fault: &io::Error) -> Outcome {
    match fault.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::Bad(Fault::Refused),
        // These are this host's: it has no port, address or memory left.
        io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::AddrInUse
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::WouldBlock
        | io::ErrorKind::OutOfMemory => Outcome::Unasked(words(fault)),
        _ if is_out_of_files(fault) => Outcome::Unasked(words(fault)),
        _ => Outcome::Bad(Fault::Unreachable(words(fault))),
    }
}

/// This host has no descriptor or buffer left.
pub(super) fn is_out_of_files(fault: &io::Error) -> bool {
    let number = fault.raw_os_error().map(Errno::from_raw);
    matches!(number, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS))
}

/// `No route to host`, without the number.
pub(super) fn words(fault: &io::Error) -> String {
    let text = fault.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn stream(ask: &Ask) -> io::Result<TcpSocket> {
    let socket = Socket2::new(
        Domain::for_address(ask.target),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    prepare(&socket, &ask.socket, ask.target)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    syn::prepare(ask, &socket)?;
    Ok(socket)
}

/// Binds and marks a socket.
pub(super) fn prepare(socket: &Socket2, terms: &Socket, target: SocketAddr) -> io::Result<()> {
    if terms.mark != 0 {
        socket.set_mark(terms.mark)?;
    }
    if let Some(interface) = &terms.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if terms.address.is_some() || terms.port.is_some() {
        let any = match target {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let port = terms.port.unwrap_or(0);
        // A fixed source port is in use by the question before for a while after its end.
        socket.set_reuse_address(port != 0)?;
        socket.bind(&SocketAddr::new(terms.address.unwrap_or(any), port).into())?;
    }
    Ok(())
}

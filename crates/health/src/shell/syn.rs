//! The half-open check: a SYN, and the answer to it.
//!
//! The kernel does it, with a socket of its own port, so that no other socket and no filter of this
//! host disturbs the answer, and no power is needed. Two options make the connection a half-open
//! one: with `TCP_QUICKACK` off, the acknowledgement that would complete it is held back for up to
//! a fifth of a second, and with a linger of zero the socket closes with a RST, which goes in its
//! place. So the server's entry is removed from its backlog, and its program never learns of it.
//! Should this program be held up for so long that the acknowledgement leaves, the RST follows.

use std::io;

use socket2::SockRef;
use tokio::net::TcpSocket;
use xlvs_model::health::Kind;

use super::{Context, via};
use crate::{Ask, Outcome};

/// Sends a SYN and waits for what it is answered with.
pub(super) async fn ask(ask: &Ask, context: &Context) -> Outcome {
    match via::connect(ask, context).await {
        // Its end is the RST.
        Ok(stream) => {
            drop(stream);
            Outcome::GOOD
        }
        Err(outcome) => outcome,
    }
}

/// Makes a socket that is not connected yet one of a half-open check, if it is for one.
pub(super) fn prepare(ask: &Ask, socket: &TcpSocket) -> io::Result<()> {
    if !matches!(ask.kind, Kind::Syn) {
        return Ok(());
    }
    SockRef::from(socket).set_tcp_quickack(false)?;
    socket.set_zero_linger()
}

//! The unix socket, and who may connect.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use tokio::net::{UnixListener, UnixStream, unix::SocketAddr};
use tracing::warn;

/// A unix socket that lets in root and the daemon's own user.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    own: u32,
}

impl Listener {
    /// Binds it. Nothing may be at `path`.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let socket = UnixListener::bind(path)?;
        // Who connects in between is checked all the same.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { socket, own: rustix::process::geteuid().as_raw() })
    }

    fn lets_in(&self, stream: &UnixStream) -> bool {
        match stream.peer_cred() {
            Ok(peer) if may_enter(peer.uid(), self.own) => true,
            Ok(peer) => {
                warn!("user {} may not use the API; only root may", peer.uid());
                false
            }
            Err(e) => {
                warn!("a client was turned away: the kernel does not say who it is: {e}");
                false
            }
        }
    }
}

impl axum::serve::Listener for Listener {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) if self.lets_in(&stream) => return (stream, address),
                Ok(_) => {}
                Err(e) => {
                    warn!("cannot accept a client: {e}");
                    // Out of file descriptors, most likely: give others time to end.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.socket.local_addr()
    }
}

fn may_enter(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_daemons_user_enter() {
        for (peer, own, expected) in
            [(0, 0, true), (0, 100, true), (100, 100, true), (100, 0, false), (101, 100, false)]
        {
            assert_eq!(may_enter(peer, own), expected, "user {peer} at user {own}'s daemon");
        }
    }
}

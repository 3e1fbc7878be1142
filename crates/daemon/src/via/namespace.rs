//! The daemon's side of the checks' namespace: the child that holds it, and what it hands over.

use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType, recvmsg, send, socketpair,
    sockopt::{Timeout, set_socket_timeout},
};

use super::helper::{HERE, VERB};

/// A child of ours in a network namespace of its own. Both end with this.
pub(super) struct Namespace {
    child: Child,
    talk: OwnedFd,
}

impl Namespace {
    /// Starts it; with it comes the packet socket at the near end of the namespace's link.
    pub(super) fn start() -> Result<(Self, OwnedFd), String> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let pair = socketpair(family, kind, SocketFlags::CLOEXEC, None);
        let (talk, theirs) = pair.map_err(|e| format!("no sockets to talk by: {e}"))?;
        set_socket_timeout(&talk, Timeout::Recv, Some(PATIENCE)).map_err(|e| e.to_string())?;
        // This very program, also where a newer one has taken its place on disk.
        let child = Command::new("/proc/self/exe")
            .arg0("xlvs")
            .arg(VERB)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| format!("cannot start `xlvs {VERB}`: {e}"))?;
        let namespace = Self { child, talk };
        let near = namespace.take()?;
        Ok((namespace, near))
    }

    /// A TCP socket in the namespace that may speak from any address.
    pub(super) fn socket(&self) -> Result<OwnedFd, String> {
        send(&self.talk, b"s", SendFlags::NOSIGNAL)
            .map_err(|e| format!("their namespace is gone: {e}"))?;
        self.take()
    }

    /// What the child hands over, or why it does not.
    fn take(&self) -> Result<OwnedFd, String> {
        let mut words = [0; 512];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut handed = RecvAncillaryBuffer::new(&mut space);
        let mut pieces = [IoSliceMut::new(&mut words)];
        let heard = recvmsg(&self.talk, &mut pieces, &mut handed, RecvFlags::CMSG_CLOEXEC)
            .map_err(|e| format!("their namespace does not answer: {e}"))?;
        let mut sockets = handed.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        let socket = sockets.next().and_then(|mut sockets| sockets.next());
        match (words.get(..heard.bytes), socket) {
            (Some(words), Some(socket)) if words == HERE => Ok(socket),
            (Some([]) | None, _) => Err("their namespace has ended".into()),
            (Some(words), _) => Err(String::from_utf8_lossy(words).into_owned()),
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It has nothing to lose, and is not to stay as a zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long the child may take for an answer: it only makes a socket, or at first a link.
const PATIENCE: Duration = Duration::from_secs(2);

//! Frames between the checks' namespace and the wire.

use std::{
    collections::BTreeSet,
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::{Errno, ioctl_fionbio},
    net::{
        RecvFlags, SendFlags, recv, send,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use tracing::debug;
use xlvs_dataplane::{Hop, PacketSocket, VNET_HEADER};
use xlvs_health::Through;

use super::{
    flows::{Flow, Flows},
    helper::NEAR_MAC,
};

/// Two threads, which end soon after this.
pub(super) struct Pump {
    shared: Arc<Shared>,
}

struct Shared {
    flows: Mutex<Flows>,
    /// Virtual addresses of which answers are picked from the wire.
    listened: Mutex<BTreeSet<Ipv4Addr>>,
    began: Instant,
    /// The other end of the namespace's link: what checks send comes here.
    near: OwnedFd,
    /// What comes in from servers.
    wire: PacketSocket,
    /// By this it leaves.
    out: PacketSocket,
    over: AtomicBool,
}

impl Pump {
    pub(super) fn start(near: OwnedFd) -> io::Result<Self> {
        let wire = PacketSocket::sender()?.with_vnet_headers()?;
        // Before it hears anything.
        wire.only_tcp_from(&[])?;
        wire.receive_ipv4(0)?;
        patient(&near)?;
        patient(&wire)?;
        let shared = Arc::new(Shared {
            flows: Mutex::default(),
            listened: Mutex::default(),
            began: Instant::now(),
            near,
            wire,
            out: PacketSocket::sender()?,
            over: AtomicBool::new(false),
        });
        for (name, work) in
            [("xlvs-via-out", Shared::leave as fn(&Shared)), ("xlvs-via-in", Shared::answer)]
        {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(name.into()).spawn(move || work(&shared))?;
        }
        Ok(Self { shared })
    }

    /// What this flow sends is for that server from now on.
    pub(super) fn begin(&self, flow: Flow, through: &Through, hop: &Hop) -> Result<(), String> {
        self.shared.listen(*flow.target.ip()).map_err(|e| format!("no filter: {e}"))?;
        let now = self.shared.began.elapsed();
        self.shared.flows().begin(flow, through, hop, now)
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn flows(&self) -> MutexGuard<'_, Flows> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers from this address are picked from the wire.
    fn listen(&self, target: Ipv4Addr) -> io::Result<()> {
        let mut listened = self.listened.lock().unwrap_or_else(PoisonError::into_inner);
        if listened.contains(&target) {
            return Ok(());
        }
        let mut sources: Vec<Ipv4Addr> = listened.iter().copied().collect();
        sources.push(target);
        self.wire.only_tcp_from(&sources)?;
        listened.insert(target);
        Ok(())
    }

    /// What checks send goes to their servers.
    fn leave(&self) {
        let mut buffer = vec![0; BUFFER];
        while let Some(length) = self.receive(&self.near, &mut buffer) {
            let Some(frame) = buffer.get(VNET_HEADER..length) else { continue };
            let now = self.began.elapsed();
            let forwarded = self.flows().forward(frame, now);
            let Some((ifindex, frame)) = forwarded else { continue };
            if let Err(error) = self.out.send_to(ifindex, &frame) {
                // TCP sends it again; an interface that is down is told of by the check.
                debug!("a check's packet does not leave by interface {ifindex}: {error}");
            }
        }
    }

    /// What servers answer comes to the checks, with all that is left to be done about checksums.
    fn answer(&self) {
        let mut buffer = vec![0; BUFFER];
        while let Some(length) = self.receive(&self.wire, &mut buffer) {
            let Some(frame) = buffer.get(VNET_HEADER..length) else { continue };
            if !self.flows().is_answer(frame) {
                continue;
            }
            buffer[VNET_HEADER..VNET_HEADER + 6].copy_from_slice(&NEAR_MAC);
            if let Err(error) = send(&self.near, &buffer[..length], SendFlags::DONTWAIT) {
                debug!("an answer does not come to its check: {error}");
            }
        }
    }

    /// The next frame's length; none at the end.
    fn receive(&self, socket: impl AsFd, buffer: &mut [u8]) -> Option<usize> {
        while !self.over.load(Ordering::Relaxed) {
            match recv(&socket, &mut *buffer, RecvFlags::empty()) {
                Ok((length, _)) => return Some(length),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // An interface went down; there are others.
                Err(error) => {
                    debug!("a packet socket: {error}");
                    thread::sleep(TROUBLE);
                }
            }
        }
        None
    }
}

/// It waits for what is to be received, with a look now and then whether all is over.
fn patient(socket: impl AsFd) -> io::Result<()> {
    ioctl_fionbio(&socket, false)?;
    Ok(set_socket_timeout(&socket, Timeout::Recv, Some(LOOK))?)
}

/// The longest packet, as the kernel may have merged it, with its headers.
const BUFFER: usize = VNET_HEADER + 14 + 65_535;

/// After an error, for the next not to come at once.
const TROUBLE: Duration = Duration::from_millis(10);

/// Between looks whether all is over.
const LOOK: Duration = Duration::from_secs(1);

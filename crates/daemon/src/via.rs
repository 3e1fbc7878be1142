//! Checks by the way of clients' packets (`via_forwarding`): to the virtual address on one server,
//! past this host's own stack, for which that address is local.
//!
//! A small network namespace, which a child of the daemon makes and holds (`helper`, `namespace`),
//! gives the checks their TCP. What they send there is put through the way of a packet, over
//! tables in memory with that one server (`flows`), to the very next hop that the director's
//! tables have, and leaves by a packet socket; answers are picked from what comes in and put back
//! (`pump`). In the director's own namespace nothing is made: no link, no rule, no entry. With the
//! daemon goes the child, and with it the namespace, also after `kill -9`.

mod flows;
mod helper;
mod namespace;
mod pump;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, bind, getsockname, socket},
};
use tokio::{sync::Mutex, time::sleep};
use tracing::{info, warn};
use xlvs_health::{
    Through,
    shell::{Closed, Forwarding, Opened, Opening},
};

use self::{flows::Flow, namespace::Namespace, pump::Pump};
use crate::{engine::Engine, hops::Resolved, owner::Owner, plane::Hop};

pub use self::helper::check_namespace;

/// The daemon's [`Forwarding`]. What it needs is made when the first check asks for it.
pub(crate) struct Path {
    engine: Owner<Engine>,
    state: Mutex<State>,
}

/// What is there for checks.
enum State {
    /// Nobody asked yet.
    Unused,
    /// The namespace, and the pump between it and the wire.
    Ready(Namespace, Pump),
    /// There is none, for this reason.
    Failed(Instant, String),
}

impl std::fmt::Debug for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Path")
    }
}

impl Forwarding for Path {
    fn open(&self, through: Through, source: Option<IpAddr>, limit: Duration) -> Opening<'_> {
        Box::pin(self.begin(through, source, limit))
    }
}

impl Path {
    pub(crate) fn new(engine: Owner<Engine>) -> Self {
        Self { engine, state: Mutex::new(State::Unused) }
    }

    async fn begin(
        &self,
        through: Through,
        source: Option<IpAddr>,
        limit: Duration,
    ) -> Result<Opened, Closed> {
        let (SocketAddr::V4(target), IpAddr::V4(server)) = (through.target, through.server.ip())
        else {
            return Err(Closed::Unable("IPv6 is not forwarded yet".into()));
        };
        let hop = match self.hop(server, limit / 2).await? {
            Hop::Local => return Ok(Opened::Here),
            hop => hop,
        };
        let source = self.source(source, &hop, target).await?;
        let mut state = self.state.lock().await;
        if let State::Failed(at, why) = &*state
            && at.elapsed() < RETRY
        {
            return Err(Closed::Unable(why.clone()));
        }
        let (socket, pump) = match socket_and_pump(&mut state).await {
            Ok(made) => made,
            Err(why) => {
                warn!("checks by forwarding: {why}");
                // Whatever is left of it goes; a question after a while makes it anew.
                *state = State::Failed(Instant::now(), why.clone());
                return Err(Closed::Unable(why));
            }
        };
        let port = bound(&socket, source);
        let port = port.map_err(|e| Closed::Unable(format!("no port on {source}: {e}")))?;
        let flow = Flow { source: SocketAddrV4::new(source, port), target };
        pump.begin(flow, &through, &hop).map_err(Closed::Unable)?;
        Ok(Opened::Socket(socket))
    }

    /// Where clients' packets to the server go. A neighbour that is being asked for gets a while.
    async fn hop(&self, server: Ipv4Addr, patience: Duration) -> Result<Hop, Closed> {
        let until = Instant::now() + patience;
        loop {
            let resolved = self.engine.ask(move |engine| engine.hop_of(server)).await;
            let Some(Resolved { hop, why, .. }) = resolved else {
                return Err(Closed::Unable("the daemon is ending".into()));
            };
            match why {
                None => return Ok(hop),
                Some(why) if Instant::now() >= until => return Err(Closed::NoWay(why.to_string())),
                Some(_) => sleep(PAUSE.min(patience)).await,
            }
        }
    }

    /// The address that the check speaks from: one of this host's, and of no service.
    async fn source(
        &self,
        wanted: Option<IpAddr>,
        hop: &Hop,
        target: SocketAddrV4,
    ) -> Result<Ipv4Addr, Closed> {
        let source = match (wanted, hop) {
            (Some(IpAddr::V4(source)), _) => source,
            (None, Hop::Neighbour { source, .. }) => *source,
            (Some(IpAddr::V6(_)) | None, _) => Ipv4Addr::UNSPECIFIED,
        };
        let unable = |why: String| Err(Closed::Unable(format!("{why}; say one with `bindto`")));
        if source.is_unspecified() {
            return unable("this host has no IPv4 address on the way to the server".into());
        }
        let of_service = self.engine.ask(move |engine| engine.is_virtual(source)).await;
        if source == *target.ip() || of_service == Some(true) {
            return unable(format!(
                "{source}, from which this host speaks to the server, is virtual: servers take \
                 it for their own"
            ));
        }
        if is_ours(source) { Ok(source) } else { unable(format!("{source} is not this host's")) }
    }
}

/// A socket in the namespace, which is made if there is none, and what moves its packets.
async fn socket_and_pump(state: &mut State) -> Result<(OwnedFd, &Pump), String> {
    if !matches!(state, State::Ready(..)) {
        *state = make().await?;
        info!("checks by forwarding have a network namespace of their own");
    }
    match state {
        State::Ready(namespace, pump) => Ok((namespace.socket()?, pump)),
        _ => Err("there is no namespace".into()),
    }
}

async fn make() -> Result<State, String> {
    let started = tokio::task::spawn_blocking(Namespace::start).await;
    let (namespace, near) = started.map_err(|e| e.to_string())??;
    let pump = Pump::start(near).map_err(|e| format!("no packet socket: {e}"))?;
    Ok(State::Ready(namespace, pump))
}

/// A port of this address, which is the socket's from now on.
fn bound(socket: &OwnedFd, source: Ipv4Addr) -> Result<u16, Errno> {
    bind(socket, &SocketAddrV4::new(source, 0))?;
    let address = SocketAddrV4::try_from(getsockname(socket)?)?;
    Ok(address.port())
}

/// The address is one of this host's.
fn is_ours(address: Ipv4Addr) -> bool {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None);
    socket.is_ok_and(|socket| bind(&socket, &SocketAddrV4::new(address, 0)).is_ok())
}

/// Between looks at a next hop that is being asked for.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a failure stands before the namespace is tried for again.
const RETRY: Duration = Duration::from_secs(10);

//! `PING_CHECK`: an ICMP echo by a datagram socket, or by a raw one where the host's
//! `ping_group_range` has no place for us.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::UdpSocket, time::timeout};

use super::net::{late, prepare, unreached};
use crate::{Ask, Outcome, Stage, dialogue::Echo};

/// Answers that are not ours and still are read.
const OTHERS: usize = 1000;

/// Makes each echo's payload its own.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Sends an echo and waits for its answer.
pub(super) async fn ask(ask: &Ask) -> Outcome {
    let socket = match open(ask) {
        Ok(socket) => socket,
        Err(fault) => {
            return Outcome::Unasked(format!(
                "no socket for ICMP: {fault}; give CAP_NET_RAW, or widen net.ipv4.ping_group_range"
            ));
        }
    };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let born = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
    let [low, high, ..] = count.to_le_bytes();
    let sequence = u16::from_le_bytes([low, high]);
    let echo = Echo::new(ask.target.ip(), sequence, (u64::from(born) << 32) ^ count);
    match timeout(ask.timeout, exchange(&socket, &echo)).await {
        Ok(Ok(())) => Outcome::GOOD,
        Ok(Err(fault)) => unreached(&fault),
        Err(_) => late(Stage::Echo, ask.timeout),
    }
}

async fn exchange(socket: &UdpSocket, echo: &Echo) -> io::Result<()> {
    socket.send(&echo.request()).await?;
    let mut packet = [0; 512];
    for _ in 0..OTHERS {
        let length = socket.recv(&mut packet).await?;
        if echo.is_answer(&packet[..length]) {
            return Ok(());
        }
    }
    Err(io::Error::other("too many packets that are not the answer"))
}

fn open(ask: &Ask) -> io::Result<UdpSocket> {
    let target = SocketAddr::new(ask.target.ip(), 0);
    let domain = Domain::for_address(target);
    let protocol = if target.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let kind = |kind: Type| Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol));
    let socket = kind(Type::DGRAM).or_else(|_| kind(Type::RAW))?;
    prepare(&socket, &ask.socket, target)?;
    socket.connect(&target.into())?;
    UdpSocket::from_std(socket.into())
}

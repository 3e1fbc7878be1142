//! Clients that wait for a server which is down, and say nothing: whom to ask.
//!
//! What a client of such a server sends becomes a reset to either side, where packets are
//! ([`Dest::is_in_service`](xlvs_datapath::tables::Dest::is_in_service)). Who only waits for an
//! answer sends nothing, so it is made to: the daemon sends it a [`question`]. Here is who is asked
//! and when: the connections are walked in bounded pieces, as soon as a server is down and then
//! once a second for as long as that leaves fewer, since a question may get lost, and hosts answer
//! only so many in a second. Each walk that leaves no fewer doubles the time to the next one.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
};

use xlvs_datapath::{
    reset::question,
    state::{CLOSE_WAIT, ESTABLISHED, FIN_WAIT},
    tables::{CONN_DEAD, CONN_REPLY, CONN_TEMPLATE, Conn, ConnKey, METHOD_MASQ, Word},
};

use crate::{Dataplane, Error, Home, compile::address, home::Cursor};

/// A client to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    key: ConnKey,
}

impl Waiting {
    /// The client's end.
    pub const fn client(&self) -> SocketAddrV4 {
        SocketAddrV4::new(address(self.key.src()), u16::from_be(self.key.sport()))
    }
    /// Where it connected to, which must be the question's source.
    pub const fn vip(&self) -> Ipv4Addr {
        address(self.key.dst())
    }
    /// The question, with its IP header.
    pub fn question(&self) -> impl AsRef<[u8]> {
        question(&self.key)
    }
}

/// Whom to ask, and how far the asking got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    /// Servers by slot whose clients are reset.
    servers: BTreeMap<u32, Server>,
    walk: Option<Walk>,
    /// Kept for its room.
    seen: Vec<(ConnKey, Conn)>,
}

/// A server as the walks found it.
#[derive(Clone, Copy, Debug, Default)]
struct Server {
    /// The present walk concerns it.
    is_walked: bool,
    /// Clients met in the present walk.
    met: usize,
    /// The least that a walk met.
    least: Option<usize>,
    /// Walks in a row that met no fewer.
    vain: u32,
    /// When the next walk may begin.
    next: u64,
}

/// Where a walk stands.
#[derive(Clone, Copy, Debug)]
struct Walk {
    cursor: Option<Cursor>,
}

impl Server {
    const fn is_done(&self) -> bool {
        self.vain > VAIN_WALKS || matches!(self.least, Some(0))
    }

    /// A walk is over.
    fn note(&mut self, now: u64) {
        if !std::mem::take(&mut self.is_walked) {
            return;
        }
        let met = std::mem::take(&mut self.met);
        let fewer = self.least.is_none_or(|least| met < least);
        self.vain = if fewer { 0 } else { self.vain + 1 };
        self.least = Some(self.least.map_or(met, |least| least.min(met)));
        self.next = now + (BETWEEN_NS << self.vain);
    }
}

impl Asking {
    /// A piece of a walk; None: none is due. `resetting`: the slots of the servers that are down
    /// now.
    fn step(
        &mut self,
        home: &impl Home,
        resetting: impl Iterator<Item = u32>,
    ) -> Result<Option<Vec<Waiting>>, Error> {
        let before = std::mem::take(&mut self.servers);
        let known = |slot: u32| (slot, before.get(&slot).copied().unwrap_or_default());
        self.servers = resetting.map(known).collect();
        if self.servers.is_empty() {
            self.walk = None;
            return Ok(None);
        }
        let now = home.now();
        let Some(mut walk) = self.walk.or_else(|| self.begin(now)) else { return Ok(None) };
        let mut waiting = Vec::new();
        for _ in 0..PIECES {
            self.seen.clear();
            walk.cursor = home.conns(walk.cursor, PIECE, &mut self.seen)?;
            for (key, conn) in &self.seen {
                let server = self.servers.get_mut(&Word(conn.word.get()).dest());
                let Some(server) = server.filter(|server| server.is_walked) else { continue };
                if waits(key, conn, now) {
                    server.met += 1;
                    waiting.push(Waiting { key: *key });
                }
            }
            self.walk = Some(walk);
            if walk.cursor.is_none() {
                self.walk = None;
                self.servers.values_mut().for_each(|server| server.note(now));
                break;
            }
            if waiting.len() >= PIECE {
                break;
            }
        }
        Ok(Some(waiting))
    }

    /// The beginning of a walk: at once for a server that none was for, else when it is time.
    fn begin(&mut self, now: u64) -> Option<Walk> {
        let mut is_due = false;
        for server in self.servers.values_mut() {
            server.is_walked = server.least.is_none() || now >= server.next && !server.is_done();
            is_due |= server.is_walked;
        }
        is_due.then_some(Walk { cursor: None })
    }
}

/// A client's connection that stands, as far as its packets showed; by NAT its answers may keep it
/// alive, and asking one that is over does no harm.
fn waits(key: &ConnKey, conn: &Conn, now: u64) -> bool {
    let word = Word(conn.word.get());
    key.protocol() == TCP
        && !word.has(CONN_REPLY | CONN_TEMPLATE | CONN_DEAD)
        && matches!(word.state(), ESTABLISHED | FIN_WAIT | CLOSE_WAIT)
        && (conn.expires.get() > now || word.method() == METHOD_MASQ)
}

impl<H: Home> Dataplane<H> {
    /// Clients to ask now, of servers that are down and reset them. To be called often: looks at
    /// some ten thousand connections at most, and at none while no such server has some left.
    pub fn waiting(&mut self) -> Result<Vec<Waiting>, Error> {
        let resetting = self.compiler.slots().resetting();
        Ok(self.asking.step(&self.home, resetting)?.unwrap_or_default())
    }
}

const TCP: u32 = 6;
/// Connections that are read at a time, and clients that are asked in one step, before the last
/// piece.
const PIECE: usize = 4096;
/// Pieces in a step, at most.
const PIECES: usize = 8;
/// Between walks: hosts answer twice a second at most (Linux: `tcp_invalid_ratelimit`).
const BETWEEN_NS: u64 = 1_000_000_000;
/// After so many walks in a row that left no fewer clients, they are given up: two minutes.
const VAIN_WALKS: u32 = 6;

#[cfg(test)]
mod tests;

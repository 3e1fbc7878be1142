//! Connections as people see them.

use std::net::SocketAddr;

use xlvs_datapath::{
    state,
    tables::{CONN_DEAD, CONN_REPLY, Conn, ConnKey, Dest, Word},
};
use xlvs_model::{Method, Protocol, ServerKey, ServiceKey};

use crate::compile::{method, model_service, socket};

/// Which connections to list; None lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this service.
    pub service: Option<ServiceKey>,
    /// Of this server.
    pub server: Option<ServerKey>,
    /// In this state, by its name, case aside.
    pub state: Option<String>,
}

/// A connection as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The service it came to.
    pub service: ServiceKey,
    /// The client's end.
    pub client: SocketAddr,
    /// The server's end.
    pub server: SocketAddr,
    /// `ESTABLISHED`, `FIN_WAIT`... (TCP) or `UDP`.
    pub state: &'static str,
    /// Until it expires, if nothing comes.
    pub expires_ns: u64,
    /// How its packets reach the server.
    pub method: Method,
}

/// A client's entry made readable. None: an entry for answers, a dead one, or one of no
/// destination.
pub(crate) fn view(
    key: &ConnKey,
    conn: &Conn,
    now: u64,
    dest_of: impl FnOnce(u32) -> Option<Dest>,
) -> Option<Connection> {
    let word = Word(conn.word.get());
    let expires_ns = conn.expires.get().checked_sub(now).filter(|&left| left > 0)?;
    if word.has(CONN_REPLY | CONN_DEAD) {
        return None;
    }
    let dest = dest_of(word.dest())?;
    let service = model_service(key.dst(), key.dport(), u8::try_from(key.protocol()).ok()?)?;
    let state = match service.protocol() {
        Some(Protocol::Udp) => "UDP",
        _ => state::TCP_NAMES.get(usize::from(word.state())).copied().unwrap_or("BUG!"),
    };
    Some(Connection {
        service,
        client: socket(key.src(), key.sport()),
        server: socket(dest.addr, dest.port),
        state,
        expires_ns,
        method: method(word.method()),
    })
}

impl Filter {
    pub(crate) fn lets(&self, c: &Connection) -> bool {
        self.service.is_none_or(|s| s == c.service)
            && self.server.is_none_or(|s| s == c.server)
            && self.state.as_ref().is_none_or(|s| s.eq_ignore_ascii_case(c.state))
    }
}

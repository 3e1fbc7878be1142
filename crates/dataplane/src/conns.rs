//! Connections as people see them.

use std::net::SocketAddr;

use xlvs_datapath::{
    conn::server_port,
    state,
    tables::{CONN_DEAD, CONN_REPLY, CONN_TEMPLATE, Conn, ConnKey, Dest, Word},
    template::{ASSURED, CALL_PROTOCOL},
};
use xlvs_model::{Method, ServerKey, ServiceKey};

use crate::compile::{method, service_of, socket};
use crate::home::Call;

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
    /// The protocol of its packets; 0 of a mark's template.
    pub protocol: u8,
    /// The client's end.
    pub client: SocketAddr,
    /// Where the client sent it.
    pub vip: SocketAddr,
    /// The server's end.
    pub server: SocketAddr,
    /// `ESTABLISHED`, `FIN_WAIT`... (TCP) or `UDP`; of a template `ASSURED` or `NONE`.
    pub state: &'static str,
    /// No connection: what keeps a client with its server.
    pub template: bool,
    /// Until it expires, if nothing comes.
    pub expires_ns: u64,
    /// How its packets reach the server.
    pub method: Method,
    /// Of a call's template: the call's identifier, empty if it is not known.
    pub call: Option<String>,
}

/// A client's entry made readable. None: an entry for answers, a dead one, or one of no
/// destination.
pub(crate) fn view(
    key: &ConnKey,
    conn: &Conn,
    now: u64,
    dest_of: impl FnOnce(u32) -> Option<Dest>,
    call_of: impl FnOnce(&ConnKey) -> Option<Call>,
) -> Option<Connection> {
    let word = Word(conn.word.get());
    let expires_ns = conn.expires.get().checked_sub(now).filter(|&left| left > 0)?;
    if word.has(CONN_REPLY | CONN_DEAD) {
        return None;
    }
    let dest = dest_of(word.dest())?;
    let template = word.has(CONN_TEMPLATE);
    let service = service_of(&dest)?;
    // A template keeps the service's port or none.
    let port = if template && key.dport() == 0 { 0 } else { server_port(&dest, key.dport()) };
    #[expect(clippy::cast_possible_truncation, reason = "the low byte is the IP protocol")]
    let protocol = key.protocol() as u8;
    let state = match protocol {
        _ if template && word.state() == ASSURED => "ASSURED",
        _ if template => "NONE",
        17 => "UDP",
        _ => state::TCP_NAMES.get(usize::from(word.state())).copied().unwrap_or("BUG!"),
    };
    let of_call = template && key.protocol() & CALL_PROTOCOL == CALL_PROTOCOL;
    let (client, call) = if of_call {
        // There may have been no room for it.
        let call = call_of(key);
        let network = call.as_ref().map_or(0, |call| call.client);
        let identifier = call.map(|call| String::from_utf8_lossy(&call.identifier).into_owned());
        (socket(network, 0), Some(identifier.unwrap_or_default()))
    } else {
        (socket(key.src(), key.sport()), None)
    };
    Some(Connection {
        service,
        protocol,
        client,
        vip: socket(key.dst(), key.dport()),
        server: socket(dest.addr, port),
        state,
        template,
        expires_ns,
        method: method(word.method()),
        call,
    })
}

/// The destination of a template that is in force; None for every other entry.
pub(crate) fn kept_by(conn: &Conn, now: u64) -> Option<u32> {
    let word = Word(conn.word.get());
    let is_template = word.has(CONN_TEMPLATE) && !word.has(CONN_REPLY | CONN_DEAD);
    (is_template && conn.expires.get() > now).then(|| word.dest())
}

impl Filter {
    pub(crate) fn lets(&self, c: &Connection) -> bool {
        self.service.is_none_or(|s| s == c.service)
            && self.server.is_none_or(|s| s == c.server)
            && self.state.as_ref().is_none_or(|s| s.eq_ignore_ascii_case(c.state))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use xlvs_datapath::tables::{CONN_INACTIVE, METHOD_ROUTE};
    use xlvs_model::{Change, Model, Persistence, Scheduler, Server, Terms};

    use super::*;
    use crate::{Baselines, Dataplane, Home, Memory};

    #[test]
    fn templates_in_force_are_the_clients_that_a_server_keeps() {
        let service: ServiceKey = "tcp:10.0.0.1:80".parse().unwrap();
        let mut model = Model::default();
        let persistence = Some(Persistence::of_hosts(360, service.family()));
        let terms = Terms { persistence, ..Terms::from(Scheduler::Rr) };
        model.apply(&Change::AddService { service, terms }).unwrap();
        for n in 1..=2 {
            let key = format!("10.0.1.{n}:80").parse().unwrap();
            let server = Server::new(key, Method::Route, 1);
            model.apply(&Change::AddServer { service, server }).unwrap();
        }
        let mut plane = Dataplane::new(Memory::default(), Baselines::default()).unwrap();
        plane.apply(&model).unwrap();
        let dests = plane.home().dests().unwrap();
        let (slot, kept) = (dests[0].0, socket(dests[0].1.addr, dests[0].1.ports().0));
        let entries = [
            (150, CONN_TEMPLATE, "counts"),
            (150, CONN_TEMPLATE | CONN_INACTIVE, "counts"),
            (150, 0, "a connection"),
            (100, CONN_TEMPLATE, "its time is up"),
            (150, CONN_TEMPLATE | CONN_DEAD, "about to be removed"),
        ];
        for (n, (expires, flags, _)) in (1u16..).zip(entries) {
            let word = Word::new(ASSURED, METHOD_ROUTE | flags, slot);
            let key = ConnKey::new(n.into(), 2, 0, 80u16.to_be(), 6);
            plane.home_mut().set_conn(key, Conn::new(expires, word, 0, 0));
        }
        plane.home().set_now(100);
        assert_eq!(plane.persistent().unwrap(), [((service, kept), 2)].into());
    }
}

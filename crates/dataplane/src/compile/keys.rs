//! The model's words as the tables write them: wire order, small integers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use xlvs_datapath::{
    state,
    tables::{self, Dest, MARK_PROTOCOL, METHOD_MASQ, METHOD_ROUTE, METHOD_TUNNEL, ServiceKey},
};
use xlvs_model::{Family, Method, Protocol, Scheduler, Server, ServerKey, Timeouts};

/// An address in wire order.
pub(crate) const fn addr(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// An address out of wire order.
pub(crate) const fn address(addr: u32) -> Ipv4Addr {
    let [a, b, c, d] = addr.to_ne_bytes();
    Ipv4Addr::new(a, b, c, d)
}

/// The end of a flow.
pub(crate) fn socket(addr: u32, port: u16) -> SocketAddr {
    SocketAddr::new(address(addr).into(), u16::from_be(port))
}

/// None for what the tables have no key for: IPv6.
pub(crate) fn service_key(key: &xlvs_model::ServiceKey) -> Option<ServiceKey> {
    if let Some(mark) = key.mark() {
        let addr = mark.to_be();
        let mark = ServiceKey { addr, port: 0, protocol: MARK_PROTOCOL };
        return (key.family() == Family::V4).then_some(mark);
    }
    let (protocol, IpAddr::V4(address)) = (key.protocol()?, key.address()?) else { return None };
    let protocol = u16::from(protocol.number());
    Some(ServiceKey { addr: addr(address), port: key.port().to_be(), protocol })
}

/// The key that says "this address has services".
pub(crate) const fn marker(addr: u32) -> ServiceKey {
    ServiceKey { addr, port: 0, protocol: 0 }
}

/// The service that a destination belongs to.
pub(crate) fn service_of(dest: &Dest) -> Option<xlvs_model::ServiceKey> {
    model_service(dest.vaddr, dest.ports().1, dest.protocol)
}

/// None for a protocol that no service has.
pub(crate) fn model_service(
    vaddr: u32,
    vport: u16,
    protocol: u8,
) -> Option<xlvs_model::ServiceKey> {
    let protocol = match protocol {
        0 => {
            return Some(xlvs_model::ServiceKey::Mark {
                mark: u32::from_be(vaddr),
                family: Family::V4,
            });
        }
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => return None,
    };
    let address = IpAddr::V4(address(vaddr));
    Some(xlvs_model::ServiceKey::socket(protocol, address, u16::from_be(vport)))
}

/// What a destination is known by: its service and its own address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DestKey {
    pub(crate) service: ServiceKey,
    pub(crate) addr: u32,
    pub(crate) port: u16,
}

impl DestKey {
    /// None for IPv6.
    pub(crate) fn new(service: ServiceKey, server: &ServerKey) -> Option<Self> {
        let IpAddr::V4(ip) = server.ip() else { return None };
        Some(Self { service, addr: addr(ip), port: server.port().to_be() })
    }

    pub(crate) fn of(dest: &Dest) -> Self {
        let protocol = if dest.protocol == 0 { MARK_PROTOCOL } else { u16::from(dest.protocol) };
        let (port, vport) = dest.ports();
        let service = ServiceKey { addr: dest.vaddr, port: vport, protocol };
        Self { service, addr: dest.addr, port }
    }
}

pub(crate) const fn method_number(method: Method) -> u8 {
    match method {
        Method::Masq => METHOD_MASQ,
        Method::Tunnel => METHOD_TUNNEL,
        Method::Route => METHOD_ROUTE,
    }
}

pub(crate) const fn method(number: u8) -> Method {
    match number {
        METHOD_TUNNEL => Method::Tunnel,
        METHOD_ROUTE => Method::Route,
        _ => Method::Masq,
    }
}

/// The data path's scheduler; none for "none".
pub(crate) const fn scheduler(scheduler: Scheduler) -> Option<xlvs_sched::Scheduler> {
    Some(match scheduler {
        Scheduler::Rr => xlvs_sched::Scheduler::Rr,
        Scheduler::Wrr => xlvs_sched::Scheduler::Wrr,
        Scheduler::Lc => xlvs_sched::Scheduler::Lc,
        Scheduler::Wlc => xlvs_sched::Scheduler::Wlc,
        Scheduler::Sed => xlvs_sched::Scheduler::Sed,
        Scheduler::Nq => xlvs_sched::Scheduler::Nq,
        Scheduler::Lblc => xlvs_sched::Scheduler::Lblc,
        Scheduler::Lblcr => xlvs_sched::Scheduler::Lblcr,
        Scheduler::Dh => xlvs_sched::Scheduler::Dh,
        Scheduler::Sh => xlvs_sched::Scheduler::Sh,
        Scheduler::Fo => xlvs_sched::Scheduler::Fo,
        Scheduler::Ovf => xlvs_sched::Scheduler::Ovf,
        Scheduler::Mh => xlvs_sched::Scheduler::Mh,
        Scheduler::Twos => xlvs_sched::Scheduler::Twos,
        Scheduler::Chbl => xlvs_sched::Scheduler::Chbl,
        Scheduler::None => return None,
    })
}

/// A new destination, without a next hop yet, of a service that keeps clients or not. It stays so
/// while the server stays: connections that stand would lose their way.
pub(crate) fn dest(key: &DestKey, server: &Server, keeps_clients: bool) -> Dest {
    let keeps_port = keeps_clients && key.service.port == 0 && key.port != 0;
    let (port, vport, flag) = if keeps_port {
        (0, key.port, tables::DEST_KEEPS_PORT)
    } else {
        (key.port, key.service.port, 0)
    };
    Dest {
        addr: key.addr,
        tunnel_src: 0,
        vaddr: key.service.addr,
        port,
        vport,
        // A byte, or a mark's.
        protocol: u8::try_from(key.service.protocol).unwrap_or(0),
        method: method_number(server.method),
        flags: tables::DEST_USED | tables::DEST_AVAILABLE | quiesced(server) | flag,
        hop: 0,
        hops: [tables::Hop::default(); 2],
        ready: 0,
    }
}

/// The flags of a server that gets no new connections.
pub(crate) const fn quiesced(server: &Server) -> u8 {
    let leaving = if server.leaving { tables::DEST_LEAVING } else { 0 };
    if server.weight == 0 { tables::DEST_QUIESCED | leaving } else { leaving }
}

/// A slot that nobody has.
pub(crate) fn no_dest() -> Dest {
    let service = marker(0);
    let server = Server::new(socket(0, 0), Method::Masq, 0);
    Dest { flags: 0, ..dest(&DestKey { service, addr: 0, port: 0 }, &server, false) }
}

/// Idle timeouts in nanoseconds, by index.
pub(crate) fn timeouts(timeouts: &Timeouts) -> [u64; 16] {
    let mut seconds = state::TIMEOUTS_S;
    seconds[usize::from(state::ESTABLISHED)] = timeouts.tcp;
    seconds[usize::from(state::FIN_WAIT)] = timeouts.tcp_fin;
    seconds[usize::from(state::TIMEOUT_UDP)] = timeouts.udp;
    seconds.map(|s| u64::from(s) * 1_000_000_000)
}

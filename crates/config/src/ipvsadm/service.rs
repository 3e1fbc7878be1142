//! `HOST[:PORT]`, as `-t`, `-u`, `--sctp-service` and `-r` take it.

use std::net::{IpAddr, Ipv6Addr};

use super::{Resolver, number};

/// An address and a port on their way to a service or a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// None until an option set it.
    pub(super) address: Option<IpAddr>,
    /// 0 until an option set it.
    pub(super) port: u16,
}

/// Reads `text`. `protocol` is that of the service if its option came before: names of ports are
/// looked up for it alone. A port that is not written stays as it was in `before`.
///
/// Quirks kept: an IPv6 address needs no brackets, and then has no port; an IPv4 address in
/// brackets loses its port; digits alone are no address.
pub(super) fn endpoint(
    text: &str,
    protocol: Option<&str>,
    before: Endpoint,
    names: &dyn Resolver,
) -> Option<Endpoint> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (host, bracket_port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, Some(after.strip_prefix(':')?))
        }
        None => (text, None),
    };
    let (address, port) = if let Ok(address) = host.parse::<Ipv6Addr>() {
        (IpAddr::V6(address), bracket_port)
    } else {
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        };
        let address = number::inet_aton(host).or_else(|| names.host(host))?;
        (IpAddr::V4(address), port)
    };
    let port = match port {
        Some(port) => port_number(port, protocol, names)?,
        None => before.port,
    };
    Some(Endpoint { address: Some(address), port })
}

fn port_number(text: &str, protocol: Option<&str>, names: &dyn Resolver) -> Option<u16> {
    match number::whole(text).and_then(|n| u16::try_from(n).ok()) {
        Some(port) => Some(port),
        None => names.port(text, protocol?),
    }
}

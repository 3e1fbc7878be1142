//! What is asked of the kernel about links, addresses, routes and neighbours: the shell around
//! `decide`. Each answer is turned into this crate's own types here and nowhere else.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    net::{IpAddr, Ipv4Addr},
};

use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkLayerType, LinkMessage},
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType},
};
use rtnetlink::{Error, Handle, MulticastGroup, packet_core::NetlinkPayload};
use tracing::debug;
use xlvs_dataplane::arp_probe;

use crate::{
    hops::decide::{Link, Neighbour, Route},
    plane::Interface,
};

/// The host's links, addresses and neighbours at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// Ethernet interfaces by number.
    pub(crate) interfaces: BTreeMap<u32, Interface>,
    /// Names of all other interfaces by number.
    pub(crate) others: BTreeMap<u32, String>,
    /// The host's IPv4 addresses and the interface that has them.
    pub(crate) addresses: Vec<(u32, Ipv4Addr)>,
    /// The neighbour table, IPv4.
    pub(crate) neighbours: HashMap<(u32, Ipv4Addr), Neighbour>,
    /// Neighbours that answered lately, or never need to: nobody has to ask for them.
    pub(crate) confirmed: HashSet<(u32, Ipv4Addr)>,
}

impl Host {
    /// The interface of this number.
    pub(crate) fn link(&self, ifindex: u32) -> Link<'_> {
        if let Some(interface) = self.interfaces.get(&ifindex) {
            return Link::Ethernet(interface);
        }
        self.others.get(&ifindex).map_or(Link::Gone, |name| Link::NotEthernet(name))
    }

    /// What is known of a neighbour.
    pub(crate) fn neighbour(&self, ifindex: u32, address: Ipv4Addr) -> Neighbour {
        self.neighbours.get(&(ifindex, address)).copied().unwrap_or(Neighbour::Absent)
    }

    /// All ways are as they were, whoever was confirmed meanwhile.
    pub(crate) fn leads_as(&self, other: &Self) -> bool {
        self.interfaces == other.interfaces
            && self.others == other.others
            && self.addresses == other.addresses
            && self.neighbours == other.neighbours
    }

    /// What an IP packet may measure on the interface of this name; for one that is no Ethernet a
    /// usual value.
    pub(crate) fn mtu_of(&self, name: &str) -> Option<u32> {
        let ethernet = self.interfaces.values().find(|i| i.name == name).map(|i| i.mtu);
        let is_other = self.others.values().any(|other| other == name);
        ethernet.or_else(|| is_other.then_some(if name == "lo" { 65536 } else { 1500 }))
    }

    /// Interfaces that could be directed on, with their addresses: `eth0 (10.0.0.1)`.
    pub(crate) fn candidates(&self) -> Vec<String> {
        let described = self.interfaces.values().map(|interface| {
            let own: Vec<String> = self
                .addresses
                .iter()
                .filter(|(ifindex, _)| *ifindex == interface.ifindex)
                .map(|(_, address)| address.to_string())
                .collect();
            let own = if own.is_empty() { "no IPv4 address".to_owned() } else { own.join(", ") };
            format!("{} ({own})", interface.name)
        });
        described.collect()
    }
}

/// What the kernel said has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// A link, an address, a route or a rule.
    Ways,
    /// A neighbour became known or was lost.
    Neighbours,
}

/// A connection to rtnetlink in the namespace of the thread that opened it.
#[derive(Clone)]
pub(crate) struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Opens it, with the changes that the kernel reports from now on. Needs a tokio runtime.
    pub(crate) fn open() -> io::Result<(Self, BoxStream<'static, Changed>)> {
        let (connection, handle, messages) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv4Rule,
        ])?;
        tokio::spawn(connection);
        let changes = messages.filter_map(async |(message, _)| match message.payload {
            NetlinkPayload::InnerMessage(inner) => changed(&inner),
            // The kernel had more to say than the socket had room for.
            NetlinkPayload::Overrun(_) => Some(Changed::Ways),
            _ => None,
        });
        Ok((Self { handle }, changes.boxed()))
    }

    /// All that a decision needs but routes.
    pub(crate) async fn host(&self) -> Result<Host, Error> {
        let mut host = Host::default();
        let mut links = self.handle.link().get().execute();
        while let Some(link) = links.try_next().await? {
            add_link(&mut host, &link);
        }
        let mut addresses = self.handle.address().get().execute();
        while let Some(message) = addresses.try_next().await? {
            host.addresses.extend(own_address(&message));
        }
        let mut request = self.handle.neighbours().get();
        request.message_mut().header.family = AddressFamily::Inet;
        let mut neighbours = request.execute();
        while let Some(message) = neighbours.try_next().await? {
            let Some((key, known)) = neighbour(&message) else { continue };
            host.neighbours.insert(key, known);
            if is_confirmed(message.header.state) {
                host.confirmed.insert(key);
            }
        }
        Ok(host)
    }

    /// The way to an address: `ip route get ADDRESS`.
    pub(crate) async fn route(&self, address: Ipv4Addr) -> Result<Route, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = 32;
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(address)));
        let mut answers = self.handle.route().get(message).execute();
        match answers.try_next().await {
            Ok(Some(answer)) => Ok(route(&answer)),
            Ok(None) => Ok(Route::None),
            // The kernel's word for "no": unreachable, prohibited, a black hole.
            Err(Error::NetlinkError(e)) if refused(&e.to_io()) => Ok(Route::None),
            Err(e) => Err(e),
        }
    }

    /// The ways to many addresses, in any order.
    pub(crate) async fn routes(
        &self,
        addresses: Vec<Ipv4Addr>,
    ) -> Result<Vec<(Ipv4Addr, Route)>, Error> {
        let ask = async |address| Ok((address, self.route(address).await?));
        stream::iter(addresses).map(ask).buffer_unordered(ASKED_AT_ONCE).try_collect().await
    }

    /// Has the kernel find a neighbour, or confirm one: `ip neighbour replace ... use`.
    pub(crate) async fn ask(&self, ifindex: u32, address: Ipv4Addr) -> Result<(), Error> {
        self.handle
            .neighbours()
            .add(ifindex, IpAddr::V4(address))
            .replace()
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .execute()
            .await
    }

    /// The interface of this number, if it is an Ethernet one.
    pub(crate) async fn interface(&self, ifindex: u32) -> Result<Option<Interface>, Error> {
        let mut host = Host::default();
        let mut links = self.handle.link().get().match_index(ifindex).execute();
        while let Some(link) = links.try_next().await? {
            add_link(&mut host, &link);
        }
        Ok(host.interfaces.remove(&ifindex))
    }
}

/// Asks for a neighbour by a probe without a sender's address, beside the kernel's question: where
/// the virtual address is the only one that the director has on a network, real servers, who have
/// it too, do not answer the kernel's.
pub(crate) fn probe(interface: &Interface, address: Ipv4Addr) {
    if let Err(e) = arp_probe(interface.ifindex, interface.mac, address) {
        debug!("cannot probe for {address} on {}: {e}", interface.name);
    }
}

fn refused(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let codes = [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::ACCESS, Errno::INVAL, Errno::AGAIN];
    Errno::from_io_error(error).is_some_and(|e| codes.contains(&e))
}

fn changed(message: &RouteNetlinkMessage) -> Option<Changed> {
    use RouteNetlinkMessage as M;
    match message {
        M::NewLink(_)
        | M::DelLink(_)
        | M::NewAddress(_)
        | M::DelAddress(_)
        | M::NewRoute(_)
        | M::DelRoute(_)
        | M::NewRule(_)
        | M::DelRule(_) => Some(Changed::Ways),
        M::NewNeighbour(m) | M::DelNeighbour(m) if m.header.family == AddressFamily::Inet => {
            Some(Changed::Neighbours)
        }
        _ => None,
    }
}

fn add_link(host: &mut Host, message: &LinkMessage) {
    let (mut name, mut mac, mut mtu) = (String::new(), None, 0);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name.clone_from(text),
            LinkAttribute::Address(bytes) => mac = <[u8; 6]>::try_from(bytes.as_slice()).ok(),
            LinkAttribute::Mtu(bytes) => mtu = *bytes,
            _ => {}
        }
    }
    let ifindex = message.header.index;
    match mac {
        Some(mac) if message.header.link_layer_type == LinkLayerType::Ether => {
            host.interfaces.insert(ifindex, Interface { ifindex, name, mac, mtu });
        }
        _ => {
            host.others.insert(ifindex, name);
        }
    }
}

fn own_address(message: &AddressMessage) -> Option<(u32, Ipv4Addr)> {
    // On a point-to-point link `Address` is the peer's; `Local` is ours wherever it is there.
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    });
    let address = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Address(IpAddr::V4(address)) => Some(*address),
        _ => None,
    });
    local.or(address).map(|address| (message.header.index, address))
}

fn neighbour(message: &NeighbourMessage) -> Option<((u32, Ipv4Addr), Neighbour)> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(a)) => address = Some(*a),
            NeighbourAttribute::LinkLayerAddress(b) => mac = <[u8; 6]>::try_from(b.as_slice()).ok(),
            _ => {}
        }
    }
    let state = match (message.header.state, mac) {
        (NeighbourState::Incomplete, _) => Neighbour::Asking,
        (NeighbourState::Failed, _) => Neighbour::Failed,
        (NeighbourState::None | NeighbourState::Noarp | NeighbourState::Other(_), _) => {
            Neighbour::Absent
        }
        // `NUD_VALID`: what the kernel itself would send to.
        (_, Some(mac)) => Neighbour::Known { mac },
        (_, None) => Neighbour::Absent,
    };
    Some(((message.header.ifindex, address?), state))
}

fn is_confirmed(state: NeighbourState) -> bool {
    matches!(state, NeighbourState::Reachable | NeighbourState::Permanent)
}

fn route(message: &RouteMessage) -> Route {
    match message.header.kind {
        RouteType::Local => return Route::Local,
        RouteType::Unicast => {}
        RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast => {
            return Route::NotUnicast;
        }
        _ => return Route::None,
    }
    let (mut oif, mut gateway, mut source, mut mtu) = (None, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => oif = Some(*ifindex),
            RouteAttribute::Gateway(RouteAddress::Inet(a)) => gateway = Some(*a),
            RouteAttribute::PrefSource(RouteAddress::Inet(a)) => source = Some(*a),
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|m| match m {
                    RouteMetric::Mtu(bytes) => Some(*bytes),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    oif.map_or(Route::None, |ifindex| Route::Via { ifindex, gateway, source, mtu })
}

/// Questions for routes that are under way together.
const ASKED_AT_ONCE: usize = 32;

#[cfg(test)]
mod tests;

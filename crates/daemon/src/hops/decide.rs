//! What the kernel's answers mean: pure.

use std::{fmt, net::Ipv4Addr};

use crate::plane::{Hop, Interface};

/// The kernel's answer to "how do I get to this address?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// No route, or one that refuses (`unreachable`, `prohibit`, `blackhole`).
    None,
    /// The address is this host's own.
    Local,
    /// Broadcast or multicast: nobody's server.
    NotUnicast,
    /// Out of an interface, perhaps through a gateway.
    Via {
        /// The interface.
        ifindex: u32,
        /// The router, where there is one.
        gateway: Option<Ipv4Addr>,
        /// The source address the host would use.
        source: Option<Ipv4Addr>,
        /// The route's own MTU, where it has one (also learned by path MTU discovery).
        mtu: Option<u32>,
    },
}

/// What the neighbour table says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
    /// It was never asked for.
    Absent,
    /// The kernel is asking, no answer yet.
    Asking,
    /// It asked and nobody answered.
    Failed,
    /// Known, perhaps not confirmed lately: as good as the kernel would use it.
    Known {
        /// Its Ethernet address.
        mac: [u8; 6],
    },
}

/// A hop, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// For the data plane.
    pub(crate) hop: Hop,
    /// The interface's name, where a route names one.
    pub(crate) interface: Option<String>,
    /// Why the hop is unknown.
    pub(crate) why: Option<Unresolved>,
    /// The neighbour to ask for (again), so that it becomes or stays known.
    pub(crate) ask: Option<(u32, Ipv4Addr)>,
}

/// Why nobody knows where packets to a server go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// Not looked for yet.
    Pending,
    /// No route leads there.
    NoRoute,
    /// Broadcast or multicast.
    NotUnicast,
    /// The route leads to an interface that is gone.
    NoInterface,
    /// The interface has no Ethernet addresses.
    NotEthernet(String),
    /// The neighbour was asked and has not answered yet.
    Asking(Ipv4Addr, String),
    /// The neighbour does not answer.
    Silent(Ipv4Addr, String),
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("not looked for yet"),
            Self::NoRoute => f.write_str("no route"),
            Self::NotUnicast => f.write_str("not the address of one host"),
            Self::NoInterface => f.write_str("the route's interface is gone"),
            Self::NotEthernet(name) => write!(f, "{name} is not an Ethernet interface"),
            Self::Asking(who, name) => write!(f, "neighbour {who} on {name} is being asked for"),
            Self::Silent(who, name) => write!(f, "neighbour {who} on {name} does not answer"),
        }
    }
}

impl Resolved {
    /// Nobody looked yet.
    pub(crate) const PENDING: Self =
        Self { hop: Hop::Unknown, interface: None, why: Some(Unresolved::Pending), ask: None };

    /// The answer is on its way. Until it is there what was known before is the best guess: a
    /// neighbour that the kernel forgot while no daemon kept it warm is most likely where it was.
    pub(crate) fn is_asked_for(&self) -> bool {
        matches!(self.why, Some(Unresolved::Asking(..) | Unresolved::Pending))
    }

    fn unknown(why: Unresolved) -> Self {
        Self { hop: Hop::Unknown, interface: None, why: Some(why), ask: None }
    }
}

/// Which neighbour a packet to `server` goes to by this route.
pub(crate) fn next(server: Ipv4Addr, route: &Route) -> Option<(u32, Ipv4Addr)> {
    match *route {
        Route::Via { ifindex, gateway, .. } => Some((ifindex, gateway.unwrap_or(server))),
        Route::None | Route::Local | Route::NotUnicast => None,
    }
}

/// Where packets to `server` go. `link` is the route's, as the host has it.
pub(crate) fn decide(
    server: Ipv4Addr,
    route: &Route,
    link: Link<'_>,
    neighbour: Neighbour,
) -> Resolved {
    let (source, mtu) = match *route {
        Route::None => return Resolved::unknown(Unresolved::NoRoute),
        Route::NotUnicast => return Resolved::unknown(Unresolved::NotUnicast),
        Route::Local => {
            return Resolved { hop: Hop::Local, interface: None, why: None, ask: None };
        }
        Route::Via { source, mtu, .. } => (source, mtu),
    };
    let interface = match link {
        Link::Gone => return Resolved::unknown(Unresolved::NoInterface),
        Link::NotEthernet(name) => {
            return Resolved::unknown(Unresolved::NotEthernet(name.to_owned()));
        }
        Link::Ethernet(interface) => interface,
    };
    let (ifindex, who) = next(server, route).expect("a route by an interface has a next neighbour");
    let name = interface.name.clone();
    let (hop, why, ask) = match neighbour {
        Neighbour::Known { mac } => {
            let hop = Hop::Neighbour {
                ifindex,
                dmac: mac,
                smac: interface.mac,
                mtu: mtu.map_or(interface.mtu, |mtu| mtu.min(interface.mtu)),
                source: source.unwrap_or(Ipv4Addr::UNSPECIFIED),
            };
            // Known ones too: use is what keeps the kernel confirming them.
            (hop, None, true)
        }
        Neighbour::Asking => (Hop::Unknown, Some(Unresolved::Asking(who, name.clone())), false),
        Neighbour::Absent => (Hop::Unknown, Some(Unresolved::Asking(who, name.clone())), true),
        Neighbour::Failed => (Hop::Unknown, Some(Unresolved::Silent(who, name.clone())), true),
    };
    Resolved { hop, interface: Some(name), why, ask: ask.then_some((ifindex, who)) }
}

/// The interface that a route names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link<'a> {
    /// There is none of that number.
    Gone,
    /// This one has no Ethernet addresses (a tunnel, say).
    NotEthernet(&'a str),
    /// Frames can go there.
    Ethernet(&'a Interface),
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const SMAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn via(gateway: Option<Ipv4Addr>, mtu: Option<u32>) -> Route {
        Route::Via { ifindex: 4, gateway, source: Some(OWN), mtu }
    }

    fn hop(mtu: u32) -> Hop {
        Hop::Neighbour { ifindex: 4, dmac: MAC, smac: SMAC, mtu, source: OWN }
    }

    #[test]
    fn answers_make_hops() {
        let eth0 = Interface { ifindex: 4, name: "eth0".into(), mac: SMAC, mtu: 1500 };
        let eth = Link::Ethernet(&eth0);
        let fresh = Neighbour::Known { mac: MAC };
        let direct = via(None, None);
        let routed = via(Some(ROUTER), None);
        let (here, there) = (Some((4, SERVER)), Some((4, ROUTER)));
        let asking = "neighbour 10.0.0.9 on eth0 is being asked for";
        let rows = [
            (Route::None, eth, fresh, Hop::Unknown, "no route", None, "no route"),
            (Route::Local, eth, fresh, Hop::Local, "", None, "our own address"),
            (Route::Local, Link::Gone, fresh, Hop::Local, "", None, "lo needs no interface"),
            (
                Route::NotUnicast,
                eth,
                fresh,
                Hop::Unknown,
                "not the address of one host",
                None,
                "broadcast",
            ),
            (direct, eth, fresh, hop(1500), "", here, "on the link"),
            (routed, eth, fresh, hop(1500), "", there, "behind a router: the router's address"),
            (via(None, Some(1400)), eth, fresh, hop(1400), "", here, "the route's MTU"),
            (via(None, Some(9000)), eth, fresh, hop(1500), "", here, "the link's is the smaller"),
            (direct, eth, Neighbour::Absent, Hop::Unknown, asking, here, "nobody asked yet"),
            (direct, eth, Neighbour::Asking, Hop::Unknown, asking, None, "the kernel is at it"),
            (
                direct,
                eth,
                Neighbour::Failed,
                Hop::Unknown,
                "neighbour 10.0.0.9 on eth0 does not answer",
                here,
                "ask again: it may have come back",
            ),
            (
                routed,
                eth,
                Neighbour::Failed,
                Hop::Unknown,
                "neighbour 10.0.0.1 on eth0 does not answer",
                there,
                "the router is dead, not the server",
            ),
            (
                direct,
                Link::Gone,
                fresh,
                Hop::Unknown,
                "the route's interface is gone",
                None,
                "raced with a removal",
            ),
            (
                direct,
                Link::NotEthernet("tun0"),
                Neighbour::Absent,
                Hop::Unknown,
                "tun0 is not an Ethernet interface",
                None,
                "nothing to rewrite",
            ),
        ];
        for (route, link, neighbour, expected, why, ask, sentence) in rows {
            let got = decide(SERVER, &route, link, neighbour);
            assert_eq!(got.hop, expected, "{sentence}");
            let said = got.why.map(|w| w.to_string()).unwrap_or_default();
            assert_eq!(said, why, "{sentence}");
            assert_eq!(got.ask, ask, "{sentence}");
        }
    }

    #[test]
    fn a_route_without_a_source_has_none() {
        let eth0 = Interface { ifindex: 4, name: "eth0".into(), mac: SMAC, mtu: 1500 };
        let route = Route::Via { ifindex: 4, gateway: None, source: None, mtu: None };
        let known = Neighbour::Known { mac: MAC };
        let got = decide(SERVER, &route, Link::Ethernet(&eth0), known).hop;
        assert!(matches!(got, Hop::Neighbour { source: Ipv4Addr::UNSPECIFIED, .. }));
    }
}

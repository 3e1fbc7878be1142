#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

fn neighbour_message(state: NeighbourState, lladdr: Option<&[u8]>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = 4;
    message.header.state = state;
    message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(SERVER)));
    message.attributes.extend(lladdr.map(|l| NeighbourAttribute::LinkLayerAddress(l.to_vec())));
    message
}

#[test]
fn neighbour_states() {
    use NeighbourState as S;
    let mac = [2, 0, 0, 0, 0, 9];
    let known = Neighbour::Known { mac };
    let rows: [(S, Option<&[u8]>, Neighbour, &str); 11] = [
        (S::Reachable, Some(&mac), known, "confirmed"),
        (S::Stale, Some(&mac), known, "not confirmed lately, still good"),
        (S::Delay, Some(&mac), known, "about to be confirmed"),
        (S::Probe, Some(&mac), known, "being confirmed"),
        (S::Permanent, Some(&mac), known, "a person's word"),
        (S::Incomplete, None, Neighbour::Asking, "asking"),
        (S::Failed, None, Neighbour::Failed, "nobody answers"),
        (S::Failed, Some(&mac), Neighbour::Failed, "nobody answers any more"),
        (S::None, None, Neighbour::Absent, "an entry that nobody used"),
        (S::Noarp, Some(&[0; 6]), Neighbour::Absent, "lo and the like"),
        (S::Reachable, Some(&[1, 2, 3, 4]), Neighbour::Absent, "no Ethernet address"),
    ];
    for (state, lladdr, expected, sentence) in rows {
        let message = neighbour_message(state, lladdr);
        assert_eq!(neighbour(&message), Some(((4, SERVER), expected)), "{sentence}");
    }
}

#[test]
fn route_answers() {
    let gateway = Ipv4Addr::new(10, 0, 0, 1);
    let own = Ipv4Addr::new(10, 0, 0, 2);
    let oif = RouteAttribute::Oif(4);
    let full = vec![
        oif.clone(),
        RouteAttribute::Gateway(RouteAddress::Inet(gateway)),
        RouteAttribute::PrefSource(RouteAddress::Inet(own)),
        RouteAttribute::Metrics(vec![RouteMetric::Window(1), RouteMetric::Mtu(1400)]),
    ];
    let plain = Route::Via { ifindex: 4, gateway: None, source: None, mtu: None };
    let whole =
        Route::Via { ifindex: 4, gateway: Some(gateway), source: Some(own), mtu: Some(1400) };
    let rows = [
        (RouteType::Unicast, vec![oif.clone()], plain, "on the link"),
        (RouteType::Unicast, full, whole, "behind a router"),
        (RouteType::Unicast, vec![], Route::None, "no interface"),
        (RouteType::Local, vec![oif.clone()], Route::Local, "this host"),
        (RouteType::Broadcast, vec![oif.clone()], Route::NotUnicast, "broadcast"),
        (RouteType::Multicast, vec![oif.clone()], Route::NotUnicast, "multicast"),
        (RouteType::Unreachable, vec![oif], Route::None, "refused"),
    ];
    for (kind, attributes, expected, sentence) in rows {
        let mut message = RouteMessage::default();
        message.header.kind = kind;
        message.attributes = attributes;
        assert_eq!(route(&message), expected, "{sentence}");
    }
}

#[test]
fn links_and_addresses() {
    let mut host = Host::default();
    for (index, kind, name, lladdr) in [
        (1, LinkLayerType::Loopback, "lo", vec![0; 6]),
        (4, LinkLayerType::Ether, "eth0", vec![2, 0, 0, 0, 0, 2]),
        (5, LinkLayerType::Ether, "eth1", vec![2, 0, 0, 0, 0, 3]),
        (6, LinkLayerType::Tunnel, "tunl0", vec![0; 4]),
    ] {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.link_layer_type = kind;
        message.attributes = vec![
            LinkAttribute::IfName(name.into()),
            LinkAttribute::Address(lladdr),
            LinkAttribute::Mtu(1500),
        ];
        add_link(&mut host, &message);
    }
    let mut message = AddressMessage::default();
    message.header.index = 4;
    message.attributes = vec![
        AddressAttribute::Address("10.0.0.1".parse().unwrap()),
        AddressAttribute::Local("10.0.0.2".parse().unwrap()),
    ];
    host.addresses.extend(own_address(&message));

    assert_eq!(host.candidates(), ["eth0 (10.0.0.2)", "eth1 (no IPv4 address)"]);
    assert_eq!(host.link(6), Link::NotEthernet("tunl0"));
    assert_eq!(host.link(1), Link::NotEthernet("lo"));
    assert_eq!(host.link(9), Link::Gone);
    assert!(matches!(host.link(4), Link::Ethernet(i) if i.name == "eth0"));
    let own: Vec<_> = host.addresses.iter().map(|(_, own)| own.to_string()).collect();
    assert!(own.contains(&"10.0.0.2".to_owned()));
    assert!(!own.contains(&"10.0.0.1".to_owned()), "the peer's");
}

#[test]
fn refusals_are_no_errors() {
    let rows = [(101, true), (113, true), (13, true), (22, true), (1, false), (105, false)];
    for (errno, expected) in rows {
        assert_eq!(refused(&io::Error::from_raw_os_error(errno)), expected, "errno {errno}");
    }
}

/// Reads this host's own tables: no privilege needed, nothing changed.
#[tokio::test]
async fn the_kernel_answers() {
    let (netlink, _changes) = Netlink::open().unwrap();
    let host = netlink.host().await.unwrap();
    assert!(host.others.values().any(|name| name == "lo"));
    assert_eq!(netlink.route(Ipv4Addr::LOCALHOST).await.unwrap(), Route::Local);
}

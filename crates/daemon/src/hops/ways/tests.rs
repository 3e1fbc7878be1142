#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    hops::Unresolved,
    plane::{Hop, Interface},
};

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn server(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, n)
}

fn host(neighbours: &[(Ipv4Addr, Neighbour)]) -> Host {
    let mut host = Host::default();
    let eth0 = Interface { ifindex: 4, name: "eth0".into(), mac: [2; 6], mtu: 1500 };
    host.interfaces.insert(4, eth0);
    host.neighbours = neighbours.iter().map(|(who, what)| ((4, *who), *what)).collect();
    host
}

fn via(gateway: Option<Ipv4Addr>) -> Route {
    Route::Via { ifindex: 4, gateway, source: None, mtu: None }
}

fn known(byte: u8) -> Neighbour {
    Neighbour::Known { mac: [byte; 6] }
}

/// Learns the routes that are in doubt: all by one gateway, or all directly.
fn learn(ways: &mut Ways, host: &Host, gateway: Option<Ipv4Addr>, occasion: Occasion) -> News {
    let routes = ways.doubtful(usize::MAX).into_iter().map(|a| (a, via(gateway))).collect();
    ways.learn(host, routes, occasion)
}

fn macs(news: &News) -> Vec<(u8, Option<u8>)> {
    let mac = |r: &Resolved| match r.hop {
        Hop::Neighbour { dmac, .. } => Some(dmac[0]),
        _ => None,
    };
    let mut macs: Vec<_> = news.servers.iter().map(|(a, r)| (a.octets()[3], mac(r))).collect();
    macs.sort_unstable();
    macs
}

#[test]
fn a_neighbours_news_concern_the_servers_behind_it_alone() {
    let mut ways = Ways::new((1..=3).map(server));
    let nothing = host(&[]);
    assert!(ways.is_open(server(1)), "its route is not known");
    let news = learn(&mut ways, &nothing, None, Occasion::Change);
    assert_eq!(macs(&news), [(1, None), (2, None), (3, None)]);
    assert_eq!(news.asks, (1..=3).map(|n| (4, server(n))).collect(), "nobody asked before");
    assert!(!ways.in_doubt() && ways.is_open(server(1)), "its neighbour is asked for");

    let one = host(&[(server(2), known(7))]);
    let news = learn(&mut ways, &one, None, Occasion::Change);
    assert_eq!(macs(&news), [(2, Some(7))]);
    assert!(news.asks.is_empty() && !ways.is_open(server(2)));

    let moved = host(&[(server(2), known(8)), (server(3), known(9))]);
    assert_eq!(
        macs(&learn(&mut ways, &moved, None, Occasion::Change)),
        [(2, Some(8)), (3, Some(9))]
    );
    assert_eq!(macs(&learn(&mut ways, &moved, None, Occasion::Change)), []);
    let lost = host(&[(server(2), known(8)), (server(3), Neighbour::Failed)]);
    let news = learn(&mut ways, &lost, None, Occasion::Change);
    let silent = Some(Unresolved::Silent(server(3), "eth0".into()));
    assert_eq!(news.servers[&server(3)].why, silent);
    assert!(!ways.is_open(server(3)), "nobody answers: no use in waiting");
}

#[test]
fn a_routers_news_concern_all_behind_it_and_it_is_asked_for_once() {
    let mut ways = Ways::new((1..=200).map(server));
    let news = learn(&mut ways, &host(&[]), Some(ROUTER), Occasion::Change);
    assert_eq!(news.asks, BTreeSet::from([(4, ROUTER)]));
    let here = host(&[(ROUTER, known(1)), (server(5), known(2))]);
    let news = learn(&mut ways, &here, Some(ROUTER), Occasion::Change);
    assert_eq!(news.servers.len(), 200);
    assert!(macs(&news).iter().all(|(_, mac)| *mac == Some(1)));
    let news = learn(&mut ways, &here, Some(ROUTER), Occasion::Periodic);
    assert_eq!(news.asks, BTreeSet::from([(4, ROUTER)]), "kept warm");
    assert!(news.servers.is_empty());
}

#[test]
fn links_concern_everybody() {
    let mut ways = Ways::new((1..=3).map(server));
    let neighbours = [(server(1), known(1)), (server(2), known(2)), (server(3), known(3))];
    learn(&mut ways, &host(&neighbours), None, Occasion::Change);
    let mut thinner = host(&neighbours);
    thinner.interfaces.get_mut(&4).unwrap().mtu = 1400;
    let news = learn(&mut ways, &thinner, None, Occasion::Change);
    assert_eq!(macs(&news).len(), 3);
    assert!(matches!(news.servers[&server(1)].hop, Hop::Neighbour { mtu: 1400, .. }));
    let news = learn(&mut ways, &Host::default(), None, Occasion::Periodic);
    assert_eq!(news.servers[&server(1)].why, Some(Unresolved::NoInterface));
    assert!(news.asks.is_empty(), "there is nobody to ask on an interface that is gone");
}

#[test]
fn servers_come_and_go() {
    let mut ways = Ways::new([server(1)]);
    let here = host(&[(server(1), known(1)), (server(2), known(2))]);
    learn(&mut ways, &here, None, Occasion::Change);
    ways.shift(&Shift { added: vec![server(1), server(2)], gone: Vec::new() });
    assert_eq!(ways.doubtful(9), [server(2)], "the other is known");
    assert_eq!(macs(&learn(&mut ways, &here, None, Occasion::Change)), [(2, Some(2))]);
    ways.shift(&Shift { added: Vec::new(), gone: vec![server(1)] });
    let other = host(&[(server(1), known(8)), (server(2), known(9))]);
    assert_eq!(macs(&learn(&mut ways, &other, None, Occasion::Change)), [(2, Some(9))]);
    let late = ways.learn(&other, vec![(server(1), via(None))], Occasion::Change);
    assert_eq!(late, News::default(), "it went while its route was asked for");
    ways.shift(&Shift { added: vec![server(1)], gone: vec![server(1)] });
    assert!(ways.is_open(server(1)), "back again");
}

#[test]
fn routes_are_doubted_in_pieces() {
    let mut ways = Ways::new((1..=5).map(server));
    let here = host(&[(ROUTER, known(1))]);
    assert_eq!(ways.doubtful(2), [server(1), server(2)]);
    learn(&mut ways, &here, Some(ROUTER), Occasion::Change);
    let pieces: Vec<Vec<u8>> = (0..4)
        .map(|_| {
            ways.doubt_some(2);
            let piece = ways.doubtful(9);
            learn(&mut ways, &here, Some(ROUTER), Occasion::Periodic);
            piece.iter().map(|a| a.octets()[3]).collect()
        })
        .collect();
    assert_eq!(pieces, [vec![1, 2], vec![3, 4], vec![5], vec![1, 2]]);
    ways.shift(&Shift { added: vec![server(9)], gone: Vec::new() });
    ways.doubt_all();
    assert_eq!(ways.doubtful(9).len(), 6);
    assert_eq!(ways.doubtful(1), [server(9)], "a new one first");
    let news = learn(&mut ways, &here, Some(ROUTER), Occasion::Change);
    assert_eq!(macs(&news), [(9, Some(1))], "the others lead where they led");
}

#[test]
fn many_neighbours_take_turns() {
    let many = 2500u32;
    let all = (0..many).map(|n| Ipv4Addr::from(0x0a01_0000 + n));
    let mut ways = Ways::new(all);
    learn(&mut ways, &host(&[]), None, Occasion::Change);
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let asks = learn(&mut ways, &host(&[]), None, Occasion::Periodic).asks;
        assert_eq!(asks.len(), ASKS_AT_ONCE);
        seen.extend(asks);
    }
    assert_eq!(seen.len(), many as usize, "three looks go round");
}

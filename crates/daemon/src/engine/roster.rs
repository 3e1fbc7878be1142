//! The real servers by address, over all services: what next hops and the rewriting of local
//! servers' answers are about. Kept in step with the model, a service at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use xlvs_model::{Method, Model, Service};

use crate::hops::{Host, Shift};

/// How many servers have an address, and how many of them are reached by NAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    servers: usize,
    nat: usize,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roster {
    counts: BTreeMap<Ipv4Addr, Count>,
    /// Addresses that came or went since it was asked last; true: it was there then.
    moved: BTreeMap<Ipv4Addr, bool>,
}

impl Roster {
    /// Of a model, as if it had always been so.
    pub(super) fn of(model: &Model) -> Self {
        let mut roster = Self::default();
        for service in &model.services {
            roster.add(service);
        }
        roster.moved.clear();
        roster
    }

    /// A service is now as `new` says, and was as `old` says; `None`: not there.
    pub(super) fn replace(&mut self, old: Option<&Service>, new: Option<&Service>) {
        if let Some(old) = old {
            self.remove(old);
        }
        if let Some(new) = new {
            self.add(new);
        }
    }

    /// A service is there, or is so now.
    pub(super) fn add(&mut self, service: &Service) {
        for (address, nat) in servers(service) {
            let count = self.counts.entry(address).or_default();
            if count.servers == 0 {
                self.moved.entry(address).or_insert(false);
            }
            count.servers += 1;
            count.nat += usize::from(nat);
        }
    }

    /// A service is gone, or was so before.
    pub(super) fn remove(&mut self, service: &Service) {
        for (address, nat) in servers(service) {
            let Some(count) = self.counts.get_mut(&address) else { continue };
            count.servers -= 1;
            count.nat -= usize::from(nat);
            if count.servers == 0 {
                self.counts.remove(&address);
                self.moved.entry(address).or_insert(true);
            }
        }
    }

    /// Some server has this address.
    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        self.counts.contains_key(&address)
    }

    /// What changed since the last call.
    pub(super) fn shift(&mut self) -> Shift {
        let mut shift = Shift::default();
        for (address, was) in std::mem::take(&mut self.moved) {
            match (was, self.contains(address)) {
                (false, true) => shift.added.push(address),
                (true, false) => shift.gone.push(address),
                (false, false) | (true, true) => {}
            }
        }
        shift
    }

    /// The addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.counts.keys().copied()
    }

    /// Some server is reached by NAT and is this very host.
    pub(super) fn is_nat_here(&self, host: &Host) -> bool {
        let loopback = Ipv4Addr::new(127, 0, 0, 0)..=Ipv4Addr::new(127, 255, 255, 255);
        self.counts.range(loopback).any(|(_, count)| count.nat > 0)
            || host.addresses.iter().any(|(_, own)| self.counts.get(own).is_some_and(|c| c.nat > 0))
    }
}

fn servers(service: &Service) -> impl Iterator<Item = (Ipv4Addr, bool)> {
    service.servers.iter().filter_map(|server| match server.key.ip() {
        IpAddr::V4(address) => Some((address, server.method == Method::Masq)),
        IpAddr::V6(_) => None,
    })
}

/// The addresses of all servers.
pub(crate) fn real_servers(model: &Model) -> BTreeSet<Ipv4Addr> {
    model.services.iter().flat_map(servers).map(|(address, _)| address).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn service(servers: &[(&str, &str)]) -> Service {
        let of = |(address, method): &(&str, &str)| {
            format!(r#"{{"address":"{address}:80","method":"{method}","weight":1}}"#)
        };
        let servers = servers.iter().map(of).collect::<Vec<_>>().join(",");
        let text = format!(r#"{{"key":"tcp:10.0.0.1:80","scheduler":"rr","servers":[{servers}]}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn shifted(roster: &mut Roster) -> [Vec<String>; 2] {
        let Shift { added, gone } = roster.shift();
        [added, gone].map(|list| list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_address_comes_with_its_first_server_and_goes_with_its_last() {
        let one = service(&[("10.0.1.1", "masq"), ("10.0.1.2", "route"), ("[fd00::1]", "masq")]);
        let two = service(&[("10.0.1.1", "route")]);
        let mut roster = Roster::default();
        roster.add(&one);
        roster.add(&two);
        assert_eq!(shifted(&mut roster), [vec!["10.0.1.1", "10.0.1.2"], vec![]]);
        roster.remove(&one);
        assert_eq!(shifted(&mut roster), [vec![], vec!["10.0.1.2"]], "the other service has 1.1");
        roster.remove(&two);
        roster.add(&two);
        assert_eq!(shifted(&mut roster), [vec![], vec![""; 0]], "gone and back");
        assert_eq!(roster.addresses().count(), 1);
    }

    #[test]
    fn nat_on_this_host() {
        let mut host = Host::default();
        host.addresses.push((2, "10.0.1.1".parse().unwrap()));
        for (server, method, expected) in [
            ("10.0.1.1", "masq", true),
            ("10.0.1.1", "route", false),
            ("10.0.1.2", "masq", false),
            ("127.0.0.5", "masq", true),
            ("127.0.0.5", "tunnel", false),
        ] {
            let mut roster = Roster::default();
            roster.add(&service(&[(server, method)]));
            assert_eq!(roster.is_nat_here(&host), expected, "{server} {method}");
        }
    }
}

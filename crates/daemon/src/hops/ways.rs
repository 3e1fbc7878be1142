//! The ways to all real servers, as far as they are known: pure. What is asked of the kernel, and
//! what is decided anew, is in proportion to what changed, however many servers there are: a route
//! is asked for once for each address (all of them again, in pieces, when the kernel says that
//! routes changed, and a piece every few seconds in any case), and a neighbour's news concerns the
//! servers behind it alone.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::Ipv4Addr,
    ops::Bound,
};

use crate::hops::{
    Host, Resolved,
    decide::{Link, Neighbour, Route, decide, next},
};

/// Servers' addresses that came and went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift {
    /// Not there before.
    pub(crate) added: Vec<Ipv4Addr>,
    /// Of no server any more.
    pub(crate) gone: Vec<Ipv4Addr>,
}

/// Why there is a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Something changed: only neighbours that nobody asked for yet are asked for.
    Change,
    /// It is time: every neighbour in use is asked for, to keep it confirmed.
    Periodic,
}

/// A neighbour: its interface and address.
pub(crate) type Next = (u32, Ipv4Addr);

/// What a look brought to light.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Hops that are not what they were.
    pub(crate) servers: HashMap<Ipv4Addr, Resolved>,
    /// Neighbours to ask for.
    pub(crate) asks: BTreeSet<Next>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    servers: HashMap<Ipv4Addr, Way>,
    /// All of them, to go round.
    order: BTreeSet<Ipv4Addr>,
    behind: HashMap<Next, BTreeSet<Ipv4Addr>>,
    /// Nobody asked for their routes yet.
    fresh: BTreeSet<Ipv4Addr>,
    /// Their routes may have changed.
    stale: BTreeSet<Ipv4Addr>,
    /// Their neighbours' answers are on the way.
    asking: HashSet<Ipv4Addr>,
    host: Host,
    /// How far the periodic looks came.
    renewed: Option<Ipv4Addr>,
    asked: Option<Next>,
}

#[derive(Clone, Debug)]
struct Way {
    route: Route,
    resolved: Resolved,
}

impl Ways {
    /// Of these servers; none of their routes is known.
    pub(crate) fn new(servers: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let mut ways = Self::default();
        ways.shift(&Shift { added: servers.into_iter().collect(), gone: Vec::new() });
        ways
    }

    /// Other servers.
    pub(crate) fn shift(&mut self, shift: &Shift) {
        for address in &shift.gone {
            self.unlink(*address);
            self.servers.remove(address);
            self.order.remove(address);
            self.fresh.remove(address);
            self.stale.remove(address);
            self.asking.remove(address);
        }
        for address in &shift.added {
            if self.order.insert(*address) {
                self.fresh.insert(*address);
            }
        }
    }

    /// Every route may have changed.
    pub(crate) fn doubt_all(&mut self) {
        self.stale.extend(self.order.difference(&self.fresh));
    }

    /// A few routes more may have changed without a word from the kernel.
    pub(crate) fn doubt_some(&mut self, many: usize) {
        let after = self.renewed.map_or(Bound::Unbounded, Bound::Excluded);
        let some: Vec<_> =
            self.order.range((after, Bound::Unbounded)).take(many).copied().collect();
        self.renewed = if some.len() < many { None } else { some.last().copied() };
        self.stale.extend(some.into_iter().filter(|address| !self.fresh.contains(address)));
    }

    /// There are routes to ask for.
    pub(crate) fn in_doubt(&self) -> bool {
        !self.fresh.is_empty() || !self.stale.is_empty()
    }

    /// Routes to ask for next, at most so many; they stay in doubt until they are learnt.
    pub(crate) fn doubtful(&self, many: usize) -> Vec<Ipv4Addr> {
        self.fresh.iter().chain(&self.stale).take(many).copied().collect()
    }

    /// It is not known yet where this server's packets go, but it soon will be.
    pub(crate) fn is_open(&self, address: Ipv4Addr) -> bool {
        self.fresh.contains(&address) || self.asking.contains(&address)
    }

    /// The host and some routes as they are now.
    pub(crate) fn learn(
        &mut self,
        host: &Host,
        routes: Vec<(Ipv4Addr, Route)>,
        occasion: Occasion,
    ) -> News {
        let mut affected = self.affected(host);
        self.host = host.clone();
        for (address, route) in routes {
            self.fresh.remove(&address);
            self.stale.remove(&address);
            // It may have gone while its route was asked for.
            if self.order.contains(&address) {
                self.link(address, route);
                affected.insert(address);
            }
        }
        let mut news = News::default();
        for address in affected {
            self.decide(address, &mut news);
        }
        if occasion == Occasion::Periodic {
            self.keep_warm(&mut news.asks);
        }
        news
    }

    /// Servers whose hop may differ with this host.
    fn affected(&self, host: &Host) -> BTreeSet<Ipv4Addr> {
        let old = &self.host;
        if old.interfaces != host.interfaces || old.others != host.others {
            return self.servers.keys().copied().collect();
        }
        let differs =
            |next: &&Next| old.neighbour(next.0, next.1) != host.neighbour(next.0, next.1);
        let known: HashSet<&Next> = old.neighbours.keys().chain(host.neighbours.keys()).collect();
        let behind = known.into_iter().filter(differs).filter_map(|next| self.behind.get(next));
        behind.flatten().copied().collect()
    }

    fn decide(&mut self, address: Ipv4Addr, news: &mut News) {
        let Some(way) = self.servers.get_mut(&address) else { return };
        let (link, neighbour) = match next(address, &way.route) {
            Some((ifindex, who)) => (self.host.link(ifindex), self.host.neighbour(ifindex, who)),
            None => (Link::Gone, Neighbour::Absent),
        };
        let resolved = decide(address, &way.route, link, neighbour);
        if neighbour == Neighbour::Absent {
            news.asks.extend(resolved.ask);
        }
        if resolved.is_asked_for() {
            self.asking.insert(address);
        } else {
            self.asking.remove(&address);
        }
        if way.resolved != resolved {
            way.resolved = resolved.clone();
            news.servers.insert(address, resolved);
        }
    }

    /// Every neighbour in use, or the next so many of them.
    fn keep_warm(&mut self, asks: &mut BTreeSet<Next>) {
        let mut used: Vec<Next> = self.behind.keys().copied().collect();
        if used.len() > ASKS_AT_ONCE {
            used.sort_unstable();
            let at = self.asked.map_or(0, |last| used.partition_point(|next| *next <= last));
            let length = used.len();
            used.rotate_left(at % length);
            used.truncate(ASKS_AT_ONCE);
            self.asked = used.last().copied();
        }
        asks.extend(used.into_iter().filter(|(ifindex, who)| {
            let is_ethernet = matches!(self.host.link(*ifindex), Link::Ethernet(_));
            is_ethernet && self.host.neighbour(*ifindex, *who) != Neighbour::Asking
        }));
    }

    fn link(&mut self, address: Ipv4Addr, route: Route) {
        self.unlink(address);
        if let Some(next) = next(address, &route) {
            self.behind.entry(next).or_default().insert(address);
        }
        let resolved = self.servers.remove(&address).map_or(Resolved::PENDING, |w| w.resolved);
        self.servers.insert(address, Way { route, resolved });
    }

    fn unlink(&mut self, address: Ipv4Addr) {
        let route = self.servers.get(&address).map(|way| way.route);
        let Some(next) = route.and_then(|route| next(address, &route)) else { return };
        if let Some(behind) = self.behind.get_mut(&next) {
            behind.remove(&address);
            if behind.is_empty() {
                self.behind.remove(&next);
            }
        }
    }
}

/// Neighbours that are asked for in one look: more take turns. A neighbour that is not confirmed
/// for some seconds is still known.
const ASKS_AT_ONCE: usize = 1024;

#[cfg(test)]
mod tests;

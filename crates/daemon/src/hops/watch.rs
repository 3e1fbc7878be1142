//! Keeps the next hops of real servers fresh: looks at once when the kernel reports a change (a few
//! milliseconds' worth of reports at a time), when the set of servers changes, and every few
//! seconds in any case. The periodic look also has the kernel confirm each neighbour, so that none
//! grows stale while its server is in use.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use rtnetlink::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{self, MissedTickBehavior},
};
use tracing::{debug, warn};

use crate::{
    engine::Engine,
    hops::{
        Host, Netlink, Resolved, Unresolved,
        decide::{Link, Neighbour, decide, next},
        netlink::{Changed, probe},
    },
    owner::Owner,
};

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The host as it is.
    pub(crate) host: Host,
    /// The hop of each real server.
    pub(crate) servers: HashMap<Ipv4Addr, Resolved>,
}

/// Why there is a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Something changed: only neighbours that nobody asked for yet are asked for.
    Change,
    /// It is time: every neighbour in use is asked for, to keep it confirmed.
    Periodic,
}

/// What others ask of the watcher.
#[derive(Debug)]
pub(crate) enum Wish {
    /// The data plane misses this neighbour.
    Neighbour(u32, Ipv4Addr),
    /// Tell when none of these is still being asked for.
    Settled(BTreeSet<Ipv4Addr>, oneshot::Sender<()>),
}

/// The task.
pub(crate) struct Watcher {
    netlink: Netlink,
    changes: BoxStream<'static, Changed>,
    servers: watch::Receiver<BTreeSet<Ipv4Addr>>,
    wishes: mpsc::Receiver<Wish>,
    waiting: Vec<(BTreeSet<Ipv4Addr>, oneshot::Sender<()>)>,
}

impl Watcher {
    /// Of what `servers` holds at any time.
    pub(crate) fn new(
        netlink: Netlink,
        changes: BoxStream<'static, Changed>,
        servers: watch::Receiver<BTreeSet<Ipv4Addr>>,
        wishes: mpsc::Receiver<Wish>,
    ) -> Self {
        Self { netlink, changes, servers, wishes, waiting: Vec::new() }
    }

    /// Looks until the owner is gone. The first look is done at once.
    pub(crate) async fn run(mut self, owner: Owner<Engine>) {
        let mut ticks = time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (occasion, ways) = tokio::select! {
                _ = ticks.tick() => (Occasion::Periodic, false),
                change = self.changes.next() => {
                    let Some(change) = change else { return warn!("rtnetlink hung up") };
                    (Occasion::Change, self.gather(change).await)
                }
                changed = self.servers.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    (Occasion::Change, false)
                }
                wish = self.wishes.recv() => {
                    let Some(wish) = wish else { return };
                    if !self.grant(wish).await {
                        continue;
                    }
                    (Occasion::Change, false)
                }
            };
            if !self.round(&owner, occasion, ways).await {
                return;
            }
        }
    }

    /// One look, told to the engine. False when the engine is gone.
    async fn round(&mut self, owner: &Owner<Engine>, occasion: Occasion, ways: bool) -> bool {
        let servers = self.servers.borrow_and_update().clone();
        let sight = match look(&self.netlink, &servers, occasion).await {
            Ok(sight) => sight,
            Err(e) => {
                warn!("cannot read routes and neighbours: {e}");
                return true;
            }
        };
        let busy = still_asked(&sight);
        let told = owner.ask(move |engine| engine.look_around(sight, ways)).await.is_some();
        let settled = self.waiting.extract_if(.., |(of, _)| of.is_disjoint(&busy));
        for (_, tell) in settled {
            // Whoever waited may have given up.
            tell.send(()).unwrap_or_default();
        }
        told
    }

    /// Lets the reports of a few milliseconds make one look. True when a way changed.
    async fn gather(&mut self, first: Changed) -> bool {
        let mut ways = first == Changed::Ways;
        let pause = time::sleep(DEBOUNCE);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return ways,
                change = self.changes.next() => match change {
                    Some(change) => ways |= change == Changed::Ways,
                    None => return ways,
                },
            }
        }
    }

    /// True when the wish needs a look.
    async fn grant(&mut self, wish: Wish) -> bool {
        match wish {
            Wish::Neighbour(ifindex, address) => {
                if let Err(e) = self.netlink.ask(ifindex, address).await {
                    debug!("cannot ask for neighbour {address} on interface {ifindex}: {e}");
                }
                if let Ok(Some(interface)) = self.netlink.interface(ifindex).await {
                    probe(&interface, address);
                }
                false
            }
            Wish::Settled(of, tell) => {
                self.waiting.push((of, tell));
                true
            }
        }
    }
}

/// Looks once, and asks for the neighbours that need it.
pub(crate) async fn look(
    netlink: &Netlink,
    servers: &BTreeSet<Ipv4Addr>,
    occasion: Occasion,
) -> Result<Sight, Error> {
    let host = netlink.host().await?;
    let mut sight = Sight { host, servers: HashMap::with_capacity(servers.len()) };
    let mut asked = BTreeSet::new();
    for &server in servers {
        let route = netlink.route(server).await?;
        let (link, neighbour) = match next(server, &route) {
            Some((ifindex, who)) => (sight.host.link(ifindex), sight.host.neighbour(ifindex, who)),
            None => (Link::Gone, Neighbour::Absent),
        };
        let resolved = decide(server, &route, link, neighbour);
        let absent = matches!(resolved.why, Some(Unresolved::Asking(..)));
        if let Some((ifindex, who)) = resolved.ask
            && (occasion == Occasion::Periodic || absent)
            && asked.insert((ifindex, who))
        {
            if let Err(e) = netlink.ask(ifindex, who).await {
                debug!("cannot ask for neighbour {who} on interface {ifindex}: {e}");
            }
            if let Link::Ethernet(interface) = link
                && !sight.host.confirmed.contains(&(ifindex, who))
            {
                probe(interface, who);
            }
        }
        sight.servers.insert(server, resolved);
    }
    Ok(sight)
}

fn still_asked(sight: &Sight) -> BTreeSet<Ipv4Addr> {
    let asked = sight.servers.iter().filter(|(_, r)| r.is_asked_for());
    asked.map(|(address, _)| *address).collect()
}

/// Shorter than the 5 s for which the kernel takes a neighbour's last use as recent
/// (`delay_first_probe_time`): a neighbour in use is then confirmed again without a gap.
const PERIOD: Duration = Duration::from_secs(4);

/// One event seldom comes alone.
const DEBOUNCE: Duration = Duration::from_millis(5);

//! Keeps the next hops of real servers fresh: looks at once when the kernel reports a change (a few
//! milliseconds' worth of reports at a time), when the set of servers changes, and every few
//! seconds in any case; what a look costs is `ways`' business. The periodic look also has the
//! kernel confirm each neighbour, so that none grows stale while its server is in use.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use rtnetlink::Error;
use tokio::{
    sync::{mpsc, oneshot},
    time::{self, MissedTickBehavior},
};
use tracing::{debug, warn};

use crate::{
    engine::Engine,
    hops::{
        Host, Netlink, Resolved,
        decide::Link,
        netlink::{Changed, probe},
        ways::{Occasion, Shift, Ways},
    },
    owner::Owner,
};

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The host as it is.
    pub(crate) host: Host,
    /// The hops of real servers that are not what they were.
    pub(crate) servers: HashMap<Ipv4Addr, Resolved>,
}

/// What others ask of the watcher.
#[derive(Debug)]
pub(crate) enum Wish {
    /// The data plane misses this neighbour.
    Neighbour(u32, Ipv4Addr),
    /// Tell when it is known where to send for each of these, or that it is not known.
    Settled(BTreeSet<Ipv4Addr>, oneshot::Sender<()>),
}

/// The task.
pub(crate) struct Watcher {
    netlink: Netlink,
    changes: BoxStream<'static, Changed>,
    ways: Ways,
    servers: mpsc::UnboundedReceiver<Shift>,
    wishes: mpsc::Receiver<Wish>,
    waiting: Vec<(BTreeSet<Ipv4Addr>, oneshot::Sender<()>)>,
}

impl Watcher {
    /// Of the servers of `ways`, and what `servers` says of them from now on.
    pub(crate) fn new(
        netlink: Netlink,
        changes: BoxStream<'static, Changed>,
        ways: Ways,
        servers: mpsc::UnboundedReceiver<Shift>,
        wishes: mpsc::Receiver<Wish>,
    ) -> Self {
        Self { netlink, changes, ways, servers, wishes, waiting: Vec::new() }
    }

    /// Looks until the owner is gone. The first look is done at once.
    pub(crate) async fn run(mut self, owner: Owner<Engine>) {
        let mut ticks = time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (occasion, ways) = tokio::select! {
                _ = ticks.tick() => {
                    self.ways.doubt_some(ROUTES_AT_ONCE);
                    (Occasion::Periodic, false)
                }
                change = self.changes.next() => {
                    let Some(change) = change else { return warn!("rtnetlink hung up") };
                    let ways = self.gather(change).await;
                    if ways {
                        self.ways.doubt_all();
                    }
                    (Occasion::Change, ways)
                }
                shift = self.servers.recv() => {
                    let Some(shift) = shift else { return };
                    self.ways.shift(&shift);
                    (Occasion::Change, false)
                }
                wish = self.wishes.recv() => {
                    let Some(wish) = wish else { return };
                    if !self.grant(wish).await {
                        continue;
                    }
                    (Occasion::Change, false)
                }
                // Routes are still to be asked for; between the pieces others have their turn.
                () = std::future::ready(()), if self.ways.in_doubt() => (Occasion::Change, false),
            };
            if !self.round(&owner, occasion, ways).await {
                return;
            }
        }
    }

    /// One look, told to the engine. False when the engine is gone.
    async fn round(&mut self, owner: &Owner<Engine>, occasion: Occasion, ways: bool) -> bool {
        while let Ok(shift) = self.servers.try_recv() {
            self.ways.shift(&shift);
        }
        let sight = match look(&self.netlink, &mut self.ways, ROUTES_AT_ONCE, occasion).await {
            Ok(sight) => sight,
            Err(e) => {
                warn!("cannot read routes and neighbours: {e}");
                time::sleep(TROUBLE_PAUSE).await;
                return true;
            }
        };
        let told = owner.ask(move |engine| engine.look_around(sight, ways)).await.is_some();
        let open = &self.ways;
        let is_settled = |of: &BTreeSet<Ipv4Addr>| !of.iter().any(|address| open.is_open(*address));
        for (_, tell) in self.waiting.extract_if(.., |(of, _)| is_settled(of)) {
            // Whoever waited may have given up.
            tell.send(()).unwrap_or_default();
        }
        // Nobody waits for those who gave up.
        self.waiting.retain(|(_, tell)| !tell.is_closed());
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

/// Looks once, and asks for the neighbours that need it. Asks for so many routes at most.
pub(crate) async fn look(
    netlink: &Netlink,
    ways: &mut Ways,
    routes: usize,
    occasion: Occasion,
) -> Result<Sight, Error> {
    let host = netlink.host().await?;
    let routes = netlink.routes(ways.doubtful(routes)).await?;
    let news = ways.learn(&host, routes, occasion);
    for (ifindex, who) in news.asks {
        if let Err(e) = netlink.ask(ifindex, who).await {
            debug!("cannot ask for neighbour {who} on interface {ifindex}: {e}");
        }
        if let Link::Ethernet(interface) = host.link(ifindex)
            && !host.confirmed.contains(&(ifindex, who))
        {
            probe(interface, who);
        }
    }
    Ok(Sight { host, servers: news.servers })
}

/// Shorter than the 5 s for which the kernel takes a neighbour's last use as recent
/// (`delay_first_probe_time`): a neighbour in use is then confirmed again without a gap.
const PERIOD: Duration = Duration::from_secs(4);

/// Routes that are asked for in one look: some ten milliseconds' worth.
const ROUTES_AT_ONCE: usize = 1024;

/// How long to wait when the kernel does not answer.
const TROUBLE_PAUSE: Duration = Duration::from_millis(200);

/// One event seldom comes alone.
const DEBOUNCE: Duration = Duration::from_millis(5);

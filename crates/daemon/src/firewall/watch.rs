//! Notices that the firewall's rules changed: those of `nf_tables` by the kernel's own word, a few
//! milliseconds after they were typed; those of iptables-legacy, of which the kernel says nothing,
//! by reading them every second where there are any.

use std::{future, io, time::Duration};

use rtnetlink::sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_NETFILTER};
use tokio::time::{self, MissedTickBehavior};
use tracing::{info, warn};
use xlvs_netfilter::Table;

use super::{
    Firewall,
    read::{Answer, Tools},
};
use crate::{engine::Engine, owner::Owner};

/// The task, and what it saw last.
pub(crate) struct FirewallWatcher {
    /// None: changes are only noticed by reading.
    socket: Option<TokioSocket>,
    nft: Answer,
    native: Answer,
    last: Firewall,
}

impl FirewallWatcher {
    /// Listens from now on. Needs a tokio runtime; in the network namespace of the caller.
    pub(crate) fn new() -> Self {
        let socket = match listen() {
            Ok(socket) => Some(socket),
            Err(e) => {
                info!("the kernel does not tell of changes of nf_tables: {e}");
                None
            }
        };
        let (nft, native) = (Ok(Vec::new()), Ok(Vec::new()));
        Self { socket, nft, native, last: Firewall::default() }
    }

    /// Reads everything.
    pub(crate) async fn look(&mut self) -> &Firewall {
        self.read(true).await;
        &self.last
    }

    /// Tells the engine of changes until it is gone.
    pub(crate) async fn run(mut self, owner: Owner<Engine>) {
        let mut ticks = time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut quiet = 0;
        loop {
            let everything = tokio::select! {
                _ = ticks.tick() => {
                    quiet += 1;
                    self.socket.is_none() || quiet >= QUIET_PERIODS
                }
                () = hear(&mut self.socket) => {
                    // One command is many messages.
                    self.gather().await;
                    true
                }
            };
            if everything {
                quiet = 0;
            }
            if !self.read(everything).await {
                continue;
            }
            let firewall = self.last.clone();
            if owner.ask(move |engine| engine.see_firewall(firewall)).await.is_none() {
                return;
            }
        }
    }

    /// Reads the legacy tables and, if asked, those of `nf_tables`. True when anything changed.
    async fn read(&mut self, everything: bool) -> bool {
        let tools = Tools::find();
        let legacy = tools.legacy().await;
        if everything {
            self.nft = tools.nft().await;
            let known = self.nft.as_deref().unwrap_or_default();
            self.native = tools.native(known).await;
        }
        let mut tables: Vec<Table> = Vec::new();
        let mut failures = Vec::new();
        for answer in [&legacy, &self.nft, &self.native] {
            match answer {
                Ok(found) => tables.extend(found.iter().cloned()),
                Err(why) => failures.push(why.clone()),
            }
        }
        let is_as_before = tables == self.last.tables
            && failures == self.last.failures
            && tools.has_iptables() == self.last.has_iptables;
        if is_as_before {
            return false;
        }
        for why in failures.iter().filter(|why| !self.last.failures.contains(why)) {
            warn!("the host's firewall cannot be read: {why}");
        }
        self.last = Firewall::new(tools.has_iptables(), tables, failures);
        true
    }

    /// Lets the messages of a few milliseconds pass.
    async fn gather(&mut self) {
        let pause = time::sleep(DEBOUNCE);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return,
                () = hear(&mut self.socket) => {}
            }
        }
    }
}

fn listen() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    socket.socket_mut().add_membership(NFNLGRP_NFTABLES)?;
    Ok(socket)
}

/// Ends with the next message; what it says is not looked at. A socket that fails is given up, and
/// reading takes its place.
async fn hear(socket: &mut Option<TokioSocket>) {
    let Some(listening) = socket else { return future::pending().await };
    match future::poll_fn(|cx| listening.poll_recv_from_full(cx)).await {
        Ok(_) => {}
        // There was more to say than the socket had room for.
        Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
        Err(e) => {
            warn!("the kernel tells no more of changes of nf_tables: {e}");
            *socket = None;
        }
    }
}

/// `NFNLGRP_NFTABLES` of the kernel's `nfnetlink.h`.
const NFNLGRP_NFTABLES: u32 = 7;

/// How often what the kernel does not tell of is read.
const PERIOD: Duration = Duration::from_secs(1);

/// After so many periods without a word everything is read in any case.
const QUIET_PERIODS: u32 = 30;

/// One command seldom makes one message.
const DEBOUNCE: Duration = Duration::from_millis(10);

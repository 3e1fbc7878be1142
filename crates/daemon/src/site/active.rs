//! What is there while this director is active: the addresses of services on interfaces
//! (`address = 10.0.0.1 eth0:1`, `nat_router`), and failover services (`service = fos`).
//!
//! All of that follows the file in force. It stays as the forwarding does when the daemon ends, and
//! goes when the director is detached. What was put there is remembered on disk before it is
//! (`STATE/NAME/active.json`), so that a crash leaves nothing behind that nobody takes off.

mod failover;
mod links;
mod plan;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use tracing::{info, warn};
use xlvs_api::EventKind;
use xlvs_health::shell::Asker;
use xlvs_model::health::{ActiveAddress, Failover, Piranha};

use self::{
    failover::{Means, Running},
    links::Links,
    plan::{Held, Sight, plan},
};
use super::{Runner, memory, record::write_whole};
use crate::{args::ByHand, engine::Engine, settings::boot_id};

/// What is put on, and what runs.
#[derive(Default)]
pub(super) struct Active {
    held: Vec<Held>,
    running: Vec<Running>,
    /// Failover services of the last daemon that nobody looks after yet.
    left: Vec<Failover>,
    links: Option<Links>,
    announcing: HashMap<IpAddr, AbortHandle>,
    /// What was told of what cannot be done.
    troubles: BTreeMap<String, String>,
    file: Option<PathBuf>,
    /// What lies there.
    written: Remembered,
}

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Remembered {
    /// The host's boot: after another one nothing of it is there.
    boot: Option<String>,
    addresses: Vec<Held>,
    failovers: Vec<Failover>,
}

/// What the file in force asks for.
#[derive(Clone, Default)]
struct Asked {
    addresses: Vec<ActiveAddress>,
    failovers: Vec<Failover>,
    pair: Option<Piranha>,
}

impl Runner {
    /// Takes up what the last daemon put there; before a file is put in force.
    pub(super) fn recall_active(&mut self) {
        let Some(place) = &self.options.record else { return };
        self.active.recall(place.beside(FILE));
    }

    /// Puts on what the file in force asks for, and takes off the rest. `again`: also what somebody
    /// took off by hand.
    pub(super) async fn follow(&mut self, again: bool) {
        let asked = self.loaded.as_ref().map(|loaded| Asked::of(&loaded.config));
        // Seldom, and large: not a part of every future that puts a file in force.
        Box::pin(self.become_active(asked.unwrap_or_default(), again)).await;
    }

    /// The same now and then: interfaces come late, and people take addresses off.
    pub(super) async fn follow_again(&mut self) {
        // A file that could not be read again at the start asks for nothing, and changes nothing.
        if self.loaded.is_some() {
            self.follow(self.options.by_hand == ByHand::Revert).await;
        }
    }

    /// The director goes, and all of that with it.
    pub(super) async fn release(&mut self) {
        Box::pin(self.become_active(Asked::default(), true)).await;
    }

    async fn become_active(&mut self, asked: Asked, again: bool) {
        if asked.is_nothing() && self.active.is_nothing() {
            return;
        }
        let asks = self.loaded.as_ref().map(|loaded| &loaded.config);
        let config = xlvs_health::Config {
            ssl: asks.and_then(|config| config.ssl.clone()),
            script_security: asks.is_some_and(|config| config.globals.script_security),
            ..xlvs_health::Config::default()
        };
        let means = Means {
            errands: self.errands.clone(),
            asker: Asker::new(&config),
            engine: self.engine.clone(),
        };
        let news = self.active.become_as(asked, again, &means).await;
        let troubles: Vec<String> = self.active.troubles.values().cloned().collect();
        let tell = move |engine: &mut Engine| {
            engine.report_active((!troubles.is_empty()).then(|| troubles.join("; ")));
            for message in news {
                engine.tell_of(None, EventKind::Director, (None, None), message);
            }
        };
        self.engine.ask(tell).await;
    }
}

impl Asked {
    fn of(config: &xlvs_config::Config) -> Self {
        let piranha = config.globals.piranha.as_deref();
        Self {
            addresses: plan::wanted(config),
            failovers: piranha.into_iter().flat_map(plan::run).cloned().collect(),
            pair: piranha.cloned(),
        }
    }

    const fn is_nothing(&self) -> bool {
        self.addresses.is_empty() && self.failovers.is_empty()
    }
}

impl Active {
    fn recall(&mut self, file: PathBuf) {
        self.written = memory::load(&file);
        let boot = boot_id();
        if self.written.boot == boot {
            self.held = self.written.addresses.clone();
            self.left = self.written.failovers.clone();
        }
        self.written.boot = boot;
        self.file = Some(file);
    }

    fn is_nothing(&self) -> bool {
        self.held.is_empty()
            && self.running.is_empty()
            && self.left.is_empty()
            && self.troubles.is_empty()
    }

    async fn become_as(&mut self, mut asked: Asked, again: bool, means: &Means) -> Vec<String> {
        let (mut news, mut troubles) = (Vec::new(), BTreeMap::new());
        let sight = match self.look().await {
            Ok(sight) => sight,
            Err(why) => {
                troubles.insert("interfaces".to_owned(), why);
                self.tell_troubles(troubles, &mut news);
                return news;
            }
        };
        if let Some(pair) = asked.pair.take().filter(|pair| plan::stands_by(pair, &sight))
            && !asked.is_nothing()
        {
            let here = pair.backup.as_deref().unwrap_or_default();
            troubles.insert(
                "pair".to_owned(),
                format!(
                    "this is the backup ({here}): the services' addresses are left to the primary, \
                     and xlvs does not take over from it yet"
                ),
            );
            asked = Asked::default();
        }
        self.retire(&asked.failovers, means).await;
        self.place(&asked.addresses, again, sight, &mut troubles, &mut news).await;
        self.employ(asked.failovers, means);
        self.tell_troubles(troubles, &mut news);
        self.remember();
        news
    }

    async fn look(&mut self) -> Result<Sight, String> {
        if self.links.is_none() {
            let opened = Links::open().map_err(|e| format!("cannot talk to rtnetlink: {e}"))?;
            self.links = Some(opened);
        }
        let Some(links) = &self.links else { return Ok(Sight::default()) };
        links.look().await.map_err(|e| format!("cannot list the interfaces: {e}"))
    }

    /// Addresses. Twice where one was taken off: with the first of a network the kernel takes the
    /// others of that network away too.
    async fn place(
        &mut self,
        addresses: &[ActiveAddress],
        again: bool,
        mut sight: Sight,
        troubles: &mut BTreeMap<String, String>,
        news: &mut Vec<String>,
    ) {
        for _ in 0..2 {
            let todo = plan(addresses, &self.held, &sight, again);
            for (address, why) in &todo.troubles {
                troubles.insert(name(address), format!("{} is not put on: {why}", name(address)));
            }
            // Remembered first: after a crash here it is looked for.
            self.held.extend(todo.put.iter().cloned());
            self.remember();
            self.held = todo.held;
            for held in todo.put {
                self.put(held, &sight, troubles, news).await;
            }
            let some_went = !todo.take.is_empty();
            for held in todo.take {
                self.take(held, troubles, news).await;
            }
            match self.look().await {
                Ok(fresh) if some_went => sight = fresh,
                _ => return,
            }
        }
    }

    async fn put(
        &mut self,
        held: Held,
        sight: &Sight,
        troubles: &mut BTreeMap<String, String>,
        news: &mut Vec<String>,
    ) {
        let Some(links) = &self.links else { return };
        let name = name(&held.address);
        match links.put(&held).await {
            Ok(true) => {
                info!("{name} is put on");
                news.push(format!("{name} is put on: this director is active"));
                let link = sight.links.get(&held.address.interface);
                let announcing = link.and_then(|link| links::announce(&held, *link));
                self.hush(held.address.address);
                if let Some(announcing) = announcing {
                    self.announcing.insert(held.address.address, announcing);
                }
                return;
            }
            Ok(false) => {}
            Err(e) => {
                troubles.insert(name.clone(), format!("{name} is not put on: {e}"));
            }
        }
        self.held.retain(|one| one.entry() != held.entry());
    }

    async fn take(
        &mut self,
        held: Held,
        troubles: &mut BTreeMap<String, String>,
        news: &mut Vec<String>,
    ) {
        let Some(links) = &self.links else { return };
        let name = name(&held.address);
        match links.take(&held).await {
            Ok(()) => {
                info!("{name} is taken off");
                news.push(format!("{name} is taken off"));
                let stays = self.held.iter().any(|one| one.address.address == held.address.address);
                if !stays {
                    self.hush(held.address.address);
                }
            }
            Err(e) => {
                troubles.insert(name.clone(), format!("{name} is not taken off: {e}"));
                self.held.push(held);
            }
        }
    }

    /// An address is announced no more.
    fn hush(&mut self, address: IpAddr) {
        if let Some(announcing) = self.announcing.remove(&address) {
            announcing.abort();
        }
    }

    /// Ends the care of failover services that are no more, or differ; and stops them.
    async fn retire(&mut self, asked: &[Failover], means: &Means) {
        let mut stay = Vec::new();
        for running in std::mem::take(&mut self.running) {
            match asked.iter().find(|terms| running.runs_as(terms)) {
                Some(terms) if *terms == running.terms => stay.push(running),
                Some(_) => {
                    self.left.push(running.terms.clone());
                    running.end(false).await;
                }
                None => running.end(true).await,
            }
        }
        self.running = stay;
        let is_asked = |left: &Failover| asked.iter().any(|terms| failover::runs_as(left, terms));
        let (left, gone) = std::mem::take(&mut self.left).into_iter().partition(is_asked);
        self.left = left;
        for terms in gone {
            let gone: Running = failover::start(terms, true, means.clone());
            gone.end(true).await;
        }
    }

    /// Looks after those that nobody looks after.
    fn employ(&mut self, asked: Vec<Failover>, means: &Means) {
        let left = std::mem::take(&mut self.left);
        for terms in asked {
            if self.running.iter().any(|running| running.runs_as(&terms)) {
                continue;
            }
            let runs = left.iter().any(|left| failover::runs_as(left, &terms));
            self.running.push(failover::start(terms, runs, means.clone()));
        }
    }

    /// Tells what is in the way, once.
    fn tell_troubles(&mut self, troubles: BTreeMap<String, String>, news: &mut Vec<String>) {
        for (about, why) in &troubles {
            if self.troubles.get(about) != Some(why) {
                news.push(why.clone());
            }
        }
        self.troubles = troubles;
    }

    fn remember(&mut self) {
        let Some(file) = &self.file else { return };
        let running = self.running.iter().map(|running| &running.terms);
        let remembered = Remembered {
            boot: self.written.boot.clone(),
            addresses: self.held.clone(),
            failovers: running.chain(&self.left).cloned().collect(),
        };
        if self.written == remembered {
            return;
        }
        match write_whole(file, &remembered) {
            Ok(()) => self.written = remembered,
            Err(e) => warn!("cannot write {}: {e}", file.display()),
        }
    }
}

/// `10.0.0.1/24 on eth0 (eth0:1)`
fn name(address: &ActiveAddress) -> String {
    let ActiveAddress { address: ip, interface, label, .. } = address;
    let bits = plan::bits(address);
    let label = label.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
    format!("{ip}/{bits} on {interface}{label}")
}

const FILE: &str = "active.json";

//! The engine: the model, the data plane that carries it out, and the file that keeps it. Owned by
//! one thread (`owner`), so changes happen in the order they came, each wholly or not at all.

mod surroundings;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};
use xlvs_api::{Connections, Outcome};
use xlvs_model::{Change, Fault, Model, ServiceKey, SyncDaemon, Timeouts};

use self::surroundings::Attachment;
pub(crate) use self::view::Survey;
use crate::{
    hops::{Sight, Wish},
    owner::Tick,
    plane::{Filter, Notice, Plane, PlaneError},
    store::{Saved, Store},
};

/// A request that could not be answered.
#[derive(Debug, Error)]
pub(crate) enum EngineError {
    /// The data plane failed.
    #[error("the data plane failed: {0}")]
    Plane(PlaneError),
    /// There is no data plane any more.
    #[error("the director was detached")]
    Detached,
    /// There is no such thing.
    #[error("{0}")]
    NoSuch(Fault),
}

impl From<PlaneError> for EngineError {
    fn from(e: PlaneError) -> Self {
        Self::Plane(e)
    }
}

/// Where the state is kept, and what is kept beside the model.
#[derive(Debug)]
pub(crate) struct Saving {
    /// The file.
    pub(crate) store: Store,
    /// All but the model, which is put in at each save.
    pub(crate) rest: Saved,
}

/// What the engine does without being asked, and may fail at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// Programming next hops.
    Hops,
    /// Putting programs on interfaces.
    Attach,
    /// The sweep, and fetching events.
    Sweep,
}

/// See the module.
pub(crate) struct Engine {
    plane: Option<Box<dyn Plane>>,
    model: Model,
    saving: Option<Saving>,
    not_saved: Option<String>,
    sight: Sight,
    servers: watch::Sender<BTreeSet<Ipv4Addr>>,
    wishes: mpsc::Sender<Wish>,
    troubles: BTreeMap<Work, String>,
    interfaces: Vec<String>,
    attached: Option<Attachment>,
    next_sweep: Instant,
    next_try: Instant,
    unsaved: bool,
}

impl Engine {
    /// Puts `model` in force, for what will come in by `interfaces`. `saving` is `None` for a
    /// director that keeps no state.
    pub(crate) fn start(
        mut plane: Box<dyn Plane>,
        model: Model,
        interfaces: Vec<String>,
        saving: Option<Saving>,
        servers: watch::Sender<BTreeSet<Ipv4Addr>>,
        wishes: mpsc::Sender<Wish>,
    ) -> Result<Self, PlaneError> {
        plane.apply(&model)?;
        let mut engine = Self {
            plane: Some(plane),
            model,
            saving,
            not_saved: None,
            sight: Sight::default(),
            servers,
            wishes,
            troubles: BTreeMap::new(),
            interfaces,
            attached: None,
            next_sweep: Instant::now(),
            next_try: Instant::now(),
            unsaved: true,
        };
        engine.publish_servers();
        engine.save();
        Ok(engine)
    }

    /// Makes changes in order, each on its own. Those that can go to the data plane together do.
    pub(crate) fn change(&mut self, changes: &[Change]) -> Result<Outcome, EngineError> {
        let mut faults = Vec::with_capacity(changes.len());
        let mut rest = changes;
        let mut failed = None;
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch_length(rest));
            match self.change_together(batch) {
                Ok(some) => faults.extend(some),
                Err(e) => {
                    failed = Some(e);
                    break;
                }
            }
            rest = after;
        }
        if self.unsaved {
            self.publish_servers();
            self.save();
        }
        // A server on this host needs its answers rewritten from the first packet on.
        if self.attached.is_some() {
            let trouble = self.attach().err().map(|e| format!("cannot take over packets: {e}"));
            self.report(Work::Attach, trouble);
        }
        match failed {
            Some(e) => Err(e),
            None => Ok(Outcome { faults, not_saved: self.not_saved.clone() }),
        }
    }

    /// The connection sync daemons that were asked for.
    pub(crate) fn sync(&self) -> Vec<SyncDaemon> {
        self.model.sync.clone()
    }

    /// The timeouts in force.
    pub(crate) fn timeouts(&self) -> Timeouts {
        self.model.timeouts
    }

    /// Counts one service, or all, from nought again.
    pub(crate) fn zero(&mut self, service: Option<&ServiceKey>) -> Result<(), EngineError> {
        if let Some(key) = service
            && self.model.service(key).is_none()
        {
            return Err(EngineError::NoSuch(Fault::NoSuchService));
        }
        self.plane()?.zero(service)?;
        self.save();
        Ok(())
    }

    /// At most `limit` connections.
    pub(crate) fn connections(
        &mut self,
        filter: &Filter,
        limit: usize,
    ) -> Result<Connections, EngineError> {
        Ok(self.plane()?.connections(filter, limit)?)
    }

    /// Takes everything out of the kernel.
    pub(crate) fn detach(&mut self) -> Result<(), EngineError> {
        let plane = self.plane.take().ok_or(EngineError::Detached)?;
        Ok(plane.detach()?)
    }

    fn plane(&mut self) -> Result<&mut Box<dyn Plane>, EngineError> {
        self.plane.as_mut().ok_or(EngineError::Detached)
    }

    /// Changes of which none needs to be seen by packets before another.
    fn change_together(&mut self, batch: &[Change]) -> Result<Vec<Option<Fault>>, EngineError> {
        let mut model = self.model.clone();
        let faults: Vec<_> =
            batch.iter().map(|change| self.apply(change, &mut model).err()).collect();
        if model == self.model {
            return Ok(faults);
        }
        match self.plane()?.apply(&model) {
            Ok(()) => {
                self.model = model;
                self.unsaved = true;
                Ok(faults)
            }
            Err(PlaneError::Full(_)) if batch.len() == 1 => Ok(vec![Some(Fault::TablesFull)]),
            // One of them is too much: find it.
            Err(PlaneError::Full(_)) => {
                let (left, right) = batch.split_at(batch.len() / 2);
                let mut faults = self.change_together(left)?;
                faults.extend(self.change_together(right)?);
                Ok(faults)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Applies a change to `model`; a daemon's interface is looked up first.
    fn apply(&self, change: &Change, model: &mut Model) -> Result<(), Fault> {
        let change = model.resolve(change, |name| self.sight.host.mtu_of(name))?;
        model.apply(&change)
    }

    fn publish_servers(&self) {
        let wanted = real_servers(&self.model);
        self.servers.send_if_modified(|now| {
            let differs = *now != wanted;
            *now = wanted;
            differs
        });
    }

    fn save(&mut self) {
        let Some(saving) = &mut self.saving else { return };
        saving.rest.model.clone_from(&self.model);
        if let Some(plane) = &self.plane {
            saving.rest.counters = plane.baselines();
        }
        let result = saving.store.save(&saving.rest).err().map(|e| e.to_string());
        if let Some(why) = &result {
            error!("the state is in force but not saved: {why}");
        } else if self.not_saved.is_some() {
            info!("the state is saved again");
        }
        self.not_saved = result;
        self.unsaved = self.not_saved.is_some();
    }

    fn report(&mut self, work: Work, trouble: Option<String>) {
        let old = self.troubles.remove(&work);
        match &trouble {
            Some(trouble) if old.as_ref() != Some(trouble) => warn!("{trouble}"),
            None if old.is_some() => info!("that is over: {}", old.unwrap_or_default()),
            _ => {}
        }
        self.troubles.extend(trouble.map(|trouble| (work, trouble)));
    }
}

impl Tick for Engine {
    fn tick(&mut self) {
        let waits = |e| format!("expired connections and events wait: {e}");
        let trouble = self.work().err().map(waits);
        self.report(Work::Sweep, trouble);
        if self.not_saved.is_some() && Instant::now() >= self.next_try {
            self.next_try = Instant::now() + SAVE_PERIOD;
            self.save_again();
        }
    }
}

impl Engine {
    /// What the data plane needs done without anybody asking.
    fn work(&mut self) -> Result<(), PlaneError> {
        let Some(plane) = &mut self.plane else { return Ok(()) };
        for notice in plane.notices()? {
            let Notice::NeighbourWanted { ifindex, address } = notice;
            // A full queue loses it; the next packet asks again.
            self.wishes.try_send(Wish::Neighbour(ifindex, address)).unwrap_or_default();
        }
        if Instant::now() < self.next_sweep {
            return Ok(());
        }
        self.next_sweep = Instant::now() + SWEEP_PERIOD;
        if plane.sweep(SWEEP_BUDGET)? {
            self.save();
        }
        Ok(())
    }

    /// A disk that was full may have room by now.
    fn save_again(&mut self) {
        let Some(saving) = &self.saving else { return };
        if saving.store.save(&saving.rest).is_ok() {
            info!("the state is saved again");
            self.not_saved = None;
            self.unsaved = false;
        }
    }
}

/// The addresses of all servers.
pub(crate) fn real_servers(model: &Model) -> BTreeSet<Ipv4Addr> {
    let servers = model.services.iter().flat_map(|service| &service.servers);
    let v4 = |address| match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    };
    servers.filter_map(|server| v4(server.key.ip())).collect()
}

/// How many of the changes may reach the data plane as one. What is deleted and then added again is
/// new (its counters begin at nought), so a batch ends before the first addition after a deletion.
fn batch_length(changes: &[Change]) -> usize {
    let mut deleted = false;
    for (at, change) in changes.iter().enumerate() {
        match change {
            Change::DeleteService { .. } | Change::DeleteServer { .. } | Change::Clear => {
                deleted = true;
            }
            Change::AddService { .. } | Change::AddServer { .. } if deleted => return at,
            Change::AddService { .. }
            | Change::AddServer { .. }
            | Change::EditService { .. }
            | Change::TuneService { .. }
            | Change::EditServer { .. }
            | Change::SetTimeouts { .. }
            | Change::Set { .. }
            | Change::SetProfile { .. }
            | Change::AddAccess { .. }
            | Change::RemoveAccess { .. }
            | Change::AddMark { .. }
            | Change::RemoveMark { .. }
            | Change::StartDaemon { .. }
            | Change::StopDaemon { .. } => {}
        }
    }
    changes.len()
}

/// How often the engine's thread looks for events of the data plane.
pub(crate) const TICK_PERIOD: Duration = Duration::from_millis(25);

/// How often a piece of the connection table is swept.
const SWEEP_PERIOD: Duration = Duration::from_millis(250);

/// How often a state that could not be saved is tried again.
const SAVE_PERIOD: Duration = Duration::from_secs(2);

/// Entries in a piece: a table of a million is gone through in 16 s.
const SWEEP_BUDGET: usize = 1 << 14;

#[cfg(test)]
mod tests;

//! The engine: the model, the data plane that carries it out, and the file that keeps it. Owned by
//! one thread (`owner`), so changes happen in the order they came, each wholly or not at all.

mod ask;
mod chronicle;
mod defence;
mod drains;
mod drops;
mod effect;
mod files;
mod forecast;
mod marks;
mod rates;
mod roster;
mod surroundings;
mod tell;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::mpsc;
use tracing::{error, info, warn};
use xlvs_api::{AccessEntry, Actor, Connections, EventKind, Outcome, SettingsView};
use xlvs_model::{
    Change, Effective, Fault, Hands, Model, ServiceKey, SyncDaemon, Timeouts, Touched,
};

pub(crate) use self::{
    chronicle::unix_ms,
    effect::Checks,
    files::FileInForce,
    roster::real_servers,
    view::{Scrape, Survey},
};
use self::{
    chronicle::{Chronicle, News},
    drains::Drains,
    drops::Drops,
    effect::signed,
    marks::Marks,
    rates::Rates,
    roster::Roster,
    surroundings::{Attachment, Due},
    tell::Made,
};
use crate::{
    hops::{Resolved, Shift, Sight, Wish},
    owner::Tick,
    plane::{Filter, Notice, Plane, PlaneError},
    store::{Keeper, Record, Saved, Store, StoreError},
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
    /// Programming mark rules.
    Marks,
    /// Giving servers in slow start more.
    Ramp,
    /// Looking after the defences.
    Defence,
    /// Putting in force what checks found.
    Health,
    /// Ending drains at their deadlines.
    Drain,
    /// Reading the configuration file.
    File,
    /// Putting on interfaces what the file asks for.
    Active,
    /// Asking clients of servers that are down.
    Ask,
}

/// See the module.
pub(crate) struct Engine {
    plane: Option<Box<dyn Plane>>,
    /// What is written.
    model: Model,
    /// What follows from it and from what checks found: what the tables are to say.
    effective: Effective,
    /// Services of which the tables do not say it yet.
    overdue: Touched,
    checks: Option<Box<dyn Checks>>,
    file: Option<FileInForce>,
    hands: Hands,
    /// Services of the file that somebody changed by hand.
    drifted: Touched,
    drains: Drains,
    drops: Drops,
    /// Clients of servers that are down that were asked what they wait for.
    asked: u64,
    chronicle: Chronicle,
    /// What is in force and not told yet.
    made: Vec<Made>,
    roster: Roster,
    keeper: Option<Keeper>,
    /// What is in force and not written down yet.
    unsaved: Record,
    not_saved: Option<String>,
    sight: Sight,
    due: Due,
    servers: mpsc::UnboundedSender<Shift>,
    wishes: mpsc::Sender<Wish>,
    troubles: BTreeMap<Work, String>,
    interfaces: Vec<String>,
    attached: Option<Attachment>,
    marks: Marks,
    rates: Rates,
    next_sweep: Instant,
    next_ramp: Instant,
    next_defence: Instant,
    next_catch_up: Instant,
    next_try: Instant,
}

impl Engine {
    /// Puts `model` in force, for what will come in by `interfaces`. `saving` is `None` for a
    /// director that keeps no state. `servers` is told which addresses come and go from now on.
    pub(crate) fn start(
        mut plane: Box<dyn Plane>,
        model: Model,
        interfaces: Vec<String>,
        saving: Option<Saving>,
        servers: mpsc::UnboundedSender<Shift>,
        wishes: mpsc::Sender<Wish>,
    ) -> Result<Self, PlaneError> {
        let hands = saving.as_ref().map(|saving| saving.rest.hands.clone());
        let effective = Effective::of(&model);
        plane.apply(effective.model(), None)?;
        let mut engine = Self {
            plane: Some(plane),
            roster: Roster::of(&model),
            model,
            effective,
            overdue: Touched::new(),
            checks: None,
            file: None,
            hands: hands.unwrap_or_default(),
            drifted: Touched::new(),
            drains: Drains::default(),
            drops: Drops::default(),
            asked: 0,
            chronicle: Chronicle::default(),
            made: Vec::new(),
            keeper: saving.map(|saving| Keeper::new(saving.store, saving.rest)),
            unsaved: Record::default(),
            not_saved: None,
            sight: Sight::default(),
            due: Due::default(),
            servers,
            wishes,
            troubles: BTreeMap::new(),
            interfaces,
            attached: None,
            marks: Marks::default(),
            rates: Rates::default(),
            next_sweep: Instant::now(),
            next_ramp: Instant::now(),
            next_defence: Instant::now(),
            next_catch_up: Instant::now(),
            next_try: Instant::now(),
        };
        engine.save_all();
        let version = env!("CARGO_PKG_VERSION");
        engine.tell(None, News::of(EventKind::Director, format!("started, version {version}")));
        Ok(engine)
    }

    /// [`Engine::change_by`] the director itself.
    #[cfg(test)]
    pub(crate) fn change(&mut self, changes: &[Change]) -> Result<Outcome, EngineError> {
        self.change_by(&Actor::default(), changes)
    }

    /// Makes changes in order, each on its own. Those that can go to the data plane together do.
    pub(crate) fn change_by(
        &mut self,
        by: &Actor,
        changes: &[Change],
    ) -> Result<Outcome, EngineError> {
        let signed = signed(changes, by, unix_ms() / 1000);
        let changes = signed.as_deref().unwrap_or(changes);
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
        self.follow_up(by);
        match failed {
            Some(e) => Err(e),
            None => Ok(Outcome { faults, not_saved: self.not_saved.clone() }),
        }
    }

    /// After changes: what is told, watched, saved and attached.
    fn follow_up(&mut self, by: &Actor) {
        let changed = !self.unsaved.is_empty();
        if self.tell_changes(by) {
            self.count_drains(Instant::now(), true);
        }
        self.publish_servers();
        self.save();
        if changed {
            self.mark();
        }
        // A server on this host needs its answers rewritten from the first packet on.
        if self.attached.is_some() {
            let trouble = self.attach().err().map(|e| format!("cannot take over packets: {e}"));
            self.report(Work::Attach, trouble);
        }
    }

    /// The connection sync daemons that were asked for.
    pub(crate) fn sync(&self) -> Vec<SyncDaemon> {
        self.model.sync.clone()
    }

    /// All settings.
    pub(crate) fn settings(&self) -> SettingsView {
        (&self.model.settings).into()
    }

    /// Which clients may connect.
    pub(crate) fn access(&self) -> Vec<AccessEntry> {
        AccessEntry::all(&self.model)
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
        self.rates.zero(service, Instant::now());
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
    pub(crate) fn detach(&mut self, by: &Actor) -> Result<(), EngineError> {
        let plane = self.plane.take().ok_or(EngineError::Detached)?;
        plane.detach()?;
        self.tell(Some(by), News::of(EventKind::Director, "detached: nothing is forwarded"));
        Ok(())
    }

    fn plane(&mut self) -> Result<&mut Box<dyn Plane>, EngineError> {
        self.plane.as_mut().ok_or(EngineError::Detached)
    }

    /// Changes of which none needs to be seen by packets before another.
    fn change_together(&mut self, batch: &[Change]) -> Result<Vec<Option<Fault>>, EngineError> {
        let host = &self.sight.host;
        let edit =
            self.model.edit(batch, |model, change| model.resolve(change, |name| host.mtu_of(name)));
        let edited = edit.edited();
        if !edit.changed() && edited.is_empty() {
            return Ok(edit.faults);
        }
        self.plane()?.note_edits(&edited);
        match self.put_in_force(&(&edit.touched() | &edited)) {
            Ok(()) if !edit.changed() => Ok(edit.faults),
            Ok(()) => {
                let faults = edit.faults.clone();
                self.note_edit(edit);
                Ok(faults)
            }
            Err(EngineError::Plane(PlaneError::Full(_))) => {
                self.take_back(edit);
                if batch.len() == 1 {
                    return Ok(vec![Some(Fault::TablesFull)]);
                }
                // One of them is too much: find it.
                let (left, right) = batch.split_at(batch.len() / 2);
                let mut faults = self.change_together(left)?;
                faults.extend(self.change_together(right)?);
                Ok(faults)
            }
            Err(e) => {
                self.take_back(edit);
                Err(e)
            }
        }
    }

    fn publish_servers(&mut self) {
        let shift = self.roster.shift();
        if shift == Shift::default() {
            return;
        }
        for address in &shift.gone {
            self.sight.servers.remove(address);
        }
        // Nobody listens any more when the daemon ends.
        self.servers.send(shift).unwrap_or_default();
    }

    /// Those of these servers whose next hops are being looked for: worth a moment's patience.
    pub(crate) fn unsettled(&self, mut servers: BTreeSet<Ipv4Addr>) -> BTreeSet<Ipv4Addr> {
        servers.retain(|address| {
            let known = self.sight.servers.get(address);
            self.roster.contains(*address) && known.is_none_or(Resolved::is_asked_for)
        });
        servers
    }

    /// Writes down what changed.
    fn save(&mut self) {
        let mut record = std::mem::take(&mut self.unsaved);
        let Some(keeper) = &mut self.keeper else { return };
        let Some(plane) = &mut self.plane else { return };
        record.counters = plane.changed_baselines();
        if record.is_empty() {
            return;
        }
        let result = keeper.note(&record, (&self.model, &self.hands), || plane.baselines());
        self.saved(result);
    }

    /// Writes down everything.
    fn save_all(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        let Some(plane) = &mut self.plane else { return };
        plane.changed_baselines();
        self.unsaved = Record::default();
        let result = keeper.save((&self.model, &self.hands), &plane.baselines());
        self.saved(result);
    }

    fn saved(&mut self, result: Result<(), StoreError>) {
        let result = result.err().map(|e| e.to_string());
        match (&result, &self.not_saved) {
            (Some(why), None) => error!("the state is in force but not saved: {why}"),
            (None, Some(_)) => info!("the state is saved again"),
            _ => {}
        }
        self.not_saved = result;
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
        self.ramp();
        self.defend();
        self.tend_drains();
        self.ask();
        self.watch_drops();
        if Instant::now() >= self.next_catch_up {
            self.catch_up();
        }
        if self.not_saved.is_some() && Instant::now() >= self.next_try {
            // A disk that was full may have room by now.
            self.next_try = Instant::now() + SAVE_PERIOD;
            self.save_all();
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
}

impl Engine {
    /// Servers in slow start get their share of this second. Costs nothing while there are none.
    fn ramp(&mut self) {
        let Some(plane) = &mut self.plane else { return };
        if Instant::now() < self.next_ramp {
            return;
        }
        self.next_ramp = Instant::now() + RAMP_PERIOD;
        let ramping = plane.ramping();
        let applied = if ramping.is_empty() {
            Ok(())
        } else {
            plane.apply(self.effective.model(), Some(&ramping))
        };
        let waits = |e| format!("servers in slow start stay as they are: {e}");
        self.report(Work::Ramp, applied.err().map(waits));
    }
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
            | Change::SetOverride { .. }
            | Change::ClearOverride { .. }
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

/// How often servers in slow start get more.
const RAMP_PERIOD: Duration = Duration::from_secs(1);

/// How often a state that could not be saved is tried again.
const SAVE_PERIOD: Duration = Duration::from_secs(2);

/// Entries in a piece: a table of a million is gone through in 16 s.
const SWEEP_BUDGET: usize = 1 << 14;

#[cfg(test)]
mod tests;

//! A data plane that only remembers what it was told.

use std::sync::{Arc, Mutex, MutexGuard};

use xlvs_model::Server;

use super::*;

/// What the fake was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) applied: Vec<Model>,
    /// With each model, what was said to differ.
    pub(crate) touched: Vec<Option<Touched>>,
    pub(crate) hops: Hops,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) attached: Vec<(Vec<String>, Vec<String>)>,
    pub(crate) marks: Vec<MarkEntry>,
    pub(crate) bumps: usize,
    pub(crate) zeroed: Vec<Option<ServiceKey>>,
    pub(crate) sweeps: usize,
    pub(crate) detached: bool,
    /// To be handed out.
    pub(crate) notices: Vec<Notice>,
    /// The sweep frees something.
    pub(crate) frees: bool,
    pub(crate) baselines: Baselines,
    /// The baselines that were asked for.
    pub(crate) known: Baselines,
    /// Clients that servers keep, and how often that was asked for.
    pub(crate) persistent: HashMap<(ServiceKey, ServerKey), u32>,
    pub(crate) walks: usize,
    /// Services with servers in slow start.
    pub(crate) ramping: Touched,
    /// Services of which a server was edited in the last change.
    pub(crate) edited: Touched,
    /// What their servers have of their weights, of 64.
    pub(crate) share: Option<u32>,
    /// Active connections of servers that have not two.
    pub(crate) active: HashMap<ServerKey, u32>,
    /// Packets beside five that were sent.
    pub(crate) packets: BTreeMap<String, u64>,
    /// Connections counted by all and everything.
    pub(crate) counted: u64,
    /// More servers than this are too many.
    pub(crate) room: Option<usize>,
    /// Every call fails with this.
    pub(crate) failing: Option<String>,
}

/// The fake; clones share what they were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(Arc<Mutex<Told>>);

impl Fake {
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    fn works(&self) -> Result<MutexGuard<'_, Told>, PlaneError> {
        let told = self.told();
        match &told.failing {
            Some(why) => Err(PlaneError::Failed(why.clone())),
            None => Ok(told),
        }
    }
}

impl Plane for Fake {
    fn attach(&mut self, interfaces: &[String], answers: &[String]) -> Result<(), PlaneError> {
        self.works()?.attached.push((interfaces.to_vec(), answers.to_vec()));
        Ok(())
    }

    fn apply(&mut self, model: &Model, touched: Option<&Touched>) -> Result<(), PlaneError> {
        let mut told = self.works()?;
        let servers: usize = model.services.iter().map(|s| s.servers.len()).sum();
        if told.room.is_some_and(|room| servers > room) {
            return Err(PlaneError::Full(format!("{servers} servers")));
        }
        told.applied.push(model.clone());
        told.touched.push(touched.cloned());
        Ok(())
    }

    fn note_edits(&mut self, services: &Touched) {
        self.told().edited.clone_from(services);
    }

    fn ramping(&self) -> Touched {
        self.told().ramping.clone()
    }

    fn set_hops(&mut self, hops: &Hops) -> Result<(), PlaneError> {
        self.works()?.hops.extend(hops);
        Ok(())
    }

    fn set_interfaces(&mut self, interfaces: &[Interface]) -> Result<(), PlaneError> {
        self.works()?.interfaces = interfaces.to_vec();
        Ok(())
    }

    fn set_marks(&mut self, entries: &[MarkEntry]) -> Result<(), PlaneError> {
        self.works()?.marks = entries.to_vec();
        Ok(())
    }

    fn bump_routes(&mut self) -> Result<(), PlaneError> {
        self.works()?.bumps += 1;
        Ok(())
    }

    fn counters(&mut self, service: &Service) -> Result<ServiceCounters, PlaneError> {
        let (share, active) = {
            let told = self.works()?;
            (told.share, told.active.clone())
        };
        let counters = |server: &Server| {
            let stats = Stats { connections: server.key.port().into(), ..Stats::default() };
            let active = active.get(&server.key).copied().unwrap_or(2);
            ServerCounters { active, inactive: 3, stats, share }
        };
        let stats = Stats { in_packets: service.key.port().into(), ..Stats::default() };
        Ok(ServiceCounters { stats, servers: service.servers.iter().map(counters).collect() })
    }

    fn zero(&mut self, service: Option<&ServiceKey>) -> Result<(), PlaneError> {
        self.works()?.zeroed.push(service.copied());
        Ok(())
    }

    fn connections(&mut self, filter: &Filter, limit: usize) -> Result<Connections, PlaneError> {
        drop(self.works()?);
        let truncated = filter.state.is_some() && limit == 1;
        Ok(Connections { connections: Vec::new(), truncated })
    }

    fn whole(&mut self) -> Result<(Stats, Vec<Stats>), PlaneError> {
        let each = Stats { connections: self.works()?.counted, ..Stats::default() };
        Ok((each, vec![each, Stats::default()]))
    }

    fn persistent(&mut self) -> Result<HashMap<(ServiceKey, ServerKey), u32>, PlaneError> {
        let mut told = self.works()?;
        told.walks += 1;
        Ok(told.persistent.clone())
    }

    fn packets(&mut self) -> Result<BTreeMap<String, u64>, PlaneError> {
        let mut packets = BTreeMap::from([("sent_direct".to_owned(), 5)]);
        packets.extend(self.works()?.packets.clone());
        Ok(packets)
    }

    fn status(&mut self) -> Result<PlaneStatus, PlaneError> {
        let packets = self.packets()?;
        Ok(PlaneStatus { entries: 1, capacity: 16, packets, ..PlaneStatus::default() })
    }

    fn baselines(&self) -> Baselines {
        self.told().baselines.clone()
    }

    fn changed_baselines(&mut self) -> BTreeMap<ServiceKey, ServiceBase> {
        let mut told = self.told();
        let mut changed = told.baselines.services.clone();
        let now = told.baselines.clone();
        let known = std::mem::replace(&mut told.known, now);
        changed.retain(|key, base| known.services.get(key) != Some(base));
        changed
    }

    fn sweep(&mut self, _budget: usize) -> Result<bool, PlaneError> {
        let mut told = self.works()?;
        told.sweeps += 1;
        Ok(told.frees)
    }

    fn set_free_pages(&mut self, _model: &Model, _pages: i64) -> Result<(), PlaneError> {
        self.works().map(drop)
    }

    fn drop_suspects(&mut self) -> Result<(), PlaneError> {
        self.works().map(drop)
    }

    fn waiting(&mut self) -> Result<Vec<Waiting>, PlaneError> {
        self.works().map(|_| Vec::new())
    }

    fn notices(&mut self) -> Result<Vec<Notice>, PlaneError> {
        Ok(std::mem::take(&mut self.works()?.notices))
    }

    fn detach(self: Box<Self>) -> Result<(), PlaneError> {
        self.works()?.detached = true;
        Ok(())
    }
}

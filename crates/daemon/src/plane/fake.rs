//! A data plane that only remembers what it was told.

use std::sync::{Arc, Mutex, MutexGuard};

use super::*;

/// What the fake was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) applied: Vec<Model>,
    pub(crate) hops: Hops,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) attached: Vec<(Vec<String>, Vec<String>)>,
    pub(crate) bumps: usize,
    pub(crate) zeroed: Vec<Option<ServiceKey>>,
    pub(crate) sweeps: usize,
    pub(crate) detached: bool,
    /// To be handed out.
    pub(crate) notices: Vec<Notice>,
    /// The sweep frees something.
    pub(crate) frees: bool,
    pub(crate) baselines: Baselines,
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

    fn apply(&mut self, model: &Model) -> Result<(), PlaneError> {
        let mut told = self.works()?;
        let servers: usize = model.services.iter().map(|s| s.servers.len()).sum();
        if told.room.is_some_and(|room| servers > room) {
            return Err(PlaneError::Full(format!("{servers} servers")));
        }
        told.applied.push(model.clone());
        Ok(())
    }

    fn set_hops(&mut self, hops: &Hops) -> Result<(), PlaneError> {
        self.works()?.hops.extend(hops);
        Ok(())
    }

    fn set_interfaces(&mut self, interfaces: &[Interface]) -> Result<(), PlaneError> {
        self.works()?.interfaces = interfaces.to_vec();
        Ok(())
    }

    fn bump_routes(&mut self) -> Result<(), PlaneError> {
        self.works()?.bumps += 1;
        Ok(())
    }

    fn server_counters(
        &mut self,
        _service: &ServiceKey,
        server: &ServerKey,
    ) -> Result<ServerCounters, PlaneError> {
        drop(self.works()?);
        let stats = Stats { connections: server.port().into(), ..Stats::default() };
        Ok(ServerCounters { active: 2, inactive: 3, stats })
    }

    fn service_stats(&mut self, service: &ServiceKey) -> Result<Stats, PlaneError> {
        drop(self.works()?);
        Ok(Stats { in_packets: service.port().into(), ..Stats::default() })
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

    fn status(&mut self) -> Result<PlaneStatus, PlaneError> {
        drop(self.works()?);
        let packets = BTreeMap::from([("sent_direct".to_owned(), 5)]);
        Ok(PlaneStatus { entries: 1, capacity: 16, packets, ..PlaneStatus::default() })
    }

    fn baselines(&self) -> Baselines {
        self.told().baselines.clone()
    }

    fn sweep(&mut self, _budget: usize) -> Result<bool, PlaneError> {
        let mut told = self.works()?;
        told.sweeps += 1;
        Ok(told.frees)
    }

    fn notices(&mut self) -> Result<Vec<Notice>, PlaneError> {
        Ok(std::mem::take(&mut self.works()?.notices))
    }

    fn detach(self: Box<Self>) -> Result<(), PlaneError> {
        self.works()?.detached = true;
        Ok(())
    }
}

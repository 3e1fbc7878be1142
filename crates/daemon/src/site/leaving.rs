//! Servers that a file no longer has: no new connections at once, gone with the last of those that
//! they have, or when their time is up. So a reload that moves a server fails no request.

use std::time::{Duration, Instant};

use tracing::warn;
use xlvs_model::{Change, Difference, InForce, ServerKey, ServiceKey, Wanted};

use super::{Runner, file_actor};

/// A server that is on its way out.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    pub(super) service: ServiceKey,
    pub(super) server: xlvs_model::Server,
    /// It stays until then, for a newcomer whose packet was already on its way through the program
    /// and is not counted yet.
    pub(super) from: Instant,
    /// It goes then, whoever is still connected.
    pub(super) until: Instant,
}

impl Leaving {
    /// It is what this difference is about.
    pub(super) fn is_of(&self, difference: &Difference) -> bool {
        difference.service == Some(self.service) && difference.server == Some(self.server.key)
    }
}

impl Runner {
    /// Keeps those that go in the lists, without weight; they are seen off later.
    pub(super) async fn soften(&mut self, wanted: Vec<Wanted>) -> Vec<Wanted> {
        self.leaving.retain(|leaving| {
            wanted.iter().all(|(key, service)| {
                let back = |s: &xlvs_model::Service| s.server(&leaving.server.key).is_some();
                *key != leaving.service || service.as_ref().is_some_and(|service| !back(service))
            })
        });
        let again = wanted.clone();
        let softened = self.engine.ask(move |engine| engine.soften(again)).await;
        let Some((wanted, going)) = softened else { return wanted };
        let now = Instant::now();
        let (from, until) = (now + SETTLES_WITHIN, now + GOES_WITHIN);
        for (service, server) in going {
            let known = |l: &Leaving| (l.service, l.server.key) == (service, server.key);
            if !self.leaving.iter().any(known) {
                self.leaving.push(Leaving { service, server, from, until });
            }
        }
        wanted
    }

    /// What is in force: the file's services, and those of their servers that are on their way out.
    pub(super) fn enforced(&self) -> Option<InForce> {
        let mut in_force = self.loaded.as_ref()?.in_force.clone();
        for Leaving { service, server, .. } in &self.leaving {
            if let Some(found) = in_force.services.iter_mut().find(|s| s.key == *service)
                && found.server(&server.key).is_none()
            {
                found.servers.push(*server);
            }
        }
        Some(in_force)
    }

    /// Deletes those whose last connection is gone, or whose time is up.
    pub(super) async fn see_off(&mut self) {
        // Before the question, so that what is settled was so when it was asked.
        let now = Instant::now();
        if self.leaving.iter().all(|leaving| now < leaving.from) {
            return;
        }
        let asked: Vec<(ServiceKey, ServerKey)> =
            self.leaving.iter().map(|l| (l.service, l.server.key)).collect();
        let busy = self.engine.ask(move |engine| engine.busy(&asked)).await.unwrap_or_default();
        let (stay, go): (Vec<Leaving>, Vec<Leaving>) =
            self.leaving.drain(..).partition(|leaving| {
                let is_busy = busy.contains(&(leaving.service, leaving.server.key));
                now < leaving.from || now < leaving.until && is_busy
            });
        self.leaving = stay;
        if go.is_empty() {
            return;
        }
        let by = self.loaded.as_ref().map(|l| file_actor(&l.in_force)).unwrap_or_default();
        let in_force = self.enforced();
        let gone = self.engine.ask(move |engine| {
            let there = |l: &Leaving| engine.has(&l.service, &l.server.key);
            let delete =
                |l: &Leaving| Change::DeleteServer { service: l.service, server: l.server.key };
            let changes: Vec<Change> = go.iter().filter(|l| there(l)).map(delete).collect();
            engine.amend(in_force);
            engine.take(&by, (&[], &changes), Vec::new())
        });
        if let Some(Err(why)) = gone.await {
            warn!("servers that left the file are not deleted: {why}");
        }
    }
}

/// A program runs for some microseconds, and is interrupted for longer on a host that is short of
/// processors.
const SETTLES_WITHIN: Duration = Duration::from_millis(500);
/// Whoever is still connected then is cut off.
const GOES_WITHIN: Duration = Duration::from_mins(1);

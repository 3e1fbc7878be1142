//! The averages of services, servers and the whole director: kept between readings, moved on by
//! whoever reads. What nobody asks for is not worked out.

use std::{collections::HashMap, time::Instant};

use xlvs_api::{Rate, ServiceView, Stats, TotalsView};
use xlvs_model::{ServerKey, ServiceKey, settings::Setting};

use super::{Engine, EngineError};
use crate::estimate::{Estimate, Lapse, counters};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rates {
    services: HashMap<ServiceKey, Group>,
    whole: Option<(Instant, Estimate)>,
}

/// A service and its servers, which are read together.
#[derive(Debug)]
struct Group {
    /// The end of the last whole step.
    at: Instant,
    service: Estimate,
    servers: HashMap<ServerKey, Estimate>,
}

impl Rates {
    /// A service is new: its counters are at nought.
    pub(super) fn begin(&mut self, service: ServiceKey, now: Instant) {
        let group = Group { at: now, service: Estimate::default(), servers: HashMap::new() };
        self.services.insert(service, group);
    }

    /// A service is gone.
    pub(super) fn forget(&mut self, service: &ServiceKey) {
        self.services.remove(service);
    }

    /// One service's counters begin at nought again, or all.
    pub(super) fn zero(&mut self, service: Option<&ServiceKey>, now: Instant) {
        if let Some(service) = service {
            return self.begin(*service, now);
        }
        let all: Vec<ServiceKey> = self.services.keys().copied().collect();
        for service in all {
            self.begin(service, now);
        }
        self.whole = Some((now, Estimate::default()));
    }

    /// As if so much more time had passed since the last reading.
    #[cfg(test)]
    pub(super) fn take_back(&mut self, time: std::time::Duration) {
        let groups = self.services.values_mut().map(|group| &mut group.at);
        let clocks = groups.chain(self.whole.as_mut().map(|(at, _)| at));
        clocks.for_each(|at| *at -= time);
    }

    /// Nobody wants them.
    fn clear(&mut self) {
        *self = Self::default();
    }

    /// Fills in the rates of a service whose counters were just read.
    fn fill(&mut self, view: &mut ServiceView, now: Instant) {
        let group = self.services.entry(view.key).or_insert_with(|| Group::seen(view, now));
        let lapse = Lapse::of(now.saturating_duration_since(group.at));
        let rest = group.service.rest(&view.stats);
        let mut servers = HashMap::with_capacity(view.servers.len());
        for server in &mut view.servers {
            let known = group.servers.get(&server.address).copied();
            let mut estimate = known.unwrap_or_else(|| newcomer(&server.stats, &rest));
            if let Some(lapse) = lapse {
                estimate.advance(&server.stats, lapse);
            }
            server.rate = estimate.rate();
            servers.insert(server.address, estimate);
        }
        group.servers = servers;
        if let Some(lapse) = lapse {
            group.service.advance(&view.stats, lapse);
            group.at += lapse.whole();
        }
        view.rate = group.service.rate();
    }

    /// The whole director's.
    fn whole(&mut self, stats: &Stats, now: Instant) -> Rate {
        let (at, estimate) = self.whole.get_or_insert_with(|| (now, Estimate::from(stats)));
        if let Some(lapse) = Lapse::of(now.saturating_duration_since(*at)) {
            estimate.advance(stats, lapse);
            *at += lapse.whole();
        }
        estimate.rate()
    }
}

impl Group {
    /// A service that was there before anybody looked, say before the daemon was started.
    fn seen(view: &ServiceView, now: Instant) -> Self {
        let each = view.servers.iter().map(|s| (s.address, Estimate::from(&s.stats)));
        Self { at: now, service: Estimate::from(&view.stats), servers: each.collect() }
    }
}

/// A server that was not there at the last reading. What it counts happened since then, unless it
/// is
/// more than its whole service counted since: then it was there before, and came back.
fn newcomer(stats: &Stats, counted: &[u64; 5]) -> Estimate {
    let is_new = counters(stats).iter().zip(counted).all(|(its, all)| its <= all);
    if is_new { Estimate::default() } else { Estimate::from(stats) }
}

impl Engine {
    /// Services' rates, unless `run_estimation` is off: then all are nought, as in the kernel.
    pub(super) fn fill_rates(&mut self, views: &mut [ServiceView], now: Instant) {
        if !self.model.settings.is_on(Setting::RunEstimation) {
            return self.rates.clear();
        }
        for view in views {
            self.rates.fill(view, now);
        }
    }

    /// `GET /v1/stats`.
    pub(crate) fn totals(&mut self) -> Result<TotalsView, EngineError> {
        self.totals_at(Instant::now())
    }

    fn totals_at(&mut self, now: Instant) -> Result<TotalsView, EngineError> {
        let (stats, cpus) = self.plane()?.whole()?;
        let rate = if self.model.settings.is_on(Setting::RunEstimation) {
            self.rates.whole(&stats, now)
        } else {
            self.rates.clear();
            Rate::default()
        };
        Ok(TotalsView { stats, rate, cpus })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use xlvs_api::{NextHop, ServerView};
    use xlvs_model::{Method, Scheduler, Server, Service};

    use super::*;

    /// A service of some servers, by their last number, with what each counts; the sum is the
    /// service's, with what gone ones counted.
    fn view(servers: &[(u8, u64)], gone: u64) -> ServiceView {
        let stats = |n| Stats { connections: n, ..Stats::default() };
        let server = |&(n, counted): &(u8, u64)| {
            let key = format!("10.0.1.{n}:80").parse().unwrap();
            let view = ServerView::new(&Server::new(key, Method::Route, 1), NextHop::Local);
            ServerView { stats: stats(counted), ..view }
        };
        let service = Service::new("tcp:10.0.0.1:80".parse().unwrap(), Scheduler::Rr);
        ServiceView {
            stats: stats(gone + servers.iter().map(|(_, n)| n).sum::<u64>()),
            servers: servers.iter().map(server).collect(),
            ..ServiceView::new(&service)
        }
    }

    #[test]
    fn servers_come_and_go() {
        let mut rates = Rates::default();
        let start = Instant::now();
        let read = |rates: &mut Rates, at_s, servers: &[(u8, u64)], gone| {
            let mut view = view(servers, gone);
            rates.fill(&mut view, start + Duration::from_secs(at_s));
            (view.rate.cps, view.servers.iter().map(|s| s.rate.cps).collect::<Vec<_>>())
        };
        let key = view(&[], 0).key;
        rates.begin(key, start);
        assert_eq!(read(&mut rates, 0, &[(1, 0)], 0), (0, vec![0]));
        assert_eq!(read(&mut rates, 2, &[(1, 800)], 0), (100, vec![100]));
        let both = (175, vec![75, 100]);
        assert_eq!(read(&mut rates, 4, &[(1, 800), (2, 800)], 0), both, "a new one");
        assert_eq!(read(&mut rates, 5, &[(1, 800), (2, 800)], 0), both, "within the step");
        assert_eq!(read(&mut rates, 6, &[(2, 800)], 800), (131, vec![75]), "one is gone");
        let back = read(&mut rates, 8, &[(1, 808), (2, 800)], 0);
        assert_eq!(back, (99, vec![0, 56]), "what it had counted before is no rate");
        rates.zero(Some(&key), start + Duration::from_secs(9));
        assert_eq!(read(&mut rates, 10, &[(1, 8)], 0), (0, vec![0]), "zeroed");
        rates.forget(&key);
        let old = read(&mut rates, 20, &[(1, 1 << 40)], 0);
        assert_eq!(old, (0, vec![0]), "counted before anybody looked");
        assert_eq!(read(&mut rates, 22, &[(1, (1 << 40) + 800)], 0), (100, vec![100]));
    }
}

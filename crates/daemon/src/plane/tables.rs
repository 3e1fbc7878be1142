//! The data plane's crate as the daemon's [`Plane`], over either home of the tables.

use std::collections::{BTreeMap, HashMap};

use tracing::{info, warn};
use xlvs_api::{ConnectionView, Connections, EngineData, InterfaceView, Stats};
use xlvs_dataplane::{Attached, Baselines, Dataplane, Error, Home, ServiceBase, Totals, XdpMode};
use xlvs_model::{Model, ServerKey, Service, ServiceKey, Touched};

use super::{
    Filter, Hops, Interface, MarkEntry, Notice, Plane, PlaneError, PlaneStatus, ServerCounters,
    ServiceCounters, Waiting,
};

/// A home whose programs can be put on interfaces.
pub(crate) trait Programs: Home + Send {
    /// On exactly these interfaces, and the rewriting of local servers' answers on those.
    fn attach(
        &mut self,
        interfaces: &[String],
        answers: &[String],
        mode: XdpMode,
    ) -> Result<Vec<Attached>, Error>;

    /// Takes everything out of the kernel. `answers` as they were given last.
    fn detach(self, answers: &[String]) -> Result<(), Error>;
}

/// A data plane, and what the daemon shows of how it came to be.
pub(crate) struct Tables<H: Home> {
    plane: Dataplane<H>,
    mode: XdpMode,
    attached: Vec<Attached>,
    answers: Vec<String>,
    notes: Vec<String>,
}

impl<H: Home> Tables<H> {
    /// `notes` are what a person should know for as long as the daemon runs.
    pub(crate) fn new(tables: Dataplane<H>, mode: XdpMode, notes: Vec<String>) -> Self {
        Self { plane: tables, mode, attached: Vec::new(), answers: Vec::new(), notes }
    }

    /// Generic XDP that nobody asked for.
    fn fallbacks(&self) -> impl Iterator<Item = String> {
        let is_auto = self.mode == XdpMode::Auto;
        let generic = self.attached.iter().filter(move |a| is_auto && !a.native);
        generic.map(|a| {
            format!("{} has no native XDP: generic XDP is used there, which is slower", a.interface)
        })
    }
}

impl<H: Programs> Plane for Tables<H> {
    fn attach(&mut self, interfaces: &[String], answers: &[String]) -> Result<(), PlaneError> {
        let attached = self.plane.home_mut().attach(interfaces, answers, self.mode)?;
        let where_and_how = |a: &Attached| (a.ifindex, a.native);
        let is_new =
            !attached.iter().map(where_and_how).eq(self.attached.iter().map(where_and_how));
        self.attached = attached;
        self.answers = answers.to_vec();
        if is_new {
            for attached in &self.attached {
                let Attached { interface, native, adopted, .. } = attached;
                info!(native, adopted, "forwarding what comes in by {interface}");
            }
            self.fallbacks().for_each(|fallback| warn!("{fallback}"));
        }
        Ok(())
    }

    fn apply(&mut self, model: &Model, touched: Option<&Touched>) -> Result<(), PlaneError> {
        let applied = match touched {
            Some(touched) => self.plane.apply_touched(model, touched),
            None => self.plane.apply(model),
        };
        Ok(applied?)
    }

    fn note_edits(&mut self, services: &Touched) {
        self.plane.note_edits(services);
    }

    fn ramping(&self) -> Touched {
        self.plane.ramping()
    }

    fn set_hops(&mut self, hops: &Hops) -> Result<(), PlaneError> {
        Ok(self.plane.set_hops(hops)?)
    }

    fn set_interfaces(&mut self, interfaces: &[Interface]) -> Result<(), PlaneError> {
        let plain = |i: &Interface| xlvs_dataplane::Interface {
            ifindex: i.ifindex,
            mac: i.mac,
            mtu: i.mtu,
        };
        let interfaces: Vec<_> = interfaces.iter().map(plain).collect();
        Ok(self.plane.set_interfaces(&interfaces)?)
    }

    fn set_marks(&mut self, entries: &[MarkEntry]) -> Result<(), PlaneError> {
        Ok(self.plane.set_marks(entries)?)
    }

    fn bump_routes(&mut self) -> Result<(), PlaneError> {
        Ok(self.plane.bump_routes()?)
    }

    fn counters(&mut self, service: &Service) -> Result<ServiceCounters, PlaneError> {
        let (sum, servers) = self.plane.counters(service)?;
        let of = |counters: xlvs_dataplane::ServerCounters| {
            let xlvs_dataplane::LiveCount { active, inactive } = counters.live;
            let stats = stats(counters.totals);
            ServerCounters { active, inactive, stats, share: counters.share }
        };
        Ok(ServiceCounters { stats: stats(sum), servers: servers.into_iter().map(of).collect() })
    }

    fn zero(&mut self, service: Option<&ServiceKey>) -> Result<(), PlaneError> {
        Ok(self.plane.zero(service)?)
    }

    fn connections(&mut self, filter: &Filter, limit: usize) -> Result<Connections, PlaneError> {
        let (found, truncated) = self.plane.connections(filter, limit)?;
        let protocol = |number| match number {
            0 => "IP",
            17 => "UDP",
            _ => "TCP",
        };
        let view = |c: xlvs_dataplane::Connection| ConnectionView {
            service: c.service,
            protocol: protocol(c.protocol).to_owned(),
            client: c.client,
            vip: c.vip,
            server: c.server,
            state: c.state.to_owned(),
            expires_s: c.expires_ns / NS_PER_S,
            method: c.method,
            template: c.template,
            synced: false,
            engine: c.call.map(|data| EngineData { name: "sip".to_owned(), data }),
        };
        Ok(Connections { connections: found.into_iter().map(view).collect(), truncated })
    }

    fn whole(&mut self) -> Result<(Stats, Vec<Stats>), PlaneError> {
        let whole = self.plane.whole()?;
        Ok((stats(whole.totals), whole.cpus.into_iter().map(stats).collect()))
    }

    fn persistent(&mut self) -> Result<HashMap<(ServiceKey, ServerKey), u32>, PlaneError> {
        Ok(self.plane.persistent()?)
    }

    fn packets(&mut self) -> Result<BTreeMap<String, u64>, PlaneError> {
        let counted = self.plane.reasons()?;
        Ok(counted.into_iter().map(|(reason, n)| (reason.name().to_owned(), n)).collect())
    }

    fn status(&mut self) -> Result<PlaneStatus, PlaneError> {
        let usage = self.plane.usage()?;
        let packets = self.packets()?;
        Ok(PlaneStatus {
            interfaces: self.attached.iter().map(view).collect(),
            entries: usage.entries,
            capacity: usage.capacity,
            packets,
            notes: self.fallbacks().chain(self.notes.iter().cloned()).collect(),
        })
    }

    fn baselines(&self) -> Baselines {
        self.plane.baselines().clone()
    }

    fn changed_baselines(&mut self) -> BTreeMap<ServiceKey, ServiceBase> {
        self.plane.changed_baselines()
    }

    fn sweep(&mut self, budget: usize) -> Result<bool, PlaneError> {
        Ok(self.plane.sweep(budget)?.freed > 0)
    }

    fn set_free_pages(&mut self, model: &Model, pages: i64) -> Result<(), PlaneError> {
        Ok(self.plane.set_free_pages(model, pages)?)
    }

    fn drop_suspects(&mut self) -> Result<(), PlaneError> {
        Ok(self.plane.drop_suspects().map(drop)?)
    }

    fn waiting(&mut self) -> Result<Vec<Waiting>, PlaneError> {
        Ok(self.plane.waiting()?)
    }

    fn notices(&mut self) -> Result<Vec<Notice>, PlaneError> {
        Ok(self.plane.notices()?)
    }

    fn detach(self: Box<Self>) -> Result<(), PlaneError> {
        Ok(self.plane.into_home().detach(&self.answers)?)
    }
}

impl From<Error> for PlaneError {
    fn from(e: Error) -> Self {
        let hint = e.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        match e {
            Error::Full { .. } => Self::Full(format!("{e}{hint}")),
            _ => Self::Failed(format!("{e}{hint}")),
        }
    }
}

fn view(attached: &Attached) -> InterfaceView {
    let xdp_mode = if attached.native { "native" } else { "generic" };
    InterfaceView { name: attached.interface.clone(), xdp_mode: xdp_mode.to_owned() }
}

fn stats(totals: Totals) -> Stats {
    let Totals { connections, in_packets, out_packets, in_bytes, out_bytes } = totals;
    Stats { connections, in_packets, out_packets, in_bytes, out_bytes }
}

const NS_PER_S: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use xlvs_dataplane::{Memory, Sizes};
    use xlvs_model::{Change, Method, Scheduler, Server};

    use super::*;

    fn plane(dests: u32) -> Box<dyn Plane> {
        let sizes = Sizes {
            services: 8,
            plans: 32,
            orders: 64,
            dests,
            buckets: 64,
            policies: 4,
            ports: 4,
            conns: 64,
        };
        let tables = Dataplane::new(Memory::new(sizes), Baselines::default()).unwrap();
        Box::new(Tables::new(tables, XdpMode::Auto, vec!["a note".into()]))
    }

    /// `eth0` has native XDP, other interfaces have not.
    impl Programs for Memory {
        fn attach(
            &mut self,
            interfaces: &[String],
            _answers: &[String],
            mode: XdpMode,
        ) -> Result<Vec<Attached>, Error> {
            let attached = (1..).zip(interfaces).map(|(ifindex, interface)| {
                let native = interface == "eth0" && mode != XdpMode::Generic;
                Attached { interface: interface.clone(), ifindex, native, adopted: false }
            });
            Ok(attached.collect())
        }

        fn detach(self, _answers: &[String]) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn a_fallback_is_announced() {
        let mut plane = plane(8);
        plane.attach(&["eth0".into(), "eth1".into()], &[]).unwrap();
        let status = plane.status().unwrap();
        let modes: Vec<_> = status.interfaces.iter().map(|i| i.xdp_mode.as_str()).collect();
        assert_eq!(modes, ["native", "generic"]);
        let fallback = "eth1 has no native XDP: generic XDP is used there, which is slower";
        assert_eq!(status.notes, [fallback, "a note"]);
    }

    fn model(servers: u8) -> Model {
        let mut model = Model::default();
        let service = "tcp:10.0.0.1:80".parse().unwrap();
        model.apply(&Change::AddService { service, terms: Scheduler::Wrr.into() }).unwrap();
        for n in 1..=servers {
            let key = format!("10.0.1.{n}:80").parse().unwrap();
            let server = Server::new(key, Method::Route, 1);
            model.apply(&Change::AddServer { service, server }).unwrap();
        }
        model
    }

    #[test]
    fn it_carries_out_a_model_and_shows_it() {
        let mut plane = plane(8);
        plane.apply(&model(2), None).unwrap();
        let counters = plane.counters(&model(2).services[0]).unwrap();
        assert_eq!(counters.stats, Stats::default());
        assert_eq!(counters.servers, [ServerCounters::default(); 2]);
        assert_eq!(plane.connections(&Filter::default(), 9).unwrap(), Connections::default());
        let status = plane.status().unwrap();
        assert_eq!((status.entries, status.capacity), (0, 64));
        assert_eq!(status.notes, ["a note"]);
        assert!(!plane.sweep(100).unwrap(), "nothing to free");
        plane.detach().unwrap();
    }

    #[test]
    fn full_tables_are_told_from_failures() {
        let mut plane = plane(2);
        assert!(matches!(plane.apply(&model(3), None), Err(PlaneError::Full(_))));
        plane.apply(&model(2), None).unwrap();
    }
}

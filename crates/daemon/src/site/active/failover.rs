//! `service = fos`: services that run on the active director itself.
//!
//! Each has a task: it stops whatever runs, starts the service, and asks it as nanny did. With
//! Piranha the other director asks, and a bad answer has this one stop the service and the other
//! start it. Until xlvs takes over from another director, this one is both: it stops the service
//! and starts it again.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tracing::{info, warn};
use xlvs_api::EventKind;
use xlvs_health::{
    Outcome,
    shell::{Asker, Errands},
};
use xlvs_model::health::{Check, Common, Failover, Script};

use crate::{engine::Engine, owner::Owner};

/// What is run and asked with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) errands: Errands,
    pub(super) asker: Asker,
    pub(super) engine: Owner<Engine>,
}

/// A failover service that is looked after.
pub(super) struct Running {
    pub(super) terms: Failover,
    stop: oneshot::Sender<Ending>,
}

/// How it ends.
struct Ending {
    /// `stop_cmd` is run; else the service stays.
    stopped: bool,
    done: oneshot::Sender<()>,
}

/// What nanny makes of a row of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Monitor {
    up: bool,
    /// Bad answers before the first good one.
    bad: u8,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Nothing,
    /// It answers now.
    Up,
    /// It does not: nanny has the other director start it.
    Fails,
}

impl Monitor {
    /// A service that answered once may not miss an answer; one that did not yet may miss one.
    const fn on(&mut self, outcome: &Outcome) -> Turn {
        match (outcome, self.up) {
            (Outcome::Unasked(_), _) | (Outcome::Good(_), true) => Turn::Nothing,
            (Outcome::Good(_), false) => {
                *self = Self { up: true, bad: 0 };
                Turn::Up
            }
            (Outcome::Bad(_), up) => {
                self.bad += 1;
                if !up && self.bad < 2 {
                    return Turn::Nothing;
                }
                *self = Self { up: false, bad: 0 };
                Turn::Fails
            }
        }
    }
}

/// Looks after a service from now on. `runs`: it was started by an earlier daemon, or under terms
/// that differ in how it is asked alone.
pub(super) fn start(terms: Failover, runs: bool, means: Means) -> Running {
    let (stop, stopping) = oneshot::channel();
    let care = Care { terms: terms.clone(), means };
    tokio::spawn(care.take(runs, stopping));
    Running { terms, stop }
}

impl Running {
    /// Ends the care, and the service if it is to stop.
    pub(super) async fn end(self, stopped: bool) {
        let (done, waiting) = oneshot::channel();
        if self.stop.send(Ending { stopped, done }).is_ok() {
            // A task that is gone has nothing to end.
            drop(timeout(PATIENCE, waiting).await);
        }
    }

    /// The same service goes on under these terms.
    pub(super) fn runs_as(&self, terms: &Failover) -> bool {
        runs_as(&self.terms, terms)
    }
}

/// Only how it is asked differs.
pub(super) fn runs_as(one: &Failover, other: &Failover) -> bool {
    let service = |of: &Failover| (of.name.clone(), of.start.clone(), of.stop.clone());
    service(one) == service(other)
}

/// A service's task.
struct Care {
    terms: Failover,
    means: Means,
}

impl Care {
    async fn take(self, runs: bool, mut stopping: oneshot::Receiver<Ending>) {
        if !runs {
            self.begin().await;
        }
        let address = self.terms.address.as_ref().map(|of| of.address);
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let target = SocketAddr::new(address, self.terms.port);
        let check = Check {
            kind: self.terms.check.clone(),
            common: Common { connect_timeout: self.terms.timeout, ..Common::default() },
            origin: None,
        };
        let mut monitor = Monitor::default();
        loop {
            let outcome = tokio::select! {
                biased;
                ending = &mut stopping => return self.end(ending.ok()).await,
                outcome = self.means.asker.ask(&check, target) => outcome,
            };
            match monitor.on(&outcome) {
                Turn::Nothing => {}
                Turn::Up => self.tell(format!("answers at {target}")).await,
                Turn::Fails => {
                    self.tell(format!("{target}: {outcome}: it is started again")).await;
                    self.begin().await;
                }
            }
            tokio::select! {
                biased;
                ending = &mut stopping => return self.end(ending.ok()).await,
                () = sleep(self.terms.timeout) => {}
            }
        }
    }

    /// Piranha's `fos` stops a service before it starts it: it may run already.
    async fn begin(&self) {
        self.command("stop_cmd", self.terms.stop.as_ref()).await;
        self.command("start_cmd", self.terms.start.as_ref()).await;
    }

    async fn end(&self, ending: Option<Ending>) {
        let Some(Ending { stopped, done }) = ending else { return };
        if stopped {
            self.command("stop_cmd", self.terms.stop.as_ref()).await;
            self.tell("is stopped".to_owned()).await;
        }
        done.send(()).unwrap_or_default();
    }

    async fn command(&self, word: &str, script: Option<&Script>) {
        let (name, Some(script)) = (&self.terms.name, script) else { return };
        match self.means.errands.finish(script, COMMAND_LIMIT).await {
            Outcome::Good(_) => info!(%script, "failover {name}: {word} run"),
            // A service that does not run is told of by its stop_cmd so: Piranha goes on, too.
            outcome if word == "stop_cmd" => info!(%script, "failover {name}: {word}: {outcome}"),
            outcome => {
                warn!(%script, "failover {name}: {word}: {outcome}");
                self.tell(format!("{word}: {outcome}")).await;
            }
        }
    }

    async fn tell(&self, what: String) {
        let message = format!("failover {}: {what}", self.terms.name);
        let tell = move |engine: &mut Engine| {
            engine.tell_of(None, EventKind::Check, (None, None), message);
        };
        self.means.engine.ask(tell).await;
    }
}

/// A command that takes longer is ended: `start_cmd` is to return when the service runs.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);
/// A start, a stop, and what ending them takes.
const PATIENCE: Duration = Duration::from_mins(3);

#[cfg(test)]
mod tests {
    use xlvs_health::Fault;

    use super::{
        Turn::{Fails, Nothing, Up},
        *,
    };

    #[test]
    fn a_service_may_miss_one_answer_before_its_first() {
        let (good, bad) = (Outcome::GOOD, Outcome::Bad(Fault::Refused));
        let unasked = Outcome::Unasked("no room".into());
        let rows: [(&[&Outcome], Turn, &str); 8] = [
            (&[&good], Up, "at once"),
            (&[&good, &good], Nothing, "it goes on"),
            (&[&good, &bad], Fails, "the first bad answer of one that answered"),
            (&[&bad], Nothing, "it is still starting"),
            (&[&bad, &bad], Fails, "it does not start"),
            (&[&bad, &bad, &bad], Nothing, "it was started again"),
            (&[&bad, &good, &bad], Fails, "it answered once"),
            (&[&bad, &unasked], Nothing, "that was not its fault"),
        ];
        for (answers, expected, why) in rows {
            let mut monitor = Monitor::default();
            let last = answers.iter().map(|answer| monitor.on(answer)).last();
            assert_eq!(last, Some(expected), "{why}");
        }
    }
}

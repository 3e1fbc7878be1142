//! The site as a configuration file has it: the file, its checks, and what follows from them.
//!
//! One task ([`Runner`]) reads files, has the engine take them, runs the checking engine and does
//! what it says: findings go to the engine's thread, programs and mail to their errands. A file and
//! what its checks find first reach the tables in one step.

mod active;
mod apply;
mod around;
mod checks;
mod file;
mod host;
mod leaving;
mod memory;
mod record;
mod scripts;

use std::{
    future::Future,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, sleep_until},
};
use tracing::{error, info};
use xlvs_api::{Actor, Applied, Apply, EventKind, Face};
use xlvs_health::{
    Effect, Event, Occasion, Snapshot,
    shell::{self, Errands},
};
use xlvs_model::{Finding, InForce, ServerKey, ServiceKey, Wanted};

pub use self::host::ThisHost;
use self::{
    active::Active,
    around::{Around, LOOK_PERIOD},
    checks::{Shown, known, restated},
    memory::{KEEP_PERIOD, Memory},
    record::Record,
};
pub(crate) use self::{
    file::{Loaded, Reading, load},
    record::RecordFile,
};
use crate::{args::ByHand, engine::Engine, owner::Owner, via::Path};

/// A handle to the site.
#[derive(Clone)]
pub(crate) struct Site {
    commands: mpsc::Sender<Command>,
    health: shell::Engine,
    shown: Arc<Mutex<Shown>>,
}

enum Command {
    Apply(Apply, Actor, oneshot::Sender<Applied>),
    Confirm(bool, Actor, oneshot::Sender<Result<(), String>>),
    Reload(oneshot::Sender<()>),
    Stop(bool, oneshot::Sender<()>),
}

/// How files are treated.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The file of `xlvs run -c`.
    pub(crate) config: Option<PathBuf>,
    /// How it is to be read.
    pub(crate) reading: Reading,
    /// What becomes of changes by hand.
    pub(crate) by_hand: ByHand,
    /// Where it is written down what is in force.
    pub(crate) record: Option<RecordFile>,
    /// How often what was changed by hand is looked for.
    pub(crate) reconcile: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: None,
            reading: Reading::default(),
            by_hand: ByHand::default(),
            record: None,
            reconcile: RECONCILE_PERIOD,
        }
    }
}

/// The task behind a [`Site`].
pub(crate) struct Runner {
    engine: Owner<Engine>,
    health: shell::Engine,
    effects: mpsc::Receiver<Vec<Effect>>,
    commands: mpsc::Receiver<Command>,
    errands: Errands,
    options: Options,
    /// What is in force.
    loaded: Option<Loaded>,
    pending: Option<Pending>,
    /// Servers that the file no longer has.
    leaving: Vec<leaving::Leaving>,
    /// What the last daemon had in force.
    record: Record,
    memory: Memory,
    around: Around,
    active: Active,
}

/// A file that waits to be confirmed.
struct Pending {
    until: Instant,
    /// What its services were before.
    before: Vec<Wanted>,
    loaded: Option<Loaded>,
}

impl Site {
    /// Starts the checking engine; [`Runner::run`] is to be started, too.
    pub(crate) fn new(engine: Owner<Engine>, options: Options) -> (Self, Runner) {
        let (health, checking) = shell::Engine::new(seed());
        let (sender, effects) = mpsc::channel(MAX_EFFECTS);
        let path = Arc::new(Path::new(engine.clone()));
        tokio::spawn(checking.with_forwarding(path).run(sender));
        let (commands, queue) = mpsc::channel(MAX_COMMANDS);
        let shown = Arc::default();
        let record = options.record.as_ref().map(RecordFile::load).unwrap_or_default();
        let runner = Runner {
            engine,
            health: health.clone(),
            effects,
            commands: queue,
            errands: Errands::new(&xlvs_health::Config::default()),
            options,
            loaded: None,
            pending: None,
            leaving: Vec::new(),
            record,
            memory: Memory::default(),
            around: Around::default(),
            active: Active::default(),
        };
        (Self { commands, health, shown }, runner)
    }

    /// For the engine: what is known of checks.
    pub(crate) fn checks(&self) -> checks::Known {
        checks::Known(Arc::clone(&self.shown))
    }

    /// What is known of checks is known anew; before somebody looks.
    pub(crate) async fn refresh(&self) {
        let Some(snapshot) = self.health.snapshot().await else { return };
        let shown = known(&snapshot);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// Puts a file in force, or tells what that would do; none: the daemon ends.
    pub(crate) async fn apply(&self, what: Apply, by: Actor) -> Option<Applied> {
        self.ask(|reply| Command::Apply(what, by, reply)).await
    }

    /// Keeps what waits to be confirmed, or takes it back at once.
    pub(crate) async fn confirm(&self, keep: bool, by: Actor) -> Option<Result<(), String>> {
        self.ask(|reply| Command::Confirm(keep, by, reply)).await
    }

    /// Applies the file again.
    pub(crate) async fn reload(&self) {
        self.ask(Command::Reload).await;
    }

    /// Ends the checks; what follows from that is done. `gone`: the director is detached, so what
    /// is there while it is active goes too.
    pub(crate) async fn stop(&self, gone: bool) {
        self.ask(|reply| Command::Stop(gone, reply)).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl Runner {
    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self) {
        let mut reconcile = interval(self.options.reconcile);
        let mut see_off = interval(SEE_OFF_PERIOD);
        let mut keep = interval(KEEP_PERIOD);
        let mut look = interval(LOOK_PERIOD);
        for each in [&mut reconcile, &mut see_off, &mut keep, &mut look] {
            each.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let until = self.pending.as_ref().map(|pending| pending.until);
            tokio::select! {
                Some(effects) = self.effects.recv() => self.act(effects).await,
                command = self.commands.recv() => match command {
                    Some(Command::Stop(gone, reply)) => {
                        self.stop(gone).await;
                        reply.send(()).unwrap_or_default();
                        return;
                    }
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                () = sleep_until(until.unwrap_or_else(Instant::now).into()), if until.is_some() => {
                    self.take_back("it was not confirmed in time").await;
                }
                _ = reconcile.tick() => {
                    self.reconcile().await;
                    self.follow_again().await;
                }
                _ = see_off.tick() => self.see_off().await,
                _ = keep.tick() => self.keep().await,
                _ = look.tick() => self.look_around().await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Apply(what, by, reply) => {
                let applied = self.apply(&what, &by).await;
                reply.send(applied).unwrap_or_else(drop);
            }
            Command::Confirm(keep, by, reply) => {
                let answer = self.confirm(keep, &by).await;
                reply.send(answer).unwrap_or_else(drop);
            }
            Command::Reload(reply) => {
                self.reload().await;
                reply.send(()).unwrap_or_default();
            }
            Command::Stop(_, reply) => reply.send(()).unwrap_or_default(),
        }
    }

    /// What follows from the checks. Tables first: a script may look at them.
    async fn act(&mut self, mut effects: Vec<Effect>) {
        while effects.len() < AT_ONCE
            && let Ok(more) = self.effects.try_recv()
        {
            effects.extend(more);
        }
        let (findings, rest) = split(effects);
        self.memory.changed |= !findings.is_empty();
        self.engine.ask(move |engine| engine.find(findings)).await;
        self.perform(rest).await;
    }

    /// Programs, mail and events.
    async fn perform(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Event(event) if is_told(event.occasion) => {
                    let Event { services, server, text, occasion, .. } = event;
                    let text = format!("{}: {text}", occasion.name());
                    let about = (services.first().copied(), server);
                    let tell = move |engine: &mut Engine| {
                        engine.tell_of(None, EventKind::Check, about, text);
                    };
                    self.engine.ask(tell).await;
                }
                effect => self.errands.perform(&effect),
            }
        }
    }

    /// Takes effects out of the engine's channel while something is done that may wait for room.
    async fn gather<T>(&mut self, work: impl Future<Output = T>) -> (T, Vec<Effect>) {
        let mut gathered = Vec::new();
        let mut work = pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                Some(effects) = self.effects.recv() => gathered.extend(effects),
            }
        };
        while let Ok(effects) = self.effects.try_recv() {
            gathered.extend(effects);
        }
        (done, gathered)
    }

    /// What somebody changed by hand is put right, unless it is to stay.
    async fn reconcile(&mut self) {
        let in_force = self.enforced().filter(|_| self.options.by_hand == ByHand::Revert);
        let Some(in_force) = in_force else { return };
        let drifted = self.engine.ask(Engine::drifted).await.unwrap_or_default();
        if drifted.is_empty() {
            return;
        }
        let health = self.health.clone();
        let (snapshot, effects) = self.gather(async move { health.snapshot().await }).await;
        let (fresh, rest) = split(effects);
        let spared = snapshot.as_ref().map(|s| self.not_readded(s)).unwrap_or_default();
        let mut findings = snapshot.map(|s| restated(&s, Some(&drifted))).unwrap_or_default();
        findings.extend(fresh);
        let by = file_actor(&in_force);
        let put_right = move |engine: &mut Engine| {
            let mut wanted = in_force.wanted_of(&drifted);
            if engine.spare(&mut wanted, &spared) {
                engine.find(findings);
                return Ok(Vec::new());
            }
            let told = engine.take(&by, (&wanted, &[]), findings);
            engine.drifted();
            told
        };
        match self.engine.ask(put_right).await {
            Some(Err(why)) => error!("what was changed by hand is not put right: {why}"),
            Some(Ok(services)) if services.is_empty() => {}
            Some(Ok(services)) => {
                info!("what was changed by hand is put right: {} services", services.len());
            }
            None => {}
        }
        self.perform(rest).await;
    }

    /// Servers that may stay deleted: with `readdquiescent = no`, those with weight 0 for being
    /// down. Their clients' persistence ends with that.
    fn not_readded(&self, snapshot: &Snapshot) -> Vec<(ServiceKey, ServerKey)> {
        let terms = self.loaded.as_ref().and_then(|l| l.config.globals.ldirectord.as_deref());
        if terms.is_none_or(|terms| terms.readd_quiescent) {
            return Vec::new();
        }
        let of_server = |finding| match finding {
            Finding::Server { service, server, health: Some(health) } => {
                (!health.up && health.inhibit).then_some((service, server))
            }
            _ => None,
        };
        restated(snapshot, None).into_iter().filter_map(of_server).collect()
    }

    /// The last effects, up to the checking engine's end.
    async fn stop(&mut self, gone: bool) {
        self.keep_all().await;
        let health = self.health.clone();
        let ((), mut effects) = self.gather(async move { health.stop().await }).await;
        // Its channel closes behind the last of them.
        while let Ok(Some(more)) = tokio::time::timeout(PARTING, self.effects.recv()).await {
            effects.extend(more);
        }
        let (_, rest) = split(effects);
        self.perform(rest).await;
        if gone {
            self.release().await;
        }
        self.shut_down().await;
    }
}

/// What is found, and all else.
fn split(effects: Vec<Effect>) -> (Vec<Finding>, Vec<Effect>) {
    let (mut findings, mut rest) = (Vec::new(), Vec::new());
    for effect in effects {
        match effect {
            Effect::Found(finding) => findings.push(finding),
            effect => rest.push(effect),
        }
    }
    (findings, rest)
}

/// Events that the engine does not tell by itself when it hears what was found.
const fn is_told(occasion: Occasion) -> bool {
    matches!(occasion, Occasion::CheckFailing | Occasion::Stop)
}

/// Who changes what a file says.
fn file_actor(in_force: &InForce) -> Actor {
    Actor { face: Face::File, place: Some(in_force.file.clone()), ..Actor::default() }
}

/// Spreads the first questions of daemons that start together.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// Batches of effects that may wait.
const MAX_EFFECTS: usize = 1024;
/// Effects that are carried out together.
const AT_ONCE: usize = 4096;
/// Requests that may wait.
const MAX_COMMANDS: usize = 16;
/// How often what was changed by hand is looked for.
const RECONCILE_PERIOD: Duration = Duration::from_secs(10);
/// How often servers that left the file are looked after.
const SEE_OFF_PERIOD: Duration = Duration::from_secs(1);
/// How long the checking engine may take to end.
const PARTING: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests;

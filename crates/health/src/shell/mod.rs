//! The shell: sockets, processes and the clock. What to do with them is decided elsewhere.
//!
//! One task ([`Runner::run`]) holds the [`Core`]; each question that is under way is a task of its
//! own for as long as it takes, which is bounded. An idle check costs an entry of the core's heap.

mod agent;
mod bfd;
mod errands;
mod grpc;
mod http;
mod mail;
mod misc;
mod monitor;
mod net;
mod other;
mod ping;
mod service;
mod syn;
mod talk;
mod tls;
mod via;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep_until,
};
use tracing::error;
use xlvs_model::{
    ServerKey, ServiceKey,
    health::{Check, Kind},
};

use crate::{Ask, Config, Core, Effect, Moment, Outcome, ProbeId, Snapshot, Start, Verdict, Via};

pub use self::{
    errands::Errands,
    via::{Closed, Forwarding, Opened, Opening},
};

/// The daemon's handle of the engine.
#[derive(Clone, Debug)]
pub struct Engine {
    commands: mpsc::Sender<Command>,
}

/// The engine itself, to be run as a task.
#[derive(Debug)]
pub struct Runner {
    commands: mpsc::Receiver<Command>,
    seed: u64,
    forwarding: Option<Arc<dyn Forwarding>>,
}

#[derive(Debug)]
enum Command {
    Apply(Box<Config>, oneshot::Sender<()>),
    Suspend(ServiceKey, bool),
    Snapshot(oneshot::Sender<Snapshot>),
    Hold(BTreeMap<ServerKey, String>),
    Recall(Vec<Verdict>),
    Verdicts(oneshot::Sender<(Moment, Vec<Verdict>)>),
    Stop,
}

impl Engine {
    /// An engine without checks, and its runner. The seed spreads the first questions.
    pub fn new(seed: u64) -> (Self, Runner) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        (Self { commands: sender }, Runner { commands, seed, forwarding: None })
    }

    /// Puts new terms into force; what did not change keeps its state. Returns when their first
    /// effects are in the channel: another task than the caller has to take effects out of it.
    pub async fn apply(&self, config: Config) {
        let (sender, done) = oneshot::channel();
        let _ = self.commands.send(Command::Apply(Box::new(config), sender)).await;
        let _ = done.await;
    }

    /// `ha_suspend`: this host does not own the virtual address now, or does again.
    pub async fn suspend(&self, service: ServiceKey, suspended: bool) {
        let _ = self.commands.send(Command::Suspend(service, suspended)).await;
    }

    /// These servers are in maintenance from now on, and why; others are not.
    pub async fn hold(&self, held: BTreeMap<ServerKey, String>) {
        let _ = self.commands.send(Command::Hold(held)).await;
    }

    /// All that is known; none when the engine has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(Command::Snapshot(sender)).await.ok()?;
        answer.await.ok()
    }

    /// What the last daemon knew; before the first terms. Its moments are of Unix time.
    pub async fn recall(&self, verdicts: Vec<Verdict>) {
        let _ = self.commands.send(Command::Recall(verdicts)).await;
    }

    /// What is to be kept over a restart, and the moment of now; none when the engine has ended.
    pub async fn verdicts(&self) -> Option<(Moment, Vec<Verdict>)> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(Command::Verdicts(sender)).await.ok()?;
        answer.await.ok()
    }

    /// Ends the engine; the last effects (`omega`) come before the runner returns.
    pub async fn stop(&self) {
        let _ = self.commands.send(Command::Stop).await;
    }
}

impl Runner {
    /// With a way for the questions that go [`Via::Forwarding`](crate::Via).
    pub fn with_forwarding(mut self, forwarding: Arc<dyn Forwarding>) -> Self {
        self.forwarding = Some(forwarding);
        self
    }

    /// Runs until [`Engine::stop`], or until nobody holds a handle. Effects come in the order in
    /// which they are to be carried out, those of one cause together.
    pub async fn run(mut self, effects: mpsc::Sender<Vec<Effect>>) {
        let mut state = State::new(self.seed, self.forwarding.take());
        loop {
            let wake = state.core.next_wake().map(|at| state.instant(at));
            let command = tokio::select! {
                command = self.commands.recv() => Some(command.unwrap_or(Command::Stop)),
                Some(joined) = state.asking.join_next() => {
                    state.take(joined);
                    while let Some(joined) = state.asking.try_join_next() {
                        state.take(joined);
                    }
                    None
                }
                () = sleep_until(wake.unwrap_or_else(far).into()), if wake.is_some() => None,
            };
            let (mut over, mut applied) = (false, None);
            match command {
                Some(Command::Apply(config, done)) => {
                    state.apply(*config);
                    applied = Some(done);
                }
                Some(Command::Suspend(service, on)) => state.core.suspend(service, on),
                Some(Command::Hold(held)) => {
                    let now = state.now();
                    state.core.hold(held, now, &mut state.effects);
                }
                Some(Command::Snapshot(answer)) => {
                    let _ = answer.send(state.core.snapshot(state.now()));
                }
                Some(Command::Recall(verdicts)) => {
                    let now = state.now();
                    state.core.recall(verdicts, now);
                }
                Some(Command::Verdicts(answer)) => {
                    let _ = answer.send((state.now(), state.core.verdicts()));
                }
                Some(Command::Stop) => {
                    state.core.stop(&mut state.effects);
                    state.kept.bfd.stop().await;
                    over = true;
                }
                None => {}
            }
            state.remind();
            if !state.effects.is_empty() {
                let _ = effects.send(std::mem::take(&mut state.effects)).await;
            }
            if let Some(done) = applied {
                let _ = done.send(());
            }
            if over {
                return;
            }
            state.ask_due();
        }
    }
}

/// What the runner holds.
struct State {
    core: Core,
    began: Instant,
    /// The moment that this was.
    epoch: Moment,
    context: Arc<Context>,
    forwarding: Option<Arc<dyn Forwarding>>,
    kept: Arc<Kept>,
    asking: JoinSet<Answer>,
    starts: Vec<Start>,
    effects: Vec<Effect>,
}

/// What all questions share.
struct Context {
    tls: tls::Configs,
    users: misc::Users,
    forwarding: Option<Arc<dyn Forwarding>>,
    kept: Arc<Kept>,
}

/// What stays from one question to the next, and over new terms.
#[derive(Debug, Default)]
struct Kept {
    agents: agent::Agents,
    bfd: bfd::Sessions,
}

/// A question's end.
struct Answer {
    probe: ProbeId,
    outcome: Outcome,
    took: Duration,
}

impl State {
    fn new(seed: u64, forwarding: Option<Arc<dyn Forwarding>>) -> Self {
        Self {
            core: Core::new(seed),
            began: Instant::now(),
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            context: Arc::new(Context::new(&Config::default(), forwarding.clone())),
            forwarding,
            kept: Arc::default(),
            asking: JoinSet::new(),
            starts: Vec::new(),
            effects: Vec::new(),
        }
    }

    fn now(&self) -> Moment {
        self.epoch + self.began.elapsed()
    }

    fn instant(&self, at: Moment) -> Instant {
        self.began + at.saturating_sub(self.epoch)
    }

    fn apply(&mut self, config: Config) {
        let context = Context::new(&config, self.forwarding.clone());
        self.context = Arc::new(Context { kept: Arc::clone(&self.kept), ..context });
        let now = self.now();
        self.core.apply(config, now, &mut self.effects);
        self.kept.agents.keep(&self.core.asked().map(|(_, key, _)| key).collect());
        self.kept.bfd.keep(self.core.asked());
    }

    fn take(&mut self, joined: Result<Answer, tokio::task::JoinError>) {
        match joined {
            Ok(Answer { probe, outcome, took }) => {
                let now = self.now();
                self.core.done(probe, &outcome, took, now, &mut self.effects);
            }
            Err(fault) => error!(%fault, "a check's task ended without an answer"),
        }
    }

    fn remind(&mut self) {
        let now = self.now();
        self.core.remind(now, &mut self.effects);
    }

    fn ask_due(&mut self) {
        let now = self.now();
        self.core.due(now, &mut self.starts);
        for start in self.starts.drain(..) {
            let context = Arc::clone(&self.context);
            self.asking.spawn(async move {
                let Start { probe, ask, url } = start;
                let began = Instant::now();
                if let Kind::Bfd(_) = ask.kind {
                    // It speaks all the time: the question only waits.
                    let outcome = context.kept.bfd.ask(probe, &ask).await;
                    return Answer { probe, outcome, took: Duration::ZERO };
                }
                let outcome = question(&ask, url, &context).await;
                Answer { probe, outcome, took: began.elapsed() }
            });
        }
    }
}

/// Asks single questions, for those who count the answers by themselves.
#[derive(Clone)]
pub struct Asker(Arc<Context>);

impl Asker {
    /// As the terms say, whose services it does not ask.
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Context::new(config, None)))
    }

    /// Asks a server from this host. Its time is bounded whatever the server does.
    pub async fn ask(&self, check: &Check, server: ServerKey) -> Outcome {
        question(&Ask::new(check, server, Via::Host), 0, &self.0).await
    }
}

impl Context {
    fn new(config: &Config, forwarding: Option<Arc<dyn Forwarding>>) -> Self {
        Self {
            forwarding,
            kept: Arc::default(),
            tls: tls::Configs::new(config.ssl.as_ref()),
            users: misc::Users::new(config.script_security),
        }
    }
}

/// Asks one question. Its time is bounded whatever the server does.
async fn question(ask: &Ask, url: usize, context: &Context) -> Outcome {
    match &ask.kind {
        Kind::Tcp => match via::connect(ask, context).await {
            Ok(_) => Outcome::GOOD,
            Err(outcome) => outcome,
        },
        Kind::Http(http) => http::get(ask, http, url, context).await,
        Kind::Misc(misc) => misc::run(misc, &context.users).await,
        Kind::Ping => ping::ask(ask).await,
        Kind::Smtp(check) => other::smtp(ask, check).await,
        Kind::Dns(check) => other::dns(ask, check).await,
        Kind::Udp(check) => other::udp(ask, check).await,
        Kind::File(check) => other::file(check).await,
        Kind::Service(_) if url > 0 => match via::connect(ask, context).await {
            Ok(_) => Outcome::GOOD,
            Err(outcome) => outcome,
        },
        Kind::Service(check) => service::ask(ask, check, context).await,
        Kind::Talk(check) => talk::ask(ask, check, context).await,
        Kind::Output(check) => talk::output(check, context).await,
        Kind::External(check) => talk::external(check, context).await,
        Kind::Syn => syn::ask(ask, context).await,
        Kind::Grpc(check) => grpc::ask(ask, check, context).await,
        Kind::Agent(check) => agent::ask(ask, check, context).await,
        Kind::Bfd(_) => Outcome::Unasked("a session is followed, not asked".into()),
        Kind::Load(check) => talk::load(check, context).await,
    }
}

/// A moment that does not come.
fn far() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

/// Commands that may wait for the engine.
const COMMANDS: usize = 64;

#[cfg(test)]
mod tests;

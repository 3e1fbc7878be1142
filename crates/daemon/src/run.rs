//! `xlvs run`, from the flags to the end.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use futures_util::stream::BoxStream;
use sd_notify::NotifyState;
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::{info, warn};
use xlvs_api::Actor;
use xlvs_dataplane::Baselines;

use crate::{
    args::{RunArgs, XdpMode},
    engine::{Engine, Saving, TICK_PERIOD, real_servers},
    firewall::FirewallWatcher,
    hops::{Changed, Netlink, Occasion, Watcher, Ways, look},
    host::{self, Bpffs, Place, RunDir, Unmounted},
    kernel, logging,
    owner::Owner,
    plane::Plane,
    server::{App, Listener, Peer, metrics_alone, router},
    settings::{Settings, boot_id, settle},
    site::{Loaded, Options, Reading, RecordFile, Site, load},
    store::Store,
    watchdog,
};

/// What a data plane is made for.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// The folder for pins, on a bpffs that outlives this process.
    pub(crate) pins: PathBuf,
    /// How XDP is attached.
    pub(crate) xdp_mode: XdpMode,
    /// Room in the connection table.
    pub(crate) connections: u32,
    /// What people's counters begin from, if the tables are still those they were read from.
    pub(crate) counters: Baselines,
}

/// Runs the director of a network namespace until it is told to end.
///
/// The process must have no other thread yet: namespaces are entered here.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    logging::start();
    if !rustix::process::geteuid().is_root() {
        bail!("`xlvs run` needs root: it loads programs into the kernel. Try: sudo xlvs run ...");
    }
    run_with(args, kernel::open)
}

/// [`run`] with any data plane.
pub(crate) fn run_with(
    mut args: RunArgs,
    open: impl FnOnce(&Opening) -> anyhow::Result<Box<dyn Plane>>,
) -> anyhow::Result<ExitCode> {
    for folder in [&mut args.run_dir, &mut args.state_dir].into_iter().chain(&mut args.config) {
        *folder = std::path::absolute(&folder)
            .with_context(|| format!("cannot find {}", folder.display()))?;
    }
    if let Some(name) = &args.netns {
        host::enter_network(name)?;
    }
    // A broken file is told of before anything is touched.
    let loaded = read_config(&args)?;
    let place = host::place()?;
    let instance = args.instance.clone().unwrap_or_else(|| place.default_name.clone());
    let run_dir = RunDir::take(&args.run_dir, &instance, &place.identity)?;
    // What an earlier daemon left in place outlives a start that fails; what this start began does
    // not.
    let forwarded = host::forwards(&run_dir.bpf());
    let ending = direct(&args, loaded, (&place, &instance), &run_dir, open);
    let stays = match &ending {
        Ok(ending) => *ending != Ending::Detached,
        Err(_) => forwarded,
    };
    let tidied = if stays { run_dir.leave().map_err(Into::into) } else { remove(run_dir) };
    match (ending, tidied) {
        (Ok(Ending::Blind), _) => bail!("the kernel tells no more about routes and neighbours"),
        (Ok(Ending::Left | Ending::Detached), tidied) => tidied.map(|()| ExitCode::SUCCESS),
        (Err(e), Ok(())) => Err(e),
        (Err(e), Err(tidying)) => {
            warn!("{tidying:#}");
            Err(e)
        }
    }
}

/// How the file of `-c` is to be read.
fn reading(args: &RunArgs) -> Reading {
    Reading { format: args.format.map(|arg| arg.0), config_id: args.config_id.clone() }
}

/// The file of `-c`.
fn read_config(args: &RunArgs) -> anyhow::Result<Option<Loaded>> {
    let Some(path) = &args.config else { return Ok(None) };
    match load(path, &reading(args)) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(broken) => bail!("{}\n\n{}", broken.summary, broken.report.trim_end()),
    }
}

/// Nothing stays behind of an instance that forwards nothing.
fn remove(run_dir: RunDir) -> anyhow::Result<()> {
    let bpf = run_dir.bpf();
    host::clear(&bpf)?;
    match host::unmount(&bpf)? {
        Unmounted::Gone => Ok(run_dir.remove()?),
        // It is whose who mounted it for us; nothing is in it.
        Unmounted::NotOurs => Ok(run_dir.leave()?),
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The daemon goes, the forwarding stays.
    Left,
    /// Nothing stays.
    Detached,
    /// As [`Ending::Left`], but for a failure.
    Blind,
}

impl Ending {
    /// What stays in the kernel, in words.
    const fn told(self) -> &'static str {
        match self {
            Self::Left | Self::Blind => "what is in the kernel goes on forwarding",
            Self::Detached => "nothing is left in the kernel",
        }
    }
}

fn direct(
    args: &RunArgs,
    loaded: Option<Loaded>,
    (place, instance): (&Place, &str),
    run_dir: &RunDir,
    open: impl FnOnce(&Opening) -> anyhow::Result<Box<dyn Plane>>,
) -> anyhow::Result<Ending> {
    let store = (!args.ephemeral).then(|| Store::new(&args.state_dir, instance));
    let saved = store.as_ref().map(Store::load).transpose()?.flatten();
    // One thread: the mount namespace is still to be entered.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot make a runtime")?;
    let (netlink, changes) = {
        let _guard = runtime.enter();
        Netlink::open().context("cannot talk to rtnetlink")?
    };
    let host = runtime.block_on(netlink.host()).context("cannot list the host's interfaces")?;
    let boot = if args.instance.is_none() && place.is_numbered { boot_id() } else { None };
    let settings = settle(args, saved, boot, &host)?;
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    let bpffs = Bpffs::mount(&run_dir.bpf())?;
    let plane = open(&Opening {
        pins: bpffs.path(),
        xdp_mode: settings.saved.xdp_mode,
        connections: settings.saved.connections,
        counters: settings.saved.counters.clone(),
    })?;
    let director = Director {
        instance: instance.to_owned(),
        socket: run_dir.socket(),
        ephemeral: args.ephemeral,
        metrics: args.metrics,
        loaded,
        options: Options {
            config: args.config.clone(),
            reading: reading(args),
            by_hand: args.by_hand,
            record: store.is_some().then(|| RecordFile::new(&args.state_dir, instance)),
            ..Options::default()
        },
        settings,
        store,
        netlink,
        changes,
    };
    let ending = director.run(runtime, plane);
    drop(bpffs);
    ending
}

/// All parts, about to be joined.
struct Director {
    instance: String,
    socket: PathBuf,
    ephemeral: bool,
    metrics: Option<SocketAddr>,
    loaded: Option<Loaded>,
    options: Options,
    settings: Settings,
    store: Option<Store>,
    netlink: Netlink,
    changes: BoxStream<'static, Changed>,
}

impl Director {
    fn run(self, runtime: Runtime, plane: Box<dyn Plane>) -> anyhow::Result<Ending> {
        let (ending, thread) = runtime.block_on(self.serve(plane))?;
        // With the runtime's tasks go the last handles to the engine, and so its thread.
        drop(runtime);
        if thread.join().is_err() {
            bail!("the engine's thread panicked; its message is above");
        }
        Ok(ending)
    }

    async fn serve(self, plane: Box<dyn Plane>) -> anyhow::Result<(Ending, JoinHandle<()>)> {
        let mut signals = Signals::new().context("cannot wait for signals")?;
        let rest = self.settings.saved.clone();
        let (interfaces, model) = (rest.interfaces.clone(), rest.model.clone());
        let mut ways = Ways::new(real_servers(&model));
        let saving = self.store.map(|store| Saving { store, rest });
        let (publish, published) = mpsc::unbounded_channel();
        let (wishes, granted) = mpsc::channel(MAX_WISHES);
        let mut engine =
            Engine::start(plane, model, interfaces.clone(), saving, publish, wishes.clone())
                .context("the data plane does not take the saved state")?;
        let sight = look(&self.netlink, &mut ways, usize::MAX, Occasion::Periodic).await;
        // Tables first, then packets.
        engine.see(sight.context("cannot read routes and neighbours")?, true)?;
        let mut firewall = FirewallWatcher::new();
        engine.see_firewall(firewall.look().await.clone());
        engine.attach()?;
        let (engine, thread) =
            Owner::start(engine, TICK_PERIOD).context("cannot start the engine's thread")?;

        let watcher = Watcher::new(self.netlink, self.changes, ways, published, granted);
        let watching = tokio::spawn(watcher.run(engine.clone()));
        tokio::spawn(firewall.run(engine.clone()));
        let site = Box::pin(begin(&engine, self.options, self.loaded)).await?;
        let listener = Listener::bind(&self.socket)
            .with_context(|| format!("cannot listen on {}", self.socket.display()))?;
        if let Some(address) = self.metrics {
            give_metrics(address, &engine).await?;
        }
        let (detached, mut was_detached) = mpsc::channel(1);
        let standing = self.settings.warnings;
        let instance = self.instance;
        let app = App {
            engine: engine.clone(),
            site: site.clone(),
            wishes,
            detached,
            instance,
            interfaces,
            standing,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let service = router(app).into_make_service_with_connect_info::<Peer>();
        let server = axum::serve(listener, service).with_graceful_shutdown(async {
            stopped.await.unwrap_or_default();
        });
        let server = tokio::spawn(server.into_future());
        watchdog::start(engine.clone());
        announce();

        let mut ending = tokio::select! {
            () = signals.end(&site) => Ending::Left,
            _ = was_detached.recv() => Ending::Detached,
            // Blind for next hops it is better to be started again.
            _ = watching => Ending::Blind,
        };
        sd_notify::notify(&[NotifyState::Stopping]).unwrap_or_default();
        let gone = ending == Ending::Detached || (ending == Ending::Left && self.ephemeral);
        drop(timeout(STOPPING, site.stop(gone)).await);
        if ending == Ending::Left && self.ephemeral {
            engine
                .ask(|engine| engine.detach(&Actor::default()))
                .await
                .context("the engine is gone")??;
            ending = Ending::Detached;
        }
        // Answers that are being written get their moment; idle clients do not hold us up.
        stop.send(()).unwrap_or_default();
        drop(timeout(PARTING, server).await);
        info!("stopped; {}", ending.told());
        Ok((ending, thread))
    }
}

/// The signals that mean something to a daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Until it is to end. SIGHUP has the file applied again.
    async fn end(&mut self, site: &Site) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reload(site).await,
            }
        }
    }
}

/// Applies the file again, and has systemd wait for it.
async fn reload(site: &Site) {
    let mut begun = vec![NotifyState::Reloading];
    begun.extend(NotifyState::monotonic_usec_now());
    sd_notify::notify(&begun).unwrap_or_default();
    site.reload().await;
    sd_notify::notify(&[NotifyState::Ready]).unwrap_or_default();
}

/// Answers on a TCP port of its own.
async fn give_metrics(address: SocketAddr, engine: &Owner<Engine>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address} for metrics"))?;
    info!("metrics are on http://{address}/metrics");
    tokio::spawn(axum::serve(listener, metrics_alone(engine.clone())).into_future());
    Ok(())
}

/// The file in force, and its checks.
async fn begin(
    engine: &Owner<Engine>,
    options: Options,
    loaded: Option<Loaded>,
) -> anyhow::Result<Site> {
    let (site, mut runner) = Site::new(engine.clone(), options);
    let checks = Box::new(site.checks());
    engine.ask(|engine| engine.set_checks(checks)).await;
    let begun = Box::pin(runner.begin(loaded)).await;
    begun.map_err(|why| anyhow!("the configuration file is not put in force: {why}"))?;
    tokio::spawn(runner.run());
    Ok(site)
}

/// Says that everything works, to whoever started us.
fn announce() {
    let mut stdout = io::stdout();
    if let Err(e) = writeln!(stdout, "xlvs: ready").and_then(|()| stdout.flush()) {
        warn!("cannot write to standard output: {e}");
    }
    if let Err(e) = sd_notify::notify(&[NotifyState::Ready]) {
        warn!("cannot tell systemd: {e}");
    }
}

/// Wishes that may wait for the watcher.
const MAX_WISHES: usize = 256;

/// How long answers may take to be written at the end.
const PARTING: Duration = Duration::from_millis(500);

/// The longest `shutdown_script_timeout`, and what ending a script that overran takes.
const STOPPING: Duration = Duration::from_secs(1005);

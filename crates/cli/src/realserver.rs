//! `xlvs realserver`: what a real server needs for DR and tunnels, as the scripts of every LVS site
//! do it. The virtual address goes on the loopback interface, where the host does not tell the
//! network about it (`arp_ignore`, `arp_announce`); for tunnels packets are unwrapped by XDP.
//!
//! What was changed is written down (`RUN/realserver/NETNS.json`), and exactly that is undone.

mod decap;
mod record;
mod settings;

use std::{
    env,
    fmt::Write,
    io::{self, Write as _},
    net::Ipv4Addr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Result, bail, ensure};
use xlvs_testkit::{netlink::Netlink, netns};

use record::{Record, Vip};

/// Make this host a real server for DR or tunnels, and undo it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// Where what was changed is written down [default: `$XLVS_RUN_DIR`, else /run/xlvs].
    #[arg(long, value_name = "DIR", global = true)]
    run_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Take packets for virtual addresses.
    #[command(after_help = EXAMPLES)]
    Start {
        /// The virtual address; repeatable.
        #[arg(long = "vip", value_name = "ADDRESS", required = true)]
        vips: Vec<Ipv4Addr>,
        /// How packets come from the director.
        #[arg(long, value_enum, default_value_t = Mode::Dr)]
        mode: Mode,
        /// Where tunnelled packets come in [default: the only interface].
        #[arg(long, value_name = "IF")]
        interface: Option<String>,
    },
    /// Undo it.
    #[command(after_help = EXAMPLES)]
    Stop {
        /// The virtual address; repeatable. Without it: all of them.
        #[arg(long = "vip", value_name = "ADDRESS")]
        vips: Vec<Ipv4Addr>,
        /// Accepted, so that `stop` can be written as `start` was.
        #[arg(long, value_enum)]
        mode: Option<Mode>,
        /// Accepted likewise.
        #[arg(long, value_name = "IF")]
        interface: Option<String>,
    },
    /// Show what is in force.
    #[command(after_help = EXAMPLES)]
    Status,
}

/// How packets come from the director.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Direct routing: as they are.
    Dr,
    /// Wrapped: IP in IP.
    Tun,
}

/// Does what was asked.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    ensure!(rustix::process::geteuid().is_root(), NOT_ROOT);
    let run_dir = args.run_dir.or_else(|| env::var_os("XLVS_RUN_DIR").map(PathBuf::from));
    let folder = run_dir.unwrap_or_else(|| "/run/xlvs".into()).join("realserver");
    let identity = netns::identity()?.replace(':', "-");
    let mut host = Host {
        netlink: Netlink::open()?,
        pins: folder.join(format!("{identity}.bpf")),
        record: record::open(&folder, &identity)?,
    };
    match args.verb {
        Verb::Status => {
            let _ = io::stdout().write_all(host.status()?.as_bytes());
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Start { vips, mode, interface } => {
            host.start(&vips, mode, interface)?;
        }
        Verb::Stop { vips, .. } => {
            host.stop(&vips)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// This host, as far as it is a real server.
struct Host {
    netlink: Netlink,
    pins: PathBuf,
    record: record::Open,
}

impl Host {
    fn start(&mut self, vips: &[Ipv4Addr], mode: Mode, interface: Option<String>) -> Result<()> {
        for vip in vips {
            ensure!(
                !vip.is_loopback() && !vip.is_unspecified(),
                "{vip} cannot be a virtual address"
            );
            if let Some(other) = self.record.vips.get(vip).filter(|known| known.mode != mode) {
                let other = other.mode.name();
                bail!(
                    "{vip} is in force with --mode {other}: first \
                     `xlvs realserver stop --vip {vip}`"
                );
            }
        }
        self.forget_another_host()?;
        let mut wanted = settings::quiet();
        if mode == Mode::Tun {
            let interface = self.tunnel_interface(interface)?;
            self.unwrap_packets(&interface, vips)?;
            wanted.extend(settings::loose(&interface));
        }
        // ARP is made quiet before the address is there to be told about.
        for setting in wanted {
            settings::apply(&mut self.record, &setting)?;
            self.record.save()?;
        }
        for vip in vips {
            let there = self.has(*vip)?;
            if !there {
                self.netlink.add_address(LOOPBACK, *vip, 32)?;
            }
            let known = self.record.vips.entry(*vip);
            known.or_insert(Vip { mode, added: !there });
            self.record.save()?;
        }
        self.netlink.set_up(LOOPBACK, true)?;
        Ok(())
    }

    /// Attaches the program unless it is there; an attempt that fails leaves nothing.
    fn unwrap_packets(&mut self, interface: &str, vips: &[Ipv4Addr]) -> Result<()> {
        let is_first = self.record.tunnel.is_none();
        self.record.tunnel = Some(interface.to_owned());
        self.record.save()?;
        decap::start(&self.pins, interface, vips).or_else(|error| {
            if is_first {
                decap::stop(&self.pins)?;
                self.record.tunnel = None;
                self.record.save()?;
            }
            Err(error)
        })
    }

    fn stop(&mut self, vips: &[Ipv4Addr]) -> Result<()> {
        let vips = if vips.is_empty() {
            self.record.vips.keys().copied().collect()
        } else {
            vips.to_vec()
        };
        for vip in vips {
            let Some(known) = self.record.vips.get(&vip).copied() else {
                continue; // twice stopped is stopped
            };
            if known.added && self.has(vip)? {
                self.netlink.remove_address(LOOPBACK, vip, 32)?;
            }
            if known.mode == Mode::Tun {
                decap::remove_vip(&self.pins, vip)?;
            }
            self.record.vips.remove(&vip);
            self.record.save()?;
        }
        if self.record.vips.values().all(|vip| vip.mode == Mode::Dr) {
            if self.record.tunnel.take().is_some() {
                decap::stop(&self.pins)?;
            }
            settings::undo(&mut self.record, settings::is_for_tunnel)?;
        }
        if self.record.vips.is_empty() {
            settings::undo(&mut self.record, |_| true)?;
        }
        self.record.save()
    }

    fn status(&self) -> Result<String> {
        let mut text = String::new();
        if self.record.vips.is_empty() {
            return Ok("no virtual address is in force\n".to_owned());
        }
        writeln!(text, "{:<18} {:<5} ON LO", "VIP", "MODE")?;
        for (vip, known) in &self.record.vips {
            let there = if self.has(*vip)? { "yes" } else { "missing: start it again" };
            writeln!(text, "{:<18} {:<5} {there}", vip.to_string(), known.mode.name())?;
        }
        for setting in &self.record.settings {
            let now = settings::read(&setting.key).unwrap_or_else(|_| "?".to_owned());
            writeln!(text, "{} = {now} (was {})", setting.key, setting.before)?;
        }
        if let Some(interface) = &self.record.tunnel {
            let counters = decap::counters(&self.pins)?;
            writeln!(text, "tunnel on {interface}: {counters}")?;
        }
        Ok(text)
    }

    fn has(&self, vip: Ipv4Addr) -> Result<bool> {
        let loopback = self.netlink.index(LOOPBACK)?;
        let addresses = self.netlink.addresses()?;
        Ok(addresses.iter().any(|one| one.index == loopback && one.address == vip))
    }

    /// A namespace's number may be taken again by a later one: a record of which nothing holds here
    /// is not about this host.
    fn forget_another_host(&mut self) -> Result<()> {
        let vips: Vec<_> = self.record.vips.keys().copied().collect();
        let mut any = vips.is_empty();
        for vip in vips {
            any |= self.has(vip)?;
        }
        let holds = |setting: &record::Setting| {
            settings::read(&setting.key).is_ok_and(|now| now == setting.after)
        };
        if !any && !self.record.settings.iter().any(holds) {
            decap::stop(&self.pins)?;
            *self.record = Record::default();
        }
        Ok(())
    }

    fn tunnel_interface(&self, asked: Option<String>) -> Result<String> {
        if let Some(known) = &self.record.tunnel {
            let same = asked.is_none_or(|asked| asked == *known);
            ensure!(same, "tunnelled packets are taken from {known}: stop that first");
            return Ok(known.clone());
        }
        let links = self.netlink.links()?;
        if let Some(asked) = asked {
            let found = links.iter().any(|link| link.name == asked);
            ensure!(found, "there is no interface {asked}: see `ip link`");
            return Ok(asked);
        }
        let mut usable = links.into_iter().filter(|link| !link.loopback && link.up);
        match (usable.next(), usable.next()) {
            (Some(only), None) => Ok(only.name),
            (None, _) => bail!("no interface is up"),
            (Some(one), Some(other)) => {
                let others = usable.map(|link| link.name);
                let names: Vec<_> = [one.name, other.name].into_iter().chain(others).collect();
                bail!(
                    "which interface do tunnelled packets come in by? \
                     Give --interface with one of: {}",
                    names.join(", ")
                )
            }
        }
    }
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Dr => "dr",
            Self::Tun => "tun",
        }
    }
}

const LOOPBACK: &str = "lo";
const NOT_ROOT: &str = "what makes a real server is root's affair: try it with sudo";
const EXAMPLES: &str = "Examples:
  xlvs realserver start --vip 172.16.0.113
  xlvs realserver start --vip 172.16.0.113 --mode tun --interface eth0
  xlvs realserver status
  xlvs realserver stop";

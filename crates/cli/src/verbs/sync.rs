//! `xlvs sync`.

use std::{io::Write, net::IpAddr};

use clap::ValueEnum;
use xlvs_api::Director;
use xlvs_model::{Change, SyncDaemon, SyncRole};

use super::{Where, service::change_one};
use crate::output::{self, Format, Output};

/// `xlvs sync`
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List sync daemons.
    #[command(after_help = EXAMPLES)]
    List {
        #[command(flatten)]
        place: Where,
        #[command(flatten)]
        output: Output,
    },
    /// Start a sync daemon.
    #[command(after_help = EXAMPLES)]
    Start(Start),
    /// Stop a sync daemon.
    #[command(after_help = EXAMPLES)]
    Stop {
        /// Which of the two.
        #[arg(value_enum)]
        role: Role,
        #[command(flatten)]
        place: Where,
    },
}

/// A daemon to start; what is not said is as the kernel has it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Start {
    /// Which of the two.
    #[arg(value_enum)]
    role: Role,

    /// The interface that messages go out or come in by.
    #[arg(long, short)]
    interface: String,

    /// The number of the pair of directors; 0 listens to all.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    syncid: u8,

    /// Bytes that a message may have [default: as the interface carries]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(1..=65507))]
    maxlen: Option<u16>,

    /// The multicast group [default: 224.0.0.81]
    #[arg(long, value_name = "ADDRESS", value_parser = group)]
    group: Option<IpAddr>,

    /// The UDP port [default: 8848]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Hops that a message may take [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    ttl: Option<u8>,

    #[command(flatten)]
    place: Where,
}

/// What a daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Tells of its connections.
    Master,
    /// Takes over what it is told.
    Backup,
}

impl From<Role> for SyncRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Master => Self::Master,
            Role::Backup => Self::Backup,
        }
    }
}

impl Verb {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let place = match self {
            Self::List { place, .. } | Self::Stop { place, .. } => place,
            Self::Start(start) => &start.place,
        };
        self.run_on(&mut place.connect()?, &mut output::stdout())
    }

    /// Does it to a director.
    pub(super) fn run_on(
        &self,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        match self {
            Self::List { output, .. } => list(director, *output, out),
            Self::Start(start) => {
                let what = format!("the sync {} on {}", name(start.role), start.interface);
                change_one(director, Change::StartDaemon { daemon: start.daemon() }, &what)
            }
            Self::Stop { role, .. } => {
                let what = format!("the sync {}", name(*role));
                change_one(director, Change::StopDaemon { role: (*role).into() }, &what)
            }
        }
    }
}

impl Start {
    fn daemon(&self) -> SyncDaemon {
        let usual = SyncDaemon::new(self.role.into(), self.interface.clone());
        SyncDaemon {
            syncid: self.syncid,
            maxlen: self.maxlen.unwrap_or(usual.maxlen),
            group: self.group.unwrap_or(usual.group),
            port: self.port.unwrap_or(usual.port),
            ttl: self.ttl.unwrap_or(usual.ttl),
            ..usual
        }
    }
}

fn list(director: &mut dyn Director, format: Output, out: &mut dyn Write) -> anyhow::Result<()> {
    let daemons = director.sync()?;
    if format.output == Format::Json {
        return output::json(out, &daemons);
    }
    let head = ["ROLE", "INTERFACE", "SYNCID", "MAXLEN", "GROUP", "PORT", "TTL"];
    let rows = daemons.iter().map(|daemon| {
        [
            daemon.role.name().to_owned(),
            daemon.interface.clone(),
            daemon.syncid.to_string(),
            daemon.maxlen.to_string(),
            daemon.group.to_string(),
            daemon.port.to_string(),
            daemon.ttl.to_string(),
        ]
    });
    output::table(out, head, rows)
}

fn name(role: Role) -> &'static str {
    SyncRole::from(role).name()
}

fn group(text: &str) -> Result<IpAddr, &'static str> {
    let group: Option<IpAddr> = text.parse().ok();
    group.filter(IpAddr::is_multicast).ok_or("write a multicast address, 224.0.0.81 or ff02::81")
}

const EXAMPLES: &str = "\
Examples:
  xlvs sync start master --interface eth0 --syncid 7
  xlvs sync start backup --interface eth0 --group ff02::81 --ttl 4
  xlvs sync stop master
  xlvs sync list -o json";

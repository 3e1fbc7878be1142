//! The flags of `xlvs run`.

use std::{net::SocketAddr, path::PathBuf};

use clap::builder::PossibleValue;
use serde::{Deserialize, Serialize};
use xlvs_config::Format;

/// How XDP is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XdpMode {
    /// Native, or generic where the driver has no native XDP (announced).
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the kernel's stack: works with every driver, slower.
    Generic,
}

/// What becomes of changes by hand to services that a configuration file owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ByHand {
    /// They are put right within seconds.
    #[default]
    Revert,
    /// They stay until the file is applied again.
    Keep,
}

/// What a file is, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatArg(pub Format);

impl clap::ValueEnum for FormatArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [FormatArg; Format::ALL.len()] = {
            let mut all = [FormatArg(Format::Keepalived); Format::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = FormatArg(Format::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.described()))
    }
}

/// Run the director of this network namespace.
///
/// The daemon may be stopped, killed and replaced: what is in the kernel goes on forwarding, and
/// the next daemon takes it over. `xlvs detach` takes it out.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Where packets come in; may be given several times. Without it the interfaces of the saved
    /// state are used.
    #[arg(long = "interface", short = 'i', value_name = "IF")]
    pub interfaces: Vec<String>,

    /// The services and their checks: a keepalived.conf, lvs.cf, ldirectord.cf, save file of
    /// ipvsadm, or TOML. It is applied again on SIGHUP.
    #[arg(long, short = 'c', value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What FILE is [default: what it looks like].
    #[arg(long, value_enum, value_name = "FORMAT", requires = "config")]
    pub format: Option<FormatArg>,

    /// What `@id` lines of the file are compared with [default: the host's name up to the first
    /// dot].
    #[arg(long, value_name = "ID")]
    pub config_id: Option<String>,

    /// What becomes of changes that somebody makes by hand to what the file owns.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub by_hand: ByHand,

    /// How XDP is attached [default: auto, or as it was].
    #[arg(long, value_enum, value_name = "MODE")]
    pub xdp_mode: Option<XdpMode>,

    /// The network namespace to direct in: a name of `ip netns`, or a path.
    #[arg(long, value_name = "NAME|PATH")]
    pub netns: Option<String>,

    /// The name of this director [default: `default`, or ns-INODE outside the host's own
    /// namespace].
    #[arg(long, value_name = "NAME", env = "XLVS_INSTANCE")]
    pub instance: Option<String>,

    /// Room in the connection table; NAT takes two entries for a connection [default: 1048576].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(CONNECTIONS_RANGE))]
    pub connections: Option<u32>,

    /// Keep no state, and take everything out of the kernel at the end.
    #[arg(long)]
    pub ephemeral: bool,

    /// Answer GET /metrics on this TCP address, too, to anybody who reaches it [default: on the
    /// socket alone].
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,

    /// Sockets and pins.
    #[arg(long, value_name = "DIR", env = "XLVS_RUN_DIR", default_value = "/run/xlvs")]
    pub run_dir: PathBuf,

    /// What is kept over a restart of the host.
    #[arg(long, value_name = "DIR", env = "XLVS_STATE_DIR", default_value = "/var/lib/xlvs")]
    pub state_dir: PathBuf,
}

/// Room in the connection table, unless told.
pub(crate) const DEFAULT_CONNECTIONS: u32 = 1 << 20;

/// From a toy to what a table of 32-bit indices holds with room to spare.
const CONNECTIONS_RANGE: std::ops::RangeInclusive<i64> = 16..=(1 << 28);

const EXAMPLES: &str = "\
Examples:
  xlvs run --interface eth0
  xlvs run --interface eth0 --interface eth1 --connections 4000000
  xlvs run --netns director --interface veth0 --ephemeral
  xlvs run --interface eth0 --metrics 10.0.0.2:9117
  xlvs run --interface eth0 -c /etc/keepalived/keepalived.conf

XLVS_LOG says what is logged: XLVS_LOG=debug xlvs run ...";

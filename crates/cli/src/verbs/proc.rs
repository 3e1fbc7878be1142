//! `xlvs proc`: the files of `/proc/net` that the kernel's `ip_vs` has, for scripts that read them.
//!
//! Byte for byte what Linux 6.1 and 6.12 print, but for the order of connections, which the kernel
//! takes from a hash with a secret of its own. Nobody can rely on it, so here they come in no
//! order.

use std::{
    fmt::Write as _,
    io::Write,
    net::{IpAddr, SocketAddr},
};

use clap::ValueEnum;
use xlvs_api::{ClientError, ConnectionView, Director, Filter, Rate, ServiceView, Stats};
use xlvs_model::{ClientMask, Method, ServiceKey};

use super::Where;
use crate::{
    face,
    output::{self, Hinted},
};

/// `xlvs proc`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The file, by its name in /proc/net.
    #[arg(value_name = "FILE")]
    file: File,

    #[command(flatten)]
    place: Where,
}

/// The files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum File {
    /// Services and their servers; seconds are given in ticks of 4 ms.
    #[value(name = "ip_vs")]
    Services,
    /// Connections.
    #[value(name = "ip_vs_conn")]
    Connections,
    /// Connections, and whether another director told of them.
    #[value(name = "ip_vs_conn_sync")]
    Origins,
    /// What the whole director counts.
    #[value(name = "ip_vs_stats")]
    Stats,
    /// The same, CPU by CPU.
    #[value(name = "ip_vs_stats_percpu")]
    StatsByCpu,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut director = self.place.connect()?;
        let (text, is_whole) = self.file.text(&mut director, 0)?;
        output::stdout().write_all(text.as_bytes())?;
        if is_whole {
            return Ok(());
        }
        let message = format!("{} connections shown, there are more", text.lines().count() - 1);
        Err(Hinted::new(message, "xlvs conn list --service, --server or --state").into())
    }
}

impl File {
    /// What is in it, and whether that is all. `salt` stands for the kernel's secret that orders
    /// services.
    pub(crate) fn text(
        self,
        director: &mut dyn Director,
        salt: u8,
    ) -> Result<(String, bool), ClientError> {
        Ok(match self {
            Self::Services => {
                let size = director.status()?.connection_capacity;
                (services(&director.services()?, size, salt), true)
            }
            Self::Connections | Self::Origins => {
                let all = Filter { limit: Some(usize::MAX), ..Filter::default() };
                let listed = director.connections(&all)?;
                let is_plain = self == Self::Connections;
                let mut text = if is_plain { CONN_TITLE } else { SYNC_TITLE }.to_owned();
                for connection in &listed.connections {
                    text += &ends(connection);
                    text += &if is_plain { expiry(connection) } else { origin(connection) };
                }
                (text, !listed.truncated)
            }
            Self::Stats => {
                let totals = director.totals()?;
                let (sums, rates) = (sums(&totals.stats), rates(&totals.rate));
                (format!("{STATS_TITLE}{sums}\n{RATES_TITLE}{rates}"), true)
            }
            Self::StatsByCpu => {
                let totals = director.totals()?;
                let mut text = CPUS_TITLE.to_owned();
                for (cpu, stats) in totals.cpus.iter().enumerate() {
                    let _ = write!(text, "{cpu:>3X} {}", sums(stats));
                }
                let (sums, rates) = (sums(&totals.stats), rates(&totals.rate));
                (format!("{text}  ~ {sums}\n    {RATES_TITLE}    {rates}"), true)
            }
        })
    }
}

fn services(services: &[ServiceView], size: u64, salt: u8) -> String {
    let mut text = format!("IP Virtual Server version 1.2.1 (size={size})\n{SERVICES_TITLE}");
    for service in face::as_held(services, salt) {
        text += &head(service);
        for server in service.servers.iter().filter(|server| server.is_listed()) {
            let method = match server.method {
                Method::Masq => "Masq",
                Method::Tunnel => "Tunnel",
                Method::Route => "Route",
            };
            let address = end(server.address.ip(), server.address.port());
            let weight = server.weight_now().cast_signed();
            let (active, inactive) = (server.active, server.inactive);
            let figures = format!("{method:<7} {weight:<6} {active:<10} {inactive:<10}");
            let _ = writeln!(text, "  -> {address}      {figures}");
        }
    }
    text
}

/// A service's own line. Only a service of an IPv4 address has a space where `ops` would stand, and
/// one of an IPv6 address never says `ops`.
fn head(service: &ServiceView) -> String {
    let terms = &service.terms;
    let scheduler = terms.scheduler.name();
    let ops = if terms.one_packet { "ops " } else { "" };
    let mut line = match service.key {
        ServiceKey::Socket { protocol, address, port } => {
            let (protocol, end) = (protocol.name().to_uppercase(), end(address, port));
            match address {
                IpAddr::V4(_) => format!("{protocol}  {end} {scheduler} {ops} "),
                IpAddr::V6(_) => format!("{protocol}  {end} {scheduler} "),
            }
        }
        ServiceKey::Mark { mark, .. } => format!("FWM  {mark:08X} {scheduler} {ops}"),
    };
    if let Some(persistence) = terms.persistence {
        let ticks = persistence.timeout_s.wrapping_mul(TICKS_PER_S).cast_signed();
        let mask = match persistence.mask {
            ClientMask::V4(mask) => u32::from(mask),
            // The kernel prints the prefix's length as if it were a mask on the wire.
            ClientMask::V6(prefix) => u32::from(prefix).swap_bytes(),
        };
        write!(line, "persistent {ticks} {mask:08X}").unwrap_or_default();
    }
    line + "\n"
}

fn ends(connection: &ConnectionView) -> String {
    let end = |end: SocketAddr| format!("{} {:04X}", hex(end.ip()), end.port());
    let ConnectionView { protocol, client, vip, server, state, .. } = connection;
    let ends = [end(*client), end(*vip), end(*server)].join(" ");
    format!("{protocol:<3} {ends} {state:<11}")
}

fn expiry(connection: &ConnectionView) -> String {
    let engine = connection.engine.as_ref();
    let engine = engine.map(|engine| format!(" {} {}", engine.name, engine.data));
    format!(" {:>7}{}\n", connection.expires_s, engine.unwrap_or_default())
}

fn origin(connection: &ConnectionView) -> String {
    let origin = if connection.synced { "SYNC" } else { "LOCAL" };
    format!(" {origin:<6} {:>7}\n", connection.expires_s)
}

fn sums(stats: &Stats) -> String {
    let Stats { connections, in_packets, out_packets, in_bytes, out_bytes } = stats;
    figures([*connections, *in_packets, *out_packets, *in_bytes, *out_bytes])
}

fn rates(rate: &Rate) -> String {
    let Rate { cps, inpps, outpps, inbps, outbps } = rate;
    figures([*cps, *inpps, *outpps, *inbps, *outbps])
}

fn figures([connections, inward, outward, in_bytes, out_bytes]: [u64; 5]) -> String {
    format!("{connections:>8X} {inward:>8X} {outward:>8X} {in_bytes:>16X} {out_bytes:>16X}\n")
}

/// `0A000001:0050` or `[fd00:0000:...]:0050`.
fn end(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(_) => format!("{}:{port:04X}", hex(address)),
        IpAddr::V6(_) => format!("[{}]:{port:04X}", hex(address)),
    }
}

fn hex(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("{:08X}", u32::from(v4)),
        IpAddr::V6(v6) => v6.segments().map(|segment| format!("{segment:04x}")).join(":"),
    }
}

/// `HZ` of Debian's and most other kernels.
const TICKS_PER_S: u32 = 250;

const SERVICES_TITLE: &str = "\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
";
const CONN_TITLE: &str =
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";
const SYNC_TITLE: &str =
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n";
const STATS_TITLE: &str = concat!(
    "   Total Incoming Outgoing         Incoming         Outgoing\n",
    "   Conns  Packets  Packets            Bytes            Bytes\n"
);
const RATES_TITLE: &str = " Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n";
const CPUS_TITLE: &str = concat!(
    "       Total Incoming Outgoing         Incoming         Outgoing\n",
    "CPU    Conns  Packets  Packets            Bytes            Bytes\n"
);

const EXAMPLES: &str = "\
Examples:
  xlvs proc ip_vs                 instead of cat /proc/net/ip_vs
  xlvs proc ip_vs_stats_percpu    figures in hexadecimal, as the kernel has them";

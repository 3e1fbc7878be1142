//! `xlvs status`.

use std::io::Write;

use owo_colors::OwoColorize;
use xlvs_api::{Director, FileView, ServerView, ServiceView, Status};
use xlvs_model::State;

use super::{Where, server, service, when};
use crate::output::{self, Format, Output};

/// `xlvs status`
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,

    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut client = self.place.connect()?;
        show(&mut client, Output { output: self.output }, &mut output::stdout())
    }
}

/// Shows the status of a director.
pub(super) fn show(
    director: &mut dyn Director,
    format: Output,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let status = director.status()?;
    if format.output == Format::Json {
        return output::json(out, &status);
    }
    head(&status, out)?;
    let packets: Vec<_> = status.packets.iter().filter(|(_, count)| **count > 0).collect();
    writeln!(out, "\n{}", "Packets".bold())?;
    if packets.is_empty() {
        writeln!(out, "  none yet")?;
    }
    let width = packets.iter().map(|(reason, _)| reason.len()).max().unwrap_or(0);
    for (reason, count) in packets {
        writeln!(out, "  {reason:<width$}  {count:>12}")?;
    }
    let services = director.services()?;
    if services.is_empty() {
        writeln!(out, "\nNo services yet. Add one: xlvs service add tcp:ADDRESS:PORT")?;
        return Ok(());
    }
    out_of_service(&services, out)?;
    let shown: Vec<ServiceView> = services.iter().take(SERVICES_SHOWN).cloned().collect();
    writeln!(out)?;
    service::table(&shown, out)?;
    if services.len() > shown.len() {
        let more = services.len() - shown.len();
        writeln!(out, "... and {more} more: xlvs service list")?;
    }
    Ok(())
}

/// Servers that do not get what is written of them, and why.
fn out_of_service(services: &[ServiceView], out: &mut dyn Write) -> anyhow::Result<()> {
    let each = services.iter().flat_map(|s| s.servers.iter().map(move |server| (s.key, server)));
    let is_odd = |server: &ServerView| !matches!(server.state(), State::Up | State::Standby);
    let odd: Vec<_> = each.filter(|(_, server)| is_odd(server)).collect();
    if odd.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", "Not as written".bold())?;
    for (service, server) in odd.iter().take(SERVERS_SHOWN) {
        writeln!(out, "  {} of {service}: {}", server.address, server::state(server))?;
    }
    if odd.len() > SERVERS_SHOWN {
        writeln!(out, "  ... and {} more: xlvs server list", odd.len() - SERVERS_SHOWN)?;
    }
    Ok(())
}

fn head(status: &Status, out: &mut dyn Write) -> anyhow::Result<()> {
    let Status { version, instance, pid, services, servers, .. } = status;
    writeln!(out, "{} {version}, director {}, pid {pid}", "xlvs".bold(), instance.bold())?;
    let interfaces: Vec<_> =
        status.interfaces.iter().map(|i| format!("{} ({})", i.name, i.xdp_mode)).collect();
    let interfaces = if interfaces.is_empty() { "none".into() } else { interfaces.join(", ") };
    let (used, room) = (status.connection_entries, status.connection_capacity);
    // In tenths of a percent.
    let share = u128::from(used) * 1000 / u128::from(room.max(1));
    writeln!(out, "  interfaces   {interfaces}")?;
    writeln!(out, "  services     {services} with {servers} servers")?;
    writeln!(out, "  connections  {used} of {room} entries ({}.{} %)", share / 10, share % 10)?;
    if let Some(file) = &status.file {
        writeln!(out, "  file         {}", of_file(file))?;
        for difference in &file.drift {
            let told = "changed by hand, to be put right:";
            writeln!(out, "  {} {told} {difference}", "warning:".yellow().bold())?;
        }
    }
    for warning in &status.warnings {
        writeln!(out, "  {} {warning}", "warning:".yellow().bold())?;
    }
    Ok(())
}

/// `keepalived.conf, services: 2, checked servers: 4, since 2026-11-21 12:01:02`.
fn of_file(view: &FileView) -> String {
    let FileView { file, since_ms, services, checked_servers, confirm_until_ms, .. } = view;
    let until = confirm_until_ms
        .map(|until| format!("; taken back at {} without `xlvs confirm`", when::moment(until)));
    let since = when::moment(*since_ms);
    format!(
        "{file}, services: {services}, checked servers: {checked_servers}, since {since}{}",
        until.unwrap_or_default()
    )
}

/// The screen is for a glance.
const SERVICES_SHOWN: usize = 20;
const SERVERS_SHOWN: usize = 10;

const EXAMPLES: &str = "\
Examples:
  xlvs status
  xlvs status -o json | jq .packets
  xlvs status --instance ns-4026532281";

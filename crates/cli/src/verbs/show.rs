//! `xlvs server show`: all that is known of a server.

use std::io::Write;

use owo_colors::OwoColorize;
use xlvs_api::{CheckResult, CheckView, Director, Event, ServerDetail, ServerView};

use super::{
    drain::{Target, progress},
    events,
    server::{method, next_hop},
    when,
};
use crate::output::{self, Format, Output};

/// `xlvs server show`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    pub(super) target: Target,

    #[command(flatten)]
    output: Output,
}

impl Show {
    pub(super) fn run_on(
        &self,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let found = self.target.find(director)?;
        if self.output.output == Format::Json {
            return output::json(out, &found);
        }
        for (number, detail) in found.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            write_one(detail, out)?;
        }
        Ok(())
    }
}

pub(super) fn write_one(detail: &ServerDetail, out: &mut dyn Write) -> anyhow::Result<()> {
    let ServerDetail { service, server, checks, events } = detail;
    writeln!(out, "{} of {service}", server.address.bold())?;
    let standing = server.standing.as_ref();
    let cause = standing.and_then(|standing| standing.cause.as_ref());
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    let mut line = |name: &str, text: &str| writeln!(out, "  {name:<12} {text}");
    line("state", &format!("{}{cause}", server.state().name()))?;
    if let Some(person) = &server.person {
        let since = when::moment(person.since * 1000);
        line("override", &format!("{person}, since {since}"))?;
    }
    if let Some(drain) = &server.drain {
        line("drain", &progress(drain))?;
    }
    line("weight", &weight(server))?;
    if let Some(owner) = &server.owner {
        line("owner", owner)?;
    }
    line("method", &method(server))?;
    if server.upper != 0 {
        line("limits", &format!("{} connections, again below {}", server.upper, server.lower))?;
    }
    line("next hop", &next_hop(&server.next_hop))?;
    let ServerView { active, inactive, stats, rate, .. } = server;
    let total = stats.connections;
    line("connections", &format!("{active} active, {inactive} inactive, {total} in all"))?;
    line("packets", &format!("{} in, {} out", stats.in_packets, stats.out_packets))?;
    line("bytes", &format!("{} in, {} out", stats.in_bytes, stats.out_bytes))?;
    let (cps, inpps) = (rate.cps, rate.inpps);
    line("a second", &format!("{cps} connections, {inpps} packets in"))?;
    write_checks(checks, out)?;
    write_events(events, out)
}

/// `3`, `3 written, 0 in force`, `3 written, out of the list`.
fn weight(server: &ServerView) -> String {
    let written = server.weight;
    match (&server.effective_weight, server.weight_now()) {
        _ if !server.is_listed() => format!("{written} written, out of the list"),
        (Some(now), _) => format!("{written} written, {now} in force"),
        (None, now) if now != written => format!("{written} written, {now} in force"),
        (None, _) => written.to_string(),
    }
}

fn write_checks(checks: &[CheckView], out: &mut dyn Write) -> anyhow::Result<()> {
    if checks.is_empty() {
        writeln!(out, "  {:<12} none", "checks")?;
        return Ok(());
    }
    writeln!(out, "  checks")?;
    for CheckView { name, up, since_ms, next_ms, results } in checks {
        let word = if *up { "up" } else { "down" };
        let since = since_ms.map(|ms| format!(", since {}", when::moment(ms)));
        let next = next_ms.map(|ms| format!(", asks again at {}", when::moment(ms)));
        let (since, next) = (since.unwrap_or_default(), next.unwrap_or_default());
        writeln!(out, "    {name}: {word}{since}{next}")?;
        for CheckResult { at_ms, good, result, code, latency_us } in results {
            let (mark, told) = if *good {
                ("good", result.strip_prefix("good").unwrap_or(result))
            } else {
                ("bad", result.as_str())
            };
            let told = told.trim_start_matches([',', ' ']).to_owned();
            // Most results name it themselves.
            let code = code.filter(|code| !told.contains(&code.to_string()));
            let code = code.map(|code| format!("code {code}"));
            let latency = latency_us.map(|us| format!("{}.{:03} ms", us / 1000, us % 1000));
            let parts = [Some(told), code, latency].into_iter().flatten();
            let told: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
            let at = when::moment(*at_ms);
            writeln!(out, "      {}  {mark:<4} {}", at.dimmed(), told.join(", "))?;
        }
    }
    Ok(())
}

fn write_events(events: &[Event], out: &mut dyn Write) -> anyhow::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    writeln!(out, "  events")?;
    for event in events {
        let (at, kind) = (when::moment(event.at_ms), event.kind.name());
        writeln!(out, "    {}  {kind:<9} {}", at.dimmed(), events::told(event))?;
    }
    Ok(())
}

pub(super) const EXAMPLES: &str = "\
Examples:
  xlvs server show 10.0.1.1
  xlvs server show 10.0.1.1:80 --service tcp:10.0.0.1:80 -o json";

//! `xlvs events`.

use std::io::Write;

use owo_colors::OwoColorize;
use xlvs_api::{Director, Event, EventKind};
use xlvs_model::{ServerKey, ServiceKey};

use super::{Where, when};
use crate::output::{self, Format, Hinted, Output};

/// `xlvs events`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Go on with what happens from now on.
    #[arg(long, short)]
    follow: bool,

    /// The last so many of those that are remembered.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    last: usize,

    /// Those of one kind; may be given several times.
    #[arg(long, value_parser = kind(), value_name = "KIND")]
    kind: Vec<String>,

    /// Those of one service.
    #[arg(long)]
    service: Option<ServiceKey>,

    /// Those of one server: ADDRESS:PORT.
    #[arg(long)]
    server: Option<ServerKey>,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    output: Output,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.run_on(&mut self.place.connect()?, &mut output::stdout())
    }

    /// Does it to a director.
    pub(super) fn run_on(
        &self,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let mut known = director.events(0)?;
        let last = known.last().map_or(0, |event| event.seq);
        known.retain(|event| self.lets(event));
        known.drain(..known.len().saturating_sub(self.last));
        if !self.follow && self.output.output == Format::Json {
            return output::json(out, &known);
        }
        known.iter().try_for_each(|event| self.write(event, out))?;
        if !self.follow {
            return Ok(());
        }
        let mut written = Ok(());
        director.follow(last, &mut |event| {
            if self.lets(&event) {
                written = self.write(&event, out);
            }
            written.is_ok()
        })?;
        written?;
        Err(Hinted::new("the director tells no more: it ended", "xlvs status").into())
    }

    fn lets(&self, event: &Event) -> bool {
        (self.kind.is_empty() || self.kind.iter().any(|kind| kind == event.kind.name()))
            && self.service.is_none_or(|service| event.service == Some(service))
            && self.server.is_none_or(|server| event.server == Some(server))
    }

    fn write(&self, event: &Event, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.output.output {
            Format::Json => {
                serde_json::to_writer(&mut *out, event)?;
                writeln!(out)?;
            }
            Format::Table => {
                let kind = event.kind.name();
                let at = when::moment(event.at_ms);
                writeln!(out, "{}  {kind:<9} {}{}", at.dimmed(), subject(event), told(event))?;
            }
        }
        // Whoever follows wants to see it now.
        Ok(out.flush()?)
    }
}

/// `10.0.1.1:80 of tcp:10.0.0.1:80: `, or less.
fn subject(event: &Event) -> String {
    match (event.server, event.service) {
        (Some(server), Some(service)) => format!("{server} of {service}: "),
        (Some(server), None) => format!("{server}: "),
        (None, Some(service)) => format!("{service}: "),
        (None, None) => String::new(),
    }
}

/// What happened, and who did it.
pub(super) fn told(event: &Event) -> String {
    let by = event.by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
    format!("{}{by}", event.message)
}

fn kind() -> clap::builder::PossibleValuesParser {
    EventKind::ALL.map(EventKind::name).into()
}

const EXAMPLES: &str = "\
Examples:
  xlvs events                              what happened
  xlvs events -f                           and what happens
  xlvs events -f --kind check --kind drop
  xlvs events -f -o json | jq .message     an event a line";

//! `xlvs service`.

use std::{ffi::OsStr, io::Write};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use xlvs_api::{Director, ServerView, ServiceView};
use xlvs_model::{Change, Fault, LIMITS_EFFECT, Scheduler, ServiceKey, Tuning};

use super::{
    Where, explain,
    sure::Sure,
    terms,
    tuning::{self, TuningFlags},
};
use crate::{
    face,
    output::{self, Format, Hinted, Output},
};

/// `xlvs service`
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List services.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        place: Where,
        #[command(flatten)]
        output: Output,
    },
    /// Add a service.
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// The service: tcp:ADDRESS:PORT (or udp:, sctp:), fwmark:MARK or fwmark6:MARK.
        service: ServiceKey,
        /// Who chooses the server of a new connection.
        #[arg(long, short, default_value = "wlc", value_parser = Named)]
        scheduler: Scheduler,
        #[command(flatten)]
        terms: terms::Flags,
        #[command(flatten)]
        tuning: TuningFlags,
        #[command(flatten)]
        place: Where,
    },
    /// Change a service; what is not said stays.
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// The service: tcp:ADDRESS:PORT (or udp:, sctp:), fwmark:MARK or fwmark6:MARK.
        service: ServiceKey,
        /// Who chooses the server of a new connection.
        #[arg(long, short, value_parser = Named)]
        scheduler: Option<Scheduler>,
        #[command(flatten)]
        terms: terms::Flags,
        #[command(flatten)]
        tuning: TuningFlags,
        #[command(flatten)]
        place: Where,
    },
    /// Remove a service and its servers.
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove {
        /// The service: tcp:ADDRESS:PORT (or udp:, sctp:), fwmark:MARK or fwmark6:MARK.
        service: ServiceKey,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        place: Where,
    },
}

impl Verb {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let place = match self {
            Self::List { place, .. }
            | Self::Add { place, .. }
            | Self::Set { place, .. }
            | Self::Remove { place, .. } => place,
        };
        self.run_on(&mut place.connect()?, &mut output::stdout())
    }

    /// Does it to a director.
    pub(super) fn run_on(
        &self,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let (service, change) = match self {
            Self::List { output, .. } => return list(director, *output, out),
            Self::Add { service, scheduler, terms, tuning, .. } => {
                let terms = terms.over(service, None, &(*scheduler).into())?;
                let add = Change::AddService { service: *service, terms };
                return make(director, *service, &[add], (tuning, &Tuning::default()), out);
            }
            Self::Set { service, scheduler, terms, tuning, .. } => {
                return set(director, *service, *scheduler, (terms, tuning), out);
            }
            Self::Remove { service, sure, .. } => {
                let services = director.services()?;
                let found = services.iter().find(|s| s.key == *service);
                let connections =
                    |server: &ServerView| u64::from(server.active) + u64::from(server.inactive);
                let cut = found.map_or(0, |s| s.servers.iter().map(connections).sum());
                sure.ask(&service.to_string(), cut)?;
                (service, Change::DeleteService { service: *service })
            }
        };
        change_one(director, change, &service.to_string())
    }
}

/// Changes what is given and keeps the rest.
fn set(
    director: &mut dyn Director,
    service: ServiceKey,
    scheduler: Option<Scheduler>,
    (terms, tuning): (&terms::Flags, &TuningFlags),
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let edits_terms = scheduler.is_some() || terms.is_given();
    if !edits_terms && !tuning.is_given() {
        let message = format!("{service}: nothing is to change");
        return Err(Hinted::new(message, "xlvs service set --help").into());
    }
    let found = director.services()?.into_iter().find(|s| s.key == service);
    let Some(found) = found else {
        return Err(explain(Fault::NoSuchService, &service.to_string()));
    };
    let mut changes = Vec::new();
    if edits_terms {
        let terms = terms.over(&service, scheduler, &found.terms)?;
        changes.push(Change::EditService { service, terms });
    }
    make(director, service, &changes, (tuning, &found.tuning), out)
}

/// Makes changes to a service, then tunes it, if that was asked for.
fn make(
    director: &mut dyn Director,
    service: ServiceKey,
    changes: &[Change],
    (tuning, old): (&TuningFlags, &Tuning),
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let what = service.to_string();
    let new = tuning.is_given().then(|| tuning.over(old)).transpose()?;
    change_all(director, changes, &what)?;
    // A service that was there already is none of this one's to tune.
    if let Some(tuning) = new {
        change_one(director, Change::TuneService { service, tuning }, &what)?;
    }
    if let Some(why) = LIMITS_EFFECT.why_not().filter(|_| tuning.is_limited()) {
        writeln!(out, "timeouts and limits are stored, without effect: {why}")?;
    }
    Ok(())
}

/// Makes one change; `what` names its object.
pub(super) fn change_one(
    director: &mut dyn Director,
    change: Change,
    what: &str,
) -> anyhow::Result<()> {
    change_all(director, &[change], what)
}

/// Makes changes at once; `what` names their object.
pub(super) fn change_all(
    director: &mut dyn Director,
    changes: &[Change],
    what: &str,
) -> anyhow::Result<()> {
    let outcome = director.change(changes)?;
    if let Some(fault) = outcome.faults.into_iter().flatten().next() {
        return Err(explain(fault, what));
    }
    if let Some(why) = outcome.not_saved {
        anyhow::bail!("{what}: in force, but not saved for the next start: {why}");
    }
    Ok(())
}

fn list(director: &mut dyn Director, format: Output, out: &mut dyn Write) -> anyhow::Result<()> {
    let services = director.services()?;
    match format.output {
        Format::Json => output::json(out, &services),
        Format::Table => table(&services, out),
    }
}

/// A table of services.
pub(super) fn table(services: &[ServiceView], out: &mut dyn Write) -> anyhow::Result<()> {
    let row = |service: &ServiceView| {
        let sum = |count: fn(&ServerView) -> u32| {
            let sum: u64 = service.servers.iter().map(|s| u64::from(count(s))).sum();
            sum.to_string()
        };
        [
            service.key.to_string(),
            face::words(&service.terms, service.key.family()),
            service.servers.len().to_string(),
            sum(|s| s.active),
            sum(|s| s.inactive),
            service.stats.connections.to_string(),
        ]
    };
    // Most sites tune nothing, and get no column for it.
    if services.iter().all(|service| service.tuning == Tuning::default()) {
        return output::table(out, HEAD, services.iter().map(row));
    }
    let [service, scheduler, servers, active, inactive, connections] = HEAD;
    let head = [service, scheduler, servers, active, inactive, connections, "TUNING"];
    let rows = services.iter().map(|service| {
        let [key, scheduler, servers, active, inactive, connections] = row(service);
        let tuning = tuning::words(&service.tuning);
        [key, scheduler, servers, active, inactive, connections, tuning]
    });
    output::table(out, head, rows)
}

/// Reads a scheduler's name, and knows them all for the help.
#[derive(Clone, Debug)]
struct Named;

impl TypedValueParser for Named {
    type Value = Scheduler;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Scheduler, clap::Error> {
        let known = PossibleValuesParser::new(self.possible_values().into_iter().flatten());
        let name = known.parse_ref(command, arg, value)?;
        Ok(Scheduler::by_name(&name).unwrap_or(Scheduler::Wlc))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value =
            |scheduler: Scheduler| PossibleValue::new(scheduler.name()).help(scheduler.summary());
        Some(Box::new(Scheduler::ALL.into_iter().map(value)))
    }
}

const HEAD: [&str; 6] = ["SERVICE", "SCHEDULER", "SERVERS", "ACTIVE", "INACTIVE", "CONNECTIONS"];
const LIST_EXAMPLES: &str = "\
Examples:
  xlvs service list
  xlvs service list -o json | jq '.[].key'";
const ADD_EXAMPLES: &str = "\
Examples:
  xlvs service add tcp:10.0.0.1:80
  xlvs service add udp:10.0.0.1:53 --scheduler rr --one-packet
  xlvs service add tcp:10.0.0.1:443 --persistent 600 --netmask 24 --slow-start 30
  xlvs service add fwmark:8 --scheduler sh --scheduler-flags sh-fallback,sh-port";
const SET_EXAMPLES: &str = "\
Examples:
  xlvs service set tcp:10.0.0.1:80 --scheduler wrr --persistent
  xlvs service set tcp:10.0.0.1:80 --persistent 0
  xlvs service set tcp:10.0.0.1:22 --timeout-tcp 86400
  xlvs service set tcp:10.0.0.1:80 --client-limit 100/24 --client-rate 20/s/24
  xlvs service set tcp:10.0.0.1:80 --client-rate 0";
const REMOVE_EXAMPLES: &str = "\
Example:
  xlvs service remove tcp:10.0.0.1:80";

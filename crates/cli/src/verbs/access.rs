//! `xlvs allow` and `xlvs deny`: which clients may connect.

use std::io::Write;

use xlvs_api::{AccessEntry, Director};
use xlvs_model::{Change, LIMITS_EFFECT, Network, ServiceKey, Verdict};

use super::{Where, service::change_all};
use crate::output::{self, Format, Output};

/// `xlvs allow` and `xlvs deny`
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the entries.
    List {
        /// Those of one service alone.
        #[arg(long)]
        service: Option<ServiceKey>,
        #[command(flatten)]
        place: Where,
        #[command(flatten)]
        output: Output,
    },
    /// Add networks; what the opposite list says of the same network goes.
    Add {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        place: Where,
    },
    /// Remove networks.
    Remove {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        place: Where,
    },
}

/// Whom an entry concerns.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Whom {
    /// ADDRESS or ADDRESS/PREFIX.
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<Network>,

    /// The service that they connect to [default: every one].
    #[arg(long)]
    service: Option<ServiceKey>,
}

impl Verb {
    pub(super) fn run(&self, verdict: Verdict) -> anyhow::Result<()> {
        let place = match self {
            Self::List { place, .. } | Self::Add { place, .. } | Self::Remove { place, .. } => {
                place
            }
        };
        self.run_on(verdict, &mut place.connect()?, &mut output::stdout())
    }

    /// Does it to a director.
    pub(super) fn run_on(
        &self,
        verdict: Verdict,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        match self {
            Self::List { service, output, .. } => {
                let mut entries = director.access()?;
                entries.retain(|entry| {
                    entry.verdict == verdict && (service.is_none() || entry.service == *service)
                });
                list(&entries, *output, out)
            }
            Self::Add { whom, .. } => {
                let before = director.access()?;
                whom.change(director, |network, service| Change::AddAccess {
                    verdict,
                    network,
                    service,
                })?;
                // The first entry shuts everybody else out, who may not expect it.
                let is_first = !before
                    .iter()
                    .any(|e| e.verdict == Verdict::Allow && e.service == whom.service);
                if verdict == Verdict::Allow && is_first {
                    let what = whom.service.map_or("this director".to_owned(), |s| s.to_string());
                    writeln!(out, "from now on only clients that are allowed reach {what}")?;
                }
                if let Some(why) = LIMITS_EFFECT.why_not() {
                    writeln!(out, "the lists are stored, without effect: {why}")?;
                }
                Ok(())
            }
            Self::Remove { whom, .. } => whom.change(director, |network, service| {
                Change::RemoveAccess { verdict, network, service }
            }),
        }
    }
}

impl Whom {
    fn change(
        &self,
        director: &mut dyn Director,
        change: impl Fn(Network, Option<ServiceKey>) -> Change,
    ) -> anyhow::Result<()> {
        for network in &self.networks {
            let what = match &self.service {
                Some(service) => format!("{network} for {service}"),
                None => network.to_string(),
            };
            change_all(director, &[change(*network, self.service)], &what)?;
        }
        Ok(())
    }
}

fn list(entries: &[AccessEntry], format: Output, out: &mut dyn Write) -> anyhow::Result<()> {
    if format.output == Format::Json {
        return output::json(out, &entries);
    }
    let rows = entries.iter().map(|entry| {
        let service = entry.service.map_or("every one".to_owned(), |key| key.to_string());
        [entry.network.to_string(), service]
    });
    output::table(out, ["NETWORK", "SERVICE"], rows)
}

/// For the help of both verbs.
pub(super) const EXAMPLES: &str = "\
Examples:
  xlvs deny add 203.0.113.0/24 198.51.100.7               keep them out of every service
  xlvs allow add 10.0.0.0/8 --service tcp:10.0.0.1:22     nobody else reaches this service
  xlvs deny list
  xlvs deny remove 198.51.100.7

The entry that names a client most exactly decides. Whom none names may connect, unless somebody is
allowed by name; to except some of a denied network and shut nobody else out, allow 0.0.0.0/0 too.
A client must pass the list of every service and that of the service it connects to. Who is shut out
hears nothing, and what it has open ends.";

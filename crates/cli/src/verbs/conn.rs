//! `xlvs conn`.

use std::io::Write;

use xlvs_api::{Connections, Director, Filter};
use xlvs_model::{ServerKey, ServiceKey};

use super::{Where, method_name};
use crate::output::{self, Format, Output};

/// `xlvs conn`
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List connections.
    #[command(after_help = EXAMPLES)]
    List(List),
}

/// Which connections, and how.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct List {
    /// Those of one service: tcp:ADDRESS:PORT or udp:ADDRESS:PORT.
    #[arg(long)]
    service: Option<ServiceKey>,

    /// Those of one server: ADDRESS:PORT.
    #[arg(long)]
    server: Option<ServerKey>,

    /// Those in one state, in capitals or not.
    #[arg(long, help = "Those in one state: established, syn_recv, fin_wait, time_wait, udp...")]
    state: Option<String>,

    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    output: Output,
}

impl Verb {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let Self::List(list) = self;
        self.run_on(&mut list.place.connect()?, &mut output::stdout())
    }

    /// Does it to a director.
    pub(super) fn run_on(
        &self,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let Self::List(list) = self;
        let filter = Filter {
            service: list.service,
            server: list.server,
            state: list.state.as_ref().map(|state| state.to_uppercase()),
            limit: Some(list.limit),
        };
        let listed = director.connections(&filter)?;
        match list.output.output {
            Format::Json => output::json(out, &listed),
            Format::Table => table(&listed, out),
        }
    }
}

fn table(listed: &Connections, out: &mut dyn Write) -> anyhow::Result<()> {
    let head = ["SERVICE", "CLIENT", "SERVER", "METHOD", "STATE", "EXPIRES"];
    let rows = listed.connections.iter().map(|c| {
        [
            c.service.to_string(),
            c.client.to_string(),
            c.server.to_string(),
            method_name(c.method).to_owned(),
            c.state.clone(),
            format!("{}:{:02}", c.expires_s / 60, c.expires_s % 60),
        ]
    });
    output::table(out, head, rows)?;
    if listed.truncated {
        writeln!(out, "... and more: raise --limit, or narrow it by --service, --server, --state")?;
    }
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  xlvs conn list --limit 20
  xlvs conn list --server 10.0.1.1:80 --state established
  xlvs conn list -o json | jq '.connections | length'";

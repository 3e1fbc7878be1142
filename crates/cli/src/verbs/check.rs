//! `xlvs check`: what a configuration file means, and all that is wrong with it, at once.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;
use xlvs_config::{Config, Diagnostic, Report, Severity, load_as};
use xlvs_daemon::{FormatArg, ThisHost};

use crate::output::{self, Format, Output};

/// `xlvs check FILE`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A keepalived.conf, lvs.cf, ldirectord.cf, save file of ipvsadm, or TOML; what it includes is
    /// read too.
    #[arg(value_name = "FILE", default_value = "/etc/keepalived/keepalived.conf")]
    file: PathBuf,

    /// What `@id` lines are compared with [default: the host's name up to the first dot].
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,

    /// What FILE is [default: what it looks like].
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FormatArg>,

    /// Warnings count as errors.
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    output: Output,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    diagnostics: &'a [Diagnostic],
    config: &'a Config,
}

impl Args {
    /// Reads the file and tells what is to be told of it. Failure: it cannot be put in force.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let host = ThisHost::new(self.config_id.clone());
        let (config, report) =
            load_as(self.format.map(|arg| arg.0), &self.file.to_string_lossy(), &host);
        let warned = self.strict && report.count(Severity::Warning) > 0;
        let ok = !report.has_errors() && !warned;
        let mut out = output::stdout();
        match self.output.output {
            Format::Json => {
                let diagnostics = &report.diagnostics;
                output::json(&mut out, &Checked { ok, diagnostics, config: &config })?;
            }
            Format::Table => {
                // Colours are taken out again where they are not wanted.
                write!(out, "{}", report.render(true))?;
                writeln!(out, "{}", summary(&self.file, &config, &report, ok))?;
            }
        }
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// One line: `keepalived.conf: 2 services, 4 servers, 4 checks; 1 warning: good`.
fn summary(file: &Path, config: &Config, report: &Report, ok: bool) -> String {
    let servers = config.virtual_servers.iter().flat_map(|service| &service.servers);
    let checks: usize = servers.clone().map(|server| server.checks.len()).sum();
    let what = [
        (config.services.len(), "service"),
        (servers.count(), "server"),
        (checks, "check"),
        (config.vrrp.instances.len(), "vrrp_instance"),
    ];
    let told = [
        (report.count(Severity::Error), "error"),
        (report.count(Severity::Warning), "warning"),
        (report.count(Severity::Note), "note"),
    ];
    let list = |counts: &[(usize, &str)]| {
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let words = counts
            .map(|(count, noun)| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" }));
        words.collect::<Vec<_>>().join(", ")
    };
    let (what, told) = (list(&what), list(&told));
    let what = if what.is_empty() { "nothing to balance".to_owned() } else { what };
    let told = if told.is_empty() { told } else { format!("; {told}") };
    let verdict = if ok { "good" } else { "cannot be put in force" };
    format!("{}: {what}{told}: {verdict}", file.display())
}

const EXAMPLES: &str = "\
Examples:
  xlvs check /etc/keepalived/keepalived.conf       everything that is wrong with it, at once
  xlvs check keepalived.conf -i main               as on the host of that name
  xlvs check lvs.cf                                Piranha's, ldirectord's, or xlvs's own TOML
  xlvs check keepalived.conf -o json               for programs";

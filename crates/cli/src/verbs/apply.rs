//! `xlvs apply` and `xlvs confirm`: a file in force, at once and as a whole.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context;
use owo_colors::OwoColorize;
use xlvs_api::{Applied, Apply, Confirm};
use xlvs_daemon::FormatArg;
use xlvs_model::Turn;

use super::{
    Where,
    when::{self, Span},
};
use crate::output::{self, Format, Hinted, Output};

/// `xlvs apply`
#[derive(Debug, clap::Args)]
#[command(after_help = APPLY_EXAMPLES)]
pub(super) struct Args {
    /// A keepalived.conf, lvs.cf, ldirectord.cf, save file of ipvsadm, or TOML; the daemon reads
    /// it, and what it includes.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Change nothing; tell what would change. Exit code 2: something would.
    #[arg(long, conflicts_with = "confirm")]
    plan: bool,

    /// It is taken back after this time, unless `xlvs confirm` comes: 60s, 5m.
    #[arg(long, value_name = "TIME")]
    confirm: Option<Span>,

    /// What FILE is [default: as it was read the last time if it is in force, else what it looks
    /// like].
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FormatArg>,

    /// What `@id` lines are compared with [default: as the last time, or as the daemon was
    /// started].
    #[arg(long, value_name = "ID")]
    config_id: Option<String>,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    output: Output,
}

/// `xlvs confirm`
#[derive(Debug, clap::Args)]
#[command(after_help = CONFIRM_EXAMPLES)]
pub(super) struct ConfirmArgs {
    /// Take it back at once instead.
    #[arg(long)]
    undo: bool,

    #[command(flatten)]
    place: Where,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let file = std::path::absolute(&self.file)
            .with_context(|| format!("cannot find {}", self.file.display()))?;
        let format = self.format.map(|arg| arg.0.name());
        let what = Apply {
            file: file.to_string_lossy().into_owned(),
            plan: self.plan,
            confirm_s: self.confirm.map(|span| span.0),
            format: format.map(ToOwned::to_owned),
            config_id: self.config_id.clone(),
        };
        let applied = self.place.connect()?.apply(&what)?;
        let mut out = output::stdout();
        match self.output.output {
            Format::Json => output::json(&mut out, &applied)?,
            Format::Table => write!(out, "{}", told(&applied))?,
        }
        if let Some(why) = applied.refused {
            let format = format.map(|name| format!(" --format {name}")).unwrap_or_default();
            let hint =
                format!("see all that is to be said of it: xlvs check {}{format}", file.display());
            return Err(Hinted::new(why, hint).into());
        }
        let differs = self.plan && !applied.differences.is_empty();
        Ok(if differs { ExitCode::from(DIFFERS) } else { ExitCode::SUCCESS })
    }
}

impl ConfirmArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        Ok(self.place.connect()?.confirm(Confirm { keep: !self.undo })?)
    }
}

/// The diagnosis, the differences, and what became of it.
fn told(applied: &Applied) -> String {
    let mut text = String::new();
    if applied.refused.is_some() {
        return applied.report.clone();
    }
    for difference in &applied.differences {
        let line = difference.to_string();
        let line = match difference.turn {
            Turn::Add => line.green().to_string(),
            Turn::Change => line.yellow().to_string(),
            Turn::Remove => line.red().to_string(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    if applied.differences.is_empty() {
        text.push_str("no difference\n");
    }
    if let Some(until) = applied.confirm_until_ms {
        let until = when::moment(until);
        let line = format!("in force until {until}; keep it: xlvs confirm\n");
        text.push_str(&line);
    } else if applied.in_force {
        text.push_str("in force\n");
    }
    text
}

/// The exit code of a plan that is not empty.
const DIFFERS: u8 = 2;

const APPLY_EXAMPLES: &str = "\
Examples:
  xlvs apply keepalived.conf --plan            what would change; exit code 2: something would
  xlvs apply keepalived.conf                   all of it at once, or nothing
  xlvs apply keepalived.conf --confirm 60s     taken back after a minute without `xlvs confirm`

Exit codes: 0 in force, or nothing would change; 1 refused, nothing is changed; 2 see --plan.";
const CONFIRM_EXAMPLES: &str = "\
Examples:
  xlvs confirm           keep what `xlvs apply --confirm` put in force
  xlvs confirm --undo    take it back at once";

#[cfg(test)]
mod tests {
    use super::*;
    use xlvs_model::Difference;

    #[test]
    fn what_is_told() {
        let difference = Difference {
            turn: Turn::Change,
            service: None,
            server: None,
            what: "timeouts 1 2 3".into(),
        };
        let applied = |refused: Option<&str>, in_force, differences: &[Difference]| Applied {
            in_force,
            refused: refused.map(Into::into),
            report: "error: a\n".into(),
            differences: differences.to_vec(),
            confirm_until_ms: None,
        };
        let one = std::slice::from_ref(&difference);
        for (applied, expected) in [
            (applied(Some("no"), false, one), "error: a\n"),
            (applied(None, false, &[]), "no difference\n"),
            (applied(None, false, one), "~  timeouts 1 2 3\n"),
            (applied(None, true, one), "~  timeouts 1 2 3\nin force\n"),
        ] {
            let plain = anstream::adapter::strip_str(&told(&applied)).to_string();
            assert_eq!(plain, expected);
        }
    }
}

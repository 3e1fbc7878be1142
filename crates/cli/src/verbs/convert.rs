//! `xlvs convert`: a configuration file as another format.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use xlvs_config::{Severity, load_as, write};
use xlvs_daemon::{FormatArg, ThisHost};

use crate::output;

/// `xlvs convert FILE --to FORMAT`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A keepalived.conf, lvs.cf, ldirectord.cf, save file of ipvsadm, or TOML.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What it is to be.
    #[arg(long, value_enum)]
    to: To,

    /// Where to [default: standard output].
    #[arg(short, long, value_name = "OUT")]
    out: Option<PathBuf>,

    /// What FILE is [default: what it looks like].
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FormatArg>,

    /// What `@id` lines are compared with [default: the host's name up to the first dot].
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
}

/// The formats that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum To {
    /// `keepalived.conf`; what keepalived cannot say is in `#xlvs` lines.
    Keepalived,
    /// xlvs's own.
    Toml,
}

impl Args {
    /// Reads, writes, and tells on standard error what is to be told. Failure: the file has
    /// errors, and nothing is written.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let host = ThisHost::new(self.config_id.clone());
        let path = self.file.to_string_lossy();
        let (config, report) = load_as(self.format.map(|arg| arg.0), &path, &host);
        let mut told = std::io::stderr().lock();
        write!(told, "{}", report.render(false))?;
        if report.has_errors() {
            let errors = report.count(Severity::Error);
            writeln!(told, "{path}: {errors} errors: nothing is written")?;
            return Ok(ExitCode::FAILURE);
        }
        let written = match self.to {
            To::Keepalived => write::to_keepalived(&config),
            To::Toml => write::to_toml(&config),
        };
        for line in &written.told {
            writeln!(told, "{line}")?;
        }
        match &self.out {
            Some(out) => save(out, &written.text)?,
            None => output::stdout().write_all(written.text.as_bytes())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

const EXAMPLES: &str = "\
Examples:
  xlvs convert /etc/sysconfig/ha/lvs.cf --to keepalived      Piranha's file as keepalived's
  xlvs convert /etc/ha.d/ldirectord.cf --to toml -o lb.toml  ldirectord's as xlvs's own
  ipvsadm -Sn > now; xlvs convert now --to toml              what is in force";

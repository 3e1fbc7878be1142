//! `xlvs completions`.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Xlvs;
use crate::output;

/// `xlvs completions`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Whose script to print.
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Xlvs::command(), "xlvs", &mut script);
        output::stdout().write_all(&script)?;
        Ok(())
    }
}

const EXAMPLES: &str = "\
The packages install these already.

Examples:
  xlvs completions bash > /etc/bash_completion.d/xlvs
  xlvs completions zsh > /usr/local/share/zsh/site-functions/_xlvs
  xlvs completions fish > ~/.config/fish/completions/xlvs.fish";

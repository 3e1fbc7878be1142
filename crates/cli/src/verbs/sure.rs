//! Asking before connections are cut.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::output::Hinted;

/// `--yes`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Sure {
    /// Do not ask when connections end with it. Only a person at a terminal is asked.
    #[arg(long, short)]
    yes: bool,
}

impl Sure {
    /// Asks a person at a terminal whether `connections` may end with `what`.
    pub(super) fn ask(self, what: &str, connections: u64) -> anyhow::Result<()> {
        if self.yes || connections == 0 || !io::stdin().is_terminal() {
            return Ok(());
        }
        let mut err = io::stderr().lock();
        write!(err, "{what}: {connections} connections end with it. Remove it? [y/N] ")?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if answer.trim().eq_ignore_ascii_case("y") {
            return Ok(());
        }
        let hint = "quiesce it first: xlvs server set SERVICE SERVER --weight 0";
        Err(Hinted::new("nothing was removed", hint).into())
    }
}

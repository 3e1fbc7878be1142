//! `xlvs detach`.

use xlvs_api::Director;

use super::Where;

/// `xlvs detach`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.place.connect()?.detach()?;
        Ok(())
    }
}

const EXAMPLES: &str = "\
Stopping the daemon leaves the forwarding in place; this is the way to end it. The state on disk is
kept: the next `xlvs run` begins with it.

Examples:
  xlvs detach
  xlvs detach --instance ns-4026532281";

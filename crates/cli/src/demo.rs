//! `xlvs demo`: a client, a director and three real servers in network namespaces of this machine,
//! and an engineer's whole evaluation of LVS replayed on them in under a minute. Everything that
//! runs there is this one program; every claim that is printed was checked.

mod acts;
mod narrator;
mod stage;
mod table;

use std::process::ExitCode;

use anyhow::{Result, bail};
use xlvs_testkit::{Error, interrupt, kept, remove, sweep};

use narrator::Narrator;
use stage::Stage;

/// See it work: hosts in namespaces, DR, NAT, tunnel, a crash.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Leave the hosts up, to look around.
    #[arg(long)]
    keep: bool,
    /// Remove what --keep left.
    #[arg(long, conflicts_with_all = ["keep", "fast"])]
    remove: bool,
    /// Fewer connections and shorter pauses.
    #[arg(long)]
    fast: bool,
}

/// Runs it; the exit code is the truth of what it claimed.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "the demo makes network namespaces and loads programs into the kernel, as only root \
             may. Try: sudo xlvs demo"
        );
    }
    let mut narrator = Narrator::new();
    if args.remove {
        let mut gone = sweep();
        for prefix in kept() {
            remove(&prefix)?;
            gone.push(prefix);
        }
        let what = if gone.is_empty() { "nothing was left".into() } else { gone.join(", ") };
        narrator.say(&format!("removed: {what}"));
        return Ok(ExitCode::SUCCESS);
    }
    interrupt::catch();
    let ended = play(args, &mut narrator);
    if ended.as_ref().is_err_and(was_interrupted) {
        narrator.say("\ninterrupted; everything is removed again");
        return Ok(ExitCode::from(130));
    }
    Ok(if ended? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the stage, plays the acts; true if every claim held.
fn play(args: Args, narrator: &mut Narrator) -> Result<bool> {
    narrator.title();
    let mut stage = Stage::build(args.fast, narrator)?;
    let played = acts::all(&mut stage);
    if let Err(error) = &played
        && !was_interrupted(error)
    {
        stage.show_logs();
    }
    played?;
    if args.keep {
        stage.keep()?;
    }
    Ok(stage.sum_up())
}

fn was_interrupted(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Error>(), Some(Error::Interrupted))
}

const EXAMPLES: &str = "Examples:
  sudo xlvs demo
  sudo xlvs demo --keep      leave the hosts up; it says how to enter them
  sudo xlvs demo --remove    remove them";

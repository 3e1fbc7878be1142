//! The data plane in the kernel, as the daemon's [`Plane`].

use anyhow::{Context, anyhow};
use xlvs_dataplane::{Attached, Baselines, Dataplane, Error, Kernel, Options};

use crate::{
    args::XdpMode,
    plane::{Plane, Programs, Tables},
    run::Opening,
};

/// Loads it, or takes over what an earlier daemon left. Nothing is attached yet.
pub(crate) fn open(opening: &Opening) -> anyhow::Result<Box<dyn Plane>> {
    let options =
        Options { dir: opening.pins.clone(), connections: opening.connections, test: false };
    let kernel = Kernel::open(&options).map_err(explained).context("cannot load the data plane")?;
    // Counters in new tables begin at nought, whatever was subtracted from the old ones.
    let adopted = kernel.adopted();
    let baselines = if adopted { opening.counters.clone() } else { Baselines::default() };
    let notes = kernel.notes().to_vec();
    for note in &notes {
        tracing::warn!("{note}");
    }
    let mode = match opening.xdp_mode {
        XdpMode::Auto => xlvs_dataplane::XdpMode::Auto,
        XdpMode::Native => xlvs_dataplane::XdpMode::Native,
        XdpMode::Generic => xlvs_dataplane::XdpMode::Generic,
    };
    let tables = Dataplane::new(kernel, baselines).map_err(explained);
    Ok(Box::new(Tables::new(tables.context("cannot read the tables")?, mode, notes)))
}

fn explained(e: Error) -> anyhow::Error {
    match e.hint() {
        Some(hint) => anyhow!("{e}; {hint}"),
        None => e.into(),
    }
}

impl Programs for Kernel {
    fn attach(
        &mut self,
        interfaces: &[String],
        answers: &[String],
        mode: xlvs_dataplane::XdpMode,
    ) -> Result<Vec<Attached>, Error> {
        Self::attach(self, interfaces, answers, mode)
    }

    fn detach(self, answers: &[String]) -> Result<(), Error> {
        Self::detach(self, answers)
    }
}

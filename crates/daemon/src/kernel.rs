//! The data plane in the kernel, as the daemon's [`Plane`].

use anyhow::bail;

use crate::{plane::Plane, run::Opening};

/// Loads it, or takes over what an earlier daemon left.
pub(crate) fn open(_opening: &Opening) -> anyhow::Result<Box<dyn Plane>> {
    bail!("the data plane's crate is not joined yet")
}

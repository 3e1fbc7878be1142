//! `cargo xtask ebpf`: the eBPF object, built so that its bytes depend on nothing but the sources,
//! the compiler's version and the linker's version.
//!
//! The product takes the committed object in, so that it builds with stable Rust alone. What made
//! the object is recorded beside it, and `--check` builds it again elsewhere and compares.

mod check;
mod recipe;
mod record;
mod sources;
mod strip;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use self::recipe::Recipe;
use self::record::Record;
pub(crate) use self::sources::sha256;
use crate::workspace;

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut check = false;
    let mut install = false;
    let mut flavour = Flavour::Released;
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Long("check") => check = true,
            lexopt::Arg::Long("install") => install = true,
            lexopt::Arg::Long("next") => flavour = Flavour::Next,
            other => return Err(other.unexpected().into()),
        }
    }
    if install {
        recipe::install()?;
    }
    let root = workspace::root()?;
    match (check, flavour) {
        (false, _) => build(&root, flavour),
        (true, Flavour::Released) if Flavour::Next.object(&root).exists() => {
            check::run(&root, Flavour::Released)?;
            check::run(&root, Flavour::Next)
        }
        (true, _) => check::run(&root, flavour),
    }
}

/// Which object: the one that is released, or one with the next table ABI, which the test of the
/// migration between the two loads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Released,
    Next,
}

impl Flavour {
    fn stem(self) -> &'static str {
        match self {
            Self::Released => "xlvs.bpf",
            Self::Next => "xlvs-next.bpf",
        }
    }

    fn features(self) -> &'static [&'static str] {
        match self {
            Self::Released => &[],
            Self::Next => &["abi-next"],
        }
    }

    fn object(self, root: &Path) -> PathBuf {
        root.join(OBJECT_DIR).join(format!("{}.o", self.stem()))
    }

    fn record(self, root: &Path) -> PathBuf {
        root.join(OBJECT_DIR).join(format!("{}.toml", self.stem()))
    }
}

/// The committed object of the released flavour.
pub(crate) fn object_path(root: &Path) -> PathBuf {
    Flavour::Released.object(root)
}

fn build(root: &Path, flavour: Flavour) -> Result<()> {
    let recipe = Recipe::find()?;
    let object = recipe.build(root, &root.join("target/bpf"), flavour)?;
    let record = Record::of(&recipe, &object, &sources::digest(root)?);
    fs::create_dir_all(root.join(OBJECT_DIR))?;
    for (path, bytes) in [
        (flavour.object(root), object.as_slice()),
        (flavour.record(root), record.to_string().as_bytes()),
    ] {
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    println!(
        "{}: {} bytes, sha256 {}",
        flavour.object(root).display(),
        object.len(),
        record.object
    );
    Ok(())
}

const OBJECT_DIR: &str = "crates/dataplane/object";

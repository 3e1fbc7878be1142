//! `cargo xtask ebpf --check`: is the committed object what the sources make?
//!
//! The object is built from a copy of the tree in another folder, so equal bytes also prove that
//! no folder leaked into them. Other versions of the tools make other bytes: then the fresh object
//! has to pass the second ring instead.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::recipe::Recipe;
use super::record::Record;
use super::{Flavour, sources};
use crate::{rings, workspace};

pub(crate) fn run(root: &Path, flavour: Flavour) -> Result<()> {
    let record = Record::read(&flavour.record(root))?;
    let path = flavour.object(root);
    let committed = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(
        sources::sha256(&committed) == record.object,
        "{} is not the object that its record names: run `cargo xtask ebpf`",
        path.display()
    );
    ensure!(
        sources::digest(root)? == record.sources,
        "the sources have changed since the object was built: run `cargo xtask ebpf` and commit {}",
        path.display()
    );
    let recipe = Recipe::find()?;
    let elsewhere = tempfile::tempdir().context("a folder for the copy")?;
    copy_tree(root, elsewhere.path())?;
    let fresh = recipe.build(elsewhere.path(), &root.join("target/bpf-check"), flavour)?;
    let made = Record::of(&recipe, &fresh, &record.sources);
    if record.same_tools(&made) {
        return compare(&committed, &fresh, &elsewhere.path().join("fresh.o"));
    }
    println!("the tools differ from the record's, so the bytes may, too:");
    println!("  recorded: {}, {}", record.rustc, record.bpf_linker);
    println!("  here:     {}, {}", made.rustc, made.bpf_linker);
    println!("the fresh object has to pass ring 2 instead");
    let fresh_path = elsewhere.path().join("fresh.o");
    fs::write(&fresh_path, &fresh)?;
    rings::ring_two_with(root, &fresh_path)
}

fn compare(committed: &[u8], fresh: &[u8], _keep: &Path) -> Result<()> {
    if committed == fresh {
        println!("the object is what the sources make: {} bytes, equal", fresh.len());
        return Ok(());
    }
    let place = committed.iter().zip(fresh).position(|(ours, theirs)| ours != theirs);
    anyhow::bail!(
        "the same tools make other bytes out of these sources ({} committed, {} fresh, first \
         difference at {place:?}): run `cargo xtask ebpf` and commit the object",
        committed.len(),
        fresh.len()
    )
}

/// What cargo needs to build a member: every manifest and source of the workspace.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let mut paths = vec![from.join("Cargo.toml"), from.join("Cargo.lock")];
    for folder in ["crates", "xtask"] {
        paths.extend(workspace::files(&from.join(folder))?);
    }
    for path in paths {
        let target = to.join(path.strip_prefix(from).context("a path under the root")?);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&path, &target).with_context(|| format!("copying {}", path.display()))?;
    }
    Ok(())
}

//! Where things lie in the checkout.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the checkout: the nearest folder above the current one that holds an xtask.
pub(crate) fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder")?;
    let root = here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").exists());
    root.map(Path::to_path_buf).with_context(|| format!("{} is in no checkout", here.display()))
}

/// Every file under `folder`, sorted; build output, version control and links are left out.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(folder, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if entry.file_name() != "target" && entry.file_name() != ".git" {
                collect(&entry.path(), found)?;
            }
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

//! The licences of the crates that the program holds: nearly all of them ask that their text goes
//! with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::shell::{CommandExt as _, cargo};

/// Every crate with its licence, then every text with the crates that it is for.
pub(super) fn collect(root: &Path) -> Result<String> {
    let tree = cargo(root, ["tree", "--locked", "-p", "xlvs-cli", "-e", "normal"])
        .args(["--prefix", "none", "--format", "{p}|{l}"])
        .read()?;
    let mut crates = BTreeMap::new();
    for line in tree.lines() {
        let Some((package, licence)) = line.trim_end_matches(" (*)").split_once('|') else {
            continue;
        };
        // Our own have a path behind their version.
        if let [name, version] = package.split(' ').collect::<Vec<_>>()[..] {
            crates.insert(format!("{name}-{}", version.trim_start_matches('v')), licence);
        }
    }
    ensure!(crates.len() > 50, "cargo tree tells of {} crates only", crates.len());
    let sources = sources()?;
    let mut text = INTRODUCTION.to_owned();
    let mut texts = BTreeMap::<String, Vec<&str>>::new();
    for (name, licence) in &crates {
        writeln!(text, "  {name}: {licence}")?;
        for found in licence_files(&sources, name)? {
            let users = texts.entry(found).or_default();
            if users.last() != Some(&name.as_str()) {
                users.push(name);
            }
        }
    }
    for (found, users) in texts {
        write!(text, "\n{}\n{}:\n\n{}\n", "=".repeat(78), users.join(", "), found.trim_end())?;
    }
    Ok(text)
}

/// Where cargo unpacks what it downloads.
fn sources() -> Result<Vec<PathBuf>> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
    };
    let folder = home.join("registry/src");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn licence_files(sources: &[PathBuf], name: &str) -> Result<Vec<String>> {
    let folder = sources.iter().map(|source| source.join(name)).find(|path| path.is_dir());
    let folder = folder.with_context(|| format!("the sources of {name} are not unpacked"))?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder)?.flatten() {
        let file = entry.file_name().to_string_lossy().to_uppercase();
        let speaks = ["LICEN", "COPYING", "NOTICE", "COPYRIGHT"];
        if speaks.iter().any(|word| file.starts_with(word)) && entry.path().is_file() {
            found.push(fs::read_to_string(entry.path())?.replace("\r\n", "\n"));
        }
    }
    Ok(found)
}

/// Where it lies in the staged tree.
pub(super) const STAGED: &str = "usr/share/doc/xlvs/THIRD-PARTY.txt";

const INTRODUCTION: &str = "\
The program xlvs holds code of these crates, each under its own licence; where there is a choice,
either may be taken. The texts follow, each with the crates that carry it.

";

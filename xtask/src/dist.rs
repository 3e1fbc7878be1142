//! `cargo xtask dist`: an archive of the release build, with what a user needs beside it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell::{CommandExt as _, cargo};
use crate::{ebpf, workspace};

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    if let Some(arg) = args.next()? {
        return Err(arg.unexpected().into());
    }
    let root = workspace::root()?;
    cargo(&root, ["build", "--release", "--locked", "-p", "xlvs-cli"]).run()?;
    let name = format!("xlvs-{}-{}-linux", version(&root)?, std::env::consts::ARCH);
    let target = root.join("target/dist");
    let folder = target.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fill(&root, &folder)?;
    let archive = target.join(format!("{name}.tar.gz"));
    Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-czf"])
        .arg(&archive)
        .arg("-C")
        .arg(&target)
        .arg(&name)
        .run()?;
    let bytes = fs::read(&archive).with_context(|| format!("reading {}", archive.display()))?;
    let sum = format!("{}  {name}.tar.gz\n", ebpf::sha256(&bytes));
    fs::write(target.join(format!("{name}.tar.gz.sha256")), &sum)?;
    print!("{}\n{sum}", archive.display());
    Ok(())
}

/// The archive's folder: the program, the faces as links to it, documents and licences.
fn fill(root: &Path, folder: &Path) -> Result<()> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    fs::copy(root.join("target/release/xlvs"), bin.join("xlvs")).context("the release build")?;
    for face in FACES {
        symlink("xlvs", bin.join(face))?;
    }
    for document in DOCUMENTS {
        fs::copy(root.join(document), folder.join(document))
            .with_context(|| format!("copying {document}"))?;
    }
    fs::copy(root.join("packaging/xlvs.service"), folder.join("xlvs.service"))?;
    fs::copy(root.join("crates/ebpf/LICENSE"), folder.join("LICENSE-EBPF"))?;
    Ok(())
}

fn version(root: &Path) -> Result<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .context("Cargo.toml names no version")?;
    Ok(version.to_owned())
}

const FACES: &[&str] = &["ipvsadm", "ipvsadm-save", "ipvsadm-restore"];
const DOCUMENTS: &[&str] =
    &["README.md", "README.zh-CN.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

//! `cargo xtask dist`: the release build as an archive, a `.deb` and an `.rpm`, with what a user
//! needs beside it.
//!
//! Both packages are made of one staged tree by their own systems' tools (`dpkg-deb`, `rpmbuild`,
//! both in Debian): no crate is compiled for them. `--check` installs, reads and tries what was
//! packed; `--program` packs a program that is built already, so that CI checks the packages
//! without another release build.

mod check;
mod deb;
mod libraries;
mod licences;
mod rpm;
mod stage;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell::{CommandExt as _, cargo};
use crate::{ebpf, tools, workspace};

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let root = workspace::root()?;
    let (mut program, mut check) = (None, false);
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Long("check") => check = true,
            lexopt::Arg::Long("program") => program = Some(PathBuf::from(args.value()?)),
            other => return Err(other.unexpected().into()),
        }
    }
    tools::packages()?;
    let quick = program.is_some();
    let program = if let Some(program) = program {
        std::path::absolute(program)?
    } else {
        cargo(&root, ["build", "--release", "--locked", "-p", "xlvs-cli"]).run()?;
        root.join("target/release/xlvs")
    };
    let release = Release {
        version: version(&root)?,
        epoch: Command::new("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(&root)
            .read()
            .unwrap_or_else(|_| "0".to_owned()),
        target: root.join("target/dist"),
        root,
        quick,
    };
    let tree = stage::stage(&release, &program)?;
    let made =
        [archive(&release, &tree)?, deb::pack(&release, &tree)?, rpm::pack(&release, &tree)?];
    if check {
        check::check(&release, &made[1], &made[2])?;
    }
    for path in &made {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().display();
        let sum = format!("{}  {name}\n", ebpf::sha256(&bytes));
        fs::write(path.with_added_extension("sha256"), &sum)?;
        print!("{}\n{sum}", path.display());
    }
    Ok(())
}

/// What is packed, and where.
struct Release {
    root: PathBuf,
    /// `target/dist`.
    target: PathBuf,
    version: String,
    /// Seconds of the commit: packages made of one commit are alike.
    epoch: String,
    /// To be tried, not to be given to others: large, and made in a moment.
    quick: bool,
}

/// The archive: the program, the faces as links to it, documents and licences.
fn archive(release: &Release, tree: &Path) -> Result<PathBuf> {
    let Release { root, target, version, epoch, .. } = release;
    let name = format!("xlvs-{version}-{}-linux", std::env::consts::ARCH);
    let folder = target.join(&name);
    emptied(&folder)?;
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    fs::copy(tree.join("usr/sbin/xlvs"), bin.join("xlvs")).context("the staged program")?;
    for face in FACES {
        symlink("xlvs", bin.join(face))?;
    }
    for document in DOCUMENTS {
        fs::copy(root.join(document), folder.join(document))
            .with_context(|| format!("copying {document}"))?;
    }
    for unit in UNITS {
        fs::copy(root.join("packaging").join(unit), folder.join(unit))?;
    }
    fs::copy(root.join("crates/ebpf/LICENSE"), folder.join("LICENSE-EBPF"))?;
    fs::copy(tree.join(licences::STAGED), folder.join("THIRD-PARTY.txt"))?;
    let archive = target.join(format!("{name}.tar.gz"));
    Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime"])
        .arg(format!("@{epoch}"))
        .arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(target)
        .arg(&name)
        .run()?;
    Ok(archive)
}

/// A folder with nothing in it.
fn emptied(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
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
const UNITS: &[&str] = &["xlvs.service", "run-xlvs-default-bpf.mount"];

/// Who packs it: nobody to write to, and no address that could become somebody's.
const MAINTAINER: &str = "The xlvs developers <xlvs@xlvs.invalid>";
const SUMMARY: &str = "Linux Virtual Server on XDP: director, ipvsadm and all";

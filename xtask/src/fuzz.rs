//! `cargo xtask fuzz [TARGET]... [--seconds N] [--merge]`: builds the targets of `fuzz/` and runs
//! them.
//!
//! What `cargo fuzz` does, on stable Rust and without its address sanitizer, which needs nightly:
//! the code fuzzed has no unsafe blocks, so panics, hangs and memory are what there is to find. The
//! flags are those of LLVM's coverage, which any rustc takes; libFuzzer comes with `libfuzzer-sys`
//! and needs a C++ compiler. Its folders are `cargo fuzz`'s, so that this may be used as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use lexopt::{Arg, ValueExt as _};

use crate::shell::{CommandExt as _, cargo};
use crate::workspace;

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut chosen = Vec::new();
    let mut seconds = SECONDS;
    let mut merging = false;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("seconds") => seconds = args.value()?.parse()?,
            Arg::Long("merge") => merging = true,
            Arg::Value(name) => chosen.push(target(&name.string()?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    if chosen.is_empty() {
        chosen.extend(TARGETS);
    }
    let root = workspace::root()?;
    let programs = build(&root)?;
    for target in chosen {
        let program = programs.join(target.name);
        if merging {
            merge(&root, &program, target)?;
        } else {
            fuzz(&root, &program, target, seconds)?;
        }
    }
    Ok(())
}

fn target(name: &str) -> Result<&'static Target> {
    let names = TARGETS.map(|target| target.name).join(", ");
    let found = TARGETS.iter().copied().find(|target| target.name == name);
    found.with_context(|| format!("no target `{name}`; there are {names}"))
}

/// Builds all targets; the folder they are in.
fn build(root: &Path) -> Result<PathBuf> {
    let host = Command::new("rustc").args(["--print", "host-tuple"]).read()?;
    let folder =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let folder = root.join(folder).join("fuzz");
    // With a target said, build scripts and macros are spared the flags.
    cargo(root, ["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml"])
        .args(["--target", &host])
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .env("CARGO_TARGET_DIR", &folder)
        .run()?;
    Ok(folder.join(host).join("release"))
}

/// Looks for inputs that fail. What goes a new way is added to the corpus.
fn fuzz(root: &Path, program: &Path, target: &Target, seconds: u64) -> Result<()> {
    let corpus = corpus(root, target)?;
    let artifacts = root.join("fuzz/artifacts").join(target.name);
    fs::create_dir_all(&artifacts).with_context(|| format!("making {}", artifacts.display()))?;
    let mut command = Command::new(program);
    command.args(limits(target)).arg(format!("-max_total_time={seconds}"));
    command.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/", artifacts.display()));
    let words = root.join("fuzz/words").join(target.name);
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    command.arg(&corpus);
    let seeds = target.seeds.iter().map(|folder| root.join(folder)).filter(|path| path.is_dir());
    command.args(seeds);
    command.run().with_context(|| {
        format!("{}: a finding; its input is in {}", target.name, artifacts.display())
    })
}

/// Replaces the corpus by the smallest that goes all its ways.
fn merge(root: &Path, program: &Path, target: &Target) -> Result<()> {
    let corpus = corpus(root, target)?;
    let fresh = tempfile::tempdir_in(corpus.parent().context("the corpus has a folder")?)?;
    Command::new(program)
        .args(limits(target))
        .arg("-merge=1")
        .arg(fresh.path())
        .arg(&corpus)
        .run()?;
    let count = fs::read_dir(fresh.path())?.count();
    ensure!(count > 0, "{}: nothing is left of the corpus", target.name);
    fs::remove_dir_all(&corpus)?;
    fs::rename(fresh.keep(), &corpus)?;
    println!("{}: {count} inputs", target.name);
    Ok(())
}

fn corpus(root: &Path, target: &Target) -> Result<PathBuf> {
    let corpus = root.join("fuzz/corpus").join(target.name);
    if !corpus.is_dir() {
        bail!("{} is not there", corpus.display());
    }
    Ok(corpus)
}

fn limits(target: &Target) -> [String; 4] {
    [
        format!("-max_len={}", target.longest),
        format!("-timeout={TIMEOUT}"),
        format!("-rss_limit_mb={MEMORY_MB}"),
        "-use_value_profile=0".to_owned(),
    ]
}

/// What is fuzzed.
struct Target {
    name: &'static str,
    /// Inputs may have so many bytes.
    longest: usize,
    /// Folders with examples that are in the tree anyway.
    seeds: &'static [&'static str],
}

const TARGETS: [&Target; 8] = [
    &Target {
        name: "keepalived",
        longest: 4096,
        seeds: &[
            "crates/config/tests/golden/keepalived/debian",
            "crates/config/tests/golden/keepalived/seed",
        ],
    },
    &Target { name: "ipvsadm", longest: 1024, seeds: &[] },
    &Target { name: "lvs_cf", longest: 2048, seeds: &["crates/config/tests/golden/piranha"] },
    &Target {
        name: "ldirectord",
        longest: 2048,
        seeds: &["crates/config/tests/golden/ldirectord"],
    },
    &Target { name: "save", longest: 1024, seeds: &["crates/config/tests/golden/save"] },
    &Target { name: "toml", longest: 2048, seeds: &["docs/examples"] },
    &Target { name: "http", longest: 4096, seeds: &[] },
    &Target { name: "answers", longest: 1024, seeds: &[] },
];

/// As `cargo fuzz` has them.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
];

/// How long a target runs when nothing is said.
const SECONDS: u64 = 60;
/// An input that takes longer hangs.
const TIMEOUT: u64 = 10;
/// More than this, for inputs of some kilobytes, has no bound.
const MEMORY_MB: u64 = 1024;

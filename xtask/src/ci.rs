//! `cargo xtask ci`: everything that must hold before a change lands but the tests, cheapest first.
//! `.ci/run` is this and `cargo xtask test`, so that a person runs what CI runs.
//!
//! All steps run, also after a failure: one run tells everything. What cannot run on this machine
//! says why, and is a failure where `CI=true`.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::shell::{CommandExt as _, cargo};
use crate::tally::Tally;
use crate::{tools, workspace};

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut only = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Value(name) => only.push(name.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let root = workspace::root()?;
    let mut done = Vec::new();
    for step in STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|o| o == step.name)) {
        println!("\n=== {}", step.name);
        let start = Instant::now();
        let verdict = (step.run)(&root);
        if let Err(error) = &verdict {
            println!("{}: {error:#}", step.name);
        }
        done.push((step.name, verdict, start.elapsed().as_secs()));
    }
    summary(&done)
}

/// One thing that must hold.
struct Step {
    name: &'static str,
    run: fn(&Path) -> Result<Verdict>,
}

enum Verdict {
    Held,
    /// Not to be had on this machine, and not required there.
    Skipped(String),
}

const STEPS: &[Step] = &[
    Step { name: "fmt", run: fmt },
    Step { name: "tidy", run: |root| xtask(root, &["tidy"]) },
    Step { name: "typos", run: typos },
    Step { name: "taplo", run: taplo },
    Step { name: "clippy", run: clippy },
    Step { name: "object", run: |root| xtask(root, &["ebpf", "--install", "--check"]) },
    Step { name: "verifier", run: |root| xtask(root, &["verify"]) },
    Step { name: "older kernels", run: |root| xtask(root, &["kernels"]) },
    Step { name: "docs", run: docs },
    Step { name: "deny", run: deny },
    Step { name: "packages", run: packages },
    Step { name: "bench smoke", run: |root| xtask(root, &["bench", "--smoke"]) },
];

fn fmt(root: &Path) -> Result<Verdict> {
    held(&mut cargo(root, ["fmt", "--all", "--check"]))
}

fn typos(root: &Path) -> Result<Verdict> {
    wheel(root, "typos", "1.52.0", &[])
}

fn taplo(root: &Path) -> Result<Verdict> {
    wheel(root, "taplo", "0.9.3", &["lint"])
}

fn wheel(root: &Path, name: &str, version: &str, args: &[&str]) -> Result<Verdict> {
    match tools::wheel(name, version)? {
        Some(program) => held(Command::new(program).args(args).current_dir(root)),
        None => Ok(Verdict::Skipped("no python3 with pip here".into())),
    }
}

fn clippy(root: &Path) -> Result<Verdict> {
    let mut clippy = cargo(root, ["clippy", "--workspace", "--all-targets", "--locked", "--quiet"]);
    held(clippy.args(["--", "-D", "warnings"]))
}

fn docs(root: &Path) -> Result<Verdict> {
    let mut doc = cargo(root, ["doc", "--workspace", "--no-deps", "--document-private-items"]);
    held(doc.args(["--locked", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Licences, bans and sources; advisories need their database, which not every machine reaches.
fn deny(root: &Path) -> Result<Verdict> {
    let deny = tools::deny()?;
    held(
        Command::new(deny)
            .args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
            .current_dir(root),
    )
}

/// The packages of the build that the tests use: that of a release differs in speed alone. It is
/// built as the tests build it, for them.
fn packages(root: &Path) -> Result<Verdict> {
    cargo(root, ["test", "--workspace", "--no-run", "--locked", "--quiet"]).run()?;
    xtask(root, &["dist", "--check", "--program", "target/debug/xlvs"])
}

/// Another verb, in a process of its own: its failure is its own.
fn xtask(root: &Path, args: &[&str]) -> Result<Verdict> {
    held(Command::new(std::env::current_exe()?).args(args).current_dir(root))
}

fn held(command: &mut Command) -> Result<Verdict> {
    command.run().map(|()| Verdict::Held)
}

fn summary(done: &[(&str, Result<Verdict>, u64)]) -> Result<()> {
    println!("\n=== summary");
    let mut tally = Tally::default();
    for (name, verdict, seconds) in done {
        let (count, said) = match verdict {
            Ok(Verdict::Held) => (Tally::of_step(true), "held".to_owned()),
            Ok(Verdict::Skipped(why)) => (Tally::default(), format!("skipped: {why}")),
            Err(error) => {
                let first = error.to_string();
                let first = first.lines().next().unwrap_or_default().to_owned();
                (Tally::of_step(false), format!("FAILED: {first}"))
            }
        };
        println!("{name:<14} {seconds:>5} s  {said}");
        tally = [tally, count].into_iter().sum();
    }
    println!("{tally}");
    ensure!(tally.failed == 0, "not all of it holds");
    Ok(())
}

//! `cargo xtask test`: the four rings, fastest first.
//!
//! 1: unit and property tests; 2: the real object under `BPF_PROG_TEST_RUN`; 3: hosts in network
//! namespaces with real peers; 4: soak and fuzz. A test's ring is in the name of its target:
//! `tests/ring3_failover.rs` is ring 3, what has no such name is ring 1.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::{CommandExt as _, cargo, find_program, is_root};
use crate::tally::Tally;
use crate::{tools, workspace};

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut rings = Vec::new();
    let mut quick = false;
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Long("ring") => {
                use lexopt::ValueExt as _;
                rings.push(args.value()?.parse::<u8>()?);
            }
            lexopt::Arg::Long("quick") => quick = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if rings.is_empty() {
        rings.extend(1..=4);
    }
    let root = workspace::root()?;
    let mut outcomes = Vec::new();
    for ring in rings {
        outcomes.push((ring, run_ring(&root, ring, quick, None)?));
    }
    report(&outcomes)
}

/// What became of one ring.
pub(crate) enum Outcome {
    Ran(Tally),
    /// No test ran, and why.
    Could(String),
}

impl Outcome {
    /// A ring that could not run has failed where it is required.
    pub(crate) fn tally(&self) -> Tally {
        match self {
            Self::Ran(tally) => *tally,
            Self::Could(_) => Tally { passed: 0, failed: u64::from(is_ci()) },
        }
    }
}

/// The second ring with another object than the committed one.
pub(crate) fn ring_two_with(root: &Path, object: &Path) -> Result<()> {
    match run_ring(root, 2, false, Some(object))? {
        Outcome::Ran(tally) if tally.failed == 0 && tally.passed > 0 => Ok(()),
        Outcome::Ran(tally) => bail!("ring 2 with the fresh object: {tally}"),
        Outcome::Could(why) => bail!("ring 2 cannot run: {why}"),
    }
}

/// Runs one ring and shows its tests as they go by.
pub(crate) fn run_ring(
    root: &Path,
    ring: u8,
    quick: bool,
    object: Option<&Path>,
) -> Result<Outcome> {
    let targets = targets(root, ring)?;
    if ring > 1 && targets.is_empty() {
        return Ok(Outcome::Could(format!("no test target is named ring{ring}_*")));
    }
    if let Some(why) = obstacle(ring) {
        return Ok(Outcome::Could(why));
    }
    println!("== ring {ring}: {}", about(ring)?);
    let mut commands = commands(root, ring, &targets)?;
    let mut tally = Tally::default();
    for command in &mut commands {
        command.env("CARGO_TERM_COLOR", "never");
        if quick {
            command.envs(QUICK.iter().copied());
        }
        if let Some(object) = object {
            command.env("XLVS_OBJECT", object);
        }
        tally = [tally, counted(command)?].into_iter().sum();
    }
    Ok(Outcome::Ran(tally))
}

fn about(ring: u8) -> Result<&'static str> {
    Ok(match ring {
        1 => "unit and property tests",
        2 => "the eBPF object under BPF_PROG_TEST_RUN",
        3 => "hosts in network namespaces",
        4 => "soak and fuzz",
        _ => bail!("rings are 1 to 4"),
    })
}

/// Why a ring cannot run on this machine; what can be installed is installed.
fn obstacle(ring: u8) -> Option<String> {
    if ring == 1 {
        return None;
    }
    if !is_root() {
        return Some("only root may load programs and make network namespaces".into());
    }
    if ring >= 3 {
        if let Err(error) = tools::namespaces() {
            return Some(format!("{error:#}"));
        }
        if find_program("unshare").is_some()
            && !Command::new("unshare").args(["-n", "true"]).quietly()
        {
            return Some("this machine refuses new network namespaces (unshare -n)".into());
        }
    }
    None
}

fn commands(root: &Path, ring: u8, targets: &[(String, String)]) -> Result<Vec<Command>> {
    let nextest = tools::nextest();
    if ring == 1 {
        let mut doc = cargo(root, ["test", "--workspace", "--doc", "--quiet"]);
        doc.args(["--exclude", "xlvs-ebpf"]);
        return Ok(vec![first_ring(root, nextest, targets)?, doc]);
    }
    let mut command = if nextest {
        cargo(root, ["nextest", "run", "--profile", "rings", "--status-level", "pass"])
    } else {
        cargo(root, ["test", "--no-fail-fast"])
    };
    for (package, target) in targets {
        command.args(["-p", package, "--test", target]);
    }
    if !nextest {
        command.args(["--", "--test-threads", "1"]);
    }
    Ok(vec![command])
}

/// Everything but the targets of the other rings. They are named one by one: nextest takes a
/// pattern that matches nothing for a mistake.
fn first_ring(root: &Path, nextest: bool, own: &[(String, String)]) -> Result<Command> {
    if !nextest {
        let mut command = cargo(root, ["test", "--workspace", "--lib", "--bins", "--no-fail-fast"]);
        command.args(own.iter().flat_map(|(_, target)| ["--test", target]));
        return Ok(command);
    }
    let mut command = cargo(root, ["nextest", "run", "--workspace", "--status-level", "fail"]);
    let mut others = Vec::new();
    for ring in 2..=4 {
        let names = targets(root, ring)?;
        others.extend(names.into_iter().map(|(_, target)| format!("binary(={target})")));
    }
    if !others.is_empty() {
        command.arg("-E").arg(format!("not ({})", others.join(" | ")));
    }
    Ok(command)
}

/// The (package, target) pairs of a ring, from the names in the crates' `tests` folders.
fn targets(root: &Path, ring: u8) -> Result<Vec<(String, String)>> {
    let mut targets = Vec::new();
    let crates = fs::read_dir(root.join("crates")).context("reading crates")?;
    for folder in crates.flatten().map(|entry| entry.path()) {
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let package = manifest
            .lines()
            .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
            .with_context(|| format!("{} has no name", folder.display()))?;
        for test in fs::read_dir(folder.join("tests")).into_iter().flatten().flatten() {
            let name = test.file_name().to_string_lossy().into_owned();
            let Some(target) = name.strip_suffix(".rs") else { continue };
            if ring_of(target) == ring {
                targets.push((package.to_owned(), target.to_owned()));
            }
        }
    }
    targets.sort();
    Ok(targets)
}

fn ring_of(target: &str) -> u8 {
    match target.split_once('_').map(|(ring, _)| ring) {
        Some("ring2") => 2,
        Some("ring3") => 3,
        Some("ring4") => 4,
        _ => 1,
    }
}

/// Runs a test runner: its output goes by, its closing lines are counted. A runner that fails
/// without a failed test (it did not compile) counts as one failure.
fn counted(command: &mut Command) -> Result<Tally> {
    let program = command.get_program().to_string_lossy().into_owned();
    // Both streams through one pipe: nextest counts on one, cargo test on the other.
    let (reader, writer) = std::io::pipe().context("a pipe")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("a pipe")?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    // The command holds the pipe's other end, and with it our reading open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut tally = Tally::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        tally = [tally, Tally::read(&line)].into_iter().sum();
        println!("{line}");
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

fn report(outcomes: &[(u8, Outcome)]) -> Result<()> {
    println!();
    for (ring, outcome) in outcomes {
        let about = about(*ring)?;
        match outcome {
            Outcome::Ran(tally) => println!("ring {ring} ({about}): {tally}"),
            Outcome::Could(why) => println!("ring {ring} ({about}): did not run: {why}"),
        }
    }
    let tally = outcomes.iter().map(|(_, outcome)| outcome.tally()).sum::<Tally>();
    println!("{tally}");
    ensure!(tally.failed == 0 && tally.passed > 0, "tests failed");
    Ok(())
}

/// On a CI machine what cannot run is a failure.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// What `--quick` makes smaller: rows and labs stay whole, random tests play less.
const QUICK: &[(&str, &str)] = &[("XLVS_MUTATIONS", "50000"), ("XLVS_SEQUENCES", "300")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tests_ring_is_in_its_targets_name() {
        let rows = [("ring2_object", 2), ("ring3_nat", 3), ("ring4_soak", 4), ("golden", 1)];
        for (target, ring) in rows {
            assert_eq!(ring_of(target), ring, "{target}");
        }
    }
}

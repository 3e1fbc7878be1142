//! What a packet costs: the director beside an empty program, bare look-ups of the same keys, and
//! the least that a director can do; in one run, taking turns. `cargo xtask bench` starts it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints a table")]

mod against;
mod batch;
mod checks;
mod frames;
mod live;
mod object;
mod report;
mod rounds;
mod scale;
mod scenarios;
mod sweep;
mod world;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::{
    process::setpriority_process,
    thread::{CpuSet, sched_setaffinity},
};

use crate::{
    object::Object,
    report::{Report, Style},
    rounds::Effort,
    world::{Way, World},
};

const HELP: &str = "\
What a packet costs, in nanoseconds.

Usage: cargo xtask bench [--gate] [--smoke] [--rounds N] [--markdown] [--only PART]
       cargo xtask bench --against PROGRAM [--gate] [--rounds N]

  --gate       check the bounds; exit with an error if one does not hold
  --smoke      few packets and flows: only that everything runs
  --rounds N   rounds of which the median is taken (7)
  --markdown   the table as Markdown
  --only PART  hot, new, many, checks, sweep, live or scale
  --against PROGRAM
               established flows beside those of another build of xlvs-bench, rounds taking turns

XLVS_OBJECT names another build of the eBPF object to measure.
";

struct Args {
    gate: bool,
    smoke: bool,
    markdown: bool,
    rounds: usize,
    only: Option<String>,
    against: Option<PathBuf>,
}

impl Args {
    /// Is this part wanted?
    fn wants(&self, part: &str) -> bool {
        let beside = ["sweep", "live"].contains(&part) && self.gate;
        self.only.as_deref().map_or(!beside, |only| only == part)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False: a bound does not hold.
fn run() -> Result<bool> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(checks::CHILD) {
        println!("{}", checks::child(&words.next().unwrap_or_default())?);
        return Ok(true);
    }
    let Some(args) = parse()? else {
        print!("{HELP}");
        return Ok(true);
    };
    xlvs_testkit::interrupt::catch();
    if let Some(other) = &args.against {
        let bounds = against::run(other, args.rounds)?;
        return Ok(!args.gate || bounds.iter().all(report::Bound::holds));
    }
    if args.only.as_deref() == Some("scale") {
        return scale::run(args.smoke, args.gate);
    }
    let effort = if args.smoke {
        Effort { rounds: 1, packets: 200, flows: 1000 }
    } else {
        Effort { rounds: args.rounds, packets: 20_000, flows: 1_000_000 }
    };
    let report = measure_all(&effort, &args)?;
    let style = if args.markdown { Style::Markdown } else { Style::Plain };
    println!("{}", report.table(style));
    if !args.gate {
        return Ok(true);
    }
    let held = check(&report);
    Ok(scale::run(args.smoke, true)? && held)
}

fn parse() -> Result<Option<Args>> {
    use lexopt::prelude::{Long, Short, ValueExt as _};
    let mut args =
        Args { gate: false, smoke: false, markdown: false, rounds: 7, only: None, against: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("gate") => args.gate = true,
            Long("smoke") => args.smoke = true,
            Long("markdown") => args.markdown = true,
            Long("rounds") => args.rounds = parser.value()?.parse()?,
            Long("only") => args.only = Some(parser.value()?.string()?),
            Long("against") => args.against = Some(parser.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if args.rounds == 0 {
        bail!("--rounds 0 measures nothing: try 7");
    }
    Ok(Some(args))
}

fn measure_all(effort: &Effort, args: &Args) -> Result<Report> {
    // Before this process stays on one core.
    let checks = if args.wants("checks") { Some(checks::measure(args.smoke)?) } else { None };
    let world = World::build()?;
    let ifindex = world.ifindex;
    world.enter(|| {
        pin()?;
        let verified = Object::load(1, ifindex)?.verified()?;
        let (flows, rounds) = (effort.flows, effort.rounds);
        let mut report = Report { flows, rounds, verified, checks, ..Report::default() };
        if args.wants("hot") {
            report.hot = scenarios::hot(ifindex, effort)?;
        }
        if args.wants("new") {
            report.fresh = scenarios::fresh(ifindex, effort)?;
        }
        if args.wants("many") {
            for way in Way::ALL {
                report.many.push(scenarios::many(ifindex, effort, way)?);
            }
        }
        if args.wants("sweep") {
            for way in [Way::Direct, Way::Nat] {
                report.swept.push(sweep::sweep(ifindex, effort.flows, way)?);
            }
        }
        if args.wants("live") {
            let time = Duration::from_millis(if args.smoke { 60 } else { 3000 });
            report.live = Some(live::live(&world, time).map_err(|error| format!("{error:#}")));
        }
        Ok(report)
    })
}

/// One core, and nobody polite before us on it.
fn pin() -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    set.set(cores - 1);
    sched_setaffinity(None, &set).context("stay on one core")?;
    // A refusal costs accuracy only.
    let _ = setpriority_process(None, -20);
    Ok(())
}

/// Prints each bound with what was found; false if one does not hold.
fn check(report: &Report) -> bool {
    let bounds = report.bounds();
    for bound in &bounds {
        let mark = if bound.holds() { "ok  " } else { "FAIL" };
        println!("{mark} {:<50} {:>6.3} (at most {:.2})", bound.what, bound.ratio, bound.limit);
    }
    bounds.iter().all(report::Bound::holds)
}

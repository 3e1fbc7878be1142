//! `cargo xtask`: what builds, checks, tests, measures and packs xlvs.
//!
//! Each verb is a module with one `run`. Nothing here is part of the product; the product builds
//! with stable Rust alone, because the eBPF object that `xtask ebpf` makes is committed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod bench;
mod churn;
mod ci;
mod dist;
mod ebpf;
mod failures;
mod fuzz;
mod guest;
mod kernels;
mod rings;
mod shell;
mod tally;
mod tidy;
mod tools;
mod verify;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next().unwrap_or_default();
    let rest = lexopt::Parser::from_args(args);
    let done = match verb.to_str() {
        Some("bench") => bench::run(rest),
        Some("churn") => churn::run(rest),
        Some("ebpf") => ebpf::run(rest),
        Some("fuzz") => fuzz::run(rest),
        Some("failures") => failures::run(rest),
        Some("kernels") => kernels::run(rest),
        Some("verify") => verify::run(rest),
        Some("tidy") => tidy::run(rest),
        Some("ci") => ci::run(rest),
        Some("dist") => dist::run(rest),
        Some("test") => rings::run(rest),
        Some("tools") => tools::run(rest),
        Some("" | "help" | "-h" | "--help") => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(anyhow::anyhow!("no such verb: {}\n\n{USAGE}", verb.display())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "\
cargo xtask VERB

  ebpf [--install] [--check] [--next]
                      build the eBPF object that is committed; --check: is it what the sources make?
  verify [OBJECT]     load every program of the object, compare with the verifier budget (root)
  kernels [6.1 6.12]  the same on older kernels, in throw-away guests
  tidy [--aims] [--fix]
                      the house's rules that rustc and clippy do not know
  test [--ring N]... [--quick]
                      the four rings; installs what they need when it is missing
  bench [--gate] [--smoke] [--rounds N]
                      ns per packet
  churn [--seed N | --seeds A..B] [--operations N] [--kernel 6.1|6.12] [--keep FOLDER]
                      random scripts through a real IPVS (--oracle PROGRAM) and through ours
  fuzz [TARGET]... [--seconds N] [--merge]
                      libFuzzer on the parsers (keepalived, ipvsadm, http, answers), on stable Rust;
                      --merge: keep the smallest corpus that goes the same ways
  failures [--check] [--kernel 6.1|6.12]
                      a script of failures through a real keepalived (--oracle PROGRAM); --check:
                      is what it leaves what was recorded?
  dist [--check] [--program PATH]
                      the release build as an archive, a .deb and an .rpm; --check: try them
  tools RING|ci       install the programs that a ring or CI needs
  ci                  everything that must hold before a change lands; what .ci/run runs
";

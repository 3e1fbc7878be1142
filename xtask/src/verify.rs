//! `cargo xtask verify [OBJECT]`: has this kernel's verifier look at every program of the object.
//!
//! How many instructions the verifier walks is a program's cost at load time and its distance from
//! the kernel's limit of one million; a jump shows up here before it shows up at a user's kernel.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{Program, ProgramInfo};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};

use crate::{ebpf, workspace};

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut object = None;
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Value(path) => object = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    let object = match object {
        Some(path) => path,
        None => ebpf::object_path(&workspace::root()?),
    };
    verify(&object)
}

/// Loads every program of the object and prints what each cost the verifier.
pub(crate) fn verify(object: &Path) -> Result<()> {
    let bytes = std::fs::read(object).with_context(|| format!("reading {}", object.display()))?;
    let mut ebpf = EbpfLoader::new()
        // The statistics alone would hide why a program was refused.
        .verifier_log_level(VerifierLogLevel::DEBUG | VerifierLogLevel::STATS)
        .load(&bytes)
        .with_context(|| format!("loading {}", object.display()))?;
    println!("{:<24} {:>12} {:>12}", "program", "verified", "budget");
    let mut over = Vec::new();
    for name in names(&ebpf) {
        let program = ebpf.program_mut(&name).context("a name from the same object")?;
        let verified = load(program).map_err(|refusal| refused(&name, &refusal))?;
        println!("{name:<24} {verified:>12} {VERIFIER_BUDGET:>12}");
        if verified > VERIFIER_BUDGET {
            over.push(name);
        }
    }
    ensure!(over.is_empty(), "over the verifier budget: {}", over.join(", "));
    Ok(())
}

/// The end of the verifier's log says why; the whole is for an editor.
fn refused(name: &str, refusal: &anyhow::Error) -> anyhow::Error {
    let whole = format!("{refusal:#}");
    let log = std::env::temp_dir().join(format!("verifier-{name}.log"));
    let kept = std::fs::write(&log, &whole).is_ok();
    let lines = whole.lines().collect::<Vec<_>>();
    let end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    let place = if kept { format!(" (whole log: {})", log.display()) } else { String::new() };
    anyhow::anyhow!("the kernel refuses `{name}`{place}:\n{end}")
}

fn names(ebpf: &Ebpf) -> Vec<String> {
    let mut names = ebpf.programs().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    names.sort();
    names
}

fn load(program: &mut Program) -> Result<u32> {
    let info: ProgramInfo = match program {
        Program::Xdp(xdp) => {
            xdp.load()?;
            xdp.info()?
        }
        Program::SchedClassifier(classifier) => {
            classifier.load()?;
            classifier.info()?
        }
        _ => anyhow::bail!("a kind of program that `xtask verify` does not know: teach it"),
    };
    info.verified_instruction_count().context("this kernel does not count what it verifies")
}

/// The most instructions that the verifier may walk for one program, a tenth of the kernel's limit.
pub(crate) const VERIFIER_BUDGET: u32 = 100_000;
const LOG_LINES: usize = 30;

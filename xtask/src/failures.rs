//! `cargo xtask failures`: records what real keepalived, driving real IPVS, makes of a script of
//! failures. `crates/cli/tests/ring3_failures.rs` plays the same steps to xlvs and compares.
//!
//! The guest is not ours to bring; [`crate::churn`] says how it is called and what it must have.
//! Here it needs ipvsadm, iproute2, Python 3 and keepalived.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lexopt::ValueExt as _;

use crate::shell::CommandExt as _;
use crate::workspace;

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut oracle = std::env::var_os("XLVS_ORACLE").map(PathBuf::from);
    let mut kernel = "6.12".to_owned();
    let mut check = false;
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Long("oracle") => oracle = Some(args.value()?.into()),
            lexopt::Arg::Long("kernel") => kernel = args.value()?.string()?,
            lexopt::Arg::Long("check") => check = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let oracle = oracle.context(
        "a real keepalived is needed: name the program that boots one by --oracle or XLVS_ORACLE",
    )?;
    let folder = workspace::root()?.join(FOLDER);
    let work = tempfile::tempdir().context("a folder for the guest")?;
    let listings = record(&folder, work.path(), &oracle, &kernel)?;
    let committed = folder.join("listings");
    if !check {
        return fs::write(&committed, listings)
            .with_context(|| format!("writing {}", committed.display()));
    }
    let before = fs::read_to_string(&committed)?;
    ensure!(before == listings, "keepalived says otherwise than {}", committed.display());
    Ok(())
}

/// What the guest wrote.
fn record(folder: &Path, work: &Path, oracle: &Path, kernel: &str) -> Result<String> {
    fs::write(work.join("play.sh"), PLAY)?;
    fs::write(work.join("guest.py"), GUEST)?;
    for name in GIVEN {
        fs::copy(folder.join(name), work.join(name))
            .with_context(|| format!("copying {name} from {}", folder.display()))?;
    }
    let out = work.join("out");
    Command::new(oracle)
        .args(["-k", kernel, "-t", LIMIT_S, "-o"])
        .arg(&out)
        .args(["play.sh", "guest.py"])
        .args(GIVEN)
        .current_dir(work)
        .run()?;
    fs::read_to_string(out.join("listings")).context("the guest left no listings")
}

const FOLDER: &str = "crates/cli/tests/golden/failures";
const GIVEN: [&str; 4] = ["keepalived.conf", "steps", "script", "tell"];
const GUEST: &str = include_str!("failures/guest.py");
const PLAY: &str = "\
export LC_ALL=C
for name in ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc veth bridge; do modprobe $name; done
mkdir -p /run/given
cp keepalived.conf steps script tell /run/given
python3 guest.py /run/given
";
/// The steps take about ten seconds each.
const LIMIT_S: &str = "1500";

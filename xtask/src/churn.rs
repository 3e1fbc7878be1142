//! `cargo xtask churn`: random scripts through a real IPVS and through ours; who chooses otherwise?
//!
//! The real one runs in a virtual machine that is not ours to bring: `--oracle PROGRAM` (or
//! `XLVS_ORACLE`) is called as `PROGRAM -k KERNEL -t SECONDS -o FOLDER SCRIPT FILES...`. It must
//! boot the kernel of that series with ipvsadm, iproute2, iptables and Python 3, put SCRIPT and
//! FILES into one folder, run SCRIPT there by bash as root, and bring back /out.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lexopt::ValueExt as _;

use crate::shell::{CommandExt as _, cargo};
use crate::workspace;

/// What is asked for.
struct Wish {
    seeds: RangeInclusive<u64>,
    operations: u64,
    kernel: String,
    oracle: Option<PathBuf>,
    keep: Option<PathBuf>,
}

impl Wish {
    fn read(mut args: lexopt::Parser) -> Result<Self> {
        let mut wish = Self {
            seeds: 1..=1,
            operations: 200,
            kernel: "6.12".to_owned(),
            oracle: std::env::var_os("XLVS_ORACLE").map(PathBuf::from),
            keep: None,
        };
        while let Some(arg) = args.next()? {
            match arg {
                lexopt::Arg::Long("seed") => {
                    let seed = args.value()?.parse()?;
                    wish.seeds = seed..=seed;
                }
                lexopt::Arg::Long("seeds") => {
                    let text = args.value()?.string()?;
                    let (first, last) = text.split_once("..").context("--seeds FIRST..LAST")?;
                    wish.seeds = first.parse()?..=last.parse()?;
                }
                lexopt::Arg::Long("operations") => wish.operations = args.value()?.parse()?,
                lexopt::Arg::Long("kernel") => wish.kernel = args.value()?.string()?,
                lexopt::Arg::Long("oracle") => wish.oracle = Some(args.value()?.into()),
                lexopt::Arg::Long("keep") => wish.keep = Some(args.value()?.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(wish)
    }
}

pub(crate) fn run(args: lexopt::Parser) -> Result<()> {
    let wish = Wish::read(args)?;
    let oracle = wish.oracle.as_deref().context(
        "a real IPVS is needed: name the program that boots one by --oracle or XLVS_ORACLE",
    )?;
    let root = workspace::root()?;
    let work = tempfile::tempdir().context("a folder for the scripts")?;
    let records = record(&root, work.path(), oracle, &wish)?;
    if let Some(folder) = &wish.keep {
        fs::create_dir_all(folder)?;
        for record in &records {
            let name = record.file_name().context("a record has a name")?;
            let kept = folder.join(format!("churn-{}-{}", wish.kernel, name.display()));
            fs::copy(record, &kept).with_context(|| format!("keeping {}", kept.display()))?;
        }
    }
    churn(&root).arg("replay").args(&records).run()
}

/// The scripts, as the kernel answered them.
fn record(root: &Path, work: &Path, oracle: &Path, wish: &Wish) -> Result<Vec<PathBuf>> {
    fs::write(work.join("play.sh"), PLAY)?;
    fs::write(work.join("guest.py"), churn(root).arg("player").read()?)?;
    let mut names = Vec::new();
    for seed in wish.seeds.clone() {
        let name = format!("{seed:02}.jsonl");
        let script =
            churn(root).args(["script", &seed.to_string(), &wish.operations.to_string()]).read()?;
        fs::write(work.join(&name), script + "\n")?;
        names.push(name);
    }
    let limit = BOOT_S + wish.operations * names.len() as u64;
    let out = work.join("out");
    Command::new(oracle)
        .args(["-k", &wish.kernel, "-t", &limit.to_string(), "-o"])
        .arg(&out)
        .args(["play.sh", "guest.py"])
        .args(&names)
        .current_dir(work)
        .run()?;
    let records: Vec<PathBuf> = names.iter().map(|name| out.join(name)).collect();
    for record in &records {
        ensure!(record.exists(), "the guest left no {}", record.display());
    }
    Ok(records)
}

/// The program that makes scripts and replays them.
fn churn(root: &Path) -> Command {
    cargo(root, ["run", "--quiet", "-p", "xlvs-conformance", "--bin", "churn", "--"])
}

/// In the guest: each script in namespaces of its own, so that no connection outlives its script.
const PLAY: &str = "\
export LC_ALL=C
for name in ip_vs veth bridge; do modprobe $name; done
for name in rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh; do modprobe ip_vs_$name; done
for script in [0-9]*.jsonl; do
  ip -all netns delete
  python3 guest.py $script /out/$script || exit 1
done
";
/// Longer than a boot takes; a step takes a tenth of a second.
const BOOT_S: u64 = 100;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test is a panic")]
    use super::*;

    #[test]
    fn seeds_are_one_or_a_range() {
        let rows: &[(&[&str], RangeInclusive<u64>, u64, &str)] = &[
            (&[], 1..=1, 200, "6.12"),
            (&["--seed", "7"], 7..=7, 200, "6.12"),
            (&["--seeds", "3..9", "--operations", "50"], 3..=9, 50, "6.12"),
            (&["--kernel", "6.1", "--seed=2"], 2..=2, 200, "6.1"),
        ];
        for (args, seeds, operations, kernel) in rows {
            let wish = Wish::read(lexopt::Parser::from_args(args.iter())).unwrap();
            let is = (wish.seeds, wish.operations, wish.kernel.as_str());
            assert_eq!(is, (seeds.clone(), *operations, *kernel), "{args:?}");
        }
        for args in [&["--seeds", "3"][..], &["--seed", "x"], &["--speed"], &["5"]] {
            assert!(Wish::read(lexopt::Parser::from_args(args.iter())).is_err(), "{args:?}");
        }
    }
}

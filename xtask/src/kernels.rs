//! `cargo xtask kernels [SERIES...]`: does every program of the object load on older kernels, too,
//! and within the verifier budget? Each kernel's verifier walks differently.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{ebpf, guest, tools, workspace};

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut series = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Value(one) => series.push(one.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    if series.is_empty() {
        series.extend(SERIES.iter().map(|one| (*one).to_owned()));
    }
    tools::guests()?;
    let object = ebpf::object_path(&workspace::root()?);
    let mut refused = Vec::new();
    for one in &series {
        println!("== kernel {one}");
        match verify_in(one, &object) {
            Ok(said) => println!("{said}"),
            Err(error) => {
                println!("{error:#}");
                refused.push(one.as_str());
            }
        }
    }
    if refused.is_empty() { Ok(()) } else { bail!("refused by kernel {}", refused.join(", ")) }
}

/// This very program verifies, in the guest.
fn verify_in(series: &str, object: &Path) -> Result<String> {
    let kernel = guest::kernel(series)?;
    let xtask = std::env::current_exe().context("where xtask lies")?;
    guest::run(
        &kernel,
        &guest::Errand {
            files: &[(&xtask, "/bin/xtask"), (object, "/xlvs.bpf.o")],
            script: "uname -r; /bin/xtask verify /xlvs.bpf.o",
            limit: LIMIT,
        },
    )
}

/// The long-term kernels that users of Debian 12 run.
const SERIES: &[&str] = &["6.1", "6.12"];
const LIMIT: Duration = Duration::from_mins(10);

//! `cargo xtask bench`: hands over to the bench program, built as it would be released.

use anyhow::Result;

use crate::shell::{CommandExt as _, cargo};
use crate::workspace;

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let rest = args.raw_args()?.collect::<Vec<_>>();
    let root = workspace::root()?;
    let named = |name: &str| rest.iter().any(|arg| arg == name);
    if named("scale") || named("--gate") {
        // The part about large directors runs a real one.
        cargo(&root, ["build", "--release", "--quiet", "-p", "xlvs-cli"]).run()?;
    }
    cargo(&root, ["run", "--release", "--quiet", "-p", "xlvs-bench", "--"]).args(rest).run()
}

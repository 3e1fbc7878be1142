//! What is written beside the object: who made it, out of what.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::recipe::{FLAGS, Recipe};
use super::sources::sha256;

/// The record of one object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) rustc: String,
    pub(crate) bpf_linker: String,
    pub(crate) flags: String,
    pub(crate) sources: String,
    pub(crate) object: String,
}

impl Record {
    pub(crate) fn of(recipe: &Recipe, object: &[u8], sources: &str) -> Self {
        Self {
            rustc: recipe.rustc.clone(),
            bpf_linker: recipe.bpf_linker.clone(),
            flags: FLAGS.join(" "),
            sources: sources.to_owned(),
            object: sha256(object),
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!("no record at {}: build the object with `cargo xtask ebpf`", path.display())
        })?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Would the same sources give the same bytes under `other`'s tools?
    pub(crate) fn same_tools(&self, other: &Self) -> bool {
        (&self.rustc, &self.bpf_linker, &self.flags)
            == (&other.rustc, &other.bpf_linker, &other.flags)
    }

    fn parse(text: &str) -> Result<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
                .map(str::to_owned)
                .with_context(|| format!("no `{name}`"))
        };
        Ok(Self {
            rustc: field("rustc")?,
            bpf_linker: field("bpf-linker")?,
            flags: field("flags")?,
            sources: field("sources")?,
            object: field("object")?,
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `cargo xtask ebpf`: what made the object beside this file.")?;
        for (name, value) in [
            ("rustc", &self.rustc),
            ("bpf-linker", &self.bpf_linker),
            ("flags", &self.flags),
            ("sources", &self.sources),
            ("object", &self.object),
        ] {
            writeln!(f, "{name} = \"{value}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]
    use super::*;

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let record = Record {
            rustc: "rustc 1.2.3 (abc 2026-01-01), LLVM 22.1.8".into(),
            bpf_linker: "bpf-linker 0.13.0".into(),
            flags: "-Ca=b -Cc".into(),
            sources: "00".into(),
            object: "ff".into(),
        };
        assert_eq!(Record::parse(&record.to_string()).unwrap(), record);
    }
}

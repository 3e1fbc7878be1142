//! `cargo xtask tidy`: the house's rules that rustc, clippy and rustfmt do not know.
//!
//! A rule is a pure function from a file's text to findings, so that each has a test that shows it
//! catching something. Aims are printed with `--aims` and break nothing; bounds break the build.

mod banned;
mod mend;
mod rust;
mod text;
mod tree;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

pub(crate) fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut aims = false;
    let root = workspace::root()?;
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Long("aims") => aims = true,
            lexopt::Arg::Long("fix") => fix(&root)?,
            other => return Err(other.unexpected().into()),
        }
    }
    let files = read_tree(&root)?;
    let mut findings = check(&files);
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    let broken = findings.iter().filter(|finding| !finding.aim).count();
    for finding in findings.iter().filter(|finding| aims || !finding.aim) {
        println!("{finding}");
    }
    let aimed = findings.len() - broken;
    println!("tidy: {} files, {broken} broken rules, {aimed} missed aims", files.len());
    ensure!(broken == 0, "tidy: {broken} broken rules");
    Ok(())
}

/// A file of the tree: its path from the root, with `/`, and its text.
pub(crate) struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    fn is_markdown(&self) -> bool {
        has_extension(&self.path, "md")
    }

    /// Whole files of tests: their length is their rows.
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("tests.rs")
    }
}

/// One broken rule or missed aim.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    aim: bool,
    what: String,
}

impl Finding {
    fn broken(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, aim: false, what: what.into() }
    }

    fn missed(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { aim: true, ..Self::broken(path, line, what) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aim = if self.aim { " (aim)" } else { "" };
        write!(f, "{}:{}: {}{aim}", self.path, self.line, self.what)
    }
}

fn check(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        findings.extend(text::check(file));
        findings.extend(banned::check(file));
        if file.is_rust() {
            findings.extend(rust::check(file));
        }
    }
    findings.extend(tree::check(files));
    findings
}

/// Mends in place what can be mended without a thought.
fn fix(root: &Path) -> Result<()> {
    for file in read_tree(root)?.iter().filter(|file| file.is_rust()) {
        let mended = mend::mend(&file.text);
        if mended != file.text {
            fs::write(root.join(&file.path), mended)?;
            println!("mended {}", file.path);
        }
    }
    Ok(())
}

fn read_tree(root: &Path) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    for path in workspace::files(root)? {
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let known = READ.iter().any(|extension| has_extension(&relative, extension));
        if (!known && relative != ".ci/run") || relative.contains("golden/") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {relative}"))?;
        files.push(Source { path: relative, text });
    }
    Ok(files)
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|own| own == extension)
}

/// What people write; the lock file and recorded data are not.
const READ: &[&str] = &["rs", "md", "toml", "sh", "service"];

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let broken = check(&read_tree(root).unwrap())
            .into_iter()
            .filter(|finding| !finding.aim)
            .map(|finding| finding.to_string())
            .collect::<Vec<_>>();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }
}

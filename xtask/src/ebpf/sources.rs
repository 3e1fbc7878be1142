//! What the object is made of, as one digest: the sources of the four crates that are compiled
//! into it, their manifests and the locked versions of what they depend on.
//!
//! It tells, without a compiler, that somebody changed a source and did not build the object.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::workspace;

/// The digest of the object's sources in the workspace at `root`.
pub(crate) fn digest(root: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    for name in CRATES {
        let folder = root.join("crates").join(name);
        let mut paths = vec![folder.join("Cargo.toml")];
        paths.extend(workspace::files(&folder.join("src"))?);
        for path in paths.iter().filter(|path| !is_test(path)) {
            let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            let relative = path.strip_prefix(root).unwrap_or(path);
            hasher.update(format!("{} {}\n", relative.display(), bytes.len()));
            hasher.update(&bytes);
        }
    }
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("reading Cargo.lock")?;
    hasher.update(locked_closure(&lock, "xlvs-ebpf"));
    Ok(hex(&hasher.finalize()))
}

/// The digest of some bytes, as text.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Test modules are not compiled into the object.
fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// The lock file's entries of `package` and of everything that it depends on, as text.
fn locked_closure(lock: &str, package: &str) -> String {
    let entries = lock.split("[[package]]\n").skip(1).collect::<Vec<_>>();
    let mut wanted = vec![package.to_owned()];
    let mut taken = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        for entry in entries.iter().filter(|entry| field(entry, "name") == Some(&name)) {
            if taken.insert(entry.trim_end()) {
                wanted.extend(dependencies(entry));
            }
        }
    }
    taken.into_iter().fold(String::new(), |mut text, entry| {
        let _ = writeln!(text, "{entry}");
        text
    })
}

fn field<'a>(entry: &'a str, name: &str) -> Option<&'a str> {
    entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
}

/// `"name"` or `"name version"`, one a line: a name that has two versions takes both in.
fn dependencies(entry: &str) -> Vec<String> {
    entry
        .lines()
        .filter_map(|line| line.strip_prefix(" \"")?.strip_suffix("\","))
        .filter_map(|text| text.split(' ').next())
        .map(str::to_owned)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const CRATES: &[&str] = &["wire", "sched", "datapath", "ebpf"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closure_follows_dependencies_and_leaves_others_out() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\ndependencies = [\n \"b\",\n]\n\n\
                    [[package]]\nname = \"b\"\nversion = \"1\"\n\n[[package]]\nname = \"c\"\n";
        let closure = locked_closure(lock, "a");
        assert!(closure.contains("name = \"a\"") && closure.contains("name = \"b\""));
        assert!(!closure.contains("name = \"c\""));
    }
}

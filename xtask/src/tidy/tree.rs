//! Rules over the tree as a whole: files that nothing reaches, crates that no document names.

use super::{Finding, Source};

/// Every rule of this module over the tree.
pub(super) fn check(files: &[Source]) -> Vec<Finding> {
    let mut findings = dead_files(files);
    findings.extend(unnamed_crates(files));
    findings.extend(budget(files));
    findings
}

/// A Rust file is a crate's root or is named by a `mod` of the file above it.
fn dead_files(files: &[Source]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| file.is_rust() && !is_root(&file.path))
        .filter(|file| !files.iter().any(|other| declares(other, &file.path)))
        .map(|file| Finding::broken(&file.path, 1, "no `mod` reaches this file"))
        .collect()
}

/// Files that cargo finds by itself.
fn is_root(path: &str) -> bool {
    let (folder, name) = split(path);
    let (_, last) = split(folder);
    match name {
        "lib.rs" | "main.rs" | "build.rs" => true,
        _ => matches!(last, "tests" | "benches" | "examples" | "bin" | "fuzz_targets"),
    }
}

/// Does `file` declare the module that lies at `path`?
fn declares(file: &Source, path: &str) -> bool {
    let (folder, name) = split(path);
    let (own_folder, own_name) = split(&file.path);
    if by_path(file).any(|named| named == path) {
        return true;
    }
    let stem = name.trim_end_matches(".rs");
    let (folder, module) = if stem == "mod" { split(folder) } else { (folder, stem) };
    let speaks_for = match own_name {
        "lib.rs" | "main.rs" | "mod.rs" => own_folder == folder,
        // A test or an example is a crate's root; its modules lie beside it or below its name.
        _ if is_root(&file.path) && own_folder == folder => true,
        _ => file.path.trim_end_matches(".rs") == folder,
    };
    speaks_for && file.text.lines().any(|line| line.trim().ends_with(&format!("mod {module};")))
}

/// The files that it names by `#[path]`, from the root of the tree.
fn by_path(file: &Source) -> impl Iterator<Item = String> {
    let (folder, _) = split(&file.path);
    let named = file
        .text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]"));
    named.map(|named| {
        let mut parts = folder.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>();
        for part in named.split('/') {
            if part == ".." {
                parts.pop();
            } else {
                parts.push(part);
            }
        }
        parts.join("/")
    })
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// ARCHITECTURE.md says where things are: it names every crate.
fn unnamed_crates(files: &[Source]) -> Vec<Finding> {
    let text = files.iter().find(|file| file.path == MAP).map_or("", |file| file.text.as_str());
    files
        .iter()
        .filter_map(|file| {
            let name = file.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
            let named = text.contains(&format!("`{name}`"));
            (!named).then(|| Finding::broken(MAP, 1, format!("does not name the crate `{name}`")))
        })
        .collect()
}

/// The verifier's budget is a number with a name, in one place.
fn budget(files: &[Source]) -> Option<Finding> {
    let place = "xtask/src/verify.rs";
    let file = files.iter().find(|file| file.path == place)?;
    let named = file.text.contains("const VERIFIER_BUDGET: u32 = ");
    (!named).then(|| Finding::broken(place, 1, "no constant VERIFIER_BUDGET"))
}

const MAP: &str = "ARCHITECTURE.md";

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_file_that_no_module_names_is_dead() {
        let rows = [
            ("crates/a/src/lib.rs", "mod b;", "crates/a/src/b.rs", 0, "named by the root"),
            ("crates/a/src/lib.rs", "mod c;", "crates/a/src/b.rs", 1, "named by nothing"),
            ("crates/a/src/b.rs", "mod c;", "crates/a/src/b/c.rs", 1, "below a dead file"),
            ("crates/a/tests/x.rs", "", "crates/a/tests/y.rs", 0, "cargo finds tests"),
            ("crates/a/src/lib.rs", "mod b;", "crates/a/src/b/mod.rs", 0, "a folder's own file"),
            (
                "crates/a/src/b.rs",
                "#[path = \"b_tests.rs\"]",
                "crates/a/src/b_tests.rs",
                1,
                "b is dead",
            ),
            ("crates/a/tests/x.rs", "#[path = \"../../y/z.rs\"]", "crates/y/z.rs", 0, "elsewhere"),
            ("crates/a/tests/x.rs", "#[path = \"../y/z.rs\"]", "crates/y/z.rs", 1, "another one"),
        ];
        for (parent, text, path, expected, sentence) in rows {
            let files = [source(parent, text), source(path, "")];
            assert_eq!(dead_files(&files).len(), expected, "{sentence}");
        }
    }

    #[test]
    fn a_crate_is_named_in_the_map() {
        let files = [source(MAP, "| `a` | x |"), source("crates/a/Cargo.toml", "")];
        assert_eq!(unnamed_crates(&files), []);
        let files = [source(MAP, "nothing"), source("crates/a/Cargo.toml", "")];
        assert_eq!(unnamed_crates(&files).len(), 1);
    }

    #[test]
    fn the_budget_has_a_name() {
        assert!(budget(&[source("xtask/src/verify.rs", "if count > 100_000 {")]).is_some());
    }
}

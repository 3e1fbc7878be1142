//! Rules over lines: columns, open ends, titles.

use super::{Finding, Source};

/// Every rule of this module over one file.
pub(super) fn check(file: &Source) -> Vec<Finding> {
    let mut findings = columns(file);
    findings.extend(open_ends(file));
    if file.is_markdown() {
        findings.extend(titles(file));
    }
    findings
}

/// Code stays within 100 columns. Prose in Markdown, tables of versions, recorded texts in tests
/// (rustfmt sees to the code around them) and links do not have to.
fn columns(file: &Source) -> Vec<Finding> {
    if file.is_markdown() || file.is_test() || super::has_extension(&file.path, "toml") {
        return Vec::new();
    }
    file.text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.chars().count() > COLUMNS && !line.contains("://"))
        .map(|(at, line)| {
            let long = line.chars().count();
            Finding::broken(&file.path, at + 1, format!("{long} columns, the bound is {COLUMNS}"))
        })
        .collect()
}

/// A mark for later names who will come back, or the issue that says why.
fn open_ends(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        for mark in MARKS.map(|parts| parts.concat()) {
            let Some((before, after)) = line.split_once(&mark) else { continue };
            let word = |letter: char| letter.is_alphanumeric() || letter == '_';
            if before.ends_with(word) || after.starts_with(word) || after.starts_with('(') {
                continue;
            }
            findings.push(Finding::broken(
                &file.path,
                at + 1,
                format!("{mark} without an owner: {mark}(name) or {mark}(#issue)"),
            ));
        }
    }
    findings
}

/// A Markdown file has one title, on its first line.
fn titles(file: &Source) -> Vec<Finding> {
    let mut fenced = false;
    let mut titles = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced && line.starts_with("# ") {
            titles.push(at + 1);
        }
    }
    match titles.as_slice() {
        [_] => Vec::new(),
        [] => vec![Finding::broken(&file.path, 1, "no title (`# ...`)")],
        [_, second, ..] => vec![Finding::broken(&file.path, *second, "a second title")],
    }
}

/// The width of a line.
pub(super) const COLUMNS: usize = 100;
/// In two parts, so that this file holds none.
const MARKS: [[&str; 2]; 2] = [["TO", "DO"], ["FIX", "ME"]];

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Source { path: path.into(), text: text.into() }).len()
    }

    #[test]
    fn every_rule_catches_what_it_is_for() {
        let todo = ["TO", "DO"].concat();
        let rows = [
            ("a.rs", "x".repeat(101), 1, "101 columns"),
            ("a.rs", "x".repeat(100), 0, "100 columns"),
            ("a.rs", format!("// https://{}", "x".repeat(101)), 0, "a link may be long"),
            ("a.rs", format!("// {todo}: later"), 1, "nobody will come back"),
            ("a.rs", format!("// {todo}(#12): later"), 0, "an issue"),
            ("a.rs", format!("let MY_{todo}_LIST = 1;"), 0, "part of a word"),
            ("a.md", "# One\n\n# Two\n".into(), 1, "two titles"),
            ("a.md", "# One\n```\n# a comment in a block\n```\n".into(), 0, "no second title"),
            ("a.md", "text\n".into(), 1, "no title"),
        ];
        for (path, text, expected, sentence) in rows {
            assert_eq!(count(path, &text), expected, "{sentence}");
        }
    }
}

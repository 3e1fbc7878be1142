//! Rules over Rust's syntax: length of files and functions, heads of modules, imports.

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Item, UseTree};

use super::{Finding, Source};

/// Every rule of this module over one file.
pub(super) fn check(file: &Source) -> Vec<Finding> {
    let parsed = match syn::parse_file(&file.text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let what = format!("does not parse: {error}");
            return vec![Finding::broken(&file.path, error.span().start().line, what)];
        }
    };
    let mut findings = Vec::new();
    findings.extend(head(file, &parsed.attrs));
    findings.extend(length(file, &parsed.items));
    findings.extend(imports(file, &parsed.items));
    let mut functions = Functions { path: &file.path, findings: Vec::new() };
    functions.visit_file(&parsed);
    findings.extend(functions.findings);
    findings
}

/// Each module starts with what it is.
fn head(file: &Source, attrs: &[Attribute]) -> Option<Finding> {
    let documented = attrs.iter().any(|attr| attr.path().is_ident("doc"));
    let wanted = !file.is_test() || file.path.contains("/tests/");
    (wanted && !documented).then(|| Finding::broken(&file.path, 1, "no `//!` head"))
}

/// A file's length without its tests.
fn length(file: &Source, items: &[Item]) -> Option<Finding> {
    if file.is_test() {
        return None;
    }
    let tests = items
        .iter()
        .filter(|item| matches!(item, Item::Mod(module) if is_test_only(&module.attrs)))
        .map(|item| lines(item.span()))
        .sum::<usize>();
    let long = file.text.lines().count().saturating_sub(tests);
    let what = format!("{long} lines without tests (aim {FILE_AIM}, bound {FILE_BOUND})");
    match long {
        _ if long > FILE_BOUND => Some(Finding::broken(&file.path, 1, what)),
        _ if long > FILE_AIM => Some(Finding::missed(&file.path, 1, what)),
        _ => None,
    }
}

/// Imports stand in three blocks: the standard library, other crates, our own modules. A crate of
/// this workspace may stand with the second or with the third.
fn imports(file: &Source, items: &[Item]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut last: Option<(Kind, usize)> = None;
    for item in items {
        let Item::Use(import) = item else { continue };
        let (first, end) = (item.span().start().line, item.span().end().line);
        let mut kind = kind(&import.tree, items);
        if matches!(import.vis, syn::Visibility::Public(_)) || !import.attrs.is_empty() {
            continue; // a re-export is no import, and a condition stands where it is read
        }
        if let Some((before, before_end)) = last {
            let apart = first > before_end + 1;
            if kind == Kind::Workspace {
                kind = if before > Kind::Other || apart { Kind::Own } else { Kind::Other };
            }
            let what = match (before, kind, apart) {
                _ if before > kind => Some("imports out of order: std, other crates, our own"),
                _ if before != kind && !apart => Some("a blank line between blocks of imports"),
                _ => None,
            };
            findings.extend(what.map(|what| Finding::broken(&file.path, first, what)));
        } else if kind == Kind::Workspace {
            kind = Kind::Other;
        }
        last = Some((kind, end));
    }
    findings
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Standard,
    Other,
    Workspace,
    Own,
}

/// What an import's first word says.
pub(super) fn kind(tree: &UseTree, items: &[Item]) -> Kind {
    let UseTree::Path(path) = tree else { return Kind::Other };
    let below = |item: &Item| matches!(item, Item::Mod(module) if module.ident == path.ident);
    match path.ident.to_string().as_str() {
        _ if items.iter().any(below) => Kind::Own,
        "std" | "core" | "alloc" => Kind::Standard,
        "crate" | "self" | "super" => Kind::Own,
        name if name.starts_with("xlvs_") => Kind::Workspace,
        _ => Kind::Other,
    }
}

/// Functions stay short; a closing brace and a signature are not counted.
struct Functions<'a> {
    path: &'a str,
    findings: Vec<Finding>,
}

impl Functions<'_> {
    fn body(&mut self, name: &syn::Ident, block: &Block) {
        let long = lines(block.span()).saturating_sub(2);
        let what = format!("`{name}` has {long} lines (aim {FN_AIM}, bound {FN_BOUND})");
        let line = name.span().start().line;
        if long > FN_BOUND {
            self.findings.push(Finding::broken(self.path, line, what));
        } else if long > FN_AIM {
            self.findings.push(Finding::missed(self.path, line, what));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.body(&item.sig.ident, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.body(&item.sig.ident, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.body(&item.sig.ident, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

fn is_test_only(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("cfg")
            && attr.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

fn lines(span: Span) -> usize {
    span.end().line + 1 - span.start().line
}

const FILE_AIM: usize = 400;
const FILE_BOUND: usize = 600;
const FN_AIM: usize = 50;
const FN_BOUND: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> usize {
        let findings = check(&Source { path: path.into(), text: text.into() });
        findings.iter().filter(|finding| !finding.aim).count()
    }

    fn function(lines: usize) -> String {
        format!("//! A.\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines))
    }

    fn file(lines: usize, tests: usize) -> String {
        let body = "const A: u8 = 1;\n".repeat(lines - 1);
        let tests = "const B: u8 = 1;\n".repeat(tests);
        format!("//! A.\n{body}#[cfg(test)]\nmod tests {{\n{tests}}}\n")
    }

    #[test]
    fn every_rule_catches_what_it_is_for() {
        let rows = [
            ("fn f() {}\n".to_owned(), 1, "no head"),
            (function(70), 0, "a function at the bound"),
            (function(71), 1, "a function over it"),
            (file(600, 300), 0, "a file at the bound, tests not counted"),
            (file(601, 0), 1, "a file over it"),
            ("//! A.\nuse std::fs;\nuse anyhow::Result;\n".into(), 1, "no blank line"),
            ("//! A.\nuse crate::a;\n\nuse std::fs;\n".into(), 1, "out of order"),
            (
                "//! A.\nuse std::fs;\n\nuse a::B;\nuse xlvs_model::C;\n\nuse crate::d;\n".into(),
                0,
                "three blocks",
            ),
            (
                "//! A.\nuse std::fs;\n\nuse a::B;\n\nuse xlvs_model::C;\nuse crate::d;\n".into(),
                0,
                "our crates among our own",
            ),
            (
                "//! A.\nmod d;\n\nuse a::B;\n\nuse d::E;\n".into(),
                0,
                "a module of this file is our own",
            ),
            ("fn f( {\n".into(), 1, "no Rust"),
        ];
        for (text, expected, sentence) in rows {
            assert_eq!(broken("crates/a/src/b.rs", &text), expected, "{sentence}");
        }
    }
}

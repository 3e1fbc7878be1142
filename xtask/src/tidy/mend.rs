//! `cargo xtask tidy --fix`: what can be mended without a thought: the order of imports and
//! comments that are too wide. rustfmt comes after it.

use syn::spanned::Spanned as _;
use syn::{File, Item};

use super::rust::{Kind, kind};
use super::text::COLUMNS;

/// The file's text with its imports in three blocks and its comments within the columns.
pub(super) fn mend(text: &str) -> String {
    let wrapped = wrap_comments(text);
    match syn::parse_file(&wrapped) {
        Ok(parsed) => group_imports(&wrapped, &parsed).unwrap_or(wrapped),
        Err(_) => wrapped,
    }
}

/// The first run of imports, in blocks; `None` when there is nothing to do or a comment stands
/// between them, whose place only a person knows.
fn group_imports(text: &str, parsed: &File) -> Option<String> {
    let lines = text.lines().collect::<Vec<_>>();
    let run = parsed
        .items
        .iter()
        .skip_while(|item| !is_import(item))
        .take_while(|item| is_import(item))
        .collect::<Vec<_>>();
    let (first, last) = (run.first()?.span().start().line, run.last()?.span().end().line);
    let mut blocks: [Vec<String>; 3] = Default::default();
    let mut covered = 0;
    for item in &run {
        let Item::Use(import) = item else { continue };
        let (start, end) = (item.span().start().line, item.span().end().line);
        covered += end + 1 - start;
        let block = match kind(&import.tree, &parsed.items) {
            Kind::Standard => 0,
            Kind::Other | Kind::Workspace => 1,
            Kind::Own => 2,
        };
        blocks[block].push(lines[start - 1..end].join("\n"));
    }
    let blank = lines[first - 1..last].iter().filter(|line| line.trim().is_empty()).count();
    if covered + blank != last + 1 - first {
        return None;
    }
    let grouped = blocks
        .iter()
        .filter(|block| !block.is_empty())
        .map(|block| block.join("\n"))
        .collect::<Vec<_>>()
        .join("\n\n");
    let before = lines[..first - 1].iter().map(|line| (*line).to_owned());
    let after = lines[last..].iter().map(|line| (*line).to_owned());
    let all = before.chain([grouped]).chain(after).collect::<Vec<_>>();
    Some(all.join("\n") + "\n")
}

fn is_import(item: &Item) -> bool {
    matches!(item, Item::Use(import)
        if import.attrs.is_empty() && !matches!(import.vis, syn::Visibility::Public(_)))
}

/// Breaks comments that are too wide; what is left over starts the next line of the same comment.
fn wrap_comments(text: &str) -> String {
    let mut lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut at = 0;
    while at < lines.len() {
        if let Some((kept, prefix, rest)) = break_comment(&lines[at]) {
            let next = lines.get(at + 1).and_then(|line| line.strip_prefix(&prefix));
            match next.filter(|next| next.starts_with(|letter: char| letter.is_alphanumeric())) {
                Some(next) => lines[at + 1] = format!("{prefix}{rest} {next}"),
                None => lines.insert(at + 1, format!("{prefix}{rest}")),
            }
            lines[at] = kept;
        }
        at += 1;
    }
    lines.join("\n") + "\n"
}

/// (what stays, what a line of this comment starts with, what goes to the next line)
fn break_comment(line: &str) -> Option<(String, String, String)> {
    let body = line.trim_start();
    let slashes = body.find(|letter| letter != '/' && letter != '!')?;
    if line.chars().count() <= COLUMNS || !body.starts_with("//") || line.contains("://") {
        return None;
    }
    // Lists and tables have shapes of their own.
    if body[slashes..].trim_start().starts_with(['-', '*', '|', '#', '1', '2', '3']) {
        return None;
    }
    let head = line.len() - body.len() + slashes;
    let prefix = format!("{} ", &line[..head]);
    let end = line.char_indices().nth(COLUMNS).map_or(line.len(), |(byte, _)| byte);
    let space = line[..=end.min(line.len() - 1)].rfind(' ').filter(|space| *space > head + 1)?;
    Some((line[..space].to_owned(), prefix, line[space + 1..].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_grouped_and_comments_between_them_left_alone() {
        let rows = [
            (
                "//! A.\nuse crate::a;\nuse b::{\n    C,\n};\nuse std::fs;\n\nfn f() {}\n",
                "//! A.\nuse std::fs;\n\nuse b::{\n    C,\n};\n\nuse crate::a;\n\nfn f() {}\n",
            ),
            ("use crate::a;\n// why\nuse std::fs;\n", "use crate::a;\n// why\nuse std::fs;\n"),
        ];
        for (text, expected) in rows {
            assert_eq!(mend(text), expected);
        }
    }

    #[test]
    fn a_wide_comment_flows_into_the_next_line() {
        let wide = format!("/// {} end\n/// next\n", "word ".repeat(19).trim_end());
        let mended = wrap_comments(&wide);
        assert!(mended.lines().all(|line| line.chars().count() <= COLUMNS));
        assert!(mended.ends_with("\n/// end next\n"), "{mended}");
    }
}

//! The reference that `docs/keepalived.md` holds, made from the table.

use std::fmt::Write as _;

use super::{Keyword, Status, Within, all};
use crate::keepalived::read::syntax;

/// All keywords as Markdown, block by block.
pub fn reference() -> String {
    let mut text = String::new();
    for within in Within::ALL {
        let rows: Vec<&Keyword> = all().filter(|row| row.within.contains(&within)).collect();
        // Writing to a string cannot fail.
        let _ = write!(text, "### {}\n\n", heading(within));
        text.push_str("| keyword | takes | what it says | in xlvs |\n|---|---|---|---|\n");
        for row in rows {
            let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
            let takes = syntax(row.takes).replace('|', "\\|");
            let takes = if takes.is_empty() { takes } else { format!("`{takes}`") };
            let status = match row.status {
                Status::Honoured => "yes".to_owned(),
                Status::Later => "kept for later".to_owned(),
                Status::Nothing(why) => format!("no effect: {why}"),
            };
            let doc = row.doc.replace('|', "\\|");
            let _ = writeln!(text, "| {} | {takes} | {doc} | {status} |", names.join(", "));
        }
        text.push('\n');
    }
    text
}

fn heading(within: Within) -> String {
    match within {
        Within::Top => "At the top level".to_owned(),
        Within::Http => "In `HTTP_GET` and `SSL_GET`".to_owned(),
        other => format!("In `{}`", other.name()),
    }
}

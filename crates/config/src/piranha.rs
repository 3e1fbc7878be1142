//! `lvs.cf`: what Piranha's pulse, lvsd and nanny read.
//!
//! Lines are `KEYWORD = VALUE`, blocks `virtual NAME {`; one table has every keyword. What nanny
//! does with a server becomes a check of the model: it asks every `timeout` seconds, a single
//! failure takes the server out, and `reentry / timeout` good answers in a row bring it back.

mod check;
mod keywords;
mod lower;
mod read;

use crate::{Config, Host, Report, assemble::Assembly, table};

/// Reads a file. With errors in the report, the configuration is what could be made of the rest,
/// and must not be put in force.
pub fn load(path: &str, host: &dyn Host) -> (Config, Report) {
    let mut report = Report::default();
    let given = read::read(path, host, &mut report);
    let config = lower::lower(&given, Assembly::new(&mut report, host));
    report.sort();
    (config, report)
}

/// All keywords as Markdown, for `docs/lvs-cf.md`.
pub fn reference() -> String {
    table::reference(keywords::TABLE, &keywords::BLOCKS)
}

/// A block's keyword at the beginning of a line tells the format.
pub(crate) fn looks_like(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let (first, second, third) = (words.next(), words.next(), words.next());
    let opens = matches!(first, Some("virtual" | "failover")) && third == Some("{");
    // ldirectord.cf has `service =` too, and lines `virtual = ...`.
    let is_known = |word: &str| {
        let mut rows = keywords::TABLE.iter().filter(|row| row.within.contains(&""));
        rows.any(|row| row.name == word && row.takes != table::Takes::Block && word != "service")
    };
    let sets = second == Some("=") && first.is_some_and(is_known);
    opens || sets
}

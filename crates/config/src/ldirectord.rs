//! `ldirectord.cf`: what the Perl daemon ldirectord reads.
//!
//! Lines are `KEYWORD = VALUE`; those of a service are set in below its `virtual` line. One table
//! has every keyword. What ldirectord asks of a server becomes a check of the model.

mod check;
mod keywords;
mod lower;
mod read;
mod real;
mod scope;

use crate::{Config, Host, Report, assemble::Assembly, table};

/// Reads a file. With errors in the report, the configuration is what could be made of the rest,
/// and must not be put in force.
pub fn load(path: &str, host: &dyn Host) -> (Config, Report) {
    let mut report = Report::default();
    let files = read::all(path, host, &mut report);
    let config = lower::lower(&files, Assembly::new(&mut report, host));
    report.sort();
    (config, report)
}

/// All keywords as Markdown, for `docs/ldirectord.md`.
pub fn reference() -> String {
    table::reference(keywords::TABLE, &keywords::BLOCKS)
}

/// A keyword of the top level with its value, at the very beginning of a line, tells the format.
pub(crate) fn looks_like(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else { return line.trim() == "supervised" };
    let key = key.trim_end();
    !value.trim().is_empty()
        && keywords::TABLE.iter().any(|row| row.name == key && row.within.contains(&""))
}

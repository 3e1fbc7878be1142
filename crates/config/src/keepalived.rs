//! `keepalived.conf`: the whole language, and what it means.
//!
//! Text goes through [`lines`](self) (comments, definitions, conditions, sequences, includes),
//! becomes a tree of directives with places, and is lowered to the model by one table of keywords.
//! Whatever is not in force is told of, with its place and what that means. Pure: files and the
//! environment come through a [`Host`].
//!
//! Where keepalived corrects a value it reads, so does this, and warns; where keepalived leaves a
//! line out with a message in its log, this is an error: nobody reads that log.

mod additions;
mod keywords;
mod lines;
mod lower;
mod read;
mod tree;
mod words;

pub(crate) use additions::{SET, UNSET};
pub use keywords::reference;

pub use crate::{Config, Diagnostic, Host, Limits, Location, Report, Severity};

/// Reads a file and all that it includes. With errors in the report, the configuration is what
/// could be made of the rest, and must not be put in force.
pub fn load(path: &str, host: &dyn Host) -> (Config, Report) {
    load_within(path, host, Limits::default())
}

/// The same within other limits.
pub fn load_within(path: &str, host: &dyn Host, limits: Limits) -> (Config, Report) {
    let mut report = Report::default();
    let mut lines = lines::Lines::new(host, &mut report, limits);
    lines.open(path, None);
    let tree = tree::read(&mut lines);
    let config = lower::lower(&tree, &mut report);
    let config = additions::apply(config, &mut report);
    report.sort();
    (config, report)
}

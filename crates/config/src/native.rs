//! xlvs's own files: TOML, with a table of keys that the reference and the JSON schema are made of.
//!
//! `[[service]]`, in it `[[service.server]]`, in it `[[service.server.check]]`: the model's own
//! fields, under their names. A check of the service is one of each server that has none.

mod keys;
mod read;
mod schema;
mod shape;

pub use read::load;
pub use schema::{reference, schema};

use crate::Config;

/// The configuration as TOML.
pub(crate) fn write(config: &Config) -> String {
    let table = shape::written(config);
    let text = toml::to_string(&table).unwrap_or_default();
    format!("# Made by xlvs convert.\n{text}")
}

/// A table's head or a key that only these files have tells the format.
pub(crate) fn looks_like(line: &str) -> bool {
    line.starts_with("[[service")
        || ["[global", "[ssl]", "[vrrp"].iter().any(|head| line.starts_with(head))
}

//! A configuration as a file: `keepalived.conf` or TOML.
//!
//! What is written is read again and compared, so that nothing is lost unseen: of
//! `keepalived.conf` what keepalived cannot say follows in `#xlvs` lines, and is told.

mod bfd;
mod keepalived;
mod vrrp;

use std::fmt::Write as _;

use crate::{Config, OneFile, json, keepalived as reader, native};

/// A file, and what its language could not say itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub text: String,
    /// Each a sentence, with the place in the file that was read.
    pub told: Vec<String>,
}

/// As `keepalived.conf`.
pub fn to_keepalived(config: &Config) -> Written {
    let mut text = keepalived::text(config);
    let (read, _) = reader::load(NAME, &OneFile { path: NAME, text: text.as_bytes() });
    let original = serde_json::to_value(config).unwrap_or_default();
    let mut told = Vec::new();
    let differences = json::differences(&read.bare(), &config.bare());
    if !differences.is_empty() {
        text.push_str("\n# What keepalived cannot say: comments to it, settings to xlvs.\n");
    }
    for (path, value) in differences {
        let what = path.join(" ");
        let place = json::place(&original, &path).map(|at| format!("{at}: ")).unwrap_or_default();
        told.push(format!("{place}keepalived cannot say `{what}`: it is in a #xlvs line"));
        // Writing to a string cannot fail.
        let _ = match value {
            Some(value) => writeln!(text, "{}{what} = {value}", reader::SET),
            None => writeln!(text, "{}{what}", reader::UNSET),
        };
    }
    Written { text, told }
}

/// As xlvs's own TOML, which can say all.
pub fn to_toml(config: &Config) -> Written {
    Written { text: native::write(config), told: Vec::new() }
}

const NAME: &str = "keepalived.conf";

//! Programs that are run, and where things were written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::is_default;

/// A program with its arguments, and who it runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Script {
    /// The program and its arguments, split as keepalived splits them; never empty.
    pub argv: Vec<String>,
    /// Who it runs as. None: `keepalived_script` if there is such a user, else root.
    #[serde(skip_serializing_if = "is_default")]
    pub user: Option<ScriptUser>,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.argv.join(" "))
    }
}

/// `username [groupname]`; none of the group is the user's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScriptUser {
    /// A name or a number.
    pub user: String,
    /// A name or a number.
    #[serde(default, skip_serializing_if = "is_default")]
    pub group: Option<String>,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The file, as it was named.
    pub file: String,
    /// Its line, counted from 1.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

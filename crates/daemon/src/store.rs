//! Desired state on disk: `STATE/NAME/state.json`. Written whole to a file beside it, flushed, then
//! renamed over it, then the folder is flushed: a crash or a full disk leaves the old file or the
//! new one, never half of one. A file that cannot be read is never overwritten.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use xlvs_dataplane::Baselines;
use xlvs_model::Model;

use crate::args::XdpMode;

/// What is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    /// The layout of this file: [`VERSION`].
    pub(crate) version: u32,
    /// Where packets come in.
    pub(crate) interfaces: Vec<String>,
    /// How XDP was asked for.
    pub(crate) xdp_mode: XdpMode,
    /// Room in the connection table.
    pub(crate) connections: u32,
    /// For an instance named after the number of its namespace: the boot of the host in which that
    /// number meant this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) boot: Option<String>,
    /// What people's counters begin from.
    #[serde(default)]
    pub(crate) counters: Baselines,
    /// Services, servers, timeouts.
    pub(crate) model: Model,
}

/// The file could not be read or written.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// The file is there but cannot be read.
    #[error("cannot read {path}: {why}")]
    Read {
        /// The state file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// The file is no state file.
    #[error(
        "{path}, line {line}, column {column}: {why}; it is left as it is: mend it, or move it \
         away to start with nothing"
    )]
    Broken {
        /// The state file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// The file is of another version of xlvs.
    #[error(
        "{path} has version {found}, this xlvs reads version {VERSION}; it is left as it is: use \
         the xlvs that wrote it, or move it away to start with nothing"
    )]
    Version {
        /// The state file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// The new state could not be written; the old file is as it was.
    #[error("cannot write {path}: {why}; the old state is kept there")]
    Write {
        /// The state file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
}

/// Where the state is kept.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

impl Store {
    /// The store of an instance; touches nothing.
    pub(crate) fn new(state_dir: &Path, instance: &str) -> Self {
        Self { path: state_dir.join(instance).join("state.json") }
    }

    /// The state file.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was saved; `None` where nothing ever was.
    pub(crate) fn load(&self) -> Result<Option<Saved>, StoreError> {
        let path = || self.path.clone();
        match fs::read(&self.path) {
            Ok(bytes) => parse(&bytes, &self.path).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(StoreError::Read { path: path(), why }),
        }
    }

    /// Replaces what was saved.
    pub(crate) fn save(&self, saved: &Saved) -> Result<(), StoreError> {
        self.write(saved).map_err(|why| StoreError::Write { path: self.path.clone(), why })
    }

    fn write(&self, saved: &Saved) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(saved)?;
        bytes.push(b'\n');
        let folder = self.path.parent().expect("the path was made by joining");
        fs::create_dir_all(folder)?;
        let fresh = self.path.with_extension("json.new");
        let written = write_durably(&fresh, &bytes).and_then(|()| fs::rename(&fresh, &self.path));
        if written.is_err() {
            // Nothing more can be done about a file that cannot be removed; the next save reuses
            // it.
            fs::remove_file(&fresh).unwrap_or_default();
        }
        written?;
        File::open(folder)?.sync_all()
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn parse(bytes: &[u8], path: &Path) -> Result<Saved, StoreError> {
    let broken = |e: &serde_json::Error| {
        let place = format!(" at line {} column {}", e.line(), e.column());
        let why = e.to_string().replace(&place, "");
        StoreError::Broken { path: path.into(), line: e.line(), column: e.column(), why }
    };
    // The version first: what follows may be unknown to us for no other reason.
    let head: Head = serde_json::from_slice(bytes).map_err(|e| broken(&e))?;
    if head.version != VERSION {
        return Err(StoreError::Version { path: path.into(), found: head.version });
    }
    serde_json::from_slice(bytes).map_err(|e| broken(&e))
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

/// The layout of the state file.
pub(crate) const VERSION: u32 = 1;

#[cfg(test)]
mod tests;

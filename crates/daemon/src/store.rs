//! Desired state on disk: `STATE/NAME/state.json`, and what changed since it was written in
//! journals beside it (`journal.N`, see `journal`).
//!
//! The file is written whole to another beside it, flushed, then renamed over it, then the folder
//! is flushed: a crash or a full disk leaves the old file or the new one, never half of one. It
//! names the journal that it goes on with; older ones are no more than rubbish. A file that cannot
//! be read is never overwritten.

mod journal;
mod keeper;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::warn;
use xlvs_dataplane::Baselines;
use xlvs_model::{Hands, Model};

pub(crate) use self::{journal::Record, keeper::Keeper};
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
    /// The number of the journal that goes on from here; with what was loaded, the last one's.
    #[serde(default)]
    pub(crate) journal: u64,
    /// What people's counters begin from.
    #[serde(default)]
    pub(crate) counters: Baselines,
    /// Services, servers, timeouts.
    pub(crate) model: Model,
    /// Who made those that no file owns.
    #[serde(default)]
    pub(crate) hands: Hands,
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
    /// The new state could not be written; the old files are as they were.
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

    /// The journal of this number.
    pub(crate) fn journal(&self, number: u64) -> PathBuf {
        self.path.with_file_name(format!("{JOURNAL}{number}"))
    }

    /// What was saved, with what its journals say; `None` where nothing ever was.
    pub(crate) fn load(&self) -> Result<Option<Saved>, StoreError> {
        let Some(bytes) = read(&self.path)? else { return Ok(None) };
        let mut saved = parse(&bytes, &self.path)?;
        let mut number = saved.journal;
        let mut spoiled = None;
        while let Some(bytes) = read(&self.journal(number))? {
            let path = self.journal(number);
            let broken =
                |line, why| StoreError::Broken { path: path.clone(), line, column: 1, why };
            if let Some(line) = spoiled {
                let path = self.journal(number - 1);
                let why = "half a line, and yet there is a later journal".to_owned();
                return Err(StoreError::Broken { path, line, column: 1, why });
            }
            spoiled = journal::replay(&bytes, &mut saved).map_err(|e| broken(e.line, e.why))?;
            if let Some(line) = spoiled {
                warn!(
                    "{}, line {line}: half a line, of a change that was under way when the host or \
                     the daemon died; it is left out",
                    path.display()
                );
            }
            saved.journal = number;
            number += 1;
        }
        Ok(Some(saved))
    }

    /// Replaces what was saved, journals and all; gives the file's length.
    pub(crate) fn save(&self, saved: &Saved) -> Result<u64, StoreError> {
        // Nothing may look as if it went on from the new file.
        self.remove_journals(|number| number >= saved.journal);
        self.replace(saved)
    }

    /// Replaces the state file, and takes away the journals that it makes void.
    pub(crate) fn replace(&self, saved: &Saved) -> Result<u64, StoreError> {
        let length =
            self.write(saved).map_err(|why| StoreError::Write { path: self.path.clone(), why })?;
        self.remove_journals(|number| number < saved.journal);
        Ok(length)
    }

    /// One that stays is void all the same, and goes with the next.
    fn remove_journals(&self, unwanted: impl Fn(u64) -> bool) {
        let entries = self.path.parent().and_then(|folder| fs::read_dir(folder).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(JOURNAL)?.parse().ok());
            if number.is_some_and(&unwanted) {
                fs::remove_file(entry.path()).unwrap_or_default();
            }
        }
    }

    fn write(&self, saved: &Saved) -> io::Result<u64> {
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
        File::open(folder)?.sync_all()?;
        Ok(bytes.len() as u64)
    }
}

/// `None`: there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(StoreError::Read { path: path.into(), why }),
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

/// What the names of journals begin with.
const JOURNAL: &str = "journal.";

/// The layout of the state file.
pub(crate) const VERSION: u32 = 1;

#[cfg(test)]
mod tests;

//! What was changed on this host, so that exactly that can be undone: one file for each network
//! namespace, locked while a command runs.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    net::Ipv4Addr,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::Mode;

/// What is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The virtual addresses.
    pub(super) vips: BTreeMap<Ipv4Addr, Vip>,
    /// Kernel settings that were changed, in order.
    pub(super) settings: Vec<Setting>,
    /// Where tunnelled packets are unwrapped.
    pub(super) tunnel: Option<String>,
}

/// A virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Vip {
    pub(super) mode: Mode,
    /// It was not on the loopback interface before.
    pub(super) added: bool,
}

/// A kernel setting that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setting {
    /// `net.ipv4.conf.all.arp_ignore`.
    pub(super) key: String,
    /// Its value when it was first touched.
    pub(super) before: String,
    /// The value it was given.
    pub(super) after: String,
}

/// The record, with its file locked.
#[derive(Debug)]
pub(super) struct Open {
    record: Record,
    path: PathBuf,
    _lock: File,
}

/// Reads the record of this namespace; none yet is an empty one.
pub(super) fn open(folder: &Path, identity: &str) -> Result<Open> {
    let made = fs::create_dir_all(folder);
    made.with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let lock = folder.join(format!("{identity}.lock"));
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&lock)
        .with_context(|| format!("cannot open {}", lock.display()))?;
    flock(&lock, FlockOperation::LockExclusive).context("wait for another `xlvs realserver`")?;
    let path = folder.join(format!("{identity}.json"));
    let record = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is not what `xlvs realserver` wrote: look at it, then remove it",
                path.display()
            )
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Record::default(),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    Ok(Open { record, path, _lock: lock })
}

impl Open {
    /// Writes it down: all or nothing.
    pub(super) fn save(&self) -> Result<()> {
        let what = || format!("cannot write {}", self.path.display());
        if self.record == Record::default() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).with_context(what)
                }
                _ => Ok(()),
            };
        }
        let text = serde_json::to_string_pretty(&self.record).context("write JSON")?;
        let beside = self.path.with_extension("json.new");
        let mut file = File::create(&beside).with_context(what)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(what)?;
        fs::rename(&beside, &self.path).with_context(what)
    }
}

impl Deref for Open {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

impl DerefMut for Open {
    fn deref_mut(&mut self) -> &mut Record {
        &mut self.record
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test is a panic")]
    use super::*;

    #[test]
    fn what_is_saved_is_read_again_and_nothing_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = open(folder.path(), "4-1").unwrap();
        let vip = Ipv4Addr::new(10, 0, 0, 1);
        first.vips.insert(vip, Vip { mode: Mode::Tun, added: true });
        first.settings.push(Setting { key: "a.b".into(), before: "0".into(), after: "1".into() });
        first.save().unwrap();
        let saved = first.record.clone();
        drop(first);
        let mut again = open(folder.path(), "4-1").unwrap();
        assert_eq!(*again, saved);
        *again = Record::default();
        again.save().unwrap();
        assert!(!folder.path().join("4-1.json").exists());
        again.save().unwrap();
    }

    #[test]
    fn a_spoilt_record_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("4-1.json"), "{").unwrap();
        let fault = open(folder.path(), "4-1").unwrap_err().to_string();
        assert!(fault.contains("4-1.json is not what"), "{fault}");
    }
}

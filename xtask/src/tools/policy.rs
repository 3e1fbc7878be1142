//! Packages of daemons start them when they are installed, unless `/usr/sbin/policy-rc.d` forbids
//! it (`invoke-rc.d` asks it; 101: the action is not allowed). Here it forbids that during an
//! install of ours, where nobody else has said anything about it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where Debian looks.
pub(super) const PLACE: &str = "/usr/sbin/policy-rc.d";

/// Its first line but one says whose it is: an interrupted run may leave it behind, and the next
/// one takes it away.
const TEXT: &str = "#!/bin/sh\n# Put here by xlvs' xtask while it installs packages.\nexit 101\n";

/// Nothing is started while this lives.
#[derive(Debug)]
pub(super) struct NoStart {
    /// The file, if it is ours.
    ours: Option<PathBuf>,
}

impl NoStart {
    /// From now on, by a file in this place; one that is there already stays as it is.
    pub(super) fn at(place: &Path) -> Result<Self> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o755).open(place);
        let is_ours = match made {
            Ok(mut file) => {
                let ours = Self { ours: Some(place.to_owned()) };
                file.write_all(TEXT.as_bytes())
                    .with_context(|| format!("cannot write {}", place.display()))?;
                return Ok(ours);
            }
            Err(fault) if fault.kind() == ErrorKind::AlreadyExists => {
                fs::read_to_string(place).is_ok_and(|text| text == TEXT)
            }
            Err(fault) => {
                return Err(fault).with_context(|| format!("cannot make {}", place.display()));
            }
        };
        Ok(Self { ours: is_ours.then(|| place.to_owned()) })
    }
}

impl Drop for NoStart {
    fn drop(&mut self) {
        if let Some(place) = &self.ours
            && let Err(fault) = fs::remove_file(place)
        {
            eprintln!("{} is left, and forbids starting daemons: {fault}", place.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_there_for_a_while() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("policy-rc.d");
        for before in [None, Some(TEXT)] {
            if let Some(text) = before {
                fs::write(&place, text).expect("one that an interrupted run left");
            }
            let guard = NoStart::at(&place).expect("a guard");
            assert_eq!(fs::read_to_string(&place).expect("a file"), TEXT);
            if before.is_none() {
                let mode = fs::metadata(&place).expect("a file").permissions().mode();
                assert_eq!(mode & 0o111, 0o111, "Debian runs it");
            }
            drop(guard);
            assert!(!place.exists(), "it is taken away");
        }
    }

    #[test]
    fn it_says_no() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("policy-rc.d");
        let _guard = NoStart::at(&place).expect("a guard");
        let status = std::process::Command::new("sh").arg(&place).status().expect("a shell");
        assert_eq!(status.code(), Some(101));
    }

    #[test]
    fn another_ones_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("policy-rc.d");
        fs::write(&place, "#!/bin/sh\nexit 0\n").expect("a file");
        drop(NoStart::at(&place).expect("a guard"));
        assert_eq!(fs::read_to_string(&place).expect("a file"), "#!/bin/sh\nexit 0\n");
        let nowhere = folder.path().join("no/such/folder");
        assert!(NoStart::at(&nowhere).is_err(), "what cannot be forbidden is not installed");
    }
}

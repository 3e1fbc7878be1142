//! `RUN/NAME`: lock, process number, identity of the network namespace, socket. The lock says who
//! is alive (the kernel drops it with its holder, however that ended); the other files may be
//! stale.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::host::bpffs::has_links;

/// An instance's run directory, held.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    _lock: File,
}

/// The directory cannot be ours.
#[derive(Debug, Error)]
pub(crate) enum RunDirError {
    /// The instance has a daemon.
    #[error("the director `{name}` is running already{}; stop it first", process(.pid.as_ref()))]
    Running {
        /// The instance.
        name: String,
        /// Its process, where known.
        pid: Option<String>,
    },
    /// Another instance directs in this namespace.
    #[error(
        "the director `{name}` is running in this network namespace{}, which can have only one; \
         talk to that one with XLVS_INSTANCE={name}, or stop it first", process(.pid.as_ref())
    )]
    Taken {
        /// The other instance.
        name: String,
        /// Its process, where known.
        pid: Option<String>,
    },
    /// Another instance has stopped and left its forwarding in place.
    #[error(
        "the director `{name}` was stopped and still forwards in this network namespace; take it \
         over with --instance {name}, or start it so and then `xlvs detach` it"
    )]
    Left {
        /// The other instance.
        name: String,
    },
    /// A name that is no folder's.
    #[error("`{0}` cannot be an instance's name: use letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// The file system refused.
    #[error("cannot use {path}: {why}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
}

impl RunDir {
    /// Takes the directory of an instance for the network namespace of this identity.
    pub(crate) fn take(run_dir: &Path, name: &str, identity: &str) -> Result<Self, RunDirError> {
        if !is_name(name) {
            return Err(RunDirError::Name(name.to_owned()));
        }
        make_dir(run_dir)?;
        // Held while looking around, so that of two that start at once one sees the other.
        let gate = open_lock(&run_dir.join("lock"))?;
        gate.lock().map_err(at(&run_dir.join("lock")))?;
        let path = run_dir.join(name);
        refuse_others(run_dir, name, identity)?;
        make_dir(&path)?;
        let lock = open_lock(&path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let (name, pid) = (name.to_owned(), recorded(&path, "pid"));
                return Err(RunDirError::Running { name, pid });
            }
            Err(TryLockError::Error(why)) => {
                return Err(RunDirError::Io { path: path.join("lock"), why });
            }
        }
        let taken = Self { path, _lock: lock };
        taken.write("pid", &std::process::id().to_string())?;
        taken.write("netns", identity)?;
        remove(&taken.socket())?;
        Ok(taken)
    }

    /// The API's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("api.sock")
    }

    /// Where the bpffs goes.
    pub(crate) fn bpf(&self) -> PathBuf {
        self.path.join("bpf")
    }

    /// The daemon ends and its forwarding stays: what says that a daemon is there goes.
    pub(crate) fn leave(self) -> Result<(), RunDirError> {
        remove(&self.socket())?;
        remove(&self.path.join("pid"))
    }

    /// Nothing stays. The bpffs must be unmounted before.
    pub(crate) fn remove(self) -> Result<(), RunDirError> {
        for name in ["api.sock", "pid", "netns", "lock"] {
            remove(&self.path.join(name))?;
        }
        for folder in [self.bpf(), self.path] {
            match fs::remove_dir(&folder) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at(&folder)(e)),
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), RunDirError> {
        let path = self.path.join(name);
        fs::write(&path, format!("{text}\n")).map_err(at(&path))
    }
}

/// Another instance of this namespace that lives, or left something in the kernel.
fn refuse_others(run_dir: &Path, name: &str, identity: &str) -> Result<(), RunDirError> {
    let entries = fs::read_dir(run_dir).map_err(at(run_dir))?;
    for entry in entries.flatten() {
        let (path, other) = (entry.path(), entry.file_name());
        let Some(other) = other.to_str().filter(|other| *other != name) else { continue };
        if recorded(&path, "netns").as_deref() != Some(identity) {
            continue;
        }
        let other = other.to_owned();
        if is_held(&path.join("lock")) {
            return Err(RunDirError::Taken { name: other, pid: recorded(&path, "pid") });
        }
        if has_links(&path.join("bpf")) {
            return Err(RunDirError::Left { name: other });
        }
    }
    Ok(())
}

fn is_held(lock: &Path) -> bool {
    let Ok(file) = File::open(lock) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

fn open_lock(path: &Path) -> Result<File, RunDirError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(at(path))
}

fn make_dir(path: &Path) -> Result<(), RunDirError> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(at(path))
}

fn recorded(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn remove(path: &Path) -> Result<(), RunDirError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(path)(e)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> RunDirError {
    move |why| RunDirError::Io { path: path.to_owned(), why }
}

fn process(pid: Option<&String>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.starts_with('.')
        && name != "lock"
        && name.chars().all(fine)
}

/// With the longest usual run directory the socket's path stays within the 107 bytes that a unix
/// socket may have.
const MAX_NAME: usize = 64;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().flatten();
        let mut names: Vec<_> =
            entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn one_daemon_for_an_instance() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunDir::take(dir.path(), "a", "4:1").unwrap();
        let refused = RunDir::take(dir.path(), "a", "4:1").unwrap_err().to_string();
        let pid = std::process::id();
        assert_eq!(
            refused,
            format!("the director `a` is running already (process {pid}); stop it first")
        );
        drop(first);
        RunDir::take(dir.path(), "a", "4:1").unwrap();
    }

    #[test]
    fn one_daemon_for_a_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunDir::take(dir.path(), "a", "4:1").unwrap();
        let refused = RunDir::take(dir.path(), "b", "4:1").unwrap_err().to_string();
        assert!(refused.contains("`a` is running in this network namespace"), "{refused}");
        assert!(refused.contains("XLVS_INSTANCE=a"), "{refused}");
        assert!(!dir.path().join("b").exists(), "nothing made");
        RunDir::take(dir.path(), "c", "4:2").unwrap();
        first.leave().unwrap();
        RunDir::take(dir.path(), "b", "4:1").unwrap();
    }

    #[test]
    fn forwarding_that_a_stopped_instance_left_is_not_overlooked() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunDir::take(dir.path(), "a", "4:1").unwrap();
        fs::create_dir_all(first.bpf().join("links/xdp_3_native")).unwrap();
        first.leave().unwrap();
        let refused = RunDir::take(dir.path(), "b", "4:1").unwrap_err().to_string();
        assert!(refused.contains("--instance a"), "{refused}");
        RunDir::take(dir.path(), "a", "4:1").unwrap();
    }

    #[test]
    fn what_a_killed_daemon_left_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("pid"), "1\n").unwrap();
        fs::write(path.join("netns"), "4:1\n").unwrap();
        fs::write(path.join("lock"), "").unwrap();
        drop(std::os::unix::net::UnixListener::bind(path.join("api.sock")).unwrap());
        let taken = RunDir::take(dir.path(), "a", "4:7").unwrap();
        assert!(!taken.socket().exists(), "a new one can be bound");
        assert_eq!(recorded(&path, "netns").as_deref(), Some("4:7"));
        assert_eq!(recorded(&path, "pid"), Some(std::process::id().to_string()));
    }

    #[test]
    fn leaving_and_removing() {
        let dir = tempfile::tempdir().unwrap();
        let taken = RunDir::take(dir.path(), "a", "4:1").unwrap();
        taken.leave().unwrap();
        assert_eq!(names(&dir.path().join("a")), ["lock", "netns"]);
        let taken = RunDir::take(dir.path(), "a", "4:1").unwrap();
        fs::create_dir(taken.bpf()).unwrap();
        taken.remove().unwrap();
        assert_eq!(names(dir.path()), ["lock"]);
    }

    #[test]
    fn names_are_folders() {
        for (name, expected) in [
            ("default", true),
            ("ns-4026531840", true),
            ("web_1.a", true),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("a b", false),
            ("lock", false),
        ] {
            assert_eq!(is_name(name), expected, "{name:?}");
        }
    }
}

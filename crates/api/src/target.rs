//! Finding the director that is meant: one by its name, or the one of the caller's own network
//! namespace.
//!
//! Each director has a folder `RUN/NAME` with `api.sock` and `netns`, which holds `DEV:INODE` of
//! its `/proc/self/ns/net`.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::ClientError;

/// Which director is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The folder of all directors' run-time files.
    pub run_dir: PathBuf,
    /// Its name; without one it is the director of the caller's network namespace.
    pub instance: Option<String>,
}

/// A folder that may be the director's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) instance: String,
    pub(crate) socket: PathBuf,
}

impl Target {
    /// What flags say, else what `XLVS_RUN_DIR` and `XLVS_INSTANCE` say, else the defaults.
    pub fn new(run_dir: Option<PathBuf>, instance: Option<String>) -> Self {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let run_dir = run_dir.or_else(|| set("XLVS_RUN_DIR").map(PathBuf::from));
        Self {
            run_dir: run_dir.unwrap_or_else(|| PathBuf::from("/run/xlvs")),
            instance: instance.or_else(|| set("XLVS_INSTANCE")),
        }
    }

    /// The folders to try, in order: more than one only when a namespace's number was used again.
    pub(crate) fn candidates(&self) -> Result<Vec<Candidate>, ClientError> {
        if let Some(instance) = &self.instance {
            let folder = self.run_dir.join(instance);
            return match fs::metadata(&folder) {
                Ok(_) => Ok(vec![self.candidate(instance)]),
                Err(error) => Err(self.unreadable(&error, folder)),
            };
        }
        let here = network_namespace().map_err(|error| ClientError::Talk {
            socket: PathBuf::from(NETNS),
            why: error.to_string(),
        })?;
        let (mut found, mut closed) = (Vec::new(), None);
        for name in self.instances()? {
            let folder = self.run_dir.join(&name);
            match fs::read_to_string(folder.join("netns")) {
                Ok(recorded) if recorded.trim() == here => found.push(self.candidate(&name)),
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => closed = Some(folder),
                Ok(_) | Err(_) => {}
            }
        }
        found.sort_by(|a, b| a.instance.cmp(&b.instance));
        match closed {
            // Perhaps it is the one.
            Some(path) if found.is_empty() => Err(ClientError::Denied { path }),
            _ => Ok(found),
        }
    }

    /// The error for no candidate at all.
    pub(crate) fn nobody(&self) -> ClientError {
        let mut others = self.instances().unwrap_or_default();
        others.sort();
        ClientError::NoDirector { run_dir: self.run_dir.clone(), others }
    }

    /// The names of all directors' folders.
    fn instances(&self) -> Result<Vec<String>, ClientError> {
        let entries = match fs::read_dir(&self.run_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.unreadable(&error, self.run_dir.clone())),
        };
        // A folder that may not be looked into counts.
        let is_instance = |path: PathBuf| !matches!(path.join("netns").try_exists(), Ok(false));
        let folders = entries
            .flatten()
            .filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()) && is_instance(e.path()));
        Ok(folders.filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    fn candidate(&self, instance: &str) -> Candidate {
        let socket = self.run_dir.join(instance).join("api.sock");
        Candidate { instance: instance.to_owned(), socket }
    }

    fn unreadable(&self, error: &io::Error, path: PathBuf) -> ClientError {
        match (error.kind(), &self.instance) {
            (io::ErrorKind::PermissionDenied, _) => ClientError::Denied { path },
            (io::ErrorKind::NotFound, Some(instance)) => ClientError::NoInstance {
                instance: instance.clone(),
                run_dir: self.run_dir.clone(),
            },
            _ => ClientError::Talk { socket: path, why: error.to_string() },
        }
    }
}

/// The identity of the caller's network namespace, as the file `netns` records it.
fn network_namespace() -> io::Result<String> {
    let namespace = fs::metadata(Path::new(NETNS))?;
    Ok(format!("{}:{}", namespace.dev(), namespace.ino()))
}

const NETNS: &str = "/proc/self/ns/net";

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;

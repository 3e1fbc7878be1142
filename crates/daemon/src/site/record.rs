//! What a file had in force, on disk: `STATE/NAME/file.json`. The next daemon takes from it which
//! services are the file's, and what waited to be confirmed.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tracing::warn;
use xlvs_model::{InForce, Wanted};

use super::file::Reading;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// The file and its services.
    pub(crate) in_force: Option<InForce>,
    /// How it was read.
    pub(crate) reading: Reading,
    /// It waits to be confirmed: how its services were before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Vec<Wanted>>,
    /// And the file that was in force then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_before: Option<InForce>,
    /// And how that was read.
    pub(crate) reading_before: Reading,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub(crate) struct RecordFile(PathBuf);

impl RecordFile {
    /// Of an instance; touches nothing.
    pub(crate) fn new(state_dir: &Path, instance: &str) -> Self {
        Self(state_dir.join(instance).join("file.json"))
    }

    /// What was kept. A file that cannot be read is told of and counts as none.
    pub(crate) fn load(&self) -> Record {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Record::default(),
            Err(e) => {
                warn!("cannot read {}: {e}", self.0.display());
                return Record::default();
            }
        };
        let record: Record = serde_json::from_slice(&bytes).unwrap_or_else(|e| {
            warn!("{}: {e}: it is not used", self.0.display());
            Record::default()
        });
        Record {
            in_force: record.in_force.map(InForce::indexed),
            file_before: record.file_before.map(InForce::indexed),
            ..record
        }
    }

    /// Keeps it. A disk that takes nothing is told of: the file is in force all the same.
    pub(crate) fn save(&self, record: &Record) {
        if let Err(e) = write_whole(&self.0, record) {
            warn!("cannot write {}: {e}", self.0.display());
        }
    }

    /// Another file of the same instance.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.0.with_file_name(name)
    }
}

/// Replaces a file: after a crash it is the old one or the new one.
pub(super) fn write_whole(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let fresh = path.with_extension("json.new");
    let mut file = fs::File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_rubbish_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = RecordFile::new(folder.path(), "default");
        assert_eq!(file.load(), Record::default(), "nothing yet");
        let service: xlvs_model::Service =
            serde_json::from_str(r#"{"key":"tcp:10.0.0.1:80","scheduler":"rr"}"#).unwrap();
        let in_force = InForce::new("a.conf".into(), vec![service.clone()], &[]);
        let before = Some(vec![(service.key, None)]);
        let reading =
            Reading { format: Some(xlvs_config::Format::LvsCf), config_id: Some("main".into()) };
        let record = Record { in_force: Some(in_force), before, reading, ..Record::default() };
        file.save(&record);
        assert_eq!(file.load(), record);
        fs::write(&file.0, b"{").unwrap();
        assert_eq!(file.load(), Record::default());
    }
}

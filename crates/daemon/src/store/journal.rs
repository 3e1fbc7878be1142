//! The journal beside the state file: what changed since that was written, a line for each request.
//!
//! A line is a checksum (CRC-32 of what follows, in hexadecimal), a space, and a [`Record`] as
//! JSON. It is written at once and flushed before the request is answered. So a crash can spoil the
//! last line only, of a request that was never answered: such a line is left out. Anything else
//! that is wrong is no crash's doing and is not passed over.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use xlvs_dataplane::ServiceBase;
use xlvs_model::{Change, ServiceKey};

use super::Saved;

/// What one request changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The changes that were made, in their order; refused ones are not in here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
    /// Who made them by hand: `ipvsadm`, `xlvs`, `API`; empty for a file, or the director itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) by: String,
    /// What people's counters begin from, where that changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) counters: BTreeMap<ServiceKey, ServiceBase>,
}

/// A journal that cannot be read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spoiled {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) why: String,
}

impl Record {
    /// Nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.counters.is_empty()
    }

    /// Its line.
    pub(crate) fn line(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let mut line = format!("{:08x} ", crc32(&json)).into_bytes();
        line.extend(json);
        line.push(b'\n');
        Ok(line)
    }

    /// Changes the state as the request did.
    fn replay(self, saved: &mut Saved) -> Result<(), String> {
        let counters = &mut saved.counters;
        for change in &self.changes {
            saved.hands.note(change, &self.by);
            saved
                .model
                .apply(change)
                .map_err(|fault| format!("a change that cannot be: {fault}"))?;
            match change {
                Change::DeleteService { service } => drop(counters.services.remove(service)),
                Change::Clear => counters.services.clear(),
                _ => {}
            }
        }
        counters.services.extend(self.counters);
        Ok(())
    }
}

/// Carries out a journal. The number of the last line, if that was spoiled and left out.
pub(crate) fn replay(bytes: &[u8], saved: &mut Saved) -> Result<Option<usize>, Spoiled> {
    let mut rest = bytes;
    for line in 1.. {
        if rest.is_empty() {
            break;
        }
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (text, after) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
        rest = after;
        let Some(json) = whole(text) else {
            if rest.is_empty() {
                return Ok(Some(line));
            }
            return Err(Spoiled { line, why: "its checksum is wrong".to_owned() });
        };
        let spoiled = |why: String| Spoiled { line, why };
        let record: Record = serde_json::from_slice(json).map_err(|e| spoiled(e.to_string()))?;
        record.replay(saved).map_err(spoiled)?;
    }
    Ok(None)
}

/// What a line says, if it is as it was written.
fn whole(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(CHECKSUM)?;
    let json = json.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (sum == crc32(json)).then_some(json)
}

/// A journal that is written to. The file is made with the first line.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Option<File>,
    len: u64,
}

impl Journal {
    /// One that will be at `path`; what is there by then is not of our state, and overwritten.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: None, len: 0 }
    }

    /// Its length.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Adds a line, durably. After an error the journal is as it was before, or nearly: it must not
    /// be added to any more.
    pub(crate) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = match &self.file {
            Some(file) => file,
            None => self.file.insert(create(&self.path)?),
        };
        let written = file.write_all(line).and_then(|()| file.sync_data());
        if written.is_err() {
            // If this fails as well, the next start leaves half a line out.
            file.set_len(self.len).and_then(|()| file.sync_data()).unwrap_or_default();
        }
        written?;
        self.len += line.len() as u64;
        Ok(())
    }
}

fn create(path: &std::path::Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

/// CRC-32 as of IEEE 802.3, four bits at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..2 {
            crc = (crc >> 4) ^ CRC[(crc & 15) as usize];
        }
    }
    !crc
}

/// The remainders of four bits by the polynomial 0xedb88320.
const CRC: [u32; 16] = {
    let mut table = [0; 16];
    let mut at = 0u32;
    while at < 16 {
        let mut crc = at;
        let mut bit = 0;
        while bit < 4 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[at as usize] = crc;
        at += 1;
    }
    table
};

/// Digits of a checksum.
const CHECKSUM: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums() {
        for (text, expected) in [("", 0), ("123456789", 0xcbf4_3926), ("a", 0xe8b7_be43)] {
            assert_eq!(crc32(text.as_bytes()), expected, "{text:?}");
        }
    }
}

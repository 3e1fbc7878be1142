//! A running director's tables, by their pins: what is in them, and entries put in by hand.
#![allow(unsafe_code, reason = "system calls that take pointers")]

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use aya::maps::{MapData, MapInfo};

/// A pinned table.
pub(super) struct Table {
    map: MapData,
    info: MapInfo,
}

/// The entries of a table: keys and values.
pub(super) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

impl Table {
    /// The one of this name among the pins below `folder`.
    pub(super) fn open(folder: &Path, name: &str) -> Result<Self> {
        let pin = find(folder, name)
            .with_context(|| format!("no pin {name} is in {}", folder.display()))?;
        let map = MapData::from_pin(&pin).with_context(|| format!("open {}", pin.display()))?;
        let info = map.info()?;
        Ok(Self { map, info })
    }

    /// Entries there is room for.
    pub(super) fn room(&self) -> u32 {
        self.info.max_entries()
    }

    /// Bytes that the kernel accounts for it.
    pub(super) fn memory(&self) -> Result<u64> {
        let file = format!("/proc/self/fdinfo/{}", self.map.fd().as_fd().as_raw_fd());
        let text = fs::read_to_string(&file)?;
        let bytes = text.lines().find_map(|line| line.strip_prefix("memlock:"));
        Ok(bytes.context("the kernel does not say what a table takes")?.trim().parse()?)
    }

    /// All entries but those whose value is nought.
    pub(super) fn entries(&self) -> Result<Entries> {
        let (key, value) = self.sizes();
        let (mut keys, mut values) = (vec![0; key * PIECE], vec![0; value * PIECE]);
        let (mut entries, mut cursor, mut next) = (Entries::new(), None, 0u64);
        loop {
            let mut at = cursor.unwrap_or(0u64);
            let mut batch = Batch {
                from: cursor.map_or(0, |_| (&raw mut at) as u64),
                next: (&raw mut next) as u64,
                ..self.batch(&mut keys, &mut values)
            };
            let end = match call(LOOKUP_BATCH, &mut batch) {
                Ok(()) => false,
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => true,
                Err(e) => return Err(e.into()),
            };
            let read = keys.chunks(key).zip(values.chunks(value)).take(batch.count as usize);
            let used = read.filter(|(_, value)| value.iter().any(|byte| *byte != 0));
            entries.extend(used.map(|(key, value)| (key.to_vec(), value.to_vec())));
            if end {
                return Ok(entries);
            }
            cursor = Some(next);
        }
    }

    /// Puts `count` connections in that nobody has and that do not expire: keys are numbers from 1
    /// on, values begin with their time.
    pub(super) fn fill(&self, count: u32) -> Result<()> {
        let (key, value) = self.sizes();
        ensure!(key >= 4 && value >= 8, "keys of {key} and values of {value} bytes are no table's");
        let (mut keys, mut values) = (vec![0; key * PIECE], vec![0; value * PIECE]);
        for value in values.chunks_mut(value) {
            value[..8].copy_from_slice(&u64::MAX.to_ne_bytes());
        }
        let mut number = 0;
        while number < count {
            let piece = PIECE.min((count - number) as usize);
            for (key, number) in keys.chunks_mut(key).take(piece).zip(number + 1..) {
                key[..4].copy_from_slice(&number.to_ne_bytes());
            }
            let mut batch = self.batch(&mut keys, &mut values);
            batch.count = u32::try_from(piece)?;
            call(UPDATE_BATCH, &mut batch).context("fill the table of connections")?;
            number += batch.count;
        }
        Ok(())
    }

    fn sizes(&self) -> (usize, usize) {
        (self.info.key_size() as usize, self.info.value_size() as usize)
    }

    /// Of whole pieces.
    fn batch(&self, keys: &mut [u8], values: &mut [u8]) -> Batch {
        Batch {
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(PIECE).unwrap_or(u32::MAX),
            map: self.map.fd().as_fd().as_raw_fd().cast_unsigned(),
            ..Batch::default()
        }
    }
}

/// How many entries differ between two looks.
pub(super) fn differing(before: &Entries, after: &Entries) -> usize {
    let changed = after.iter().filter(|(key, value)| before.get(*key) != Some(value)).count();
    changed + before.keys().filter(|key| !after.contains_key(*key)).count()
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let here = paths.iter().find(|path| path.file_name().is_some_and(|n| n == name)).cloned();
    here.or_else(|| paths.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}

fn call(command: libc::c_long, batch: &mut Batch) -> io::Result<()> {
    // SAFETY: `Batch` is the batch part of `union bpf_attr`; its pointers are to buffers that are
    // alive and have room for `count` keys and values of that map.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(batch), size_of::<Batch>())
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[repr(C)]
#[derive(Default)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

const LOOKUP_BATCH: libc::c_long = 24;
const UPDATE_BATCH: libc::c_long = 26;
/// Entries at once.
const PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        let entries = |list: &[(u8, u8)]| -> Entries {
            list.iter().map(|(key, value)| (vec![*key], vec![*value])).collect()
        };
        let before = entries(&[(1, 1), (2, 2), (3, 3)]);
        for (after, expected, what) in [
            (&[(1, 1), (2, 2), (3, 3)][..], 0, "the same"),
            (&[(1, 1), (2, 9), (3, 3)], 1, "another value"),
            (&[(1, 1), (2, 2), (3, 3), (4, 4)], 1, "one more"),
            (&[(1, 1), (3, 3)], 1, "one less"),
            (&[], 3, "none"),
        ] {
            assert_eq!(differing(&before, &entries(after)), expected, "{what}");
        }
    }
}

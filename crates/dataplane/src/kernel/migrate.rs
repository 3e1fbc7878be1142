//! From the tables of another version to ours, without losing a connection or the counts.
//!
//! New tables are filled with everything but the connections and marked as migrating: a packet of a
//! connection that is not there yet is dropped, and its sender repeats it. Then the programs are
//! switched. From there on nobody changes the old table, so each of its connections is moved once:
//! its server's count first (an atomic addition to memory that BPF adds to as well), then the
//! entry, and the count taken back if the client has come anew meanwhile. Then the mark goes, and
//! the old tables.

use std::{fs, io, path::Path, thread, time::Duration};

use xlvs_datapath::tables::{
    ABI, CONN_DEAD, CONN_INACTIVE, CONN_REPLY, Conn, Dest, SETTING_MIGRATING, Settings, Word,
};

use super::{
    Kernel,
    maps::{self, Maps},
};
use crate::{
    Error, Home,
    raw::{bytes_of, read},
    sys::{Map, NO_EXIST},
};

/// The tables of another version, open.
#[derive(Debug)]
pub(super) struct Older {
    version: u32,
    dir: std::path::PathBuf,
}

/// The versions that have a folder.
pub(super) fn versions(dir: &Path) -> Result<Vec<u32>, Error> {
    let listing = |e| Error::system(format!("listing {}", dir.display()), e);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(listing)? {
        let name = entry.map_err(listing)?.file_name();
        found.extend(name.to_str().and_then(|n| n.strip_prefix('v')?.parse::<u32>().ok()));
    }
    Ok(found)
}

pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    fs::remove_dir(folder)
}

/// Tables of another version in the folder, if there are any that hold something.
pub(super) fn find(dir: &Path) -> Result<Option<Older>, Error> {
    let other = versions(dir)?.into_iter().find(|v| *v != ABI);
    let Some(version) = other else { return Ok(None) };
    if !(2..=3).contains(&version) {
        return Err(Error::UnknownAbi { found: version, known: "2 and 3" });
    }
    Ok(Some(Older { version, dir: dir.join(format!("v{version}")) }))
}

/// A connection out of the bytes of a version's table.
fn decode(version: u32, bytes: &[u8]) -> Option<Conn> {
    // Version 3 has a word of room before what version 2 has.
    let bytes = if version == 3 { bytes.get(8..)? } else { bytes };
    let word = |i: usize| read::<u64>(bytes.get(8 * i..)?);
    Some(Conn::new(word(0)?, Word(word(1)?), word(2)?, word(3)?))
}

/// Fills the new tables, marked; the connections come after the programs are switched. None: that
/// was done before, and only the old pins were left over.
pub(super) fn begin(kernel: &mut Kernel, older: Older) -> Result<Option<Older>, Error> {
    let ours = kernel.settings()?;
    if ours.timeouts != [0; 16] && ours.flags & SETTING_MIGRATING == 0 {
        remove_older(&older)?;
        return Ok(None);
    }
    let old = match Maps::open(&older.dir) {
        Ok(old) => old,
        // Half made by a process that died in its first moments: nothing ever forwarded by it.
        Err(Error::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            remove_older(&older)?;
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let mut settings: Settings = maps::get(&old.settings, 0, "reading the older settings")?;
    settings.flags |= SETTING_MIGRATING;
    kernel.set_settings(&settings)?;
    tracing::info!(from = older.version, to = ABI, "moving to new tables");
    let new = &kernel.maps;
    copy_array(&old.ports, &new.ports)?;
    copy_hash(&old.port_of, &new.port_of)?;
    copy_array(&old.dests, &new.dests)?;
    copy_array(&old.orders, &new.orders)?;
    copy_array(&old.buckets, &new.buckets)?;
    copy_array(&old.marks, &new.marks)?;
    copy_hash(&old.access, &new.access)?;
    copy_array(&old.policies, &new.policies)?;
    copy_hash(&old.clients, &new.clients)?;
    copy_hash(&old.calls, &new.calls)?;
    // Among them is the key that calls are numbered by.
    copy_array(&old.meters, &new.meters)?;
    copy_array(&old.plans, &new.plans)?;
    copy_hash(&old.services, &new.services)?;
    copy_counters(&old, new)?;
    Ok(Some(older))
}

fn moving(e: io::Error) -> Error {
    Error::system("moving to new tables", e)
}

/// Entries that are not all zero.
fn copy_array(old: &Map, new: &Map) -> Result<(), Error> {
    let (mut keys, mut values, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let (n, next) = old.batch(cursor, PIECE, &mut keys, &mut values).map_err(moving)?;
        let pairs = keys.chunks_exact(old.key_size()).zip(values.chunks_exact(old.value_size()));
        for (key, value) in pairs.take(n).filter(|(_, v)| v.iter().any(|b| *b != 0)) {
            new.update(key, value, 0).map_err(moving)?;
        }
        cursor = next;
        if cursor.is_none() || n == 0 {
            return Ok(());
        }
    }
}

fn copy_hash(old: &Map, new: &Map) -> Result<(), Error> {
    for key in old.keys().map_err(moving)? {
        let mut value = vec![0; old.value_size()];
        if old.lookup(&key, &mut value).map_err(moving)? {
            new.update(&key, &value, 0).map_err(moving)?;
        }
    }
    Ok(())
}

/// Packets that pass between this and the switch of the programs, milliseconds later, are forwarded
/// but no longer counted.
fn copy_counters(old: &Maps, new: &Maps) -> Result<(), Error> {
    let dests = maps::all::<Dest>(&old.dests, "reading the older servers")?;
    for (slot, _) in (0u32..).zip(&dests).filter(|(_, d)| d.flags != 0) {
        let values = old.stats.lookup_cpus(bytes_of(&slot), old.cpus).map_err(moving)?;
        new.stats.update(bytes_of(&slot), &values, 0).map_err(moving)?;
        if let (Some(from), Some(to)) = (old.view.get(slot), new.view.get(slot)) {
            to.upper.set(from.upper.get());
            to.lower.set(from.lower.get());
            to.overloaded.set(from.overloaded.get());
        }
    }
    // The reasons of another version may be others: those of the same number of them are the same.
    if old.cpu.info.max_entries == new.cpu.info.max_entries {
        for index in 0..new.cpu.info.max_entries {
            let values = old.cpu.lookup_cpus(bytes_of(&index), old.cpus).map_err(moving)?;
            new.cpu.update(bytes_of(&index), &values, 0).map_err(moving)?;
        }
    }
    Ok(())
}

/// Fetches the connections, now that the old programs run no more, and closes the old tables.
pub(super) fn finish(kernel: &mut Kernel, older: &Older) -> Result<(), Error> {
    // A packet that an old program began before the switch is done by then.
    thread::sleep(GRACE);
    let old = Map::open(&older.dir.join("CONNS")).map_err(moving)?;
    let moved = move_connections(&kernel.maps, &old, older.version)?;
    let mut settings = kernel.settings()?;
    settings.flags &= !SETTING_MIGRATING;
    kernel.set_settings(&settings)?;
    let from = older.version;
    remove_older(older)?;
    tracing::info!(from, to = ABI, entries = moved.0, refused = moved.1, "moved to new tables");
    if moved.1 > 0 {
        kernel.notes.push(format!(
            "{} connection entries found no room when the tables were moved to version {ABI}",
            moved.1
        ));
    }
    Ok(())
}

/// How many were moved, and how many found no room.
fn move_connections(new: &Maps, old: &Map, version: u32) -> Result<(u64, u64), Error> {
    let (mut keys, mut values, mut cursor) = (Vec::new(), Vec::new(), None);
    let mut moved = (0, 0);
    loop {
        let (n, next) = old.batch(cursor, PIECE, &mut keys, &mut values).map_err(moving)?;
        let pairs = keys.chunks_exact(old.key_size()).zip(values.chunks_exact(old.value_size()));
        for (key, value) in pairs.take(n) {
            let Some(conn) = decode(version, value) else { continue };
            match move_one(new, key, &conn).map_err(|e| (e.raw_os_error(), e)) {
                Ok(()) => moved.0 += 1,
                Err((Some(libc::EEXIST), _)) => {}
                Err((Some(libc::E2BIG | libc::ENOMEM), _)) => moved.1 += 1,
                Err((_, e)) => return Err(moving(e)),
            }
        }
        cursor = next;
        if cursor.is_none() {
            return Ok(moved);
        }
    }
}

fn move_one(new: &Maps, key: &[u8], conn: &Conn) -> io::Result<()> {
    let word = Word(conn.word.get());
    if word.has(CONN_DEAD) {
        return Ok(());
    }
    let counted = !word.has(CONN_REPLY);
    let cell = new.view.cell(word.dest(), word.has(CONN_INACTIVE)).filter(|_| counted);
    if let Some(cell) = cell {
        cell.add(1);
    }
    let done = new.conns.update(key, bytes_of(conn), NO_EXIST);
    if done.is_err()
        && let Some(cell) = cell
    {
        cell.dec();
    }
    if counted && let Some(live) = new.view.get(word.dest()) {
        live.weigh(true);
    }
    done
}

fn remove_older(older: &Older) -> Result<(), Error> {
    let failed = |e| Error::system(format!("removing {}", older.dir.display()), e);
    remove_folder(&older.dir).map_err(failed)
}

/// Entries that are read at a time.
const PIECE: usize = 4096;
/// A packet takes microseconds; timer ticks and scheduling of this process are more.
const GRACE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_the_same() {
        let words: Vec<u8> = [11u64, 22, 33, 44].iter().flat_map(|w| w.to_ne_bytes()).collect();
        let newer = [&[9u8; 8][..], &words].concat();
        for (version, bytes) in [(2, &words), (3, &newer)] {
            let c = decode(version, bytes).expect("long enough");
            let got = (c.expires.get(), c.word.get(), c.hop.get(), c.origin.get());
            assert_eq!(got, (11, 22, 33, 44), "version {version}");
        }
        assert!(decode(3, &words).is_none(), "too short for that version");
    }
}

//! What it costs to look at all connections, and to expire them: the batches of the daemon's sweep,
//! and the program that takes the dead ones out.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use xlvs_datapath::SWEEP_KEYS;
use xlvs_wire::tcp_flag::ACK;

use crate::{
    batch,
    object::{KEY, Object, Program},
    scenarios::{fill, table_size},
    world::{Way, frame, furnish, set_timeouts},
};

/// What the sweep of one way's table cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Swept {
    pub(crate) way: Way,
    pub(crate) connections: u32,
    /// Entries in the table.
    pub(crate) entries: usize,
    /// To look at all of them.
    pub(crate) look: Duration,
    /// To take all of them out.
    pub(crate) expire: Duration,
    /// Bytes that the kernel accounts for the table, for each connection it has room for.
    pub(crate) bytes: u64,
}

/// Fills a table, looks at it, lets all of it expire, sweeps it.
pub(crate) fn sweep(ifindex: u32, connections: u32, way: Way) -> Result<Swept> {
    let size = table_size(way, connections);
    let mut object = Object::load(size, ifindex)?;
    furnish(&mut object, ifindex)?;
    let servers = fill(&object, connections, way)?;
    let begun = Instant::now();
    let entries = due(&object, 0)?.0;
    let look = begun.elapsed();

    set_timeouts(&mut object, |_| MILLISECOND)?;
    // An entry's expiry is not written again before that has passed.
    std::thread::sleep(EXPIRY_GRAIN);
    for (client, server) in (0..connections).zip(servers) {
        object.run(Program::Director, frame(ACK, &way.flow(client)).bytes())?;
        if way == Way::Nat {
            object.run(Program::Director, frame(ACK, &way.reply(client, server)).bytes())?;
        }
    }
    std::thread::sleep(Duration::from_millis(50));
    let keys = due(&object, u64::MAX)?.1;
    let begun = Instant::now();
    expire(&object, &keys)?;
    let expire = begun.elapsed();
    let left = due(&object, 0)?.0;
    ensure!(left == 0, "{left} of {entries} expired entries are still there");
    let bytes = memory(&object)? / u64::from(size) * entries as u64 / u64::from(connections);
    Ok(Swept { way, connections, entries, look, expire, bytes })
}

/// How many entries there are, and the keys of those that are due at `now`, as the daemon finds
/// them.
fn due(object: &Object, now: u64) -> Result<(usize, Vec<[u8; KEY]>)> {
    let mut keys = Vec::new();
    let count = batch::walk(object.conns()?, |key, value| {
        let expires = value.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        if expires <= now {
            keys.push(*key);
        }
    })?;
    Ok((count, keys))
}

/// Hands the keys to the program, as many at once as go into a frame.
fn expire(object: &Object, keys: &[[u8; KEY]]) -> Result<()> {
    let mut frame = Vec::with_capacity(ETHERNET + SWEEP_KEYS * KEY);
    for keys in keys.chunks(SWEEP_KEYS) {
        frame.resize(ETHERNET, 0);
        frame.extend(keys.iter().flatten());
        object.run(Program::Sweep, &frame)?;
        frame.clear();
    }
    Ok(())
}

/// Bytes that the kernel accounts for the connection table.
fn memory(object: &Object) -> Result<u64> {
    use std::os::fd::AsRawFd;
    let file = format!("/proc/self/fdinfo/{}", object.conns()?.as_raw_fd());
    let text = std::fs::read_to_string(&file)?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    Ok(bytes.unwrap_or("0").trim().parse()?)
}

const ETHERNET: usize = 14;
const MILLISECOND: u64 = 1_000_000;
/// More than `EXPIRY_GRAIN_NS` of the data path.
const EXPIRY_GRAIN: Duration = Duration::from_millis(300);

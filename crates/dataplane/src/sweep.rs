//! The sweep: a walk over the connections in bounded pieces, and for the ones whose time is up a
//! word to the data path. Nothing is removed from here: between reading an entry and deleting it a
//! packet might have brought it back, so expiry is decided where packets are.

use xlvs_datapath::{
    SWEEP_KEYS,
    tables::{CONN_DEAD, Conn, ConnKey, Word},
};

use crate::{Error, Home, home::Cursor};

/// Where the walk stands.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    cursor: Option<Cursor>,
    /// Kept for its room.
    seen: Vec<(ConnKey, Conn)>,
}

/// What one piece of the sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Entries looked at.
    pub seen: usize,
    /// Of these, due: handed to the data path, which decides.
    pub due: usize,
    /// The walk reached the end; the next piece begins anew.
    pub finished: bool,
    /// Slots of servers, removed two minutes ago or more, that were freed.
    pub freed: usize,
}

impl Sweeper {
    pub(crate) fn step(
        &mut self,
        home: &mut impl Home,
        budget: usize,
    ) -> Result<SweepReport, Error> {
        let now = home.now();
        self.seen.clear();
        let next = home.conns(self.cursor, budget, &mut self.seen)?;
        let due: Vec<ConnKey> =
            self.seen.iter().filter(|(_, c)| is_due(c, now)).map(|(key, _)| *key).collect();
        // The cursor moves on first: an entry that fails is met again on the next round.
        self.cursor = next;
        for keys in due.chunks(SWEEP_KEYS) {
            home.expire(keys)?;
        }
        let (seen, due, finished) = (self.seen.len(), due.len(), next.is_none());
        Ok(SweepReport { seen, due, finished, freed: 0 })
    }
}

fn is_due(conn: &Conn, now: u64) -> bool {
    conn.expires.get() <= now && !Word(conn.word.get()).has(CONN_DEAD)
}

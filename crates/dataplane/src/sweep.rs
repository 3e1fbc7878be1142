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
            home.expire(keys, false)?;
        }
        let (seen, due, finished) = (self.seen.len(), due.len(), next.is_none());
        Ok(SweepReport { seen, due, finished, freed: 0 })
    }
}

fn is_due(conn: &Conn, now: u64) -> bool {
    conn.expires.get() <= now && !Word(conn.word.get()).has(CONN_DEAD)
}

#[cfg(test)]
mod tests {
    use xlvs_datapath::{
        state::ESTABLISHED,
        tables::{CONN_INACTIVE, METHOD_ROUTE},
    };

    use super::*;
    use crate::Memory;

    fn key(n: u16) -> ConnKey {
        ConnKey::new(1, 2, n.to_be(), 80, 6)
    }

    fn conn(expires: u64, flags: u8) -> Conn {
        Conn::new(expires, Word::new(ESTABLISHED, METHOD_ROUTE | flags, 0), 0, 0)
    }

    #[test]
    fn walks_in_pieces_and_removes_what_is_due() {
        let mut home = Memory::default();
        for (n, expires, flags) in [
            (1, 50, 0),
            (2, 150, 0),
            (3, 50, CONN_DEAD),
            (4, 100, CONN_INACTIVE),
            (5, 101, CONN_INACTIVE),
        ] {
            home.set_conn(key(n), conn(expires, flags));
        }
        let live = home.live_cells(0).map(|l| {
            l.active.add(2);
            l.inactive.add(2);
        });
        assert!(live.is_some());
        home.set_now(100);
        let mut sweeper = Sweeper::default();
        let mut step = |home: &mut Memory| sweeper.step(home, 2).expect("memory does not fail");
        let first = SweepReport { seen: 2, due: 1, finished: false, freed: 0 };
        assert_eq!(step(&mut home), first, "1 is due, 2 is not");
        let mut rounds = 0;
        while !step(&mut home).finished {
            rounds += 1;
            assert!(rounds < 10, "the walk ends");
        }
        while !step(&mut home).finished {}
        let left: Vec<u16> = (1..=5).filter(|n| home.conn(&key(*n)).is_some()).collect();
        assert_eq!(left, [2, 3, 5], "a dead one is its claimant's; one that dies now is gone");
        let left = home.live_count(0).expect("memory does not fail");
        assert_eq!((left.active, left.inactive), (1, 1), "and it was counted");
    }
}

//! What limits ask of the connections that are there already: those of clients that were shut out
//! end, those of clients that are limited are counted, and suspect ones go in times of need.

use std::collections::BTreeMap;

use xlvs_datapath::{
    policy::{ClientKey, EVERY_SERVICE, POLICY_DROP_ENTRY, Suspicion, is_denied, suspicion},
    tables::{CONN_DEAD, CONN_REPLY, CONN_TEMPLATE, Conn, ConnKey, Settings, Word},
};
use xlvs_model::Model;

use crate::{
    Dataplane, Error, Home,
    compile::{DestKey, Write},
};

impl<H: Home> Dataplane<H> {
    /// After a change was written.
    pub(crate) fn enforce(&mut self, writes: &[Write]) -> Result<(), Error> {
        if writes.iter().any(|w| matches!(w, Write::Access(key, _) if !key.is_of_server())) {
            self.end_denied()?;
        }
        if writes.iter().any(|w| matches!(w, Write::Policy(..))) {
            self.count_clients()?;
        }
        if writes.iter().any(|w| matches!(w, Write::Settings(_))) {
            self.count_connections()?;
        }
        Ok(())
    }

    /// So many pages of memory are free. To be told every second while a defence watches it.
    pub fn set_free_pages(&mut self, model: &Model, pages: i64) -> Result<(), Error> {
        let writes = self.compiler.settle_defence(model, pages);
        self.write(&writes)
    }

    /// Looks at one of 32 connections, going round, and ends those that are half open
    /// (`drop_entry`). To be called every second; does nothing unless that is in force.
    pub fn drop_suspects(&mut self) -> Result<usize, Error> {
        if !self.compiler.settings().policy.has(POLICY_DROP_ENTRY) {
            return Ok(0);
        }
        let entries = usize::try_from(self.usage()?.entries).unwrap_or(usize::MAX);
        let mut seen = Vec::new();
        let budget = (entries / SUSPECTS_SHARE).max(MIN_SUSPECTS);
        self.suspects = self.home.conns(self.suspects, budget, &mut seen)?;
        let is_suspect = |(key, conn): &&(ConnKey, Conn)| {
            let (protocol, word) = (u8::try_from(key.protocol()), Word(conn.word.get()));
            is_clients(word)
                && protocol.is_ok_and(|p| suspicion(p.into(), word.state()) == Suspicion::Sure)
        };
        let suspects: Vec<ConnKey> = seen.iter().filter(is_suspect).map(|(key, _)| *key).collect();
        self.home.expire(&suspects, true)?;
        Ok(suspects.len())
    }

    /// Connections of clients that may not come in end, so that all packets of theirs are dropped.
    fn end_denied(&mut self) -> Result<(), Error> {
        let limits = self.compiler.limits();
        let slots = self.compiler.slots();
        let mut ended = Vec::new();
        self.each_client(|key, word| {
            let Some(slot) = slots.get(word.dest()) else { return };
            let own = limits.verdict(DestKey::of(&slot.dest).service, key.src());
            if is_denied(own, limits.verdict(EVERY_SERVICE, key.src())) {
                ended.push(*key);
            }
        })?;
        self.home.expire(&ended, true)
    }

    /// How many connections networks of clients have, where that is limited.
    fn count_clients(&mut self) -> Result<(), Error> {
        let mut counts: BTreeMap<ClientKey, u32> = BTreeMap::new();
        let (limits, slots) = (self.compiler.limits(), self.compiler.slots());
        if limits.counts_clients() {
            self.each_client(|key, word| {
                let Some(slot) = slots.get(word.dest()) else { return };
                let service = DestKey::of(&slot.dest).service;
                let Some(policy) = limits.policy(service) else { return };
                if policy.client_max != 0 {
                    let client = ClientKey::new(service, key.src(), policy.client_mask);
                    *counts.entry(client).or_default() += 1;
                }
            })?;
        }
        self.home.set_clients(&counts)
    }

    /// How many connections there are, where that is limited: what packets count is put right.
    pub(crate) fn count_connections(&mut self) -> Result<(), Error> {
        let Settings { policy, .. } = self.compiler.settings();
        if policy.conn_max == 0 {
            return Ok(());
        }
        let mut sum = 0;
        for (slot, _) in self.compiler.slots().iter() {
            let live = self.home.live_count(slot)?;
            sum += u64::from(live.active) + u64::from(live.inactive);
        }
        self.home.set_connections(sum)
    }

    /// Shows all clients' connections.
    fn each_client(&self, mut show: impl FnMut(&ConnKey, Word)) -> Result<(), Error> {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            seen.clear();
            cursor = self.home.conns(cursor, PIECE, &mut seen)?;
            for (key, conn) in &seen {
                let word = Word(conn.word.get());
                if is_clients(word) {
                    show(key, word);
                }
            }
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// Neither an entry for answers nor a template.
const fn is_clients(word: Word) -> bool {
    !word.has(CONN_REPLY | CONN_TEMPLATE | CONN_DEAD)
}

/// Connections that are read at a time.
const PIECE: usize = 4096;
/// As the kernel: one of so many entries in a second.
const SUSPECTS_SHARE: usize = 32;
/// But not less than so many.
const MIN_SUSPECTS: usize = 64;

#[cfg(test)]
mod tests;

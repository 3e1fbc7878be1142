//! Keeps the state on disk in step with what is in force: a line in the journal for each request,
//! and now and then, when the journal has grown longer than the state file, that file anew.
//!
//! The state file is written by a thread of its own while requests go on into the next journal. The
//! file says with which journal it goes on, and a start reads all journals from there: whichever of
//! the two files was there when the machine died, with its journals it makes the whole state.

use std::{
    io,
    thread::{self, JoinHandle},
};

use tracing::warn;
use xlvs_dataplane::Baselines;
use xlvs_model::{Hands, Model};

use super::{Record, Saved, Store, StoreError, journal::Journal};

/// What is written down of an engine, but for its counters.
pub(crate) type State<'a> = (&'a Model, &'a Hands);

/// See the module.
#[derive(Debug)]
pub(crate) struct Keeper {
    store: Store,
    /// All but the state and the counters, which are put in when they are written.
    rest: Saved,
    /// `None`: something went wrong, and only the whole state can be written.
    journal: Option<Journal>,
    /// The length of the state file.
    whole: u64,
    writing: Option<JoinHandle<Result<u64, StoreError>>>,
}

impl Keeper {
    /// Of an instance's state; touches nothing yet. `rest` is what was loaded, or will be saved.
    pub(crate) fn new(store: Store, mut rest: Saved) -> Self {
        rest.model = Model::default();
        rest.counters = Baselines::default();
        rest.hands = Hands::default();
        Self { store, rest, journal: None, whole: 0, writing: None }
    }

    /// Writes the whole state, now.
    pub(crate) fn save(
        &mut self,
        state: State<'_>,
        counters: &Baselines,
    ) -> Result<(), StoreError> {
        self.finish();
        self.journal = None;
        self.rest.journal += 1;
        self.whole = self.store.save(&self.with(state, counters))?;
        self.journal = Some(Journal::new(self.store.journal(self.rest.journal)));
        Ok(())
    }

    /// Adds what a request changed, or writes the whole state where that cannot be done.
    pub(crate) fn note(
        &mut self,
        record: &Record,
        state: State<'_>,
        counters: impl Fn() -> Baselines,
    ) -> Result<(), StoreError> {
        let appended = match &mut self.journal {
            Some(journal) => record.line().and_then(|line| journal.append(&line)),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        if let Err(why) = appended {
            if self.journal.take().is_some() {
                warn!("the journal of changes cannot be written, the state is written anew: {why}");
            }
            return self.save(state, &counters());
        }
        let length = self.journal.as_ref().map_or(0, Journal::len);
        if length > self.whole.max(JOURNAL_BYTES) && self.written() {
            self.begin(self.with(state, &counters()));
        }
        Ok(())
    }

    /// What a state file is to say.
    fn with(&self, (model, hands): State<'_>, counters: &Baselines) -> Saved {
        let (model, hands) = (model.clone(), hands.clone());
        Saved { model, hands, counters: counters.clone(), ..self.rest.clone() }
    }

    /// Begins the next journal, and writes the file that it goes on from beside.
    fn begin(&mut self, mut saved: Saved) {
        let next = self.rest.journal + 1;
        saved.journal = next;
        let store = self.store.clone();
        let work = move || store.replace(&saved);
        match thread::Builder::new().name("xlvs-store".into()).spawn(work) {
            Ok(thread) => {
                self.writing = Some(thread);
                self.rest.journal = next;
                self.journal = Some(Journal::new(self.store.journal(next)));
            }
            Err(e) => warn!("cannot write the state anew: {e}; its journal grows on"),
        }
    }

    /// No state file is being written.
    fn written(&mut self) -> bool {
        if self.writing.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return false;
        }
        self.finish();
        true
    }

    /// Waits for the state file that is being written.
    fn finish(&mut self) {
        let Some(thread) = self.writing.take() else { return };
        match thread.join() {
            Ok(Ok(length)) => self.whole = length,
            // The old file with its journals is as good; the next one is due when the journal has
            // grown again.
            Ok(Err(e)) => warn!("the journal of changes goes on for longer: {e}"),
            Err(_) => warn!("the thread that wrote the state panicked; its message is above"),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A journal may grow so long, however short the state is.
const JOURNAL_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests;

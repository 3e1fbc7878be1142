//! `BFD_CHECK`: sessions, and those who follow them.
//!
//! One task ([`Speaker`]) holds the sessions with their sockets; it begins with the first one. A
//! session lives as long as some check names it with these terms, over reloads, too. A check's
//! question waits until its session's standing is another than it was told last, so that a change
//! acts at once.

mod sockets;
mod speaker;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use xlvs_model::health::{BfdCheck, Kind};

use self::speaker::Speaker;
use crate::{Ask, Fault, Outcome, ProbeId};

/// What a session's followers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    /// It began only now.
    Begins,
    Up,
    Down(String),
    /// There can be no session, for a reason on this host.
    Unable(String),
}

/// What the speaker is told.
#[derive(Debug)]
enum Command {
    Open(String, Box<BfdCheck>, watch::Sender<Told>),
    Close(String),
    /// All of them end; the channel says when their neighbors were told.
    Stop(oneshot::Sender<()>),
}

/// The sessions, by the questions after them.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    speaker: Option<mpsc::UnboundedSender<Command>>,
    sessions: HashMap<String, watch::Receiver<Told>>,
    /// What each question was answered with last.
    last: HashMap<ProbeId, Told>,
}

impl Sessions {
    /// Opens and closes sessions, so that these questions have theirs.
    pub(super) fn keep<'a>(&self, asked: impl Iterator<Item = (ProbeId, &'a str, &'a Ask)>) {
        let mut known = self.lock();
        let (mut ids, mut wanted) = (HashSet::new(), HashMap::new());
        for (id, key, ask) in asked {
            if let Kind::Bfd(check) = &ask.kind {
                ids.insert(id);
                wanted.insert(key, check);
            }
        }
        known.last.retain(|id, _| ids.contains(id));
        let gone: Vec<String> =
            known.sessions.keys().filter(|key| !wanted.contains_key(&***key)).cloned().collect();
        for key in gone {
            known.sessions.remove(&key);
            known.tell(Command::Close(key));
        }
        for (key, check) in wanted {
            if !known.sessions.contains_key(key) {
                let (sender, told) = watch::channel(Told::Begins);
                known.sessions.insert(key.to_owned(), told);
                known.tell(Command::Open(key.to_owned(), Box::new(check.clone()), sender));
            }
        }
    }

    /// Waits for news of a session, or for a while.
    pub(super) async fn ask(&self, probe: ProbeId, ask: &Ask) -> Outcome {
        let (session, last) = {
            let known = self.lock();
            (known.sessions.get(&ask.key()).cloned(), known.last.get(&probe).cloned())
        };
        let Some(mut session) = session else {
            return Outcome::Unasked("there is no such session".into());
        };
        let is_news = |told: &Told| *told != Told::Begins && last.as_ref() != Some(told);
        // In the end what is known is told again.
        let is_over = matches!(timeout(HEARTBEAT, session.wait_for(is_news)).await, Ok(Err(_)));
        if is_over {
            sleep(PAUSE).await;
            return Outcome::Unasked("the session has ended".into());
        }
        let told = session.borrow().clone();
        let outcome = match &told {
            Told::Begins => Outcome::Unasked("the session begins".into()),
            Told::Up => Outcome::GOOD,
            Told::Down(why) => Outcome::Bad(Fault::Session(why.clone())),
            Told::Unable(why) => Outcome::Unasked(why.clone()),
        };
        self.lock().last.insert(probe, told);
        outcome
    }

    /// Ends the sessions; returns when the neighbors were told.
    pub(super) async fn stop(&self) {
        let told = {
            let mut known = self.lock();
            let Some(speaker) = known.speaker.take() else { return };
            let (sender, told) = oneshot::channel();
            if speaker.send(Command::Stop(sender)).is_err() {
                return;
            }
            told
        };
        let _ = told.await;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn tell(&mut self, command: Command) {
        let speaker = self.speaker.get_or_insert_with(|| {
            let (sender, commands) = mpsc::unbounded_channel();
            tokio::spawn(Speaker::new().run(commands));
            sender
        });
        let _ = speaker.send(command);
    }
}

/// Before a session that should be there is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// A question waits no longer for news.
const HEARTBEAT: Duration = Duration::from_mins(1);

//! What happened, as far as it is remembered: the last events, and whoever listens for the next.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::broadcast;
use tracing::info;
use xlvs_api::{Actor, Event, EventKind};
use xlvs_model::{ServerKey, ServiceKey};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) kind: EventKind,
    pub(super) service: Option<ServiceKey>,
    pub(super) server: Option<ServerKey>,
    pub(super) message: String,
}

impl News {
    /// Of no service and no server.
    pub(super) fn of(kind: EventKind, message: impl Into<String>) -> Self {
        Self { kind, service: None, server: None, message: message.into() }
    }

    /// Of a server.
    pub(super) fn of_server(
        kind: EventKind,
        (service, server): (ServiceKey, ServerKey),
        message: impl Into<String>,
    ) -> Self {
        Self { service: Some(service), server: Some(server), ..Self::of(kind, message) }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Chronicle {
    last: u64,
    known: VecDeque<Arc<Event>>,
    counts: BTreeMap<EventKind, u64>,
    live: broadcast::Sender<Arc<Event>>,
}

impl Default for Chronicle {
    fn default() -> Self {
        let (live, _) = broadcast::channel(MAX_UNHEARD);
        Self { last: 0, known: VecDeque::new(), counts: BTreeMap::new(), live }
    }
}

impl Chronicle {
    /// Writes it down, and tells whoever listens.
    pub(super) fn tell(&mut self, at_ms: u64, by: Option<&Actor>, news: News) {
        self.last += 1;
        *self.counts.entry(news.kind).or_default() += 1;
        let News { kind, service, server, message } = news;
        let event =
            Event { seq: self.last, at_ms, kind, by: by.cloned(), service, server, message };
        log(&event);
        let event = Arc::new(event);
        if self.known.len() == MAX_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(Arc::clone(&event));
        // Most of the time nobody listens.
        self.live.send(event).unwrap_or_default();
    }

    /// At most `limit` of those after this one, the newest, in their order.
    pub(super) fn after(&self, seq: u64, limit: usize) -> Vec<Arc<Event>> {
        let first = self.known.partition_point(|event| event.seq <= seq);
        let first = first.max(self.known.len().saturating_sub(limit));
        self.known.range(first..).cloned().collect()
    }

    /// The last ones about a server, in their order.
    pub(super) fn about(&self, service: &ServiceKey, server: &ServerKey) -> Vec<Event> {
        let is_its = |event: &&Arc<Event>| {
            event.server.as_ref() == Some(server) && event.service.as_ref() == Some(service)
        };
        let mut found: Vec<Event> =
            self.known.iter().rev().filter(is_its).take(ABOUT_ONE).map(|e| (**e).clone()).collect();
        found.reverse();
        found
    }

    /// How many there were, by kind.
    pub(super) const fn counts(&self) -> &BTreeMap<EventKind, u64> {
        &self.counts
    }

    /// Those to come.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.live.subscribe()
    }
}

/// Milliseconds of Unix time; a clock before that is at its beginning.
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn log(event: &Event) {
    let Event { kind, by, service, server, message, .. } = event;
    let subject = match (service, server) {
        (Some(service), Some(server)) => format!("{server} of {service}: "),
        (Some(service), None) => format!("{service}: "),
        (None, Some(server)) => format!("{server}: "),
        (None, None) => String::new(),
    };
    let by = by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
    info!(kind = kind.name(), "{subject}{message}{by}");
}

/// Events that are remembered.
const MAX_KNOWN: usize = 2000;
/// Events that a listener may be behind.
const MAX_UNHEARD: usize = 1024;
/// Events that are shown of one server.
const ABOUT_ONE: usize = 20;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_last_ones_are_remembered() {
        let mut chronicle = Chronicle::default();
        let mut listener = chronicle.listen();
        let service: ServiceKey = "tcp:10.0.0.1:80".parse().unwrap();
        let server: ServerKey = "10.0.1.1:80".parse().unwrap();
        let total = MAX_KNOWN as u64 + 500;
        for n in 1..=total {
            let news = if n % 100 == 0 {
                News::of_server(EventKind::Check, (service, server), format!("{n}"))
            } else {
                News::of(EventKind::Change, format!("{n}"))
            };
            chronicle.tell(n, None, news);
        }
        let seqs = |after, limit| -> Vec<u64> {
            chronicle.after(after, limit).iter().map(|event| event.seq).collect()
        };
        assert_eq!(
            seqs(0, usize::MAX),
            (501..=total).collect::<Vec<_>>(),
            "what there is room for"
        );
        assert_eq!(seqs(total - 3, usize::MAX), [total - 2, total - 1, total]);
        assert_eq!(seqs(total - 3, 2), [total - 1, total], "the newest");
        assert_eq!(seqs(total + 9, 2), [0; 0], "of another life of the daemon");
        let about: Vec<u64> =
            chronicle.about(&service, &server).iter().map(|event| event.seq).collect();
        assert_eq!((about.len(), about[0], about[19]), (20, 600, 2500));
        assert_eq!(chronicle.counts()[&EventKind::Check], 25);
        assert!(listener.try_recv().is_err(), "it is too far behind, and is told so");
    }
}

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

use super::Engine;

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

    /// What an earlier daemon told comes first; the numbers go on from there.
    fn remember(&mut self, before: Vec<Event>) {
        let Some(shift) = before.last().map(|event| event.seq) else { return };
        let renumbered = |event: &Arc<Event>| Event {
            seq: event.seq.saturating_add(shift),
            ..(**event).clone()
        };
        let own: Vec<Event> = self.known.iter().map(renumbered).collect();
        let mut last = 0;
        // A file that somebody edited must not break the order that look-ups rely on.
        let in_order = before.into_iter().filter(|event| {
            let fits = event.seq > last && event.seq <= shift;
            last = if fits { event.seq } else { last };
            fits
        });
        self.known = in_order.chain(own).map(Arc::new).collect();
        let surplus = self.known.len().saturating_sub(MAX_KNOWN);
        self.known.drain(..surplus);
        self.last = self.last.saturating_add(shift);
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

impl Engine {
    /// Takes up the last events of the daemon before this one.
    pub(crate) fn remember(&mut self, before: Vec<Event>) {
        self.chronicle.remember(before);
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

    #[test]
    fn an_earlier_daemons_events_come_first() {
        let mut before = Chronicle::default();
        for n in 1..=5 {
            before.tell(n, None, News::of(EventKind::Change, format!("before {n}")));
        }
        let mut kept: Vec<Event> =
            before.after(2, usize::MAX).iter().map(|e| (**e).clone()).collect();
        // Somebody edited the file.
        kept.insert(0, Event { seq: 9, ..kept[0].clone() });
        let mut chronicle = Chronicle::default();
        chronicle.tell(6, None, News::of(EventKind::Director, "started"));
        chronicle.remember(kept);
        chronicle.tell(7, None, News::of(EventKind::Change, "after"));
        let told: Vec<(u64, u64, String)> = chronicle
            .after(0, usize::MAX)
            .iter()
            .map(|event| (event.seq, event.at_ms, event.message.clone()))
            .collect();
        let expected = [
            (3, 3, "before 3"),
            (4, 4, "before 4"),
            (5, 5, "before 5"),
            (6, 6, "started"),
            (7, 7, "after"),
        ];
        assert_eq!(told, expected.map(|(seq, at, text)| (seq, at, text.to_owned())));
        assert_eq!(chronicle.counts()[&EventKind::Change], 1, "counters begin with the daemon");
        chronicle.remember(Vec::new());
        assert_eq!(chronicle.after(0, usize::MAX).len(), 5, "nothing was kept");
    }
}

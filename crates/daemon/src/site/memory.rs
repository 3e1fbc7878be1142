//! What is remembered over a restart beside the file in force: what checks found
//! (`STATE/NAME/checks.json`) and the last events (`STATE/NAME/events.json`).
//!
//! A server that was down stays down until its check says otherwise. Nothing is written for a check
//! that finds the same again; what changes is written together, at most once in
//! [`KEEP_PERIOD`], whole, to a file beside that is renamed. So a daemon that is killed forgets
//! that much at most. Either file may be missing or rubbish: then the next daemon begins as the
//! first one did.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;
use xlvs_api::Event;
use xlvs_health::{LastView, Moment, Verdict, Weight};

use super::{
    Runner,
    checks::Clock,
    record::{RecordFile, write_whole},
};
use crate::{engine::unix_ms, settings::boot_id};

/// What has to be known of what is on disk.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Something was found since it was written.
    pub(super) changed: bool,
    /// Looks since the verdicts were compared.
    looks: u32,
    /// A digest of the verdicts that were written.
    verdicts: u64,
    /// The last event that was written.
    told: u64,
    writing: Option<JoinHandle<()>>,
}

/// What checks found, as it lies on disk.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Checks {
    /// The host's boot.
    boot: Option<String>,
    checks: Vec<Check>,
}

/// One of them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Check {
    key: String,
    up: bool,
    since_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<Weight>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Last>,
}

/// Its last answer.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Last {
    at_ms: u64,
    good: bool,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    latency_us: u64,
}

impl Runner {
    /// Takes up what the last daemon knew; before anything is checked.
    pub(super) async fn recall(&mut self) {
        let Some(place) = &self.options.record else { return };
        let mut events: Vec<Event> = load(&place.beside(EVENTS));
        events.drain(..events.len().saturating_sub(KEPT_EVENTS));
        self.engine.ask(move |engine| engine.remember(events)).await;
        let checks: Checks = load(&place.beside(CHECKS));
        self.health.recall(checks.verdicts(boot_id().as_deref())).await;
    }

    /// Writes down what is new, unless that is under way.
    pub(super) async fn keep(&mut self) {
        if self.memory.writing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.write_down().await;
        }
    }

    /// Writes down what is new, and returns when it is on disk.
    pub(super) async fn keep_all(&mut self) {
        self.finish_writing().await;
        self.memory.looks = LOOKS;
        self.write_down().await;
        self.finish_writing().await;
    }

    async fn write_down(&mut self) {
        let Some(place) = self.options.record.clone() else { return };
        let events = self.new_events().await;
        let checks = self.new_verdicts().await;
        if events.is_some() || checks.is_some() {
            self.memory.writing = Some(spawn_blocking(move || write(&place, events, checks)));
        }
    }

    async fn finish_writing(&mut self) {
        if let Some(writing) = self.memory.writing.take() {
            // It cannot be cancelled, and says by itself what went wrong.
            writing.await.unwrap_or_default();
        }
    }

    /// The last events, if there are new ones.
    async fn new_events(&mut self) -> Option<Vec<Arc<Event>>> {
        let events = self.engine.ask(|engine| engine.events(0, KEPT_EVENTS)).await?;
        let last = events.last()?.seq;
        (std::mem::replace(&mut self.memory.told, last) != last).then_some(events)
    }

    /// What checks found, if it is another thing than before. What is found is told of at once, but
    /// for a first answer that is as it was taken to be: that is looked for now and then.
    async fn new_verdicts(&mut self) -> Option<Checks> {
        self.memory.looks += 1;
        if !std::mem::take(&mut self.memory.changed) && self.memory.looks < LOOKS {
            return None;
        }
        self.memory.looks = 0;
        let health = self.health.clone();
        let (answer, effects) = self.gather(async move { health.verdicts().await }).await;
        if !effects.is_empty() {
            self.act(effects).await;
        }
        let (now, verdicts) = answer?;
        let digest = digest(&verdicts);
        if std::mem::replace(&mut self.memory.verdicts, digest) == digest {
            return None;
        }
        Some(Checks::of(verdicts, now))
    }
}

impl Checks {
    fn of(verdicts: Vec<Verdict>, now: Moment) -> Self {
        let clock = Clock { now, now_ms: unix_ms() };
        let check = |verdict: Verdict| Check {
            key: verdict.key,
            up: verdict.up,
            since_ms: clock.unix_ms(verdict.since),
            weight: verdict.weight,
            last: verdict.last.map(|last| Last {
                at_ms: clock.unix_ms(last.at),
                good: last.good,
                text: last.text,
                code: last.code,
                latency_us: u64::try_from(last.latency.as_micros()).unwrap_or(u64::MAX),
            }),
        };
        Self { boot: boot_id(), checks: verdicts.into_iter().map(check).collect() }
    }

    /// As the checking engine has them. What was up before the host booted is asked anew: nobody
    /// looked since, and `alpha` wants to be sure.
    fn verdicts(self, boot: Option<&str>) -> Vec<Verdict> {
        let same_boot = self.boot.as_deref() == boot;
        let kept = self.checks.into_iter().filter(|check| same_boot || !check.up);
        let verdict = |check: Check| Verdict {
            key: check.key,
            up: check.up,
            since: Duration::from_millis(check.since_ms),
            weight: check.weight,
            last: check.last.map(|last| LastView {
                text: last.text,
                good: last.good,
                code: last.code,
                latency: Duration::from_micros(last.latency_us),
                at: Duration::from_millis(last.at_ms),
            }),
        };
        kept.take(MAX_CHECKS).map(verdict).collect()
    }
}

/// Equal for verdicts that say the same; the last answers do not count.
fn digest(verdicts: &[Verdict]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for Verdict { key, up, since, weight, .. } in verdicts {
        (key, up, since, format!("{weight:?}")).hash(&mut hasher);
    }
    hasher.finish()
}

/// What lies there; rubbish is told of and counts as nothing.
pub(super) fn load<T: Default + DeserializeOwned>(path: &Path) -> T {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return T::default(),
        Err(e) => {
            warn!("cannot read {}: {e}: it is not used", path.display());
            return T::default();
        }
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|e| {
        warn!("{}: {e}: it is not used", path.display());
        T::default()
    })
}

fn write(place: &RecordFile, events: Option<Vec<Arc<Event>>>, checks: Option<Checks>) {
    let told = |path: &Path, written: io::Result<()>| {
        if let Err(e) = written {
            warn!("cannot write {}: {e}; the next daemon will not know it", path.display());
        }
    };
    if let Some(events) = events {
        let path = place.beside(EVENTS);
        let events: Vec<&Event> = events.iter().map(|event| &**event).collect();
        told(&path, write_whole(&path, &events));
    }
    if let Some(checks) = checks {
        let path = place.beside(CHECKS);
        told(&path, write_whole(&path, &checks));
    }
}

/// How often what is new is written down, at most.
pub(super) const KEEP_PERIOD: Duration = Duration::from_secs(2);
/// Events that are kept.
const KEPT_EVENTS: usize = 500;
/// Checks that are taken up.
const MAX_CHECKS: usize = 1 << 20;
/// Verdicts are compared at every so manieth look, though nothing was told of.
const LOOKS: u32 = 15;
const CHECKS: &str = "checks.json";
const EVENTS: &str = "events.json";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, up: bool) -> Check {
        let last = Last { at_ms: 2, good: up, text: "refused".into(), code: None, latency_us: 3 };
        Check { key: key.into(), up, since_ms: 1, weight: None, last: Some(last) }
    }

    #[test]
    fn what_was_up_before_a_boot_is_asked_anew() {
        for (boot, expected, why) in [
            (Some("one"), vec!["a", "b"], "the same boot: all is known"),
            (Some("two"), vec!["b"], "another one: what was down stays down"),
            (None, vec!["b"], "nobody knows"),
        ] {
            let checks = vec![check("a", true), check("b", false)];
            let verdicts = Checks { boot: Some("one".into()), checks }.verdicts(boot);
            let keys: Vec<&str> = verdicts.iter().map(|verdict| &verdict.key[..]).collect();
            assert_eq!(keys, expected, "{why}");
        }
    }

    #[test]
    fn verdicts_go_to_disk_and_back() {
        let boot = boot_id();
        let verdicts = || Checks { boot: boot.clone(), checks: vec![check("a", false)] };
        let found = verdicts().verdicts(boot.as_deref());
        let now = Duration::from_millis(unix_ms());
        let mut again = Checks::of(found.clone(), now);
        // The clock of the host goes on while this is worked out.
        for check in &mut again.checks {
            assert!(check.since_ms <= 60_000, "{check:?}");
            check.since_ms = 1;
            check.last.as_mut().expect("an answer").at_ms = 2;
        }
        assert_eq!(again, verdicts());
        let mut later = found.clone();
        later[0].last = None;
        assert_eq!(digest(&later), digest(&found), "another answer, the same verdict");
        later[0].up = true;
        assert_ne!(digest(&later), digest(&found), "another verdict");
    }

    #[test]
    fn rubbish_counts_as_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(CHECKS);
        assert_eq!(load::<Checks>(&path), Checks::default(), "nothing yet");
        for text in ["{", "[]", "{\"checks\":[{}]}", "\0"] {
            fs::write(&path, text).expect("a file");
            assert_eq!(load::<Checks>(&path), Checks::default(), "{text}");
        }
    }
}

//! Putting a file in force, keeping it or taking it back.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tracing::{error, info, warn};
use xlvs_api::{Actor, Applied, Apply, EventKind, Face};
use xlvs_config::Format;
use xlvs_model::{Change, Difference, Turn, Wanted, check_differences};

use super::{
    Pending, Record, Runner,
    file::{self, Loaded, Reading, load},
    file_actor, split,
};
use crate::engine::{Engine, FileInForce, unix_ms};

impl Runner {
    /// `xlvs apply`.
    pub(super) async fn apply(&mut self, what: &Apply, by: &Actor) -> Applied {
        let reading = match self.reading(what) {
            Ok(reading) => reading,
            Err(why) => return Applied { refused: Some(why), ..Applied::default() },
        };
        let loaded = match load(Path::new(&what.file), &reading) {
            Ok(loaded) => loaded,
            Err(broken) => {
                let refused = Some(format!("{}: nothing is changed", broken.summary));
                return Applied { refused, report: broken.report, ..Applied::default() };
            }
        };
        let report = loaded.report.clone();
        let differences = match self.compare(&loaded).await {
            Ok(differences) => differences,
            Err(why) => {
                let refused = Some(format!("{why}: nothing is changed"));
                return Applied { refused, report, ..Applied::default() };
            }
        };
        let mut applied = Applied { report, differences, ..Applied::default() };
        if what.plan {
            return applied;
        }
        if self.pending.is_some() {
            let why = "another change waits to be confirmed: xlvs confirm, or xlvs confirm --undo";
            applied.refused = Some(why.to_owned());
            return applied;
        }
        let until = what.confirm_s.map(Duration::from_secs);
        let by =
            Actor { face: Face::File, place: Some(loaded.in_force.file.clone()), ..by.clone() };
        match self.put_in_force(loaded, &by, until, false).await {
            Ok(confirm_until_ms) => {
                applied.in_force = true;
                applied.confirm_until_ms = confirm_until_ms;
            }
            Err(why) => applied.refused = Some(format!("{why}: nothing is changed")),
        }
        applied
    }

    /// How a file that is to be applied is read: as it is said; else as it was the last time, if it
    /// is the one that is in force.
    fn reading(&self, what: &Apply) -> Result<Reading, String> {
        let known = self.known_reading(&what.file);
        let format = match &what.format {
            Some(name) => Some(Format::try_from(name.clone())?),
            None => known.and_then(|reading| reading.format),
        };
        let config_id = known.unwrap_or(&self.options.reading).config_id.clone();
        Ok(Reading { format, config_id: what.config_id.clone().or(config_id) })
    }

    /// How the file was read, if it is the one that is in force.
    fn known_reading(&self, file: &str) -> Option<&Reading> {
        let same = self.loaded.as_ref().filter(|loaded| loaded.in_force.file == file);
        same.map(|loaded| &loaded.reading)
    }

    /// The file of the daemon's start, or the one that was in force when the last daemon ended.
    /// What that one had not confirmed is taken back first.
    pub(crate) async fn begin(&mut self, loaded: Option<Loaded>) -> Result<(), String> {
        self.recall().await;
        self.recall_active();
        if let Some(before) = self.record.before.take() {
            warn!("a file that was applied for a time was not confirmed: it is taken back");
            let by = Actor::default();
            let taken = self.engine.ask(move |e| e.take(&by, (&before, &[]), Vec::new())).await;
            taken.unwrap_or_else(|| Err("the engine is gone".to_owned()))?;
            self.record.in_force = self.record.file_before.take();
            self.record.reading = std::mem::take(&mut self.record.reading_before);
        }
        if let Some(loaded) = loaded {
            let by = file_actor(&loaded.in_force);
            self.start_up(&loaded).await;
            return self.put_in_force(loaded, &by, None, true).await.map(drop);
        }
        let Some(file) = self.record.in_force.as_ref().map(|file| file.file.clone()) else {
            self.follow(true).await;
            return Ok(());
        };
        let trouble = match load(Path::new(&file), &self.record.reading.clone()) {
            Ok(loaded) => {
                let by = file_actor(&loaded.in_force);
                self.start_up(&loaded).await;
                self.put_in_force(loaded, &by, None, true).await.err()
            }
            Err(broken) => Some(broken.summary),
        };
        let trouble = trouble.map(|why| format!("{why}: nothing is checked"));
        self.engine.ask(move |engine| engine.report_file(trouble)).await;
        Ok(())
    }

    /// SIGHUP: the file of `xlvs run -c`, else the one that is in force, again.
    pub(super) async fn reload(&mut self) {
        let named = self.options.config.clone();
        let path = named.or_else(|| self.loaded.as_ref().map(|l| l.in_force.file.clone().into()));
        let Some(path) = path else {
            info!("there is no configuration file to apply again");
            return;
        };
        let known = self.known_reading(&path.to_string_lossy());
        let reading = known.unwrap_or(&self.options.reading).clone();
        let done = match load(&path, &reading) {
            Err(broken) => {
                error!("{}", broken.report.trim_end());
                Err(broken.summary)
            }
            Ok(_) if self.pending.is_some() => {
                Err(format!("{}: another change waits to be confirmed", path.display()))
            }
            Ok(loaded) => {
                let by = file_actor(&loaded.in_force);
                self.put_in_force(loaded, &by, None, false).await.map(drop)
            }
        };
        let trouble = done.err().map(|why| format!("{why}: nothing is changed"));
        let told = trouble.clone();
        self.engine.ask(move |engine| engine.report_file(trouble)).await;
        if let Some(message) = told {
            let tell = move |e: &mut Engine| {
                e.tell_of(
                    None,
                    EventKind::Director,
                    (None, None),
                    format!("not reloaded: {message}"),
                );
            };
            self.engine.ask(tell).await;
        }
    }

    /// `xlvs confirm`.
    pub(super) async fn confirm(&mut self, keep: bool, by: &Actor) -> Result<(), String> {
        if self.pending.is_none() {
            return Err("nothing waits to be confirmed".to_owned());
        }
        if !keep {
            self.take_back(&format!("by {by}")).await;
            return Ok(());
        }
        self.pending = None;
        self.own(None).await;
        self.tell(Some(by.clone()), "the file stays in force: it was confirmed".to_owned()).await;
        Ok(())
    }

    /// What was applied for a time goes again.
    pub(super) async fn take_back(&mut self, why: &str) {
        let Some(Pending { before, loaded, .. }) = self.pending.take() else { return };
        let file = self.loaded.as_ref().map(|loaded| loaded.in_force.file.clone());
        let by = self.loaded.as_ref().map(|l| file_actor(&l.in_force)).unwrap_or_default();
        let settings = loaded.as_ref().map(Loaded::settings).unwrap_or_default();
        match self.exchange(loaded, &by, (before, settings)).await {
            Ok(_) => {
                self.own(None).await;
                let file = file.unwrap_or_default();
                self.tell(None, format!("{file} is no longer in force: {why}")).await;
            }
            Err(why) => {
                let trouble = Some(format!("a file is not taken back: {why}"));
                self.engine.ask(move |engine| engine.report_file(trouble)).await;
            }
        }
    }

    async fn tell(&self, by: Option<Actor>, message: String) {
        let tell = move |engine: &mut Engine| {
            engine.tell_of(by.as_ref(), EventKind::Director, (None, None), message);
        };
        self.engine.ask(tell).await;
    }

    /// How a file differs from what is in force.
    async fn compare(&self, new: &Loaded) -> Result<Vec<Difference>, String> {
        let wanted = new.in_force.wanted(self.services_before());
        let settings = new.settings();
        let compared = self.engine.ask(move |engine| engine.compare(&wanted, &settings)).await;
        let mut differences = compared.ok_or("the engine is gone")??;
        // Those that are on their way out are gone already, as far as a person is concerned.
        differences.retain(|difference| {
            difference.turn != Turn::Remove || !self.leaving.iter().any(|l| l.is_of(difference))
        });
        let before = self.loaded.as_ref().map_or(&[][..], |l| &l.config.virtual_servers);
        differences.extend(check_differences(before, &new.config.virtual_servers));
        Ok(differences)
    }

    /// The services that a file owned until now.
    fn services_before(&self) -> Option<&xlvs_model::InForce> {
        let loaded = self.loaded.as_ref().map(|loaded| &loaded.in_force);
        loaded.or(self.record.in_force.as_ref())
    }

    /// Puts a file in force, for a time or for good; says until when it is to be confirmed.
    async fn put_in_force(
        &mut self,
        loaded: Loaded,
        by: &Actor,
        confirm: Option<Duration>,
        at_start: bool,
    ) -> Result<Option<u64>, String> {
        let mut wanted = loaded.in_force.wanted(self.services_before());
        let settings = loaded.settings();
        if at_start && loaded.config.globals.flush {
            let all = self.engine.ask(|engine| engine.service_keys()).await.unwrap_or_default();
            let others = all.into_iter().filter(|key| loaded.in_force.service(key).is_none());
            let others: Vec<Wanted> = others.map(|key| (key, None)).collect();
            wanted.retain(|(key, _)| loaded.in_force.service(key).is_some());
            wanted.extend(others);
        }
        let differences = self.compare(&loaded).await?;
        for warning in &loaded.warnings {
            warn!("{warning}");
        }
        let old = self.loaded.clone();
        let before = self.exchange(Some(loaded), by, (wanted, settings)).await?;
        let until = confirm.map(|confirm| Instant::now() + confirm);
        self.pending = until.map(|until| Pending { until, before, loaded: old });
        let within = confirm.map(|c| u64::try_from(c.as_millis()).unwrap_or(u64::MAX));
        let until_ms = within.map(|within| unix_ms().saturating_add(within));
        self.own(until_ms).await;
        let file = self.loaded.as_ref().map(|l| l.in_force.file.clone()).unwrap_or_default();
        let count = differences.len();
        let until = confirm.map(|c| format!(", to be confirmed within {} s", c.as_secs()));
        let message =
            format!("{file} is in force, {count} differences{}", until.unwrap_or_default());
        self.tell(Some(by.clone()), message).await;
        Ok(until_ms)
    }

    /// Services and checks together. On a refusal everything is as it was.
    async fn exchange(
        &mut self,
        new: Option<Loaded>,
        by: &Actor,
        (wanted, settings): (Vec<Wanted>, Vec<Change>),
    ) -> Result<Vec<Wanted>, String> {
        let (again, more) = (wanted.clone(), settings.clone());
        let compared = self.engine.ask(move |engine| engine.compare(&again, &more)).await;
        compared.ok_or("the engine is gone")??;
        let wanted = self.soften(wanted).await;
        self.hold_first(new.as_ref()).await;
        let config = file::checks(new.as_ref());
        let errands = xlvs_health::shell::Errands::new(&config);
        let health = self.health.clone();
        let ((), effects) = self.gather(async move { health.apply(config).await }).await;
        let (mut findings, rest) = split(effects);
        // What is checked already says nothing anew, and yet a service may come back by this.
        let health = self.health.clone();
        let (snapshot, late) = self.gather(async move { health.snapshot().await }).await;
        let (late_findings, late) = split(late);
        findings.extend(snapshot.iter().flat_map(|s| super::checks::restated(s, None)));
        findings.extend(late_findings);
        let by = by.clone();
        let take = move |e: &mut Engine| e.take(&by, (&wanted, &settings), findings);
        let taken = self.engine.ask(take).await.unwrap_or_else(|| Err("the engine is gone".into()));
        if taken.is_err() {
            let config = file::checks(self.loaded.as_ref());
            let health = self.health.clone();
            let ((), effects) = self.gather(async move { health.apply(config).await }).await;
            let (findings, _) = split(effects);
            self.engine.ask(move |engine| engine.find(findings)).await;
            return taken;
        }
        self.errands = errands;
        self.loaded = new;
        self.watch();
        self.memory.changed = true;
        self.perform(rest).await;
        self.perform(late).await;
        self.follow(true).await;
        taken
    }

    /// Tells the engine and the disk what is in force.
    async fn own(&mut self, confirm_until_ms: Option<u64>) {
        let enforced = self.enforced();
        let file =
            self.loaded.as_ref().zip(enforced.clone()).map(|(loaded, services)| FileInForce {
                services,
                since_ms: unix_ms(),
                checked_servers: loaded.checked_servers(),
                confirm_until_ms,
            });
        let before = self.pending.as_ref().and_then(|pending| pending.loaded.as_ref());
        let reading = |loaded: Option<&Loaded>| loaded.map(|l| l.reading.clone());
        self.record = Record {
            in_force: enforced,
            reading: reading(self.loaded.as_ref()).unwrap_or_default(),
            before: self.pending.as_ref().map(|pending| pending.before.clone()),
            file_before: before.map(|loaded| loaded.in_force.clone()),
            reading_before: reading(before).unwrap_or_default(),
        };
        if let Some(path) = &self.options.record {
            path.save(&self.record);
        }
        self.engine.ask(move |engine| engine.own(file)).await;
    }
}

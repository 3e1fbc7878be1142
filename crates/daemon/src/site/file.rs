//! A configuration file that was read: what it asks of the engine and of the checks.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use xlvs_config::{Config, Diagnostic, Format, Severity};
use xlvs_model::{
    Change, InForce,
    health::{Check, Common, Globals, Kind, LoadCheck, VirtualServer},
};

use super::host::{self, ThisHost};

/// A file that can be put in force.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What it asks for.
    pub(crate) config: Config,
    /// Its services, and where they are written.
    pub(crate) in_force: InForce,
    /// How it was read, for the next time.
    pub(crate) reading: Reading,
    /// What is to be told of it, as text.
    pub(crate) report: String,
    /// Warnings, each a line.
    pub(crate) warnings: Vec<String>,
    /// What was read for it, and digests of that.
    pub(crate) files: Vec<(String, u64)>,
}

/// A file that cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// All that is to be told, as text.
    pub(crate) report: String,
    /// In one line: `keepalived.conf: 2 errors, the first in line 12: ...`.
    pub(crate) summary: String,
}

/// How a file is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reading {
    /// What it is; none: what it looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<Format>,
    /// What `@id` lines are compared with; none: the host's name up to the first dot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config_id: Option<String>,
}

/// Reads a file and all that it includes.
pub(crate) fn load(path: &Path, reading: &Reading) -> Result<Loaded, Broken> {
    let host = ThisHost::new(reading.config_id.clone());
    let file = path.to_string_lossy().into_owned();
    let (config, report) = xlvs_config::load_as(reading.format, &file, &host);
    let text = report.render(false);
    let line = |d: &Diagnostic| match &d.place {
        Some(place) => format!("{}:{}: {}", place.file, place.line, d.message),
        None => d.message.clone(),
    };
    let of = |severity| report.diagnostics.iter().filter(move |d| d.severity == severity);
    if let Some(first) = of(Severity::Error).next() {
        let count = report.count(Severity::Error);
        let s = if count == 1 { "" } else { "s, the first" };
        let summary = format!("{file}: {count} error{s}: {}", line(first));
        return Err(Broken { report: text, summary });
    }
    let mut warnings: Vec<String> = of(Severity::Warning).map(line).collect();
    warnings
        .extend(idle(&config.globals).map(|word| format!("{file}: `{word}` has no effect yet")));
    let in_force = InForce::new(file, config.services.clone(), &config.virtual_servers);
    let (reading, files) = (reading.clone(), host.files());
    Ok(Loaded { config, in_force, reading, report: text, warnings, files })
}

/// Settings of the whole that are read and that nobody acts on yet.
fn idle(globals: &Globals) -> impl Iterator<Item = &'static str> {
    let words =
        [(!globals.fifos.is_empty(), "notify_fifo"), (globals.sync.is_some(), "lvs_sync_daemon")];
    words.into_iter().filter_map(|(is_written, word)| is_written.then_some(word))
}

impl Loaded {
    /// What the file changes beside services.
    pub(super) fn settings(&self) -> Vec<Change> {
        let timeouts = self.config.globals.timeouts;
        timeouts.map(|timeouts| Change::SetTimeouts { timeouts }).into_iter().collect()
    }

    /// How many of its servers have checks.
    pub(super) fn checked_servers(&self) -> usize {
        let servers = self.config.virtual_servers.iter().flat_map(|service| &service.servers);
        servers.filter(|server| !server.checks.is_empty()).count()
    }
}

/// The file as the checking engine takes it; none: no checks.
pub(super) fn checks(loaded: Option<&Loaded>) -> xlvs_health::Config {
    let Some(Config { globals, ssl, virtual_servers, .. }) = loaded.map(|loaded| &loaded.config)
    else {
        return xlvs_health::Config::default();
    };
    let rsh_command = globals.piranha.as_ref().map_or("rsh", |piranha| &piranha.rsh_command);
    let mut virtual_servers = virtual_servers.clone();
    for service in &mut virtual_servers {
        ask_for_loads(service, rsh_command);
    }
    xlvs_health::Config {
        mail: mail(globals, &virtual_servers),
        virtual_servers,
        ssl: ssl.clone(),
        alerts: globals.ldirectord.as_ref().map(|terms| xlvs_health::Alerts {
            repeat: terms.repeat,
            during: terms.during.clone(),
        }),
        clean_stop: globals.ldirectord.as_ref().and_then(|terms| terms.clean_stop) == Some(true),
        router_id: globals.mail.router_id.clone().unwrap_or_else(host::name),
        rs_init_notifies: globals.init_notifies,
        no_checker_emails: globals.mail.not_of_checks,
        script_security: globals.script_security,
    }
}

/// `load_monitor`: one more question to each server.
fn ask_for_loads(service: &mut VirtualServer, rsh_command: &str) {
    let Some(monitor) = &service.load_monitor else { return };
    for server in &mut service.servers {
        let check = server.checks.first().map(|check| check.common.delay_loop);
        let timeout = check.unwrap_or(NANNYS_INTERVAL);
        let load = LoadCheck {
            script: monitor.script(server.server.key.ip(), rsh_command),
            timeout,
            weight: server.server.weight,
        };
        let common = Common {
            delay_loop: load_period(timeout),
            warmup: Duration::ZERO,
            retry: 0,
            ..Common::default()
        };
        server.checks.push(Check { kind: Kind::Load(load), common, origin: None });
    }
}

/// nanny asks at every check, of checks that come more often at every so manieth: each 20 s about.
fn load_period(interval: Duration) -> Duration {
    const USUAL: Duration = Duration::from_secs(20);
    let times = USUAL.as_millis() / interval.as_millis().max(1);
    interval * u32::try_from(times).unwrap_or(u32::MAX).max(1)
}

/// None: nobody gets mails.
fn mail(globals: &Globals, of: &[VirtualServer]) -> Option<xlvs_health::Mail> {
    let mail = &globals.mail;
    let somebody = |of: &VirtualServer| of.alert.as_ref().is_some_and(|a| !a.to.is_empty());
    let of_some = of.iter().any(somebody).then(|| "127.0.0.1".to_owned());
    let of_all = mail.server.clone().filter(|_| !mail.to.is_empty());
    let user = if globals.ldirectord.is_some() { "root" } else { "keepalived" };
    Some(xlvs_health::Mail {
        host: of_all.or(of_some.map(|here| mail.server.clone().unwrap_or(here)))?,
        port: mail.port,
        helo: mail.helo_name.clone().unwrap_or_else(host::name),
        from: mail.from.clone().unwrap_or_else(|| format!("{user}@{}", host::name())),
        to: mail.to.clone(),
        timeout: mail.timeout,
    })
}

/// Equal for the same bytes, within this process.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// `timeout` of an `lvs.cf` that says none.
const NANNYS_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_asked_for_as_often_as_nanny_does() {
        for (interval, expected) in [(6, 18), (10, 20), (1, 20), (20, 20), (21, 21), (60, 60)] {
            let found = load_period(Duration::from_secs(interval));
            assert_eq!(found, Duration::from_secs(expected), "{interval} s");
        }
    }
}

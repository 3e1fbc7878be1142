//! Errands: the programs, the mail and the lines of files that effects ask for.
//!
//! Programs are started in their order and not waited for. Mail goes out letter by letter; when too
//! much of it waits, what comes is dropped and told, since an alert that is an hour late helps
//! nobody.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tracing::{info, warn};
use xlvs_model::health::{MiscCheck, Script};

use super::{mail, misc, monitor};
use crate::{Alert, Config, Effect, Line, Mail, Outcome};

/// Letters that may wait.
const LETTERS: usize = 256;

/// Lines of monitored checks that may wait.
const LINES: usize = 16_384;

/// Carries out programs and mail.
#[derive(Clone, Debug)]
pub struct Errands {
    users: Arc<misc::Users>,
    letters: Option<mpsc::Sender<Alert>>,
    lines: Option<mpsc::Sender<Line>>,
    /// Alerts without a recipient of their own have one.
    all: bool,
}

impl Errands {
    /// As the terms say. Needs a tokio runtime: mail has a task of its own, which ends when nobody
    /// holds this any more.
    pub fn new(config: &Config) -> Self {
        let letters = config.mail.clone().map(|mail| {
            let (sender, letters) = mpsc::channel(LETTERS);
            tokio::spawn(post(mail, letters));
            sender
        });
        let wanted = config.virtual_servers.iter().any(|of| of.monitor_file.is_some());
        let lines = wanted.then(|| {
            let (sender, lines) = mpsc::channel(LINES);
            tokio::spawn(monitor::write(lines));
            sender
        });
        let users = Arc::new(misc::Users::new(config.script_security));
        let all = config.mail.as_ref().is_some_and(|mail| !mail.to.is_empty());
        Self { users, letters, lines, all }
    }

    /// Runs a program to its end, or ends it.
    pub async fn finish(&self, script: &Script, limit: Duration) -> Outcome {
        let misc = MiscCheck { script: script.clone(), timeout: limit, dynamic: false };
        misc::run(&misc, &self.users).await
    }

    /// Carries out an effect, if it is one of these. What cannot be done is told by the log.
    pub fn perform(&self, effect: &Effect) {
        match effect {
            Effect::Run(run) => match misc::start_alone(&run.script, &self.users) {
                Ok(()) => info!(script = %run.script, occasion = run.occasion.name(), "script run"),
                Err(why) => warn!(script = %run.script, why, "script not run"),
            },
            Effect::Alert(alert) => {
                let Some(letters) = &self.letters else { return };
                if alert.to.is_empty() && !self.all {
                    return;
                }
                if letters.try_send(alert.clone()).is_err() {
                    warn!(subject = alert.subject, "mail dropped: too much of it waits");
                }
            }
            Effect::Monitor(line) => {
                let Some(lines) = &self.lines else { return };
                if lines.try_send(line.clone()).is_err() {
                    warn!(file = line.path, "a line of it is dropped: too many wait");
                }
            }
            Effect::Found(_) | Effect::Event(_) => {}
        }
    }
}

async fn post(mail: Mail, mut letters: mpsc::Receiver<Alert>) {
    while let Some(alert) = letters.recv().await {
        if let Err(why) = mail::send(&mail, &alert).await {
            warn!(subject = alert.subject, why, "mail not sent");
        }
    }
}

//! What a file says of all of its services; and what of it counts where one file executes another.

use xlvs_model::health::{Alert, Ldirectord, Mail};

use super::{check::Pace, real::Fallback};
use crate::{Report, table::Given};

/// What holds for all services of a file.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) pace: Pace,
    pub(super) quiescent: bool,
    /// Of IPv4 and of IPv6.
    pub(super) fallback: [Option<Fallback>; 2],
    pub(super) command: Option<String>,
    pub(super) mail: Mail,
    pub(super) itself: Ldirectord,
}

impl Scope {
    /// What is of the director as a whole is what the first file says.
    pub(super) fn agrees(&self, first: &Self, path: &str, given: &[Given], report: &mut Report) {
        let (own, of) = (&self.itself, &first.itself);
        for given in given {
            let same = match given.name() {
                "maintenancedir" => own.maintenance == of.maintenance,
                "autoreload" => own.autoreload == of.autoreload,
                "callback" => own.callback == of.callback,
                "readdquiescent" => own.readd_quiescent == of.readd_quiescent,
                _ => true,
            };
            if !same {
                report
                    .error(given.at, format!("`{}` is not as {path} has it", given.name()))
                    .label(format!("{path} executes this file"))
                    .means("both are in force in one director, which has one of it")
                    .help(format!("say it in {path} alone, or the same in both"));
            }
        }
    }

    /// What the first file says is the director's; of another one, each service has it by itself.
    pub(super) fn resolve(&self, first: &Self, alert: &mut Alert, clean_stop: &mut Option<bool>) {
        let Self { mail, itself, .. } = self;
        if alert.to.is_empty() {
            alert.to.clone_from(&mail.to);
        }
        if alert.to.is_empty() {
            *alert = Alert::default();
        } else {
            let server = alert.server.take().or_else(|| mail.server.clone());
            alert.server = server.or_else(|| Some("127.0.0.1".into()));
            alert.from.clone_from(&mail.from);
            alert.repeat = alert.repeat.or(Some(itself.repeat.unwrap_or_default()));
            let during = alert.during.take().or_else(|| itself.during.clone());
            alert.during = during.or_else(|| Some(STATUSES.map(str::to_owned).to_vec()));
        }
        let all = first.itself.clean_stop.map(|_| false);
        *clean_stop = clean_stop.or(itself.clean_stop).or(all);
    }
}

/// When mails are sent.
pub(super) const STATUSES: [&str; 4] = ["starting", "running", "stopping", "reloading"];

//! Directives to the model.

mod bfd;
mod check;
mod global;
mod group;
mod http;
mod method;
mod server;
mod service;
mod terms;
mod vrrp;

use std::collections::{BTreeMap, BTreeSet};

use xlvs_model::{
    Model, ServiceKey,
    health::{FileCheck, Origin, Script},
};

use super::{
    Config,
    keywords::{Keyword, Status, Within},
    read::{self, Known},
    tree::Directive,
};
use crate::{report::Report, source::Span};
use group::Group;

/// What is known while lowering.
struct Lower<'a> {
    report: &'a mut Report,
    config: Config,
    /// Services and servers as the director would take them, to find what it would refuse.
    model: Model,
    /// Where each service was written.
    services: BTreeMap<String, Span>,
    groups: BTreeMap<String, Group>,
    track_files: BTreeMap<String, FileCheck>,
    /// Keywords and names of blocks that others name.
    named: BTreeSet<(&'static str, String)>,
    /// `smtp_alert_checker`, else `smtp_alert`.
    mail_by_default: Option<bool>,
}

/// The whole tree.
pub(super) fn lower(tree: &[Directive], report: &mut Report) -> Config {
    let known = read::block(tree, Within::Top, report);
    let mut lower = Lower {
        report,
        config: Config::default(),
        model: Model::default(),
        services: BTreeMap::new(),
        groups: BTreeMap::new(),
        track_files: BTreeMap::new(),
        named: BTreeSet::new(),
        mail_by_default: None,
    };
    // What others name comes first, wherever it stands.
    for known in &known {
        match known.name() {
            "global_defs" => lower.global(known.directive),
            "SSL" => lower.ssl(known.directive),
            "track_file" => lower.track_file(known),
            "virtual_server_group" => lower.group(known),
            "virtual_server" => {}
            _ => lower.vrrp(known),
        }
    }
    lower.resolve_users();
    for known in &known {
        if known.name() == "virtual_server" {
            lower.virtual_server(known);
        }
    }
    lower.unused_groups();
    lower.vrrp_references();
    lower.told_of_vrrp();
    lower.told_of_bfd();
    lower.config.services = lower.model.services.iter().cloned().collect();
    lower.config
}

impl Lower<'_> {
    fn origin(&self, span: Span) -> Origin {
        let place = self.report.location(span);
        Origin { file: place.file, line: place.line }
    }

    /// A script runs as `script_user` unless it names somebody.
    fn as_user(&self, script: Option<Script>) -> Option<Script> {
        script.map(|script| Script {
            user: script.user.or_else(|| self.config.globals.script_user.clone()),
            ..script
        })
    }

    /// A keyword that the table has and the code forgot. A test holds that there is none.
    fn forgotten(&mut self, known: &Known<'_>) {
        if let Keyword { status: Status::Honoured, .. } = known.keyword {
            self.report.error(known.span(), format!("`{}` is not handled", known.name()));
        }
    }

    /// Sets what may be said once; the second time it is told of, and counts.
    fn once<T>(&mut self, slot: &mut Option<T>, value: Option<T>, known: &Known<'_>) {
        if slot.is_some() {
            self.report
                .warning(known.span(), format!("`{}` for a second time", known.name()))
                .means("the last one counts");
        }
        *slot = value;
    }
}

/// How a service is known to a person: `10.0.0.1 80`, `fwmark 3`, `group web`.
fn title(directive: &Directive) -> String {
    let words: Vec<&str> = directive.arguments().iter().map(|word| word.text.as_str()).collect();
    words.join(" ")
}

/// The key as text, for the index of what was written where.
fn index(key: &ServiceKey) -> String {
    key.to_string()
}

//! Changes in words. Few are told one by one, many at once in one line.

use std::collections::BTreeMap;

use xlvs_api::EventKind;
use xlvs_model::{Action, Change, Method, OnDeadline, Override, Server, ServerKey, ServiceKey};

use super::chronicle::News;

/// A change that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) change: Change,
    /// The server as it was before, where one was edited.
    pub(super) old: Option<Server>,
}

/// What is to be told of changes that came together.
pub(super) fn news(made: &[Made]) -> Vec<News> {
    if made.len() <= ONE_BY_ONE {
        return made.iter().map(one).collect();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for made in made {
        *counts.entry(summary(&made.change)).or_default() += 1;
    }
    let each: Vec<_> = counts.into_iter().map(|(what, count)| format!("{what}: {count}")).collect();
    vec![News::of(EventKind::Change, each.join(", "))]
}

fn one(Made { change, old }: &Made) -> News {
    let of = |service: &ServiceKey, message: String| News {
        service: Some(*service),
        ..News::of(EventKind::Change, message)
    };
    let of_server = |service: &ServiceKey, server: &ServerKey, message: String| {
        News::of_server(EventKind::Change, (*service, *server), message)
    };
    match change {
        Change::AddService { service, terms } => {
            of(service, format!("added, scheduler {}", terms.scheduler.name()))
        }
        Change::EditService { service, terms } => {
            of(service, format!("edited, scheduler {}", terms.scheduler.name()))
        }
        Change::TuneService { service, .. } => of(service, "tuned".to_owned()),
        Change::DeleteService { service } => of(service, "deleted".to_owned()),
        Change::AddServer { service, server } => {
            of_server(service, &server.key, format!("added, {}", terms(server)))
        }
        Change::EditServer { service, server } => {
            of_server(service, &server.key, edited(server, *old))
        }
        Change::DeleteServer { service, server } => {
            of_server(service, server, "deleted".to_owned())
        }
        Change::SetOverride { service, server, value } => {
            News::of_server(EventKind::Override, (*service, *server), overridden(value))
        }
        Change::ClearOverride { service, server } => {
            let message = "its drain or its being disabled was taken back";
            News::of_server(EventKind::Override, (*service, *server), message)
        }
        Change::AddAccess { service: Some(service), network, .. }
        | Change::RemoveAccess { service: Some(service), network, .. } => {
            of(service, format!("{}: {network}", summary(change)))
        }
        Change::AddAccess { network, .. } | Change::RemoveAccess { network, .. } => {
            News::of(EventKind::Change, format!("{}: {network}", summary(change)))
        }
        Change::Set { setting, value } => {
            let value = value.as_ref().map_or("its default".to_owned(), ToString::to_string);
            let name = setting.full_name();
            News::of(EventKind::Change, format!("{name} set to {value}"))
        }
        Change::Clear
        | Change::AddMark { .. }
        | Change::RemoveMark { .. }
        | Change::SetTimeouts { .. }
        | Change::SetProfile { .. }
        | Change::StartDaemon { .. }
        | Change::StopDaemon { .. } => News::of(EventKind::Change, summary(change)),
    }
}

/// A change in two or three words.
const fn summary(change: &Change) -> &'static str {
    match change {
        Change::AddService { .. } => "services added",
        Change::EditService { .. } => "services edited",
        Change::TuneService { .. } => "services tuned",
        Change::DeleteService { .. } => "services deleted",
        Change::Clear => "all services deleted",
        Change::AddServer { .. } => "servers added",
        Change::EditServer { .. } => "servers edited",
        Change::DeleteServer { .. } => "servers deleted",
        Change::SetOverride { .. } => "servers drained or disabled",
        Change::ClearOverride { .. } => "servers no longer drained or disabled",
        Change::AddMark { .. } => "mark rule added",
        Change::RemoveMark { .. } => "mark rule removed",
        Change::SetTimeouts { .. } => "timeouts set",
        Change::Set { .. } => "settings set",
        Change::SetProfile { .. } => "profile set",
        Change::AddAccess { .. } => "allowed or denied",
        Change::RemoveAccess { .. } => "no longer allowed or denied",
        Change::StartDaemon { .. } => "sync daemon started",
        Change::StopDaemon { .. } => "sync daemon stopped",
    }
}

fn terms(server: &Server) -> String {
    let method = match server.method {
        Method::Masq => "nat",
        Method::Tunnel => "tunnel",
        Method::Route => "route",
    };
    format!("{method}, weight {}", server.weight)
}

fn edited(new: &Server, old: Option<Server>) -> String {
    match old {
        Some(old) if (Server { weight: new.weight, leaving: new.leaving, ..old }) == *new => {
            let why = if new.leaving { ": it leaves the file" } else { "" };
            format!("weight {} -> {}{why}", old.weight, new.weight)
        }
        _ => format!("edited, {}", terms(new)),
    }
}

fn overridden(value: &Override) -> String {
    match value.action {
        Action::Drain { over: true, on_deadline: OnDeadline::Reset, .. } => {
            format!("{value}: its deadline is reached, the rest of its connections is reset")
        }
        Action::Drain { over: true, on_deadline: OnDeadline::Keep, .. } => {
            format!("{value}: its deadline is reached, the rest of its connections is kept")
        }
        Action::Drain { .. } | Action::Disable => value.to_string(),
    }
}

/// More changes than this are told as one.
pub(super) const ONE_BY_ONE: usize = 10;

#[cfg(test)]
mod tests;

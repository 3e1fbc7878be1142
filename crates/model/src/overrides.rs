//! What a person says of a server beside what is written of it: drain it, take it out. Each has an
//! owner, a reason and a beginning, and stays until it is taken back: no check, no change of the
//! server and no restart ends it, not even the server's going and coming back.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{ServerKey, ServiceKey, is_default};

/// What becomes of the connections that a drain's deadline finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// They are reset, and the server is out.
    Reset,
    /// They stay; the server gets no new ones.
    #[default]
    Keep,
}

/// What is to be done with a server, whatever is written of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// No new connections; those that it has may end.
    Drain {
        /// Until then, in seconds of Unix time; none: for as long as they take.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<u64>,
        /// What happens then.
        #[serde(default, skip_serializing_if = "is_default")]
        on_deadline: OnDeadline,
        /// The deadline was reached. Written by the director.
        #[serde(default, skip_serializing_if = "is_default")]
        over: bool,
    },
    /// Out of service at once, as if it was not there.
    Disable,
}

/// An [`Action`], and who wants it. As JSON: `{"kind": "drain", "deadline": 1790000000,
/// "on_deadline": "reset", "owner": "ada", "reason": "new disks"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// What is to be done.
    #[serde(flatten)]
    pub action: Action,
    /// Whose it is. A director fills in who asked, where nobody is named.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Why, in the owner's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Since when, in seconds of Unix time. A director fills in a nought.
    #[serde(default, skip_serializing_if = "is_default")]
    pub since: u64,
}

impl Override {
    /// The deadline that is still to come.
    pub const fn pending(&self) -> Option<u64> {
        match self.action {
            Action::Drain { deadline, over: false, .. } => deadline,
            Action::Drain { .. } | Action::Disable => None,
        }
    }

    /// The server gets no new connections, and keeps those that it has.
    pub const fn is_drain(&self) -> bool {
        matches!(self.action, Action::Drain { .. })
    }

    /// The server is out.
    pub const fn takes_out(&self) -> bool {
        match self.action {
            Action::Drain { on_deadline: OnDeadline::Reset, over, .. } => over,
            Action::Drain { on_deadline: OnDeadline::Keep, .. } => false,
            Action::Disable => true,
        }
    }

    /// As it is once its deadline was reached.
    #[must_use]
    pub fn ended(mut self) -> Self {
        if let Action::Drain { over, .. } = &mut self.action {
            *over = true;
        }
        self
    }
}

/// `drained by ada: new disks`.
impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.action {
            Action::Drain { .. } => "drained",
            Action::Disable => "disabled",
        };
        let owner = if self.owner.is_empty() { "somebody" } else { &self.owner };
        write!(f, "{what} by {owner}")?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

/// The overrides in force, by service and server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overrides(BTreeMap<ServiceKey, BTreeMap<ServerKey, Override>>);

impl Overrides {
    /// The one of a server.
    pub fn get(&self, service: &ServiceKey, server: &ServerKey) -> Option<&Override> {
        self.0.get(service)?.get(server)
    }

    /// Those of a service's servers, also of such as it has not now.
    pub fn of(&self, service: &ServiceKey) -> Option<&BTreeMap<ServerKey, Override>> {
        self.0.get(service)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceKey, &ServerKey, &Override)> {
        self.0.iter().flat_map(|(service, servers)| {
            servers.iter().map(move |(server, value)| (service, server, value))
        })
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn set(&mut self, service: ServiceKey, server: ServerKey, value: Override) {
        self.0.entry(service).or_default().insert(server, value);
    }

    /// False: there was none.
    pub(crate) fn clear(&mut self, service: &ServiceKey, server: &ServerKey) -> bool {
        let Some(servers) = self.0.get_mut(service) else { return false };
        let was = servers.remove(server).is_some();
        if servers.is_empty() {
            self.0.remove(service);
        }
        was
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{Change, Fault, Method, Model, Scheduler, Server};

    #[test]
    fn as_json_and_in_words() {
        for (json, words, out, pending) in [
            (r#"{"kind":"drain"}"#, "drained by somebody", false, None),
            (
                concat!(
                    r#"{"kind":"drain","deadline":9,"on_deadline":"reset","owner":"ada","#,
                    r#""reason":"new disks","since":5}"#
                ),
                "drained by ada: new disks",
                false,
                Some(9),
            ),
            (
                r#"{"kind":"drain","deadline":9,"on_deadline":"reset","over":true,"owner":"ada"}"#,
                "drained by ada",
                true,
                None,
            ),
            (
                r#"{"kind":"drain","deadline":9,"over":true,"owner":"ada"}"#,
                "drained by ada",
                false,
                None,
            ),
            (r#"{"kind":"disable","owner":"bob"}"#, "disabled by bob", true, None),
        ] {
            let value: Override = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(value.to_string(), words, "{json}");
            assert_eq!((value.takes_out(), value.pending()), (out, pending), "{json}");
        }
    }

    /// A server with an override goes, comes back, and is still overridden.
    #[test]
    fn they_stay_until_taken_back() {
        let service: ServiceKey = "tcp:10.0.0.1:80".parse().unwrap();
        let server: ServerKey = "10.0.1.1:80".parse().unwrap();
        let value = Override {
            action: Action::Disable,
            owner: "ada".into(),
            reason: String::new(),
            since: 1,
        };
        let set = Change::SetOverride { service, server, value };
        let clear = Change::ClearOverride { service, server };
        let add = Change::AddService { service, terms: Scheduler::Rr.into() };
        let with = Change::AddServer { service, server: Server::new(server, Method::Masq, 1) };
        let mut model = Model::default();
        for (change, expected, overridden) in [
            (&set, Err(Fault::NoSuchService), false),
            (&add, Ok(()), false),
            (&set, Err(Fault::NoSuchServer), false),
            (&clear, Err(Fault::NoSuchOverride), false),
            (&with, Ok(()), false),
            (&set, Ok(()), true),
            (&Change::DeleteServer { service, server }, Ok(()), true),
            (&with, Ok(()), true),
            (&Change::Clear, Ok(()), true),
            (&clear, Ok(()), false),
            (&clear, Err(Fault::NoSuchOverride), false),
        ] {
            assert_eq!(model.apply(change), expected, "{change:?}");
            let found = model.overrides.get(&service, &server).is_some();
            assert_eq!(found, overridden, "{change:?}");
        }
        assert!(model.overrides.is_empty());
    }
}

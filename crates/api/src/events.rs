//! What happened, and who did it.

use std::fmt;

use serde::{Deserialize, Serialize};
use xlvs_model::{ServerKey, ServiceKey};

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody changed what is written.
    Change,
    /// Somebody drained, disabled or enabled a server.
    Override,
    /// A drain came to its end, or to its deadline.
    Drain,
    /// Checks found a server or a quorum in another state.
    Check,
    /// Packets were dropped that were not dropped before.
    Drop,
    /// A server's next hop became known or unknown.
    NextHop,
    /// The director itself.
    Director,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Change,
        Self::Override,
        Self::Drain,
        Self::Check,
        Self::Drop,
        Self::NextHop,
        Self::Director,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Override => "override",
            Self::Drain => "drain",
            Self::Check => "check",
            Self::Drop => "drop",
            Self::NextHop => "next_hop",
            Self::Director => "director",
        }
    }
}

/// By what a change came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Face {
    /// `ipvsadm` or `ipvsadm-restore`.
    Ipvsadm,
    /// A verb of `xlvs`.
    Xlvs,
    /// Somebody who speaks to the socket without either.
    Api,
    /// A configuration file.
    File,
    /// The director itself.
    #[default]
    Director,
}

impl Face {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipvsadm => "ipvsadm",
            Self::Xlvs => "xlvs",
            Self::Api => "API",
            Self::File => "file",
            Self::Director => "director",
        }
    }

    /// What its requests call themselves (`User-Agent`).
    pub const fn agent(self) -> &'static str {
        match self {
            Self::Ipvsadm => concat!("xlvs-ipvsadm/", env!("CARGO_PKG_VERSION")),
            Self::Xlvs | Self::Api | Self::File | Self::Director => {
                concat!("xlvs/", env!("CARGO_PKG_VERSION"))
            }
        }
    }

    /// Whose requests call themselves so.
    pub fn of_agent(agent: &str) -> Self {
        match agent.split('/').next() {
            Some("xlvs-ipvsadm") => Self::Ipvsadm,
            Some("xlvs") => Self::Xlvs,
            _ => Self::Api,
        }
    }
}

/// Who did it. User and process are the kernel's word for whoever was at the socket's other end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// By what it came in.
    pub face: Face,
    /// The user's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The user's name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// File and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl Actor {
    /// A name for an override's owner.
    pub fn name(&self) -> String {
        match (&self.user, self.uid, &self.place) {
            (Some(user), ..) => user.clone(),
            (None, Some(uid), _) => format!("user {uid}"),
            (None, None, Some(place)) => place.clone(),
            (None, None, None) => self.face.name().to_owned(),
        }
    }
}

/// `ipvsadm, root, pid 7`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.face.name())?;
        match (&self.user, self.uid) {
            (Some(user), _) => write!(f, ", {user}")?,
            (None, Some(uid)) => write!(f, ", user {uid}")?,
            (None, None) => {}
        }
        if let Some(pid) = self.pid {
            write!(f, ", pid {pid}")?;
        }
        self.place.as_ref().map_or(Ok(()), |place| write!(f, ", {place}"))
    }
}

/// Something that happened. `GET /v1/events` gives those that are remembered, the oldest first;
/// with `Accept: text/event-stream`, also those to come, each as the data of a server-sent event
/// whose id is `seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts events, from 1; goes on over a restart of the daemon as far as events are kept.
    pub seq: u64,
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
    /// What kind of thing.
    pub kind: EventKind,
    /// Who did it; none: it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// The service that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceKey>,
    /// The server that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerKey>,
    /// What happened, in a sentence without its subject's name.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_did_it() {
        let user = Some("ada".to_owned());
        for (actor, words, name) in [
            (Actor::default(), "director", "director"),
            (
                Actor { face: Face::Ipvsadm, uid: Some(0), user, pid: Some(7), place: None },
                "ipvsadm, ada, pid 7",
                "ada",
            ),
            (Actor { face: Face::Api, uid: Some(5), ..Actor::default() }, "API, user 5", "user 5"),
            (
                Actor { face: Face::File, place: Some("a.conf:3".into()), ..Actor::default() },
                "file, a.conf:3",
                "a.conf:3",
            ),
        ] {
            assert_eq!((actor.to_string().as_str(), actor.name().as_str()), (words, name));
        }
    }

    #[test]
    fn faces_know_themselves() {
        for (agent, expected) in [
            (Face::Ipvsadm.agent(), Face::Ipvsadm),
            (Face::Xlvs.agent(), Face::Xlvs),
            ("curl/8.5.0", Face::Api),
            ("", Face::Api),
        ] {
            assert_eq!(Face::of_agent(agent), expected, "{agent}");
        }
        for kind in EventKind::ALL {
            let json = serde_json::to_string(&kind).unwrap_or_default();
            assert_eq!(json, format!("\"{}\"", kind.name()));
        }
    }
}

//! What follows from what checks find: the core's output.

use xlvs_model::{Finding, ServerKey, ServiceKey, health::Script};

use crate::Moment;

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// News for the effective state. The last one of a server or service holds.
    Found(Finding),
    /// A program is to be run; nobody waits for it.
    Run(Run),
    /// Mail is to be sent.
    Alert(Alert),
    /// Something happened.
    Event(Event),
    /// A check was answered, and somebody wants it written to a file.
    Monitor(Line),
}

/// A line of ldirectord's `monitorfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The file.
    pub path: String,
    /// The server and its check, as ldirectord names them.
    pub server: String,
    /// The answer was good.
    pub up: bool,
    /// What it was, or `-`.
    pub text: String,
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which, and as whom.
    pub script: Script,
    /// Why.
    pub occasion: Occasion,
}

/// Mail to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alert {
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub body: String,
    /// To whom; none: as everywhere.
    pub to: Vec<String>,
    /// Whom it is from; none: as everywhere.
    pub from: Option<String>,
    /// The mail server; none: as everywhere.
    pub host: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What kind of thing.
    pub occasion: Occasion,
    /// The services that it is about.
    pub services: Vec<ServiceKey>,
    /// The server that it is about.
    pub server: Option<ServerKey>,
    /// For people.
    pub text: String,
}

/// A kind of thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A check is good now.
    CheckGood,
    /// A check is bad now.
    CheckBad,
    /// A bad answer that a retry may mend (`log_all_failures`).
    CheckFailing,
    /// A server is up now.
    ServerUp,
    /// A server is down now.
    ServerDown,
    /// Checks ask for another weight.
    Weight,
    /// A service has its quorum now.
    QuorumGained,
    /// It has it no more.
    QuorumLost,
    /// The engine ends.
    Stop,
    /// A file of the configuration is another.
    FileChanged,
}

impl Occasion {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckGood => "check_good",
            Self::CheckBad => "check_bad",
            Self::CheckFailing => "check_failing",
            Self::ServerUp => "server_up",
            Self::ServerDown => "server_down",
            Self::Weight => "weight",
            Self::QuorumGained => "quorum_gained",
            Self::QuorumLost => "quorum_lost",
            Self::Stop => "stop",
            Self::FileChanged => "file_changed",
        }
    }
}

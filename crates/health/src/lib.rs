//! Health: what real servers answer, and what follows for the services that they stand behind.
//!
//! A **dialogue** ([`dialogue`]) is one question to one server: bytes and time go in, what to send
//! and a verdict come out. A check's **life** ([`Life`]) says what a row of verdicts makes of it:
//! retries, delays, rise. The **core** ([`Core`]) holds all checks, asks each question once however
//! many services ask it, and works out what that means for servers and services: its output is a
//! list of [`Effect`]s. All this is pure: no socket, no clock. The **shell** ([`shell`]) has the
//! sockets and the processes, and [`shell::Engine`] is what the daemon runs.
//!
//! Nothing in here writes a weight: a check *finds* something ([`xlvs_model::Finding`]), and the
//! model derives what is in force from it. Delays and their order are keepalived's.

mod ask;
mod config;
mod core;
pub mod dialogue;
mod effect;
mod history;
mod life;
mod memory;
mod outcome;
mod quorum;
pub mod script;
pub mod shell;
mod view;

use std::time::Duration;

pub use self::{
    ask::{Ask, Socket, Through, Via},
    config::{Alerts, Config, Mail},
    core::{Core, ProbeId, Start},
    effect::{Alert, Effect, Event, Line, Occasion, Run},
    history::{Entry, HISTORY, History},
    life::{Change, Life, Manner, Pace, Step},
    memory::Verdict,
    outcome::{Fault, Good, Load, Outcome, Stage, Weight},
    quorum::{Quorate, Threshold, Turn},
    view::{CheckView, LastView, ServerView, ServiceView, Snapshot},
};

/// A moment, by a clock that only goes on. The shell's begins with the time of Unix, so that what
/// was found before the engine began has its moment, too.
pub type Moment = Duration;

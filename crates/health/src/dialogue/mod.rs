//! Dialogues: pure state machines. Bytes and time go in; what to send, when to wake and a verdict
//! come out.
//!
//! A TCP check has no dialogue of its own: the connection is the answer, and the shell makes it.

mod chunks;
mod http;
mod judge;
mod mail;
mod pattern;
mod ping;
mod program;

pub use self::{
    chunks::Chunks,
    http::{HEAD_LIMIT, Http, request},
    judge::{BODY_LIMIT, Judge, Page},
    mail::{Letter, MailDialogue, MailFault, MailStep},
    pattern::{Pattern, PatternFault, Search, WINDOW},
    ping::{Echo, PAYLOAD},
    program::{GRACE, Program, ProgramStep, Signal, Waited},
};

//! Dialogues: pure state machines. Bytes and time go in; what to send, when to wake and a verdict
//! come out.
//!
//! A TCP check has no dialogue of its own: the connection is the answer, and the shell makes it.

mod agent;
mod bfd;
mod chunks;
mod datagram;
mod file;
mod grpc;
mod http;
mod judge;
mod load;
mod mail;
mod pattern;
mod ping;
mod program;
mod service;
mod smtp;
mod talk;

pub use self::{
    agent::{Agent, AgentLine, LINE_LIMIT},
    bfd::{
        Control, Diagnostic, Event, Malformed, Session, Standing, State, Terms, Then, transition,
    },
    chunks::Chunks,
    datagram::{BadName, DEFAULT_PAYLOAD, Query, udp_reply},
    file::{FILE_LIMIT, file_says},
    grpc::{GRPC_PATH, Grpc, GrpcEnd, MESSAGE_LIMIT, grpc_request},
    http::{HEAD_LIMIT, Http, request},
    judge::{BODY_LIMIT, Judge, Page},
    load::{follow_load, load_of},
    mail::{Letter, MailDialogue, MailFault, MailStep},
    pattern::{Pattern, PatternFault, Search, WINDOW},
    ping::{Echo, PAYLOAD},
    program::{GRACE, Program, ProgramStep, Signal, Waited},
    service::{
        Dns, FramedDns, Ftp, Ldap, Lines, Mysql, Pgsql, Radius, ServiceDialogue, ServiceStep,
        Simple, Sip, WHOLE_LIMIT, imap, nntp, pop, receive, wants_no_tls, web,
    },
    smtp::{Smtp, SmtpStep},
    talk::Talk,
};

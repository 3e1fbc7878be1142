//! What people write, turned into the model: command lines of `ipvsadm`, and configuration files.
//!
//! Pure: names and files are looked up through what the caller brings ([`ipvsadm::Resolver`],
//! [`Host`]), and nothing here prints, exits or talks to a director.
#![forbid(unsafe_code)]

mod assemble;
mod file;
mod format;
pub mod ipvsadm;
mod json;
pub mod keepalived;
pub mod ldirectord;
pub mod native;
pub mod piranha;
mod render;
mod report;
pub mod save;
mod source;
mod suggest;
mod table;
pub mod write;

pub use file::{Config, load, load_as};
pub use format::Format;
pub use report::{Diagnostic, Location, Report, Severity};
pub use source::{Host, Limits, OneFile};

//! `keepalived.conf`: the language, what it means, what is told of it.

mod diagnostics;
mod document;
mod host;
mod language;
mod meaning;
mod never_panics;
mod oracle;
mod samples;

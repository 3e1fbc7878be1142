//! What verbs have in common on the way out: tables for people, JSON for programs, errors with
//! what to try.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use anstream::AutoStream;
use comfy_table::{Table, presets};
use owo_colors::OwoColorize;
use serde::Serialize;
use xlvs_api::{ApiError, ClientError};

/// The form of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// The API's JSON, for programs.
    Json,
}

/// `-o`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Output {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// An error with something to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hinted {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Hinted {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// Standard output, without colours unless it is a terminal.
pub(crate) fn stdout() -> AutoStream<io::StdoutLock<'static>> {
    AutoStream::auto(io::stdout().lock())
}

/// Writes a value as JSON.
pub(crate) fn json(out: &mut dyn Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Writes a table: a bold head, two spaces between columns, nothing at the ends of lines.
pub(crate) fn table<'a>(
    out: &mut dyn Write,
    head: impl AsRef<[&'a str]>,
    rows: impl IntoIterator<Item = impl IntoIterator<Item = String>>,
) -> anyhow::Result<()> {
    let head = head.as_ref().iter().copied();
    let rows = rows.into_iter().map(|row| row.into_iter().collect::<Vec<_>>());
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for (index, line) in table.lines().enumerate() {
        let line = line.trim_end();
        if index == 0 {
            writeln!(out, "{}", line.bold())?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Tells of an error and what to try; the process's status.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let mut err = AutoStream::auto(io::stderr().lock());
    // Nothing is left to tell it to when standard error is closed.
    drop(writeln!(err, "{} {error:#}", "error:".red().bold()));
    if let Some(hint) = hint(error) {
        drop(writeln!(err, "{} {hint}", "  try:".bold()));
    }
    ExitCode::FAILURE
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        return Some(hinted.hint.clone());
    }
    let error = error.downcast_ref::<ClientError>()?;
    match error {
        ClientError::Refused(ApiError { hint: None, .. }) => None,
        _ => error.hint(),
    }
}

/// A reader who left (`xlvs conn list | head`) is no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json =
            cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}

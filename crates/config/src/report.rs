//! What is told of a file: errors, warnings and notes, each with its place.

use serde::Serialize;

use super::source::{Files, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file cannot be put in force.
    Error,
    /// It can, but does not do what is written, or hardly what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// One thing that is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What, in a sentence without a full stop.
    pub message: String,
    /// Where; none: nowhere in particular.
    pub place: Option<Location>,
    /// What stands at the carets.
    pub label: String,
    /// What that means for the user.
    pub notes: Vec<String>,
    /// What to try.
    pub help: Option<String>,
    /// Where else to look, and why.
    pub related: Vec<(Location, String)>,
}

/// A place in a file, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The file, as it was named.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    #[serde(skip)]
    pub(crate) span: (u16, u32, u32),
}

/// All that is told of a file, in its order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub(crate) files: Files,
    /// One after the other.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there were than are kept.
    pub more: usize,
}

impl Report {
    /// How many are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == severity).count()
    }

    /// The file cannot be put in force.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// The files that were read, the first one first.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.0.iter().map(|file| file.path.as_str())
    }

    /// File and line of a span.
    pub(crate) fn location(&self, span: Span) -> Location {
        let Some(file) = self.files.0.get(usize::from(span.file)) else {
            return Location { file: String::new(), line: 1, column: 1, span: (0, 0, 0) };
        };
        let (line, column) = file.position(span.start);
        let (start, end) = file.whole_characters(span);
        let span = (span.file, start, end);
        Location { file: file.path.clone(), line, column, span }
    }

    /// The line that something was written on.
    pub(crate) fn span_of(&self, origin: &xlvs_model::health::Origin) -> Option<Span> {
        let number = self.files.0.iter().position(|file| file.path == origin.file)?;
        let (start, end) = self.files.0[number].line(origin.line)?;
        Some(Span { file: u16::try_from(number).ok()?, start, end })
    }

    pub(crate) fn error(
        &mut self,
        at: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> Note<'_> {
        self.add(Severity::Error, at.into(), message.into())
    }

    pub(crate) fn warning(
        &mut self,
        at: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> Note<'_> {
        self.add(Severity::Warning, at.into(), message.into())
    }

    pub(crate) fn note(
        &mut self,
        at: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> Note<'_> {
        self.add(Severity::Note, at.into(), message.into())
    }

    fn add(&mut self, severity: Severity, at: Option<Span>, message: String) -> Note<'_> {
        // An error is never dropped unseen: a file with one must not pass for good.
        if self.diagnostics.len() >= MAX_DIAGNOSTICS
            && (severity != Severity::Error || self.has_errors())
        {
            self.more += 1;
            return Note { report: self, kept: false };
        }
        let place = at.map(|span| self.location(span));
        let diagnostic = Diagnostic {
            severity,
            message,
            place,
            label: String::new(),
            notes: Vec::new(),
            help: None,
            related: Vec::new(),
        };
        self.diagnostics.push(diagnostic);
        Note { report: self, kept: true }
    }

    /// In the order of the files' lines; what stands nowhere comes last.
    pub(crate) fn sort(&mut self) {
        self.diagnostics.sort_by_key(|d| {
            d.place.as_ref().map_or((u16::MAX, u32::MAX), |p| (p.span.0, p.span.1))
        });
    }
}

/// The diagnostic that was added last, to say more of it.
pub(crate) struct Note<'a> {
    report: &'a mut Report,
    kept: bool,
}

impl Note<'_> {
    fn with(self, edit: impl FnOnce(&mut Diagnostic)) -> Self {
        if let Some(last) = self.report.diagnostics.last_mut().filter(|_| self.kept) {
            edit(last);
        }
        self
    }

    /// It is among those that are told.
    pub(crate) const fn kept(&self) -> bool {
        self.kept
    }

    pub(crate) fn label(self, label: impl Into<String>) -> Self {
        self.with(|d| d.label = label.into())
    }

    /// What it means for the user.
    pub(crate) fn means(self, note: impl Into<String>) -> Self {
        self.with(|d| d.notes.push(note.into()))
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        self.with(|d| d.help = Some(help.into()))
    }

    pub(crate) fn see(self, span: Span, why: impl Into<String>) -> Self {
        let place = self.report.location(span);
        self.with(|d| d.related.push((place, why.into())))
    }
}

/// More than anybody reads.
const MAX_DIAGNOSTICS: usize = 1000;

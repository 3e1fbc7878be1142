//! Logical lines: what is left of files when comments, conditions, definitions, sequences and
//! includes have been worked off.
//!
//! A stack of [`Frame`]s yields lines; whatever a line expands to is pushed on top. So a sequence
//! of a definition of several lines of a sequence comes out in keepalived's order (`read_line` of
//! its `parser.c`). Every expansion is bounded: a file of a few lines could else ask for billions.

mod comments;
mod definitions;
mod pattern;
mod sequence;

use crate::{
    report::Report,
    source::{File, Host, Limits, Place, Span, Text},
};
use definitions::{Definitions, Replaced};
use sequence::Sequence;

/// Reads a file and all that it includes.
pub(super) struct Lines<'a> {
    host: &'a dyn Host,
    pub(super) report: &'a mut Report,
    frames: Vec<Frame>,
    definitions: Definitions,
    limits: Limits,
    /// Lines and bytes that have come out.
    count: usize,
    bytes: usize,
    /// The end was too much, and has been told of.
    full: bool,
}

/// Where the next line comes from.
enum Frame {
    /// The rest of a file.
    File { file: u16, offset: usize, folder: String },
    /// A file that is included, and where.
    Include(String, Span),
    /// The lines of a definition, the next one last.
    Defined(Vec<Text>),
    /// What a line left over after a brace.
    Rest(Text),
    /// A line that is to be read again and again.
    Sequence(Sequence),
}

impl<'a> Lines<'a> {
    pub(super) fn new(host: &'a dyn Host, report: &'a mut Report, limits: Limits) -> Self {
        let definitions = Definitions::new();
        Self {
            host,
            report,
            frames: Vec::new(),
            definitions,
            limits,
            count: 0,
            bytes: 0,
            full: false,
        }
    }

    /// Opens a file; `from` is where it is included. False: it cannot be read.
    pub(super) fn open(&mut self, path: &str, from: Option<Span>) -> bool {
        let files = self.frames.iter().filter(|frame| matches!(frame, Frame::File { .. }));
        if files.count() >= MAX_DEPTH {
            self.report
                .error(from, "files include each other too deeply")
                .means(format!("at most {MAX_DEPTH} may be open at once"));
            return false;
        }
        let bytes = match self.host.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.report.error(from, format!("cannot read {path}: {error}"));
                return false;
            }
        };
        if bytes.len() > self.limits.bytes {
            self.report.error(from, format!("{path} is longer than {} bytes", self.limits.bytes));
            return false;
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                // Names and comments of another encoding do not matter; their places do.
                let bytes = error.into_bytes().into_iter();
                let lossy = bytes.map(|b| if b.is_ascii() { b } else { b'?' });
                let text = lossy.map(char::from).collect();
                self.report
                    .warning(from, format!("{path} is not UTF-8"))
                    .means("every byte that is not ASCII is read as `?`");
                text
            }
        };
        let Some(file) = self.report.files.add(File::new(path.to_owned(), text)) else {
            self.report.error(from, "too many files are included");
            return false;
        };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        self.frames.push(Frame::File { file, offset: 0, folder });
        true
    }

    /// The next line that says something: a lone `{` or `}`, or words without braces.
    pub(super) fn next(&mut self) -> Option<Text> {
        loop {
            let line = self.raw()?;
            let Some(line) = self.worked_off(line) else { continue };
            if self.include(&line) {
                continue;
            }
            let line = self.split_at_brace(line);
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// The next line of the topmost frame, without comments; counted against the bounds.
    fn raw(&mut self) -> Option<Text> {
        loop {
            if let Some(Frame::Include(path, from)) =
                self.frames.pop_if(|frame| matches!(frame, Frame::Include(..)))
            {
                self.open(&path, Some(from));
                continue;
            }
            let line = match self.frames.last_mut()? {
                Frame::File { file, offset, .. } => {
                    let source = self.report.files.get(*file);
                    let rest = &source.text.as_bytes()[*offset..];
                    if rest.is_empty() {
                        self.frames.pop();
                        continue;
                    }
                    let end = rest.iter().position(|b| *b == b'\n');
                    let length = end.unwrap_or(rest.len());
                    let at = u32::try_from(*offset).unwrap_or(u32::MAX);
                    let line = Text::of(&rest[..length], *file, at);
                    *offset += end.map_or(length, |end| end + 1);
                    comments::strip(&line, self.report)
                }
                Frame::Defined(lines) => {
                    let Some(line) = lines.pop() else {
                        self.frames.pop();
                        continue;
                    };
                    line
                }
                Frame::Rest(_) | Frame::Include(..) => {
                    let Some(Frame::Rest(text)) = self.frames.pop() else { continue };
                    text
                }
                Frame::Sequence(sequence) => {
                    let Some(line) = sequence.next(&mut self.definitions) else {
                        self.frames.pop();
                        continue;
                    };
                    line
                }
            };
            return self.counted(line);
        }
    }

    fn counted(&mut self, line: Text) -> Option<Text> {
        self.count += 1;
        self.bytes += line.len();
        if self.count <= self.limits.lines && self.bytes <= self.limits.bytes {
            return Some(line);
        }
        if !self.full {
            self.full = true;
            self.report.error(line.whole(), "the file expands to too much").means(format!(
                "xlvs reads at most {} lines and {} bytes",
                self.limits.lines, self.limits.bytes
            ));
        }
        self.frames.clear();
        None
    }

    /// Works off conditions, definitions, sequences and replacements; None: nothing is left.
    fn worked_off(&mut self, mut line: Text) -> Option<Text> {
        let mut replaced = 0;
        loop {
            if line.bytes().first() == Some(&b'@') {
                line = self.condition(&line)?;
            }
            if self.define(&line) {
                return None;
            }
            if line.bytes().starts_with(b"~SEQ") || line.bytes().starts_with(b"~LST") {
                self.sequence(&line);
                return None;
            }
            if let [.., b'\\'] = line.bytes() {
                self.report
                    .warning(
                        line.span(line.len() - 1..line.len()),
                        "a backslash at the end of a line",
                    )
                    .means("it continues a line only in a definition; here it is left out");
                line.truncate(line.len() - 1);
                line = line.trimmed();
            }
            if !line.bytes().contains(&b'$') {
                return (!line.is_empty()).then_some(line);
            }
            let folder = self.folder();
            match self.definitions.replace(&mut line, self.host, &folder, &mut replaced) {
                Replaced::Nothing => return (!line.is_empty()).then_some(line),
                Replaced::Text => {}
                Replaced::Lines(rest) => {
                    if !self.push(Frame::Defined(rest), &line) {
                        return None;
                    }
                }
                Replaced::Endless => {
                    self.report
                        .error(line.whole(), "a definition leads back to itself")
                        .means("what it stands for never ends; the line is left out");
                    return None;
                }
            }
            line = line.trimmed();
        }
    }

    /// The rest of an `@id` line if it is for this host.
    fn condition(&self, line: &Text) -> Option<Text> {
        let negative = line.bytes().get(1) == Some(&b'^');
        let from = if negative { 2 } else { 1 };
        let rest = &line.bytes()[from.min(line.len())..];
        let width = rest.iter().position(|b| matches!(b, b' ' | b'\t'))?;
        let matches = &rest[..width] == self.host.config_id().as_bytes();
        (matches != negative).then(|| line.slice(from + width..line.len()).trimmed())
    }

    /// Takes a definition in, `$NAME=VALUE`, with the lines it is continued on.
    fn define(&mut self, line: &Text) -> bool {
        let Some((name, value)) = definitions::parse(line) else { return false };
        let mut lines = Vec::new();
        let mut value = value;
        let many = value.bytes().last() == Some(&b'\\');
        while value.bytes().last() == Some(&b'\\') {
            value.truncate(value.len() - 1);
            lines.push(value.trimmed());
            value = self.raw().unwrap_or_default();
        }
        lines.push(value);
        if many {
            lines.retain(|line| !line.is_empty());
        }
        self.definitions.set(name, lines, many);
        true
    }

    /// Starts a `~SEQ(...)` or `~LST(...)`.
    fn sequence(&mut self, line: &Text) {
        let folder = self.folder();
        match Sequence::parse(line, &self.definitions, self.host, &folder) {
            Ok(sequence) => {
                self.push(Frame::Sequence(sequence), line);
            }
            Err(why) => {
                self.report
                    .error(line.whole(), "this sequence cannot be read")
                    .label(why)
                    .help("~SEQ(NAME, START, STEP, END) REST or ~LST(NAME, VALUE, ...) REST");
            }
        }
    }

    /// Reads an expansion next; false: there are too many already, and it is told of.
    fn push(&mut self, frame: Frame, line: &Text) -> bool {
        let open = |frame: &&Frame| matches!(frame, Frame::Defined(_) | Frame::Sequence(_));
        if self.frames.iter().filter(open).count() < MAX_DEPTH {
            self.frames.push(frame);
            return true;
        }
        self.report
            .error(line.whole(), "definitions and sequences are nested too deeply")
            .means(format!("at most {MAX_DEPTH} may be open at once"));
        false
    }

    /// Follows an `include`; true if the line was one.
    fn include(&mut self, line: &Text) -> bool {
        let Some((kind, pattern)) = include_of(line) else { return false };
        let folder = self.folder();
        let pattern_text = pattern.text();
        let mut paths = pattern::find(self.host, &folder, &pattern_text);
        let at = pattern.whole();
        if paths.is_empty() {
            let message = format!("no file matches `{pattern_text}`");
            let note = if matches!(kind, Some(b'w' | b'a')) {
                self.report.error(at, message)
            } else {
                self.report.warning(at, message)
            };
            let folder = if folder.is_empty() { "." } else { &folder };
            note.means(format!("a relative path starts at the including file's folder, {folder}"));
        }
        paths.reverse();
        // The topmost is read first. Their number is bounded by the pattern's.
        self.frames.extend(paths.into_iter().map(|path| Frame::Include(path, at)));
        true
    }

    /// The folder of the file that is being read.
    fn folder(&self) -> String {
        let files = self.frames.iter().rev();
        let mut folders = files.filter_map(|frame| match frame {
            Frame::File { folder, .. } => Some(folder.clone()),
            Frame::Include(..) | Frame::Defined(_) | Frame::Rest(_) | Frame::Sequence(_) => None,
        });
        folders.next().unwrap_or_default()
    }

    /// Cuts a line before, or behind, its first brace outside of quotes; the rest is read next.
    fn split_at_brace(&mut self, line: Text) -> Text {
        let bytes = line.bytes();
        let mut quoted = false;
        let brace = bytes.iter().position(|byte| {
            quoted ^= *byte == b'"';
            !quoted && matches!(byte, b'{' | b'}')
        });
        let Some(brace) = brace else { return line };
        if brace > 0 && bytes[brace - 1] == b'$' {
            let end = bytes.iter().position(|b| *b == b'}').map_or(line.len(), |end| end + 1);
            self.report
                .error(line.span(brace - 1..end.max(brace)), "this is not defined")
                .means("its brace would begin a block: the line is left out")
                .help("$NAME=VALUE above it, or the whole word in double quotes");
            return Text::default();
        }
        let cut = if brace == 0 { 1 } else { brace };
        let rest = line.slice(cut..line.len()).trimmed();
        if !rest.is_empty() {
            // Not `push`: this one is popped at once, and must not be lost.
            self.frames.push(Frame::Rest(rest));
        }
        line.slice(0..cut).trimmed()
    }

    /// The end of the first file, for what is missing there.
    pub(super) fn end(&self) -> Span {
        let end = self.report.files.0.first().map_or(0, |file| file.text.trim_end().len());
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        Span { file: 0, start: end.saturating_sub(1), end }
    }
}

/// `include PATTERN`, with the letter of `includer`, `includem` and so on.
fn include_of(line: &Text) -> Option<(Option<u8>, Text)> {
    let rest = line.bytes().strip_prefix(b"include")?;
    let (kind, width) = match rest {
        [b' ' | b'\t', ..] => (None, 7),
        [kind @ (b'r' | b'm' | b'w' | b'b' | b'a'), b' ' | b'\t', ..] => (Some(*kind), 8),
        _ => return None,
    };
    Some((kind, line.slice(width..line.len()).trimmed()))
}

/// A place for text that stands nowhere.
pub(super) const NOWHERE: Place = Place { file: 0, offset: 0 };

/// Files, definitions and sequences that may be open at once.
const MAX_DEPTH: usize = 100;

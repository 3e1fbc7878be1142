//! Files, and where in them something stands.

use std::{fmt, net::IpAddr, ops::Range};

/// What the host brings, so that nothing here touches a file, a clock or the environment. What is
/// not said is not there: no other files, no variables, no names of hosts, and no chance.
pub trait Host {
    /// The bytes of a file; the error is told to the user as it is.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The names of the files in a folder (empty: the working one); those of folders end with `/`.
    fn list(&self, _folder: &str) -> Vec<String> {
        Vec::new()
    }

    /// A variable of the environment, for `${_ENV NAME}`.
    fn environment(&self, _name: &str) -> Option<String> {
        None
    }

    /// A number from `low` to `high`, for `${_RANDOM}`.
    fn random(&self, low: u32, _high: u32) -> u32 {
        low
    }

    /// The address of a host by its name, of IPv6 or of IPv4; none: it is not known. Formats whose
    /// own programs look names up ask for it.
    fn address(&self, _name: &str, _v6: bool) -> Option<IpAddr> {
        None
    }

    /// The port of a service by its name; `protocol` is `tcp` or `udp`.
    fn port(&self, name: &str, _protocol: &str) -> Option<u16> {
        PORTS.iter().find(|(known, _)| *known == name).map(|(_, port)| *port)
    }

    /// What `@id` lines are compared with and `${_INSTANCE}` is: the host's name up to the first
    /// dot, unless the user said another.
    fn config_id(&self) -> &str;
}

/// A host with one file and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct OneFile<'a> {
    /// What the file is asked for by.
    pub path: &'a str,
    /// Its bytes.
    pub text: &'a [u8],
}

impl Host for OneFile<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let found = (path == self.path).then(|| self.text.to_vec());
        found.ok_or_else(|| "No such file or directory".to_owned())
    }

    fn config_id(&self) -> &'static str {
        "main"
    }
}

/// What a file may expand to. keepalived's own example of a sequence makes over a million lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lines, once definitions, sequences and includes are worked off.
    pub lines: usize,
    /// Bytes of these lines.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { lines: 4_000_000, bytes: 64 << 20 }
    }
}

/// A byte of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) file: u16,
    pub(crate) offset: u32,
}

/// Bytes of a file that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) file: u16,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// From the first to the last of both, if they are of one file; else the first.
    pub(crate) fn to(self, other: Self) -> Self {
        if self.file == other.file && other.end >= self.start {
            Self { end: other.end.max(self.end), ..self }
        } else {
            self
        }
    }
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Where each line begins.
    lines: Vec<u32>,
}

impl File {
    pub(crate) fn new(path: String, text: String) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = ends.map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX));
        let lines = std::iter::once(0).chain(starts).collect();
        Self { path, text, lines }
    }

    /// A span widened to whole characters: text is cut by bytes, and carets point at characters.
    pub(crate) fn whole_characters(&self, span: Span) -> (u32, u32) {
        let length = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let (mut start, mut end) = (span.start.min(length), span.end.min(length));
        while !self.text.is_char_boundary(start as usize) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end as usize) {
            end += 1;
        }
        (start, end.max(start))
    }

    /// Line and column of an offset, both counted from 1; the column in characters.
    pub(crate) fn position(&self, offset: u32) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines[line - 1] as usize;
        let before = self.text.get(start..offset as usize).unwrap_or_default();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (count(line), count(before.chars().count() + 1))
    }
}

impl File {
    /// What a line says, without the blanks around it: where it begins and ends.
    pub(crate) fn line(&self, line: u32) -> Option<(u32, u32)> {
        let at = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *self.lines.get(at)? as usize;
        let text = self.text.get(start..)?.lines().next().unwrap_or_default();
        let from = start + text.len() - text.trim_start().len();
        let until = start + text.trim_end().trim_end_matches('{').trim_end().len();
        Some((u32::try_from(from).ok()?, u32::try_from(until.max(from)).ok()?))
    }
}

/// All files that were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(pub(crate) Vec<File>);

impl Files {
    /// Takes a file in; None: there are too many.
    pub(crate) fn add(&mut self, file: File) -> Option<u16> {
        let number = u16::try_from(self.0.len()).ok().filter(|n| *n < MAX_FILES)?;
        self.0.push(file);
        Some(number)
    }

    pub(crate) fn get(&self, file: u16) -> &File {
        &self.0[usize::from(file)]
    }
}

/// A piece of text in which each byte knows where it was written.
#[derive(Clone, Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl Text {
    /// Bytes of a file from an offset on.
    pub(crate) fn of(bytes: &[u8], file: u16, offset: u32) -> Self {
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let places = (offset..offset.saturating_add(count)).map(|offset| Place { file, offset });
        Self { bytes: bytes.to_vec(), places: places.collect() }
    }

    /// Bytes that stand for something written at one place.
    pub(crate) fn at(bytes: &[u8], place: Place) -> Self {
        Self { bytes: bytes.to_vec(), places: vec![place; bytes.len()] }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Where a part of it was written: from its first byte to its last, as far as these are of one
    /// file and in order.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let nowhere = Place { file: 0, offset: 0 };
        let first = self.places.get(range.start).or(self.places.last()).copied();
        let first = first.unwrap_or(nowhere);
        let within = self.places.get(range.clone()).unwrap_or_default();
        let same = within.iter().filter(|p| p.file == first.file && p.offset >= first.offset);
        let last = same.map(|p| p.offset).max().unwrap_or(first.offset);
        let width = u32::from(!range.is_empty());
        Span { file: first.file, start: first.offset, end: last + width }
    }

    /// Where all of it was written.
    pub(crate) fn whole(&self) -> Span {
        self.span(0..self.len())
    }

    pub(crate) fn place(&self, at: usize) -> Place {
        self.places.get(at).copied().unwrap_or(Place { file: 0, offset: 0 })
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        Self { bytes: self.bytes[range.clone()].to_vec(), places: self.places[range].to_vec() }
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.places.truncate(len);
    }

    pub(crate) fn remove(&mut self, at: usize) {
        self.bytes.remove(at);
        self.places.remove(at);
    }

    /// Puts other text in the place of a part.
    pub(crate) fn splice(&mut self, range: Range<usize>, by: &Self) {
        self.bytes.splice(range.clone(), by.bytes.iter().copied());
        self.places.splice(range, by.places.iter().copied());
    }

    pub(crate) fn push(&mut self, byte: u8, place: Place) {
        self.bytes.push(byte);
        self.places.push(place);
    }

    /// Without blanks at both ends.
    pub(crate) fn trimmed(&self) -> Self {
        let is_blank = |b: &u8| is_blank(*b);
        let start = self.bytes.iter().take_while(|b| is_blank(b)).count();
        let end = self.len() - self.bytes[start..].iter().rev().take_while(|b| is_blank(b)).count();
        self.slice(start..end)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

/// What separates words.
pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// More files than anybody includes; it bounds files that include each other.
const MAX_FILES: u16 = 4096;

/// Services that files name most, for hosts that do not say.
const PORTS: &[(&str, u16)] = &[
    ("domain", 53),
    ("ftp", 21),
    ("http", 80),
    ("https", 443),
    ("imap", 143),
    ("imap2", 143),
    ("imaps", 993),
    ("ldap", 389),
    ("ldaps", 636),
    ("mysql", 3306),
    ("nntp", 119),
    ("pop3", 110),
    ("pop3s", 995),
    ("postgresql", 5432),
    ("radius", 1812),
    ("sip", 5060),
    ("smtp", 25),
    ("ssh", 22),
    ("submission", 587),
    ("telnet", 23),
    ("webcache", 8080),
    ("www", 80),
];

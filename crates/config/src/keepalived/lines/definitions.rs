//! `$NAME=VALUE`, and what `$NAME` and `${NAME}` stand for.

use std::collections::HashMap;

use crate::source::{Host, Text};

/// All definitions so far.
#[derive(Debug)]
pub(super) struct Definitions {
    by_name: HashMap<String, Defined>,
}

#[derive(Debug)]
struct Defined {
    lines: Vec<Text>,
    /// It was continued with backslashes: it stands for whole lines.
    many: bool,
}

/// What came of a replacement.
pub(super) enum Replaced {
    /// Nothing is defined of what the line names.
    Nothing,
    /// The line has changed.
    Text,
    /// The line has changed, and these come after it, the next one last.
    Lines(Vec<Text>),
    /// There is no end to it.
    Endless,
}

impl Definitions {
    pub(super) fn new() -> Self {
        Self { by_name: HashMap::new() }
    }

    pub(super) fn set(&mut self, name: String, lines: Vec<Text>, many: bool) {
        self.by_name.insert(name, Defined { lines, many });
    }

    /// Replaces what is defined, from left to right, and again in what came of it. `count` bounds
    /// that.
    pub(super) fn replace(
        &self,
        line: &mut Text,
        host: &dyn Host,
        folder: &str,
        count: &mut usize,
    ) -> Replaced {
        let mut outcome = Replaced::Nothing;
        let mut at = 0;
        while let Some(found) = line.bytes()[at..].iter().position(|b| *b == b'$') {
            at += found;
            let Some(reference) = Reference::parse(&line.bytes()[at..]) else {
                at += 1;
                continue;
            };
            let is_last = at + reference.width == line.len();
            let place = line.place(at);
            let defined = self.by_name.get(reference.name).filter(|d| is_last || !d.many);
            let by = match defined {
                Some(defined) if defined.many => {
                    let mut lines = defined.lines.clone();
                    lines.reverse();
                    let first = lines.pop().unwrap_or_default();
                    outcome = Replaced::Lines(lines);
                    first
                }
                Some(defined) => {
                    let bytes = defined.lines.first().map_or(&[][..], Text::bytes);
                    Text::at(bytes, place)
                }
                None => {
                    let Some(value) = standard(&reference, host, folder) else {
                        at += 1;
                        continue;
                    };
                    Text::at(value.as_bytes(), place)
                }
            };
            *count += 1;
            if *count > MAX_REPLACEMENTS || line.len() + by.len() > MAX_LINE {
                return Replaced::Endless;
            }
            let width = reference.width;
            line.splice(at..at + width, &by);
            match outcome {
                // What comes of a definition of lines is read as a line of its own.
                Replaced::Lines(_) => return outcome,
                _ => outcome = Replaced::Text,
            }
            let value = by.bytes().iter().find(|b| !matches!(b, b' ' | b'\t'));
            if value == Some(&b'~') {
                break;
            }
        }
        outcome
    }
}

/// `$NAME` or `${NAME PARAMETERS}` at the beginning of some bytes.
struct Reference<'a> {
    name: &'a str,
    parameters: &'a str,
    width: usize,
}

impl<'a> Reference<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"$")?;
        let braced = rest.first() == Some(&b'{');
        let rest = if braced { &rest[1..] } else { rest };
        let width = name_width(rest)?;
        let name = std::str::from_utf8(&rest[..width]).ok()?;
        if !braced {
            let ends = matches!(rest.get(width), None | Some(b' ' | b'\t' | b',' | b')'));
            return ends.then_some(Self { name, parameters: "", width: 1 + width });
        }
        let close = rest.iter().position(|b| *b == b'}')?;
        let parameters = std::str::from_utf8(&rest[width..close]).ok()?;
        let blank = parameters.is_empty() || parameters.starts_with(' ');
        blank.then_some(Self { name, parameters: parameters.trim(), width: 3 + close })
    }
}

/// What keepalived defines itself.
fn standard(reference: &Reference<'_>, host: &dyn Host, folder: &str) -> Option<String> {
    let numbers = || reference.parameters.split_whitespace().map(str::parse::<u32>);
    match (reference.name, reference.parameters) {
        ("_PWD", "") => Some(if folder.is_empty() { ".".into() } else { folder.to_owned() }),
        ("_INSTANCE", "") => Some(host.config_id().to_owned()),
        ("_HASH", "") => Some("#".into()),
        ("_BANG", "") => Some("!".into()),
        ("_RANDOM", _) => {
            let mut numbers = numbers();
            let low = numbers.next().unwrap_or(Ok(0)).ok()?;
            let high = numbers.next().unwrap_or(Ok(32767)).ok()?;
            (low <= high && numbers.next().is_none()).then(|| host.random(low, high).to_string())
        }
        ("_ENV", name) => host.environment(name),
        _ => None,
    }
}

/// The name and the value of a definition.
pub(super) fn parse(line: &Text) -> Option<(String, Text)> {
    let rest = line.bytes().strip_prefix(b"$")?;
    let width = name_width(rest)?;
    let blanks = rest[width..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let equals = width + blanks;
    (rest.get(equals) == Some(&b'=')).then(|| {
        let name = String::from_utf8_lossy(&rest[..width]).into_owned();
        (name, line.slice(equals + 2..line.len()).trimmed())
    })
}

/// How long a name at the beginning is: letters, digits and `_`, no digit first.
fn name_width(bytes: &[u8]) -> Option<usize> {
    bytes.first().filter(|b| b.is_ascii_alphabetic() || **b == b'_')?;
    Some(bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count())
}

/// Replacements in one line, and bytes that it may become.
const MAX_REPLACEMENTS: usize = 1000;
const MAX_LINE: usize = 64 << 10;

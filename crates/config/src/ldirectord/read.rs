//! Lines to keywords and services (`read_config` of ldirectord).

use super::keywords::{TABLE, VIRTUAL};
use crate::{
    Host, Report,
    assemble::{lines, open, span},
    table::{self, Given, Takes, Word},
};

/// A configuration.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) given: Vec<Given>,
}

/// A file, and those that it has `execute`d, in their order. Each is a configuration of its own.
pub(super) fn all(path: &str, host: &dyn Host, report: &mut Report) -> Vec<Source> {
    let mut files = vec![Source { path: path.to_owned(), given: read(path, host, report) }];
    let mut at = 0;
    while at < files.len() {
        let wanted: Vec<Word> = files[at]
            .given
            .iter()
            .filter(|given| given.name() == "execute")
            .filter_map(|given| given.words.first().cloned())
            .collect();
        for Word { text, span } in wanted {
            let Some(path) = find(&text, host) else {
                report
                    .error(span, format!("there is no configuration `{text}`"))
                    .label(format!("neither in {} nor as it is named", FOLDERS.join(" nor in ")));
                continue;
            };
            if files.iter().any(|file| file.path == path) {
                report.note(span, format!("{path} is in force already"));
                continue;
            }
            let given = read(&path, host, report);
            files.push(Source { path, given });
        }
        at += 1;
    }
    files
}

/// Where ldirectord finds a configuration by its name.
fn find(name: &str, host: &dyn Host) -> Option<String> {
    let there = |path: &String| host.read(path).is_ok();
    let mut places = FOLDERS.iter().map(|folder| format!("{folder}{name}"));
    places.find(there).or_else(|| Some(name.to_owned()).filter(there))
}

/// The whole file.
fn read(path: &str, host: &dyn Host, report: &mut Report) -> Vec<Given> {
    let Some((file, text)) = open(path, host, report) else { return Vec::new() };
    let mut given: Vec<Given> = Vec::new();
    let mut inside = false;
    for (at, line) in lines(&text) {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let bare = uncommented(line);
        // A line of blanks is one to Perl too, unless it is set in: then it says nothing.
        if bare.trim().is_empty() {
            inside &= !line.is_empty() && (line.starts_with('\t') || line.starts_with("    "));
            continue;
        }
        let set_in: usize = bare
            .chars()
            .take_while(|c| c.is_whitespace())
            .map(|c| if c == '\t' { 4 } else { 1 })
            .sum();
        let Some(line) = Line::of(file, at, bare, report) else { continue };
        match (set_in, inside) {
            (0, _) => {
                let found = line.given("", report);
                inside = line.key.text.starts_with(VIRTUAL);
                given.extend(found);
            }
            (4.., true) => {
                let found = line.given(VIRTUAL, report);
                if let (Some(last), Some(found)) = (given.last_mut(), found) {
                    last.block.push(found);
                }
            }
            (_, true) => {
                report
                    .error(line.key.span, "this line is set in too little")
                    .label("four blanks or a tab")
                    .means("it belongs to no virtual");
            }
            (_, false) => {
                report
                    .error(line.key.span, "this line is set in and belongs to no virtual")
                    .means("an empty line ends the virtual above");
            }
        }
    }
    given
}

/// ldirectord's own, in its order.
const FOLDERS: [&str; 2] = ["/etc/ha.d/", "/etc/ha.d/conf/"];

/// Without the comment at its end: a `#` counts after a blank and outside of quotes alone.
fn uncommented(line: &str) -> &str {
    let (mut quoted, mut blank) = (false, true);
    for (at, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '#' if blank && !quoted => return &line[..at],
            _ => {}
        }
        blank = character.is_whitespace();
    }
    line
}

struct Line {
    key: Word,
    value: Option<Word>,
}

impl Line {
    fn of(file: u16, start: usize, line: &str, report: &mut Report) -> Option<Self> {
        let from = line.len() - line.trim_start().len();
        let (key, value) = match line.find('=') {
            Some(at) => (&line[from..at], Some(at + 1)),
            None => (&line[from..], None),
        };
        let key = key.trim_end();
        let key =
            Word { text: key.to_owned(), span: span(file, start + from, start + from + key.len()) };
        let value = value.and_then(|at| {
            let value = &line[at..];
            let from = at + value.len() - value.trim_start().len();
            let text = value.trim().to_owned();
            let at = span(file, start + from, start + from + text.len());
            (!text.is_empty()).then_some(Word { text, span: at })
        });
        if key.text.is_empty() {
            report.error(key.span, "a line begins with `=`").help("write: KEYWORD = VALUE");
            return None;
        }
        Some(Self { key, value })
    }

    fn given(&self, within: &'static str, report: &mut Report) -> Option<Given> {
        let row = table::find(TABLE, within, &self.key, report)?;
        let mut words: Vec<Word> = self.value.clone().into_iter().collect();
        if row.name == "supervised" && words.is_empty() {
            report.warning(self.key.span, "`supervised` without a value").help("supervised = yes");
            words.push(Word { text: "yes".into(), span: self.key.span });
        }
        if let Some(word) = words.first_mut() {
            let quoted = word.text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            match (quoted, row.takes) {
                (Some(""), _) => {
                    report.error(word.span, format!("`{}` has no value", row.name));
                    return None;
                }
                (Some(inner), Takes::Words(..) | Takes::Rest(_)) if row.name != "real" => {
                    word.text = inner.to_owned();
                }
                (None, Takes::Words(1, syntax)) if syntax.starts_with('"') => {
                    report
                        .error(word.span, format!("`{}` must stand in quotes", row.name))
                        .means("ldirectord does not know the line without them")
                        .help(format!("write: {} = \"{}\"", row.name, word.text));
                    return None;
                }
                _ => {}
            }
        }
        let given = Given { row, at: self.key.span, words, block: Vec::new() };
        if !given.check(report) {
            return None;
        }
        given.tell(report);
        Some(given)
    }
}

//! Lines to keywords and blocks (`tokenizeString` and `getNextToks` of Piranha's `lvsconfig.c`).

use super::keywords::TABLE;
use crate::{
    Host, Report,
    assemble::{lines, open, span},
    table::{self, Given, Row, Takes, Word},
};

/// The whole file.
pub(super) fn read(path: &str, host: &dyn Host, report: &mut Report) -> Vec<Given> {
    let Some((file, text)) = open(path, host, report) else { return Vec::new() };
    let mut reader =
        Reader { report, stack: vec![Open { row: None, name: None, inside: Vec::new() }] };
    for (at, line) in lines(&text) {
        if let Some(words) = words(file, at, line, reader.report) {
            reader.line(&words);
        }
    }
    reader.end()
}

/// A block that is open; the first is the file.
struct Open {
    /// None of a block that nobody knows: its lines are passed over.
    row: Option<(&'static Row, crate::source::Span)>,
    name: Option<Word>,
    inside: Vec<Given>,
}

struct Reader<'a> {
    report: &'a mut Report,
    stack: Vec<Open>,
}

impl Reader<'_> {
    fn line(&mut self, words: &[Word]) {
        let [first, rest @ ..] = words else { return };
        let within = match &self.stack[..] {
            [_] => "",
            [.., Open { row: Some((row, _)), .. }] => row.name,
            _ => return self.unknown_block(first, rest),
        };
        if first.text == "}" {
            return self.close(first, rest);
        }
        let opens = rest.last().is_some_and(|last| last.text == "{");
        let row = table::find(TABLE, within, first, self.report);
        match row {
            Some(row) if row.takes == Takes::Block => self.open(row, first, rest),
            _ if opens => self.stack.push(Open { row: None, name: None, inside: Vec::new() }),
            Some(row) => self.value(row, first, rest),
            None => {}
        }
    }

    fn unknown_block(&mut self, first: &Word, rest: &[Word]) {
        if first.text == "}" {
            self.stack.pop();
        } else if rest.last().is_some_and(|last| last.text == "{") {
            self.stack.push(Open { row: None, name: None, inside: Vec::new() });
        }
    }

    fn open(&mut self, row: &'static Row, first: &Word, rest: &[Word]) {
        let name = match rest {
            [name, brace] if brace.text == "{" && name.text != "{" => Some(name.clone()),
            _ => {
                self.report.error(first.span, format!("`{}` opens no block", first.text)).help(
                    format!("write: {} NAME {{, the brace at the end of the line", first.text),
                );
                None
            }
        };
        if name.is_some() || rest.last().is_some_and(|last| last.text == "{") {
            self.stack.push(Open { row: Some((row, first.span)), name, inside: Vec::new() });
        }
    }

    fn close(&mut self, brace: &Word, rest: &[Word]) {
        if let Some(more) = rest.first() {
            self.report.error(more.span, format!("`{}` after a closing brace", more.text));
        }
        if self.stack.len() == 1 {
            self.report.error(brace.span, "a brace too many").label("it closes nothing");
            return;
        }
        self.pop();
    }

    fn pop(&mut self) {
        let Some(Open { row: Some((row, at)), name, inside }) = self.stack.pop() else { return };
        let Some(outer) = self.stack.last_mut() else { return };
        outer.inside.push(Given { row, at, words: name.into_iter().collect(), block: inside });
    }

    fn value(&mut self, row: &'static Row, first: &Word, rest: &[Word]) {
        let Some(words) = rest.split_first().filter(|(equals, _)| equals.text == "=") else {
            let place = rest.first().map_or(first.span, |word| word.span);
            self.report
                .error(place, format!("`=` must follow `{}`", first.text))
                .means("nothing of this line is in force")
                .help("with a blank on each side: Piranha tells words by blanks alone");
            return;
        };
        let given = Given { row, at: first.span, words: words.1.to_vec(), block: Vec::new() };
        if given.check(self.report) {
            given.tell(self.report);
            if let Some(open) = self.stack.last_mut() {
                open.inside.push(given);
            }
        }
    }

    fn end(mut self) -> Vec<Given> {
        while self.stack.len() > 1 {
            if let Some(Open { row: Some((row, at)), .. }) = self.stack.last() {
                self.report
                    .error(*at, "a closing brace is missing")
                    .label(format!("`{}` is open to the end of the file", row.name));
            }
            self.pop();
        }
        self.stack.pop().map(|file| file.inside).unwrap_or_default()
    }
}

/// The words of a line; none: there are none, or a quote is not closed.
fn words(file: u16, start: usize, line: &str, report: &mut Report) -> Option<Vec<Word>> {
    let bytes = line.as_bytes();
    let (mut words, mut at) = (Vec::new(), 0);
    loop {
        at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let Some(first) = bytes.get(at) else { break };
        if words.is_empty() && *first == b'#' {
            break;
        }
        let (inside, end) = if matches!(first, b'"' | b'\'') {
            let close = closing(bytes, at);
            let Some(close) = close else {
                report
                    .error(span(file, start + at, start + line.len()), "a quote is not closed")
                    .means("nothing of this line is in force");
                return None;
            };
            (at + 1..close, close + 1)
        } else {
            let width = bytes[at..].iter().take_while(|b| !b.is_ascii_whitespace()).count();
            (at..at + width, at + width)
        };
        let text = line.get(inside).unwrap_or_default().to_owned();
        words.push(Word { text, span: span(file, start + at, start + end) });
        at = end;
    }
    (!words.is_empty()).then_some(words)
}

/// Where the quote that opens is closed; one after a backslash does not close it.
fn closing(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if *byte == bytes[open] => return Some(at),
            _ => at += 1,
        }
    }
    None
}

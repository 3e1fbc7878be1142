//! What the test server hears and answers: bytes in, lines and answers out. Pure.

/// A longer line ends the connection.
pub(super) const LINE_MAX: usize = 64 << 10;

/// One client's side of the talk.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    unfinished: Vec<u8>,
    answers: Vec<u8>,
    ending: bool,
}

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A line, without its end; control characters are shown escaped.
    Line(String),
    /// More than [`LINE_MAX`] bytes without an end.
    TooLong,
}

impl Dialogue {
    /// Takes what arrived; the answers wait in [`Self::answers`].
    pub(super) fn hear(&mut self, bytes: &[u8], name: &str) -> Vec<Heard> {
        let mut heard = Vec::new();
        for byte in bytes {
            if self.ending {
                break; // nothing counts after `shutdown`
            }
            if *byte != b'\n' {
                self.unfinished.push(*byte);
                if self.unfinished.len() > LINE_MAX {
                    self.ending = true;
                    heard.push(Heard::TooLong);
                }
                continue;
            }
            let line = std::mem::take(&mut self.unfinished);
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line));
            self.answers.extend_from_slice(format!("it's from the host: {name}\n").as_bytes());
            self.ending = line == "shutdown";
            heard.push(Heard::Line(printable(&line)));
        }
        heard
    }

    /// What is still to be sent.
    pub(super) fn answers(&self) -> &[u8] {
        &self.answers
    }

    /// So much of it was sent.
    pub(super) fn answered(&mut self, length: usize) {
        self.answers.drain(..length);
    }

    /// All is said.
    pub(super) fn is_over(&self) -> bool {
        self.ending && self.answers.is_empty()
    }
}

/// A client must not be able to play with the terminal of who watches.
fn printable(text: &str) -> String {
    let escape =
        |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<Heard> {
        lines.iter().map(|line| Heard::Line((*line).to_owned())).collect()
    }

    #[test]
    fn every_line_is_answered() {
        // (what arrives piece by piece, lines heard, answers, over, sentence)
        type Row = (&'static [&'static str], &'static [&'static str], usize, bool, &'static str);
        let rows: [Row; 7] = [
            (&["hi\n"], &["hi"], 1, false, "one line"),
            (&["h", "i", "\n"], &["hi"], 1, false, "in pieces"),
            (&["a\nb\r\nc"], &["a", "b"], 2, false, "two lines and a beginning"),
            (&["\n"], &[""], 1, false, "an empty line is a line"),
            (&["shutdown\nlater\n"], &["shutdown"], 1, true, "shutdown is answered and ends"),
            (&["shutdown now\n"], &["shutdown now"], 1, false, "only the bare word ends"),
            (&["\u{1b}[2J\n"], &["\\u{1b}[2J"], 1, false, "escapes are made visible"),
        ];
        for (pieces, expected, answers, over, sentence) in rows {
            let mut dialogue = Dialogue::default();
            let mut heard = Vec::new();
            for piece in pieces {
                heard.extend(dialogue.hear(piece.as_bytes(), "ceph1"));
            }
            assert_eq!(heard, lines(expected), "{sentence}");
            let sent = dialogue.answers().len();
            assert_eq!(dialogue.answers(), b"it's from the host: ceph1\n".repeat(answers));
            dialogue.answered(sent);
            assert_eq!(dialogue.is_over(), over, "{sentence}");
        }
    }

    #[test]
    fn a_huge_line_ends_the_talk() {
        let mut dialogue = Dialogue::default();
        assert_eq!(dialogue.hear(&vec![b'x'; LINE_MAX], "a"), []);
        assert!(!dialogue.is_over());
        assert_eq!(dialogue.hear(b"xxx\n", "a"), [Heard::TooLong]);
        assert!(dialogue.is_over());
        assert_eq!(dialogue.hear(b"more\n", "a"), []);
    }
}

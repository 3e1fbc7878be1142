//! Keywords as data, for formats whose lines are `KEYWORD = VALUE`: what each takes, what becomes
//! of it, and its text in the reference. keepalived's language has a table of its own.

use std::fmt::Write as _;

use crate::{
    report::{Note, Report},
    source::Span,
    suggest::nearest,
};

/// What a keyword takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// The first word is no, the second yes.
    Bool([&'static str; 2]),
    /// A whole number.
    Number(i64, i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// So many words, which are looked at where they are lowered.
    Words(usize, &'static str),
    /// The rest of the line.
    Rest(&'static str),
    /// A name and a block of keywords.
    Block,
}

impl Takes {
    /// As the reference has it.
    fn syntax(self) -> String {
        match self {
            Self::Bool([no, yes]) => format!("{no}|{yes}"),
            Self::Number(low, high) => format!("N ({low} to {high})"),
            Self::OneOf(words) => words.join("|"),
            Self::Words(_, what) | Self::Rest(what) => what.to_owned(),
            Self::Block => "NAME { ... }".to_owned(),
        }
    }
}

/// What becomes of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is in force.
    Honoured,
    /// It is kept, and takes effect when xlvs takes over from another director.
    Later,
    /// It is accepted, and does nothing, for a reason.
    Nothing(&'static str),
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The blocks that it stands in.
    pub(crate) within: &'static [&'static str],
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    pub(crate) status: Status,
    pub(crate) doc: &'static str,
}

impl Row {
    pub(crate) const fn new(
        within: &'static [&'static str],
        name: &'static str,
        takes: Takes,
        doc: &'static str,
    ) -> Self {
        Self { within, name, takes, status: Status::Honoured, doc }
    }

    pub(crate) const fn but(self, status: Status) -> Self {
        Self { status, ..self }
    }
}

/// A word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A line: a keyword of the table, and what it was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) row: &'static Row,
    /// Where the keyword stands.
    pub(crate) at: Span,
    pub(crate) words: Vec<Word>,
    /// Of a block, what is in it.
    pub(crate) block: Vec<Given>,
}

impl Given {
    pub(crate) const fn name(&self) -> &'static str {
        self.row.name
    }

    /// The first word.
    pub(crate) fn text(&self) -> &str {
        self.words.first().map_or("", |word| &word.text)
    }

    /// Where the first word stands.
    pub(crate) fn value_at(&self) -> Span {
        self.words.first().map_or(self.at, |word| word.span)
    }

    /// It has been checked by the table.
    pub(crate) fn is_on(&self) -> bool {
        matches!(self.row.takes, Takes::Bool([_, yes]) if yes == self.text())
    }

    /// The number, if it is one in the range of the table.
    pub(crate) fn number<N: TryFrom<i64>>(&self) -> Option<N> {
        let Takes::Number(low, high) = self.row.takes else { return None };
        let number = number(self.text()).filter(|n| (low..=high).contains(n))?;
        N::try_from(number).ok()
    }

    /// Looks at the words as the table has them. False: nothing of the line is in force.
    pub(crate) fn check(&self, report: &mut Report) -> bool {
        let Some(word) = self.words.first() else {
            report.error(self.at, format!("`{}` has no value", self.name())).help(format!(
                "write: {} = {}",
                self.name(),
                self.row.takes.syntax()
            ));
            return false;
        };
        let wanted = match self.row.takes {
            Takes::Words(count, _) => count,
            Takes::Rest(_) => usize::MAX,
            _ => 1,
        };
        if let Some(more) = self.words.get(wanted) {
            report
                .error(more.span, format!("`{}` is too much for `{}`", more.text, self.name()))
                .means("nothing of this line is in force")
                .help(format!(
                    "write: {} = {}; a text with blanks stands in quotes, a comment on a line of \
                     its own",
                    self.name(),
                    self.row.takes.syntax()
                ));
            return false;
        }
        let one_of = |words: &[&str]| words.contains(&&*word.text);
        let message = format!("`{}` is nothing for `{}`", word.text, self.name());
        match self.row.takes {
            Takes::Bool(words) if !one_of(&words) => {
                report.error(word.span, message).label(format!("{} or {}", words[0], words[1]));
            }
            Takes::OneOf(words) if !one_of(words) => {
                let label = nearest(&word.text, words.iter().copied())
                    .map_or_else(|| words.join(", "), |near| format!("did you mean `{near}`?"));
                report.error(word.span, message).label(label);
            }
            Takes::Number(low, high) => match number(&word.text) {
                Some(n) if (low..=high).contains(&n) => return true,
                Some(_) => {
                    report.error(word.span, message).label(format!("from {low} to {high}"));
                }
                None => {
                    report.error(word.span, message).label("a whole number");
                }
            },
            _ => return true,
        }
        false
    }

    /// Says of a keyword what is not in force of it.
    pub(crate) fn tell(&self, report: &mut Report) {
        let name = self.name();
        match self.row.status {
            Status::Honoured => {}
            Status::Later => {
                report
                    .note(self.at, format!("`{name}` is kept for later"))
                    .means("xlvs does not take over from another director yet");
            }
            Status::Nothing(why) => {
                report.note(self.at, format!("`{name}` has no effect")).means(why);
            }
        }
    }
}

/// A whole number as C's `strtol` reads it: `0x` and a leading `0` count.
pub(crate) fn number(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let value = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(&digits[1..], 8)
    } else {
        digits.parse()
    };
    Some(sign * value.ok().filter(|_| digits.starts_with(|c: char| c.is_ascii_digit()))?)
}

/// The row of a name in a block; else it is told of.
pub(crate) fn find(
    table: &'static [Row],
    within: &str,
    word: &Word,
    report: &mut Report,
) -> Option<&'static Row> {
    let here = |row: &&Row| row.within.contains(&within);
    if let Some(row) = table.iter().filter(here).find(|row| row.name == word.text) {
        return Some(row);
    }
    let note = |report: &mut Report, label: String| {
        let place =
            if within.is_empty() { "at the top level".into() } else { format!("in {within}") };
        let told: Note<'_> =
            report.error(word.span, format!("unknown keyword `{}` {place}", word.text));
        told.label(label).means("nothing of this line is in force");
    };
    let elsewhere: Vec<&str> = table
        .iter()
        .filter(|row| row.name == word.text)
        .flat_map(|row| row.within.iter().copied())
        .map(|block| if block.is_empty() { "the top level" } else { block })
        .collect();
    let bare = word.text.split('=').next().unwrap_or_default();
    let near = nearest(bare, table.iter().filter(here).map(|row| row.name));
    let label = if elsewhere.is_empty() {
        near.map_or_else(String::new, |near| format!("did you mean `{near}`?"))
    } else {
        format!("it belongs into {}", elsewhere.join(" or "))
    };
    note(report, label);
    None
}

/// All keywords as Markdown, block by block.
pub(crate) fn reference(table: &[Row], blocks: &[&str]) -> String {
    let mut text = String::new();
    for within in blocks {
        // Writing to a string cannot fail.
        let _ = if within.is_empty() {
            write!(text, "### At the top level\n\n")
        } else {
            write!(text, "### In `{within}`\n\n")
        };
        text.push_str("| keyword | takes | what it says | in xlvs |\n|---|---|---|---|\n");
        for row in table.iter().filter(|row| row.within.contains(within)) {
            let takes = row.takes.syntax().replace('|', "\\|");
            let status = match row.status {
                Status::Honoured => "yes".to_owned(),
                Status::Later => "kept for later".to_owned(),
                Status::Nothing(why) => format!("no effect: {why}"),
            };
            let doc = row.doc.replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | `{takes}` | {doc} | {status} |", row.name);
        }
        text.push('\n');
    }
    text
}

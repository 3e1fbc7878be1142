//! Directives by the table: which keyword, which value, and what is told when it is neither.

use std::{net::IpAddr, str::FromStr, time::Duration};

use xlvs_model::{
    health::{Script, ScriptUser},
    vrrp::Written,
};

use super::{
    keywords::{self, Keyword, Status, Takes, Within},
    tree::Directive,
    words::{self, Word},
};
use crate::{report::Report, source::Span, suggest::nearest};

/// A directive that the table knows, with its value.
pub(super) struct Known<'a> {
    pub(super) keyword: &'static Keyword,
    pub(super) directive: &'a Directive,
    /// None for blocks of keywords and for lines: these are lowered from the directive.
    pub(super) value: Option<Written>,
}

impl Known<'_> {
    pub(super) const fn name(&self) -> &'static str {
        self.keyword.name()
    }

    pub(super) fn span(&self) -> Span {
        self.directive.span()
    }

    pub(super) fn is_on(&self) -> bool {
        self.value != Some(Written::Flag(false))
    }

    pub(super) fn number<T: TryFrom<i64>>(&self) -> Option<T> {
        let Some(Written::Number(number)) = self.value else { return None };
        T::try_from(number).ok()
    }

    pub(super) const fn seconds(&self) -> Option<Duration> {
        match self.value {
            Some(Written::Seconds(seconds)) => Some(seconds),
            _ => None,
        }
    }

    pub(super) const fn address(&self) -> Option<IpAddr> {
        match self.value {
            Some(Written::Address(address)) => Some(address),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match &self.value {
            Some(Written::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub(super) fn script(&self) -> Option<Script> {
        match &self.value {
            Some(Written::Script(script)) => Some(script.clone()),
            _ => None,
        }
    }
}

/// The directives of a block that the table knows; of the others it is told.
pub(super) fn block<'a>(
    items: &'a [Directive],
    within: Within,
    report: &mut Report,
) -> Vec<Known<'a>> {
    let known = items.iter().filter_map(|directive| one(directive, within, report));
    known.collect()
}

fn one<'a>(directive: &'a Directive, within: Within, report: &mut Report) -> Option<Known<'a>> {
    let name = directive.name();
    let Some(keyword) = keywords::find(within, &name.text) else {
        unknown(directive, within, report);
        return None;
    };
    let takes_block =
        matches!(keyword.takes, Takes::Block(..) | Takes::Lines(_) | Takes::NamedLines(..));
    match (&directive.block, takes_block) {
        (Some(block), false) => {
            report
                .error(block.open, format!("`{}` takes no block", name.text))
                .label("what stands in it is left out");
        }
        (None, true) => {
            report
                .error(directive.span(), format!("`{}` has no block", name.text))
                .label("a `{` is missing here, or on the next line");
            return None;
        }
        _ => {}
    }
    let value = value(directive, keyword, report).ok()?;
    if let Status::Nothing(why) = keyword.status {
        let message = format!("`{}` has no effect in xlvs", name.text);
        report.note(directive.span(), message).means(why);
    }
    Some(Known { keyword, directive, value })
}

fn unknown(directive: &Directive, within: Within, report: &mut Report) {
    let name = directive.name();
    let what = if directive.block.is_some() { "block" } else { "line" };
    let nothing = format!("nothing of this {what} is in force");
    let message = match within {
        Within::Top => format!("unknown keyword `{}`", name.text),
        _ => format!("unknown keyword `{}` in {}", name.text, within.name()),
    };
    let note = report.error(name.span, message);
    if !note.kept() {
        return;
    }
    let elsewhere = keywords::blocks_with(&name.text);
    if !elsewhere.is_empty() {
        let (last, before) = elsewhere.split_last().unwrap_or((&"", &[]));
        let places = match before {
            [] => (*last).to_owned(),
            _ => format!("{} or {last}", before.join(", ")),
        };
        note.label(format!("it belongs in {places}")).means(nothing);
    } else if let Some(near) = nearest(&name.text, keywords::names(within)) {
        note.label(format!("did you mean `{near}`?")).means(nothing);
    } else {
        note.means(format!("{} knows no such keyword: {nothing}", within.name()));
    }
}

/// The value of a directive; the error has been told of.
fn value(
    directive: &Directive,
    keyword: &Keyword,
    report: &mut Report,
) -> Result<Option<Written>, ()> {
    let shell = matches!(keyword.takes, Takes::Text(_) | Takes::Script);
    let words = if shell { quoted(directive, report)? } else { directive.words.clone() };
    let arguments = words.get(1..).unwrap_or_default();
    let (least, most) = counts(keyword.takes);
    if arguments.len() < least {
        let message = format!("`{}` says too little", directive.name().text);
        report
            .error(directive.span(), message)
            .label(format!("it takes {}", syntax(keyword.takes)));
        return Err(());
    }
    if let Some(extra) = arguments.get(most) {
        let last = arguments.last().map_or(extra.span, |last| last.span);
        let takes = match keyword.takes {
            Takes::Flag => "takes nothing".to_owned(),
            takes => format!("takes {}", syntax(takes)),
        };
        report
            .warning(extra.span.to(last), format!("`{}` {takes}", directive.name().text))
            .label("this is left out");
    }
    let first = arguments.first();
    match (keyword.takes, first) {
        (Takes::Block(..) | Takes::Lines(_) | Takes::NamedLines(..), _) => Ok(None),
        (Takes::Flag, _) | (Takes::Bool | Takes::MaybeNumber(..) | Takes::MaybeWord(_), None) => {
            Ok(Some(Written::Flag(true)))
        }
        (Takes::MaybeWords(_) | Takes::Words(_), _) => {
            Ok(Some(Written::Words(arguments.iter().map(|word| word.text.clone()).collect())))
        }
        (Takes::Script, _) => script(arguments, report).map(|s| Some(Written::Script(s))),
        (takes, Some(word)) => single(takes, word, report).map(Some),
        (_, None) => Err(()),
    }
}

/// The value of one word.
fn single(takes: Takes, word: &Word, report: &mut Report) -> Result<Written, ()> {
    let text = word.text.as_str();
    match takes {
        Takes::Bool => match text {
            "on" | "true" | "yes" => Ok(Written::Flag(true)),
            "off" | "false" | "no" => Ok(Written::Flag(false)),
            _ => wrong(report, word, "neither on nor off", "on, true, yes, off, false or no"),
        },
        Takes::Number(low, high) | Takes::MaybeNumber(low, high) => {
            number(text, low, high).map(Written::Number).or_else(|why| {
                wrong(report, word, why, format!("a whole number from {low} to {high}"))
            })
        }
        Takes::Seconds(low, high) => {
            seconds(text, low, high).map(Written::Seconds).or_else(|why| {
                wrong(report, word, why, format!("seconds from {low} to {high}, such as 1.5"))
            })
        }
        Takes::Millis(low, high) => {
            let value = seconds(text, low, high).map(|s| Written::Seconds(s / 1000));
            value.or_else(|why| {
                wrong(report, word, why, format!("milliseconds from {low} to {high}"))
            })
        }
        Takes::Address => match IpAddr::from_str(text) {
            Ok(address) => Ok(Written::Address(address)),
            Err(_) => wrong(report, word, "not an IP address", "such as 10.0.0.1 or fd00::1"),
        },
        Takes::OneOf(words) => {
            let same = words.iter().find(|word| word.eq_ignore_ascii_case(text));
            let Some(same) = same else {
                let near = nearest(text, words.iter().copied());
                let why = near.map_or_else(
                    || "not one of these".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                return wrong(report, word, why, format!("one of {}", words.join(", ")));
            };
            Ok(Written::Text((*same).to_owned()))
        }
        _ => Ok(Written::Text(text.to_owned())),
    }
}

fn wrong<T>(
    report: &mut Report,
    word: &Word,
    why: impl Into<String>,
    wanted: impl Into<String>,
) -> Result<T, ()> {
    let message = format!("`{}` cannot stand here", word.text);
    report.error(word.span, message).label(why).help(wanted);
    Err(())
}

/// A whole number within bounds.
pub(super) fn number(text: &str, low: i64, high: i64) -> Result<i64, &'static str> {
    let text = text.trim_start();
    let plain = text.strip_prefix('-').unwrap_or(text);
    if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
        return Err("not a whole number");
    }
    match text.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err("out of range"),
    }
}

/// Decimal seconds within bounds, exact to the microsecond.
fn seconds(text: &str, low: f64, high: f64) -> Result<Duration, &'static str> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return Err("not a number of seconds");
    }
    if part.len() > 6 {
        return Err("at most six decimals");
    }
    let whole: u64 =
        if whole.is_empty() { 0 } else { whole.parse().map_err(|_| "out of range")? };
    let micros: u64 = format!("{part:0<6}").parse().map_err(|_| "out of range")?;
    let value = Duration::from_secs(whole).checked_add(Duration::from_micros(micros));
    let value = value.ok_or("out of range")?;
    let within = (low..=high).contains(&value.as_secs_f64());
    if within { Ok(value) } else { Err("out of range") }
}

/// A directive's words as a shell has them.
fn quoted(directive: &Directive, report: &mut Report) -> Result<Vec<Word>, ()> {
    words::quoted(&directive.line).map_err(|(span, why)| {
        report.error(span, "this text does not end").label(why);
    })
}

/// `COMMAND [USER [GROUP]]`; a command in quotes has its arguments in it.
fn script(arguments: &[Word], report: &mut Report) -> Result<Script, ()> {
    let [command, rest @ ..] = arguments else { return Err(()) };
    let argv = argv(command, report)?;
    if let Some(extra) = rest.get(2) {
        report
            .warning(extra.span, "words after the user and the group")
            .label("this is left out")
            .help("put a command with arguments in quotes: \"/path/script argument\"");
    }
    Ok(Script { argv, user: user(rest) })
}

/// A command split into program and arguments.
pub(super) fn argv(command: &Word, report: &mut Report) -> Result<Vec<String>, ()> {
    let argv = words::command(&command.text).map_err(|why| {
        report.error(command.span, "this command cannot be split").label(why);
    })?;
    if argv.is_empty() {
        report.error(command.span, "a command without a program");
        return Err(());
    }
    if !argv[0].starts_with('/') {
        report
            .warning(command.span, format!("`{}` is not an absolute path", argv[0]))
            .means("it is looked for in the daemon's PATH");
    }
    Ok(argv)
}

/// `[USER [GROUP]]`.
pub(super) fn user(words: &[Word]) -> Option<ScriptUser> {
    let group = words.get(1).map(|group| group.text.clone());
    words.first().map(|user| ScriptUser { user: user.text.clone(), group })
}

/// How many words a keyword takes.
fn counts(takes: Takes) -> (usize, usize) {
    match takes {
        Takes::Flag | Takes::Lines(_) => (0, 0),
        Takes::Bool | Takes::MaybeNumber(..) | Takes::MaybeWord(_) => (0, 1),
        Takes::Number(..)
        | Takes::Seconds(..)
        | Takes::Millis(..)
        | Takes::Address
        | Takes::Word(_)
        | Takes::OneOf(_)
        | Takes::Text(_)
        | Takes::NamedLines(..) => (1, 1),
        Takes::Script | Takes::Words(_) => (1, usize::MAX),
        Takes::MaybeWords(_) => (0, usize::MAX),
        Takes::Block(arguments, _) => {
            let two = arguments.contains(' ');
            if arguments.is_empty() { (0, 0) } else { (1, if two { 2 } else { 1 }) }
        }
    }
}

/// What a keyword takes, for people.
pub(super) fn syntax(takes: Takes) -> String {
    match takes {
        Takes::Flag => String::new(),
        Takes::Bool => "[on|off]".into(),
        Takes::Number(low, high) => format!("N ({low} to {high})"),
        Takes::MaybeNumber(low, high) => format!("[N] ({low} to {high})"),
        Takes::Seconds(low, high) => format!("SECONDS ({low} to {high})"),
        Takes::Millis(low, high) => format!("MILLISECONDS ({low} to {high})"),
        Takes::Address => "ADDRESS".into(),
        Takes::Word(word) | Takes::Text(word) => word.into(),
        Takes::MaybeWord(word) => format!("[{word}]"),
        Takes::OneOf(words) => words.join("|"),
        Takes::Script => "COMMAND [USER [GROUP]]".into(),
        Takes::Words(words) => words.into(),
        Takes::MaybeWords(words) => {
            if words.starts_with('[') {
                words.into()
            } else {
                format!("[{words}]")
            }
        }
        Takes::Block(arguments, _) => format!("{arguments} {{ ... }}").trim_start().to_owned(),
        Takes::Lines(line) => format!("{{ {line} ... }}"),
        Takes::NamedLines(name, line) => format!("{name} {{ {line} ... }}"),
    }
}

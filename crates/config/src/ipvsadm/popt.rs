//! Taking options apart as the `popt` library (1.19) does.
//!
//! No abbreviations; `--long=value`, `-s=value`, `-svalue`; options anywhere among the words until
//! `--`; a lone `-` is a word. An option whose argument may be missing takes the next word unless
//! that begins with `-`.

use super::options::{OPTIONS, Opt, Takes};

/// What went wrong with an option, in popt's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    Unknown,
    MissingArgument,
    UnwantedArgument,
}

impl Error {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "unknown option",
            Self::MissingArgument => "missing argument",
            Self::UnwantedArgument => "option does not take an argument",
        }
    }
}

/// One option found, with its argument.
pub(super) type Found<'a> = (&'static Opt, Option<&'a str>);

/// The state of reading.
pub(super) struct Popt<'a> {
    args: &'a [String],
    next: usize,
    /// The rest of a bundle of short options.
    bundle: &'a str,
    words_only: bool,
    words: Vec<&'a str>,
}

impl<'a> Popt<'a> {
    /// `args` without the program's name.
    pub(super) const fn new(args: &'a [String]) -> Self {
        Self { args, next: 0, bundle: "", words_only: false, words: Vec::new() }
    }

    /// The next option, or `None` after the last.
    pub(super) fn option(&mut self) -> Result<Option<Found<'a>>, Error> {
        if self.bundle.is_empty() {
            let Some(arg) = self.next_candidate() else { return Ok(None) };
            if let Some(long) = arg.strip_prefix("--") {
                return self.long(long).map(Some);
            }
            self.bundle = &arg[1..];
        }
        self.short().map(Some)
    }

    /// The argument last looked at: what popt names when it complains, even where that is an
    /// option's own argument.
    pub(super) fn culprit(&self) -> &'a str {
        self.args.get(self.next.wrapping_sub(1)).map_or("", String::as_str)
    }

    /// The words that were no options, in order.
    pub(super) fn into_words(self) -> Vec<&'a str> {
        self.words
    }

    /// The next argument that is an option; words on the way are put aside.
    fn next_candidate(&mut self) -> Option<&'a str> {
        while let Some(arg) = self.args.get(self.next) {
            self.next += 1;
            if self.words_only || !arg.starts_with('-') || arg == "-" {
                self.words.push(arg);
            } else if arg == "--" {
                self.words_only = true;
            } else {
                return Some(arg);
            }
        }
        None
    }

    fn long(&mut self, text: &'a str) -> Result<Found<'a>, Error> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let opt = OPTIONS.iter().find(|o| o.long == name).ok_or(Error::Unknown)?;
        match (opt.takes, value) {
            (Takes::Nothing, Some(_)) => Err(Error::UnwantedArgument),
            (Takes::Nothing, None) => Ok((opt, None)),
            (_, Some(value)) => Ok((opt, Some(value))),
            (_, None) => self.argument(opt),
        }
    }

    fn short(&mut self) -> Result<Found<'a>, Error> {
        let name = self.bundle.as_bytes().first().copied();
        let opt = OPTIONS.iter().find(|o| o.short.is_some() && o.short == name);
        let opt = opt.ok_or(Error::Unknown)?;
        self.bundle = &self.bundle[1..];
        if opt.takes == Takes::Nothing {
            return if self.bundle.starts_with('=') {
                Err(Error::UnwantedArgument)
            } else {
                Ok((opt, None))
            };
        }
        if self.bundle.is_empty() {
            return self.argument(opt);
        }
        let rest = std::mem::take(&mut self.bundle);
        Ok((opt, Some(rest.strip_prefix('=').unwrap_or(rest))))
    }

    /// The following argument, whatever it looks like.
    fn argument(&mut self, opt: &'static Opt) -> Result<Found<'a>, Error> {
        match self.args.get(self.next) {
            None if opt.takes == Takes::Maybe => Ok((opt, None)),
            None => Err(Error::MissingArgument),
            Some(arg) if opt.takes == Takes::Maybe && arg.starts_with('-') => Ok((opt, None)),
            Some(arg) => {
                self.next += 1;
                Ok((opt, Some(arg)))
            }
        }
    }
}

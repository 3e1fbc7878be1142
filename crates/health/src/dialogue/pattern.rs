//! `regex`: a pattern that is searched for in a body as it streams by.
//!
//! keepalived compiles patterns by PCRE2; this is the `regex` crate, which has no look-around and
//! no back references but whose time is linear whatever the pattern and the body: a check cannot
//! be made to hang by what a server sends. [`Pattern::new`] refuses what it cannot say.
//!
//! One difference remains: PCRE2's `$` also matches before a last newline, unless `dollar_endonly`;
//! here that is written into the pattern's end, where people put it.

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;
use xlvs_model::health::UrlRegex;

/// So much of a body is looked at together; a match that is longer than half of it may be missed.
/// keepalived's is 4 KiB.
pub const WINDOW: usize = 64 << 10;

/// How large a compiled pattern may be.
const SIZE_LIMIT: usize = 1 << 20;

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternFault {
    /// PCRE2 knows more than the `regex` crate, or nobody knows this.
    #[error("the pattern `{pattern}` cannot be used: {why}")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// Where and why.
        why: String,
    },
    /// An option that would change what matches, and has no counterpart.
    #[error("regex_options `{0}` is not supported")]
    Option(String),
}

/// A compiled pattern and where it may match.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    first_line: bool,
    min_offset: u64,
    max_offset: Option<u64>,
    no_match: bool,
}

impl Pattern {
    /// Compiles a pattern.
    pub fn new(terms: &UrlRegex) -> Result<Self, PatternFault> {
        let options = Options::read(&terms.options)?;
        let mut text = String::new();
        if !options.flags.is_empty() {
            let _ = write!(text, "(?{})", options.flags);
        }
        let open_dollar = !options.dollar_endonly && !options.multi_line;
        match terms.pattern.strip_suffix('$').filter(|body| open_dollar && !is_escaping(body)) {
            // The dollar is of the last alternative alone, and so is what stands for it.
            Some(body) => text.extend([body, "\\n?$"]),
            None => text.push_str(&terms.pattern),
        }
        let regex = RegexBuilder::new(&text)
            .multi_line(options.multi_line)
            .unicode(options.unicode)
            .size_limit(SIZE_LIMIT)
            .dfa_size_limit(SIZE_LIMIT)
            .build()
            .map_err(|fault| PatternFault::Pattern {
                pattern: terms.pattern.clone(),
                why: why(&fault),
            })?;
        let UrlRegex { min_offset, max_offset, no_match, .. } = *terms;
        let first_line = options.first_line;
        Ok(Self { regex, first_line, min_offset, max_offset, no_match })
    }

    /// The verdict: `regex_no_match` turns it.
    pub const fn takes(&self, found: bool) -> bool {
        found != self.no_match
    }

    /// It matches somewhere in this text, whatever the offsets say.
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

/// `regex_options`.
#[derive(Debug, Default)]
struct Options {
    flags: String,
    dollar_endonly: bool,
    first_line: bool,
    multi_line: bool,
    unicode: bool,
}

impl Options {
    fn read(names: &[String]) -> Result<Self, PatternFault> {
        let mut this = Self::default();
        for name in names {
            match name.to_ascii_lowercase().as_str() {
                "caseless" => this.flags.push('i'),
                "dotall" => this.flags.push('s'),
                "extended" => this.flags.push('x'),
                "ungreedy" => this.flags.push('U'),
                "multiline" => this.multi_line = true,
                "utf" | "ucp" => this.unicode = true,
                "dollar_endonly" => this.dollar_endonly = true,
                "firstline" => this.first_line = true,
                // These change how PCRE2 works or what patterns may say, not what matches here.
                "allow_empty_class"
                | "alt_bsux"
                | "alt_circumflex"
                | "alt_verbnames"
                | "auto_callout"
                | "dupnames"
                | "match_unset_backref"
                | "never_backslash_c"
                | "never_ucp"
                | "never_utf"
                | "no_auto_capture"
                | "no_auto_possess"
                | "no_dotstar_anchor"
                | "no_start_optimize"
                | "use_offset_limit" => {}
                _ => return Err(PatternFault::Option(name.clone())),
            }
        }
        Ok(this)
    }
}

/// A search in a body that comes in pieces. At most [`WINDOW`] bytes are kept.
#[derive(Debug, Default)]
pub struct Search {
    window: Vec<u8>,
    /// Where in the body the window begins.
    base: u64,
    /// Where in the window the search goes on; before it is context.
    from: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Found,
    Never,
}

impl Search {
    /// More of the body.
    pub fn feed(&mut self, pattern: &Pattern, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.state == State::Open {
            let room = WINDOW - self.window.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.window.extend_from_slice(now);
            bytes = later;
            if self.window.len() == WINDOW {
                self.look(pattern, false);
                self.slide();
            }
        }
    }

    /// The body is over: was it found?
    pub fn end(&mut self, pattern: &Pattern) -> bool {
        if self.state == State::Open {
            self.look(pattern, true);
        }
        self.state == State::Found
    }

    /// Nothing that may come changes the answer.
    pub fn is_decided(&self) -> bool {
        self.state != State::Open
    }

    fn look(&mut self, pattern: &Pattern, over: bool) {
        let skip = pattern.min_offset.saturating_sub(self.base);
        let from = usize::try_from(skip).unwrap_or(usize::MAX).max(self.from);
        if let Some(found) =
            (from <= self.window.len()).then(|| self.regex_at(pattern, from)).flatten()
        {
            let at = self.base + found.0 as u64;
            let reaches_end = found.1 == self.window.len();
            if pattern.max_offset.is_some_and(|max| at > max) || self.is_past_line(pattern, found.0)
            {
                self.state = State::Never;
            } else if over || !reaches_end || found.0 < WINDOW / 2 {
                // What reaches the edge may be no match once more is there; but from the first
                // half it has gone on long enough.
                self.state = State::Found;
            }
        }
        let seen = self.base + (WINDOW / 2) as u64;
        let none_can_come = pattern.max_offset.is_some_and(|max| max < seen);
        if self.state == State::Open && self.window.len() == WINDOW && none_can_come {
            self.state = State::Never;
        }
    }

    fn regex_at(&self, pattern: &Pattern, from: usize) -> Option<(usize, usize)> {
        pattern.regex.find_at(&self.window, from).map(|found| (found.start(), found.end()))
    }

    /// `firstline`: a match begins before the first newline, or at it.
    fn is_past_line(&self, pattern: &Pattern, start: usize) -> bool {
        pattern.first_line && (self.base > 0 || self.window[..start].contains(&b'\n'))
    }

    /// Forgets the first half, but for a byte of context: `^` and `\b` look at what is before.
    fn slide(&mut self) {
        if self.state != State::Open {
            self.window = Vec::new();
            return;
        }
        let gone = WINDOW / 2;
        self.window.drain(..gone - 1);
        self.base += gone as u64 - 1;
        self.from = 1;
    }
}

/// Text that ends in an odd number of backslashes: what follows is escaped.
fn is_escaping(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The last line of the crate's several, which says what is wrong.
fn why(fault: &regex::Error) -> String {
    let text = fault.to_string();
    let line = text.lines().last().unwrap_or("it is not understood");
    line.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(pattern: &str, options: &[&str]) -> UrlRegex {
        UrlRegex {
            pattern: pattern.into(),
            options: options.iter().map(ToString::to_string).collect(),
            ..UrlRegex::default()
        }
    }

    fn finds(terms: &UrlRegex, body: &[u8], piece: usize) -> bool {
        let pattern = Pattern::new(terms).expect("a pattern");
        let mut search = Search::default();
        for bytes in body.chunks(piece) {
            search.feed(&pattern, bytes);
        }
        search.end(&pattern)
    }

    #[test]
    fn rows() {
        for (pattern, options, body, expected, why) in [
            ("alive", &[][..], "I am alive\n", true, "somewhere"),
            ("ALIVE", &[], "I am alive\n", false, "letters have a case"),
            ("ALIVE", &["caseless"], "I am alive\n", true, "caseless"),
            ("a.b", &[], "a\nb", false, "a dot is no newline"),
            ("a.b", &["dotall"], "a\nb", true, "dotall"),
            ("^b", &[], "a\nb", false, "the beginning is the body's"),
            ("^b", &["multiline"], "a\nb", true, "multiline"),
            ("ok$", &[], "ok\n", true, "PCRE2's dollar takes a last newline"),
            ("ok$", &["dollar_endonly"], "ok\n", false, "dollar_endonly"),
            ("ok$", &[], "ok\nno\n", false, "but not one before"),
            ("no|ok$", &[], "no, not", true, "the dollar is of its own alternative"),
            ("5\\$", &[], "5$", true, "an escaped dollar is a dollar"),
            ("a b # c", &["extended"], "ab", true, "extended"),
            ("b", &["firstline"], "a\nb", false, "firstline"),
            ("b", &["firstline"], "ab\n", true, "firstline, on it"),
            ("\\xff", &[], "\u{ff}", false, "bytes, not characters"),
            ("^.$", &["utf"], "\u{ff}", true, "utf: characters"),
        ] {
            for piece in [1, 3, 1000] {
                assert_eq!(
                    finds(&terms(pattern, options), body.as_bytes(), piece),
                    expected,
                    "{why}"
                );
            }
        }
    }

    #[test]
    fn offsets_count_in_the_body_however_it_comes() {
        let body = [&b"x".repeat(100_000)[..], b"needle", &b"y".repeat(100_000)].concat();
        for (min, max, expected, why) in [
            (0, None, true, "anywhere"),
            (100_000, None, true, "at the first byte allowed"),
            (100_001, None, false, "too early"),
            (0, Some(100_000), true, "at the last byte allowed"),
            (0, Some(99_999), false, "too late"),
        ] {
            let terms = UrlRegex { min_offset: min, max_offset: max, ..terms("needle", &[]) };
            for piece in [1, 999, 70_000, 300_000] {
                assert_eq!(finds(&terms, &body, piece), expected, "{why}, by {piece}");
            }
        }
        assert!(!finds(&terms("^needle", &[]), &body, 4096), "a window's edge is no beginning");
        assert!(!finds(&terms("\\bneedle", &[]), &body, 4096), "nor a word's");
    }

    #[test]
    fn memory_is_bounded() {
        let pattern = Pattern::new(&terms("needle", &[])).expect("a pattern");
        let mut search = Search::default();
        for _ in 0..10_000 {
            search.feed(&pattern, &[b'x'; 1000]);
        }
        assert!(search.window.capacity() <= 2 * WINDOW);
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for (pattern, options) in
            [("(?=a)b", &[][..]), ("(a)\\1", &[]), ("(", &[]), ("a", &["odd"])]
        {
            assert!(Pattern::new(&terms(pattern, options)).is_err(), "{pattern}");
        }
    }
}

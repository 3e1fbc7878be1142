//! What passed and what failed, read from the test runners' own closing lines.

use std::fmt;
use std::iter::Sum;

/// Counts of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// One thing that is not a test, done or not.
    pub(crate) fn of_step(done: bool) -> Self {
        Self { passed: u64::from(done), failed: u64::from(!done) }
    }

    /// Adds what one line of a runner's output counts.
    ///
    /// cargo test: `test result: ok. 3 passed; 0 failed; ...`
    /// nextest: `Summary [   0.1s] 4 tests run: 3 passed (1 slow), 1 failed, 2 skipped`
    pub(crate) fn read(line: &str) -> Self {
        let line = plain(line);
        // nextest shows what a failed test printed, indented: that closing line is not its own.
        if !line.starts_with("test result:") && !line.trim_start().starts_with("Summary [") {
            return Self::default();
        }
        let words = line
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>();
        let sum = |names: &[&str]| {
            words
                .windows(2)
                .filter(|pair| names.contains(&pair[1]))
                .filter_map(|pair| pair[0].parse::<u64>().ok())
                .sum()
        };
        Self { passed: sum(&["passed"]), failed: sum(&["failed", "timed"]) }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            passed: sum.passed + one.passed,
            failed: sum.failed + one.failed,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The line without a terminal's colours.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_read() {
        let rows = [
            ("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured", 3, 0),
            ("test result: FAILED. 11 passed; 2 failed; 0 ignored", 11, 2),
            (
                "     Summary [   1.201s] 14 tests run: 12 passed (1 slow), 2 failed, 5 skipped",
                12,
                2,
            ),
            ("     Summary [   9.1s] 3 tests run: 1 passed, 1 failed, 1 timed out", 1, 2),
            (
                "\u{1b}[32;1m     Summary\u{1b}[0m [ 1s] \u{1b}[1m2\u{1b}[0m tests run: 2 passed",
                2,
                0,
            ),
            ("    test result: FAILED. 0 passed; 1 failed; 0 ignored", 0, 0),
            ("running 3 tests, 3 passed", 0, 0),
        ];
        for (line, passed, failed) in rows {
            assert_eq!(Tally::read(line), Tally { passed, failed }, "{line}");
        }
    }
}

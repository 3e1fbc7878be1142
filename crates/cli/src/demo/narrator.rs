//! The demo's voice: colour on a terminal, plain in a pipe (and with `NO_COLOR`).

use std::{
    cell::RefCell,
    io::{self, Write},
};

use anstream::AutoStream;
use owo_colors::OwoColorize;

/// Tells the story and keeps count of the claims.
pub(super) struct Narrator {
    out: RefCell<Box<dyn Write>>,
    acts: u32,
    held: u32,
    failed: Vec<String>,
}

impl Narrator {
    pub(super) fn new() -> Self {
        Self::to(Box::new(AutoStream::auto(io::stdout())))
    }

    fn to(out: Box<dyn Write>) -> Self {
        Self { out: RefCell::new(out), acts: 0, held: 0, failed: Vec::new() }
    }

    /// Plain words.
    pub(super) fn say(&self, text: &str) {
        // A reader that went away does not stop the demo: its exit code still counts.
        let _ = writeln!(self.out.borrow_mut(), "{text}");
    }

    pub(super) fn title(&self) {
        self.say(&format!("{}", "xlvs: the Linux Virtual Server on XDP".bold()));
    }

    /// A new act.
    pub(super) fn act(&mut self, title: &str) {
        self.acts += 1;
        self.say(&format!("\n{}", format!("{}. {title}", self.acts).cyan().bold()));
    }

    /// What a person would type, and where.
    pub(super) fn command(&self, host: &str, line: &str) {
        self.say(&format!("{} {line}", format!("{host}#").green()));
    }

    /// What came out.
    pub(super) fn output(&self, text: &str) {
        self.say(&format!("{}", text.trim_end().dimmed()));
    }

    /// Something that was just checked.
    pub(super) fn claim(&mut self, holds: bool, text: &str) {
        if holds {
            self.held += 1;
            self.say(&format!("  {}  {text}", "ok".green().bold()));
        } else {
            self.failed.push(text.to_owned());
            self.say(&format!("  {}  {text}", "FAILED".red().bold()));
        }
    }

    /// The end: true if every claim held.
    pub(super) fn sum_up(&self, seconds: f32) -> bool {
        let all = self.held as usize + self.failed.len();
        let good = self.failed.is_empty();
        let summary = format!("{} of {all} claims held, in {seconds:.0} s", self.held);
        let summary = if good { summary.green().to_string() } else { summary.red().to_string() };
        self.say(&format!("\n{}", summary.bold()));
        for text in &self.failed {
            self.say(&format!("  {}  {text}", "FAILED".red()));
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_claim_fails_the_whole() {
        let mut narrator = Narrator::to(Box::new(io::sink()));
        narrator.claim(true, "water is wet");
        assert!(narrator.sum_up(0.0));
        narrator.claim(false, "fire is cold");
        assert!(!narrator.sum_up(0.0));
        assert_eq!(narrator.failed, ["fire is cold"]);
    }
}

//! `-R`: command lines from standard input.
//!
//! The real tool makes a system call for each line; here changes are gathered and sent together,
//! but never held back while the next line is waited for, nor past a line that reads or prints. The
//! status is the last line's.

use std::io::{BufRead, BufReader, Read};

use xlvs_api::Director;
use xlvs_config::ipvsadm::{self, Command};
use xlvs_model::Change;

use super::{Open, Status, Tool};

/// As many changes go in one request.
const BATCH: usize = 1000;

impl Tool<'_> {
    /// `ipvsadm-restore`: a script that drops lines with a leading `#`, clears the table and hands
    /// the rest to `ipvsadm -R`.
    pub(super) fn restore_afresh(&mut self, open: &mut Open<'_>, input: &mut dyn Read) -> u8 {
        let mut text = String::new();
        for line in BufReader::new(input).split(b'\n').map_while(Result::ok) {
            if !line.starts_with(b"#") {
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
            }
        }
        let mut tool = self.as_ipvsadm();
        tool.ipvsadm(&["-C".to_owned()], open, &mut std::io::empty());
        tool.ipvsadm(&["-R".to_owned()], open, &mut text.as_bytes())
    }

    /// `ipvsadm -R`.
    pub(super) fn restore(&mut self, director: &mut dyn Director, input: &mut dyn Read) -> Status {
        let mut input = BufReader::with_capacity(1 << 16, input);
        let mut pending = Vec::new();
        let mut status = 0;
        loop {
            if pending.len() == BATCH || !input.buffer().contains(&b'\n') {
                status = self.send(&mut pending, status, director);
            }
            let mut line = Vec::new();
            match input.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            let words = ipvsadm::words(&String::from_utf8_lossy(&line));
            if words.is_empty() {
                continue;
            }
            let command = ipvsadm::parse(&words, self.names);
            if let Ok(Command::Change(change)) = command {
                pending.push(change);
                continue;
            }
            self.send(&mut pending, status, director);
            status = match command {
                Ok(Command::Help | Command::Version) => {
                    return Err(self.help_or_version(command == Ok(Command::Help)));
                }
                Ok(command) => self.carry_out(command, director)?,
                Err(refusal) => self.refuse(&refusal)?,
            };
        }
        Ok(self.send(&mut pending, status, director))
    }

    /// Sends what was gathered; the status of the last change, or `before` when there is none.
    fn send(&mut self, pending: &mut Vec<Change>, before: u8, director: &mut dyn Director) -> u8 {
        if pending.is_empty() {
            return before;
        }
        let status = self.change(pending, director);
        pending.clear();
        status
    }
}

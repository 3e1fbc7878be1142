//! Who answered how often, and what was lost.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
};

use serde::{Deserialize, Serialize};

/// The result of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Connections that were established.
    pub(crate) opened: u64,
    /// Requests sent.
    pub(crate) requests: u64,
    /// Answers that came.
    pub(crate) answers: u64,
    /// By the name in the answer.
    pub(crate) hosts: BTreeMap<String, HostTally>,
    /// What broke.
    pub(crate) lost: Vec<Loss>,
}

/// One server's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostTally {
    /// Connections it answered on.
    pub(crate) connections: u64,
    /// Its answers.
    pub(crate) answers: u64,
}

/// A connection that broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loss {
    /// Its number, from 1.
    pub(crate) connection: usize,
    /// Its end here, if it got one.
    pub(crate) local: Option<String>,
    /// Milliseconds since the start.
    pub(crate) at_ms: u64,
    /// Who had answered on it.
    pub(crate) host: Option<String>,
    /// Why.
    pub(crate) why: String,
}

impl Tally {
    /// An answer came; `first` of its connection.
    pub(crate) fn count(&mut self, host: &str, first: bool) {
        self.answers += 1;
        let tally = self.hosts.entry(host.to_owned()).or_default();
        tally.answers += 1;
        tally.connections += u64::from(first);
    }

    /// There was something to lose and nothing was lost.
    pub(crate) fn is_whole(&self) -> bool {
        self.lost.is_empty() && self.answers > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {:>12} {:>12}", "host", "connections", "answers")?;
        for (host, tally) in &self.hosts {
            writeln!(f, "{host:<24} {:>12} {:>12}", tally.connections, tally.answers)?;
        }
        writeln!(f, "{:<24} {:>12} {:>12}", "all", self.opened, self.answers)?;
        match self.lost.len() {
            0 if self.answers == 0 => write!(f, "nothing was answered"),
            0 => write!(f, "nothing was lost"),
            lost => write!(f, "{lost} lost"),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.connection)?;
        if let Some(local) = &self.local {
            write!(f, " from {local}")?;
        }
        if let Some(host) = &self.host {
            write!(f, " to {host}")?;
        }
        let (seconds, millis) = (self.at_ms / 1000, self.at_ms % 1000);
        write!(f, " broke after {seconds}.{millis:03} s: {}", self.why)
    }
}

/// A line on standard output; a closed pipe is no fault of the load's.
pub(crate) fn print(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_each_host() {
        let mut tally = Tally { opened: 2, requests: 3, ..Tally::default() };
        assert!(!tally.is_whole(), "no answer is not a success");
        tally.count("rs1", true);
        tally.count("rs1", false);
        tally.count("rs2", true);
        assert!(tally.is_whole());
        let expected = "\
host                      connections      answers
rs1                                 1            2
rs2                                 1            1
all                                 2            3
nothing was lost";
        assert_eq!(tally.to_string(), expected);
    }

    #[test]
    fn a_loss_says_which_when_and_why() {
        let loss = Loss {
            connection: 7,
            local: Some("10.0.0.1:4000".to_owned()),
            at_ms: 3_042,
            host: Some("rs2".to_owned()),
            why: "connection reset by peer".to_owned(),
        };
        let expected =
            "connection 7 from 10.0.0.1:4000 to rs2 broke after 3.042 s: connection reset by peer";
        assert_eq!(loss.to_string(), expected);
        let tally = Tally { answers: 1, lost: vec![loss], ..Tally::default() };
        assert!(!tally.is_whole());
    }
}

//! Churn: a site's whole life in two hundred random steps, played under the kernel's IPVS and under
//! ours. Who is chosen, who answers and what is counted must be the same.
//!
//! A [`Script`] comes from a seed ([`script`]), is played by `guest.py` in a throw-away guest with
//! a real IPVS, which adds what each step got, and again in memory ([`replay()`]).
//! `cargo xtask churn --seed N` does all of that.

mod director;
mod features;
mod generate;
mod replay;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};

pub use director::Unsupported;
pub use features::{features, services};
pub use generate::script;
pub use replay::replay;

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Op {
    /// A setting of `net.ipv4.vs`.
    Set {
        /// Its last name.
        name: String,
        /// What it becomes.
        value: String,
    },
    /// Packets to these addresses get a mark.
    Mark {
        /// The mark.
        mark: u32,
        /// A network.
        to: String,
        /// `tcp` or `udp`.
        protocol: String,
    },
    /// A command line; gets its exit code.
    Ipvsadm {
        /// The service it is about, as in `line`: `-t 10.1.0.101:80`, `-f 7`.
        service: String,
        /// Its arguments.
        line: String,
    },
    /// A client opens a TCP connection and waits for the server's first word; gets who serves it.
    Connect {
        /// Its number from now on.
        id: usize,
        /// The service it should meet.
        service: String,
        /// The client.
        from: SocketAddrV4,
        /// The virtual address and port.
        to: SocketAddrV4,
    },
    /// The same from the same port, after the server closed first; not done otherwise.
    Again {
        /// Which.
        id: usize,
    },
    /// The client says a word; gets who answers.
    Say {
        /// Which.
        id: usize,
    },
    /// The client asks the server to close.
    Quit {
        /// Which.
        id: usize,
    },
    /// The client closes.
    Close {
        /// Which.
        id: usize,
    },
    /// The client resets, and nothing happens for [`RESET_WAIT_S`].
    Reset {
        /// Which.
        id: usize,
    },
    /// A client sends a datagram; gets who answers.
    Datagram {
        /// The service it should meet.
        service: String,
        /// The client.
        from: SocketAddrV4,
        /// The virtual address and port.
        to: SocketAddrV4,
    },
    /// Somebody looks; gets active and inactive connections by server.
    Counts {
        /// Which.
        service: String,
    },
}

/// What a step got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Got {
    /// This server's number, or an exit code.
    Number(u8),
    /// `R`: refused or reset. `T`: nobody answered. `C`: closed in order.
    Word(String),
    /// Active and inactive connections by server.
    Counts(BTreeMap<String, [u32; 2]>),
}

impl Got {
    fn word(word: &str) -> Self {
        Self::Word(word.to_owned())
    }
}

/// A step of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    #[serde(flatten)]
    pub op: Op,
    /// What came of it; `None`: there was nothing to do, or it is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<Got>,
}

/// Where a script comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Of the random numbers.
    pub seed: u64,
    /// How many steps there are.
    pub operations: usize,
    /// The kernel that answered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kernel: String,
}

/// A script, as it was made or as a kernel answered it. As text: a line for its head, and one for
/// each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Where it comes from.
    pub head: Head,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

impl Script {
    /// Reads the text; the error names the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut lines = (1..).zip(text.lines());
        let (_, head) = lines.next().ok_or("a script has a first line")?;
        let head = serde_json::from_str(head).map_err(|e| format!("line 1: {e}"))?;
        let steps = lines
            .map(|(n, line)| serde_json::from_str(line).map_err(|e| format!("line {n}: {e}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { head, steps })
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", serde_json::to_string(&self.head).unwrap())?;
        self.steps.iter().try_for_each(|s| writeln!(f, "{}", serde_json::to_string(s).unwrap()))
    }
}

/// What plays a script in a guest: Python 3, iproute2, iptables and ipvsadm are all it needs there.
pub const GUEST: &str = include_str!("guest.py");
/// A reset connection's entry goes after ten seconds.
pub const RESET_WAIT_S: u64 = 12;
/// Servers of a site; the `n`th is 10.2.0.2n (NAT) and 10.1.0.2n (direct routing).
pub const SERVERS: u8 = 4;

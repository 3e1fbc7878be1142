//! The command line of ipvsadm 1.31, read exactly as that program reads it.
//!
//! The order of checks is part of the behaviour (a script sees the first complaint only), so it is
//! kept: `popt` takes the options apart, each option's own argument is checked as it is met, then
//! leftover words, scheduler flags, the table of commands and options, and last what the options
//! mean together.
//!
//! Written from the behaviour of the real tool; `crates/cli/tests/golden` holds its answers.

mod help;
mod number;
mod options;
mod parse;
mod popt;
mod restore;
mod service;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use xlvs_model::{Change, ServiceKey};

pub use help::{SAVE_HELP, help, version};
pub use parse::parse;
pub use restore::words;

/// The names of hosts and ports, both ways.
pub trait Resolver {
    /// The IPv4 address of a host, as `gethostbyname` finds it.
    fn host(&self, name: &str) -> Option<Ipv4Addr>;
    /// The port of a service, as `getservbyname` finds it; `protocol` is `tcp`, `udp` or `sctp`.
    fn port(&self, name: &str, protocol: &str) -> Option<u16>;
    /// The name of an address, as `gethostbyaddr` finds it.
    fn host_name(&self, address: IpAddr) -> Option<String>;
    /// The name of a port, as `getservbyport` finds it.
    fn port_name(&self, port: u16, protocol: &str) -> Option<String>;
}

/// What one command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `-h`: print the help and end.
    Help,
    /// `-v`: print the version and end.
    Version,
    /// `-L`.
    List(List),
    /// `-S`.
    Save {
        /// `-n`: numbers for names.
        numeric: bool,
    },
    /// `-R`: further command lines come on standard input.
    Restore,
    /// `-Z`: one service or all.
    Zero(Option<ServiceKey>),
    /// An edit of the desired state.
    Change(Change),
    /// `-A` or `-E` with a scheduler that nobody knows: an error, but one that only comes after
    /// the service was looked for.
    UnknownScheduler {
        /// The service to add or to edit.
        service: ServiceKey,
        /// True for `-E`.
        edit: bool,
    },
}

/// What `-L` shows and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// Which of the lists.
    pub what: Listing,
    /// `-n`: numbers for names.
    pub numeric: bool,
    /// What is told of services and servers.
    pub figures: Figures,
    /// `--persistent-conn` with `-c`: persistence engines' data too.
    pub engines: bool,
    /// `--exact`: every digit.
    pub exact: bool,
    /// `--nosort`: the order they are held in.
    pub nosort: bool,
}

/// The lists there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All services.
    Services,
    /// One service.
    Service(ServiceKey),
    /// `-c`: connections.
    Connections,
    /// `--timeout`.
    Timeouts,
    /// `--daemon`.
    Daemons,
}

/// What `-L` tells of services and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figures {
    /// Method, weight and connections.
    Plain,
    /// `--stats`: counters.
    Stats,
    /// `--rate`: counters a second.
    Rate,
    /// `--thresholds`.
    Thresholds,
    /// `--persistent-conn`: clients that keep their server.
    Persistence,
    /// `--tun-info`: kinds of tunnels.
    Tunnels,
}

/// Why a command line is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The line does not begin with a command. Ends the program, status 255, with
    /// [`Refusal::message`]'s hint at the help.
    NoCommand,
    /// Wrong use. Ends the program, status 2.
    Usage(String),
    /// `popt` could not read an option: status 255, but `-R` goes on to its next line.
    Option(String),
}

impl Refusal {
    /// The line for standard error. `program` is the name the tool was called by.
    pub fn message(&self, program: &str) -> String {
        match self {
            Self::NoCommand => {
                format!("Try `{program} -h' or '{program} --help' for more information.")
            }
            Self::Usage(text) | Self::Option(text) => text.clone(),
        }
    }

    /// The exit status.
    pub const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NoCommand | Self::Option(_) => 255,
        }
    }

    /// True when the real tool leaves by `exit`, so that `-R` reads no further line.
    pub const fn ends_restore(&self) -> bool {
        matches!(self, Self::NoCommand | Self::Usage(_))
    }
}

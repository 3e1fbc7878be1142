//! A home as the tests see it.

use std::collections::BTreeMap;

use xlvs_datapath::{
    Reason,
    policy::ClientKey,
    tables::{CONN_DEAD, CONN_INACTIVE, CONN_REPLY, CONN_TEMPLATE, ConnKey, Stats},
};

use crate::{Entry, Given};

/// What the driver is told to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`.
    Pass,
    /// `XDP_TX`.
    Back,
    /// `XDP_REDIRECT`.
    Redirect,
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// What to do with it.
    pub action: Action,
    /// What it is now.
    pub frame: Vec<u8>,
}

/// The tables that packets change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections.
    pub conns: BTreeMap<ConnKey, Entry>,
    /// Active and inactive connections, by slot.
    pub live: Vec<(u32, u32)>,
    /// Networks of clients: their connections, and when their share of the rate is whole.
    pub clients: BTreeMap<ClientKey, (u32, u64)>,
    /// What is kept beside calls' templates: the network they came from, and the identifier.
    pub calls: BTreeMap<ConnKey, (u32, Vec<u8>)>,
    /// The meters.
    pub meters: Vec<u64>,
    /// Who has too many connections, by slot.
    pub overloaded: Vec<bool>,
    /// Counters, by slot.
    pub stats: Vec<Stats>,
    /// The schedulers' memory, by plan.
    pub plans: Vec<u64>,
    /// ICMP messages of the present tick.
    pub limiter: u64,
    /// Packets by reason.
    pub reasons: Vec<u64>,
}

impl Snapshot {
    /// Packets counted.
    pub fn packets(&self) -> u64 {
        self.reasons.iter().sum()
    }

    /// What `live` must be: the table, counted.
    pub fn census(&self) -> Vec<(u32, u32)> {
        let mut counts = vec![(0, 0); self.live.len()];
        for entry in self.conns.values() {
            if entry.word.has(CONN_REPLY | CONN_DEAD | CONN_TEMPLATE) {
                continue;
            }
            let Some(count) = counts.get_mut(entry.word.dest() as usize) else { continue };
            if entry.word.has(CONN_INACTIVE) {
                count.1 += 1;
            } else {
                count.0 += 1;
            }
        }
        counts
    }

    /// The one reason counted, if there was one packet.
    pub fn reason(&self) -> Option<Reason> {
        let mut counted = Reason::ALL.iter().zip(&self.reasons).filter(|(_, n)| **n > 0);
        match (counted.next(), counted.next()) {
            (Some((reason, 1)), None) => Some(*reason),
            _ => None,
        }
    }
}

/// A home. Frames come by loopback's index, as `BPF_PROG_TEST_RUN` has it.
pub trait Twin {
    /// Its name, for messages.
    fn name(&self) -> &'static str;
    /// Forgets everything and becomes this world.
    fn install(&mut self, given: &Given);
    /// Writes settings, services, lists, servers and ports over what is there; connections and
    /// counters stay.
    fn write(&mut self, given: &Given);
    /// Moves the clock.
    fn set_now(&mut self, now: u64);
    /// A frame comes in.
    fn run(&mut self, frame: &[u8]) -> Ran;
    /// The program between XDP and the stack meets a frame.
    fn ingress(&mut self, frame: &[u8]) -> Ran;
    /// The host sends a frame; what goes out.
    fn send(&mut self, frame: &[u8]) -> Vec<u8>;
    /// The sweep looks at these connections.
    fn sweep(&mut self, keys: &[ConnKey]);
    /// The tables as they are.
    fn snapshot(&self) -> Snapshot;
}

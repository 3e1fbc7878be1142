//! A script played in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::{
    Got, Op, RESET_WAIT_S, Script, Unsupported,
    director::{Director, Went, packet},
};
use crate::{Flags, L4};

/// A connection as its client knows it.
struct Held {
    service: String,
    from: SocketAddrV4,
    to: SocketAddrV4,
    /// By NAT: the server's own address and port.
    server: Option<([u8; 4], u16)>,
}

/// Plays the steps that concern `services` and says where another than the recorded came of one;
/// with none recorded, nothing differs.
pub fn replay(script: &Script, services: &BTreeSet<String>) -> Result<Vec<String>, Unsupported> {
    let mut play = Play { director: Director::new(), held: BTreeMap::new() };
    let mut wrong = Vec::new();
    // Line 1 is the head.
    for (line, step) in (2..).zip(&script.steps) {
        if !play.concerns(&step.op, services) {
            continue;
        }
        let recorded = step.got.as_ref();
        let got = match play.play(&step.op, recorded) {
            Ok(got) => got,
            // What the kernel refuses may be refused.
            Err(Unsupported(_)) if matches!(recorded, Some(Got::Number(255))) => continue,
            Err(error) => return Err(error),
        };
        if recorded.is_some() && got.as_ref() != recorded {
            let (got, recorded) = (shown(got.as_ref()), shown(recorded));
            wrong.push(format!("line {line}: {:?}: {got}, not {recorded}", step.op));
        }
    }
    Ok(wrong)
}

fn shown(got: Option<&Got>) -> String {
    got.map_or_else(|| "nothing".to_owned(), |got| serde_json::to_string(got).unwrap())
}

struct Play {
    director: Director,
    held: BTreeMap<usize, Held>,
}

impl Play {
    fn concerns(&self, op: &Op, services: &BTreeSet<String>) -> bool {
        match op {
            Op::Set { .. } => !services.is_empty(),
            Op::Mark { mark, .. } => services.contains(&format!("-f {mark}")),
            Op::Ipvsadm { service, .. }
            | Op::Connect { service, .. }
            | Op::Datagram { service, .. }
            | Op::Counts { service } => services.contains(service),
            Op::Again { id }
            | Op::Say { id }
            | Op::Quit { id }
            | Op::Close { id }
            | Op::Reset { id } => {
                self.held.get(id).is_some_and(|held| services.contains(&held.service))
            }
        }
    }

    /// One step. What the kernel's client could not do (its connection was gone) is not done here.
    fn play(&mut self, op: &Op, recorded: Option<&Got>) -> Result<Option<Got>, Unsupported> {
        let idle = recorded.is_none();
        Ok(match op {
            Op::Set { name, value } => {
                self.director.set(name, value)?;
                None
            }
            Op::Mark { mark, to, protocol } => {
                self.director.mark(*mark, to, protocol)?;
                None
            }
            Op::Ipvsadm { line, .. } => Some(self.director.ipvsadm(line)?),
            Op::Connect { id, service, from, to } => {
                let (service, from, to) = (service.clone(), *from, *to);
                self.held.insert(*id, Held { service, from, to, server: None });
                Some(self.dial(*id))
            }
            Op::Datagram { from, to, .. } => {
                Some(self.director.by_client(&packet(L4::Udp, *from, *to)).got())
            }
            Op::Counts { service } => {
                let known = match recorded {
                    Some(Got::Counts(counts)) => counts.keys().collect(),
                    _ => Vec::new(),
                };
                self.director.counts(service, known.into_iter())
            }
            _ if idle => None,
            Op::Again { id } => Some(self.dial(*id)),
            Op::Say { id } => Some(self.say(*id)),
            Op::Quit { id } => Some(self.quit(*id)),
            Op::Close { id } => Some(self.close(*id)),
            Op::Reset { id } => {
                self.send(*id, Flags::RST | Flags::ACK);
                self.director.wait(RESET_WAIT_S * 1_000_000_000);
                Some(Got::word("C"))
            }
        })
    }

    /// The client's segment.
    fn send(&mut self, id: usize, flags: u8) -> Went {
        let held = &self.held[&id];
        self.director.by_client(&packet(L4::Tcp(flags), held.from, held.to))
    }

    /// The server's, where it comes by the director.
    fn answer(&mut self, id: usize, flags: u8) {
        let held = &self.held[&id];
        if let Some((addr, port)) = held.server {
            let server = SocketAddrV4::new(Ipv4Addr::from(addr), port);
            self.director.by_server(&packet(L4::Tcp(flags), server, held.from));
        }
    }

    fn dial(&mut self, id: usize) -> Got {
        let went = self.send(id, Flags::SYN);
        let Went::To(_, server) = went else { return went.got() };
        self.held.get_mut(&id).unwrap().server = server;
        self.answer(id, Flags::SYN | Flags::ACK);
        self.send(id, Flags::ACK);
        // The server's first word.
        self.answer(id, Flags::PSH | Flags::ACK);
        self.send(id, Flags::ACK);
        went.got()
    }

    fn say(&mut self, id: usize) -> Got {
        let went = self.send(id, Flags::PSH | Flags::ACK);
        if matches!(went, Went::To(..)) {
            self.answer(id, Flags::PSH | Flags::ACK);
            self.send(id, Flags::ACK);
        }
        went.got()
    }

    fn quit(&mut self, id: usize) -> Got {
        let went = self.send(id, Flags::PSH | Flags::ACK);
        if !matches!(went, Went::To(..)) {
            return went.got();
        }
        self.answer(id, Flags::FIN | Flags::ACK);
        self.send(id, Flags::ACK);
        self.send(id, Flags::FIN | Flags::ACK);
        self.answer(id, Flags::ACK);
        Got::word("C")
    }

    fn close(&mut self, id: usize) -> Got {
        let went = self.send(id, Flags::FIN | Flags::ACK);
        if !matches!(went, Went::To(..)) {
            return went.got();
        }
        self.answer(id, Flags::FIN | Flags::ACK);
        self.send(id, Flags::ACK);
        Got::word("C")
    }
}

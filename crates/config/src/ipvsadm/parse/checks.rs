//! What is checked once all options are read, in the real tool's order.

use std::net::IpAddr;

use xlvs_model::{Method, Scheduler};

use super::{
    super::{
        Refusal,
        options::{MATRIX, TUNNELS, Topic, Verb},
    },
    Kind, Line, name, usage,
};

impl Line {
    /// The scheduler's flags, by number or by a name that is this scheduler's own.
    pub(super) fn check_sched_flags(&mut self) -> Result<(), Refusal> {
        let scheduler = if self.scheduler.is_empty() { "wlc" } else { &self.scheduler };
        for flag in self.sched_flags.split(',').filter(|f| !f.is_empty()) {
            let of = |owner: Scheduler| owner.flag_names().iter().position(|name| *name == flag);
            let owners = [Scheduler::Rr, Scheduler::Sh, Scheduler::Mh];
            let known = owners.into_iter().find_map(|owner| Some((owner, of(owner)?)));
            let Some((owner, bit)) = known else {
                return usage(format!("invalid scheduler flag `{flag}'"));
            };
            if owner != Scheduler::Rr && owner.name() != scheduler {
                return usage(format!("incompatible scheduler flag `{flag}'"));
            }
            self.flag_bits |= 1 << bit;
        }
        Ok(())
    }

    /// The options against the command.
    pub(super) fn check_matrix(&self) -> Result<(), Refusal> {
        let rows = MATRIX
            .iter()
            .map(|(topic, name, row)| (self.topics.has(*topic), *name, row[self.verb as usize]));
        check_rows(rows, self.verb.name(), "command")
    }

    /// What the options mean together.
    pub(super) fn check_meaning(&self) -> Result<(), Refusal> {
        let by_mark = self.kind == Some(Kind::Fwmark);
        if matches!(self.verb, Verb::Add | Verb::Edit) {
            if !by_mark && self.service.port == 0 && !self.topics.has(Topic::Persistent) {
                return usage("Zero port specified for non-persistent service");
            }
            if self.topics.has(Topic::Ops) && !by_mark && self.kind != Some(Kind::Udp) {
                return usage("One-Packet Scheduling is only for UDP virtual services");
            }
        }
        if matches!(self.verb, Verb::AddServer | Verb::EditServer) {
            self.check_server()?;
        }
        let elsewhere = [Topic::Connection, Topic::Timeout, Topic::Daemon];
        let figures = [Topic::Stats, Topic::Rate, Topic::Thresholds];
        if self.verb == Verb::List
            && (self.topics.any(&elsewhere) && self.topics.any(&figures)
                || self.topics.any(&elsewhere[1..]) && self.topics.has(Topic::PersistentConn))
        {
            return usage("options conflicts in the list command");
        }
        Ok(())
    }

    fn check_server(&self) -> Result<(), Refusal> {
        let tunnel = self.method == Method::Tunnel;
        let server_is_ipv6 = matches!(self.server.address, Some(IpAddr::V6(_)));
        if server_is_ipv6 != self.is_ipv6() && !tunnel {
            return usage("Different address family is allowed only for tunneling servers");
        }
        let needs_tunnel =
            [Topic::TunType, Topic::TunPort, Topic::TunNocsum, Topic::TunCsum, Topic::TunRemcsum];
        if self.topics.any(&needs_tunnel) && !tunnel {
            return usage("Tunnel options conflict with forward method");
        }
        let (kind, signs) = TUNNELS[self.tunnel];
        let rows = needs_tunnel[1..]
            .iter()
            .zip(signs)
            .map(|(topic, sign)| (self.topics.has(*topic), name(*topic), *sign));
        check_rows(rows, kind, "tunnel type")
    }
}

/// Checks (is it there, its name, its sign) in order; `owner` and `noun` name what it belongs to.
fn check_rows<'a>(
    rows: impl Iterator<Item = (bool, &'a str, u8)>,
    owner: &str,
    noun: &str,
) -> Result<(), Refusal> {
    let mut first = None;
    for (given, name, sign) in rows {
        match (given, sign) {
            (false, b'+') => {
                return usage(format!(
                    "You need to supply the '{name}' option for the '{owner}' {noun}"
                ));
            }
            (true, b'x') => {
                return usage(format!("Illegal '{name}' option with the '{owner}' {noun}"));
            }
            (true, b'1') => match first {
                None => first = Some(name),
                Some(first) => {
                    return usage(format!(
                        "The option '{name}' conflicts with the '{first}' option in the \
                         '{owner}' {noun}"
                    ));
                }
            },
            _ => {}
        }
    }
    Ok(())
}

//! Which of the host's rules refuse packets to services. XDP runs before netfilter, so these rules
//! do not see such packets any more.

use std::{collections::BTreeMap, net::Ipv4Addr};

use xlvs_model::{IpProtocol, Is, MarkMatch, PortRange, Ports, Prefix};

use crate::{
    rule::{Rule, Target},
    table::{Chain, Hook, Table, Tool},
};

/// A service that rules may have guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// As people name it.
    pub name: String,
    /// Its protocol.
    pub protocol: IpProtocol,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port; 0: any.
    pub port: u16,
}

/// A rule, or a chain's policy, that refuses packets to services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose it is.
    pub tool: Tool,
    /// The table's name.
    pub table: String,
    /// The rule as its tool prints it, or `policy DROP of CHAIN`.
    pub text: String,
    /// The only addresses that it refuses, where it names them plainly.
    pub from: Option<Prefix>,
    /// Names of services, in the order that they were asked for.
    pub services: Vec<String>,
}

/// The refusals that concern any of the services, in the order in which packets pass them.
pub fn refusals(tables: &[Table], services: &[Guarded]) -> Vec<Refusal> {
    let mut found: Vec<Refusal> = Vec::new();
    let mut places: BTreeMap<(Tool, String, String), usize> = BTreeMap::new();
    for hook in [Hook::Prerouting, Hook::Input] {
        for table in tables {
            for chain in table.chains.iter().filter(|chain| chain.hook == Some(hook)) {
                for service in services {
                    let mut walk = Walk { table, service, refusing: Vec::new(), depth: 0 };
                    let end = walk.chain(chain);
                    if end != End::Decided && chain.drops {
                        walk.refusing.push((format!("policy DROP of {}", chain.name), None));
                    }
                    for (text, from) in walk.refusing {
                        let place = (table.tool, table.name.clone(), text.clone());
                        let at = *places.entry(place).or_insert_with(|| {
                            let (tool, table) = (table.tool, table.name.clone());
                            found.push(Refusal { tool, table, text, from, services: Vec::new() });
                            found.len() - 1
                        });
                        if found[at].services.last() != Some(&service.name) {
                            found[at].services.push(service.name.clone());
                        }
                    }
                }
            }
        }
    }
    found
}

/// How a chain ends for the packets to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Some of them may go on.
    Open,
    /// A rule decides about every one of them.
    Decided,
}

struct Walk<'a> {
    table: &'a Table,
    service: &'a Guarded,
    refusing: Vec<(String, Option<Prefix>)>,
    depth: usize,
}

/// Whether a rule is about the packets to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    None,
    Some,
    All,
}

impl Walk<'_> {
    fn chain(&mut self, chain: &Chain) -> End {
        for rule in &chain.rules {
            let about = about(rule, self.service);
            if about == About::None {
                continue;
            }
            let end = match &rule.target {
                Target::Return if about == About::All => return End::Open,
                Target::Return | Target::Nothing | Target::Mark(_) | Target::Hidden(_) => continue,
                Target::Accept => End::Decided,
                Target::Refuse => {
                    self.refusing.push((rule.text.clone(), sources(rule)));
                    End::Decided
                }
                Target::Jump(name) => self.body(name),
                Target::Goto(name) => {
                    let end = self.body(name);
                    if about == About::All {
                        return end;
                    }
                    end
                }
            };
            if end == End::Decided && about == About::All {
                return End::Decided;
            }
        }
        End::Open
    }

    fn body(&mut self, name: &str) -> End {
        let chain = self.table.chain(name).filter(|_| self.depth < MAX_DEPTH);
        let Some(chain) = chain else { return End::Open };
        self.depth += 1;
        let end = self.chain(chain);
        self.depth -= 1;
        end
    }
}

fn about(rule: &Rule, service: &Guarded) -> About {
    let known = rule.all.iter().map(|matches| about_match(matches, service)).min();
    let limit = if rule.is_understood() { About::All } else { About::Some };
    known.unwrap_or(About::All).min(limit)
}

fn about_match(matches: &MarkMatch, service: &Guarded) -> About {
    // What comes from outside comes by no loopback.
    let is_loopback =
        |is: &Is<_>| !is.not && xlvs_model::InterfacePattern::as_str(&is.value) == "lo";
    if matches.interface.as_ref().is_some_and(is_loopback) {
        return About::None;
    }
    let whole = |exact: bool, not: bool| if exact == not { About::None } else { About::All };
    let destination = matches.destination.as_ref();
    let destination =
        destination.map_or(About::All, |is| whole(is.value.contains(service.address), is.not));
    let protocol = matches.protocol.as_ref();
    let protocol = protocol.map_or(About::All, |is| whole(is.value == service.protocol, is.not));
    let ports = matches.destination_ports.as_ref();
    let ports = ports.map_or(About::All, |is| about_ports(is, service.port));
    let some = |there: bool| if there { About::Some } else { About::All };
    let source = matches.source.as_ref().map_or(About::All, |is| match (is.value.mask, is.not) {
        (0, not) => whole(true, not),
        _ => About::Some,
    });
    let rest = some(
        matches.source_ports.is_some()
            || matches.ports.is_some()
            || matches.interface.is_some()
            || matches.source_mac.is_some()
            || matches.mark.is_some(),
    );
    [destination, protocol, ports, source, rest].into_iter().min().unwrap_or(About::All)
}

fn about_ports(is: &Is<Ports>, port: u16) -> About {
    if port == 0 {
        let all = Ports::new(vec![PortRange { first: 0, last: u16::MAX }]);
        return if all.as_ref() == Some(&is.value) && !is.not { About::All } else { About::Some };
    }
    if is.value.contains(port) == is.not { About::None } else { About::All }
}

/// The addresses that a rule is about, where it says no more of whom packets come from.
fn sources(rule: &Rule) -> Option<Prefix> {
    let mut sources = rule.all.iter().filter_map(|matches| matches.source.as_ref());
    let source = sources.next().filter(|is| !is.not)?;
    let is_plain = source.value.mask.leading_ones() == source.value.mask.count_ones();
    (sources.next().is_none() && rule.is_understood() && is_plain).then_some(source.value)
}

/// iptables and nft allow no loops; this is for texts that do not come from them.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests;

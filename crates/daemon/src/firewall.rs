//! The host's firewall as the director knows it: which mark rules it follows, and which rules that
//! used to guard a service no longer see its packets, because XDP runs before netfilter.
//!
//! `read` runs the firewall's own tools, `watch` notices changes; here is what is made of it, pure.

mod read;
mod watch;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use xlvs_model::{
    Access, Followed, FollowedThen, IpProtocol, Is, MarkMatch, MarkThen, Masked, Mirror, Model,
    Network, Ports, Prefix, ServiceKey, Verdict,
};
use xlvs_netfilter::{Guarded, Refusal, Table, mirror, native_marks, refusals};

pub(crate) use self::watch::FirewallWatcher;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Firewall {
    /// There is an iptables to read rules with.
    pub(crate) has_iptables: bool,
    /// Of all firewalls, iptables-legacy first.
    pub(crate) tables: Vec<Table>,
    /// The mark rules among them.
    pub(crate) mirror: Mirror,
    /// What could not be read, and why.
    pub(crate) failures: Vec<String>,
}

impl Firewall {
    /// What the tables say.
    pub(crate) fn new(has_iptables: bool, tables: Vec<Table>, failures: Vec<String>) -> Self {
        let mut mirror = mirror(&tables);
        mirror.not_mirrored.extend(native_marks(&tables));
        Self { has_iptables, tables, mirror, failures }
    }

    /// What a person should know of it.
    pub(crate) fn warnings(&self, model: &Model) -> Vec<String> {
        let mut list = Vec::new();
        for why in &self.failures {
            list.push(format!("the host's firewall cannot be read: {why}"));
        }
        let marks = |key: &ServiceKey| matches!(key, ServiceKey::Mark { .. });
        let wants_marks = model.services.iter().any(|service| marks(&service.key));
        if wants_marks && !self.has_iptables && model.marks.is_empty() {
            list.push(
                "services of firewall marks wait for packets that nothing marks: there is no \
                 iptables here whose rules could be followed. Try: xlvs mark add, or install \
                 iptables"
                    .to_owned(),
            );
        }
        let notes = self.mirror.not_mirrored.iter();
        let notes = notes.map(|n| format!("mark rule `{}` is not mirrored: {}", n.text, n.reason));
        bounded(&mut list, notes, "mark rules are not mirrored: xlvs mark list");
        let found = refusals(&self.tables, &guarded(model, &self.mirror));
        let found = found.into_iter().filter_map(|refusal| not_replaced(refusal, model));
        let said = found.map(|refusal| refused(&refusal));
        bounded(&mut list, said, "rules of the firewall no longer guard services");
        list
    }
}

/// The first of the sentences, and how many more there are.
fn bounded(list: &mut Vec<String>, mut sentences: impl Iterator<Item = String>, more: &str) {
    list.extend(sentences.by_ref().take(MAX_NAMED));
    match sentences.count() {
        0 => {}
        left => list.push(format!("{left} more {more}")),
    }
}

/// The refusal, of those services alone whose lists do not do the same. None: all of them do.
fn not_replaced(mut refusal: Refusal, model: &Model) -> Option<Refusal> {
    refusal.services.retain(|name| {
        let service = model.services.iter().find(|service| service.key.to_string() == *name);
        let own = service.map(|service| &service.tuning.limits.access);
        ![Some(&model.access), own].into_iter().flatten().any(|list| refuses(list, refusal.from))
    });
    (!refusal.services.is_empty()).then_some(refusal)
}

/// A list keeps these clients out. Of a rule that does not name them plainly, whoever says who may
/// come in has said all that there is to say.
fn refuses(list: &Access, clients: Option<Prefix>) -> bool {
    let Some(clients) = clients else { return list.others() == Verdict::Deny };
    let length = u8::try_from(clients.mask.count_ones()).unwrap_or(u8::MAX);
    let Some(clients) = Network::new(clients.address.into(), length) else { return false };
    let holds = |a: &Network, b: &Network| a.prefix() <= b.prefix() && a.contains(b.address());
    let lets_in = list.allow.iter().any(|some| holds(some, &clients) || holds(&clients, some));
    let names = list.deny.iter().any(|some| holds(some, &clients));
    !lets_in && (names || list.others() == Verdict::Deny)
}

fn refused(refusal: &Refusal) -> String {
    let Refusal { tool, table, text, from, services } = refusal;
    let named = services.iter().take(SERVICES_NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = match services.len().saturating_sub(SERVICES_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    // Who refuses everybody else, as a policy does, wants to say who may come in.
    let instead = match from {
        Some(prefix) => format!("deny add {prefix}"),
        None if text.starts_with("policy ") => "allow add CIDR".to_owned(),
        None => "deny add CIDR".to_owned(),
    };
    let service = match services.as_slice() {
        [one] => format!(" --service {one}"),
        _ => " [--service SERVICE]".to_owned(),
    };
    format!(
        "XDP runs before netfilter: `{text}` of {tool} (table {table}) no longer keeps packets \
         from {named}{more}. Try: xlvs {instead}{service}"
    )
}

/// The services whose addresses are known: of services of marks, those that rules give the mark.
fn guarded(model: &Model, mirror: &Mirror) -> Vec<Guarded> {
    let mut list = Vec::new();
    for service in &model.services {
        let name = service.key.to_string();
        match service.key {
            ServiceKey::Socket { protocol, address: IpAddr::V4(address), port } => {
                let protocol = IpProtocol(protocol.number());
                list.push(Guarded { name, protocol, address, port });
            }
            ServiceKey::Socket { .. } => {}
            ServiceKey::Mark { mark, .. } => {
                let own = model.marks.iter().filter_map(|rule| match rule.then {
                    MarkThen::Set(set) => Some((set, &rule.matches)),
                    MarkThen::Stop => None,
                });
                let followed = mirror.flat().into_iter().filter_map(|(_, rule)| set_by(rule));
                let gives = |(set, _): &(Masked, &MarkMatch)| set.applied_to(0) == mark;
                let found = own.chain(followed).filter(gives);
                list.extend(found.filter_map(|(_, matches)| marked(&name, matches)));
            }
        }
    }
    list
}

fn set_by(rule: &Followed) -> Option<(Masked, &MarkMatch)> {
    match (&rule.then, rule.all.as_slice()) {
        (FollowedThen::Set(set), [matches]) => Some((*set, matches)),
        _ => None,
    }
}

/// The one address that a mark rule is about.
fn marked(name: &str, matches: &MarkMatch) -> Option<Guarded> {
    let destination = matches.destination.filter(|is| !is.not && is.value.mask == u32::MAX)?;
    let protocol = matches.protocol.filter(|is| !is.not).map_or(TCP, |is| is.value);
    let port = |is: &Is<Ports>| match is.value.ranges() {
        [range] if !is.not && range.first == range.last => Some(range.first),
        _ => None,
    };
    let port = matches.destination_ports.as_ref().and_then(port).unwrap_or(0);
    let (name, address) = (name.to_owned(), destination.value.address);
    Some(Guarded { name, protocol, address, port })
}

/// What a rule that names no protocol is taken to be about.
const TCP: IpProtocol = IpProtocol(6);

/// The status is for a glance.
const MAX_NAMED: usize = 8;
const SERVICES_NAMED: usize = 3;

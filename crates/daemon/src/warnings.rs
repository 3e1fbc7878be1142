//! What needs a person, as sentences for `GET /v1/status`: pure.

mod settings;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
};

use xlvs_dataplane::LeftOut;
use xlvs_model::{Model, ServerKey, ServiceKey};

use crate::engine::Survey;

/// What is known of an interface beside the survey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceFacts {
    /// Its name.
    pub(crate) name: String,
    /// XDP runs in the stack, after frames were merged.
    pub(crate) is_generic: bool,
    /// Options of `ethtool -K` that are on and merge frames.
    pub(crate) merging: Vec<&'static str>,
}

/// Everything that warnings are made of.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// What the engine knows.
    pub(crate) survey: &'a Survey,
    /// What was asked for.
    pub(crate) interfaces: &'a [InterfaceFacts],
    /// `net.ipv4.ip_forward`; `None` when it could not be read.
    pub(crate) ip_forward: Option<bool>,
    /// Why pins would vanish, and the like: said once at the start, true all the time.
    pub(crate) standing: &'a [String],
}

/// The sentences, the gravest first.
pub(crate) fn warnings(facts: &Facts<'_>) -> Vec<String> {
    let survey = facts.survey;
    let mut list = Vec::new();
    list.extend(survey.troubles.iter().cloned());
    if let Some(why) = &survey.not_saved {
        list.push(format!("the state is in force but not saved: {why}"));
    }
    for interface in facts.interfaces {
        if !survey.host.interfaces.values().any(|i| i.name == interface.name) {
            list.push(format!("interface {0} is gone: nothing comes in there", interface.name));
        }
    }
    let unresolved = survey.unresolved.iter();
    let unresolved = unresolved.map(|(a, why)| format!("server {a} gets no packets: {why}"));
    list.extend(first(unresolved, "servers get no packets"));
    if survey.uses_nat() && facts.ip_forward == Some(false) {
        list.push(
            "servers are reached by NAT, but the host does not forward, so their answers do not \
             come back: sysctl -w net.ipv4.ip_forward=1"
                .to_owned(),
        );
    }
    list.extend(missing_addresses(facts));
    list.extend(left_out(&survey.model));
    list.extend(settings::without_effect(&survey.model));
    list.extend(first(idle_overrides(&survey.model), "servers that are not there"));
    list.extend(merged(facts));
    list.extend(survey.firewall.warnings(&survey.model));
    list.extend(survey.plane.notes.iter().cloned());
    list.extend(facts.standing.iter().cloned());
    list
}

fn missing_addresses(facts: &Facts<'_>) -> Vec<String> {
    let host = &facts.survey.host;
    let virtual_addresses: BTreeSet<_> =
        facts.survey.model.services.iter().filter_map(|s| s.key.address()).collect();
    let own: HashSet<IpAddr> = host.addresses.iter().map(|(_, own)| (*own).into()).collect();
    let missing = virtual_addresses.into_iter().filter(|a| a.is_ipv4() && !own.contains(a));
    let device = facts.interfaces.first().map_or("IF", |interface| interface.name.as_str());
    let missing = missing.map(|address| {
        format!(
            "the virtual address {address} is not on this host, so it answers no ARP for it: ip \
             address add {address}/32 dev {device} (fine as it is if a router sends its packets \
             here)"
        )
    });
    first(missing, "virtual addresses are not on this host")
}

/// Servers that would be drained or disabled as soon as they were there again.
fn idle_overrides(model: &Model) -> impl Iterator<Item = String> {
    let is_there = |service: &ServiceKey, server: &ServerKey| {
        model.service(service).is_some_and(|service| service.server(server).is_some())
    };
    let idle =
        model.overrides.iter().filter(move |(service, server, _)| !is_there(service, server));
    idle.map(|(service, server, value)| {
        let verb = if value.is_drain() { "undrain" } else { "enable" };
        format!(
            "{server} of {service} is {value}, and is not there: xlvs server {verb} {server} \
             --service {service}"
        )
    })
}

/// The first few sentences of a kind, and how many more there would be.
fn first(mut sentences: impl Iterator<Item = String>, what: &str) -> Vec<String> {
    let mut list: Vec<String> = sentences.by_ref().take(SENTENCES_SHOWN).collect();
    match sentences.count() {
        0 => {}
        more => list.push(format!("{more} more {what}")),
    }
    list
}

/// What is stored and listed, and gets no packets yet: one sentence for each reason.
fn left_out(model: &Model) -> Vec<String> {
    let mut by_reason = reasons(xlvs_dataplane::left_out(model));
    let roles: Vec<_> = model.sync.iter().map(|d| d.role.name().to_owned()).collect();
    if !roles.is_empty() {
        by_reason.insert("sync daemons".to_owned(), roles);
    }
    by_reason.into_iter().map(|of| sentence("not forwarded yet", of)).collect()
}

/// Names by their reason.
fn reasons(list: Vec<LeftOut>) -> BTreeMap<String, Vec<String>> {
    let mut by_reason = BTreeMap::<String, Vec<String>>::new();
    for LeftOut { service, server, why } in list {
        let what = match server {
            Some(server) => format!("{server} of {service}"),
            None => service.to_string(),
        };
        by_reason.entry(why).or_default().push(what);
    }
    by_reason
}

fn sentence(fate: &str, (why, all): (String, Vec<String>)) -> String {
    let shown = all.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let more = match all.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("stored, {fate} ({why}): {shown}{more}")
}

fn merged(facts: &Facts<'_>) -> Vec<String> {
    let mut list = Vec::new();
    for interface in facts.interfaces.iter().filter(|i| i.is_generic && !i.merging.is_empty()) {
        let switches: Vec<_> = interface.merging.iter().map(|o| format!("{o} off")).collect();
        let (name, switches) = (&interface.name, switches.join(" "));
        list.push(format!(
            "{name} merges frames before XDP sees them: ethtool -K {name} {switches}"
        ));
    }
    let count = facts.survey.plane.packets.get(MERGED).copied().unwrap_or(0);
    if count > 0 {
        list.push(format!(
            "{count} frames longer than their interface carries were dropped ({MERGED}): an \
             offload merged them, here (ethtool -K IF gro off lro off) or, on virtual links, at \
             the sender (ethtool -K IF tso off gso off)"
        ));
    }
    list
}

/// Of many things that are alike so many are named.
const NAMES_SHOWN: usize = 5;
/// Sentences of a kind that are worth a reader's while.
const SENTENCES_SHOWN: usize = 20;

/// The data plane's name for frames that an offload has merged.
const MERGED: &str = "merged";

#[cfg(test)]
mod tests;

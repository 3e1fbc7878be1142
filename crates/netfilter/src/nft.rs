//! `nft -j list ruleset`: tables that people made with `nft` itself. They are not mirrored, but
//! what they say of marks and refusals is understood well enough to be named.

use serde_json::Value;
use xlvs_model::{IpProtocol, Is, MarkMatch, NotMirrored, PortRange, Ports};

use crate::{
    rule::{Rule, Target, put},
    table::{Chain, Hook, Table, Tool},
};

/// The tables of a ruleset that concern IPv4 and are not iptables' own, which are among `known`.
pub fn native_tables(ruleset: &Value, known: &[Table]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let objects = ruleset["nftables"].as_array().map_or(&[][..], Vec::as_slice);
    for object in objects {
        if let Some(table) = object.get("table").and_then(name_of) {
            tables.push(Table { tool: Tool::Native, name: table, chains: Vec::new() });
        } else if let Some(object) = object.get("chain") {
            let chain = chain(object);
            tables
                .iter_mut()
                .filter(|t| is_in(object, t))
                .for_each(|t| t.chains.push(chain.clone()));
        } else if let Some(object) = object.get("rule")
            && let Some(table) = tables.iter_mut().find(|t| is_in(object, t))
            && let Some(chain) =
                table.chains.iter_mut().find(|c| object["chain"] == c.name.as_str())
        {
            chain.rules.extend(rules(object));
        }
    }
    let is_iptables = |table: &Table| {
        known.iter().any(|k| k.tool == Tool::Nft && table.name.strip_prefix("ip ") == Some(&k.name))
    };
    let concerns = |table: &Table| {
        let family = table.name.split(' ').next().unwrap_or_default();
        FAMILIES.contains(&family) && !is_iptables(table)
    };
    tables.retain(concerns);
    tables
}

/// Their rules that set marks on packets to this host.
pub fn native_marks(tables: &[Table]) -> Vec<NotMirrored> {
    let mut found = Vec::new();
    for table in tables.iter().filter(|table| table.tool == Tool::Native) {
        let passed = |chain: &&Chain| matches!(chain.hook, Some(Hook::Prerouting | Hook::Input));
        for rule in table.chains.iter().filter(passed).flat_map(|chain| table.reached_from(chain)) {
            if let Target::Hidden(reason) = rule.target {
                let note = NotMirrored { text: rule.text.clone(), reason: reason.to_owned() };
                if !found.contains(&note) {
                    found.push(note);
                }
            }
        }
    }
    found
}

fn name_of(object: &Value) -> Option<String> {
    Some(format!("{} {}", object["family"].as_str()?, object["name"].as_str()?))
}

fn is_in(object: &Value, table: &Table) -> bool {
    table
        .name
        .split_once(' ')
        .is_some_and(|(family, name)| object["family"] == family && object["table"] == name)
}

fn chain(object: &Value) -> Chain {
    let hook = object["hook"].as_str().map(|hook| match hook {
        "ingress" | "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        _ => Hook::Other,
    });
    let name = object["name"].as_str().unwrap_or_default().to_owned();
    Chain { name, hook, drops: object["policy"] == "drop", rules: Vec::new() }
}

/// A rule, once for each address of a set that it names.
fn rules(object: &Value) -> Vec<Rule> {
    let parts = object["expr"].as_array().map_or(&[][..], Vec::as_slice);
    let words: Vec<_> = parts.iter().filter_map(shown).collect();
    let text = |part: &str| object[part].as_str().unwrap_or_default().to_owned();
    let text =
        format!("{} {} {}: {}", text("family"), text("table"), text("chain"), words.join(" "));
    let rule = Rule { text, all: Vec::new(), unknown: Vec::new(), target: Target::Nothing };
    parts.iter().fold(vec![rule], |rules, part| {
        let readings = rules.into_iter().flat_map(|rule| read(rule, part));
        readings.collect()
    })
}

/// The rule with one more part.
fn read(mut rule: Rule, part: &Value) -> Vec<Rule> {
    let Some((kind, value)) = part.as_object().and_then(|object| object.iter().next()) else {
        return vec![rule];
    };
    let chain = || value["target"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "match" => return condition(rule, value),
        "accept" => rule.target = Target::Accept,
        "drop" | "reject" => rule.target = Target::Refuse,
        "return" => rule.target = Target::Return,
        "jump" => rule.target = Target::Jump(chain()),
        "goto" => rule.target = Target::Goto(chain()),
        "mangle" if value["key"]["meta"]["key"] == "mark" => rule.target = Target::Hidden(NATIVE),
        "limit" | "quota" | "ct count" | "xt" => rule.unknown.push(kind.clone()),
        _ => {}
    }
    vec![rule]
}

/// `ip daddr 10.0.0.1`, `tcp dport { 80, 443 }`, `iifname "lo"`; of anything else it is known that
/// it may be so or not.
fn condition(rule: Rule, value: &Value) -> Vec<Rule> {
    let not = value["op"] == "!=";
    let right = &value["right"];
    let elements = match right["set"].as_array() {
        Some(elements) => elements.as_slice(),
        None => std::slice::from_ref(right),
    };
    let unknown = |mut rule: Rule| {
        rule.unknown.extend(shown(&serde_json::json!({ "match": value })));
        vec![rule]
    };
    let payload = &value["left"]["payload"];
    let (protocol, field) = (payload["protocol"].as_str(), payload["field"].as_str());
    let meta = value["left"]["meta"]["key"].as_str();
    match (protocol, field, meta) {
        (Some("ip"), Some("saddr"), _) => each(&rule, not, elements, prefix, |m| &mut m.source),
        (Some("ip"), Some("daddr"), _) => {
            each(&rule, not, elements, prefix, |m| &mut m.destination)
        }
        (Some("ip"), Some("protocol"), _) | (_, _, Some("l4proto")) => {
            each(&rule, not, elements, protocol_of, |m| &mut m.protocol)
        }
        (_, _, Some("iifname" | "iif")) => {
            each(&rule, not, elements, |v| v.as_str()?.parse().ok(), |m| &mut m.interface)
        }
        (Some(transport), Some("dport"), _) => ports(&rule, not, elements, transport),
        _ => None,
    }
    .unwrap_or_else(|| unknown(rule))
}

/// A rule for each value that is enough; or one rule, where all must be missed.
fn each<T>(
    rule: &Rule,
    not: bool,
    elements: &[Value],
    read: impl Fn(&Value) -> Option<T>,
    field: impl Fn(&mut MarkMatch) -> &mut Option<Is<T>> + Copy,
) -> Option<Vec<Rule>> {
    let values = elements.iter().map(read).collect::<Option<Vec<_>>>()?;
    if not {
        let mut rule = rule.clone();
        for value in values {
            put(&mut rule.all, Is::not(value), field);
        }
        return Some(vec![rule]);
    }
    let with = |value| {
        let mut rule = rule.clone();
        put(&mut rule.all, Is::so(value), field);
        rule
    };
    Some(values.into_iter().map(with).collect())
}

fn ports(rule: &Rule, not: bool, elements: &[Value], transport: &str) -> Option<Vec<Rule>> {
    let ranges = elements.iter().map(range).collect::<Option<Vec<_>>>()?;
    let value = Ports::new(ranges)?;
    let mut rule = rule.clone();
    put(&mut rule.all, Is { not, value }, |m| &mut m.destination_ports);
    if transport != "th" {
        put(&mut rule.all, Is::so(transport.parse().ok()?), |m| &mut m.protocol);
    }
    Some(vec![rule])
}

fn prefix(value: &Value) -> Option<xlvs_model::Prefix> {
    match value.get("prefix") {
        Some(prefix) => format!("{}/{}", prefix["addr"].as_str()?, prefix["len"]).parse().ok(),
        None => value.as_str()?.parse().ok(),
    }
}

fn protocol_of(value: &Value) -> Option<IpProtocol> {
    match value.as_str() {
        Some(name) => name.parse().ok(),
        None => value.to_string().parse().ok(),
    }
}

fn range(value: &Value) -> Option<PortRange> {
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    match value["range"].as_array().map(Vec::as_slice) {
        Some([first, last]) => Some(PortRange { first: port(first)?, last: port(last)? }),
        Some(_) => None,
        None => port(value).map(|port| PortRange { first: port, last: port }),
    }
}

/// A part of a rule nearly as `nft list ruleset` prints it.
fn shown(part: &Value) -> Option<String> {
    let (kind, value) = part.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "counter" => return None,
        "match" => {
            let op =
                value["op"].as_str().filter(|op| !["==", "in"].contains(op)).unwrap_or_default();
            let gap = if op.is_empty() { "" } else { " " };
            format!("{} {op}{gap}{}", shown_value(&value["left"]), shown_value(&value["right"]))
        }
        "mangle" => format!("{} set {}", shown_value(&value["key"]), shown_value(&value["value"])),
        "jump" | "goto" => format!("{kind} {}", value["target"].as_str().unwrap_or_default()),
        _ => kind.clone(),
    })
}

fn shown_value(value: &Value) -> String {
    let list = |values: &Value, between: &str| {
        let values = values.as_array().map_or(&[][..], Vec::as_slice);
        values.iter().map(shown_value).collect::<Vec<_>>().join(between)
    };
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    if value.is_array() {
        return list(value, ",");
    }
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return value.to_string();
    };
    let word = |key: &str| inner[key].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "payload" => format!("{} {}", word("protocol"), word("field")),
        "meta" if ["iifname", "iif"].contains(&word("key").as_str()) => word("key"),
        "meta" | "ct" => format!("{kind} {}", word("key")),
        "prefix" => format!("{}/{}", word("addr"), inner["len"]),
        "range" => list(inner, "-"),
        "set" => format!("{{ {} }}", list(inner, ", ")),
        "|" | "&" | "^" => list(inner, &format!(" {kind} ")),
        _ => kind.clone(),
    }
}

/// Those whose chains IPv4 packets pass.
const FAMILIES: [&str; 3] = ["ip", "inet", "netdev"];

const NATIVE: &str = "mark rules are followed where iptables made them, not nft";

#[cfg(test)]
mod tests;

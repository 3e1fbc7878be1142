//! What a script asks of a director, by service.

use std::collections::BTreeSet;

use super::{Op, Script};

/// The services of a script, as `ipvsadm` names them.
pub fn services(script: &Script) -> BTreeSet<String> {
    let named = script.steps.iter().filter_map(|step| match &step.op {
        Op::Ipvsadm { service, .. } => Some(service.clone()),
        _ => None,
    });
    named.collect()
}

/// What a service needs at any time of its life; services do not meet, so each may be played alone.
pub fn features(script: &Script, service: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for step in &script.steps {
        match &step.op {
            Op::Set { name, value } => drop(found.insert(format!("set {name}={value}"))),
            Op::Ipvsadm { service: of, line } if of == service => note(line, &mut found),
            _ => (),
        }
    }
    found
}

/// What one command line needs.
fn note(line: &str, found: &mut BTreeSet<String>) {
    let words: Vec<&str> = line.split(' ').collect();
    for pair in words.windows(2) {
        match pair {
            ["-s", scheduler] => drop(found.insert((*scheduler).to_owned())),
            ["-b", flags] => found.extend(flags.split(',').map(str::to_owned)),
            ["-f", _] => drop(found.insert("fwmark".to_owned())),
            ["-p", _] => drop(found.insert("persistence".to_owned())),
            ["-M", _] => drop(found.insert("netmask".to_owned())),
            ["-x", _] => drop(found.insert("thresholds".to_owned())),
            _ => (),
        }
    }
    if words.contains(&"-o") {
        found.insert("one-packet".to_owned());
    }
}

//! A configuration as JSON without its places: to compare two, and to say where they differ.

use serde_json::{Map, Value};

use crate::Config;

impl Config {
    /// As JSON without where it was written: what two of them are compared by.
    pub fn bare(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        strip(&mut value);
        value
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("origin");
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// What a member of a list is known by: a service's key, a server's address.
fn identity(value: &Value) -> Option<String> {
    let found = value.pointer("/services/0").or_else(|| value.pointer("/server/address"));
    let found = found.or_else(|| value.get("key").or_else(|| value.get("address")));
    found?.as_str().map(str::to_owned)
}

fn identities(list: &[Value]) -> Option<Vec<String>> {
    let known: Vec<String> = list.iter().map(identity).collect::<Option<_>>()?;
    let mut once = known.clone();
    once.sort();
    once.dedup();
    (once.len() == known.len()).then_some(known)
}

/// What must be set in `from` to make it `to`: paths and values; none: it is taken out.
pub(crate) fn differences(from: &Value, to: &Value) -> Vec<(Vec<String>, Option<Value>)> {
    let mut all = Vec::new();
    compare(from, to, &mut Vec::new(), &mut all);
    all
}

fn compare(
    from: &Value,
    to: &Value,
    path: &mut Vec<String>,
    all: &mut Vec<(Vec<String>, Option<Value>)>,
) {
    if from == to {
        return;
    }
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            for key in from.keys().filter(|key| !to.contains_key(*key)) {
                path.push(key.clone());
                all.push((path.clone(), None));
                path.pop();
            }
            for (key, value) in to {
                path.push(key.clone());
                match from.get(key) {
                    Some(before) => compare(before, value, path, all),
                    None => all.push((path.clone(), Some(value.clone()))),
                }
                path.pop();
            }
        }
        (Value::Array(from), Value::Array(new))
            if from.len() == new.len()
                && identities(from).is_some()
                && identities(from) == identities(new) =>
        {
            for ((before, after), name) in
                from.iter().zip(new).zip(identities(new).unwrap_or_default())
            {
                path.push(name);
                compare(before, after, path, all);
                path.pop();
            }
        }
        _ => all.push((path.clone(), Some(to.clone()))),
    }
}

/// Sets a value at a path; the error is the part of the path that is not there.
pub(crate) fn set(root: &mut Value, path: &[String], value: Option<Value>) -> Result<(), String> {
    let Some((last, before)) = path.split_last() else {
        *root = value.unwrap_or_default();
        return Ok(());
    };
    let mut at = root;
    for part in before {
        at = step(at, part).ok_or_else(|| part.clone())?;
    }
    if let Value::Object(map) = at {
        match value {
            Some(value) => map.insert(last.clone(), value),
            None => map.remove(last),
        };
        return Ok(());
    }
    *step(at, last).ok_or_else(|| last.clone())? = value.unwrap_or_default();
    Ok(())
}

fn step<'a>(value: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(map) => {
            Some(map.entry(part.to_owned()).or_insert_with(|| Value::Object(Map::new())))
        }
        Value::Array(list) => list.iter_mut().find(|item| identity(item).as_deref() == Some(part)),
        _ => None,
    }
}

/// Where in the original a path was written: the innermost place around it.
pub(crate) fn place(root: &Value, path: &[String]) -> Option<String> {
    let (mut at, mut found) = (root, None);
    for part in path {
        let next = match at {
            Value::Object(map) => map.get(part),
            Value::Array(list) => list.iter().find(|item| identity(item).as_deref() == Some(part)),
            _ => None,
        };
        let Some(next) = next else { break };
        if let Some(origin) = next.get("origin") {
            let file = origin.get("file").and_then(Value::as_str).unwrap_or_default();
            let line = origin.get("line").and_then(Value::as_u64).unwrap_or_default();
            found = Some(format!("{file}:{line}"));
        }
        at = next;
    }
    found
}

//! The model's JSON as the file's tables, and back.

use serde_json::{Map, Value, json};

use super::keys::{COMMON, PLACE, TERMS};
use crate::Config;

/// The file's tables.
pub(super) fn written(config: &Config) -> Value {
    let (bare, default) = (config.bare(), Config::default().bare());
    let mut file = Map::new();
    let services = bare["virtual_servers"].as_array().into_iter().flatten();
    let services: Vec<Value> = services.map(|of| service(of, &bare["services"])).collect();
    let mut global = bare["globals"].clone();
    subtract(&mut global, &default["globals"]);
    if global.as_object().is_some_and(|global| !global.is_empty()) {
        file.insert("global".into(), global);
    }
    for (key, name) in [("ssl", "ssl"), ("vrrp", "vrrp")] {
        if bare.get(key).is_some_and(|value| default.get(key) != Some(value)) {
            file.insert(name.into(), bare[key].clone());
        }
    }
    file.insert("service".into(), Value::Array(services));
    let mut file = Value::Object(file);
    // What services of a group do not have in common, and servers' order, is seen by reading.
    let (again, _) = super::read::config(&file, &mut |_, _| {});
    if again.bare()["services"] != bare["services"] {
        file["exact"] = bare["services"].clone();
    }
    file
}

/// Leaves out what is so without being said.
fn subtract(value: &mut Value, default: &Value) {
    let (Value::Object(table), Value::Object(default)) = (value, default) else { return };
    table.retain(|key, value| {
        let Some(default) = default.get(key) else { return true };
        if default.is_object() && value.is_object() {
            subtract(value, default);
            return value.as_object().is_some_and(|table| !table.is_empty());
        }
        value != default
    });
}

fn service(of: &Value, services: &Value) -> Value {
    let mut table = object(of);
    let listen = table.remove("services").unwrap_or_default();
    let first = listen.get(0);
    let held = services.as_array().into_iter().flatten().find(|held| held.get("key") == first);
    for key in TERMS.iter().chain(&["tuning"]) {
        if let Some(value) = held.and_then(|held| held.get(*key)) {
            table.insert((*key).to_owned(), value.clone());
        }
    }
    table.insert("listen".into(), listen);
    if let Some(sorry) = table.get("sorry_server").map(object) {
        let mut flat = sorry.get("server").map(object).unwrap_or_default();
        flat.extend(sorry.into_iter().filter(|(key, _)| key != "server"));
        table.insert("sorry_server".into(), Value::Object(flat));
    }
    let servers = table.remove("servers").unwrap_or_default();
    let servers: Vec<Value> = servers.as_array().into_iter().flatten().map(server).collect();
    if !servers.is_empty() {
        table.insert("server".into(), Value::Array(servers));
    }
    Value::Object(table)
}

fn server(of: &Value) -> Value {
    let mut table = object(of);
    let place = table.remove("server").map(|place| object(&place)).unwrap_or_default();
    table.extend(place);
    let checks = table.remove("checks").unwrap_or_default();
    let checks: Vec<Value> = checks.as_array().into_iter().flatten().map(check).collect();
    if !checks.is_empty() {
        table.insert("check".into(), Value::Array(checks));
    }
    Value::Object(table)
}

fn check(of: &Value) -> Value {
    let mut table = object(of);
    for inner in ["common", "terms"] {
        let inner = table.remove(inner).map(|inner| object(&inner)).unwrap_or_default();
        table.extend(inner);
    }
    Value::Object(table)
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// A check of the model. Its kind's own terms are all that is not common to checks.
pub(super) fn model_check(of: &Value) -> Value {
    let (mut common, mut terms, mut kind) = (Map::new(), Map::new(), Value::Null);
    for (key, value) in object(of) {
        match &*key {
            "kind" => kind = value,
            key if COMMON.contains(&key) => {
                common.insert(key.to_owned(), value);
            }
            _ => {
                terms.insert(key, value);
            }
        }
    }
    // As in keepalived.conf, the first check comes within delay_loop.
    if let (Some(pause), false) = (common.get("delay_loop").cloned(), common.contains_key("warmup"))
    {
        common.insert("warmup".into(), pause);
    }
    let mut check = json!({"kind": kind, "common": common});
    let plain = ["tcp", "ping", "syn"].iter().any(|plain| check["kind"] == *plain);
    if !plain {
        check["terms"] = Value::Object(terms);
    }
    check
}

/// A server of the model, but for its checks.
pub(super) fn model_server(of: &Value) -> Value {
    let (mut place, mut rest) = (Map::new(), Map::new());
    place.insert("method".into(), json!("masq"));
    place.insert("weight".into(), json!(1));
    for (key, value) in object(of) {
        if PLACE.contains(&&*key) {
            place.insert(key, value);
        } else if key != "check" {
            rest.insert(key, value);
        }
    }
    rest.insert("server".into(), Value::Object(place));
    Value::Object(rest)
}

/// A virtual server of the model without its servers, and the terms of its services.
pub(super) fn model_service(of: &Value) -> (Value, Value) {
    let (mut rest, mut terms) = (Map::new(), Map::new());
    for (key, value) in object(of) {
        match &*key {
            "listen" => {
                rest.insert("services".into(), value);
            }
            "sorry_server" => {
                rest.insert(key, model_server(&value));
            }
            "server" | "check" | "tuning" => {}
            name if TERMS.contains(&name) => {
                terms.insert(key, value);
            }
            _ => {
                rest.insert(key, value);
            }
        }
    }
    terms.entry("scheduler").or_insert_with(|| json!("wlc"));
    (Value::Object(rest), Value::Object(terms))
}

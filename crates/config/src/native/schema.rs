//! The table of keys as a JSON schema and as Markdown.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::keys::{BLOCKS, Is, KEYS, TOP};

/// The JSON schema of `docs/xlvs.schema.json`.
pub fn schema() -> Value {
    let blocks = BLOCKS.iter().filter(|block| **block != TOP);
    let defs: Map<String, Value> = blocks.map(|name| ((*name).to_owned(), block(name))).collect();
    let mut schema = block(TOP);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("xlvs");
    schema["description"] = json!("A director's services, in TOML");
    schema["$defs"] = Value::Object(defs);
    schema
}

fn block(name: &str) -> Value {
    let keys = KEYS.iter().filter(|key| key.block == name);
    let properties: Map<String, Value> = keys
        .map(|key| {
            let mut of = match key.is {
                Is::Text => json!({"type": "string"}),
                Is::Bool => json!({"type": "boolean"}),
                Is::Number => json!({"type": "integer", "minimum": 0}),
                Is::Seconds => json!({"type": "number", "minimum": 0}),
                Is::Texts => json!({"type": "array", "items": {"type": "string"}}),
                Is::Table(block) => json!({"$ref": format!("#/$defs/{block}")}),
                Is::Tables(block) => {
                    json!({"type": "array", "items": {"$ref": format!("#/$defs/{block}")}})
                }
                Is::Json => json!({}),
            };
            of["description"] = json!(key.doc);
            (key.name.to_owned(), of)
        })
        .collect();
    let mut block = json!({
        "type": "object", "properties": properties, "additionalProperties": false,
    });
    let needed = match name {
        "service" => "listen",
        "check" => "kind",
        "server" | "sorry" | "address" => "address",
        _ => return block,
    };
    block["required"] = json!([needed]);
    block
}

/// All keys as Markdown, block by block.
pub fn reference() -> String {
    let mut text = String::new();
    for block in BLOCKS {
        // Writing to a string cannot fail.
        let _ = match block {
            TOP => write!(text, "### At the top level\n\n"),
            block => write!(text, "### In a `{block}`\n\n"),
        };
        text.push_str("| key | takes | what it says |\n|---|---|---|\n");
        for key in KEYS.iter().filter(|key| key.block == block) {
            let takes = match key.is {
                Is::Text => "text".to_owned(),
                Is::Bool => "true, false".to_owned(),
                Is::Number => "a whole number".to_owned(),
                Is::Seconds => "seconds".to_owned(),
                Is::Texts => "texts".to_owned(),
                Is::Table(block) => format!("a table: `{block}`"),
                Is::Tables(block) => format!("tables: `{block}`"),
                Is::Json => "as in the API's JSON".to_owned(),
            };
            let _ = writeln!(text, "| `{}` | {takes} | {} |", key.name, key.doc);
        }
        text.push('\n');
    }
    text
}

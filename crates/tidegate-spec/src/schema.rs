//! The JSON Schema of the format, for editors: made from the same table that files are checked with.
//! Must never be written by hand in any part.

use serde_json::{Map, Value, json};

use crate::format::{Key, ROOT, Shape};
use crate::units;

/// Which JSON Schema this is.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema as JSON.
#[must_use]
pub fn schema() -> Value {
    let mut root = object(ROOT);
    if let Value::Object(map) = &mut root {
        map.insert("$schema".to_owned(), json!(DRAFT));
        map.insert("title".to_owned(), json!("tidegate.yaml"));
        map.insert(
            "description".to_owned(),
            json!("How one service gets to production, and back."),
        );
        map.insert("required".to_owned(), json!(["tidegate", "service"]));
    }
    root
}

fn object(keys: &[Key]) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let mut value = shape(key.shape);
        if let Value::Object(map) = &mut value {
            let meaning = if key.served {
                key.meaning.to_owned()
            } else {
                format!("{} (declared: `deploy` refuses it in this version)", key.meaning)
            };
            map.insert("description".to_owned(), Value::String(meaning));
            if !key.served {
                map.insert("x-tidegate-served".to_owned(), Value::Bool(false));
            }
        }
        properties.insert(key.name.to_owned(), value);
    }
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": true},
        "additionalProperties": false,
    })
}

fn shape(shape: &Shape) -> Value {
    match shape {
        // YAML reads `1.10` and `no` as something else than text; the reader here does not.
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Name => json!({"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"}),
        Shape::Duration => json!({"type": "string", "pattern": units::DURATION_PATTERN}),
        Shape::Percent => json!({"type": "string", "pattern": units::PERCENT_PATTERN}),
        Shape::Size => json!({"type": "string", "pattern": units::BYTES_PATTERN}),
        Shape::Count => json!({"type": "integer", "minimum": 0}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Date => json!({"type": "string", "format": "date"}),
        Shape::Cron => json!({"type": "string", "pattern": "^\\S+( +\\S+){4}$"}),
        Shape::Limit => json!({"type": "string", "pattern": "^\\s*[<>≤≥]"}),
        Shape::Word(words) => {
            // `1`, `true` and `off` are words here and numbers or flags to other readers.
            let words: Vec<Value> = words
                .iter()
                .flat_map(|word| {
                    let other = match *word {
                        "on" => Some(json!(true)),
                        "off" => Some(json!(false)),
                        word => word.parse::<u32>().ok().map(|number| json!(number)),
                    };
                    [Some(json!(word)), other].into_iter().flatten()
                })
                .collect();
            json!({"enum": words})
        }
        Shape::Secret => json!({"type": "string", "pattern": "^secret://[A-Za-z0-9_-]+/.+$"}),
        Shape::List(inner) => json!({"type": "array", "items": self::shape(inner)}),
        Shape::Map(keys) => object(keys),
        Shape::Named(inner) => {
            json!({"type": "object", "additionalProperties": self::shape(inner)})
        }
        Shape::Any(shapes) => {
            json!({"anyOf": shapes.iter().map(self::shape).collect::<Vec<_>>()})
        }
        Shape::Free => json!({}),
    }
}

//! A declared plan as rows of path and value, and what differs between two of them.
//! Must never leave a value out: what is not shown could not be compared.

use std::collections::BTreeMap;

use serde_json::Value;

/// A value at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Where it stands, `traffic.steps[0]`.
    pub(crate) path: String,
    /// What it is.
    pub(crate) value: String,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Differs {
    /// Where it stands.
    pub(crate) path: String,
    /// On the one side; absent when it is not there.
    pub(crate) before: Option<String>,
    /// On the other.
    pub(crate) after: Option<String>,
}

/// Every value of a tree, in its order.
pub(crate) fn of(tree: &Value) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    walk(tree, "", &mut leaves);
    leaves
}

fn walk(tree: &Value, path: &str, leaves: &mut Vec<Leaf>) {
    let mut leaf = |value: String| leaves.push(Leaf { path: path.to_owned(), value });
    match tree {
        Value::Null => leaf("none".to_owned()),
        Value::Bool(value) => leaf(if *value { "yes" } else { "no" }.to_owned()),
        Value::Number(value) => leaf(value.to_string()),
        Value::String(value) => leaf(value.clone()),
        Value::Array(values) if values.is_empty() => leaf("empty".to_owned()),
        Value::Object(values) if values.is_empty() => leaf("empty".to_owned()),
        // A list of plain words is one value: a command line, slots, days.
        Value::Array(values)
            if values.iter().all(|value| !value.is_array() && !value.is_object()) =>
        {
            let words: Vec<String> = values
                .iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect();
            leaf(words.join(", "));
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                // What has a name is known by it: another order is then no difference.
                let name = value.get("name").and_then(Value::as_str);
                let step = name.map_or_else(|| index.to_string(), str::to_owned);
                walk(value, &format!("{path}[{step}]"), leaves);
            }
        }
        Value::Object(values) => {
            for (name, value) in values {
                let dot = if path.is_empty() { "" } else { "." };
                walk(value, &format!("{path}{dot}{name}"), leaves);
            }
        }
    }
}

/// What differs between two trees, by path.
pub(crate) fn between(before: &Value, after: &Value) -> Vec<Differs> {
    let mut rows: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    for leaf in of(before) {
        rows.entry(leaf.path).or_default().0 = Some(leaf.value);
    }
    for leaf in of(after) {
        rows.entry(leaf.path).or_default().1 = Some(leaf.value);
    }
    let differing = rows.into_iter().filter(|(_, (before, after))| before != after);
    differing.map(|(path, (before, after))| Differs { path, before, after }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_compared_by_their_place_and_named_things_by_their_name() {
        let before =
            json!({"a": 1, "list": [{"name": "x", "n": 1}, {"name": "y", "n": 2}], "gone": null});
        let after = json!({"a": 2, "list": [{"name": "y", "n": 2}, {"name": "x", "n": 3}], "new": ["p", "q"]});
        let rows = between(&before, &after);
        let shown: Vec<String> = rows
            .iter()
            .map(|row| {
                format!("{} {:?} {:?}", row.path, row.before.as_deref(), row.after.as_deref())
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a Some(\"1\") Some(\"2\")",
                "gone Some(\"none\") None",
                "list[x].n Some(\"1\") Some(\"3\")",
                "new None Some(\"p, q\")",
            ]
        );
        assert_eq!(between(&after, &after), []);
    }
}

//! The bytes of a plan: the same declaration has the same bytes, on every machine, for ever.
//! Must never depend on the order of keys in memory, a clock, or where the repository lies.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tidegate_core::digest::{Component, Digest};
use tidegate_core::plan::Plan;

/// The plan could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the plan cannot be written as canonical JSON")]
pub struct Error(#[from] serde_json::Error);

/// The whole plan as JSON without spaces, keys in byte order.
///
/// # Errors
/// [`Error`] when a value has no JSON form, which no parsed plan has.
pub fn canonical(plan: &Plan) -> Result<Vec<u8>, Error> {
    bytes(&serde_json::to_value(plan)?)
}

/// The pieces that D binds, of a plan and the artifact that was built. Every byte of the plan but
/// the repository's address is in exactly one of them; pieces that are empty are absent.
///
/// # Errors
/// As [`canonical`].
pub fn components(plan: &Plan, artifact: &Digest) -> Result<BTreeMap<Component, Vec<u8>>, Error> {
    let mut rest = serde_json::to_value(plan)?;
    // The commit pins the content; a clone elsewhere is the same source.
    take(&mut rest, &["release", "repository"]);
    let source = take(&mut rest, &["release"]);
    let environment = take(&mut rest, &["scope"]);

    let mut config = vec![take(&mut rest, &["build", "env"])];
    let mut targets = Vec::new();
    for part in rest.get_mut("parts").and_then(Value::as_array_mut).into_iter().flatten() {
        config.push(take(part, &["run", "env"]));
        targets.push(take(part, &["slots"]));
    }
    let policy_keys: [&[&str]; 10] = [
        &["traffic", "advance_if"],
        &["traffic", "rollback_if"],
        &["traffic", "otherwise"],
        &["traffic", "floor"],
        &["traffic", "judging"],
        &["traffic", "confidence"],
        &["traffic", "at_least"],
        &["bake"],
        &["limits"],
        &["required"],
    ];
    let mut policy: Vec<Value> = policy_keys.iter().map(|path| take(&mut rest, path)).collect();
    // What a plan leaves out adds nothing, so that a plan of before has the bytes of before.
    let approve = take(&mut rest, &["approve"]);
    policy.extend(Some(approve).filter(|approve| !approve.is_null()));
    let mut change = take(&mut rest, &["change"]);
    let owners = take(&mut change, &["owners"]);
    let source = match change {
        Value::Null => source,
        change => Value::Array(vec![source, change]),
    };

    let mut pieces = BTreeMap::new();
    pieces.insert(Component::Source, bytes(&source)?);
    if let Value::String(owners) = owners {
        pieces.insert(Component::Owners, owners.into_bytes());
    }
    pieces.insert(Component::Environment, bytes(&environment)?);
    pieces.insert(Component::Config, bytes(&Value::Array(config))?);
    pieces.insert(Component::Targets, bytes(&Value::Array(targets))?);
    pieces.insert(Component::Policy, bytes(&Value::Array(policy))?);
    // What nobody took are the steps, so that a field added to the plan is bound at once.
    pieces.insert(Component::PlanSteps, bytes(&rest)?);
    pieces.insert(Component::Artifacts, artifact.as_str().as_bytes().to_vec());
    Ok(pieces)
}

/// Takes a value out of a tree; null when it is not there.
fn take(tree: &mut Value, path: &[&str]) -> Value {
    let Some((last, above)) = path.split_last() else {
        return Value::Null;
    };
    let mut place = tree;
    for key in above {
        match place.get_mut(*key) {
            Some(below) => place = below,
            None => return Value::Null,
        }
    }
    place.as_object_mut().and_then(|map| map.remove(*last)).unwrap_or(Value::Null)
}

fn bytes(value: &Value) -> Result<Vec<u8>, Error> {
    Ok(serde_json::to_vec(&sorted(value))?)
}

/// The value with the keys of every map in byte order. The order of `serde_json`'s own map depends
/// on a feature that any crate of the build may turn on, so each map is filled in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Object(map) => {
            let by_key: BTreeMap<&String, &Value> = map.iter().collect();
            let filled: Map<String, Value> =
                by_key.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            Value::Object(filled)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

//! `tidegate export`: the process as a picture, or written for another tool, with what became of
//! every value. Must never leave a value out silently, nor write one that means something else
//! over there.

mod argo;
mod github;
mod mermaid;

use serde::Serialize;

use crate::diagnostic::Diagnostics;
use crate::file::{self, Context, read_with};
use crate::format::ROOT;
use crate::import::How;
use crate::node::{Kind, Node};
use crate::report::Report;
use crate::resolve::Resolved;
use crate::show;

pub(crate) use mermaid::value_of;

/// What a process can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A Mermaid flowchart that `import mermaid` reads back as the same process.
    Mermaid,
    /// A workflow of GitHub Actions that has Tidegate carry the process out.
    GithubWorkflow,
    /// An Argo Rollout, with an `AnalysisTemplate` where its metrics can be asked for.
    ArgoRollout,
}

/// What became of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Its path in the configuration.
    pub path: String,
    /// Its value; lists as the file writes them on one line.
    pub value: String,
    /// Whether it is over there too.
    pub how: How,
    /// What is different, or why it is not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A process written for another tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The text.
    pub text: String,
    /// Every value of the configuration, in the order of the format.
    pub entries: Vec<Carried>,
}

impl Exported {
    /// How many values ended so.
    #[must_use]
    pub fn count(&self, how: How) -> usize {
        self.entries.iter().filter(|entry| entry.how == how).count()
    }
}

/// What an exporter says of one value.
struct Fate {
    how: How,
    why: String,
}

impl Fate {
    fn exact() -> Self {
        Self { how: How::Exact, why: String::new() }
    }

    fn near(why: &str) -> Self {
        Self { how: How::Approximated, why: why.to_owned() }
    }

    fn asks(why: impl Into<String>) -> Self {
        Self { how: How::NeedsAnswer, why: why.into() }
    }

    fn dropped(why: &str) -> Self {
        Self { how: How::Dropped, why: why.to_owned() }
    }
}

/// Writes a configuration for another tool.
///
/// # Errors
/// What is wrong with the configuration: one with an error in it is no process.
pub fn export(
    target: Target,
    source: &str,
    name: &str,
    context: &Context<'_>,
) -> Result<Exported, Diagnostics> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let parsed = read_with(source, name, context)?;
    let mut report = Report::for_purpose(name, source, context.purpose);
    let Some(resolved) = file::merged(source, context, &mut report) else {
        return Err(report.finish());
    };
    let values = values(&resolved);
    let plan = &parsed.plan;
    let text = match target {
        Target::Mermaid => mermaid::write(plan, &values),
        Target::GithubWorkflow => github::write(plan, &values),
        Target::ArgoRollout => argo::write(plan),
    };
    let entries = values.iter().map(|value| {
        let Fate { how, why } = match target {
            Target::Mermaid => Fate::exact(),
            Target::GithubWorkflow => github::fate(value),
            Target::ArgoRollout => argo::fate(value, plan),
        };
        Carried { path: value.path.clone(), value: value.text.clone(), how, why }
    });
    Ok(Exported { text, entries: entries.collect() })
}

/// A value at the end of a path of keys: a text, a list, or a map whose keys are no part of a path.
#[derive(Debug)]
struct Value {
    path: String,
    /// The value as YAML on one line.
    text: String,
}

impl Value {
    /// Whether it is a key or stands below it.
    fn is_under(&self, key: &str) -> bool {
        self.path
            .strip_prefix(key)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

/// The values of a configuration in its order, put together for its environment: what brought
/// them there is not repeated.
fn values(resolved: &Resolved) -> Vec<Value> {
    let mut found = Vec::new();
    let Kind::Map(entries) = &resolved.root.kind else { return found };
    for (key, node) in entries {
        let brought = matches!(key.text.as_str(), "extends" | "use") || key.text.starts_with("x-");
        if !brought {
            collect(node, &key.text, &mut found);
        }
    }
    found.retain(|value| !is_overlay(&value.path));
    if resolved.root.get("environment").is_none() {
        let text = show::scalar(&resolved.environment, false);
        let at = found.iter().position(|value| value.path == "service").map_or(0, |at| at + 1);
        found.insert(at, Value { path: "environment".to_owned(), text });
    }
    // As a draft has them: in the order of the format.
    let place = |value: &Value| {
        let root = value.path.split(['.', '[']).next();
        ROOT.iter().position(|key| Some(key.name) == root)
    };
    found.sort_by_key(place);
    found
}

/// `environments.NAME.use` and `.with`: what they say for this environment stands in its place.
fn is_overlay(path: &str) -> bool {
    let mut keys = path.split('.');
    keys.next() == Some("environments")
        && keys.nth(1).is_some_and(|key| key == "with" || key.split('[').next() == Some("use"))
}

fn collect(node: &Node, path: &str, found: &mut Vec<Value>) {
    match &node.kind {
        Kind::Map(entries)
            if !entries.is_empty() && entries.iter().all(|(k, _)| is_key(&k.text)) =>
        {
            for (key, value) in entries {
                collect(value, &crate::node::below(path, &key.text), found);
            }
        }
        _ => found.push(Value { path: path.to_owned(), text: flow(node) }),
    }
}

/// Whether a key can be a part of a path that is read back.
fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.trim() == key
        && !key.contains(['.', '[', ']', ':'])
        && !key.chars().any(char::is_control)
}

/// A value as YAML on one line.
fn flow(node: &Node) -> String {
    match &node.kind {
        _ if node.is_null() => "~".to_owned(),
        Kind::Scalar { text, plain } => show::scalar(text, *plain),
        Kind::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", show::scalar(&key.text, true), flow(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

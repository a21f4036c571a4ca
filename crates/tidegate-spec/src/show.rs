//! The values of a configuration after everything was put together, each with the place it is from.
//! Must never show a value that a reader would not get.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::diagnostic::{Diagnostics, Place};
use crate::file::{self, Context};
use crate::node::{Kind, Node};
use crate::report::{Report, Span};
use crate::resolve::Resolved;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Value {
    /// Its path: `traffic.steps[2]`.
    pub path: String,
    /// The text as written, with variables put in; empty for an empty list or map.
    pub value: String,
    /// The file it stands in; presets are named as `extends` names them.
    pub file: String,
    /// Its line there, from 1.
    pub line: u32,
    /// Places whose values it hides, the weakest first, as `file:line`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hides: Vec<String>,
}

/// A configuration as one.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// The environment that it was resolved for.
    pub environment: String,
    /// Every value, in the order of the file.
    pub values: Vec<Value>,
    /// The same as one file, with nothing left to look up.
    pub text: String,
}

/// Resolves a file without asking what its keys mean.
///
/// # Errors
/// What keeps it from being one tree.
pub fn show(source: &str, name: &str, context: &Context<'_>) -> Result<Shown, Diagnostics> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut report = Report::for_purpose(name, source, context.purpose);
    let resolved = file::tree(source, context, &mut report);
    match resolved {
        Some(resolved) if !report.has_errors() => Ok(shown(&resolved, &report)),
        _ => Err(report.finish()),
    }
}

fn shown(resolved: &Resolved, report: &Report<'_>) -> Shown {
    let place = |at: Span| {
        let Place { file, line, .. } = report.place(at);
        (file, line)
    };
    let mut hidden: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for shadowed in &resolved.shadowed {
        let (file, line) = place(shadowed.at);
        hidden.entry(&shadowed.path).or_default().push(format!("{file}:{line}"));
    }
    let mut values = Vec::new();
    leaves(&resolved.root, "", &mut |path, node, value| {
        let (file, line) = place(node.at);
        let hides = hidden.get(path).cloned().unwrap_or_default();
        values.push(Value { path: path.to_owned(), value, file, line, hides });
    });
    let mut text = String::new();
    write_node(&resolved.root, 0, &mut text);
    Shown { environment: resolved.environment.clone(), values, text }
}

/// Every text, and every list or map that has nothing in it.
fn leaves<'n>(node: &'n Node, path: &str, visit: &mut impl FnMut(&str, &'n Node, String)) {
    match &node.kind {
        Kind::Scalar { text, .. } => visit(path, node, text.clone()),
        Kind::List(items) if items.is_empty() => visit(path, node, String::new()),
        Kind::Map(entries) if entries.is_empty() => visit(path, node, String::new()),
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{path}[{}]", index + 1), visit);
            }
        }
        Kind::Map(entries) => {
            for (key, value) in entries {
                leaves(value, &crate::node::below(path, &key.text), visit);
            }
        }
    }
}

/// The value at a path, as text: a whole section is written as YAML.
#[must_use]
pub fn get(shown: &Shown, path: &str) -> Option<String> {
    if let Some(value) = shown.values.iter().find(|value| value.path == path) {
        return Some(value.value.clone());
    }
    let inside = |value: &&Value| {
        value.path.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    shown.values.iter().any(|value| inside(&value)).then(|| {
        let mut report = Report::new("", "");
        let root = crate::compose::compose(&shown.text, 0, &mut report);
        let mut text = String::new();
        if let Some(node) = root.as_ref().and_then(|root| root.at_path(path)) {
            write_node(node, 0, &mut text);
        }
        text
    })
}

/// What became of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// What it was; `None` when it is new.
    pub before: Option<String>,
    /// What it is; `None` when it is gone.
    pub after: Option<String>,
}

/// The values that differ, by path.
#[must_use]
pub fn changes(before: &Shown, after: &Shown) -> Vec<Change> {
    let table = |shown: &Shown| -> BTreeMap<String, String> {
        shown.values.iter().map(|value| (value.path.clone(), value.value.clone())).collect()
    };
    let (before, after) = (table(before), table(after));
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| Change {
            path: path.clone(),
            before: before.get(path).cloned(),
            after: after.get(path).cloned(),
        })
        .collect()
}

/// A tree as YAML that reads back as the same tree.
pub(crate) fn write_node(node: &Node, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match &node.kind {
        Kind::Scalar { text, plain } => {
            out.push_str(&pad);
            out.push_str(&scalar(text, *plain));
            out.push('\n');
        }
        Kind::List(items) if items.is_empty() => out.push_str("[]\n"),
        Kind::Map(entries) if entries.is_empty() => out.push_str("{}\n"),
        Kind::List(items) => {
            for item in items {
                out.push_str(&pad);
                out.push('-');
                nested(item, indent + 2, true, out);
            }
        }
        Kind::Map(entries) => {
            for (key, value) in entries {
                out.push_str(&pad);
                out.push_str(&scalar(&key.text, true));
                out.push(':');
                nested(value, indent + 2, false, out);
            }
        }
    }
}

/// A value behind `key:` or `-`: on the same line when it is short.
fn nested(node: &Node, indent: usize, in_list: bool, out: &mut String) {
    match &node.kind {
        Kind::Scalar { text, plain } => {
            let _infallible = writeln!(out, " {}", scalar(text, *plain));
        }
        Kind::List(items) if items.is_empty() => out.push_str(" []\n"),
        Kind::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Kind::List(_) | Kind::Map(_) if in_list => {
            let mut text = String::new();
            write_node(node, indent, &mut text);
            // The first line goes behind the dash.
            out.push(' ');
            out.push_str(text.trim_start());
        }
        Kind::List(_) | Kind::Map(_) => {
            out.push('\n');
            write_node(node, indent, out);
        }
    }
}

/// A text as YAML, in quotes where it would read as something else.
pub(crate) fn scalar(text: &str, plain: bool) -> String {
    if text.is_empty() && plain {
        return String::new();
    }
    let starts = text.starts_with([
        ' ', '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%',
        '@', '`', '~', '<', '=',
    ]);
    let inside = text.contains(": ")
        || text.contains(" #")
        || text.contains(['\n', '\t', '\r', '{', '}', '[', ']', ','])
        || text.chars().any(char::is_control);
    let ends = text.ends_with([':', ' ']);
    let reads = text.is_empty() || matches!(text, "null" | "Null" | "NULL");
    if starts || inside || ends || reads {
        return serde_json::to_string(text).unwrap_or_default();
    }
    text.to_owned()
}

//! Reads a map key by key and says at the end which keys nobody asked for.
//! Must never let an unknown key pass: a rule that is spelled wrong would silently not apply.

use crate::codes;
use crate::declared;
use crate::node::{Key, Kind, Node};
use crate::report::{Report, Span};
use crate::words;

/// Keys that are easily written one level too high or too low, and where they belong.
const HOMES: [(&str, &str); 18] = [
    ("advance_if", "traffic"),
    ("at_least", "traffic.each"),
    ("confidence", "traffic.each"),
    ("each", "traffic"),
    ("env", "deploy"),
    ("floor", "traffic"),
    ("instances", "deploy"),
    ("keep_previous", "after.watch"),
    ("lease", "traffic"),
    ("otherwise", "traffic"),
    ("port", "deploy"),
    ("probes", "deploy"),
    ("rollback_if", "traffic"),
    ("route", "traffic"),
    ("run", "deploy"),
    ("slots", "deploy"),
    ("smoke", "deploy"),
    ("watch", "after"),
];

/// One value with the path that people call it by: `traffic.each.for`.
#[derive(Debug, Clone)]
pub(crate) struct Field<'n> {
    pub(crate) path: String,
    pub(crate) node: &'n Node,
}

impl Field<'_> {
    /// What to point at.
    pub(crate) fn at(&self) -> Span {
        self.node.at
    }
}

/// The keys of one map.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    path: String,
    at: Span,
    entries: &'n [(Key, Node)],
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The keys of a value; no keys, and an error, when it is no map.
    pub(crate) fn of(field: &Field<'n>, report: &mut Report<'_>) -> Self {
        let entries: &'n [(Key, Node)] = match &field.node.kind {
            Kind::Map(entries) => entries,
            Kind::Scalar { .. } | Kind::List(_) => {
                wrong_kind(field, "a map of keys", report);
                &[]
            }
        };
        Self { path: field.path.clone(), at: field.at(), entries, known: Vec::new() }
    }

    /// The path of a key in this map.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// What to point at when the whole is meant.
    pub(crate) fn at(&self) -> Span {
        self.at
    }

    /// The value of a key that may be left away.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Field<'n>> {
        self.known.push(key);
        let (_, node) = self.entries.iter().find(|(k, _)| k.text == key)?;
        Some(Field { path: self.path(key), node })
    }

    /// The value of a key that must be given; an error when it is not.
    pub(crate) fn need(
        &mut self,
        key: &'static str,
        example: &str,
        report: &mut Report<'_>,
    ) -> Option<Field<'n>> {
        let field = self.get(key);
        if field.is_none() {
            let message = format!("`{}` is missing", self.path(key));
            report
                .error(codes::MISSING_KEY, self.at, message)
                .help(format!("write for example `{key}: {example}`"));
        }
        field
    }

    /// Whether a key is there, without having asked for it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k.text == key)
    }

    /// The value of a key, without having asked for it.
    pub(crate) fn peek(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// Where a key stands.
    pub(crate) fn key_at(&self, key: &str) -> Option<Span> {
        self.entries.iter().find(|(k, _)| k.text == key).map(|(k, _)| k.at)
    }

    /// Reports every key that was not asked for. Those in `later` have a meaning that this version
    /// does not serve; a key that begins with `x-` is a note of the writer.
    pub(crate) fn finish(self, later: &[&str], report: &mut Report<'_>) {
        for (key, node) in self.entries {
            let name = key.text.as_str();
            if self.known.contains(&name) || name.starts_with("x-") {
                continue;
            }
            let path = self.path(name);
            if later.contains(&name) {
                let message = format!("`{path}` is not served by this version");
                report.unserved(
                    &path,
                    key.at,
                    message,
                    "the file is refused because what you ask for would silently not happen; \
                     remove the key, or put `x-` before it to keep it as a note",
                );
                declared::check(&Field { path, node }, report);
                continue;
            }
            let finding = report.error(
                codes::UNKNOWN_KEY,
                key.at,
                format!("`{}` is not a key here", shorten(&path)),
            );
            let home = HOMES.iter().find(|(key, home)| *key == name && *home != self.path);
            match (words::nearest(name, self.known.iter().copied()), home) {
                (_, Some((_, home))) => finding.help(format!("it belongs under `{home}`")),
                (Some(meant), None) => finding.help(format!("did you mean `{meant}`?")),
                (None, None) => finding.help(format!("allowed are {}", words::list(&self.known))),
            }
        }
    }
}

/// Says that a value is of the wrong kind.
pub(crate) fn wrong_kind(field: &Field<'_>, wanted: &str, report: &mut Report<'_>) {
    let found = field.node.describe();
    let subject =
        if field.path.is_empty() { "the file".to_owned() } else { format!("`{}`", field.path) };
    let finding =
        report.error(codes::WRONG_KIND, field.at(), format!("{subject} is {found}, not {wanted}"));
    if field.node.is_null() && !field.path.is_empty() {
        finding.help("give it a value or remove the key");
    }
}

/// The text cut to a printable length.
pub(crate) fn shorten(text: &str) -> String {
    /// Longest foreign text repeated in a message.
    const CHARS_MAX: usize = 80;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    short.push_str("...");
    short
}

//! Makes one tree of a file, its preset, the files it uses and the environment it is read for.
//! Must never merge silently: whatever is not the last word keeps its place, so that
//! `config show --origin` can say where each value comes from and what it hides.
//!
//! The order, weakest first: the preset of `extends`, the files of `use` from the first to the last,
//! the file itself, the files of `environments.NAME.use`, `environments.NAME.with`. Maps are merged
//! key by key; a text or a list replaces what was there; an empty value takes the key away.

use std::collections::{BTreeMap, BTreeSet};

use crate::codes;
use crate::compose;
use crate::fields::{Field, shorten, wrong_kind};
use crate::node::{Kind, Node, below};
use crate::preset;
use crate::read;
use crate::report::{Report, Span};
use crate::source;
use crate::words;

/// Most files of one configuration, the first included.
pub(crate) const FILES_MAX: usize = 16;
/// Deepest chain of files that use files.
const DEPTH_MAX: usize = 8;
/// The environment when neither the file nor the caller names one.
pub(crate) const ENVIRONMENT: &str = "production";

/// A value that is not the last word.
#[derive(Debug, Clone)]
pub(crate) struct Shadowed {
    pub(crate) path: String,
    /// Where the value stands that does not count.
    pub(crate) at: Span,
}

/// One tree of all files.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) root: Node,
    /// The environment it was resolved for.
    pub(crate) environment: String,
    /// What was replaced on the way.
    pub(crate) shadowed: Vec<Shadowed>,
}

/// Other files by the path under which they are named.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Resolves a file that was composed already.
pub(crate) fn resolve<'s>(
    root: Node,
    environment: Option<&str>,
    files: &'s Files,
    report: &mut Report<'s>,
) -> Resolved {
    let mut reading = Reading { files, read: BTreeSet::new(), shadowed: Vec::new() };
    let environment = environment
        .or_else(|| root.get("environment").and_then(Node::text))
        .unwrap_or(ENVIRONMENT)
        .to_owned();
    let mut chain = Vec::new();
    let merged = reading.with_uses(root, &mut chain, report);
    let mut merged = match merged.get("extends").cloned() {
        Some(extends) => reading.with_preset(&extends, merged, report),
        None => merged,
    };
    if let Some(entry) = entry(&merged, &environment, report) {
        for named in uses(&entry, &format!("environments.{environment}.use"), report) {
            if let Some(other) = reading.include(&named, &mut chain, report) {
                merged = reading.merge("", merged, other, true);
            }
        }
        if let Some(with) = entry.get("with") {
            if matches!(with.kind, Kind::Map(_)) {
                merged = reading.merge("", merged, with.clone(), true);
            } else {
                let path = format!("environments.{environment}.with");
                wrong_kind(&Field { path, node: with }, "a map of keys", report);
            }
        }
    }
    Resolved { root: merged, environment, shadowed: reading.shadowed }
}

/// Files that a configuration names and the caller has not brought yet. Ask again with them: they
/// may name others.
#[must_use]
pub fn wanted(source: &str, files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    let texts = std::iter::once(source)
        .chain(files.values().filter_map(|bytes| std::str::from_utf8(bytes).ok()));
    for text in texts.filter(|text| text.len() <= source::SOURCE_BYTES_MAX) {
        // What is wrong with a file is said when it is read.
        let mut report = Report::new("", "");
        let Some(root) = compose::compose(text, 0, &mut report) else { continue };
        let mut named: Vec<&Node> = root.get("use").into_iter().collect();
        if let Some(Kind::Map(entries)) = root.get("environments").map(|node| &node.kind) {
            named.extend(entries.iter().filter_map(|(_, entry)| entry.get("use")));
        }
        if let Some(node) = root.get("window").and_then(|window| window.get("holidays")) {
            let field = Field { path: String::new(), node };
            wanted.extend(read::artifact_path(&field, &mut report));
        }
        for node in named {
            let Kind::List(items) = &node.kind else { continue };
            for item in items {
                let field = Field { path: String::new(), node: item };
                wanted.extend(read::artifact_path(&field, &mut report));
            }
        }
    }
    wanted.retain(|name| !files.contains_key(name));
    wanted.into_iter().take(FILES_MAX.saturating_sub(files.len())).collect()
}

struct Reading<'s> {
    files: &'s Files,
    read: BTreeSet<String>,
    shadowed: Vec<Shadowed>,
}

/// A file that another uses, with the place that says so.
struct Named {
    path: String,
    at: Span,
}

impl<'s> Reading<'s> {
    /// The files that a tree uses, below it.
    fn with_uses(&mut self, root: Node, chain: &mut Vec<String>, report: &mut Report<'s>) -> Node {
        let mut base: Option<Node> = None;
        for named in uses(&root, "use", report) {
            let Some(other) = self.include(&named, chain, report) else { continue };
            base = Some(match base {
                Some(base) => self.merge("", base, other, true),
                None => other,
            });
        }
        match base {
            Some(base) => self.merge("", base, root, true),
            None => root,
        }
    }

    fn with_preset(&mut self, extends: &Node, root: Node, report: &mut Report<'s>) -> Node {
        let field = Field { path: "extends".to_owned(), node: extends };
        let Some(text) = read::text(&field, report) else { return root };
        let Some(preset) = preset::named(text) else {
            let names = preset::names();
            let finding = report.error(
                codes::UNDECLARED,
                extends.at,
                format!("`{}` is not a preset", shorten(text)),
            );
            match words::nearest(text, names.iter().copied()) {
                Some(meant) => finding.help(format!("did you mean `{meant}`?")),
                None => finding.help(format!("presets are {}", words::list(&names))),
            }
            return root;
        };
        let index = report.add_source(preset.name, preset.text);
        match compose::compose(preset.text, index, report) {
            // What the file says hides nothing of a preset: a preset is there to be changed.
            Some(base) => merge("", base, root, false, &mut |_, _| {}),
            None => root,
        }
    }

    /// Reads one file and what it uses.
    fn include(
        &mut self,
        named: &Named,
        chain: &mut Vec<String>,
        report: &mut Report<'s>,
    ) -> Option<Node> {
        if let Some(from) = chain.iter().position(|path| *path == named.path) {
            let circle: Vec<&str> =
                chain.iter().skip(from).map(String::as_str).chain([named.path.as_str()]).collect();
            report
                .error(codes::INCLUDE_CYCLE, named.at, "these files use each other in a circle")
                .help(circle.join(" -> "));
            return None;
        }
        self.read.insert(named.path.clone());
        if chain.len() >= DEPTH_MAX || self.read.len() >= FILES_MAX {
            let message =
                format!("more than {FILES_MAX} files, or files that use files {DEPTH_MAX} deep");
            report.error(codes::INCLUDE, named.at, message);
            return None;
        }
        let Some((name, bytes)) = self.files.get_key_value(&named.path) else {
            let message = format!("`{}` cannot be read", named.path);
            report
                .error(codes::INCLUDE, named.at, message)
                .help("it must lie in the repository, beside or below the file that uses it");
            return None;
        };
        let text = match source::decode(bytes, name) {
            Ok(text) => text,
            Err(found) => {
                for finding in found.0 {
                    report.error(codes::INCLUDE, named.at, finding.message);
                }
                return None;
            }
        };
        let index = report.add_source(name, text);
        if !source::check(text, index, report) {
            return None;
        }
        let root = compose::compose(text, index, report)?;
        if !matches!(root.kind, Kind::Map(_)) {
            wrong_kind(&Field { path: named.path.clone(), node: &root }, "a map of keys", report);
            return None;
        }
        chain.push(named.path.clone());
        let root = self.with_uses(root, chain, report);
        chain.pop();
        Some(root)
    }

    fn merge(&mut self, path: &str, base: Node, over: Node, notes: bool) -> Node {
        let shadowed = &mut self.shadowed;
        merge(path, base, over, notes, &mut |path, at| {
            shadowed.push(Shadowed { path: path.to_owned(), at });
        })
    }
}

/// The files that a map uses, in order.
fn uses(root: &Node, path: &str, report: &mut Report<'_>) -> Vec<Named> {
    let Some(node) = root.get("use") else { return Vec::new() };
    let field = Field { path: path.to_owned(), node };
    let Some(items) = read::list(&field, report) else { return Vec::new() };
    let mut named = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = read::item(path, index, node);
        if let Some(path) = read::artifact_path(&item, report) {
            named.push(Named { path, at: node.at });
        }
    }
    named
}

/// The entry of `environments` for this environment; an error when there are some and none is it.
fn entry(root: &Node, environment: &str, report: &mut Report<'_>) -> Option<Node> {
    let all = root.get("environments")?;
    let Kind::Map(entries) = &all.kind else {
        wrong_kind(&Field { path: "environments".to_owned(), node: all }, "a map by name", report);
        return None;
    };
    if let Some((_, node)) = entries.iter().find(|(key, _)| key.text == environment) {
        return (!node.is_null()).then(|| node.clone());
    }
    let names: Vec<&str> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
    let message = format!("`{}` is not an environment of this service", shorten(environment));
    let finding = report.error(codes::UNDECLARED, all.at, message);
    match words::nearest(environment, names.iter().copied()) {
        Some(meant) => finding.help(format!("did you mean `{meant}`?")),
        None => finding.help(format!("environments are {}", words::list(&names))),
    }
    None
}

/// Keys that stay with the file they stand in.
const OWN: [&str; 2] = ["use", "extends"];

/// `over` on top of `base`.
fn merge(
    path: &str,
    base: Node,
    over: Node,
    notes: bool,
    shadowed: &mut dyn FnMut(&str, Span),
) -> Node {
    let at = over.at;
    match (base.kind, over.kind) {
        (Kind::Map(mut entries), Kind::Map(others)) => {
            if path.is_empty() {
                entries.retain(|(key, _)| !OWN.contains(&key.text.as_str()));
            }
            for (key, node) in others {
                let below = below(path, &key.text);
                let place = entries.iter().position(|(known, _)| known.text == key.text);
                match place {
                    Some(place) if node.is_null() => {
                        let (_, gone) = entries.remove(place);
                        shadowed(&below, gone.at);
                    }
                    Some(place) => {
                        let (_, old) = entries.remove(place);
                        let node = merge(&below, old, node, notes, shadowed);
                        entries.insert(place, (key, node));
                    }
                    None => entries.push((key, node)),
                }
            }
            Node { kind: Kind::Map(entries), at }
        }
        (_, kind) => {
            if notes {
                shadowed(path, base.at);
            }
            Node { kind, at }
        }
    }
}

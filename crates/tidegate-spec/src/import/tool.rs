//! Descriptions made for other tools, value by value: Argo Rollouts, Flagger, Kamal, Prometheus'
//! alert rules, OpenSLO, GitHub Actions. Must never take a value over whose meaning here would be another.

use super::binding::{self, Bound};
use super::draft::{self, Draft};
use super::runbook::checked;
use super::{Entry, How, Imported, Share};
use crate::compose;
use crate::fields::shorten;
use crate::node::{Kind, Node};
use crate::report::Report;

mod alerts;
mod argo;
mod flagger;
mod github;
mod kamal;
mod openslo;

/// Most documents of one file.
const DOCUMENTS_MAX: usize = 64;

/// A tool whose descriptions are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// An Argo Rollout, with its `AnalysisTemplate`s in the same file.
    ArgoRollout,
    /// A Flagger Canary.
    Flagger,
    /// Kamal's `deploy.yml`.
    Kamal,
    /// Alert rules of Prometheus, which Alertmanager sends.
    Alerts,
    /// An OpenSLO objective.
    Openslo,
    /// A workflow of GitHub Actions.
    GithubWorkflow,
}

/// One value of a description.
struct Leaf<'n> {
    /// Its path with `[]` in place of indexes.
    path: String,
    /// Its path with indexes.
    exact: &'n str,
    /// Its text; empty for an empty map or list.
    text: &'n str,
    /// The document it stands in.
    root: &'n Node,
    line: u32,
}

impl Leaf<'_> {
    /// The text of a neighbour: the last key of the path replaced by another.
    fn beside(&self, key: &str) -> Option<&str> {
        let (above, _) = self.exact.rsplit_once('.')?;
        self.root.at_path(&format!("{above}.{key}")).and_then(Node::text)
    }
}

/// Makes a draft of a description.
#[must_use]
pub fn tool(tool: Tool, text: &str, name: &str) -> Imported {
    let mut draft = Draft::new();
    draft.set("tidegate", "1");
    let mut entries = Vec::new();
    let mut first_line = 0_u32;
    for document in documents(text) {
        let mut report = Report::new(name, document);
        match compose::compose(document, 0, &mut report) {
            Some(root) if !report.has_errors() => {
                read(tool, &root, first_line, &mut draft, &mut entries);
            }
            _ => entries.push(unread(first_line, &report.finish().to_string())),
        }
        first_line += u32::try_from(document.lines().count() + 1).unwrap_or(u32::MAX);
    }
    complete(&mut draft);
    let draft = draft.write();
    let findings = checked(&draft);
    let numbers = Share {
        all: entries.iter().map(|entry| entry.numbers.len()).sum(),
        bound: entries.iter().map(|entry| entry.bound.len()).sum(),
    };
    Imported { draft, entries, boxes: Share::default(), numbers, repaired: 0, lost: 0, findings }
}

/// The YAML documents of a file.
fn documents(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while found.len() < DOCUMENTS_MAX {
        let (document, behind) = match rest.split_once("\n---\n") {
            Some((document, behind)) => (document, Some(behind)),
            None => (rest, None),
        };
        found.push(document);
        match behind {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    found
}

fn unread(line: u32, what: &str) -> Entry {
    Entry {
        line: line + 1,
        kind: "document".to_owned(),
        text: shorten(what.lines().next().unwrap_or_default()),
        how: How::Dropped,
        to: Vec::new(),
        value: String::new(),
        why: "it cannot be read as YAML".to_owned(),
        numbers: Vec::new(),
        bound: Vec::new(),
        findings: Vec::new(),
    }
}

fn read(tool: Tool, root: &Node, first_line: u32, draft: &mut Draft, entries: &mut Vec<Entry>) {
    let mut leaves: Vec<(String, &Node)> = Vec::new();
    collect(root, "", &mut leaves);
    for (exact, node) in leaves {
        let text = node.text().unwrap_or_default();
        let leaf = Leaf {
            path: without_indexes(&exact),
            exact: &exact,
            text,
            root,
            line: first_line + node.at.line,
        };
        let bound = match tool {
            Tool::ArgoRollout => argo::bind(&leaf, draft),
            Tool::Flagger => flagger::bind(&leaf, draft),
            Tool::Kamal => kamal::bind(&leaf, draft),
            Tool::Alerts => alerts::bind(&leaf, draft),
            Tool::Openslo => openslo::bind(&leaf, draft),
            Tool::GithubWorkflow => github::bind(&leaf, draft),
        };
        let bound = bound.unwrap_or_else(|| Bound::dropped("nothing here means the same"));
        let numbers: Vec<String> =
            if text.chars().any(|c| c.is_ascii_digit()) { vec![shorten(text)] } else { Vec::new() };
        let taken = matches!(bound.how, How::Exact | How::Approximated);
        entries.push(Entry {
            line: leaf.line,
            kind: "value".to_owned(),
            text: format!("{exact}: {}", shorten(text)),
            how: bound.how,
            to: bound.to,
            value: bound.value,
            why: bound.why,
            bound: if taken { numbers.clone() } else { Vec::new() },
            numbers,
            findings: Vec::new(),
        });
    }
}

/// Every text, and every map or list that has nothing in it: `pause: {}` says something.
fn collect<'n>(node: &'n Node, path: &str, found: &mut Vec<(String, &'n Node)>) {
    match &node.kind {
        Kind::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{path}[{}]", index + 1), found);
            }
        }
        Kind::Map(keys) if !keys.is_empty() => {
            for (key, value) in keys {
                collect(value, &crate::node::below(path, &key.text), found);
            }
        }
        _ => found.push((path.to_owned(), node)),
    }
}

fn without_indexes(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => {
                inside = true;
                plain.push_str("[]");
            }
            ']' => inside = false,
            _ if inside => {}
            c => plain.push(c),
        }
    }
    plain
}

/// A question that a person has to answer.
fn question(leaf: &Leaf<'_>, draft: &mut Draft, about: &str, words: &str) -> Bound {
    binding::ask(draft, leaf.line, about, words, "");
    Bound {
        how: How::NeedsAnswer,
        to: vec![about.to_owned()],
        value: String::new(),
        why: words.to_owned(),
    }
}

/// A name of a service, a metric or a gate.
fn name_of(text: &str) -> String {
    let plain = text.to_lowercase();
    let plain: String =
        plain.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-").chars().take(32).collect()
}

/// A rule, once.
fn rule(draft: &mut Draft, list: &str, text: &str) -> Bound {
    let path = format!("traffic.{list}");
    draft.add(&path, draft::plain(text));
    Bound::exact(&path, text)
}

/// A question to Prometheus that one rule uses. It must tell the new version from the live one, and
/// no description of another tool says by which label.
fn measured(leaf: &Leaf<'_>, draft: &mut Draft, name: &str, rule: &str) -> Bound {
    let about = format!("metrics.{name}");
    let words = format!(
        "which label tells the versions apart in `{}`? then add the rule `{rule}`",
        shorten(leaf.text)
    );
    question(leaf, draft, &about, &words)
}

/// A text that ends in a comparison with a number: what stands before it, the sign, the number.
fn compared(text: &str) -> Option<(&str, &str, &str)> {
    let signs = [">=", "<=", ">", "<"];
    let (at, sign) = signs.iter().filter_map(|sign| Some((text.rfind(sign)?, *sign))).max()?;
    let (before, rest) = (text.get(..at)?.trim(), text.get(at + sign.len()..)?.trim());
    rest.parse::<f64>().is_ok().then_some((before, sign, rest))
}

/// What a configuration needs and the description did not say.
fn complete(draft: &mut Draft) {
    if !draft.has("service") {
        draft.set_text("service", "service");
    }
    if !draft.has("deploy.slots") && !draft.has("deploy.run") {
        draft.set("deploy.slots", "{north: unbound, south: unbound}");
        binding::ask(draft, 1, "deploy.slots", "what runs the service: which command?", "");
    }
    if !draft.has("deploy.probes") {
        draft.set("deploy.probes", "{basic: {get: /health}}");
    }
    if draft.has("traffic.steps") {
        draft.add("traffic.steps", draft::plain("100%"));
    }
    if !draft.has("traffic.route") {
        draft.set("traffic.route", "{listen: \"127.0.0.1:8080\"}");
    }
}

#[cfg(test)]
mod tests {
    use super::{compared, documents, name_of, without_indexes};

    #[test]
    fn the_pieces_of_descriptions_are_found() {
        assert_eq!(without_indexes("a.b[12].c[1]"), "a.b[].c[]");
        assert_eq!(name_of("High Error-Rate!"), "high-error-rate");
        assert_eq!(documents("a: 1\n---\nb: 2\n"), ["a: 1", "b: 2\n"]);
        assert_eq!(compared("rate(x[5m]) >= 0.95"), Some(("rate(x[5m])", ">=", "0.95")));
        assert_eq!(compared("a > b"), None);
        assert_eq!(compared("up"), None);
    }
}

//! A configuration that grows line by line while a document is read.
//! Must never overwrite what an earlier line said: the first word stands, and the report says so.

use crate::compose;
use crate::format::ROOT;
use crate::node::{Key, Kind, Node};
use crate::report::{Report, Span};
use crate::show;

/// Most items of one list; a longer one is no runbook, and each is compared with all.
const ITEMS_MAX: usize = 500;

/// The draft.
#[derive(Debug)]
pub(crate) struct Draft {
    root: Node,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It stands in the draft.
    There,
    /// Something else stood there before.
    Taken,
}

impl Draft {
    pub(crate) fn new() -> Self {
        Self { root: Node { kind: Kind::Map(Vec::new()), at: Span::START } }
    }

    /// Whether something stands at a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.root.at_path(path).is_some()
    }

    /// The text at a path.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.root.at_path(path).and_then(Node::text)
    }

    /// Puts a value at a path; it is written as YAML would write it.
    pub(crate) fn set(&mut self, path: &str, value: &str) -> Placed {
        let Some(node) = snippet(value) else { return Placed::Taken };
        place(&mut self.root, path, node)
    }

    /// Puts a text at a path as it stands.
    pub(crate) fn set_text(&mut self, path: &str, text: &str) -> Placed {
        place(&mut self.root, path, plain(text))
    }

    /// Puts a value as one into an empty place: its keys are not taken for parts of a path.
    pub(crate) fn put(&mut self, path: &str, value: Node) -> Placed {
        within(&mut self.root, path, |there| {
            let empty = matches!(&there.kind, Kind::Map(keys) if keys.is_empty());
            if empty {
                *there = value;
            }
            if empty { Placed::There } else { Placed::Taken }
        })
    }

    /// Whether a question about a key is asked already.
    pub(crate) fn asks(&self, about: &str, question: &str) -> bool {
        let Some(Kind::List(items)) = self.root.get("ask").map(|node| &node.kind) else {
            return false;
        };
        items.iter().any(|item| {
            item.get("for").and_then(Node::text) == Some(about)
                && item.get("question").and_then(Node::text) == Some(question)
        })
    }

    /// Appends a value to the list at a path, once.
    pub(crate) fn add(&mut self, path: &str, value: Node) -> Placed {
        within(&mut self.root, path, |list| {
            if list.is_null() || matches!(&list.kind, Kind::Map(keys) if keys.is_empty()) {
                list.kind = Kind::List(Vec::new());
            }
            let Kind::List(items) = &mut list.kind else { return Placed::Taken };
            if items.len() >= ITEMS_MAX {
                return Placed::Taken;
            }
            let text = written(&value);
            if !items.iter().any(|item| written(item) == text) {
                items.push(value);
            }
            Placed::There
        })
    }

    /// Takes the value at a path away.
    pub(crate) fn take(&mut self, path: &str) -> Option<Node> {
        let (above, key) = path.rsplit_once('.').unwrap_or(("", path));
        if !self.has(path) {
            return None;
        }
        within(&mut self.root, above, |parent| {
            let Kind::Map(entries) = &mut parent.kind else { return None };
            let at = entries.iter().position(|(known, _)| known.text == key)?;
            Some(entries.remove(at).1)
        })
    }

    /// The draft as a file, its sections in the order of the format.
    pub(crate) fn write(mut self) -> String {
        if let Kind::Map(entries) = &mut self.root.kind {
            entries.sort_by_key(|(key, _)| {
                ROOT.iter().position(|known| known.name == key.text).unwrap_or(ROOT.len())
            });
        }
        let mut text = String::new();
        show::write_node(&self.root, 0, &mut text);
        text
    }
}

/// A text as a value.
pub(crate) fn plain(text: &str) -> Node {
    Node { kind: Kind::Scalar { text: text.trim().to_owned(), plain: false }, at: Span::START }
}

/// Keys with values as a value.
pub(crate) fn map(entries: &[(&str, &str)]) -> Node {
    let entries = entries.iter().map(|(key, value)| (key_of(key), plain(value))).collect();
    Node { kind: Kind::Map(entries), at: Span::START }
}

/// A value written as YAML.
pub(crate) fn snippet(text: &str) -> Option<Node> {
    let mut report = Report::new("", text);
    let node = compose::compose(text, 0, &mut report);
    node.filter(|_| !report.has_errors())
}

fn key_of(text: &str) -> Key {
    Key { text: text.to_owned(), at: Span::START }
}

fn written(node: &Node) -> String {
    let mut text = String::new();
    show::write_node(node, 0, &mut text);
    text
}

/// Looks at the value at a path, which is made when it is not there; a text that stands in the way
/// is replaced.
fn within<R>(node: &mut Node, path: &str, look: impl FnOnce(&mut Node) -> R) -> R {
    if path.is_empty() {
        return look(node);
    }
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    let mut entries = match std::mem::replace(&mut node.kind, Kind::List(Vec::new())) {
        Kind::Map(entries) => entries,
        Kind::Scalar { .. } | Kind::List(_) => Vec::new(),
    };
    let at = entries.iter().position(|(known, _)| known.text == key).unwrap_or_else(|| {
        entries.push((key_of(key), Node { kind: Kind::Map(Vec::new()), at: Span::START }));
        entries.len() - 1
    });
    // Boxed, because each level would otherwise be a type of its own.
    let look: Box<dyn FnOnce(&mut Node) -> R + '_> = Box::new(look);
    let result = within(&mut entries[at].1, rest, look);
    node.kind = Kind::Map(entries);
    result
}

fn place(root: &mut Node, path: &str, value: Node) -> Placed {
    if let Kind::Map(entries) = value.kind {
        let mut all = Placed::There;
        if entries.is_empty() {
            within(root, path, |_| ());
        }
        for (key, node) in entries {
            let below = format!("{path}.{}", key.text);
            if place(root, &below, node) == Placed::Taken {
                all = Placed::Taken;
            }
        }
        return all;
    }
    within(root, path, |there| {
        let empty = matches!(&there.kind, Kind::Map(keys) if keys.is_empty());
        if empty {
            *there = value;
            return Placed::There;
        }
        if written(there) == written(&value) { Placed::There } else { Placed::Taken }
    })
}

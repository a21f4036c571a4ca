//! The YAML tree with the text of every value as it was written.
//! Must never turn a value into another type by itself: `012`, `no` and `1.10` stay what they are
//! until a key says what it wants.

use crate::report::Span;

/// One value.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// What to point at.
    pub(crate) at: Span,
}

/// The three kinds of value.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A text; `plain` when it was written without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// Keys with values, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Span,
}

impl Node {
    /// Nothing was written.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a value that is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, v)| v),
            Kind::Scalar { .. } | Kind::List(_) => None,
        }
    }

    /// The value at a path of keys and indexes from 1: `traffic.steps[2]`.
    pub(crate) fn at_path(&self, path: &str) -> Option<&Self> {
        let mut node = self;
        for segment in path.split('.').filter(|segment| !segment.is_empty()) {
            let mut pieces = segment.split('[');
            let name = pieces.next().unwrap_or_default();
            if !name.is_empty() {
                node = node.get(name)?;
            }
            for index in pieces {
                let index: usize = index.strip_suffix(']')?.parse().ok()?;
                let Kind::List(items) = &node.kind else { return None };
                node = items.get(index.checked_sub(1)?)?;
            }
        }
        Some(node)
    }

    /// Every text in it with its path, in the order of the file.
    pub(crate) fn scalars<'n>(&'n self, path: &str, visit: &mut impl FnMut(&str, &'n Self)) {
        match &self.kind {
            Kind::Scalar { .. } => visit(path, self),
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.scalars(&format!("{path}[{}]", index + 1), visit);
                }
            }
            Kind::Map(entries) => {
                for (key, value) in entries {
                    value.scalars(&below(path, &key.text), visit);
                }
            }
        }
    }

    /// What it is, in words.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            _ if self.is_null() => "nothing",
            Kind::Scalar { .. } => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map of keys",
        }
    }

    /// Number of values in it, itself included.
    pub(crate) fn size(&self) -> usize {
        match &self.kind {
            Kind::Scalar { .. } => 1,
            Kind::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Kind::Map(entries) => {
                1 + entries.iter().map(|(_, node)| 1 + node.size()).sum::<usize>()
            }
        }
    }

    /// Levels in it, itself included.
    pub(crate) fn height(&self) -> usize {
        let below = match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(items) => items.iter().map(Self::height).max().unwrap_or(0),
            Kind::Map(entries) => entries.iter().map(|(_, node)| node.height()).max().unwrap_or(0),
        };
        1 + below
    }
}

/// The path of a key below a path.
pub(crate) fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

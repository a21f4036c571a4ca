//! `tidegate import`: other people's descriptions of a process become a draft of a configuration.
//! Must never drop a line silently: each comes back with what became of it, and why.

mod binding;
mod code;
mod document;
pub(crate) mod draft;
mod mermaid;
mod quantity;
mod rules;
mod runbook;
mod special;
mod threshold;
mod tool;

use serde::Serialize;

pub use runbook::{drawing, runbook};
pub use tool::{Tool, tool};

use crate::diagnostic::Diagnostic;

/// What became of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The draft does what the line says.
    Exact,
    /// The draft does something near; `why` says what is different.
    Approximated,
    /// A person must answer, or say so each time.
    NeedsAnswer,
    /// Not taken over; `why` says why.
    Dropped,
}

impl How {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Approximated => "approximated",
            Self::NeedsAnswer => "needs an answer",
            Self::Dropped => "dropped",
        }
    }
}

/// One line of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// From 1.
    pub line: u32,
    /// What it is: `box`, `bullet`, `step`, `row`, `prose`, `code`, `picture`, `heading`.
    pub kind: String,
    /// Its text, repaired.
    pub text: String,
    /// What became of it.
    pub how: How,
    /// Where it stands in the draft: paths of keys, or `phase:NAME`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The values that were written there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What is different, or why it was not taken over.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The numbers in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<String>,
    /// Those of them that the draft has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bound: Vec<String>,
    /// What the line gets wrong, as `TGxxxx: message`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

/// How much of something was bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Share {
    /// All of them.
    pub all: usize,
    /// Those that are bound to something executable.
    pub bound: usize,
}

/// A document that was imported.
#[derive(Debug, Clone, Serialize)]
pub struct Imported {
    /// The draft, a `tidegate.yaml`.
    pub draft: String,
    /// Every line with text in it, in order.
    pub entries: Vec<Entry>,
    /// Boxes of checklists.
    pub boxes: Share,
    /// Numbers.
    pub numbers: Share,
    /// Runs of characters whose broken encoding was repaired.
    pub repaired: usize,
    /// Runs of which something is lost.
    pub lost: usize,
    /// What `check` says of the draft.
    pub findings: Vec<Diagnostic>,
}

impl Imported {
    /// How many lines ended so.
    #[must_use]
    pub fn count(&self, how: How) -> usize {
        self.entries.iter().filter(|entry| entry.how == how).count()
    }
}

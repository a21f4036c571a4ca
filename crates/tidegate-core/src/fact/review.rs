//! What a code host says of how a release was reviewed and checked.
//! Must never count an approval of anything but the head that was merged.

use std::collections::BTreeMap;

/// The reviews of the pull request by which a commit came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reviews {
    /// Its number; `None` when the commit came by none.
    pub pull: Option<u64>,
    /// People whose newest review approves the merged head; its author is never among them.
    pub approved: Vec<String>,
    /// People whose newest review asks for changes.
    pub refused: Vec<String>,
    /// People who approved an earlier head and not the merged one.
    pub stale: Vec<String>,
    /// What the owners of touched paths say; `None` when nobody asked.
    pub owners: Option<Owners>,
}

/// What the owners of touched paths say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// Touched paths that have owners.
    pub owned: u64,
    /// Those of them that no owner approved, with their owners.
    pub open: Vec<(String, Vec<String>)>,
}

/// The checks of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ci {
    /// Those that must have passed.
    pub required: Vec<String>,
    /// How each check of the commit stands, by name.
    pub checks: BTreeMap<String, CheckRun>,
}

/// How a check stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckRun {
    /// It passed.
    Passed,
    /// It has not ended.
    Running,
    /// It ended otherwise, in the word of the host.
    Failed(String),
}

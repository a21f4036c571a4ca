//! What a release changes against what is live, as the repository says it.
//! Must never say whose approval that needs: that is the core's.

use tidegate_core::approval::Change;

/// What a release changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// By whom, and whose it is.
    pub change: Change,
    /// The touched paths themselves.
    pub paths: Vec<String>,
    /// The newest commits since the base, newest first; without a base none.
    pub commits: Vec<CommitLine>,
    /// How many commits there are since the base.
    pub commit_count: u64,
}

/// One commit as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitLine {
    /// Its short name.
    pub name: String,
    /// Who wrote it.
    pub author: String,
    /// Its first line.
    pub subject: String,
}

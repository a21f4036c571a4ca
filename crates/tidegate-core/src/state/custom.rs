//! What is known of the custom steps of a deployment: their records outlive their phase.
//! Must never hold what a step printed: that is a log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::PartName;
use crate::verdict::Outcome;

/// What a step left behind for those that need it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Values by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Digests of the files it made, by their path in its working copy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub artifacts: BTreeMap<String, Digest>,
}

impl Given {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.artifacts.is_empty()
    }
}

/// How far a custom step came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// When it began, or was left out.
    pub since: Timestamp,
    /// When it ended.
    pub until: Option<Timestamp>,
    /// The attempt that runs, or ran last.
    pub attempt: u32,
    /// How it stands.
    pub stands: StepStands,
    /// One line for people.
    pub summary: String,
    /// Where the candidate answered when it began, by part.
    pub targets: BTreeMap<PartName, String>,
    /// What it left behind.
    pub given: Given,
}

/// How a custom step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStands {
    /// It runs, or waits for its next attempt.
    Running,
    /// Nobody knows whether it was done.
    Lost,
    /// It ended.
    Ended(Outcome),
    /// It was not needed.
    Skipped,
}

impl StepStands {
    /// The word in every output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Lost => "lost",
            Self::Ended(outcome) => outcome.word(),
            Self::Skipped => "skipped",
        }
    }

    /// Whether what needs it may begin.
    #[must_use]
    pub fn lets_others_begin(self) -> bool {
        match self {
            Self::Ended(outcome) => outcome.allows_progress(),
            Self::Skipped => true,
            Self::Running | Self::Lost => false,
        }
    }
}

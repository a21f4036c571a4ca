//! Reports and gates as the API answers. Must never show a gate without saying why it stands so.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One gate.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Gate {
    /// Its name.
    pub(crate) name: String,
    /// `pass`, `fail`, `no-data`, `waived`, or `not-needed`.
    pub(crate) result: String,
    /// One line with the values.
    pub(crate) sentence: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
    /// Digests of the reports that were weighed.
    #[serde(default)]
    pub(crate) evidence: Vec<String>,
}

impl Gate {
    /// Whether it lets the release go on.
    pub(crate) fn open(&self) -> bool {
        matches!(self.result.as_str(), "pass" | "waived" | "not-needed")
    }
}

/// All gates of one release.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Gates {
    /// The service.
    pub(crate) service: String,
    /// Where it would run.
    pub(crate) environment: String,
    /// The version.
    pub(crate) version: String,
    /// The commit that it names.
    pub(crate) commit: String,
    /// The worst of all: `pass`, `fail`, `no-data`, `waived`; `not-required` without gates.
    pub(crate) result: String,
    /// One line for people.
    pub(crate) sentence: String,
    /// The gates, in the order of the file.
    pub(crate) gates: Vec<Gate>,
}

/// One report that is kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Report {
    /// SHA-256 of its bytes.
    pub(crate) digest: String,
    /// Its format, `junit`.
    pub(crate) format: String,
    /// The name under which it was added.
    pub(crate) name: String,
    /// The version that it is about.
    pub(crate) version: String,
    /// The commit that it is about.
    pub(crate) commit: String,
    /// Its length, bytes.
    pub(crate) bytes: u64,
    /// What it says, in one line.
    pub(crate) summary: String,
    /// When it was added.
    pub(crate) at: Timestamp,
    /// By whom.
    pub(crate) by: String,
}

/// Reports, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Reports {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The reports.
    pub(crate) reports: Vec<Report>,
}

/// A report held against its digest.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Checked {
    /// SHA-256 of the bytes that were added.
    pub(crate) digest: String,
    /// The name under which it was added.
    pub(crate) name: String,
    /// What is wrong with it; absent when it is unchanged.
    pub(crate) problem: Option<String>,
}

/// All reports of a service held against their digests.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct CheckedReports {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// One entry a report.
    pub(crate) reports: Vec<Checked>,
}

/// A gate was set aside.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Waived {
    /// The service.
    pub(crate) service: String,
    /// Where.
    pub(crate) environment: String,
    /// The gate.
    pub(crate) gate: String,
    /// The version.
    pub(crate) version: String,
    /// The commit that it names.
    pub(crate) commit: String,
    /// Until then.
    pub(crate) until: Timestamp,
}

//! The report on a deployment: what was done, by whom, on what evidence, and what it cost.
//! Must never hold a judgement that the journal does not hold.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::evidence::{Gate, Report as Evidence};
use super::{Phase, Verdict};

/// Version of [`Report`].
pub(crate) const REPORT_SCHEMA: u32 = 1;

/// Everything that a report says.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentReport)]
pub(crate) struct Report {
    /// Version of this form.
    pub(crate) schema: u32,
    /// The deployment.
    pub(crate) deployment: String,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The version that it brought.
    pub(crate) version: String,
    /// The version that was live before.
    pub(crate) from: Option<String>,
    /// How it ended in one word, or what it is at.
    pub(crate) state: String,
    /// The same in one sentence.
    pub(crate) sentence: String,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// Who began it.
    pub(crate) started_by: String,
    /// When it ended; absent while it runs: the report is of that moment then.
    pub(crate) ended_at: Option<Timestamp>,
    /// When the report was written.
    pub(crate) written_at: Timestamp,
    /// The repository.
    pub(crate) repository: String,
    /// The commit.
    pub(crate) commit: String,
    /// Digest of the artifact.
    pub(crate) artifact: Option<String>,
    /// D, the digest of all that ran.
    pub(crate) binding: Option<String>,
    /// The phases with how long each took.
    pub(crate) phases: Vec<Phase>,
    /// The gates.
    pub(crate) gates: Vec<Gate>,
    /// Reports that the gates rest on, by their digest.
    pub(crate) evidence: Vec<Evidence>,
    /// What people did, in order.
    pub(crate) people: Vec<Did>,
    /// The judge's last word before the end.
    pub(crate) verdict: Option<Verdict>,
    /// Requests that met the new version.
    pub(crate) exposed: Option<u64>,
    /// The way back, where it went back.
    pub(crate) back: Option<WayBack>,
    /// Everything that happened, in order.
    pub(crate) timeline: Vec<Did>,
    /// Where the journal has it.
    pub(crate) journal: Place,
}

/// Something that somebody did.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Did {
    /// When.
    pub(crate) at: Timestamp,
    /// Who.
    pub(crate) by: String,
    /// What, in words.
    pub(crate) text: String,
}

/// A way back, measured.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct WayBack {
    /// When it was decided.
    pub(crate) at: Timestamp,
    /// Who decided.
    pub(crate) by: String,
    /// Why, with the numbers.
    pub(crate) why: String,
    /// From the first users to the decision, milliseconds; absent when none had met it.
    pub(crate) decided_ms: Option<i64>,
    /// From the decision until no new request reached the new version, milliseconds.
    pub(crate) safe_ms: Option<i64>,
}

/// A stretch of the journal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = JournalPlace)]
pub(crate) struct Place {
    /// The stream.
    pub(crate) stream: String,
    /// Sequence of the first event.
    pub(crate) first_seq: u64,
    /// Sequence of the newest.
    pub(crate) last_seq: u64,
}

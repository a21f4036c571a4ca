//! What is asked of the journal as a whole: entries, searches, numbers of delivery.
//! Must never hold a number without saying what it was counted from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Row;

/// Entries of the journal, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = JournalEntries)]
pub(crate) struct Entries {
    /// The entries that fit.
    pub(crate) entries: Vec<Entry>,
    /// How many were looked at for them.
    pub(crate) searched: u64,
    /// The time of the oldest that was looked at.
    pub(crate) back_to: Option<Timestamp>,
    /// `before` of the page behind this one; absent at the beginning of the journal.
    pub(crate) next: Option<u64>,
}

/// One entry.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = JournalEntry)]
pub(crate) struct Entry {
    /// Its place among the entries of all services.
    pub(crate) position: u64,
    /// Its service; absent when that cannot be read.
    pub(crate) service: Option<String>,
    /// Where that runs.
    pub(crate) environment: Option<String>,
    /// The deployment that it is about, where it is about one.
    pub(crate) deployment: Option<String>,
    /// Position in its stream; absent when it cannot be read.
    pub(crate) seq: Option<u64>,
    /// When it was decided.
    pub(crate) at: Option<Timestamp>,
    /// Who caused it.
    pub(crate) actor: Option<String>,
    /// The kind, `phase_entered`; `damaged` when it cannot be read.
    pub(crate) kind: String,
    /// What happened in words, with the values; what is wrong with it when it is damaged.
    pub(crate) text: String,
    /// The event as it stands in the journal.
    #[schema(value_type = Option<Object>)]
    pub(crate) event: Option<serde_json::Value>,
}

/// What a search found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = SearchResult)]
pub(crate) struct Found {
    /// The deployments that fit, newest first.
    pub(crate) deployments: Vec<Row>,
    /// How many were looked at for them.
    pub(crate) searched: u64,
    /// `before` of the page behind this one; absent at the end.
    pub(crate) next: Option<String>,
}

/// Numbers of delivery over a time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Insights {
    /// From when.
    pub(crate) from: Timestamp,
    /// Until when.
    pub(crate) to: Timestamp,
    /// Deployments that ended in it and were counted.
    pub(crate) deployments: u64,
    /// Whether there were more than are counted: the oldest are left out then.
    pub(crate) cut: bool,
    /// The delivery numbers, each with its definition.
    pub(crate) dora: Vec<Figure>,
    /// By service and environment.
    pub(crate) services: Vec<PerService>,
    /// Ways back, newest first.
    pub(crate) rollbacks: Vec<Back>,
    /// How long people took.
    pub(crate) approvals: Approvals,
    /// How often each gate said what, by `service/gate`.
    pub(crate) gates: BTreeMap<String, GateUse>,
}

/// One number with what it means.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Figure {
    /// Its name.
    pub(crate) name: String,
    /// The value in words with its unit; absent when there is nothing to count.
    pub(crate) value: Option<String>,
    /// The bare number, in `unit`.
    pub(crate) number: Option<f64>,
    /// Its unit.
    pub(crate) unit: String,
    /// What is counted, and what is not.
    pub(crate) definition: String,
}

/// A service in those numbers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PerService {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// Deployments that ended with the new version live.
    pub(crate) succeeded: u64,
    /// Deployments that users had met and that went back.
    pub(crate) failed: u64,
    /// Deployments that ended before any user met them.
    pub(crate) stopped: u64,
    /// Median length of those that succeeded, milliseconds.
    pub(crate) median_ms: Option<i64>,
    /// Median time from the decision to go back until users were safe, milliseconds.
    pub(crate) safe_ms: Option<i64>,
}

/// A way back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Back {
    /// The deployment.
    pub(crate) deployment: String,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The version that went back.
    pub(crate) version: String,
    /// When it was decided.
    pub(crate) at: Timestamp,
    /// Who decided.
    pub(crate) by: String,
    /// Why, in one line.
    pub(crate) why: String,
    /// From the first user's request to the decision, milliseconds; absent when none met it.
    pub(crate) decided_ms: Option<i64>,
    /// From the decision until users were safe, milliseconds; absent when none met it.
    pub(crate) safe_ms: Option<i64>,
    /// How it ended.
    pub(crate) ending: String,
}

/// How long people took.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = ApprovalTimes)]
pub(crate) struct Approvals {
    /// Deployments that waited for people.
    pub(crate) asked: u64,
    /// Approvals that were given.
    pub(crate) given: u64,
    /// Given within ten seconds of the question.
    pub(crate) hasty: u64,
    /// Refusals.
    pub(crate) refused: u64,
    /// Median time from the question to an approval, milliseconds.
    pub(crate) median_ms: Option<i64>,
    /// Nine of ten came within this, milliseconds.
    pub(crate) p90_ms: Option<i64>,
}

/// How often a gate said what.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct GateUse {
    /// Times it was weighed.
    pub(crate) weighed: u64,
    /// Times it passed.
    pub(crate) passed: u64,
    /// Times it failed.
    pub(crate) failed: u64,
    /// Times there was no data.
    pub(crate) no_data: u64,
    /// Times it was set aside.
    pub(crate) waived: u64,
    /// What follows from that, in one sentence.
    pub(crate) sentence: String,
    /// The newest times, newest first.
    pub(crate) newest: Vec<Weighed>,
}

/// One time that a gate was weighed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Weighed {
    /// For which deployment.
    pub(crate) deployment: String,
    /// Of which version.
    pub(crate) version: String,
    /// When.
    pub(crate) at: Timestamp,
    /// `pass`, `fail`, `no-data`, `waived`, or `not-needed`.
    pub(crate) result: String,
    /// One line with the values.
    pub(crate) sentence: String,
}

//! Checklists as the API answers. Must never show a box as closed without saying by what.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The checklists of a deployment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Checklists {
    /// The deployment.
    pub(crate) deployment: String,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The version.
    pub(crate) version: String,
    /// How many boxes are closed, and what of the mandatory ones is missing, in one line.
    pub(crate) sentence: String,
    /// Boxes that are closed.
    pub(crate) closed: u64,
    /// Boxes of all lists.
    pub(crate) all: u64,
    /// Mandatory boxes that are not closed: a deployment succeeds only when there are none.
    pub(crate) missing: u64,
    /// The lists, in the order of the file.
    pub(crate) lists: Vec<List>,
}

/// One list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Checklist)]
pub(crate) struct List {
    /// Its name, `before`.
    pub(crate) name: String,
    /// Its boxes, in order.
    pub(crate) boxes: Vec<Tick>,
}

/// One box.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ChecklistBox)]
pub(crate) struct Tick {
    /// How `attest` names it, `before.3`.
    pub(crate) name: String,
    /// The words of the runbook.
    pub(crate) words: String,
    /// Its line there.
    pub(crate) line: Option<u32>,
    /// Whether a deployment succeeds only with it.
    pub(crate) mandatory: bool,
    /// `closed`, `open` or `failed`.
    pub(crate) state: String,
    /// What closes it, in words.
    pub(crate) proof: String,
    /// Why it stands so.
    pub(crate) sentence: String,
    /// The command that closes it, when a person can.
    pub(crate) help: Option<String>,
    /// Until when somebody's word for it counts; absent without an end.
    pub(crate) expires: Option<Timestamp>,
}

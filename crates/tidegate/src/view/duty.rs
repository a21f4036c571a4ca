//! Duties as the API shows them. Must never say that one is done of which nobody said so.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The duties of a service, in the order of its file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Duties {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// Each with how it stands.
    pub(crate) duties: Vec<Duty>,
}

/// One duty.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Duty {
    /// Its name.
    pub(crate) name: String,
    /// How often: `3 months`, `week`, `deployment`.
    pub(crate) every: String,
    /// Whose it is.
    pub(crate) owner: Option<String>,
    /// How it is done.
    pub(crate) run: Option<String>,
    /// What shows that it was done.
    pub(crate) evidence: Option<String>,
    /// What that must show.
    pub(crate) expect: Option<String>,
    /// Whether no release begins while it is overdue.
    pub(crate) blocks: bool,
    /// When it is due; absent is not before the next deployment ends.
    pub(crate) due: Option<Timestamp>,
    /// Whether its time is over.
    pub(crate) overdue: bool,
    /// The last time that it was done.
    pub(crate) last: Option<Done>,
}

/// That it was done once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = DutyDone)]
pub(crate) struct Done {
    /// When somebody said so.
    pub(crate) at: Timestamp,
    /// Who.
    pub(crate) by: String,
    /// What shows it.
    pub(crate) evidence: String,
}

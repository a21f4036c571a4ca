//! What a deployment would do, before there is one.
//! Must never promise: times and counts are what follows from the rules, if nothing holds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a deployment would do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Foreseen {
    /// The service.
    pub(crate) service: String,
    /// Where it would run.
    pub(crate) environment: String,
    /// The version.
    pub(crate) version: String,
    /// The commit that its tag names.
    pub(crate) commit: String,
    /// Digest over everything declared. D adds the artifact, once it is built.
    pub(crate) declared: String,
    /// The live version, which a rollback brings back.
    pub(crate) live: Option<String>,
    /// The deployment in flight, which would have to end first.
    pub(crate) in_flight: Option<String>,
    /// Whether `deploy` would accept it.
    pub(crate) deployable: bool,
    /// Keys that are declared and that this version does not carry out.
    pub(crate) unserved: Vec<String>,
    /// What happens, in order.
    pub(crate) phases: Vec<Foreseeable>,
    /// How traffic would move.
    pub(crate) steps: Vec<Step>,
    /// When the rules are disarmed at the earliest.
    pub(crate) ends_at: Timestamp,
    /// Warnings and notes on the configuration.
    #[schema(value_type = Vec<Object>)]
    pub(crate) diagnostics: Vec<tidegate_spec::Diagnostic>,
}

/// One phase.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Foreseeable {
    /// Its name.
    pub(crate) phase: String,
    /// What is done in it; *not required* when nothing is.
    pub(crate) does: String,
}

/// One step of traffic, if every rule lets it go on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ForeseenStep)]
pub(crate) struct Step {
    /// The candidate's share, percent.
    pub(crate) percent: f64,
    /// When it begins at the earliest.
    pub(crate) from: Timestamp,
    /// When it ends at the earliest.
    pub(crate) to: Timestamp,
    /// Requests that the candidate would answer in it, at the rate that was given.
    pub(crate) exposed: Option<u64>,
}

//! What a deployment would do, before there is one.
//! Must never promise: times and counts are what follows from the rules, if nothing holds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::approval::{Difference, Owned};
use super::calendar::Door;
use super::evidence::Gate;

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
    /// D, when the same commit was built here before; else it is known once it is built.
    pub(crate) binding: Option<String>,
    /// The live version, which a rollback brings back.
    pub(crate) live: Option<String>,
    /// The deployment in flight, which would have to end first.
    pub(crate) in_flight: Option<String>,
    /// Whether `deploy` would accept it.
    pub(crate) deployable: bool,
    /// Why it would not begin as things stand; absent when it would.
    pub(crate) refused: Option<String>,
    /// Keys that are declared and that this version does not carry out.
    pub(crate) unserved: Vec<String>,
    /// Whether it may begin now, or when.
    pub(crate) door: Door,
    /// How its gates stand now, all of them in one line.
    pub(crate) gates_sentence: String,
    /// How its gates stand now.
    pub(crate) gates: Vec<Gate>,
    /// What layers above the file added.
    pub(crate) layers: Vec<LayerAdded>,
    /// How much can go wrong, and why.
    pub(crate) risk: Risk,
    /// What changed against the live release; absent for a first deployment.
    pub(crate) change: Option<Delta>,
    /// What happens, in order.
    pub(crate) phases: Vec<Foreseeable>,
    /// Requests a second that exposure is counted by.
    pub(crate) rate: Option<Rate>,
    /// How traffic would move.
    pub(crate) steps: Vec<Step>,
    /// When the rules are disarmed at the earliest.
    pub(crate) ends_at: Timestamp,
    /// Everything that would be done, in order.
    pub(crate) calls: Vec<Call>,
    /// The way back.
    pub(crate) rollback: WayBack,
    /// Findings about whether what is declared can be kept: times, samples, copies.
    #[schema(value_type = Vec<Object>)]
    pub(crate) feasibility: Vec<tidegate_spec::Diagnostic>,
    /// Other warnings and notes on the configuration.
    #[schema(value_type = Vec<Object>)]
    pub(crate) diagnostics: Vec<tidegate_spec::Diagnostic>,
}

/// What is at stake with a deployment in flight, for who judges it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Stakes {
    /// How much can go wrong, and why.
    pub(crate) risk: Risk,
    /// What changed against the live release; absent for a first deployment.
    pub(crate) change: Option<Delta>,
    /// Requests a second that exposure is counted by.
    pub(crate) rate: Option<Rate>,
    /// How traffic would move from this moment on; empty once it moves.
    pub(crate) steps: Vec<Step>,
    /// How long the last way back took here.
    pub(crate) measured: Option<Measured>,
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
    /// Requests that the candidate would answer in it, at the rate.
    pub(crate) exposed: Option<u64>,
}

/// Requests a second.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Rate {
    /// How many.
    pub(crate) per_second: f64,
    /// From where: `given`, `measured`, `recorded` or `declared`.
    pub(crate) from: String,
}

/// What a layer above the file added.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct LayerAdded {
    /// `live`, `organisation` or `run`.
    pub(crate) layer: String,
    /// The version or the file that demands it.
    pub(crate) from: String,
    /// What, a line each.
    pub(crate) adds: Vec<String>,
}

/// How much can go wrong.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Risk {
    /// `low`, `medium` or `high`.
    pub(crate) level: String,
    /// Why, the weightiest first.
    pub(crate) reasons: Vec<RiskReason>,
}

/// One reason.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct RiskReason {
    /// What it makes of the risk.
    pub(crate) level: String,
    /// One line with the values.
    pub(crate) what: String,
}

/// What changed against the live release.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Delta {
    /// The live commit.
    pub(crate) base: String,
    /// The newest commits since, newest first.
    pub(crate) commits: Vec<Commit>,
    /// How many there are.
    pub(crate) commit_count: u64,
    /// How many paths are touched.
    pub(crate) paths: u64,
    /// The touched paths by who owns them.
    pub(crate) owned: Vec<Owned>,
    /// Touched paths that change the database.
    pub(crate) migrations: Vec<String>,
    /// Values of the configuration that differ.
    pub(crate) configuration: Vec<Difference>,
    /// Dependencies that differ.
    pub(crate) dependencies: Vec<Dependency>,
    /// What a plan for the infrastructure among the evidence would do.
    pub(crate) infrastructure: Vec<Infrastructure>,
    /// What could not be read, in words: it may have changed.
    pub(crate) unread: Vec<String>,
}

/// One commit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Commit {
    /// Its short name.
    pub(crate) name: String,
    /// Who wrote it.
    pub(crate) author: String,
    /// Its first line.
    pub(crate) subject: String,
}

/// A dependency that differs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Dependency {
    /// Its name.
    pub(crate) name: String,
    /// Its versions before; empty when it is new.
    pub(crate) before: Vec<String>,
    /// Its versions now; empty when it is gone.
    pub(crate) after: Vec<String>,
    /// The lock file or bill of materials that says so.
    pub(crate) file: String,
}

/// What a plan for the infrastructure would do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ForeseenInfrastructure)]
pub(crate) struct Infrastructure {
    /// The gate that weighs it.
    pub(crate) gate: String,
    /// Resources made.
    pub(crate) create: u64,
    /// Changed in place.
    pub(crate) update: u64,
    /// Removed and made anew.
    pub(crate) replace: Vec<String>,
    /// Removed.
    pub(crate) delete: Vec<String>,
}

/// One thing that would be done.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ForeseenCall)]
pub(crate) struct Call {
    /// The phase in which.
    pub(crate) phase: String,
    /// When, at the earliest.
    pub(crate) at: Timestamp,
    /// What.
    pub(crate) does: String,
}

/// The way back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct WayBack {
    /// The version that comes back; absent when there is none.
    pub(crate) to: Option<String>,
    /// Everything that would be done, in order, if it were rolled back in its last watch.
    pub(crate) calls: Vec<Call>,
    /// How long the last one took here.
    pub(crate) measured: Option<Measured>,
}

/// How long a rollback took.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Measured {
    /// The deployment that went back.
    pub(crate) deployment: String,
    /// When.
    pub(crate) at: Timestamp,
    /// From the decision until everything was on the previous revision and that had answered,
    /// seconds.
    pub(crate) seconds: f64,
}

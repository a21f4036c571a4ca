//! Services, slots, traffic, probes, the journal and the server itself, as the API answers.
//! Must never say that something is good that was not asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Part, Split};

/// One service in one environment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The live version.
    pub(crate) live: Option<String>,
    /// The deployment in flight.
    pub(crate) current: Option<String>,
    /// A deployment that waits for its turn.
    pub(crate) queued: Option<String>,
    /// What is happening and what ends it, in one sentence.
    pub(crate) sentence: String,
    /// Set when an invariant broke: the code and what was found.
    pub(crate) fault: Option<String>,
}

/// All services.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Services {
    /// One entry a service and environment.
    pub(crate) services: Vec<Service>,
}

/// The slots of a service.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Slots {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// Its parts.
    pub(crate) parts: Vec<Part>,
    /// CPU and memory by `part/slot`, where they could be read.
    pub(crate) usage: BTreeMap<String, Usage>,
}

/// How busy a slot is: the worst of its instances.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Usage {
    /// Percent of the processors it may use.
    pub(crate) cpu_percent: Option<f64>,
    /// Percent of its memory limit.
    pub(crate) memory_percent: Option<f64>,
}

/// What a rollback can bring back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Targets {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The live version.
    pub(crate) live: Option<String>,
    /// The deployment in flight: a rollback without a version ends it.
    pub(crate) current: Option<String>,
    /// What a rollback without a version brings back while nothing is in flight.
    pub(crate) default: Option<String>,
    /// Versions that were live and good, newest first.
    pub(crate) targets: Vec<Target>,
}

/// A version that was live and good.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Target {
    /// The version.
    pub(crate) version: String,
    /// Digest of its artifact.
    pub(crate) artifact: String,
    /// `live`, `hot` (runs), `warm` (some instances run) or `cold` (is started first).
    pub(crate) readiness: String,
    /// The deployment that brought it.
    pub(crate) deployment: String,
    /// When that ended.
    pub(crate) live_since: Timestamp,
    /// Whether it was rolled back for its own fault since.
    pub(crate) quarantined: bool,
}

/// How the requests of a service are divided.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Traffic {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// One entry a part that takes requests.
    pub(crate) parts: Vec<PartTraffic>,
}

/// How the requests of a part are divided.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PartTraffic {
    /// The part.
    pub(crate) part: String,
    /// Where its requests come in.
    pub(crate) url: Option<String>,
    /// Set, read back, observed.
    pub(crate) split: Option<Split>,
    /// What the data plane says at this moment: the generation in force.
    pub(crate) in_force: Option<u64>,
    /// What the data plane did by itself, if it did.
    pub(crate) overridden: Option<String>,
    /// Why the data plane could not be asked.
    pub(crate) unknown: Option<String>,
    /// Every split that was wanted, newest first.
    pub(crate) history: Vec<SplitChange>,
}

/// A split that was wanted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct SplitChange {
    /// The sequence of the event, which is the generation.
    pub(crate) generation: u64,
    /// When.
    pub(crate) at: Timestamp,
    /// Who caused it.
    pub(crate) actor: String,
    /// The shares by slot, percent; absent when every request is answered with 503.
    pub(crate) set: Option<BTreeMap<String, f64>>,
    /// When the data plane confirmed it.
    pub(crate) confirmed_at: Option<Timestamp>,
}

/// What asking gave.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Answers {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The worst of all: `pass`, `fail`, `no-data` or `waived`.
    pub(crate) outcome: String,
    /// One entry for each slot that was asked.
    pub(crate) answers: Vec<Answer>,
}

/// What asking one slot gave.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Answer {
    /// The part.
    pub(crate) part: String,
    /// The slot.
    pub(crate) slot: String,
    /// The version in it.
    pub(crate) version: String,
    /// `pass`, `fail`, `no-data` or `waived`.
    pub(crate) outcome: String,
    /// One line.
    pub(crate) summary: String,
}

/// What a verification of the journal counted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Verified {
    /// Always true: a journal that does not verify is answered with a problem.
    pub(crate) verified: bool,
    /// Events, each with its leaf.
    pub(crate) events: u64,
    /// Streams.
    pub(crate) streams: u64,
    /// Root of the tree over all leaves, lower-case hex.
    pub(crate) root: String,
}

/// The server.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Server {
    /// Its version.
    pub(crate) version: String,
    /// Its process id.
    pub(crate) pid: u32,
    /// When it started.
    pub(crate) started_at: Timestamp,
    /// The server's clock.
    pub(crate) now: Timestamp,
    /// Where it keeps everything.
    pub(crate) state_dir: String,
    /// The epoch that it writes with.
    pub(crate) epoch: u64,
    /// Services that it knows.
    pub(crate) services: usize,
    /// Whose requests it takes: the user who asks, by name.
    pub(crate) you: String,
    /// Where its pages are, when it listens on the network.
    #[serde(default)]
    pub(crate) pages: Option<String>,
    /// The address that it listens on, when it does.
    #[serde(default)]
    pub(crate) listening: Option<String>,
    /// The data plane.
    pub(crate) proxy: Proxy,
}

/// Whether the server does its work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Health {
    /// Always true: what is not well is answered with a problem.
    pub(crate) ok: bool,
}

/// The data plane as its supervisor sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Proxy {
    /// Whether it answered when it was last asked.
    pub(crate) running: bool,
    /// Its process id.
    pub(crate) pid: Option<u32>,
    /// How often this server had to start it.
    pub(crate) starts: u64,
    /// When it was last asked.
    pub(crate) asked_at: Option<Timestamp>,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
}

/// A configuration that was looked at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Checked {
    /// Whether a deployment would accept it.
    pub(crate) valid: bool,
    /// The service that it names, when it can be read.
    pub(crate) service: Option<String>,
    /// Everything found, in the order of the file.
    #[schema(value_type = Vec<Object>)]
    pub(crate) diagnostics: Vec<tidegate_spec::Diagnostic>,
    /// Paths of keys that it declares and this version does not carry out: a deployment is refused.
    #[serde(default)]
    pub(crate) unserved: Vec<String>,
}

/// What a collection removed, or would remove.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Collected {
    /// Whether it was only asked what would go.
    pub(crate) dry_run: bool,
    /// Sealed releases that went, by digest.
    pub(crate) artifacts: Vec<Gone>,
    /// What builds and suites of long ended deployments said, by deployment.
    pub(crate) logs: Vec<Gone>,
    /// Bytes of all of it.
    pub(crate) bytes: u64,
    /// Sealed releases that stay, by digest, each with why.
    pub(crate) kept: std::collections::BTreeMap<String, String>,
    /// Why no release was looked at, when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits_for: Option<String>,
}

/// One thing that went.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Gone {
    /// Its name.
    pub(crate) name: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// The end of the server was asked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Stopping {
    /// The process that ends.
    pub(crate) pid: u32,
    /// What goes on without it.
    pub(crate) keeps: String,
}

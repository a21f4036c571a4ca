//! What the engine needs of the world, as traits that journal and drivers implement.
//! A driver makes one attempt with a deadline: retry, backoff and giving up are core's decisions.
//! Must never name a vendor.

mod measures;
mod messages;
mod releases;
mod stored;
mod tags;
mod trail;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tidegate_core::approval::Facts;
use tidegate_core::digest::{Component, Digest};
use tidegate_core::effect::{ProbeTarget, Question, RouteTable};
use tidegate_core::event::Recorded;
use tidegate_core::fact::Format;
use tidegate_core::gate::{self, Found};
use tidegate_core::ids::{Actor, DeploymentId, PartName, Scope, SlotName};
use tidegate_core::input::SplitRead;
use tidegate_core::plan::{Part, Plan};
use tidegate_core::rights::Grant;
use tidegate_core::state::{SlotObserved, Tenant};
use tidegate_core::verdict::Outcome;
use tokio::io::AsyncRead;

pub use measures::{MetricSide, Metrics, RecordingName, Recordings, Sample};
pub use messages::Messages;
pub use releases::{Changed, CommitLine, Releases};
pub use stored::{DeploymentRow, JournalError, Placed, Snapshot, Verified};
pub use tags::Tags;
pub use trail::{Anchor, Proofs, Trail, TreeHead, Wanted, actor_text};
pub use work::{Backups, Steps};

/// The world said no.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    /// Whether to try again, and whom to tell.
    pub kind: FailureKind,
    /// `TGxxxx`, for people.
    pub code: &'static str,
    /// One line: who, which, the values needed to act. No secrets.
    pub what: String,
}

impl Failure {
    /// A failure that another attempt may not meet.
    pub fn retryable(code: &'static str, what: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Retryable, code, what: what.to_string() }
    }

    /// A failure that another attempt would meet again.
    pub fn permanent(code: &'static str, what: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Permanent, code, what: what.to_string() }
    }
}

/// What kind of no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Another attempt may succeed.
    Retryable,
    /// It will not.
    Permanent,
    /// This driver cannot do that at all.
    Unsupported,
    /// Not allowed.
    Denied,
    /// Somebody newer is in charge: a lower epoch or generation was refused.
    Conflict,
}

/// Where events are kept. The append is the only thing that makes anything true.
///
/// # Guarantees
/// After `append` returned `Ok`, the events survive the death of every process and of the power.
/// Each stream's sequence has no gaps. A writer with an old epoch appends nothing.
/// # Idempotency
/// None: an append whose reply was lost is found out by reading the stream again.
#[async_trait]
pub trait Journal: Send + Sync + fmt::Debug {
    /// Takes the writer's lease with a higher epoch than anyone before.
    ///
    /// # Errors
    /// [`JournalError::Held`] when another writer holds it.
    async fn acquire(&self, holder: &str, now: Timestamp) -> Result<u64, JournalError>;

    /// Appends all or nothing. `events` are numbered `expected + 1 ..`.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when the stream is not at `expected`,
    /// [`JournalError::Fenced`] when `epoch` is not the current one.
    async fn append(
        &self,
        scope: &Scope,
        expected: u64,
        epoch: u64,
        events: &[Recorded],
    ) -> Result<(), JournalError>;

    /// Events of a stream after a sequence, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when a row cannot be read: its stream alone is affected.
    async fn read(
        &self,
        scope: &Scope,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, JournalError>;

    /// All streams with their last sequence.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn streams(&self) -> Result<Vec<(Scope, u64)>, JournalError>;

    /// Keeps a snapshot; replaces the stream's older one. Losing it costs time, nothing else.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn put_snapshot(&self, scope: &Scope, snapshot: &Snapshot) -> Result<(), JournalError>;

    /// The newest snapshot, if any.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn snapshot(&self, scope: &Scope) -> Result<Option<Snapshot>, JournalError>;

    /// Deployments, newest first, at most `limit`, of one stream or of all; with `before` those that
    /// began before that one did, and none when there is none of that id.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn deployments(
        &self,
        scope: Option<&Scope>,
        before: Option<&DeploymentId>,
        limit: u32,
    ) -> Result<Vec<DeploymentRow>, JournalError>;

    /// Entries in the order in which they were written, newest first, at most `limit`, of one stream
    /// or of all; with `before` only those below that position. What cannot be read is an entry that
    /// says so.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn recent(
        &self,
        scope: Option<&Scope>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Placed>, JournalError>;

    /// Where a deployment's events are.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn find(&self, id: &DeploymentId) -> Result<Option<DeploymentRow>, JournalError>;

    /// Checks every leaf, every sequence and every root against the stored events.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] names the first entry that does not fit.
    async fn verify(&self) -> Result<Verified, JournalError>;
}

/// What runs the application.
///
/// # Idempotency
/// `ensure` states the desired end: doing it twice, or after a crash, is harmless.
/// # Assumptions
/// Whoever implements it keeps the application alive when Tidegate dies, and finds it again.
#[async_trait]
pub trait Runtime: Send + Sync + fmt::Debug {
    /// Brings the slot toward the tenant, or empties it. Returns when that is under way;
    /// `observe` tells when it is done. A smaller epoch than one seen before is refused.
    ///
    /// # Errors
    /// [`Failure`] when it cannot even begin.
    async fn ensure(
        &self,
        place: &Place,
        tenant: Option<&Tenant>,
        epoch: u64,
    ) -> Result<(), Failure>;

    /// What is in the slot.
    ///
    /// # Errors
    /// [`Failure`] when nothing can be said; that is not the same as an empty slot.
    async fn observe(&self, place: &Place) -> Result<SlotObserved, Failure>;

    /// How busy the slot's instances are.
    ///
    /// # Errors
    /// [`Failure`] when nothing can be said.
    async fn usage(&self, place: &Place) -> Result<Usage, Failure>;

    /// The last bytes of the slot's logs, at most `bytes_max`, oldest first.
    ///
    /// # Errors
    /// [`Failure`] when there are none to be had.
    async fn logs(&self, place: &Place, bytes_max: u64) -> Result<Vec<u8>, Failure>;
}

/// One slot of one part of one service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The service in its environment.
    pub scope: Scope,
    /// The part.
    pub part: PartName,
    /// The slot.
    pub slot: SlotName,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.scope, self.part, self.slot)
    }
}

/// How busy a slot is: the worst of its instances.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Usage {
    /// Percent of the processors it may use, 0 to 100.
    pub cpu_percent: Option<f64>,
    /// Percent of its memory limit, 0 and up.
    pub memory_percent: Option<f64>,
}

/// What divides user requests.
#[async_trait]
pub trait Traffic: Send + Sync + fmt::Debug {
    /// Makes the data plane serve this table. Returns when it was taken.
    ///
    /// # Errors
    /// [`FailureKind::Conflict`] when the data plane serves something newer or has acted itself.
    async fn ensure(&self, scope: &Scope, table: &RouteTable, epoch: u64) -> Result<(), Failure>;

    /// Says whether the data plane would take this table, and changes nothing.
    ///
    /// # Errors
    /// [`Failure`] why it would not, or when it does not answer.
    async fn rehearse(&self, scope: &Scope, table: &RouteTable, epoch: u64) -> Result<(), Failure>;

    /// What it serves for each part of a service.
    ///
    /// # Errors
    /// [`Failure`] when it does not answer.
    async fn read(&self, scope: &Scope) -> Result<BTreeMap<PartName, SplitRead>, Failure>;

    /// Says that the control plane lives, for these generations.
    ///
    /// # Errors
    /// [`Failure`] when it does not answer or serves another generation.
    async fn renew(
        &self,
        scope: &Scope,
        leases: &BTreeMap<PartName, u64>,
        epoch: u64,
    ) -> Result<(), Failure>;

    /// Statistics after a tick number, oldest first.
    ///
    /// # Errors
    /// [`Failure`] when it does not answer. An empty list is no statistics, never good ones.
    async fn ticks(
        &self,
        scope: &Scope,
        part: &PartName,
        after: u64,
    ) -> Result<Vec<TrafficTick>, Failure>;
}

/// One tick of a part's statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficTick {
    /// Its number, growing without gaps as long as the data plane lives.
    pub number: u64,
    /// End of the tick, milliseconds since the epoch.
    pub at_ms: u64,
    /// Its length, milliseconds.
    pub length_ms: u64,
    /// The generation that was in force at its end.
    pub generation: u64,
    /// What each slot served.
    pub slots: BTreeMap<SlotName, SlotTick>,
}

/// What one slot served in one tick.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlotTick {
    /// Requests that ended.
    pub requests: u64,
    /// Of those, failed: status 5xx, a failing gRPC status, no connection, no answer, cut short.
    pub failures: u64,
    /// Counts by cell of the latency histogram: `(cell, count)`.
    pub latency: Vec<(u16, u32)>,
    /// The same by instance, always in the same order; empty where instances are not told apart.
    pub instances: Vec<InstanceTick>,
}

/// What one instance served in one tick.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceTick {
    /// Requests that ended.
    pub requests: u64,
    /// Of those, failed.
    pub failures: u64,
    /// Counts by cell of the latency histogram.
    pub latency: Vec<(u16, u32)>,
}

/// What asks the application.
#[async_trait]
pub trait Checks: Send + Sync + fmt::Debug {
    /// Asks every probe of every instance until each has answered well, or has used up its
    /// retries after its start period, or `timeout` has passed.
    async fn probe(&self, targets: &[ProbeTarget], timeout: SignedDuration) -> CheckReport;

    /// Asks every probe of every instance once.
    async fn ask(&self, target: &ProbeTarget) -> Asked;

    /// Runs a part's smoke suite against one instance.
    async fn smoke(
        &self,
        deployment: &DeploymentId,
        part: &Part,
        artifact: &str,
        endpoint: &str,
        timeout: SignedDuration,
    ) -> CheckReport;
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The outcome. Nothing asked is no-data.
    pub outcome: Outcome,
    /// One line for people: what failed, at which instance, expected and found.
    pub summary: String,
    /// Whether another attempt may end otherwise.
    pub retryable: bool,
}

/// What one round of questions gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Questions asked.
    pub asked: u64,
    /// Of those, answered badly or not at all.
    pub failed: u64,
}

/// What keeps reports, and finds out what gates ask for.
///
/// # Guarantees
/// What was kept is found under its digest, unchanged, or not at all.
#[async_trait]
pub trait Evidence: Send + Sync + fmt::Debug {
    /// Keeps a report under the digest of its bytes, and reads it. Without a format it is known
    /// by its beginning.
    ///
    /// # Errors
    /// [`FailureKind::Permanent`] when it cannot be read or is too large: nothing is kept then.
    async fn keep(
        &self,
        name: &str,
        format: Option<Format>,
        bytes: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<Report, Failure>;

    /// The bytes of a report, held against their digest first.
    ///
    /// # Errors
    /// [`Failure`] when it is not kept, or its bytes are not those that were kept.
    async fn open(&self, digest: &Digest) -> Result<Box<dyn AsyncRead + Send + Unpin>, Failure>;

    /// Whether a report is kept unchanged.
    ///
    /// # Errors
    /// [`Failure`] when it is not kept, or its bytes are not those that were kept.
    async fn verify(&self, digest: &Digest) -> Result<(), Failure>;

    /// What there is to every gate of a question that can be answered here; a gate that is left
    /// out is answered elsewhere, or by nobody.
    async fn gather(&self, question: &Question) -> Vec<Found>;
}

/// A report that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its format.
    pub format: Format,
    /// Its length, bytes.
    pub bytes: u64,
    /// What it says, in one line.
    pub summary: String,
}

impl Report {
    /// Bound to the release that it is about.
    #[must_use]
    pub fn about(self, name: String, version: String, commit: String) -> gate::Evidence {
        let Self { digest, format, bytes, summary } = self;
        gate::Evidence { digest, format, name, version, commit, bytes, summary }
    }
}

/// The time, as an argument.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Computes D, the digest of all that will run.
pub trait Bind: Send + Sync + fmt::Debug {
    /// D over the declared plan and the artifact that was built from it, with its parts.
    fn bind(&self, plan: &Plan, artifact: &Digest) -> Bound;
}

/// D with the digests of its parts, to say later which of them changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// D.
    pub binding: Digest,
    /// Its parts.
    pub parts: BTreeMap<Component, Digest>,
}

/// Who people are and what they may do: the directory.
#[async_trait]
pub trait People: Send + Sync + fmt::Debug {
    /// What is known of accounts at this moment; who is missing is unknown.
    ///
    /// # Errors
    /// [`Failure`] when it does not answer: nobody counts then.
    async fn facts(
        &self,
        scope: &Scope,
        accounts: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Facts>, Failure>;

    /// What somebody may do at this moment: asked in the turn in which a command is decided, from
    /// memory, without waiting. Who is unknown may do nothing.
    fn grant(&self, actor: &Actor) -> Grant;
}

/// Everything the engine needs of the world.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Where events are kept.
    pub journal: Arc<dyn Journal>,
    /// What runs the application.
    pub runtime: Arc<dyn Runtime>,
    /// What divides user requests.
    pub traffic: Arc<dyn Traffic>,
    /// What turns a tag into bytes.
    pub releases: Arc<dyn Releases>,
    /// What asks the application.
    pub checks: Arc<dyn Checks>,
    /// What makes copies of data.
    pub backups: Arc<dyn Backups>,
    /// What carries out custom steps.
    pub steps: Arc<dyn Steps>,
    /// What other systems measure.
    pub metrics: Arc<dyn Metrics>,
    /// Where recordings of the judge are kept.
    pub recordings: Arc<dyn Recordings>,
    /// What keeps reports, and finds out what gates ask for.
    pub evidence: Arc<dyn Evidence>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// D.
    pub bind: Arc<dyn Bind>,
    /// Who people are.
    pub people: Arc<dyn People>,
    /// What brings messages to people and machines.
    pub messages: Arc<dyn Messages>,
}

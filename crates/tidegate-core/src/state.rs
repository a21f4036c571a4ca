//! What is known of a service in an environment: a fold over its events.
//! Must never be changed but by [`crate::apply`]; must never hold what no event said.

mod custom;
mod pairs;
mod phase;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::approval::{Attestation, Review, Rights, Vote};
use crate::backup::{DrillRecord, KeptBackup};
use crate::digest::{Component, Digest};
use crate::duty::Known;
use crate::event::{DeploymentKind, Ending, Target};
use crate::gate::{GateResult, Kept, Waiver};
use crate::ids::{Actor, DeploymentId, PartName, Revision, Scope, SlotName, StepName};
use crate::incident::Incident;
use crate::message::Outbox;
use crate::plan::{HoldEnd, Part, Plan, Protocol};
use crate::verdict::{Outcome, Verdict};
use crate::weight::Split;
use crate::window::Freeze;

pub use custom::{Given, StepRecord, StepStands};
pub use phase::{Phase, PhaseRecord, PhaseResult, Stage};

/// Ended deployments that are remembered; half of the places are for what a rollback goes back to.
pub const HISTORY_MAX: usize = 20;
/// Command keys remembered against repeats.
pub const KEYS_MAX: usize = 128;
/// Reports remembered as evidence, newest last: some 500 files of the newest releases. Older ones
/// are in the journal, and a deployment of their release asks for them again.
pub const EVIDENCE_MAX: usize = 2_048;
/// Waivers remembered, newest last.
pub const WAIVERS_MAX: usize = 256;
/// Tags remembered against being moved.
pub const TAGS_MAX: usize = 512;

/// Everything known of one service in one environment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Sequence of the last event; 0 before the first.
    pub seq: u64,
    /// Whose state this is; `None` before the first deployment.
    pub scope: Option<Scope>,
    /// The parts that exist, with their slots.
    pub parts: BTreeMap<PartName, PartState>,
    /// The deployment in flight.
    pub current: Option<Deployment>,
    /// A deployment that waits for the current one to go back.
    pub queued: Option<Queued>,
    /// Ended deployments, newest last.
    pub history: Vec<Ended>,
    /// Artifacts that failed in production.
    pub quarantine: Vec<Digest>,
    /// Which commit each tag named when it was first deployed.
    pub tags: BTreeMap<String, String>,
    /// Keys of commands that took effect, oldest first.
    pub keys: Vec<String>,
    /// Set when an invariant broke.
    pub fault: Option<Fault>,
    /// Reports that were added, oldest first.
    #[serde(default)]
    pub evidence: Vec<Kept>,
    /// Gates that were set aside, oldest first.
    #[serde(default)]
    pub waivers: Vec<Waiver>,
    /// Backups that are kept, oldest first.
    #[serde(default)]
    pub backups: Vec<KeptBackup>,
    /// Drills, oldest first.
    #[serde(default)]
    pub drills: Vec<DrillRecord>,
    /// What is known of duties, by name.
    #[serde(default)]
    pub duties: BTreeMap<String, Known>,
    /// Times without deployments that people called out, by the order in which they did.
    #[serde(default)]
    pub freezes: Vec<Freeze>,
    /// What was refused and waits for an answer, oldest first.
    #[serde(default)]
    pub reviews: Vec<Review>,
    /// What people are to be told, and were.
    #[serde(default)]
    pub outbox: Outbox,
    /// What went wrong, oldest first.
    #[serde(default)]
    pub incidents: Vec<Incident>,
}

impl State {
    /// The plan in flight, else the one that ended last.
    #[must_use]
    pub fn newest_plan(&self) -> Option<&Plan> {
        let current = self.current.as_ref().map(|current| current.plan.as_ref());
        current.or_else(|| self.history.last().map(|ended| ended.plan.as_ref()))
    }

    /// The plan of a deployment that is remembered.
    #[must_use]
    pub fn plan_of(&self, id: &DeploymentId) -> Option<&Plan> {
        let current = self.current.as_ref().filter(|current| current.id == *id);
        let current = current.map(|current| current.plan.as_ref());
        let queued = self.queued.as_ref().filter(|queued| queued.deployment == *id);
        let ended = self.history.iter().rev().find(|ended| ended.deployment == *id);
        current
            .or_else(|| queued.map(|queued| queued.plan.as_ref()))
            .or_else(|| ended.map(|ended| ended.plan.as_ref()))
    }
}

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The code.
    pub code: String,
    /// What was found.
    pub what: String,
    /// When.
    pub at: Timestamp,
}

/// A deployment that waits for its turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// Its id.
    pub deployment: DeploymentId,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// Who asked for it.
    pub actor: Actor,
    /// Whether a quarantined artifact was explicitly allowed.
    pub despite_quarantine: bool,
}

/// One part with its two slots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartState {
    /// The slots by name.
    pub slots: BTreeMap<SlotName, SlotState>,
    /// The slot that carries the live role.
    pub live: Option<SlotName>,
    /// How user requests are divided; `None` for a worker and before the first deployment.
    pub table: Option<TableState>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SlotState {
    /// What it is meant to run.
    pub want: Option<Tenant>,
    /// What was last seen in it.
    pub observed: SlotObserved,
    /// Since when it is meant to run this.
    pub wanted_at: Option<Timestamp>,
    /// Since when no instance is ready; `None` while one is.
    #[serde(default)]
    pub absent_since: Option<Timestamp>,
}

impl SlotState {
    /// Whether what was seen is what is wanted.
    #[must_use]
    pub fn settled(&self) -> bool {
        match &self.want {
            None => self.observed.total == 0,
            Some(tenant) => self.observed.runs(tenant) && self.observed.total == tenant.instances,
        }
    }

    /// Whether it runs what it is meant to, with every instance ready.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.want.as_ref().is_some_and(|tenant| self.observed.runs(tenant))
    }
}

/// What runs in a slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    /// Which bytes.
    pub revision: Revision,
    /// How they are run.
    pub part: Part,
    /// How many instances, 0 to the part's number.
    pub instances: u32,
}

/// What was seen in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlotObserved {
    /// Label of the revision that runs there.
    pub revision: Option<String>,
    /// Instances that accept work.
    pub ready: u32,
    /// Instances that exist, ready or not.
    pub total: u32,
    /// `address:port` of each instance that listens, in instance order.
    pub endpoints: Vec<String>,
    /// What is wrong, in one line.
    pub problem: Option<String>,
}

impl SlotObserved {
    /// Whether every instance of this tenant is ready.
    #[must_use]
    pub fn runs(&self, tenant: &Tenant) -> bool {
        tenant.instances == 0
            || (self.revision.as_deref() == Some(tenant.revision.label().as_str())
                && self.ready >= tenant.instances)
    }
}

/// How user requests of a part are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableState {
    /// The shares; `None` answers 503.
    pub split: Option<Split>,
    /// Where each share goes.
    pub backends: Vec<Backend>,
    /// Where to go back to without asking.
    pub fallback: Option<Split>,
    /// Whether the proxy goes back by itself when it hears nothing.
    pub leased: bool,
    /// The generation: the sequence of the event that wanted it.
    pub generation: u64,
    /// Whether it was read back.
    pub confirmed: bool,
    /// Since when it is wanted.
    pub wanted_at: Timestamp,
    /// Why the data plane does not serve it, while it does not.
    #[serde(default)]
    pub problem: Option<String>,
    /// The last override of the proxy that was adopted.
    pub adopted_override: Option<u64>,
}

/// Where a share goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The slot.
    pub slot: SlotName,
    /// Label of the revision in it.
    pub revision: String,
    /// `address:port` of its instances.
    pub endpoints: Vec<String>,
    /// What they speak.
    #[serde(default, skip_serializing_if = "Protocol::is_default")]
    pub protocol: Protocol,
}

/// One run of the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Why there is one.
    pub kind: DeploymentKind,
    /// All it will do.
    pub plan: Arc<Plan>,
    /// When it began.
    pub started_at: Timestamp,
    /// Who began it.
    pub started_by: Actor,
    /// The slot that each part uses.
    pub candidates: BTreeMap<PartName, SlotName>,
    /// What runs live and is gone back to; empty for the first deployment.
    pub targets: BTreeMap<PartName, Target>,
    /// Where the process is.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Timestamp,
    /// The phases that ended, in order.
    pub passed: Vec<PhaseRecord>,
    /// Tasks of the current phase.
    #[serde(with = "pairs")]
    pub tasks: BTreeMap<TaskId, TaskState>,
    /// The custom steps that began or were left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<StepName, StepRecord>,
    /// Digest of the artifact, once built.
    pub artifact: Option<Digest>,
    /// D, once known.
    pub binding: Option<Digest>,
    /// Digests of the parts of D, once known.
    pub parts: BTreeMap<Component, Digest>,
    /// The approvals of D, oldest first, one an account.
    pub votes: Vec<Vote>,
    /// What the directory said last of everybody who has a part in the decision.
    pub rights: Option<Rights>,
    /// What somebody vouched for.
    pub attested: BTreeMap<String, Attestation>,
    /// Who approved on the condition of a hold and has confirmed since.
    pub confirmed: Vec<Actor>,
    /// How its gates stood, once they were weighed.
    #[serde(default)]
    pub gates: Vec<GateResult>,
    /// Since when all parts carry the step's weight.
    pub converged_at: Option<Timestamp>,
    /// When a hold of the window ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    /// The last step that passed.
    pub step_passed: Option<u32>,
    /// The judge's last advice on the running step.
    pub verdict: Option<Verdict>,
    /// Set while nothing may go forward.
    pub hold: Option<Hold>,
    /// Set once the way back began.
    pub going_back: Option<GoingBack>,
}

impl Deployment {
    /// Whether the release is the first of its service: nothing to go back to, nothing to split.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.targets.is_empty()
    }

    /// Whether an earlier release comes back: no steps, no waiting for anyone.
    #[must_use]
    pub fn is_return(&self) -> bool {
        matches!(self.kind, DeploymentKind::Return { .. })
    }

    /// Whether an earlier release comes back that still runs.
    #[must_use]
    pub fn comes_back_hot(&self) -> bool {
        matches!(self.kind, DeploymentKind::Return { hot: true, .. })
    }

    /// The revision that it brings, once the artifact is pinned.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.artifact.as_ref().map(|artifact| Revision {
            version: self.plan.release.version.clone(),
            artifact: artifact.as_str().to_owned(),
        })
    }

    /// The number that verdicts carry for the current phase; `None` when nothing is judged.
    #[must_use]
    pub fn judged_step(&self) -> Option<u32> {
        match self.phase {
            Phase::Traffic { step } => Some(step),
            Phase::Bake => Some(u32::try_from(self.plan.traffic.steps.len()).unwrap_or(u32::MAX)),
            _ => None,
        }
    }
}

/// The way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoingBack {
    /// Why.
    pub reason: Reason,
    /// One line for people.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether user requests had reached the candidate.
    pub had_traffic: bool,
    /// Who asked, or Tidegate.
    pub by: Actor,
}

/// Why a deployment goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A rule fired.
    Verdict,
    /// A check of the candidate failed.
    Check,
    /// The candidate stopped running.
    CandidateLost,
    /// A hold reached its deadline.
    HoldExpired,
    /// A wait reached its deadline.
    TimedOut,
    /// A person asked.
    Person,
    /// A person ended it.
    Abort,
    /// A person refused it.
    Rejected,
    /// A newer deployment takes its place.
    Superseded,
    /// The data plane had gone back by itself.
    ProxyActed,
}

impl Reason {
    /// Whether the artifact itself is to blame: it is quarantined then.
    #[must_use]
    pub fn blames_the_artifact(self) -> bool {
        matches!(self, Self::Verdict | Self::Check | Self::CandidateLost)
    }
}

/// A piece of outside work that has an end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskId {
    /// The live revision answers its probes.
    CheckLive,
    /// The data plane could take the address that this release moves its part to.
    Address(PartName),
    /// Evidence is weighed.
    Gates,
    /// The release is exported, built and digested.
    Prepare,
    /// A backup is made and verified.
    Backup,
    /// The candidate of this part answers its probes.
    Health(PartName),
    /// The candidate of this part passes its suite.
    Smoke(PartName),
    /// The previous revision answers after a rollback.
    VerifyLive,
    /// A custom step of the plan.
    Custom(StepName),
}

impl TaskId {
    /// The words in every output.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::CheckLive => "the check of the live revision".to_owned(),
            Self::Address(part) => format!("the new address of {part}"),
            Self::Gates => "the gates".to_owned(),
            Self::Prepare => "the build".to_owned(),
            Self::Backup => "the backup".to_owned(),
            Self::Health(part) => format!("the health of {part}"),
            Self::Smoke(part) => format!("the smoke suite of {part}"),
            Self::VerifyLive => "the check after the rollback".to_owned(),
            Self::Custom(step) => format!("the step {step}"),
        }
    }
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    /// The attempt that runs, or ran last, from 1.
    pub attempt: u32,
    /// When the phase gave it out.
    pub since: Timestamp,
    /// What it is doing.
    pub progress: TaskProgress,
}

impl TaskState {
    /// The first attempt of a task that a phase gives out.
    pub(crate) fn given_out(since: Timestamp) -> Self {
        Self { attempt: 1, since, progress: TaskProgress::Running }
    }
}

/// What a task is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskProgress {
    /// An attempt is out.
    Running,
    /// The next attempt is due then.
    Waiting {
        /// Not before.
        until: Timestamp,
        /// What the last attempt said.
        said: String,
    },
    /// Nobody knows whether it was done.
    Lost {
        /// What is known.
        said: String,
    },
    /// It ended.
    Done {
        /// How.
        outcome: Outcome,
        /// One line for people.
        summary: String,
    },
}

/// Nothing goes forward until this ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Whose hold it is.
    pub cause: HoldCause,
    /// One line for people.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` only after a person was called.
    pub until: Option<Timestamp>,
    /// What happens then.
    pub then: HoldEnd,
}

/// Whose hold it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCause {
    /// A person's; only a person ends it.
    Person,
    /// The judge's; a better verdict ends it.
    Verdict,
    /// The data plane did not confirm; its confirmation ends it.
    Unconfirmed,
    /// Somebody approved on this condition; that person ends it.
    Condition,
    /// The window is closed, or a freeze is on; its opening ends it.
    Window,
    /// Nobody knows whether a step was done; a person's word ends it.
    Lost,
}

/// A deployment that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Its id.
    pub deployment: DeploymentId,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// Why there was one.
    pub kind: DeploymentKind,
    /// Digest of its artifact, if it came so far.
    pub artifact: Option<Digest>,
    /// When it began.
    pub started_at: Timestamp,
    /// Who began it.
    pub started_by: Actor,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub ending: Ending,
    /// One line for people.
    pub why: String,
    /// When the way back began.
    pub went_back_at: Option<Timestamp>,
    /// The phases that ended, in order.
    pub passed: Vec<PhaseRecord>,
    /// Who had approved it.
    pub approved_by: Vec<String>,
    /// Digests of the parts of D, if it came so far.
    pub parts: BTreeMap<Component, Digest>,
    /// Its custom steps, as they stood in the end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<StepName, StepRecord>,
}

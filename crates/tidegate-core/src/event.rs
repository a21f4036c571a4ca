//! What happened, in the past tense: the journal's content and the only thing that changes state.
//! Must never carry a sample, a secret or anything that can be derived from earlier events.
//!
//! Every kind is kept readable for ever: a field is added with a default, a kind is never reused.

mod cause;
mod ending;
mod kind;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::approval::{Category, Credential, Facts};
use crate::backup::{BackupRecord, DrillRecord};
use crate::digest::{Component, Digest};
use crate::gate::{Evidence, GateResult};
use crate::ids::{Actor, DeploymentId, IncidentId, PartName, SlotName, StepName};
use crate::incident::{ActionItem, Owed, Severity};
use crate::message::Message;
use crate::plan::{HoldEnd, Plan};
use crate::state::{
    Backend, Given, Hold, Phase, PhaseResult, Reason, SlotObserved, TaskId, Tenant,
};
use crate::verdict::{Outcome, Verdict};
use crate::weight::{Split, Weight};

pub use cause::{DeploymentKind, OverrideKind, Target};
pub use ending::Ending;

/// Version of the event encoding that this build writes.
pub const EVENT_SCHEMA: u32 = 1;

/// One line of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Position in its stream, from 1 without gaps.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The command's key: the same key takes effect once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What happened.
    pub event: Event,
}

/// Everything that can happen to a service in an environment.
#[expect(
    clippy::large_enum_variant,
    reason = "events are few and live shortly; a box would only blur the journal's types"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A deployment began. Nothing in the world has changed yet.
    DeploymentStarted {
        /// Its id.
        deployment: DeploymentId,
        /// Why there is one.
        kind: DeploymentKind,
        /// All it will do.
        plan: Arc<Plan>,
        /// The slot that each part will use.
        candidates: BTreeMap<PartName, SlotName>,
        /// What runs live and is gone back to: pinned for the whole deployment.
        targets: BTreeMap<PartName, Target>,
    },
    /// A newer deployment waits for this one to go back.
    DeploymentQueued {
        /// The waiting deployment.
        deployment: DeploymentId,
        /// Its plan.
        plan: Arc<Plan>,
        /// Whether a quarantined artifact was explicitly allowed.
        despite_quarantine: bool,
    },
    /// The process moved on.
    PhaseEntered {
        /// The deployment.
        deployment: DeploymentId,
        /// The phase that begins.
        phase: Phase,
        /// How the phase before it ended.
        before: PhaseResult,
    },
    /// One attempt of a task ended.
    TaskFinished {
        /// The deployment.
        deployment: DeploymentId,
        /// Which task.
        task: TaskId,
        /// Which attempt, from 1.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// One line for people.
        summary: String,
        /// Set when another attempt will follow: not before this time.
        retry_at: Option<Timestamp>,
    },
    /// The next attempt of a task is due.
    TaskRetried {
        /// The deployment.
        deployment: DeploymentId,
        /// Which task.
        task: TaskId,
        /// The attempt that begins.
        attempt: u32,
    },
    /// A custom step began.
    TaskBegan {
        /// The deployment.
        deployment: DeploymentId,
        /// Which.
        task: TaskId,
        /// Where the candidate answers, by part.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        targets: BTreeMap<PartName, String>,
    },
    /// Nobody knows whether an attempt was done.
    TaskLost {
        /// The deployment.
        deployment: DeploymentId,
        /// Which task.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
        /// What is known.
        why: String,
    },
    /// A person said what became of a lost attempt.
    TaskSettled {
        /// The deployment.
        deployment: DeploymentId,
        /// Which task.
        task: TaskId,
        /// Whether it was done; else it is done anew.
        done: bool,
        /// How they know.
        reason: String,
    },
    /// A custom step left something behind for others.
    StepGave {
        /// The deployment.
        deployment: DeploymentId,
        /// Which step.
        step: StepName,
        /// What.
        given: Given,
    },
    /// A custom step is not needed for this deployment.
    StepSkipped {
        /// The deployment.
        deployment: DeploymentId,
        /// Which step.
        step: StepName,
        /// Why not.
        why: String,
    },
    /// The artifact exists, and with it the digest of all that will run.
    ArtifactPinned {
        /// The deployment.
        deployment: DeploymentId,
        /// Digest of the artifact.
        artifact: Digest,
        /// D over everything declared.
        binding: Digest,
        /// Digests of the parts of D.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        parts: BTreeMap<Component, Digest>,
    },
    /// A report was added to what is known of a release.
    EvidenceAdded {
        /// The report, by its digest.
        evidence: Evidence,
    },
    /// A person set a gate aside for one version.
    GateWaived {
        /// The gate.
        gate: String,
        /// The version.
        version: String,
        /// The commit that it names.
        commit: String,
        /// Why.
        reason: String,
        /// Not longer than until then.
        until: Timestamp,
    },
    /// No deployment begins for a time.
    FreezeBegan {
        /// Its name; one of the same name is replaced.
        name: String,
        /// Why.
        reason: String,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// A freeze is over before its end.
    FreezeEnded {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A copy was made and read back.
    BackupMade {
        /// It.
        backup: BackupRecord,
    },
    /// A copy was restored into scratch and compared.
    BackupDrilled {
        /// How that went.
        drill: DrillRecord,
    },
    /// A person holds a copy beyond its time, or lets it go.
    BackupHeld {
        /// Which.
        id: String,
        /// Whether it is held.
        held: bool,
        /// Why.
        reason: String,
    },
    /// The time of a copy is over: its bytes go.
    BackupExpired {
        /// Which.
        id: String,
    },
    /// The bytes of a copy are gone.
    BackupDropped {
        /// Which.
        id: String,
    },
    /// Somebody vouched that a duty was done.
    DutyDone {
        /// Its name.
        duty: String,
        /// What shows it.
        evidence: String,
    },
    /// All gates of a deployment were held against what is known.
    GatesWeighed {
        /// The deployment.
        deployment: DeploymentId,
        /// How each stands, in the order of the plan.
        results: Vec<GateResult>,
    },
    /// Somebody agreed to exactly this D.
    ApprovalGiven {
        /// The deployment.
        deployment: DeploymentId,
        /// What was approved.
        binding: Digest,
        /// What was known of the account; journals of before accounts have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<Facts>,
        /// How they proved who they are.
        #[serde(default)]
        credential: Credential,
        /// Until when it counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Timestamp>,
        /// Hold before more than this share until they confirm.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        condition: Option<Weight>,
        /// What they wrote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Somebody took their approval back.
    ApprovalWithdrawn {
        /// The deployment.
        deployment: DeploymentId,
        /// Why.
        why: String,
    },
    /// The directory said who may approve, at the moment when it matters.
    RightsSeen {
        /// The deployment.
        deployment: DeploymentId,
        /// By the name of the account; who is missing is unknown to it.
        facts: BTreeMap<String, Facts>,
    },
    /// Somebody vouched for something that no machine can see.
    Attested {
        /// The deployment.
        deployment: DeploymentId,
        /// What, as the policy words it.
        item: String,
        /// What they wrote.
        note: Option<String>,
        /// Until when their word counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Timestamp>,
    },
    /// Who approved on the condition of a hold has looked, and lets it go on.
    ConditionConfirmed {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Somebody refused it: a review that another plan has to answer.
    ReviewOpened {
        /// The deployment.
        deployment: DeploymentId,
        /// What kind of fault.
        category: Category,
        /// Why.
        reason: String,
    },
    /// A slot is meant to run this, or nothing.
    SlotWanted {
        /// The part.
        part: PartName,
        /// The slot.
        slot: SlotName,
        /// What it is meant to run.
        tenant: Option<Tenant>,
    },
    /// A slot was seen in another condition than before.
    SlotChanged {
        /// The part.
        part: PartName,
        /// The slot.
        slot: SlotName,
        /// Its condition.
        observed: SlotObserved,
    },
    /// User requests are meant to be divided so. The event's sequence is the route generation.
    SplitWanted {
        /// The part.
        part: PartName,
        /// The shares; `None` answers every request with 503.
        split: Option<Split>,
        /// Where each share goes.
        backends: Vec<Backend>,
        /// Where to go back to without asking; `None` when there is nothing to go back to.
        fallback: Option<Split>,
        /// Whether the proxy must go back by itself when it hears nothing more.
        leased: bool,
    },
    /// The data plane read back exactly this generation.
    SplitConfirmed {
        /// The part.
        part: PartName,
        /// The generation.
        generation: u64,
    },
    /// The data plane cannot serve what is wanted of it.
    SplitRefused {
        /// The part.
        part: PartName,
        /// What it says, with its code.
        why: String,
    },
    /// The data plane was found with something else than what was confirmed.
    SplitLost {
        /// The part.
        part: PartName,
        /// What was found.
        found: String,
    },
    /// The data plane moved the traffic by itself. Adopted, never undone.
    SplitOverridden {
        /// The part.
        part: PartName,
        /// Number of the override at the proxy.
        sequence: u64,
        /// Why the proxy acted.
        kind: OverrideKind,
        /// What it says.
        why: String,
        /// The shares that it set.
        split: Option<Split>,
    },
    /// All parts carry the step's weight: the clock of the step starts.
    StepConverged {
        /// The deployment.
        deployment: DeploymentId,
        /// The step, from 0.
        step: u32,
    },
    /// A step is good.
    StepPassed {
        /// The deployment.
        deployment: DeploymentId,
        /// The step, from 0.
        step: u32,
        /// Set when a person went on before the rules allowed it: what was missing.
        bypassed: Option<String>,
    },
    /// Back to an earlier step's weight.
    StepBraked {
        /// The deployment.
        deployment: DeploymentId,
        /// The step that is returned to, from 0.
        to: u32,
        /// The judge's sentence.
        why: String,
    },
    /// The judge's advice changed.
    VerdictChanged {
        /// The deployment.
        deployment: DeploymentId,
        /// The advice with its numbers.
        verdict: Verdict,
    },
    /// Nothing goes forward until this ends.
    HoldBegan {
        /// The deployment.
        deployment: DeploymentId,
        /// Reason, deadline and default.
        hold: Hold,
    },
    /// The hold is over.
    HoldEnded {
        /// The deployment.
        deployment: DeploymentId,
        /// Why.
        why: String,
    },
    /// A hold reached its end and keeps its weights: a person is called.
    PersonCalled {
        /// The deployment.
        deployment: DeploymentId,
        /// What for.
        why: String,
        /// What the hold's end was declared to do.
        then: HoldEnd,
    },
    /// The way back began. Nothing goes forward after this.
    RollbackBegan {
        /// The deployment.
        deployment: DeploymentId,
        /// Why.
        reason: Reason,
        /// One line for people, with numbers.
        why: String,
    },
    /// The live role moved.
    RolesMoved {
        /// The part.
        part: PartName,
        /// The slot that is live; `None` for a part that the live release does not have.
        live: Option<SlotName>,
    },
    /// The deployment is over.
    DeploymentEnded {
        /// The deployment.
        deployment: DeploymentId,
        /// How.
        ending: Ending,
        /// One line for people.
        why: String,
    },
    /// Somebody is to be told something.
    MessageQueued {
        /// What, and whom.
        message: Message,
        /// Whether a person has to let it out first.
        #[serde(default)]
        draft: bool,
    },
    /// A message was taken.
    MessageSent {
        /// Its number.
        message: u64,
        /// Which attempt.
        attempt: u32,
        /// What the channel calls it.
        receipt: Option<String>,
    },
    /// An attempt of a message failed.
    MessageFailed {
        /// Its number.
        message: u64,
        /// Which attempt.
        attempt: u32,
        /// Why.
        why: String,
        /// Set when another attempt will follow: not before this time. Else it was given up.
        retry_at: Option<Timestamp>,
    },
    /// A message is to be sent: again, or after a person let it out.
    MessageRetried {
        /// Its number.
        message: u64,
        /// The attempt that begins.
        attempt: u32,
        /// What a person wrote in the place of its text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Nobody needs a message any more.
    MessageDropped {
        /// Its number.
        message: u64,
        /// Why.
        why: String,
    },
    /// Something went wrong in production.
    IncidentOpened {
        /// Its id.
        incident: IncidentId,
        /// How bad.
        severity: Severity,
        /// One line.
        title: String,
        /// The deployment that it came from.
        deployment: Option<DeploymentId>,
    },
    /// Somebody is on it.
    IncidentAcknowledged {
        /// Which.
        incident: IncidentId,
    },
    /// Nobody answered in time: the next are called.
    IncidentCalled {
        /// Which.
        incident: IncidentId,
        /// The rung of the ladder, from 0.
        rung: u32,
        /// Who is called; nobody by name where there is no ladder.
        who: Option<String>,
    },
    /// Somebody has a part in it.
    IncidentAssigned {
        /// Which.
        incident: IncidentId,
        /// What they do.
        role: String,
        /// Who.
        who: String,
    },
    /// Somebody wrote something down.
    IncidentNoted {
        /// Which.
        incident: IncidentId,
        /// What.
        text: String,
        /// What it settles.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settles: Option<Owed>,
    },
    /// It is better or worse than it was thought to be.
    IncidentWeighed {
        /// Which.
        incident: IncidentId,
        /// How bad.
        severity: Severity,
        /// Why.
        why: String,
    },
    /// Something was not done in time.
    IncidentOverdue {
        /// Which.
        incident: IncidentId,
        /// What.
        owed: Owed,
    },
    /// It is over.
    IncidentResolved {
        /// Which.
        incident: IncidentId,
        /// On what ground.
        why: String,
        /// Whether the check after the rollback had passed.
        verified: bool,
    },
    /// What was learnt of it was written down.
    IncidentLearnt {
        /// Which.
        incident: IncidentId,
        /// Where, or what it says in short.
        text: String,
        /// What is to be done.
        items: Vec<ActionItem>,
    },
    /// An invariant broke: this deployment is frozen with its traffic held.
    Faulted {
        /// The code.
        code: String,
        /// What was found.
        what: String,
    },
}

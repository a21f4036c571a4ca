//! What the state machine is told: commands by people, observations of the world, and that time
//! has passed. Must never be journaled itself: only the events that follow from it are.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::approval::{Category, Credential, Facts};
use crate::backup::{BackupRecord, DrillRecord};
use crate::digest::{Component, Digest};
use crate::event::OverrideKind;
use crate::gate::{Evidence, Found};
use crate::ids::{Actor, DeploymentId, IncidentId, PartName, SlotName, StepName};
use crate::incident;
use crate::message::{self, Delivery};
use crate::plan::Plan;
use crate::state::{Given, SlotObserved, TaskId};
use crate::verdict::{Outcome, Verdict};
use crate::weight::{Split, Weight};

/// One thing to decide about.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A person wants something.
    Command {
        /// Who.
        actor: Actor,
        /// A repeat with the same key changes nothing.
        key: Option<String>,
        /// What.
        command: Command,
    },
    /// The world answered.
    Observation(Observation),
    /// A deadline may have passed.
    Elapsed,
}

/// What people can ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begin a deployment.
    Deploy {
        /// Its id, chosen by the caller.
        deployment: DeploymentId,
        /// All it will do.
        plan: Box<Plan>,
        /// Take the place of a deployment in flight.
        supersede: bool,
        /// Deploy an artifact that was rolled back before.
        despite_quarantine: bool,
    },
    /// Go no further.
    Hold {
        /// Which deployment.
        deployment: DeploymentId,
        /// Why.
        reason: String,
        /// For how long; one hour by default.
        lasts: Option<SignedDuration>,
    },
    /// End a hold.
    Resume {
        /// Which deployment.
        deployment: DeploymentId,
    },
    /// Go to the next step without waiting out this one.
    Advance {
        /// Which deployment.
        deployment: DeploymentId,
        /// The step that the person believes is running, from 0.
        step: u32,
    },
    /// Agree to exactly this.
    Approve {
        /// Which deployment.
        deployment: DeploymentId,
        /// D as the person saw it.
        binding: Digest,
        /// How they agree.
        approval: Box<Approval>,
    },
    /// Take one's approval back.
    Withdraw {
        /// Which deployment.
        deployment: DeploymentId,
        /// Why.
        reason: String,
    },
    /// Vouch for something that no machine can see.
    Attest {
        /// Which deployment.
        deployment: DeploymentId,
        /// What, as the policy words it.
        item: String,
        /// What they write.
        note: Option<String>,
        /// Until when their word counts; `None` for as long as the deployment is in flight.
        expires: Option<Timestamp>,
        /// What is known of the account.
        facts: Facts,
    },
    /// Add a report to what is known of a release.
    AddEvidence {
        /// The report; its bytes are kept under its digest already.
        evidence: Evidence,
    },
    /// Add a backup that was made by hand.
    AddBackup {
        /// It; its bytes are kept already.
        backup: Box<BackupRecord>,
    },
    /// Add a drill that was run by hand.
    AddDrill {
        /// How it went.
        drill: DrillRecord,
    },
    /// Vouch that a duty was done.
    DoneDuty {
        /// Its name.
        duty: String,
        /// What shows it.
        evidence: String,
    },
    /// Hold a backup beyond its time, or let it go.
    HoldBackup {
        /// Which.
        id: String,
        /// Whether it is held.
        held: bool,
        /// Why.
        reason: String,
    },
    /// Set a gate aside for one version.
    Waive {
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
    /// Let no deployment begin for a time.
    Freeze {
        /// The name of the freeze; one of the same name is replaced.
        name: String,
        /// Why.
        reason: String,
        /// From when; `None` is now.
        from: Option<Timestamp>,
        /// Until when.
        until: Timestamp,
    },
    /// End a freeze before its end.
    Thaw {
        /// The name of the freeze.
        name: String,
        /// Why.
        reason: String,
    },
    /// Do something about a message.
    Message {
        /// Its number.
        number: u64,
        /// What.
        handling: message::Handling,
    },
    /// Do something about an incident.
    Incident {
        /// Which.
        incident: IncidentId,
        /// What.
        handling: incident::Handling,
    },
    /// Say what became of a custom step that was lost.
    Settle {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which step.
        step: StepName,
        /// Whether it was done; else it is done anew.
        done: bool,
        /// How the person knows.
        reason: String,
    },
    /// Refuse.
    Reject {
        /// Which deployment.
        deployment: DeploymentId,
        /// What kind of fault.
        category: Category,
        /// Why.
        reason: String,
    },
    /// Stop and return to the safe state.
    Abort {
        /// Which deployment.
        deployment: DeploymentId,
        /// Why.
        reason: String,
    },
    /// Return the traffic to what was live before.
    Rollback {
        /// The id to use when nothing is in flight and a deployment of the earlier release begins.
        deployment: DeploymentId,
        /// A version to go back to; the previous live one by default.
        to: Option<String>,
        /// Why.
        reason: String,
    },
}

/// How somebody agrees.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Approval {
    /// What is known of the account.
    pub facts: Facts,
    /// How they proved who they are.
    pub credential: Credential,
    /// Hold before more than this share until they confirm.
    pub condition: Option<Weight>,
    /// What they write.
    pub note: Option<String>,
}

/// What the world answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// An attempt of a task ended.
    Task {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which task.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        report: TaskReport,
    },
    /// An attempt of a custom step ended, or was lost.
    Step {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which step.
        step: StepName,
        /// Which attempt.
        attempt: u32,
        /// What became of it.
        report: StepReport,
    },
    /// What the gates ask for was looked up.
    Gates {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which attempt.
        attempt: u32,
        /// What was found for each gate.
        found: Vec<Found>,
    },
    /// The backup before a deployment was made, or was not.
    Backup {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which attempt.
        attempt: u32,
        /// What became of it.
        report: Box<BackupReport>,
    },
    /// The bytes of a backup whose time was over are gone.
    BackupDropped {
        /// Which.
        id: String,
    },
    /// A slot's condition.
    Slot {
        /// The part.
        part: PartName,
        /// The slot.
        slot: SlotName,
        /// What was seen.
        observed: SlotObserved,
    },
    /// What the data plane serves.
    Split {
        /// The part.
        part: PartName,
        /// What was read back.
        read: SplitRead,
    },
    /// An attempt of a message ended.
    Message {
        /// Its number.
        number: u64,
        /// Which attempt.
        attempt: u32,
        /// What it gave.
        delivery: Delivery,
    },
    /// The data plane refused a table.
    SplitRefused {
        /// The part.
        part: PartName,
        /// Which wish it refused.
        generation: u64,
        /// What it says, with its code.
        why: String,
    },
    /// The judge's advice on the running step.
    Verdict {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which step it is about; the bake is the number of steps.
        step: u32,
        /// The advice.
        verdict: Verdict,
    },
    /// What the directory says of everybody who has a part in a decision.
    Rights {
        /// Which deployment.
        deployment: DeploymentId,
        /// The sequence of the newest word that was asked about.
        newest: u64,
        /// By the name of the account; who is missing is unknown to it.
        facts: BTreeMap<String, Facts>,
    },
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskReport {
    /// The outcome.
    pub outcome: Outcome,
    /// One line for people.
    pub summary: String,
    /// Whether trying again may help.
    pub retryable: bool,
    /// What it made.
    pub made: Option<Made>,
}

/// What became of an attempt of a custom step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The outcome; no-data when it is not known.
    pub outcome: Outcome,
    /// One line for people.
    pub summary: String,
    /// Whether it may have been done, and nobody knows.
    pub lost: bool,
    /// Whether it is known not to have been done, so that it may be done anew.
    pub retryable: bool,
    /// What it left behind.
    pub given: Given,
}

/// What became of the backup before a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// The outcome: a pass is a copy that was read back, and restored where the plan wants that.
    pub outcome: Outcome,
    /// One line for people.
    pub summary: String,
    /// Whether trying again may help.
    pub retryable: bool,
    /// The copy, where a new one was made.
    pub made: Option<BackupRecord>,
    /// How restoring it went, where that was asked for.
    pub drill: Option<DrillRecord>,
}

/// What a build makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Digest of the artifact.
    pub artifact: Digest,
    /// D over everything declared.
    pub binding: Digest,
    /// Digests of the parts of D.
    pub parts: BTreeMap<Component, Digest>,
}

/// What was read back from the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitRead {
    /// The generation in force; `None` when it has none.
    pub generation: Option<u64>,
    /// Set when it acted by itself.
    pub overridden: Option<Overridden>,
}

/// The data plane acted by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// Number of the override at the proxy, growing.
    pub sequence: u64,
    /// Why.
    pub kind: OverrideKind,
    /// Who asked, or which part of the proxy.
    pub actor: String,
    /// What it says.
    pub why: String,
    /// The shares that it set.
    pub split: Option<Split>,
}

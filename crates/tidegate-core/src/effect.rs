//! What must be done in the world, derived from the state each time anew.
//! Must never depend on what was already dispatched: doing an effect twice is harmless by design.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;

use crate::approval::gate::newest_word;
use crate::approval::quorum;
use crate::backup::BackupRecord;
use crate::digest::Digest;
use crate::gate::{Evidence, Kept, Versions};
use crate::ids::{DeploymentId, PartName, Scope, SlotName, StepName};
use crate::message::Letter;
use crate::plan::{
    Backup, CustomStep, Evidence as Judged, Floor, Part, Plan, Release, Route, Rule,
};
use crate::state::{
    Backend, Deployment, Given, Phase, SlotState, State, TaskId, TaskProgress, Tenant,
};
use crate::weight::Split;

/// One thing to bring about. Values carry all that a driver needs.
#[expect(clippy::large_enum_variant, reason = "a handful exist at a time")]
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The slot runs this, or nothing.
    EnsureSlot {
        /// The part.
        part: PartName,
        /// The slot.
        slot: SlotName,
        /// What it is meant to run.
        tenant: Option<Tenant>,
    },
    /// The data plane serves this table.
    EnsureSplit {
        /// The table.
        table: Box<RouteTable>,
    },
    /// One attempt of a task.
    Run {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which task.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
        /// Give up after this and report no-data.
        timeout: SignedDuration,
        /// The work.
        job: Job,
    },
    /// The bytes of a backup whose time is over go.
    DropBackup {
        /// The backup.
        backup: Box<BackupRecord>,
    },
    /// One attempt of a message.
    Tell {
        /// The message.
        letter: Box<Letter>,
        /// What the channel calls the first message of its conversation.
        follows: Option<String>,
    },
    /// The directory says who may approve.
    AskRights {
        /// Which deployment.
        deployment: DeploymentId,
        /// The sequence of the newest word that is asked about.
        newest: u64,
        /// The accounts that have a part in the decision.
        accounts: BTreeSet<String>,
    },
}

/// The work of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Job {
    /// Export the commit, build it, digest the result.
    Prepare(Arc<Plan>),
    /// Ask the data plane whether it could take this table, and change nothing.
    Rehearse(Box<RouteTable>),
    /// Ask every probe of every target until each answers, or its retries are used up.
    Probe(Vec<ProbeTarget>),
    /// Run a part's smoke suite against one instance.
    Smoke {
        /// The part.
        part: Box<Part>,
        /// Digest of the artifact that holds the suite.
        artifact: String,
        /// `address:port` of the instance.
        endpoint: String,
    },
    /// Find out what the gates ask for.
    Gates(Box<Question>),
    /// Make and verify a backup.
    Backup(Box<BackupJob>),
    /// Carry out a custom step.
    Step(Box<StepJob>),
}

/// The backup before a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupJob {
    /// Whose it is.
    pub scope: Scope,
    /// What the plan wants; `None` is a demand that nobody can meet.
    pub backup: Option<Backup>,
    /// One that is young enough; it is read back, and nothing new is made.
    pub recent: Option<BackupRecord>,
}

/// A custom step with all that it is handed. It is the same for the whole attempt, whatever
/// happens around it.
#[derive(Debug, Clone, PartialEq)]
pub struct StepJob {
    /// The step.
    pub step: CustomStep,
    /// Whose it is.
    pub scope: Scope,
    /// What is deployed.
    pub release: Release,
    /// The version that is live, and is gone back to.
    pub live: Option<String>,
    /// The artifact whose copy it works in.
    pub artifact: Option<Digest>,
    /// Where the candidate answered when the step began, by part.
    pub targets: BTreeMap<PartName, String>,
    /// What the steps left behind that it needs.
    pub given: BTreeMap<StepName, Given>,
}

/// What the gates of a plan ask, with all that is known by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The plan with its gates.
    pub plan: Arc<Plan>,
    /// The reports on this version and commit, newest last.
    pub evidence: Vec<Kept>,
    /// The live release and the one that is to follow.
    pub versions: Versions,
}

/// The question that a plan asks of a state.
#[must_use]
pub fn question(state: &State, plan: &Arc<Plan>) -> Question {
    let release = &plan.release;
    let about = |evidence: &Evidence| {
        evidence.version == release.version && evidence.commit == release.commit
    };
    Question {
        plan: Arc::clone(plan),
        evidence: state.evidence.iter().filter(|kept| about(&kept.evidence)).cloned().collect(),
        versions: versions(state, plan),
    }
}

/// The live release and the one that a plan brings.
#[must_use]
pub fn versions(state: &State, plan: &Plan) -> Versions {
    let live = state.parts.values().find_map(|part| {
        let slot = part.slots.get(part.live.as_ref()?)?;
        Some(slot.want.as_ref()?.revision.version.clone())
    });
    Versions {
        live_commit: live.as_ref().and_then(|version| state.tags.get(version).cloned()),
        live,
        version: plan.release.version.clone(),
        commit: plan.release.commit.clone(),
    }
}

/// The instances of a slot that are to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeTarget {
    /// The part with its probes.
    pub part: Part,
    /// The slot.
    pub slot: SlotName,
    /// Digest of the artifact: probes that are commands run in it.
    pub artifact: String,
    /// `address:port` of each instance.
    pub endpoints: Vec<String>,
    /// How many instances must answer.
    pub instances: u32,
}

/// What the data plane is meant to serve for one part.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteTable {
    /// The part.
    pub part: PartName,
    /// Which wish this is; greater replaces smaller.
    pub generation: u64,
    /// Where requests come in.
    pub route: Route,
    /// The shares; `None` answers 503.
    pub split: Option<Split>,
    /// Where each share goes.
    pub backends: Vec<Backend>,
    /// The slot of the candidate while a deployment is in flight.
    pub candidate: Option<SlotName>,
    /// The slot that carries the live role.
    pub live: Option<SlotName>,
    /// Where to go back to without asking.
    pub fallback: Option<Split>,
    /// Go back when nothing was heard for this long.
    pub lease: Option<SignedDuration>,
    /// What the data plane goes back by without asking, in mid-shift only.
    pub brake: Option<Brake>,
    /// Limits in milliseconds that must be exact edges of its histogram.
    pub limits_ms: Vec<f64>,
    /// The override that this table knows of.
    pub adopted_override: Option<u64>,
}

/// The judge that the data plane carries along: as much of the policy as its own counts decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Brake {
    /// The rollback rules.
    pub rules: Vec<Rule>,
    /// What a rule means that the live revision breaks as well.
    pub floor: Floor,
    /// Evidence beside the rules.
    pub evidence: Option<Judged>,
    /// How long the rollout is planned to take.
    pub horizon: SignedDuration,
    /// Changes of the share that are planned.
    pub changes: u32,
}

/// Everything that is not yet as it should be. Order: capacity before traffic, traffic before
/// tasks. Nothing at all while the state is at rest.
#[must_use]
pub fn outstanding(state: &State) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (name, part) in &state.parts {
        for (slot, slot_state) in &part.slots {
            if !slot_state.settled() {
                effects.push(Effect::EnsureSlot {
                    part: name.clone(),
                    slot: slot.clone(),
                    tenant: slot_state.want.clone(),
                });
            }
        }
    }
    for (name, part) in &state.parts {
        if part.table.as_ref().is_some_and(|table| !table.confirmed)
            && let Some(table) = route_table(state, name)
        {
            effects.push(Effect::EnsureSplit { table: Box::new(table) });
        }
    }
    if state.fault.is_none() {
        let over = state.backups.iter().filter(|kept| kept.expired);
        effects
            .extend(over.map(|kept| Effect::DropBackup { backup: Box::new(kept.backup.clone()) }));
        effects.extend(tasks(state));
        effects.extend(rights(state));
    }
    effects.extend(state.outbox.due().into_iter().map(|letter| Effect::Tell {
        letter: Box::new(letter.clone()),
        follows: state.outbox.follows(&letter.message).map(str::to_owned),
    }));
    effects
}

/// Rights are asked for while votes wait at the gate: they count as they are when it opens.
fn rights(state: &State) -> Option<Effect> {
    let deployment = state.current.as_ref()?;
    let newest = newest_word(deployment)?;
    if deployment.phase != Phase::Approvals || deployment.hold.is_some() {
        return None;
    }
    let voters = deployment.votes.iter().map(|vote| &vote.by);
    let accounts = voters.chain([&deployment.started_by]).map(quorum::name).collect();
    Some(Effect::AskRights { deployment: deployment.id.clone(), newest, accounts })
}

/// Tables whose lease must be renewed while the control plane lives, with their generations.
#[must_use]
pub fn leases(state: &State) -> BTreeMap<PartName, u64> {
    state
        .parts
        .iter()
        .filter_map(|(name, part)| {
            let table = part.table.as_ref().filter(|table| table.leased)?;
            Some((name.clone(), table.generation))
        })
        .collect()
}

/// The table that a part is meant to be served by, confirmed or not.
#[must_use]
pub fn route_table(state: &State, name: &PartName) -> Option<RouteTable> {
    let part = state.parts.get(name)?;
    let table = part.table.as_ref()?;
    let plan = governing_plan(state)?;
    Some(RouteTable {
        part: name.clone(),
        generation: table.generation,
        route: route_of(state, name)?,
        split: table.split.clone(),
        backends: table.backends.clone(),
        candidate: state.current.as_ref().and_then(|d| d.candidates.get(name).cloned()),
        live: part.live.clone(),
        fallback: table.fallback.clone(),
        lease: table.leased.then_some(plan.limits.traffic_lease),
        brake: table.leased.then(|| brake(plan)),
        limits_ms: latency_limits(plan),
        adopted_override: table.adopted_override,
    })
}

/// The route of the live revision: a route that a candidate changes comes with its promotion to
/// the live role, so that a split never spans two addresses. A part that the live release does not
/// have is answered where an earlier one had it.
fn route_of(state: &State, name: &PartName) -> Option<Route> {
    let part = state.parts.get(name)?;
    let of_live = part
        .live
        .as_ref()
        .and_then(|slot| part.slots.get(slot))
        .and_then(|slot| slot.want.as_ref())
        .and_then(|tenant| tenant.part.route());
    let of_plan = |plan: &Plan| plan.part(name)?.route().cloned();
    of_live
        .cloned()
        .or_else(|| of_plan(&state.current.as_ref()?.plan))
        .or_else(|| state.history.iter().rev().find_map(|ended| of_plan(&ended.plan)))
}

/// The plan in flight, or the one that ended last.
fn governing_plan(state: &State) -> Option<&Plan> {
    match &state.current {
        Some(deployment) => Some(deployment.plan.as_ref()),
        None => state.history.last().map(|ended| ended.plan.as_ref()),
    }
}

fn brake(plan: &Plan) -> Brake {
    Brake {
        rules: plan.traffic.rollback_if.clone(),
        floor: plan.traffic.floor,
        evidence: plan.traffic.judging.evidence,
        horizon: plan.horizon(),
        changes: plan.share_changes(),
    }
}

fn latency_limits(plan: &Plan) -> Vec<f64> {
    let rules = plan.traffic.advance_if.iter().chain(&plan.traffic.rollback_if);
    let mut limits: Vec<f64> =
        rules.filter(|rule| rule.metric.is_latency()).map(|rule| rule.limit).collect();
    limits.sort_by(f64::total_cmp);
    limits.dedup();
    limits
}

fn tasks(state: &State) -> Vec<Effect> {
    let Some(deployment) = &state.current else {
        return Vec::new();
    };
    deployment
        .tasks
        .iter()
        .filter(|(_, task)| task.progress == TaskProgress::Running)
        .filter_map(|(id, task)| {
            let (job, timeout) = job(state, id)?;
            Some(Effect::Run {
                deployment: deployment.id.clone(),
                task: id.clone(),
                attempt: task.attempt,
                timeout,
                job,
            })
        })
        .collect()
}

fn job(state: &State, task: &TaskId) -> Option<(Job, SignedDuration)> {
    let deployment = state.current.as_ref()?;
    let plan = &deployment.plan;
    let limits = &plan.limits;
    Some(match task {
        TaskId::CheckLive | TaskId::VerifyLive => (Job::Probe(live_targets(state)), limits.check),
        TaskId::Address(part) => {
            // What is served today, at the place where it will be.
            let today = route_table(state, part)?;
            let generation = today.generation.saturating_add(1);
            let table =
                RouteTable { generation, route: plan.part(part)?.route()?.clone(), ..today };
            (Job::Rehearse(Box::new(table)), limits.check)
        }
        TaskId::Gates => (Job::Gates(Box::new(question(state, plan))), limits.check),
        TaskId::Backup => backup_job(state, deployment),
        TaskId::Prepare => {
            // The export itself is local and short; the command brings its own limit.
            let build = plan.build.as_ref().map_or(SignedDuration::ZERO, |step| step.timeout);
            (Job::Prepare(Arc::clone(plan)), limits.check.saturating_add(build))
        }
        TaskId::Custom(name) => {
            let job = step_job(state, deployment, name)?;
            // Room to ask afterwards what became of it.
            let asks = if job.step.verify.is_some() { 2 } else { 1 };
            let timeout = job.step.timeout.saturating_mul(asks);
            (Job::Step(Box::new(job)), timeout)
        }
        TaskId::Health(part) => {
            let slot = deployment.candidates.get(part)?;
            (Job::Probe(vec![probe_target(state, part, slot)?]), limits.check)
        }
        TaskId::Smoke(part) => {
            let definition = plan.part(part)?;
            let slot = deployment.candidates.get(part)?;
            let observed = &state.parts.get(part)?.slots.get(slot)?.observed;
            let job = Job::Smoke {
                part: Box::new(definition.clone()),
                artifact: deployment.artifact.as_ref()?.as_str().to_owned(),
                endpoint: observed.endpoints.first().cloned().unwrap_or_default(),
            };
            (job, definition.smoke.as_ref().map_or(limits.check, |smoke| smoke.timeout))
        }
    })
}

fn backup_job(state: &State, deployment: &Deployment) -> (Job, SignedDuration) {
    let plan = &deployment.plan;
    let backup = plan.backup.clone();
    let since = deployment.tasks.get(&TaskId::Backup).map(|task| task.since);
    let recent = backup.as_ref().zip(since).and_then(|(backup, since)| {
        crate::backup::recent(state, &backup.of, backup.newer_than, since)
    });
    // Making it, and restoring it.
    let timeout = backup.as_ref().map_or(plan.limits.check, |backup| {
        backup.timeout.saturating_mul(if backup.drill { 2 } else { 1 })
    });
    let job = BackupJob { scope: plan.scope.clone(), recent: recent.cloned(), backup };
    (Job::Backup(Box::new(job)), timeout)
}

fn step_job(state: &State, deployment: &Deployment, name: &StepName) -> Option<StepJob> {
    let plan = &deployment.plan;
    let step = plan.custom_step(name)?;
    let given = step.needs.iter().filter_map(|need| {
        let record = deployment.steps.get(need)?;
        Some((need.clone(), record.given.clone()))
    });
    Some(StepJob {
        scope: plan.scope.clone(),
        release: plan.release.clone(),
        live: versions(state, plan).live,
        artifact: deployment.artifact.clone(),
        targets: deployment.steps.get(name)?.targets.clone(),
        given: given.collect(),
        step: step.clone(),
    })
}

fn live_targets(state: &State) -> Vec<ProbeTarget> {
    let Some(deployment) = &state.current else {
        return Vec::new();
    };
    deployment
        .targets
        .iter()
        .filter_map(|(part, target)| probe_target(state, part, &target.slot))
        .collect()
}

fn probe_target(state: &State, part: &PartName, slot: &SlotName) -> Option<ProbeTarget> {
    let slot_state: &SlotState = state.parts.get(part)?.slots.get(slot)?;
    let tenant = slot_state.want.as_ref()?;
    Some(ProbeTarget {
        part: tenant.part.clone(),
        slot: slot.clone(),
        artifact: tenant.revision.artifact.clone(),
        endpoints: slot_state.observed.endpoints.clone(),
        instances: tenant.instances,
    })
}

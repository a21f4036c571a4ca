//! From the tag to the door of traffic: ready, gates, plan, approvals, backup, deploy, health,
//! smoke. Must never give the candidate a user request, and never start it in a slot to which the
//! data plane may still send one.

use jiff::Timestamp;

use super::custom::{self, Course, course};
use super::web;
use super::{
    approving, candidate_slot, deployment_ended, own_tasks, phase_entered, publishing, shifting,
    tasks_outcome,
};
use crate::decide::back::{self, go_back};
use crate::event::{DeploymentKind, Ending, Event};
use crate::ids::{PartName, SlotName};
use crate::plan::{Moment, Part};
use crate::state::{
    Deployment, Phase, PhaseResult, Reason, State, TaskId, TaskProgress, TaskState, Tenant,
};
use crate::verdict::Outcome;

/// What follows in a phase before traffic.
pub(super) fn following(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    match deployment.phase {
        Phase::Ready => ready(state, deployment),
        Phase::Gates => optional(deployment, deployment.plan.required.gates, Phase::Plan),
        Phase::Plan => plan(state, deployment),
        Phase::Approvals => approving::following(state, deployment, now),
        Phase::Backup => match optional_result(deployment, deployment.plan.required.backup) {
            Ok(Some(result)) => match course(state, deployment, Moment::BeforeDeploy) {
                Course::Done => enter_deploy(state, deployment, result),
                Course::Busy => Vec::new(),
                Course::Following(events) => events,
                Course::Bad(_, why) => vec![deployment_ended(deployment, Ending::Stopped, why)],
            },
            Ok(None) => Vec::new(),
            Err(why) => vec![deployment_ended(deployment, Ending::Stopped, why)],
        },
        Phase::Deploy => deploy(state, deployment, now),
        Phase::Health => health(state, deployment),
        Phase::Smoke => smoke(state, deployment),
        _ => Vec::new(),
    }
}

fn ready(state: &State, deployment: &Deployment) -> Vec<Event> {
    if deployment.is_return() {
        return vec![phase_entered(deployment, Phase::Gates, PhaseResult::Skipped)];
    }
    if deployment.is_first() {
        return vec![phase_entered(deployment, Phase::Gates, PhaseResult::Passed)];
    }
    let sick = deployment.targets.iter().find_map(|(part, target)| {
        let slot = state.parts.get(part)?.slots.get(&target.slot)?;
        (slot.observed.ready == 0)
            .then(|| {
                slot.observed.problem.clone().unwrap_or_else(|| "no instance is ready".to_owned())
            })
            .map(|problem| format!("{part} in {}: {problem}", target.slot))
    });
    if let Some(problem) = sick {
        let why = format!("the live revision is sick, so nothing was started: {problem}");
        return vec![deployment_ended(deployment, Ending::Stopped, why)];
    }
    match tasks_outcome(deployment) {
        None => Vec::new(),
        Some((outcome, _)) if outcome.allows_progress() => {
            vec![phase_entered(deployment, Phase::Gates, PhaseResult::Passed)]
        }
        Some((outcome, summary)) => {
            let found = match failed_address(deployment) {
                Some(part) => format!("the data plane cannot take the new address of {part}"),
                None if outcome == Outcome::Fail => "the live revision is sick".to_owned(),
                None => "the live revision gave no answer".to_owned(),
            };
            let why = format!("{found}, so nothing was started: {summary}");
            vec![deployment_ended(deployment, Ending::Stopped, why)]
        }
    }
}

/// The part whose new address was refused, when that is what failed.
fn failed_address(deployment: &Deployment) -> Option<&PartName> {
    let failed = |task: &TaskState| match &task.progress {
        TaskProgress::Done { outcome, .. } => !outcome.allows_progress(),
        _ => false,
    };
    if deployment.tasks.get(&TaskId::CheckLive).is_some_and(failed) {
        return None;
    }
    deployment.tasks.iter().find_map(|(id, task)| match id {
        TaskId::Address(part) if failed(task) => Some(part),
        _ => None,
    })
}

/// How a phase that a plan may leave out ended; `Ok(None)` while it runs.
fn optional_result(deployment: &Deployment, required: bool) -> Result<Option<PhaseResult>, String> {
    if deployment.is_return() {
        return Ok(Some(PhaseResult::Skipped));
    }
    if !required {
        return Ok(Some(PhaseResult::NotRequired));
    }
    match tasks_outcome(deployment) {
        None => Ok(None),
        Some((outcome, _)) if outcome.allows_progress() => Ok(Some(PhaseResult::Passed)),
        Some((outcome, summary)) => {
            Err(format!("{} {}: {summary}", deployment.phase.word(), outcome.word()))
        }
    }
}

fn optional(deployment: &Deployment, required: bool, next: Phase) -> Vec<Event> {
    match optional_result(deployment, required) {
        Ok(Some(result)) => vec![phase_entered(deployment, next, result)],
        Ok(None) => Vec::new(),
        Err(why) => vec![deployment_ended(deployment, Ending::Stopped, why)],
    }
}

fn plan(state: &State, deployment: &Deployment) -> Vec<Event> {
    let Some(artifact) = &deployment.artifact else {
        return match tasks_outcome(deployment) {
            Some((_, summary)) => {
                vec![deployment_ended(
                    deployment,
                    Ending::Stopped,
                    format!("no artifact: {summary}"),
                )]
            }
            None => Vec::new(),
        };
    };
    let allowed = match deployment.kind {
        DeploymentKind::Release { despite_quarantine } => despite_quarantine,
        DeploymentKind::Return { .. } => true,
    };
    if state.quarantine.contains(artifact) && !allowed {
        let why = format!(
            "artifact {} was rolled back before: a new release has to differ from it",
            artifact.as_str().get(..12).unwrap_or(artifact.as_str())
        );
        return vec![deployment_ended(deployment, Ending::Stopped, why)];
    }
    if let Some(why) = approving::refused_before(state, deployment) {
        return vec![deployment_ended(deployment, Ending::Stopped, why)];
    }
    match course(state, deployment, Moment::Plan) {
        Course::Done => {}
        Course::Busy => return Vec::new(),
        Course::Following(events) => return events,
        Course::Bad(_, why) => return vec![deployment_ended(deployment, Ending::Stopped, why)],
    }
    let result = if deployment.is_return() { PhaseResult::Skipped } else { PhaseResult::Passed };
    let entered = phase_entered(deployment, Phase::Approvals, result);
    custom::bound(deployment).into_iter().chain([entered]).collect()
}

/// Begins to start the candidate. A slot that the table still names, as the place to go back to,
/// is taken out of the table first: what is started there was never proven.
fn enter_deploy(state: &State, deployment: &Deployment, before: PhaseResult) -> Vec<Event> {
    let mut events = vec![phase_entered(deployment, Phase::Deploy, before)];
    for part in web(deployment) {
        let Some(slot) = candidate_slot(deployment, &part.name) else {
            continue;
        };
        let table = state.parts.get(&part.name).and_then(|p| p.table.as_ref());
        match table {
            None => events.push(back::split_back(state, deployment, &part.name)),
            Some(table) if taken(state, deployment, part, &slot).is_some() => {
                events.extend(publishing::without(table, &part.name, &slot));
            }
            Some(_) => {}
        }
    }
    events
}

/// The event that gives the candidate its slot; `None` when it has it.
fn taken(state: &State, deployment: &Deployment, part: &Part, slot: &SlotName) -> Option<Event> {
    let revision = deployment.revision()?;
    // A worker takes work the moment it runs, so it starts with its first traffic step.
    let instances = if back::is_web(&part.kind) { part.instances } else { 0 };
    let tenant = Some(Tenant { revision, part: part.clone(), instances });
    let known = state.parts.get(&part.name)?.slots.get(slot)?;
    (known.want != tenant).then(|| Event::SlotWanted {
        part: part.name.clone(),
        slot: slot.clone(),
        tenant,
    })
}

/// Slots are taken when nobody can be sent to what runs in them any more.
fn take_slots(state: &State, deployment: &Deployment) -> Vec<Event> {
    let slots = deployment.plan.parts.iter().filter_map(|part| {
        let slot = candidate_slot(deployment, &part.name)?;
        let known = state.parts.get(&part.name)?;
        let empty = known.slots.get(&slot).is_some_and(|slot| slot.want.is_none());
        let left = known.table.as_ref().is_none_or(|table| table.confirmed);
        if empty || left { taken(state, deployment, part, &slot) } else { None }
    });
    slots.collect()
}

fn deploy(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    let taking = take_slots(state, deployment);
    if !taking.is_empty() {
        return taking;
    }
    let late = now.duration_since(deployment.phase_since) >= deployment.plan.limits.start;
    let waits = deployment.plan.parts.iter().find_map(|part| {
        let slot = candidate_slot(deployment, &part.name)?;
        taken(state, deployment, part, &slot).map(|_| (part, slot))
    });
    if let Some((part, slot)) = waits {
        if !late {
            return Vec::new();
        }
        let why = format!(
            "the data plane did not confirm that {slot} of {} is nobody's place to go back to",
            part.name
        );
        return go_back(state, Reason::TimedOut, why);
    }
    let unready = deployment.candidates.iter().find_map(|(part, slot)| {
        let slot_state = state.parts.get(part)?.slots.get(slot)?;
        (!slot_state.settled()).then_some((part, slot, slot_state))
    });
    match unready {
        None if shifting::tables_confirmed(state, deployment) => {
            vec![phase_entered(deployment, Phase::Health, PhaseResult::Passed)]
        }
        None if !late => Vec::new(),
        // An address that cannot be served is found before anybody is sent there.
        None => {
            let refusal = shifting::refusal(state, deployment);
            let why = format!("the data plane does not serve what is live{refusal}");
            go_back(state, Reason::TimedOut, why)
        }
        Some(_) if !late => Vec::new(),
        Some((part, slot, slot_state)) => {
            let limit = deployment.plan.limits.start;
            let problem = slot_state.observed.problem.as_deref().unwrap_or("it never became ready");
            let why = format!("{part} did not start in {slot} within {limit:#}: {problem}");
            go_back(state, Reason::Check, why)
        }
    }
}

fn health(state: &State, deployment: &Deployment) -> Vec<Event> {
    let result = match checked(state, deployment, "the candidate", "is not healthy") {
        Ok(result) => result,
        Err(events) => return events,
    };
    let done = || vec![phase_entered(deployment, Phase::Smoke, result)];
    or_back(state, course(state, deployment, Moment::AfterDeploy), done)
}

/// What the phase's checks of the candidate said; else what follows from it: nothing while they
/// are asked, the way back when they did not pass.
fn checked(
    state: &State,
    deployment: &Deployment,
    who: &str,
    failed: &'static str,
) -> Result<PhaseResult, Vec<Event>> {
    if own_tasks(deployment).next().is_none() {
        return Ok(PhaseResult::NotRequired);
    }
    match tasks_outcome(deployment) {
        None => Err(Vec::new()),
        Some((outcome, _)) if outcome.allows_progress() => Ok(PhaseResult::Passed),
        Some((outcome, summary)) => {
            let (reason, found) = unpassed(outcome, failed);
            Err(go_back(state, reason, format!("{who} {found}: {summary}")))
        }
    }
}

/// What follows from custom steps that run once the candidate does: one that did not pass sends
/// it back.
fn or_back(state: &State, course: Course, done: impl FnOnce() -> Vec<Event>) -> Vec<Event> {
    match course {
        Course::Done => done(),
        Course::Busy => Vec::new(),
        Course::Following(events) => events,
        Course::Bad(outcome, why) => go_back(state, unpassed(outcome, "").0, why),
    }
}

/// What a check of the candidate says that did not pass: only a failure is proof against it.
fn unpassed(outcome: Outcome, failed: &'static str) -> (Reason, &'static str) {
    if outcome == Outcome::Fail {
        (Reason::Check, failed)
    } else {
        (Reason::TimedOut, "gave no answer")
    }
}

fn smoke(state: &State, deployment: &Deployment) -> Vec<Event> {
    let checked = if deployment.is_return() {
        Ok(PhaseResult::Skipped)
    } else {
        checked(state, deployment, "the smoke suite", "failed")
    };
    let result = match checked {
        Ok(result) => result,
        Err(events) => return events,
    };
    or_back(state, course(state, deployment, Moment::BeforeTraffic), || {
        if !candidates_have_addresses(state, deployment) {
            return Vec::new();
        }
        if deployment.is_first() {
            return shifting::enter_whole(state, deployment, result);
        }
        shifting::enter_step(state, deployment, 0, result)
    })
}

/// Whether users can be sent to every candidate. One that died after its last check gets none: it
/// comes back, or its absence ends the deployment.
fn candidates_have_addresses(state: &State, deployment: &Deployment) -> bool {
    web(deployment).all(|part| {
        let slot = candidate_slot(deployment, &part.name);
        let backend = slot.and_then(|slot| publishing::backend_of(state, &part.name, &slot));
        backend.is_none_or(|backend| !backend.endpoints.is_empty())
    })
}

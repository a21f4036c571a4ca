//! What follows from a state at a time: the way forward, phase by phase, and every deadline.
//! Must never pass a phase on missing evidence; a deadline's default is never to advance.

use jiff::{SignedDuration, Timestamp};

use super::back::{self, backend_of, go_back};
use crate::event::{DeploymentKind, Ending, Event, Target};
use crate::ids::{DeploymentId, PartName, SlotName};
use crate::plan::{HoldEnd, KeepPrevious, Part, PartKind, Plan};
use crate::state::{
    Deployment, Hold, HoldCause, Phase, PhaseResult, Reason, State, TaskProgress, Tenant,
};
use crate::verdict::{Call, HoldReason, Outcome};
use crate::weight::{Split, Weight};

/// A hold because the live side breaches too lasts so long and then calls a person: going back
/// would change nothing.
const ENVIRONMENT_HOLD: SignedDuration = SignedDuration::from_hours(2);
/// Returns to an earlier step after which the next one goes back entirely.
const BRAKES_MAX: usize = 3;

/// The next events that follow, or none.
pub(super) fn following(state: &State, now: Timestamp) -> Vec<Event> {
    if state.fault.is_some() {
        return Vec::new();
    }
    let moved = moved_endpoints(state);
    if !moved.is_empty() {
        return moved;
    }
    let Some(deployment) = &state.current else {
        return start_queued(state);
    };
    if deployment.phase.is_going_back() {
        let retries = due_retries(deployment, now);
        if retries.is_empty() { back::following(state, deployment, now) } else { retries }
    } else {
        forward(state, deployment, now)
    }
}

fn forward(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    // What sends the deployment back comes before everything, held or not.
    if let Some(events) = danger(state, deployment, now) {
        return events;
    }
    let retries = due_retries(deployment, now);
    if !retries.is_empty() {
        return retries;
    }
    if let Some(hold) = &deployment.hold {
        return held(state, deployment, hold, now);
    }
    match deployment.phase {
        Phase::Ready => ready(state, deployment),
        Phase::Gates => optional(deployment, deployment.plan.required.gates, Phase::Plan),
        Phase::Plan => plan(state, deployment),
        Phase::Approvals => approvals(deployment),
        Phase::Backup => match optional_result(deployment, deployment.plan.required.backup) {
            Ok(Some(result)) => enter_deploy(state, deployment, result),
            Ok(None) => Vec::new(),
            Err(why) => vec![deployment_ended(deployment, Ending::Stopped, why)],
        },
        Phase::Deploy => deploy(state, deployment, now),
        Phase::Health => health(state, deployment),
        Phase::Smoke => smoke(state, deployment),
        Phase::Traffic { step } => traffic(state, deployment, step, now),
        Phase::Bake => bake(state, deployment, now),
        Phase::Finish => finish(state, deployment),
        Phase::Rollback { .. } | Phase::NeedsPerson { .. } => Vec::new(),
    }
}

/// What sends a deployment back at once, whatever it waits for.
fn danger(state: &State, deployment: &Deployment, now: Timestamp) -> Option<Vec<Event>> {
    if !deployment.phase.rollback_is_armed() {
        return None;
    }
    if let Some(verdict) = deployment.verdict.as_ref().filter(|v| v.call == Call::Rollback)
        && !deployment.is_return()
    {
        return Some(go_back(state, Reason::Verdict, verdict.sentence.clone()));
    }
    if let Some(why) = lost_candidate(state, deployment) {
        return Some(go_back(state, Reason::CandidateLost, why));
    }
    let hold = deployment.hold.as_ref()?;
    let overdue = hold.until.is_some_and(|until| now >= until);
    if !overdue {
        return None;
    }
    Some(match hold.then {
        HoldEnd::Rollback => {
            go_back(state, Reason::HoldExpired, format!("held to its deadline: {}", hold.why))
        }
        HoldEnd::Page => vec![Event::PersonCalled {
            deployment: deployment.id.clone(),
            why: hold.why.clone(),
            then: hold.then,
        }],
    })
}

/// A candidate that had user requests and has no instance left.
fn lost_candidate(state: &State, deployment: &Deployment) -> Option<String> {
    let past_start = matches!(
        deployment.phase,
        Phase::Health | Phase::Smoke | Phase::Traffic { .. } | Phase::Bake
    );
    if !past_start {
        return None;
    }
    deployment.candidates.iter().find_map(|(part, slot)| {
        let slot_state = state.parts.get(part)?.slots.get(slot)?;
        let tenant = slot_state.want.as_ref()?;
        // A worker's first instances of a step are still starting until the step converges.
        let starting = tenant.part.kind == PartKind::Worker && deployment.converged_at.is_none();
        if tenant.instances == 0 || slot_state.observed.ready > 0 || starting {
            return None;
        }
        let problem = slot_state.observed.problem.as_deref().unwrap_or("no instance is ready");
        Some(format!("{part} has no running instance in {slot}: {problem}"))
    })
}

fn due_retries(deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    let due = deployment.tasks.iter().filter(
        |(_, task)| matches!(&task.progress, TaskProgress::Waiting { until, .. } if now >= *until),
    );
    due.map(|(id, task)| Event::TaskRetried {
        deployment: deployment.id.clone(),
        task: id.clone(),
        attempt: task.attempt + 1,
    })
    .collect()
}

/// A hold before anything was changed ends the deployment; its own reasons may end it earlier.
fn held(state: &State, deployment: &Deployment, hold: &Hold, now: Timestamp) -> Vec<Event> {
    let overdue = hold.until.is_some_and(|until| now >= until);
    if overdue && !deployment.phase.rollback_is_armed() {
        let why = format!("held to its deadline: {}", hold.why);
        return vec![deployment_ended(deployment, Ending::Aborted, why)];
    }
    if let (Phase::Traffic { .. }, Some(verdict)) = (deployment.phase, &deployment.verdict)
        && verdict.call == Call::Brake
    {
        return brake(state, deployment, &verdict.sentence);
    }
    let over = match hold.cause {
        HoldCause::Person => None,
        HoldCause::Verdict => {
            (may_advance(state, deployment).is_ok()).then_some("the judge says advance")
        }
        HoldCause::Unconfirmed => {
            converged(state, deployment).then_some("the data plane confirmed the split")
        }
    };
    match over {
        Some(why) => {
            vec![Event::HoldEnded { deployment: deployment.id.clone(), why: why.to_owned() }]
        }
        // The clock of the step starts even while a person holds.
        None => convergence(state, deployment),
    }
}

fn convergence(state: &State, deployment: &Deployment) -> Vec<Event> {
    match deployment.judged_step() {
        Some(step) if deployment.converged_at.is_none() && converged(state, deployment) => {
            vec![Event::StepConverged { deployment: deployment.id.clone(), step }]
        }
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
        Some((_, summary)) => {
            let why = format!("the live revision is sick, so nothing was started: {summary}");
            vec![deployment_ended(deployment, Ending::Stopped, why)]
        }
    }
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
    let result = if deployment.is_return() { PhaseResult::Skipped } else { PhaseResult::Passed };
    vec![phase_entered(deployment, Phase::Approvals, result)]
}

fn approvals(deployment: &Deployment) -> Vec<Event> {
    let result = if deployment.is_return() {
        PhaseResult::Skipped
    } else if !deployment.plan.required.approvals {
        PhaseResult::NotRequired
    } else if deployment.approvals.is_empty() {
        return Vec::new();
    } else {
        PhaseResult::Passed
    };
    vec![phase_entered(deployment, Phase::Backup, result)]
}

fn enter_deploy(state: &State, deployment: &Deployment, before: PhaseResult) -> Vec<Event> {
    let mut events = vec![phase_entered(deployment, Phase::Deploy, before)];
    let Some(revision) = deployment.revision() else {
        return Vec::new();
    };
    for part in &deployment.plan.parts {
        let Some(slot) = candidate_slot(deployment, &part.name) else {
            continue;
        };
        // A worker takes work the moment it runs, so it starts with its first traffic step.
        let instances = if back::is_web(&part.kind) { part.instances } else { 0 };
        events.push(Event::SlotWanted {
            part: part.name.clone(),
            slot,
            tenant: Some(Tenant { revision: revision.clone(), part: part.clone(), instances }),
        });
        let no_table = state.parts.get(&part.name).is_none_or(|p| p.table.is_none());
        if back::is_web(&part.kind) && no_table {
            events.push(back::split_back(state, deployment, &part.name));
        }
    }
    events
}

fn deploy(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    let unready = deployment.candidates.iter().find_map(|(part, slot)| {
        let slot_state = state.parts.get(part)?.slots.get(slot)?;
        (!slot_state.settled()).then_some((part, slot, slot_state))
    });
    let Some((part, slot, slot_state)) = unready else {
        return vec![phase_entered(deployment, Phase::Health, PhaseResult::Passed)];
    };
    let limit = deployment.plan.limits.start;
    if now.duration_since(deployment.phase_since) < limit {
        return Vec::new();
    }
    let problem = slot_state.observed.problem.as_deref().unwrap_or("it never became ready");
    let why = format!("{part} did not start in {slot} within {limit:#}: {problem}");
    go_back(state, Reason::Check, why)
}

fn health(state: &State, deployment: &Deployment) -> Vec<Event> {
    if deployment.tasks.is_empty() {
        return vec![phase_entered(deployment, Phase::Smoke, PhaseResult::NotRequired)];
    }
    match tasks_outcome(deployment) {
        Some((outcome, _)) if outcome.allows_progress() => {
            vec![phase_entered(deployment, Phase::Smoke, PhaseResult::Passed)]
        }
        Some((_, summary)) => {
            go_back(state, Reason::Check, format!("the candidate is not healthy: {summary}"))
        }
        None => Vec::new(),
    }
}

fn smoke(state: &State, deployment: &Deployment) -> Vec<Event> {
    let result = if deployment.is_return() {
        PhaseResult::Skipped
    } else if deployment.tasks.is_empty() {
        PhaseResult::NotRequired
    } else {
        match tasks_outcome(deployment) {
            None => return Vec::new(),
            Some((outcome, _)) if outcome.allows_progress() => PhaseResult::Passed,
            Some((_, summary)) => {
                let why = format!("the smoke suite failed: {summary}");
                return go_back(state, Reason::Check, why);
            }
        }
    };
    if deployment.is_first() {
        return enter_whole(state, deployment, result);
    }
    enter_step(state, deployment, 0, result)
}

/// The first deployment has nothing to share with: all requests go to it, and the steps are shown
/// as skipped.
fn enter_whole(state: &State, deployment: &Deployment, before: PhaseResult) -> Vec<Event> {
    let mut events = vec![
        phase_entered(deployment, Phase::Traffic { step: 0 }, before),
        Event::PhaseEntered {
            deployment: deployment.id.clone(),
            phase: Phase::Bake,
            before: PhaseResult::Skipped,
        },
    ];
    events.extend(shares(state, deployment, Weight::WHOLE, false));
    events
}

fn enter_step(
    state: &State,
    deployment: &Deployment,
    step: u32,
    before: PhaseResult,
) -> Vec<Event> {
    let weight = step_weight(&deployment.plan, step);
    let mut events = vec![phase_entered(deployment, Phase::Traffic { step }, before)];
    events.extend(shares(state, deployment, weight, true));
    events
}

/// The events that give each part's candidate a share.
fn shares(state: &State, deployment: &Deployment, weight: Weight, leased: bool) -> Vec<Event> {
    let mut events = Vec::new();
    for part in &deployment.plan.parts {
        let Some(candidate) = candidate_slot(deployment, &part.name) else {
            continue;
        };
        let live = deployment.targets.get(&part.name).map(|target| target.slot.clone());
        if back::is_web(&part.kind) {
            events.push(split_event(state, part, &candidate, live.as_ref(), weight, leased));
        } else {
            events.extend(worker_events(state, part, &candidate, live.as_ref(), weight));
        }
    }
    events
}

fn split_event(
    state: &State,
    part: &Part,
    candidate: &SlotName,
    live: Option<&SlotName>,
    weight: Weight,
    leased: bool,
) -> Event {
    // A part that is new in this release was used by nobody: all of it is the candidate's.
    let split = live.map_or_else(
        || Split::all_to(candidate.clone()),
        |live| Split::between(candidate, live, weight),
    );
    let slots = std::iter::once(candidate).chain(live);
    Event::SplitWanted {
        part: part.name.clone(),
        split: Some(split),
        backends: slots.filter_map(|slot| backend_of(state, &part.name, slot)).collect(),
        fallback: live.map(|live| Split::all_to(live.clone())),
        leased: leased && live.is_some(),
    }
}

/// Moves a worker instance by instance: the candidate's share is rounded up, the live side gives
/// up as many only when they are there.
fn worker_events(
    state: &State,
    part: &Part,
    candidate: &SlotName,
    live: Option<&SlotName>,
    weight: Weight,
) -> Vec<Event> {
    let slots = state.parts.get(&part.name).map(|p| &p.slots);
    let resized = |slot: &SlotName, instances: u32| {
        let tenant = slots.and_then(|s| s.get(slot)).and_then(|s| s.want.clone())?;
        (tenant.instances != instances).then(|| Event::SlotWanted {
            part: part.name.clone(),
            slot: slot.clone(),
            tenant: Some(Tenant { instances, ..tenant }),
        })
    };
    let brought = weight.of_instances(part.instances);
    let mut events: Vec<Event> = resized(candidate, brought).into_iter().collect();
    if let Some(live) = live {
        let full = slots
            .and_then(|s| s.get(live))
            .and_then(|s| s.want.as_ref())
            .map_or(0, |tenant| tenant.part.instances);
        events.extend(resized(live, full.saturating_sub(brought)));
    }
    events
}

fn traffic(state: &State, deployment: &Deployment, step: u32, now: Timestamp) -> Vec<Event> {
    if deployment.converged_at.is_none() {
        let events = convergence(state, deployment);
        let overdue = now.duration_since(deployment.phase_since) >= deployment.plan.limits.split;
        if !events.is_empty() || !overdue {
            return events;
        }
        return vec![hold_began(
            deployment,
            HoldCause::Unconfirmed,
            "the data plane has not confirmed the split".to_owned(),
            now,
        )];
    }
    if deployment.is_return() {
        return pass_step(state, deployment, step, None);
    }
    if let Some(verdict) = deployment.verdict.as_ref().filter(|v| v.call == Call::Brake) {
        return brake(state, deployment, &verdict.sentence);
    }
    if dwell_left(deployment, now).is_some() {
        return Vec::new();
    }
    match may_advance(state, deployment) {
        Ok(()) => pass_step(state, deployment, step, None),
        Err(why) => vec![hold_began(deployment, HoldCause::Verdict, why, now)],
    }
}

/// The step is good: on to the next, or to the bake after the last.
pub(super) fn pass_step(
    state: &State,
    deployment: &Deployment,
    step: u32,
    bypassed: Option<String>,
) -> Vec<Event> {
    let mut events = vec![Event::StepPassed { deployment: deployment.id.clone(), step, bypassed }];
    let last =
        usize::try_from(step).unwrap_or(usize::MAX) + 1 >= deployment.plan.traffic.steps.len();
    if !last {
        events.extend(enter_step(state, deployment, step + 1, PhaseResult::Passed));
    } else if deployment.is_return() {
        events.extend(enter_finish(state, deployment, PhaseResult::Passed));
    } else {
        events.push(phase_entered(deployment, Phase::Bake, PhaseResult::Passed));
        // Outside a shift there is no lease: the table is served for ever.
        events.extend(shares(state, deployment, Weight::WHOLE, false));
    }
    events
}

fn brake(state: &State, deployment: &Deployment, sentence: &str) -> Vec<Event> {
    let braked = deployment
        .passed
        .iter()
        .filter(|r| matches!(r.phase, Phase::Traffic { .. }) && r.result == PhaseResult::Failed)
        .count();
    let Some(to) = deployment.step_passed.filter(|_| braked < BRAKES_MAX) else {
        return go_back(state, Reason::Verdict, sentence);
    };
    let mut events =
        vec![Event::StepBraked { deployment: deployment.id.clone(), to, why: sentence.to_owned() }];
    events.extend(shares(state, deployment, step_weight(&deployment.plan, to), true));
    events
}

fn bake(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    if deployment.converged_at.is_none() {
        return convergence(state, deployment);
    }
    if dwell_left(deployment, now).is_some() {
        return Vec::new();
    }
    match may_advance(state, deployment) {
        Ok(()) => enter_finish(state, deployment, PhaseResult::Passed),
        // Nobody to compare with and nobody there: waiting longer would not help anyone.
        Err(_) if deployment.is_first() && thin(deployment) => {
            enter_finish(state, deployment, PhaseResult::Skipped)
        }
        Err(why) => vec![hold_began(deployment, HoldCause::Verdict, why, now)],
    }
}

/// Whether the judge has too little to go on.
fn thin(deployment: &Deployment) -> bool {
    deployment
        .verdict
        .as_ref()
        .is_none_or(|v| v.call == Call::Hold(HoldReason::InsufficientEvidence))
}

/// Moves the live role and the fallback.
pub(super) fn enter_finish(
    state: &State,
    deployment: &Deployment,
    before: PhaseResult,
) -> Vec<Event> {
    let mut events = vec![phase_entered(deployment, Phase::Finish, before)];
    let warm = deployment.plan.bake.keep_previous == KeepPrevious::Warm;
    for part in &deployment.plan.parts {
        let Some(candidate) = candidate_slot(deployment, &part.name) else {
            continue;
        };
        events.push(Event::RolesMoved { part: part.name.clone(), live: candidate.clone() });
        let previous = deployment.targets.get(&part.name).map(|target| &target.slot);
        if back::is_web(&part.kind) {
            let stays = previous.filter(|_| warm);
            let slots = std::iter::once(&candidate).chain(stays);
            events.push(Event::SplitWanted {
                part: part.name.clone(),
                split: Some(Split::all_to(candidate.clone())),
                backends: slots.filter_map(|slot| backend_of(state, &part.name, slot)).collect(),
                fallback: stays.map(|slot| Split::all_to(slot.clone())),
                leased: false,
            });
        }
    }
    events
}

/// The deployment ends when the data plane serves the final table. What is not kept is stopped
/// from then on: a level that is brought about after the end, so that nothing waits for it and a
/// rollback is possible at every moment.
fn finish(state: &State, deployment: &Deployment) -> Vec<Event> {
    if !tables_confirmed(state, deployment) {
        return Vec::new();
    }
    let unproven = deployment
        .passed
        .iter()
        .any(|r| r.phase == Phase::Bake && r.result == PhaseResult::Skipped);
    let version = &deployment.plan.release.version;
    let (ending, why) = if unproven {
        (
            Ending::LiveUnverified,
            format!("{version} is live, but too few requests came to judge it"),
        )
    } else if deployment.is_return() {
        (Ending::Succeeded, format!("{version} is live again"))
    } else {
        (Ending::Succeeded, format!("{version} is live"))
    };
    let mut events: Vec<Event> = stopping(state, deployment).collect();
    events.push(deployment_ended(deployment, ending, why));
    events
}

/// What is not kept once the roles have moved: a cold previous slot, and a worker's empty one.
fn stopping<'a>(state: &'a State, deployment: &'a Deployment) -> impl Iterator<Item = Event> + 'a {
    let cold = deployment.plan.bake.keep_previous == KeepPrevious::Cold;
    deployment.targets.iter().filter_map(move |(part, target)| {
        let tenant = state.parts.get(part)?.slots.get(&target.slot)?.want.as_ref()?;
        (cold || tenant.part.kind == PartKind::Worker).then(|| Event::SlotWanted {
            part: part.clone(),
            slot: target.slot.clone(),
            tenant: None,
        })
    })
}

/// Whether the judge, the data plane and the live side all allow the next step; else why not.
pub(super) fn may_advance(state: &State, deployment: &Deployment) -> Result<(), String> {
    if !converged(state, deployment) {
        return Err("the data plane does not serve the split that is set".to_owned());
    }
    let live_down = deployment.targets.iter().find(|(part, target)| {
        let slot = state.parts.get(*part).and_then(|p| p.slots.get(&target.slot));
        let wanted = |s: &crate::state::SlotState| s.want.as_ref().is_some_and(|t| t.instances > 0);
        slot.is_some_and(|s| wanted(s) && s.observed.ready == 0)
    });
    if let Some((part, target)) = live_down {
        return Err(format!("the live revision of {part} in {} is down", target.slot));
    }
    match &deployment.verdict {
        Some(verdict) if verdict.call == Call::Advance => Ok(()),
        Some(verdict) => Err(verdict.sentence.clone()),
        None => Err("there is no verdict yet".to_owned()),
    }
}

/// Whether every part carries what this step wants, read back.
pub(super) fn converged(state: &State, deployment: &Deployment) -> bool {
    let workers = deployment.plan.parts.iter().filter(|part| part.kind == PartKind::Worker);
    tables_confirmed(state, deployment)
        && workers
            .filter_map(|part| state.parts.get(&part.name))
            .all(|part| part.slots.values().all(crate::state::SlotState::settled))
}

fn tables_confirmed(state: &State, deployment: &Deployment) -> bool {
    web(deployment).all(|part| {
        let table = state.parts.get(&part.name).and_then(|p| p.table.as_ref());
        table.is_some_and(|table| table.confirmed)
    })
}

/// What is left of the step's dwell or of the bake; `None` when it is over.
pub(super) fn dwell_left(deployment: &Deployment, now: Timestamp) -> Option<SignedDuration> {
    let length = match deployment.phase {
        Phase::Traffic { .. } => deployment.plan.traffic.dwell,
        Phase::Bake => deployment.plan.bake.watch,
        _ => return None,
    };
    let since = deployment.converged_at?;
    let left = length.saturating_sub(now.duration_since(since));
    left.is_positive().then_some(left)
}

fn hold_began(deployment: &Deployment, cause: HoldCause, why: String, now: Timestamp) -> Event {
    let environment = deployment
        .verdict
        .as_ref()
        .is_some_and(|verdict| verdict.call == Call::Hold(HoldReason::Environment));
    let otherwise = deployment.plan.traffic.otherwise;
    let (lasts, then) = if environment {
        (ENVIRONMENT_HOLD, HoldEnd::Page)
    } else if deployment.phase == Phase::Bake {
        // At 100 % there is nothing safer to go back to than a verdict that says so.
        (otherwise.hold, HoldEnd::Page)
    } else {
        (otherwise.hold, otherwise.then)
    };
    let until = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
    let hold = Hold { cause, why, since: now, until: Some(until), then };
    Event::HoldBegan { deployment: deployment.id.clone(), hold }
}

/// A slot whose instances moved to other ports has to be published again with the same shares.
fn moved_endpoints(state: &State) -> Vec<Event> {
    state
        .parts
        .iter()
        .filter_map(|(name, part)| {
            let table = part.table.as_ref()?;
            let fresh: Vec<_> = table
                .backends
                .iter()
                .map(|backend| {
                    let seen = backend_of(state, name, &backend.slot);
                    match seen.filter(|seen| !seen.endpoints.is_empty()) {
                        Some(seen) => seen,
                        None => backend.clone(),
                    }
                })
                .collect();
            (fresh != table.backends).then(|| Event::SplitWanted {
                part: name.clone(),
                split: table.split.clone(),
                backends: fresh,
                fallback: table.fallback.clone(),
                leased: table.leased,
            })
        })
        .collect()
}

fn start_queued(state: &State) -> Vec<Event> {
    let Some(queued) = &state.queued else {
        return Vec::new();
    };
    let kind = DeploymentKind::Release { despite_quarantine: queued.despite_quarantine };
    vec![started(state, queued.deployment.clone(), kind, queued.plan.clone())]
}

/// The event that begins a deployment: which slots it uses and what it goes back to.
pub(super) fn started(
    state: &State,
    deployment: DeploymentId,
    kind: DeploymentKind,
    plan: std::sync::Arc<Plan>,
) -> Event {
    let mut candidates = std::collections::BTreeMap::new();
    let mut targets = std::collections::BTreeMap::new();
    for part in &plan.parts {
        let known = state.parts.get(&part.name);
        let live = known.and_then(|known| known.live.as_ref());
        let free = part.slots.iter().find(|slot| Some(*slot) != live).unwrap_or(&part.slots[0]);
        candidates.insert(part.name.clone(), free.clone());
        let tenant = known
            .zip(live)
            .and_then(|(known, live)| known.slots.get(live))
            .and_then(|slot| slot.want.as_ref());
        if let (Some(live), Some(tenant)) = (live, tenant) {
            let target = Target { slot: live.clone(), revision: tenant.revision.label() };
            targets.insert(part.name.clone(), target);
        }
    }
    Event::DeploymentStarted { deployment, kind, plan, candidates, targets }
}

/// The outcome of the phase's tasks once all have ended, with the summary of the worst.
pub(super) fn tasks_outcome(deployment: &Deployment) -> Option<(Outcome, String)> {
    let mut worst: Option<(Outcome, String)> = None;
    for task in deployment.tasks.values() {
        let TaskProgress::Done { outcome, summary } = &task.progress else {
            return None;
        };
        let replaces = worst.as_ref().is_none_or(|(w, _)| w.worst(*outcome) != *w);
        if replaces {
            worst = Some((*outcome, summary.clone()));
        }
    }
    worst
}

fn step_weight(plan: &Plan, step: u32) -> Weight {
    let index = usize::try_from(step).unwrap_or(usize::MAX);
    plan.traffic.steps.get(index).copied().unwrap_or(Weight::WHOLE)
}

pub(super) fn candidate_slot(deployment: &Deployment, part: &PartName) -> Option<SlotName> {
    deployment.candidates.get(part).cloned()
}

pub(super) fn web(deployment: &Deployment) -> impl Iterator<Item = &Part> {
    deployment.plan.parts.iter().filter(|part| part.route().is_some())
}

pub(super) fn phase_entered(deployment: &Deployment, phase: Phase, before: PhaseResult) -> Event {
    Event::PhaseEntered { deployment: deployment.id.clone(), phase, before }
}

pub(super) fn deployment_ended(
    deployment: &Deployment,
    ending: Ending,
    why: impl Into<String>,
) -> Event {
    Event::DeploymentEnded { deployment: deployment.id.clone(), ending, why: why.into() }
}

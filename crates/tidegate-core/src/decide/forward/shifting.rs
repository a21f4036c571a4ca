//! The traffic steps: each is set, read back, judged and left. Must never take capacity away
//! before the other side has it, and never go to a larger share without the judge's word.

use jiff::{SignedDuration, Timestamp};

use super::{approving, candidate_slot, holding, phase_entered, publishing, web};
use crate::decide::back::go_back;
use crate::event::Event;
use crate::ids::SlotName;
use crate::plan::{Part, PartKind, Plan};
use crate::state::{
    Deployment, HoldCause, PartState, Phase, PhaseResult, Reason, SlotState, State, Tenant,
};
use crate::verdict::Call;
use crate::weight::Weight;

/// Returns to an earlier step; the next brake after them goes back entirely.
const BRAKES_MAX: usize = 2;

/// The first deployment has nothing to share with: all requests go to it, and the steps are shown
/// as skipped.
pub(super) fn enter_whole(
    state: &State,
    deployment: &Deployment,
    before: PhaseResult,
) -> Vec<Event> {
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

pub(super) fn enter_step(
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

/// The tables that give each part's candidate a share. Workers follow in [`convergence`].
pub(super) fn shares(
    state: &State,
    deployment: &Deployment,
    weight: Weight,
    leased: bool,
) -> Vec<Event> {
    let shared = web(deployment).filter_map(|part| {
        let candidate = candidate_slot(deployment, &part.name)?;
        Some(publishing::shared(state, deployment, part, &candidate, weight, leased))
    });
    shared.collect()
}

/// What brings the workers to the weight of the phase, instance by instance: the side that grows
/// grows at once, the side that shrinks shrinks when the other one has its instances.
fn worker_moves(state: &State, deployment: &Deployment) -> Vec<Event> {
    let weight = match deployment.phase {
        Phase::Traffic { step } => step_weight(&deployment.plan, step),
        Phase::Bake => Weight::WHOLE,
        _ => return Vec::new(),
    };
    let workers = deployment.plan.parts.iter().filter(|part| part.kind == PartKind::Worker);
    workers.flat_map(|part| moves_of(state, deployment, part, weight)).collect()
}

fn moves_of(state: &State, deployment: &Deployment, part: &Part, weight: Weight) -> Vec<Event> {
    let (Some(known), Some(candidate)) =
        (state.parts.get(&part.name), candidate_slot(deployment, &part.name))
    else {
        return Vec::new();
    };
    // Rounded up, so that a small share is never nobody.
    let brought = weight.of_instances(part.instances);
    let live = deployment.targets.get(&part.name).map(|target| target.slot.clone());
    let kept = live.as_ref().and_then(|live| tenant_of(known, live)).map_or(0, |tenant| {
        let full = tenant.part.instances;
        full.saturating_sub(weight.of_instances(full))
    });
    let has = |slot: Option<&SlotName>, instances: u32| {
        let slot = slot.and_then(|slot| known.slots.get(slot));
        let wants = |slot: &SlotState| slot.want.as_ref().is_some_and(|t| t.instances >= instances);
        slot.is_none_or(|slot| wants(slot) && slot.ready())
    };
    let to_candidate = resized(known, part, &candidate, brought, has(live.as_ref(), kept));
    let to_live = live
        .as_ref()
        .and_then(|live| resized(known, part, live, kept, has(Some(&candidate), brought)));
    to_candidate.into_iter().chain(to_live).collect()
}

/// The event that gives a slot so many instances: more at once, fewer when the other side has its.
fn resized(
    known: &PartState,
    part: &Part,
    slot: &SlotName,
    instances: u32,
    other_has_its: bool,
) -> Option<Event> {
    let tenant = tenant_of(known, slot)?;
    let shrinks = instances < tenant.instances;
    if instances == tenant.instances || (shrinks && !other_has_its) {
        return None;
    }
    let tenant = Some(Tenant { instances, ..tenant.clone() });
    Some(Event::SlotWanted { part: part.name.clone(), slot: slot.clone(), tenant })
}

fn tenant_of<'a>(known: &'a PartState, slot: &SlotName) -> Option<&'a Tenant> {
    known.slots.get(slot)?.want.as_ref()
}

pub(super) fn traffic(
    state: &State,
    deployment: &Deployment,
    step: u32,
    now: Timestamp,
) -> Vec<Event> {
    if deployment.converged_at.is_none() {
        return convergence_in_time(state, deployment, now);
    }
    if deployment.is_return() {
        return pass_step(state, deployment, step, None);
    }
    if let Some(events) = brake(state, deployment) {
        return events;
    }
    if dwell_left(deployment, now).is_some() {
        return Vec::new();
    }
    match may_advance(state, deployment) {
        Ok(()) if let Some(hold) = approving::asked_hold(deployment, now) => hold,
        Ok(()) => pass_step(state, deployment, step, None),
        Err(why) => vec![holding::hold_began(deployment, HoldCause::Verdict, why, now)],
    }
}

/// What leads to the weight of the step, or the event that says it is there.
pub(super) fn convergence(state: &State, deployment: &Deployment) -> Vec<Event> {
    let Some(step) = deployment.judged_step().filter(|_| deployment.converged_at.is_none()) else {
        return Vec::new();
    };
    let moves = worker_moves(state, deployment);
    if moves.is_empty() && converged(state, deployment) {
        return vec![Event::StepConverged { deployment: deployment.id.clone(), step }];
    }
    moves
}

/// Convergence, or a hold when it takes too long.
pub(super) fn convergence_in_time(
    state: &State,
    deployment: &Deployment,
    now: Timestamp,
) -> Vec<Event> {
    let events = convergence(state, deployment);
    let overdue = now.duration_since(deployment.phase_since) >= deployment.plan.limits.split;
    if !events.is_empty() || !overdue {
        return events;
    }
    let why = if tables_confirmed(state, deployment) {
        "the workers have not reached the share of this step".to_owned()
    } else {
        format!("the data plane has not confirmed the split{}", refusal(state, deployment))
    };
    vec![holding::hold_began(deployment, HoldCause::Unconfirmed, why, now)]
}

/// The step is good: on to the next, or to the bake after the last.
pub(in crate::decide) fn pass_step(
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
    } else {
        events.push(phase_entered(deployment, Phase::Bake, PhaseResult::Passed));
        // Outside a shift there is no lease: the table is served for ever.
        events.extend(shares(state, deployment, Weight::WHOLE, false));
    }
    events
}

/// When the judge says brake: back to the step before this one, the last that passed below it.
/// Where there is none, or after too many returns, all the way back.
pub(super) fn brake(state: &State, deployment: &Deployment) -> Option<Vec<Event>> {
    let verdict = deployment.verdict.as_ref().filter(|verdict| verdict.call == Call::Brake)?;
    let before = match deployment.phase {
        Phase::Traffic { step } => step.checked_sub(1),
        // Nothing to share with: the watch holds and calls a person.
        Phase::Bake if deployment.is_first() => return None,
        // The last step is the whole as well: the one before it is the first that relieves.
        Phase::Bake => u32::try_from(deployment.plan.traffic.steps.len()).ok()?.checked_sub(2),
        _ => return None,
    };
    let shared = |phase| matches!(phase, Phase::Traffic { .. } | Phase::Bake);
    let returns = deployment.passed.iter().filter(|r| shared(r.phase));
    let returns = returns.filter(|r| r.result == PhaseResult::Failed).count();
    let why = verdict.sentence.clone();
    let Some(to) = before.filter(|_| returns < BRAKES_MAX) else {
        return Some(go_back(state, Reason::Verdict, why));
    };
    let mut events = vec![Event::StepBraked { deployment: deployment.id.clone(), to, why }];
    events.extend(shares(state, deployment, step_weight(&deployment.plan, to), true));
    Some(events)
}

/// Whether the judge, the data plane and the live side all allow the next step; else why not.
pub(in crate::decide) fn may_advance(state: &State, deployment: &Deployment) -> Result<(), String> {
    if !converged(state, deployment) {
        return Err("what serves the users is not what this step set".to_owned());
    }
    let live_down = deployment.targets.iter().find(|(part, target)| {
        let slot = state.parts.get(*part).and_then(|p| p.slots.get(&target.slot));
        let wanted = |s: &SlotState| s.want.as_ref().is_some_and(|t| t.instances > 0);
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
            .all(|part| part.slots.values().all(SlotState::settled))
}

/// What the data plane says about a table that it does not serve, ready to be appended.
pub(super) fn refusal(state: &State, deployment: &Deployment) -> String {
    web(deployment)
        .filter_map(|part| state.parts.get(&part.name)?.table.as_ref()?.problem.as_ref())
        .next()
        .map(|problem| format!(": {problem}"))
        .unwrap_or_default()
}

pub(super) fn tables_confirmed(state: &State, deployment: &Deployment) -> bool {
    web(deployment).all(|part| {
        let table = state.parts.get(&part.name).and_then(|p| p.table.as_ref());
        table.is_some_and(|table| table.confirmed)
    })
}

/// What is left of the step's dwell or of the bake; `None` when it is over.
pub(in crate::decide) fn dwell_left(
    deployment: &Deployment,
    now: Timestamp,
) -> Option<SignedDuration> {
    let length = match deployment.phase {
        Phase::Traffic { .. } => deployment.plan.traffic.dwell,
        Phase::Bake => deployment.plan.bake.watch,
        _ => return None,
    };
    let since = deployment.converged_at?;
    let left = length.saturating_sub(now.duration_since(since));
    left.is_positive().then_some(left)
}

fn step_weight(plan: &Plan, step: u32) -> Weight {
    let index = usize::try_from(step).unwrap_or(usize::MAX);
    plan.traffic.steps.get(index).copied().unwrap_or(Weight::WHOLE)
}

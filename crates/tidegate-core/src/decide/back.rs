//! The way back, always in the order capacity, traffic, verify, scale-down.
//! Must never wait for a person, a window or a measurement, and never empty a slot that carries
//! user requests.

use jiff::Timestamp;

use super::forward::{
    Course, backend_of, candidate_slot, course, deployment_ended, own_tasks, phase_entered, web,
};
use crate::deadline::stage_limit;
use crate::event::{Ending, Event};
use crate::ids::PartName;
use crate::plan::{Moment, PartKind};
use crate::state::{Deployment, Phase, PhaseResult, Reason, Stage, State, TableState, Tenant};
use crate::verdict::Outcome;
use crate::weight::{Split, Weight};

/// Begins the way back from wherever the deployment is.
pub(super) fn go_back(state: &State, reason: Reason, why: impl Into<String>) -> Vec<Event> {
    let Some(deployment) = &state.current else {
        return Vec::new();
    };
    if !deployment.phase.rollback_is_armed() {
        return Vec::new();
    }
    let mut events =
        vec![Event::RollbackBegan { deployment: deployment.id.clone(), reason, why: why.into() }];
    if candidate_is_served(state, deployment) {
        events.extend(enter_capacity(state, deployment));
    } else {
        events.extend(enter_scale_down(state, deployment));
    }
    events
}

/// Begins the way back anew, with fresh limits, where it was stuck or frozen.
pub(super) fn go_back_again(state: &State) -> Vec<Event> {
    let Some((deployment, back)) =
        state.current.as_ref().and_then(|current| Some((current, current.going_back.as_ref()?)))
    else {
        return Vec::new();
    };
    let mut events = vec![Event::RollbackBegan {
        deployment: deployment.id.clone(),
        reason: back.reason,
        why: back.why.clone(),
    }];
    events.extend(enter_capacity(state, deployment));
    events
}

/// Whether users can be sent to the candidate: by the phase, or by a table that names it.
fn candidate_is_served(state: &State, deployment: &Deployment) -> bool {
    let past_smoke =
        matches!(deployment.phase, Phase::Traffic { .. } | Phase::Bake | Phase::Finish);
    past_smoke
        || deployment.candidates.iter().any(|(part, slot)| {
            let names = |split: &Split| split.share(slot) > Weight::ZERO;
            let table = state.parts.get(part).and_then(|part| part.table.as_ref());
            let splits = |table: &TableState| table.split.iter().chain(&table.fallback).any(names);
            table.is_some_and(splits)
        })
}

/// What follows while a deployment is on its way back.
pub(super) fn following(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    let (stage, stuck) = match deployment.phase {
        Phase::Rollback { stage } => (stage, false),
        Phase::NeedsPerson { stage } => (stage, true),
        _ => return Vec::new(),
    };
    let done = match stage {
        Stage::Capacity => {
            targets_are_ready(state, deployment).then(|| enter_traffic(state, deployment))
        }
        Stage::Traffic => tables_confirmed(state, deployment).then(|| enter_verify(deployment)),
        Stage::Verify => verify(state, deployment),
        Stage::ScaleDown if candidates_are_empty(state, deployment) => {
            after_steps(state, deployment, || end(deployment, None))
        }
        Stage::ScaleDown => None,
    };
    if let Some(events) = done {
        return events;
    }
    let overdue = now.duration_since(deployment.phase_since) >= stage_limit(deployment);
    match (overdue, stuck, stage) {
        (false, _, _) | (_, true, _) => Vec::new(),
        (true, false, Stage::Verify) => {
            end_unverified(deployment, "the check after the rollback did not end in time")
        }
        // The traffic is safe and verified: a candidate that does not stop is not a reason to
        // keep people waiting. The runtime keeps trying.
        (true, false, Stage::ScaleDown) => {
            end(deployment, Some("the candidate is still being stopped"))
        }
        (true, false, _) => {
            vec![phase_entered(deployment, Phase::NeedsPerson { stage }, PhaseResult::Failed)]
        }
    }
}

fn enter_capacity(state: &State, deployment: &Deployment) -> Vec<Event> {
    let stage = Phase::Rollback { stage: Stage::Capacity };
    let mut events = vec![phase_entered(deployment, stage, PhaseResult::Failed)];
    for part in deployment.plan.parts.iter().rev() {
        let Some(target) = deployment.targets.get(&part.name) else {
            continue;
        };
        let slots = state.parts.get(&part.name).map(|p| &p.slots);
        let Some(tenant) = slots.and_then(|s| s.get(&target.slot)).and_then(|s| s.want.as_ref())
        else {
            continue;
        };
        if tenant.instances < tenant.part.instances {
            events.push(Event::SlotWanted {
                part: part.name.clone(),
                slot: target.slot.clone(),
                tenant: Some(Tenant { instances: tenant.part.instances, ..tenant.clone() }),
            });
        }
    }
    events
}

fn targets_are_ready(state: &State, deployment: &Deployment) -> bool {
    deployment.targets.iter().all(|(part, target)| {
        let slot = state.parts.get(part).and_then(|p| p.slots.get(&target.slot));
        // One instance that answers is better than a candidate that was found bad: waiting for
        // the last instance would keep users on it.
        slot.is_some_and(|slot| slot.ready() || slot.observed.ready > 0)
    })
}

fn enter_traffic(state: &State, deployment: &Deployment) -> Vec<Event> {
    let stage = Phase::Rollback { stage: Stage::Traffic };
    let mut events = vec![phase_entered(deployment, stage, PhaseResult::Passed)];
    for part in deployment.plan.parts.iter().rev().filter(|part| part.route().is_some()) {
        events.push(split_back(state, deployment, &part.name));
    }
    for (part, target) in &deployment.targets {
        let live = state.parts.get(part).and_then(|p| p.live.as_ref());
        if live != Some(&target.slot) {
            events.push(Event::RolesMoved { part: part.clone(), live: Some(target.slot.clone()) });
        }
    }
    events
}

/// All requests of a part to what was live before, or 503 where there was nothing.
pub(super) fn split_back(state: &State, deployment: &Deployment, part: &PartName) -> Event {
    let target = deployment.targets.get(part);
    let backends =
        target.and_then(|target| backend_of(state, part, &target.slot)).into_iter().collect();
    Event::SplitWanted {
        part: part.clone(),
        split: target.map(|target| Split::all_to(target.slot.clone())),
        backends,
        fallback: None,
        leased: false,
    }
}

fn tables_confirmed(state: &State, deployment: &Deployment) -> bool {
    web(deployment).all(|part| {
        state
            .parts
            .get(&part.name)
            .and_then(|p| p.table.as_ref())
            .is_some_and(|table| table.confirmed)
    })
}

fn enter_verify(deployment: &Deployment) -> Vec<Event> {
    let stage = Phase::Rollback { stage: Stage::Verify };
    vec![phase_entered(deployment, stage, PhaseResult::Passed)]
}

fn verify(state: &State, deployment: &Deployment) -> Option<Vec<Event>> {
    if own_tasks(deployment).next().is_some() {
        let (outcome, summary) = super::forward::tasks_outcome(deployment)?;
        let how = match outcome {
            Outcome::Pass | Outcome::Waived => None,
            Outcome::Fail => Some("failed"),
            Outcome::NoData => Some("gave no answer"),
        };
        if let Some(how) = how {
            let how = format!("the check after the rollback {how}: {summary}");
            return Some(end_unverified(deployment, &how));
        }
    }
    after_steps(state, deployment, || enter_scale_down(state, deployment))
}

/// The custom steps of the way back come once the users are safe; `None` while they run.
fn after_steps(
    state: &State,
    deployment: &Deployment,
    done: impl FnOnce() -> Vec<Event>,
) -> Option<Vec<Event>> {
    match course(state, deployment, Moment::Rollback) {
        Course::Done => Some(done()),
        Course::Busy => None,
        Course::Following(events) => Some(events),
        Course::Bad(_, why) => Some(end_unverified(deployment, &why)),
    }
}

/// Both slots stay as they are: with one in doubt, neither is taken away.
fn end_unverified(deployment: &Deployment, how: &str) -> Vec<Event> {
    let why = format!("{}; {how}", why_of(deployment));
    vec![deployment_ended(deployment, Ending::RolledBackUnverified, why)]
}

/// Stops the candidate. A slot that this deployment never took is not its to empty.
fn enter_scale_down(state: &State, deployment: &Deployment) -> Vec<Event> {
    let stage = Phase::Rollback { stage: Stage::ScaleDown };
    let before = if matches!(deployment.phase, Phase::Rollback { .. } | Phase::NeedsPerson { .. }) {
        PhaseResult::Passed
    } else {
        PhaseResult::Failed
    };
    let revision = deployment.revision();
    let mut events = vec![phase_entered(deployment, stage, before)];
    for part in deployment.plan.parts.iter().rev() {
        let Some(slot) = candidate_slot(deployment, &part.name) else {
            continue;
        };
        let known = state.parts.get(&part.name);
        // What comes back ran before this deployment: while the table without it is not read back,
        // the data plane may still hold one that sends users to it.
        let unread = known.and_then(|part| part.table.as_ref()).is_some_and(|t| !t.confirmed);
        if deployment.is_return() && unread {
            continue;
        }
        let known = known.and_then(|part| part.slots.get(&slot));
        let tenant = known.and_then(|slot| slot.want.as_ref());
        if tenant.is_some_and(|tenant| Some(&tenant.revision) == revision.as_ref()) {
            events.push(Event::SlotWanted { part: part.name.clone(), slot, tenant: None });
        }
    }
    events
}

fn candidates_are_empty(state: &State, deployment: &Deployment) -> bool {
    deployment.candidates.iter().all(|(part, slot)| {
        let slot = state.parts.get(part).and_then(|p| p.slots.get(slot));
        slot.is_none_or(|slot| slot.want.is_some() || slot.settled())
    })
}

fn why_of(deployment: &Deployment) -> String {
    deployment.going_back.as_ref().map(|back| back.why.clone()).unwrap_or_default()
}

fn end(deployment: &Deployment, remark: Option<&str>) -> Vec<Event> {
    let back = deployment.going_back.as_ref();
    let ending = match back.map(|back| (back.reason, back.had_traffic)) {
        Some((Reason::Abort, false)) => Ending::Aborted,
        Some((Reason::Superseded, _)) => Ending::Superseded,
        Some((Reason::Rejected, _)) => Ending::Rejected,
        // There was nothing to go back to: the service answers 503 as before.
        Some((Reason::Abort, true)) if deployment.is_first() => Ending::Aborted,
        Some(_) if deployment.is_first() => Ending::Stopped,
        _ => Ending::RolledBack,
    };
    let mut why = why_of(deployment);
    if let Some(remark) = remark {
        why = format!("{why}; {remark}");
    }
    vec![deployment_ended(deployment, ending, why)]
}

/// Whether a part takes user requests.
pub(super) fn is_web(kind: &PartKind) -> bool {
    matches!(kind, PartKind::Web(_))
}

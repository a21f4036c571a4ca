//! After the last step: the watch at 100 %, then the roles move. Must never call a release good
//! that nobody judged, and never stop what is gone back to before the deployment ended.

use jiff::Timestamp;

use super::custom::{Course, course};
use super::{candidate_slot, deployment_ended, holding, phase_entered, publishing, shifting};
use crate::checklist;
use crate::decide::back::{self, go_back};
use crate::event::{Ending, Event};
use crate::plan::{KeepPrevious, Moment, PartKind};
use crate::state::{Deployment, HoldCause, Phase, PhaseResult, Reason, State};
use crate::verdict::{Call, HoldReason};
use crate::weight::Split;

pub(super) fn bake(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    if deployment.converged_at.is_none() {
        return shifting::convergence_in_time(state, deployment, now);
    }
    if deployment.is_return() {
        return verify_return(state, deployment);
    }
    if let Some(events) = shifting::brake(state, deployment) {
        return events;
    }
    let busy = match course(state, deployment, Moment::Bake) {
        Course::Done => false,
        Course::Busy => true,
        Course::Following(events) => return events,
        // Only a failure comes here: silence asks a person.
        Course::Bad(_, why) => return go_back(state, Reason::Check, why),
    };
    if busy || shifting::dwell_left(deployment, now).is_some() {
        return Vec::new();
    }
    match shifting::may_advance(state, deployment) {
        Ok(()) => enter_finish(state, deployment, PhaseResult::Passed),
        // Nobody to compare with and nobody there: waiting longer would not help anyone.
        Err(_) if deployment.is_first() && thin(deployment) => {
            enter_finish(state, deployment, PhaseResult::Skipped)
        }
        Err(why) => vec![holding::hold_began(deployment, HoldCause::Verdict, why, now)],
    }
}

/// What came back is asked once it serves. Nothing goes forward from here: a bad answer ends the
/// deployment unverified, with both sides kept.
fn verify_return(state: &State, deployment: &Deployment) -> Vec<Event> {
    let result = if super::own_tasks(deployment).next().is_none() {
        PhaseResult::Passed
    } else {
        match super::tasks_outcome(deployment) {
            None => return Vec::new(),
            Some((outcome, _)) if outcome.allows_progress() => PhaseResult::Passed,
            Some(_) => PhaseResult::Failed,
        }
    };
    match course(state, deployment, Moment::Rollback) {
        Course::Done => enter_finish(state, deployment, result),
        Course::Busy => Vec::new(),
        Course::Following(events) => events,
        Course::Bad(..) => enter_finish(state, deployment, PhaseResult::Failed),
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
pub(in crate::decide) fn enter_finish(
    state: &State,
    deployment: &Deployment,
    before: PhaseResult,
) -> Vec<Event> {
    let mut events = vec![phase_entered(deployment, Phase::Finish, before)];
    let warm = keeps_previous(deployment);
    for part in &deployment.plan.parts {
        let Some(candidate) = candidate_slot(deployment, &part.name) else {
            continue;
        };
        events.push(Event::RolesMoved { part: part.name.clone(), live: Some(candidate.clone()) });
        let previous = deployment.targets.get(&part.name).map(|target| &target.slot);
        if back::is_web(&part.kind) {
            let stays = previous.filter(|_| warm);
            let slots = std::iter::once(&candidate).chain(stays);
            events.push(Event::SplitWanted {
                part: part.name.clone(),
                split: Some(Split::all_to(candidate.clone())),
                backends: slots
                    .filter_map(|slot| publishing::backend_of(state, &part.name, slot))
                    .collect(),
                fallback: stays.map(|slot| Split::all_to(slot.clone())),
                leased: false,
            });
        }
    }
    events
}

/// Whether what was live before keeps running, as the place to go back to. What a person went
/// away from is no such place.
fn keeps_previous(deployment: &Deployment) -> bool {
    deployment.plan.bake.keep_previous == KeepPrevious::Warm && !deployment.is_return()
}

/// The deployment ends when the data plane serves the final table. What is not kept is stopped
/// from then on: a level that is brought about after the end, so that nothing waits for it and a
/// rollback is possible at every moment.
pub(super) fn finish(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    if !shifting::tables_confirmed(state, deployment) {
        let late = now.duration_since(deployment.phase_since) >= deployment.plan.limits.split;
        let why = format!(
            "the data plane has not confirmed the final table{}",
            shifting::refusal(state, deployment)
        );
        let hold = || holding::hold_began(deployment, HoldCause::Unconfirmed, why, now);
        return late.then(hold).into_iter().collect();
    }
    let bake =
        |result| deployment.passed.iter().any(|r| r.phase == Phase::Bake && r.result == result);
    let version = &deployment.plan.release.version;
    let unfinished = match course(state, deployment, Moment::Finish) {
        Course::Done => None,
        Course::Busy => return Vec::new(),
        Course::Following(events) => return events,
        Course::Bad(_, why) => Some(why),
    };
    let (ending, why) = if bake(PhaseResult::Failed) {
        let why = format!("{version} is live again, but does not answer its probes as it should");
        return vec![deployment_ended(deployment, Ending::RolledBackUnverified, why)];
    } else if bake(PhaseResult::Skipped) {
        (
            Ending::LiveUnverified,
            format!("{version} is live, but its watch ended without the judge's word for it"),
        )
    } else if let Some(why) = unfinished {
        (Ending::LiveUnverified, format!("{version} is live, but {why}"))
    } else if deployment.is_return() {
        (Ending::Succeeded, format!("{version} is live again"))
    } else if let Some(missing) = checklist::missing_sentence(deployment, now) {
        (Ending::LiveUnverified, format!("{version} is live, but {missing}"))
    } else {
        (Ending::Succeeded, format!("{version} is live"))
    };
    let mut events: Vec<Event> = stopping(state, deployment).collect();
    events.extend(retired(state, deployment));
    events.push(deployment_ended(deployment, ending, why));
    events
}

/// What is not kept once the roles have moved: a cold previous slot, and a worker's empty one.
fn stopping<'a>(state: &'a State, deployment: &'a Deployment) -> impl Iterator<Item = Event> + 'a {
    let cold = !keeps_previous(deployment);
    deployment.targets.iter().filter_map(move |(part, target)| {
        let tenant = state.parts.get(part)?.slots.get(&target.slot)?.want.as_ref()?;
        (cold || tenant.part.kind == PartKind::Worker).then(|| Event::SlotWanted {
            part: part.clone(),
            slot: target.slot.clone(),
            tenant: None,
        })
    })
}

/// Parts that were live and that this release does not have. They go when the deployment ends and
/// not before, because until then the way back leads to them.
fn retired<'a>(state: &'a State, deployment: &'a Deployment) -> impl Iterator<Item = Event> + 'a {
    let gone = state
        .parts
        .iter()
        .filter(|(name, part)| part.live.is_some() && deployment.plan.part(name).is_none());
    gone.flat_map(|(name, part)| {
        let unserved = part.table.as_ref().map(|_| Event::SplitWanted {
            part: name.clone(),
            split: None,
            backends: Vec::new(),
            fallback: None,
            leased: false,
        });
        let running = part.slots.iter().filter(|(_, slot)| slot.want.is_some());
        let stopped = running.map(|(slot, _)| Event::SlotWanted {
            part: name.clone(),
            slot: slot.clone(),
            tenant: None,
        });
        let dark = Event::RolesMoved { part: name.clone(), live: None };
        unserved.into_iter().chain(stopped).chain(std::iter::once(dark))
    })
}

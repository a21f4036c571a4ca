//! What follows from a state at a time: the way forward, phase by phase, and every deadline.
//! Must never pass a phase on missing evidence; a deadline's default is never to advance.
//!
//! [`starting`] begins a deployment, [`preparing`] leads it to the door, [`approving`] asks people, [`shifting`] moves the
//! requests, [`finishing`] watches and moves the roles, [`holding`] stops and goes on,
//! [`publishing`] makes the tables, [`windows`] looks at the calendar.

mod approving;
mod custom;
mod finishing;
mod holding;
mod preparing;
mod publishing;
mod shifting;
mod starting;
mod windows;

use jiff::Timestamp;

use super::back::{self, go_back};
use crate::absence::absences;
use crate::event::{Ending, Event};
use crate::ids::{PartName, SlotName};
use crate::plan::{HoldEnd, Part};
use crate::state::{
    Deployment, Phase, PhaseResult, Reason, State, TaskId, TaskProgress, TaskState,
};
use crate::verdict::{Call, Outcome};

pub(super) use custom::{Course, course};
pub(super) use finishing::enter_finish;
pub(super) use publishing::backend_of;
pub(super) use shifting::{dwell_left, may_advance, pass_step};
pub(super) use starting::started;

/// The next events that follow, or none.
pub(super) fn following(state: &State, now: Timestamp) -> Vec<Event> {
    // Publishing moved addresses keeps the shares, so it goes on even in a freeze: an instance
    // that restarts must not become an outage.
    let moved = publishing::moved_endpoints(state);
    if !moved.is_empty() {
        return moved;
    }
    if state.fault.is_some() {
        return Vec::new();
    }
    let Some(deployment) = &state.current else {
        return starting::start_queued(state);
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
        return holding::held(state, deployment, hold, now);
    }
    if let Some(hold) = windows::overrun(state, deployment, now) {
        return vec![hold];
    }
    if let Some(hold) = custom::lost(deployment, now) {
        return vec![hold];
    }
    match deployment.phase {
        Phase::Ready
        | Phase::Gates
        | Phase::Plan
        | Phase::Approvals
        | Phase::Backup
        | Phase::Deploy
        | Phase::Health
        | Phase::Smoke => windows::at_the_door(
            state,
            deployment,
            preparing::following(state, deployment, now),
            now,
        ),
        Phase::Traffic { step } => shifting::traffic(state, deployment, step, now),
        Phase::Bake => finishing::bake(state, deployment, now),
        Phase::Finish => finishing::finish(state, deployment, now),
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
    if let Some(why) = lost_candidate(state, now) {
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

/// A candidate that was started and has had no instance for too long.
fn lost_candidate(state: &State, now: Timestamp) -> Option<String> {
    let lost = absences(state).find(|absence| now >= absence.lost_at)?;
    Some(format!("{} has no running instance in {}: {}", lost.part, lost.slot, lost.problem))
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

/// The outcome of the phase's own tasks once all have ended, with the summary of the worst.
pub(super) fn tasks_outcome(deployment: &Deployment) -> Option<(Outcome, String)> {
    let mut worst: Option<(Outcome, String)> = None;
    for task in own_tasks(deployment) {
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

/// The tasks that a phase gives out by itself; those of the user come after them.
pub(super) fn own_tasks(deployment: &Deployment) -> impl Iterator<Item = &TaskState> {
    let own = deployment.tasks.iter().filter(|(id, _)| !matches!(id, TaskId::Custom(_)));
    own.map(|(_, task)| task)
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

//! When to look again. Every wait of the state machine has an end here or in a driver's timeout.
//! Must never name a time that depends on anything but the state.

use jiff::{SignedDuration, Timestamp};

use crate::absence::absences;
use crate::approval::gate::within;
use crate::incident::Incident;
use crate::plan::Moment;
use crate::state::{Deployment, HoldCause, Phase, Stage, State, TaskProgress};
use crate::window::{Door, door, holds_at_end};

/// A time at which something follows although nobody said anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// When.
    pub at: Timestamp,
    /// What ends then, for logs.
    pub what: &'static str,
}

/// The next deadline after which [`crate::decide`] has to be asked with elapsed time.
#[must_use]
pub fn next_deadline(state: &State) -> Option<Deadline> {
    let messages = state.outbox.next_retry().map(|at| Deadline { at, what: "a message" });
    let incidents = state.incidents.iter().filter_map(Incident::next_deadline).min();
    let incidents = incidents.map(|at| Deadline { at, what: "an incident" });
    let each = of_deployment(state).into_iter().chain(messages).chain(incidents);
    each.min_by_key(|deadline| deadline.at)
}

fn of_deployment(state: &State) -> Option<Deadline> {
    if state.fault.is_some() {
        return None;
    }
    let deployment = state.current.as_ref()?;
    let after = |since: Timestamp, length: SignedDuration, what| {
        since.checked_add(length).ok().map(|at| Deadline { at, what })
    };
    let limits = &deployment.plan.limits;
    let of_phase = match deployment.phase {
        // A hold stops every clock but its own.
        _ if deployment.hold.is_some() => None,
        Phase::Approvals => {
            let within = within(state, deployment);
            within.and_then(|within| after(deployment.phase_since, within, "the approvals"))
        }
        Phase::Deploy => after(deployment.phase_since, limits.start, "the start limit"),
        // A step has an end of its own, and so has the wait for it.
        Phase::Bake | Phase::Finish if runs_a_step(deployment) => None,
        Phase::Traffic { .. } | Phase::Bake | Phase::Finish
            if deployment.converged_at.is_none() =>
        {
            after(deployment.phase_since, limits.split, "the split limit")
        }
        Phase::Traffic { .. } => {
            let dwell = deployment.plan.traffic.dwell;
            deployment.converged_at.and_then(|since| after(since, dwell, "the dwell"))
        }
        // What came back is asked once; its question has an end of its own.
        Phase::Bake if deployment.is_return() => None,
        Phase::Bake => {
            let watch = deployment.plan.bake.watch;
            deployment.converged_at.and_then(|since| after(since, watch, "the bake"))
        }
        Phase::Rollback { .. } => {
            after(deployment.phase_since, stage_limit(deployment), "the rollback stage limit")
        }
        _ => None,
    };
    let of_hold = deployment
        .hold
        .as_ref()
        .and_then(|hold| hold.until)
        .map(|at| Deadline { at, what: "the hold" });
    let closing = closing(state, deployment);
    let losses =
        absences(state).map(|absence| Deadline { at: absence.lost_at, what: "the absence" });
    of_phase
        .into_iter()
        .chain(of_hold)
        .chain(closing)
        .chain(retries(deployment))
        .chain(losses)
        .min_by_key(|d| d.at)
}

/// Whether a custom step is out.
pub(crate) fn runs_a_step(deployment: &Deployment) -> bool {
    deployment.steps.values().any(|record| record.until.is_none())
}

/// How long a stage of the way back may last: where custom steps run, they get their time.
pub(crate) fn stage_limit(deployment: &Deployment) -> SignedDuration {
    let limit = deployment.plan.limits.rollback_stage;
    let later =
        matches!(deployment.phase, Phase::Rollback { stage: Stage::Verify | Stage::ScaleDown });
    let steps = deployment.plan.custom.iter().filter(|step| later && step.at == Moment::Rollback);
    steps.fold(limit, |limit, step| {
        let attempts = i32::try_from(step.retries.saturating_add(1)).unwrap_or(i32::MAX);
        limit.saturating_add(step.timeout.saturating_mul(attempts))
    })
}

/// The end of the window in which a deployment is under way that then holds, or the opening that
/// ends such a hold.
fn closing(state: &State, deployment: &Deployment) -> Option<Deadline> {
    if !holds_at_end(deployment) {
        return None;
    }
    let entered = deployment
        .opened_at
        .map_or(deployment.phase_since, |opened| deployment.phase_since.max(opened));
    let since = deployment.hold.as_ref().map_or(entered, |hold| hold.since);
    let held = deployment.hold.as_ref().map(|hold| hold.cause);
    let at = match (door(state, &deployment.plan, since), held) {
        (Door::Open { closes }, None) => closes?,
        (Door::Closed { opens, .. }, Some(HoldCause::Window)) => opens?,
        _ => return None,
    };
    Some(Deadline { at, what: "the window" })
}

fn retries(deployment: &Deployment) -> impl Iterator<Item = Deadline> + '_ {
    deployment.tasks.values().filter_map(|task| match &task.progress {
        TaskProgress::Waiting { until, .. } => {
            Some(Deadline { at: *until, what: "the next attempt" })
        }
        TaskProgress::Running | TaskProgress::Lost { .. } | TaskProgress::Done { .. } => None,
    })
}

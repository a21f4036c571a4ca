//! What lies ahead of a deployment, and how long ways back have taken: times that follow from the
//! plan and from the journal. Must never promise: a rule, a person or a window may stand between.

use jiff::{SignedDuration, Timestamp};
use tidegate_core::state::{Deployment, Ended, Phase, Stage, State};
use tidegate_core::window::door;

use crate::view::Measured;
use crate::view::calendar::Door;

/// Ways back that are shown.
const MEASURED_MAX: usize = 5;

/// When it can be over at the earliest, if every rule lets it go on.
pub(super) fn ends_at(deployment: &Deployment, now: Timestamp) -> Option<Timestamp> {
    let straight = deployment.is_first() || deployment.is_return();
    if deployment.going_back.is_some() || deployment.phase.is_going_back() {
        return None;
    }
    let watch = deployment.plan.bake.watch;
    let dwell = deployment.plan.traffic.dwell;
    let steps = deployment.plan.traffic.steps.len();
    // The watch takes the place of the dwell at 100 %, which is the last step.
    let dwelling = |steps: usize| dwell.saturating_mul(i32::try_from(steps).unwrap_or(i32::MAX));
    let (from, left) = match deployment.phase {
        Phase::Bake => (deployment.phase_since, watch),
        Phase::Finish => (now, SignedDuration::ZERO),
        Phase::Traffic { step } => {
            let behind = usize::try_from(step).unwrap_or(steps);
            let left = steps.saturating_sub(1).saturating_sub(behind);
            (deployment.converged_at.unwrap_or(now), dwelling(left).saturating_add(watch))
        }
        _ if straight => return None,
        _ => (now, dwelling(steps.saturating_sub(1)).saturating_add(watch)),
    };
    from.checked_add(left).ok().map(|at| at.max(now))
}

/// Whether the window of a deployment is open.
pub(super) fn window(state: &State, deployment: &Deployment, now: Timestamp) -> Option<Door> {
    let closable = deployment.plan.window.is_some() || !state.freezes.is_empty();
    closable.then(|| Door::of(door(state, &deployment.plan, now)))
}

/// The newest ways back of a service, newest first.
pub(crate) fn measured(state: &State) -> Vec<Measured> {
    state.history.iter().rev().filter_map(way_back).take(MEASURED_MAX).collect()
}

/// A way back that moved users, measured by its events.
fn way_back(ended: &Ended) -> Option<Measured> {
    let began = ended.went_back_at?;
    let moved = ended
        .passed
        .iter()
        .find(|record| record.phase == Phase::Rollback { stage: Stage::Traffic })?;
    let ms = |at: Timestamp| i64::try_from(at.duration_since(began).as_millis()).ok();
    Some(Measured {
        deployment: ended.deployment.to_string(),
        at: began,
        safe_ms: ms(moved.until)?,
        whole_ms: ms(ended.ended_at)?,
    })
}

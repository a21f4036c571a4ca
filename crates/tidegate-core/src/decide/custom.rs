//! How an attempt of a custom step ended, and what a person says of one that was lost.
//! Must never do a step twice that is not idempotent, unless it is known not to have been done.

use super::Draft;
use super::command::in_flight;
use super::observe::{asked, backoff};
use crate::event::Event;
use crate::ids::{DeploymentId, StepName};
use crate::input::StepReport;
use crate::rejection::Rejection;
use crate::state::{Phase, TaskId, TaskProgress};
use crate::verdict::Outcome;

/// Longest word of a person on a lost step, bytes: it stands in the timeline.
const REASON_BYTES_MAX: usize = 500;

/// An attempt ended, or was lost.
pub(super) fn reported(
    draft: &mut Draft,
    id: &DeploymentId,
    name: &StepName,
    attempt: u32,
    report: &StepReport,
) {
    let Some(current) = draft.state.current.as_ref().filter(|current| current.id == *id) else {
        return;
    };
    let task = TaskId::Custom(name.clone());
    let Some(step) = current.plan.custom_step(name).filter(|_| asked(current, &task, attempt))
    else {
        return;
    };
    let good = report.outcome.allows_progress();
    let unknown = !good && report.lost && !step.idempotent;
    let again =
        !good && !unknown && attempt <= step.retries && (step.idempotent || report.retryable);
    // At the whole, silence goes back by itself no more than it goes on.
    let silent = report.outcome == Outcome::NoData && current.phase == Phase::Bake;
    let asks = (unknown || (silent && !again))
        && !current.phase.is_going_back()
        && current.phase != Phase::Finish;
    let retry_at = again.then(|| draft.now.checked_add(backoff(attempt)).unwrap_or(draft.now));
    let (deployment, summary) = (id.clone(), report.summary.clone());
    if asks {
        draft.emit(Event::TaskLost { deployment, task, attempt, why: summary });
        return;
    }
    if good && !report.given.is_empty() {
        draft.emit(Event::StepGave {
            deployment: deployment.clone(),
            step: name.clone(),
            given: report.given.clone(),
        });
    }
    draft.emit(Event::TaskFinished {
        deployment,
        task,
        attempt,
        outcome: report.outcome,
        summary,
        retry_at,
    });
}

/// A person says what became of a step.
pub(super) fn settle(
    draft: &mut Draft,
    id: &DeploymentId,
    name: &StepName,
    done: bool,
    reason: &str,
) -> Result<(), Rejection> {
    let current = in_flight(&draft.state, id)?;
    let refused = |what: &str| Rejection::NotLost { step: name.clone(), what: what.to_owned() };
    let task = TaskId::Custom(name.clone());
    let known = current.tasks.get(&task);
    if current.plan.custom_step(name).is_none() {
        return Err(refused("the plan has no such step"));
    }
    if !known.is_some_and(|task| matches!(task.progress, TaskProgress::Lost { .. })) {
        return Err(refused("what became of it is known, or it did not begin"));
    }
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(refused("say in 1 to 500 bytes how you know"));
    }
    draft.emit(Event::TaskSettled {
        deployment: id.clone(),
        task,
        done,
        reason: reason.to_owned(),
    });
    Ok(())
}

//! What the events of custom steps change.
//! Must never decide which step begins.

use jiff::Timestamp;

use crate::event::Event;
use crate::ids::StepName;
use crate::plan::Moment;
use crate::state::{
    Deployment, Given, Phase, StepRecord, StepStands, TaskId, TaskProgress, TaskState,
};
use crate::verdict::Outcome;

pub(super) fn fold(current: &mut Deployment, event: &Event, at: Timestamp) {
    match event {
        Event::TaskBegan { task, targets, .. } => {
            current.tasks.insert(task.clone(), TaskState::given_out(at));
            if let TaskId::Custom(step) = task {
                let record = record(at, StepStands::Running, String::new());
                let record = StepRecord { targets: targets.clone(), until: None, ..record };
                current.steps.insert(step.clone(), record);
            }
        }
        Event::StepSkipped { step, why, .. } => {
            current.steps.insert(step.clone(), record(at, StepStands::Skipped, why.clone()));
        }
        Event::StepGave { step, given, .. } => {
            if let Some(record) = current.steps.get_mut(step) {
                record.given = given.clone();
            }
        }
        Event::TaskFinished { task, attempt, outcome, summary, retry_at, .. } => {
            let over = retry_at.is_none().then_some(*outcome);
            note(current, task, *attempt, over, summary, at);
        }
        Event::TaskRetried { task, attempt, .. } => {
            note(current, task, *attempt, None, "", at);
        }
        Event::TaskLost { task, attempt, why, .. } => {
            set(current, task, TaskProgress::Lost { said: why.clone() });
            note(current, task, *attempt, None, why, at);
            if let Some(record) = record_of(current, task) {
                record.stands = StepStands::Lost;
            }
        }
        Event::TaskSettled { task, done, reason, .. } => {
            let attempt = current.tasks.get(task).map_or(1, |task| task.attempt);
            if *done {
                let (outcome, summary) = (Outcome::Pass, format!("a person saw it: {reason}"));
                set(current, task, TaskProgress::Done { outcome, summary: summary.clone() });
                note(current, task, attempt, Some(outcome), &summary, at);
            } else {
                set(current, task, TaskProgress::Waiting { until: at, said: reason.clone() });
                note(current, task, attempt, None, reason, at);
            }
        }
        _ => {}
    }
}

/// What ran when the deployment turned away from it was stopped.
pub(super) fn cut_short(current: &mut Deployment, at: Timestamp) {
    for record in current.steps.values_mut().filter(|record| record.until.is_none()) {
        record.until = Some(at);
        record.stands = StepStands::Ended(Outcome::NoData);
        "it was stopped".clone_into(&mut record.summary);
    }
}

/// A moment that comes anew begins anew.
pub(super) fn forget(current: &mut Deployment, moment: Moment) {
    let plan = current.plan.clone();
    let of_it = |name: &StepName| plan.custom_step(name).is_some_and(|step| step.at == moment);
    current.steps.retain(|name, _| !of_it(name));
}

/// The moment that comes anew with a phase.
pub(super) fn anew(phase: Phase) -> Option<Moment> {
    (phase == Phase::Bake).then_some(Moment::Bake)
}

fn record(at: Timestamp, stands: StepStands, summary: String) -> StepRecord {
    StepRecord {
        since: at,
        until: Some(at),
        attempt: 1,
        stands,
        summary,
        targets: std::collections::BTreeMap::new(),
        given: Given::default(),
    }
}

fn set(current: &mut Deployment, task: &TaskId, progress: TaskProgress) {
    if let Some(state) = current.tasks.get_mut(task) {
        state.progress = progress;
    }
}

fn record_of<'d>(current: &'d mut Deployment, task: &TaskId) -> Option<&'d mut StepRecord> {
    match task {
        TaskId::Custom(step) => current.steps.get_mut(step),
        _ => None,
    }
}

fn note(
    current: &mut Deployment,
    task: &TaskId,
    attempt: u32,
    over: Option<Outcome>,
    summary: &str,
    at: Timestamp,
) {
    if let Some(record) = record_of(current, task) {
        record.attempt = attempt;
        record.stands = over.map_or(StepStands::Running, StepStands::Ended);
        record.until = over.map(|_| at);
        summary.clone_into(&mut record.summary);
    }
}

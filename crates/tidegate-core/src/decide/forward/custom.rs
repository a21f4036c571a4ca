//! Custom steps: which of them begin, and when all of a moment are over.
//! Must never begin a step before what it needs, nor one more after another of its moment failed.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{candidate_slot, web};
use crate::digest::Digest;
use crate::event::Event;
use crate::ids::PartName;
use crate::plan::{CUSTOM_RUNNING_MAX, CustomStep, HoldEnd, Moment, When};
use crate::state::{Deployment, Hold, HoldCause, Phase, State, StepStands, TaskId, TaskProgress};
use crate::verdict::Outcome;

/// How long a person has to say what became of a step.
const LOST_HOLD: SignedDuration = SignedDuration::from_mins(30);

/// How far the custom steps of a moment are.
pub(in crate::decide) enum Course {
    /// All are over and good, or there are none.
    Done,
    /// Something runs, or waits for a person.
    Busy,
    /// These begin.
    Following(Vec<Event>),
    /// One did not pass, and none runs any more.
    Bad(Outcome, String),
}

/// How far the custom steps of a moment are, and which begin.
pub(in crate::decide) fn course(state: &State, deployment: &Deployment, moment: Moment) -> Course {
    let steps: Vec<&CustomStep> =
        deployment.plan.custom.iter().filter(|step| step.at == moment).collect();
    let record = |step: &CustomStep| deployment.steps.get(&step.name);
    let open = |step: &&&CustomStep| record(step).is_some_and(|record| record.until.is_none());
    let running: Vec<&&CustomStep> = steps.iter().filter(open).collect();
    let bad = steps.iter().find_map(|step| match record(step)?.stands {
        StepStands::Ended(outcome) if !outcome.allows_progress() => Some((step, outcome)),
        _ => None,
    });
    if let Some((step, outcome)) = bad {
        let summary = record(step).map(|record| record.summary.as_str()).unwrap_or_default();
        let word = outcome.word();
        let what = format!("the step {} {word}: {summary}", step.name);
        return if running.is_empty() { Course::Bad(outcome, what) } else { Course::Busy };
    }
    let alone = running.iter().any(|step| step.alone);
    let mut room = if alone { 0 } else { CUSTOM_RUNNING_MAX.saturating_sub(running.len()) };
    let mut events = Vec::new();
    let mut nobody = running.is_empty();
    for step in steps.iter().filter(|step| record(step).is_none()) {
        match standing(deployment, step) {
            Standing::Waits => {}
            Standing::NotNeeded(why) => events.push(skipped(deployment, step, why)),
            Standing::Ready if room == 0 || (step.alone && !nobody) => {}
            Standing::Ready => {
                nobody = false;
                room = if step.alone { 0 } else { room - 1 };
                events.push(began(state, deployment, step));
            }
        }
    }
    let over = steps.iter().all(|step| record(step).is_some_and(|record| record.until.is_some()));
    match (events.is_empty(), over) {
        (false, _) => Course::Following(events),
        (true, true) => Course::Done,
        (true, false) => Course::Busy,
    }
}

enum Standing {
    Waits,
    Ready,
    NotNeeded(String),
}

fn standing(deployment: &Deployment, step: &CustomStep) -> Standing {
    let for_this = match step.when {
        When::Always => None,
        When::First if deployment.is_first() => None,
        When::First => Some("only for the first deployment"),
        When::Update if deployment.is_first() => Some("only where something was live before"),
        When::Update => None,
    };
    if let Some(why) = for_this {
        return Standing::NotNeeded(why.to_owned());
    }
    for need in &step.needs {
        // A release that comes back brings only what its way back needs.
        let Some(needed) = deployment.plan.custom_step(need) else { continue };
        let record = deployment.steps.get(need);
        if step.at == Moment::Rollback && needed.at != Moment::Rollback {
            // What is undone has to have begun; how far it came, only the step itself can tell.
            let begun = record.is_some_and(|record| record.stands != StepStands::Skipped);
            if !begun {
                return Standing::NotNeeded(format!("{need} had not begun"));
            }
        } else if !record.is_some_and(|record| record.stands.lets_others_begin()) {
            return Standing::Waits;
        }
    }
    Standing::Ready
}

fn skipped(deployment: &Deployment, step: &CustomStep, why: String) -> Event {
    Event::StepSkipped { deployment: deployment.id.clone(), step: step.name.clone(), why }
}

/// Where the candidate answers is part of the beginning: an instance that moves later is not
/// another order for a step that runs.
fn began(state: &State, deployment: &Deployment, step: &CustomStep) -> Event {
    let candidates = matches!(
        step.at,
        Moment::AfterDeploy | Moment::BeforeTraffic | Moment::Bake | Moment::Finish
    );
    let mut targets: BTreeMap<PartName, String> = BTreeMap::new();
    for part in web(deployment).filter(|_| candidates) {
        let endpoint = candidate_slot(deployment, &part.name).and_then(|slot| {
            let known = state.parts.get(&part.name)?.slots.get(&slot)?;
            known.observed.endpoints.first().cloned()
        });
        targets.extend(endpoint.map(|endpoint| (part.name.clone(), endpoint)));
    }
    Event::TaskBegan {
        deployment: deployment.id.clone(),
        task: TaskId::Custom(step.name.clone()),
        targets,
    }
}

/// The hold that asks a person what became of a step.
pub(super) fn lost(deployment: &Deployment, now: Timestamp) -> Option<Event> {
    let (id, said) = deployment.tasks.iter().find_map(|(id, task)| match &task.progress {
        TaskProgress::Lost { said } => Some((id, said)),
        _ => None,
    })?;
    let then = match deployment.phase {
        // At the whole there is nothing safer to go back to than a verdict that says so.
        Phase::Bake | Phase::Finish => HoldEnd::Page,
        _ => HoldEnd::Rollback,
    };
    let hold = Hold {
        cause: HoldCause::Lost,
        why: format!("nobody knows whether {} was done: {said}", id.words()),
        since: now,
        until: now.checked_add(LOST_HOLD).ok(),
        then,
    };
    Some(Event::HoldBegan { deployment: deployment.id.clone(), hold })
}

/// Whether a step still waits for a person's word.
pub(super) fn any_lost(deployment: &Deployment) -> bool {
    deployment.tasks.values().any(|task| matches!(task.progress, TaskProgress::Lost { .. }))
}

/// D with what the steps before the approvals left behind: what people read is what is applied.
pub(super) fn bound(deployment: &Deployment) -> Option<Event> {
    let artifact = deployment.artifact.clone()?;
    let steps = deployment.plan.custom.iter().filter(|step| step.at == Moment::Plan);
    let text: String = steps
        .filter_map(|step| Some((&step.name, &deployment.steps.get(&step.name)?.given)))
        .flat_map(|(name, given)| {
            let files = given.artifacts.iter();
            let files =
                files.map(move |(path, digest)| format!("{name}\0file\0{path}\0{digest}\n"));
            let values = given.outputs.iter().map(move |(key, value)| {
                format!("{name}\0value\0{key}\0{}\n", Digest::of(value.as_bytes()))
            });
            files.chain(values)
        })
        .collect();
    if text.is_empty() {
        return None;
    }
    let with = |digest: Option<&Digest>| {
        let before = digest.map(Digest::as_str).unwrap_or_default();
        Digest::of(format!("tidegate.D.given.v1\0{before}\0{text}").as_bytes())
    };
    let mut parts = deployment.parts.clone();
    let steps = with(parts.get(&crate::digest::Component::PlanSteps));
    parts.insert(crate::digest::Component::PlanSteps, steps);
    Some(Event::ArtifactPinned {
        deployment: deployment.id.clone(),
        artifact,
        binding: with(deployment.binding.as_ref()),
        parts,
    })
}

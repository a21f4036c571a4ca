//! For what everything waits: on what, since when, who can end it, what happens at the deadline.
//! The same words in the terminal, on the page, in chat and in the API.
//! Must never say "waiting" without saying for what.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp, Unit};
use serde::Serialize;

use crate::approval::gate::standing;
use crate::deadline::{next_deadline, runs_a_step};
use crate::digest::Digest;
use crate::plan::HoldEnd;
use crate::state::{
    Deployment, Ended, HoldCause, Phase, Stage, State, TaskId, TaskProgress, Tenant,
};
use crate::verdict::{Call, HoldReason, reason};
use crate::window::GATE;

/// One wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// What for, as a noun phrase.
    pub on: String,
    /// Since when.
    pub since: Timestamp,
    /// Who or what can end it.
    pub who: String,
    /// When it ends by itself; `None` when only `who` ends it.
    pub until: Option<Timestamp>,
    /// What happens then.
    pub then: String,
    /// The command that would end it, when a person can.
    pub command: Option<String>,
}

/// What the deployment in flight waits for; `None` when none is.
#[must_use]
pub fn waiting_on(state: &State) -> Option<Waiting> {
    let deployment = state.current.as_ref()?;
    if let Some(fault) = &state.fault {
        return Some(Waiting {
            on: format!("a person: an invariant broke ({}: {})", fault.code, fault.what),
            since: fault.at,
            who: "an operator".to_owned(),
            until: None,
            then: "nothing: traffic stays as it is".to_owned(),
            command: Some("tidegate rollback".to_owned()),
        });
    }
    Some(of_hold(deployment).unwrap_or_else(|| of_phase(state, deployment)))
}

fn of_hold(deployment: &Deployment) -> Option<Waiting> {
    let hold = deployment.hold.as_ref()?;
    let then = match (hold.until, hold.then) {
        (None, _) => "nothing: a person was called",
        (Some(_), _)
            if hold.cause == HoldCause::Window && !deployment.phase.rollback_is_armed() =>
        {
            "it goes on, if the window is open then"
        }
        (Some(_), HoldEnd::Rollback) if deployment.phase.rollback_is_armed() => "it rolls back",
        (Some(_), HoldEnd::Rollback) => "it is aborted, nothing was changed",
        (Some(_), HoldEnd::Page) => "a person is called, the weights stay",
    };
    let verdict = deployment.verdict.as_ref().filter(|verdict| verdict.call != Call::Advance);
    let (who, command) = match hold.cause {
        HoldCause::Person => ("a person", Some("tidegate resume".to_owned())),
        HoldCause::Verdict if verdict.is_none() => ("the judge or the world", advance(deployment)),
        HoldCause::Verdict => ("the judge, as soon as the numbers allow it", advance(deployment)),
        HoldCause::Condition => {
            ("the one who approved on that condition", Some("tidegate resume".to_owned()))
        }
        HoldCause::Unconfirmed => ("the data plane and the workers, by reaching it", None),
        HoldCause::Lost => ("a person who looks", Some(settle(deployment))),
        HoldCause::Window => ("the calendar, or a waiver", Some(waive(deployment))),
    };
    let on = match (verdict, hold.cause) {
        (Some(verdict), HoldCause::Verdict) => format!("better numbers ({})", verdict.sentence),
        // The judge is content, or silent: what holds it was found elsewhere.
        (None, HoldCause::Verdict) => format!("a change ({})", hold.why),
        (_, HoldCause::Person) => format!("a person ({})", hold.why),
        (_, HoldCause::Condition) => format!("a look ({})", hold.why),
        (_, HoldCause::Lost) => format!("a person's word ({})", hold.why),
        (_, HoldCause::Window) => format!("the window ({})", hold.why),
        (_, HoldCause::Unconfirmed) => format!("a confirmation ({})", hold.why),
    };
    Some(Waiting {
        on,
        since: hold.since,
        who: who.to_owned(),
        until: hold.until,
        then: then.to_owned(),
        command,
    })
}

/// The command that says what became of the first step that was lost.
fn settle(deployment: &Deployment) -> String {
    let lost = deployment.tasks.iter().find_map(|(id, task)| match (id, &task.progress) {
        (TaskId::Custom(step), TaskProgress::Lost { .. }) => Some(step.as_str()),
        _ => None,
    });
    format!("tidegate step settle {} --done --reason WHY", lost.unwrap_or("STEP"))
}

/// The command by which somebody who may answers for it.
fn waive(deployment: &Deployment) -> String {
    let version = &deployment.plan.release.version;
    format!("tidegate waive {GATE} --version {version} --reason WHY")
}

/// The command that goes on early, where it would be accepted: absence never advances.
fn advance(deployment: &Deployment) -> Option<String> {
    let step = deployment.judged_step()?;
    let call = deployment.verdict.as_ref()?.call;
    if deployment.converged_at.is_none() || call == Call::Hold(HoldReason::Telemetry) {
        return None;
    }
    Some(format!("tidegate advance --step {}", step + 1))
}

/// Whether what it waits for is work that was given out.
fn waits_for_tasks(deployment: &Deployment) -> bool {
    match deployment.phase {
        Phase::Ready
        | Phase::Gates
        | Phase::Plan
        | Phase::Backup
        | Phase::Health
        | Phase::Smoke
        | Phase::Rollback { stage: Stage::Verify } => true,
        _ => runs_a_step(deployment),
    }
}

fn of_phase(state: &State, deployment: &Deployment) -> Waiting {
    let until = next_deadline(state).map(|deadline| deadline.at);
    let waiting = |on: String, who: &str, then: &str| Waiting {
        on,
        since: deployment.phase_since,
        who: who.to_owned(),
        until,
        then: then.to_owned(),
        command: None,
    };
    match deployment.phase {
        _ if waits_for_tasks(deployment) => of_tasks(deployment, until),
        Phase::Approvals => Waiting {
            command: Some(format!("tidegate approve {}", deployment.id)),
            ..waiting(
                people(state, deployment),
                "an approver",
                "it is stopped, nothing was started",
            )
        },
        Phase::Deploy => waiting(
            unsettled(state, deployment),
            "the application, by listening on its port, and the data plane",
            "the candidate is taken down",
        ),
        Phase::Traffic { .. } | Phase::Bake if deployment.converged_at.is_none() => {
            let (on, who) = match unconfirmed(state) {
                None => ("the workers to reach the share of this step".to_owned(), "the workers"),
                Some(problem) => {
                    (format!("the data plane to confirm the split{problem}"), "the data plane")
                }
            };
            waiting(on, who, "it holds")
        }
        Phase::Traffic { step } => Waiting {
            command: advance(deployment),
            ..waiting(
                format!(
                    "the dwell of step {} of {}",
                    step + 1,
                    deployment.plan.traffic.steps.len()
                ),
                "time, while the rules hold",
                "the next step begins if the judge says advance, else it holds",
            )
        },
        Phase::Bake if deployment.is_return() => of_tasks(deployment, until),
        Phase::Bake => waiting(
            "the watch at 100 %".to_owned(),
            "time, while the rules hold",
            "the roles move if the judge says advance, else it holds",
        ),
        Phase::Finish => waiting(
            format!(
                "the data plane to confirm the final table{}",
                unconfirmed(state).unwrap_or_default()
            ),
            "the data plane",
            "it holds, the release serves all the same",
        ),
        _ => of_the_way_back(deployment, until),
    }
}

/// What people have yet to say about exactly this plan.
fn people(state: &State, deployment: &Deployment) -> String {
    // What expires does so at the gate; to say what is missing the time of the last event will do.
    let newest = deployment.votes.iter().map(|vote| vote.at).max();
    let standing = standing(state, deployment, newest.unwrap_or(deployment.phase_since));
    match standing.missing.as_slice() {
        [] => "the directory to say that who approved still may".to_owned(),
        missing => missing.join("; "),
    }
}

fn of_the_way_back(deployment: &Deployment, until: Option<Timestamp>) -> Waiting {
    let (on, who, then, command) = match deployment.phase {
        Phase::NeedsPerson { stage } => (
            stuck(stage).to_owned(),
            "an operator, or the world by recovering",
            "nothing",
            Some("tidegate rollback".to_owned()),
        ),
        Phase::Rollback { stage: Stage::ScaleDown } => {
            ("the way back, scale-down".to_owned(), "Tidegate", "it ends all the same", None)
        }
        phase => {
            (format!("the way back, {}", stage_word(phase)), "Tidegate", "a person is called", None)
        }
    };
    Waiting {
        on,
        since: deployment.phase_since,
        who: who.to_owned(),
        until,
        then: then.to_owned(),
        command,
    }
}

fn stage_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Rollback { stage } | Phase::NeedsPerson { stage } => stage.word(),
        _ => phase.word(),
    }
}

fn stuck(stage: Stage) -> &'static str {
    match stage {
        Stage::Capacity => "a person: the previous revision has no running instance to go back to",
        Stage::Traffic => "a person: the data plane does not confirm the way back",
        Stage::Verify => "a person: the previous revision does not answer",
        Stage::ScaleDown => "a person: the candidate does not stop",
    }
}

fn of_tasks(deployment: &Deployment, until: Option<Timestamp>) -> Waiting {
    let open = deployment
        .tasks
        .iter()
        .find(|(_, task)| !matches!(task.progress, TaskProgress::Done { .. }));
    let (on, since, then) = match open {
        Some((id, task)) => {
            let said = match &task.progress {
                TaskProgress::Waiting { said, .. } => format!(" (the last attempt said: {said})"),
                _ => String::new(),
            };
            let attempt = match task.attempt {
                1 => String::new(),
                attempt => format!(", attempt {attempt}"),
            };
            (format!("{}{attempt}{said}", id.words()), task.since, "another attempt, or the end")
        }
        None => (deployment.phase.word().to_owned(), deployment.phase_since, "the next phase"),
    };
    Waiting { on, since, who: "Tidegate".to_owned(), until, then: then.to_owned(), command: None }
}

fn unsettled(state: &State, deployment: &Deployment) -> String {
    let waits: Vec<String> = deployment
        .candidates
        .iter()
        .filter_map(|(part, slot)| {
            let slot_state = state.parts.get(part)?.slots.get(slot)?;
            let tenant = slot_state.want.as_ref()?;
            if Some(&tenant.revision) != deployment.revision().as_ref() {
                return Some(format!(
                    "the data plane to confirm the table of {part} without {slot}"
                ));
            }
            if slot_state.settled() {
                return None;
            }
            let seen = &slot_state.observed;
            let ready = if seen.runs(tenant)
                || seen.revision.as_deref() == Some(&tenant.revision.label())
            {
                seen.ready
            } else {
                0
            };
            let problem = seen.problem.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
            Some(format!("{ready} of {} instances of {part} in {slot}{problem}", tenant.instances))
        })
        .collect();
    if !waits.is_empty() {
        return waits.join(", ");
    }
    match unconfirmed(state) {
        Some(problem) => format!("the data plane to confirm the split{problem}"),
        None => "the candidate".to_owned(),
    }
}

/// Whether a table is not served, with what the data plane says about it in brackets.
fn unconfirmed(state: &State) -> Option<String> {
    let tables = state.parts.values().filter_map(|part| part.table.as_ref());
    let mut open = tables.filter(|table| !table.confirmed).peekable();
    open.peek()?;
    let said = open.find_map(|table| table.problem.as_ref());
    Some(said.map(|problem| format!(" ({problem})")).unwrap_or_default())
}

/// The sentence of state: what is happening and what ends it, at a time.
#[must_use]
pub fn sentence(state: &State, now: Timestamp) -> String {
    let Some(deployment) = &state.current else {
        return match state.history.last() {
            None => "nothing was deployed yet".to_owned(),
            Some(ended) if ended.ending.is_live() && left_behind(state, ended) => {
                let version = live_versions(state);
                format!("{version} is live: the data plane left {}", ended.plan.release.version)
            }
            Some(ended) => format!("{}: {}", ended.ending.words(), reason(&ended.why)),
        };
    };
    let Some(waiting) = waiting_on(state) else {
        return String::new();
    };
    let lead = if state.fault.is_some() {
        "frozen".to_owned()
    } else if let Some(back) = &deployment.going_back {
        match deployment.phase {
            Phase::NeedsPerson { .. } => format!("needs a person ({})", back.why),
            _ => format!("rolling back ({})", back.why),
        }
    } else {
        match (&deployment.hold, deployment.phase) {
            (Some(_), Phase::Traffic { step }) => {
                format!("holding at {}", weight(deployment, step))
            }
            (Some(_), phase) => format!("holding in {}", phase.word()),
            (None, Phase::Traffic { step }) => {
                format!("{} of requests on the candidate", weight(deployment, step))
            }
            (None, Phase::Bake) => "100 % of requests on the candidate".to_owned(),
            (None, phase) => phase.word().to_owned(),
        }
    };
    let end = match waiting.until {
        Some(until) => format!("; in {} {}", left(now, until), waiting.then),
        None => String::new(),
    };
    format!("{lead}: waits for {}{end}", waiting.on)
}

/// Whether the data plane went back from it after its end: another artifact is live.
fn left_behind(state: &State, ended: &Ended) -> bool {
    let artifact = ended.artifact.as_ref().map(Digest::as_str);
    let mut live =
        live_tenants(state).filter(|tenant| ended.plan.part(&tenant.part.name).is_some());
    live.any(|tenant| Some(tenant.revision.artifact.as_str()) != artifact)
}

fn live_versions(state: &State) -> String {
    let versions: BTreeSet<&str> =
        live_tenants(state).map(|tenant| tenant.revision.version.as_str()).collect();
    versions.into_iter().collect::<Vec<_>>().join(" and ")
}

fn live_tenants(state: &State) -> impl Iterator<Item = &Tenant> {
    state.parts.values().filter_map(|part| part.slots.get(part.live.as_ref()?)?.want.as_ref())
}

fn weight(deployment: &Deployment, step: u32) -> String {
    let index = usize::try_from(step).unwrap_or(usize::MAX);
    deployment.plan.traffic.steps.get(index).map(ToString::to_string).unwrap_or_default()
}

/// A time ahead in the words of a person: `14m`, `1h 5m`, `3s`.
#[must_use]
pub fn left(now: Timestamp, until: Timestamp) -> String {
    let left = until.duration_since(now);
    words(if left.is_negative() { SignedDuration::ZERO } else { left })
}

/// A duration in the words of a person, to the second.
#[must_use]
pub fn words(duration: SignedDuration) -> String {
    let rounded = duration.round(Unit::Second).unwrap_or(duration);
    format!("{rounded:#}")
}

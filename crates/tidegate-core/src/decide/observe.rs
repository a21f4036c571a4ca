//! What the world answered. Only what changes the state becomes an event; what is stale, repeated
//! or about something else is ignored. Must never trust an answer to a question not asked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::Draft;
use super::back::{go_back, split_back};
use super::backups;
use super::custom;
use super::forward::{backend_of, deployment_ended};
use super::gates;
use super::telling;
use crate::approval::Facts;
use crate::approval::gate::newest_word;
use crate::event::{Ending, Event, OverrideKind};
use crate::ids::{Actor, DeploymentId, PartName, SlotName};
use crate::input::{Observation, Overridden, SplitRead, TaskReport};
use crate::state::{Deployment, Phase, Reason, Stage, State, TaskId, TaskProgress};
use crate::verdict::{Call, Verdict};
use crate::weight::{Split, Weight};

/// The wait before a second attempt; it doubles with each one.
const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(1);
/// The longest wait between two attempts.
const RETRY_MOST: SignedDuration = SignedDuration::from_secs(30);

pub(super) fn decide(draft: &mut Draft, observation: &Observation) {
    match observation {
        Observation::Task { deployment, task, attempt, report } => {
            finish_task(draft, deployment, task, *attempt, report);
        }
        Observation::Step { deployment, step, attempt, report } => {
            custom::reported(draft, deployment, step, *attempt, report);
        }
        Observation::Backup { deployment, attempt, report } => {
            backups::reported(draft, deployment, *attempt, report);
        }
        Observation::BackupDropped { id } => backups::dropped(draft, id),
        Observation::Gates { deployment, attempt, found } => {
            gates::weighed(draft, deployment, *attempt, found);
        }
        Observation::Slot { part, slot, observed } => {
            let known = draft.state.parts.get(part).and_then(|p| p.slots.get(slot));
            if known.is_some_and(|known| known.observed != *observed) {
                draft.emit(Event::SlotChanged {
                    part: part.clone(),
                    slot: slot.clone(),
                    observed: observed.clone(),
                });
            }
        }
        Observation::Split { part, read } => split(draft, part, read),
        Observation::Message { number, attempt, delivery } => {
            telling::delivered(draft, *number, *attempt, delivery);
        }
        Observation::SplitRefused { part, generation, why } => {
            let table = draft.state.parts.get(part).and_then(|p| p.table.as_ref());
            let news = table.is_some_and(|table| {
                table.generation == *generation
                    && !table.confirmed
                    && table.problem.as_ref() != Some(why)
            });
            if news {
                draft.emit(Event::SplitRefused { part: part.clone(), why: why.clone() });
            }
        }
        Observation::Verdict { deployment, step, verdict } => {
            take_verdict(draft, deployment, *step, verdict);
        }
        Observation::Rights { deployment, newest, facts } => {
            rights(draft, deployment, *newest, facts);
        }
    }
}

fn finish_task(
    draft: &mut Draft,
    id: &DeploymentId,
    task: &TaskId,
    attempt: u32,
    report: &TaskReport,
) {
    let Some(current) = draft.state.current.as_ref().filter(|current| current.id == *id) else {
        return;
    };
    if !asked(current, task, attempt) {
        return;
    }
    let may_retry = report.retryable || *task == TaskId::VerifyLive;
    let again =
        !report.outcome.allows_progress() && may_retry && attempt < current.plan.limits.attempts;
    let retry_at = again.then(|| draft.now.checked_add(backoff(attempt)).unwrap_or(draft.now));
    if let (Some(made), true) = (&report.made, report.outcome.allows_progress()) {
        draft.emit(Event::ArtifactPinned {
            deployment: id.clone(),
            artifact: made.artifact.clone(),
            binding: made.binding.clone(),
            parts: made.parts.clone(),
        });
    }
    draft.emit(Event::TaskFinished {
        deployment: id.clone(),
        task: task.clone(),
        attempt,
        outcome: report.outcome,
        summary: report.summary.clone(),
        retry_at,
    });
}

/// Whether this attempt of the task is out.
pub(super) fn asked(current: &Deployment, task: &TaskId, attempt: u32) -> bool {
    let task = current.tasks.get(task);
    task.is_some_and(|t| t.attempt == attempt && t.progress == TaskProgress::Running)
}

/// What the directory says becomes an event when it is news, or when the newest word is newer
/// than what it said before.
fn rights(draft: &mut Draft, id: &DeploymentId, asked_about: u64, facts: &BTreeMap<String, Facts>) {
    let Some(current) = draft.state.current.as_ref().filter(|current| current.id == *id) else {
        return;
    };
    let newest = newest_word(current);
    // An answer about fewer words than there are says nothing about the rest.
    if current.phase != Phase::Approvals || newest.is_none_or(|newest| newest != asked_about) {
        return;
    }
    let known = current.rights.as_ref();
    let news = known.is_none_or(|known| known.seq < asked_about || known.facts != *facts);
    if news {
        draft.emit(Event::RightsSeen { deployment: id.clone(), facts: facts.clone() });
    }
}

pub(super) fn backoff(attempt: u32) -> SignedDuration {
    let doubled = 1_i32.checked_shl(attempt.saturating_sub(1)).filter(|factor| *factor > 0);
    doubled
        .and_then(|factor| RETRY_FIRST.checked_mul(factor))
        .map_or(RETRY_MOST, |wait| wait.min(RETRY_MOST))
}

fn take_verdict(draft: &mut Draft, id: &DeploymentId, step: u32, verdict: &Verdict) {
    let Some(current) = draft.state.current.as_ref().filter(|current| current.id == *id) else {
        return;
    };
    if current.judged_step() != Some(step) {
        return;
    }
    // Rollback rules are armed from the first request; credit counts only once the split is
    // confirmed.
    if current.converged_at.is_none() && verdict.call != Call::Rollback {
        return;
    }
    if current.verdict.as_ref().is_some_and(|known| known.same_advice(verdict)) {
        return;
    }
    draft.emit(Event::VerdictChanged { deployment: id.clone(), verdict: verdict.clone() });
}

fn split(draft: &mut Draft, part: &PartName, read: &SplitRead) {
    let Some(table) = draft.state.parts.get(part).and_then(|p| p.table.as_ref()) else {
        return;
    };
    if let Some(overridden) = &read.overridden
        && table.adopted_override.is_none_or(|known| overridden.sequence > known)
    {
        adopt(draft, part, overridden);
        return;
    }
    let served = read.generation == Some(table.generation)
        && read.overridden_is_known(table.adopted_override);
    let event = match (served, table.confirmed) {
        (true, false) => Event::SplitConfirmed { part: part.clone(), generation: table.generation },
        (false, true) => Event::SplitLost {
            part: part.clone(),
            found: read
                .generation
                .map_or_else(|| "no table".to_owned(), |found| format!("generation {found}")),
        },
        _ => return,
    };
    draft.emit(event);
}

impl SplitRead {
    /// Whether what is in force is a table, not an override nobody answered.
    fn overridden_is_known(&self, adopted: Option<u64>) -> bool {
        self.overridden.as_ref().is_none_or(|o| adopted.is_some_and(|known| o.sequence <= known))
    }
}

/// The data plane acted by itself: its act stands, and everything else follows it.
fn adopt(draft: &mut Draft, part: &PartName, overridden: &Overridden) {
    let (actor, now_actor) = (Actor::Proxy(overridden.actor.clone()), draft.actor.clone());
    draft.actor = actor;
    draft.emit(Event::SplitOverridden {
        part: part.clone(),
        sequence: overridden.sequence,
        kind: overridden.kind,
        why: overridden.why.clone(),
        split: overridden.split.clone(),
    });
    for event in after_override(&draft.state, part, overridden) {
        draft.emit(event);
    }
    draft.actor = now_actor;
}

fn after_override(state: &State, part: &PartName, overridden: &Overridden) -> Vec<Event> {
    let why = match overridden.kind {
        OverrideKind::Lease => format!("control lost: {}", overridden.why),
        OverrideKind::Brake => format!("the proxy's own rule: {}", overridden.why),
        OverrideKind::Emergency => {
            format!("emergency rollback by {}: {}", overridden.actor, overridden.why)
        }
    };
    let Some(current) = &state.current else {
        return follow(state, part, overridden);
    };
    if current.phase.is_going_back() {
        // The table is made anew so that it carries the adopted override.
        let past_capacity = !matches!(
            current.phase,
            Phase::Rollback { stage: Stage::Capacity }
                | Phase::NeedsPerson { stage: Stage::Capacity }
        );
        return if past_capacity { vec![split_back(state, current, part)] } else { Vec::new() };
    }
    if let Some(ending) = chosen(state, current, part, overridden) {
        let mut events = vec![deployment_ended(current, ending, why)];
        events.extend(follow(state, part, overridden));
        return events;
    }
    // A rule of the plan fired, wherever it was evaluated: the artifact is to blame.
    let reason = match overridden.kind {
        OverrideKind::Brake => Reason::Verdict,
        OverrideKind::Lease | OverrideKind::Emergency => Reason::ProxyActed,
    };
    let mut events = go_back(state, reason, why);
    let by_capacity = Phase::Rollback { stage: Stage::Capacity };
    let renewed_later = events
        .iter()
        .any(|event| matches!(event, Event::PhaseEntered { phase, .. } if *phase == by_capacity));
    if !renewed_later {
        events.push(split_back(state, current, part));
    }
    events
}

/// How the deployment ends when the data plane's act leaves it nothing to undo: it has touched
/// nothing yet, or the data plane went where it was going to, or to what was live before in a slot
/// that this deployment has not taken.
fn chosen(
    state: &State,
    current: &Deployment,
    part: &PartName,
    overridden: &Overridden,
) -> Option<Ending> {
    let slot = overridden.split.as_ref().and_then(whole_slot);
    let candidate = current.candidates.get(part).filter(|candidate| Some(*candidate) == slot);
    let tenant = candidate
        .and_then(|slot| state.parts.get(part)?.slots.get(slot))
        .and_then(|slot| slot.want.as_ref());
    let own = tenant.is_some_and(|tenant| Some(&tenant.revision) == current.revision().as_ref());
    match candidate {
        Some(_) if own && current.is_return() => Some(Ending::LiveUnverified),
        Some(_) if !own => Some(Ending::Stopped),
        _ if !current.phase.rollback_is_armed() => Some(Ending::Stopped),
        _ => None,
    }
}

/// The slot that gets everything.
fn whole_slot(split: &Split) -> Option<&SlotName> {
    split.shares().find(|(_, weight)| *weight == Weight::WHOLE).map(|(slot, _)| slot)
}

/// Nothing is in flight: what the data plane serves is what is wanted, and the slot that it moved
/// to is live.
fn follow(state: &State, part: &PartName, overridden: &Overridden) -> Vec<Event> {
    let Some(known) = state.parts.get(part) else {
        return Vec::new();
    };
    let mut events = Vec::new();
    let slot = overridden.split.as_ref().and_then(whole_slot);
    if let Some(slot) = slot.filter(|slot| known.live.as_ref() != Some(slot)) {
        events.push(Event::RolesMoved { part: part.clone(), live: Some(slot.clone()) });
    }
    if known.table.is_some() {
        let split = overridden.split.clone();
        // Where it is divided, or answers nobody, a person can still bring it to the live slot.
        let fallback = known.live.as_ref().filter(|_| slot.is_none());
        let shared = split.iter().flat_map(Split::shares).map(|(slot, _)| slot);
        let slots: BTreeSet<&SlotName> = shared.chain(fallback).collect();
        events.push(Event::SplitWanted {
            part: part.clone(),
            backends: slots.into_iter().filter_map(|slot| backend_of(state, part, slot)).collect(),
            fallback: fallback.cloned().map(Split::all_to),
            split,
            leased: false,
        });
    }
    events
}

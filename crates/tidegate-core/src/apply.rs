//! What each event changes. The one place where state is written.
//! Must never decide, and must never fail: an event that happened is a fact.

mod approving;
mod backups;
mod custom;
mod incident;
mod outbox;

use jiff::Timestamp;

use crate::duty;
use crate::event::{DeploymentKind, Event, Recorded, Target};
use crate::gate::{Kept, Waiver};
use crate::ids::{Actor, DeploymentId, PartName};
use crate::plan::{Moment, Part, Plan};
use crate::state::{
    Deployment, EVIDENCE_MAX, Ended, Fault, GoingBack, HISTORY_MAX, HoldCause, KEYS_MAX, PartState,
    Phase, PhaseRecord, PhaseResult, Queued, Reason, SlotState, State, TAGS_MAX, TableState,
    TaskId, TaskProgress, TaskState, WAIVERS_MAX,
};
use crate::window::Freeze;

/// Folds one event into the state.
pub fn apply(state: &mut State, recorded: &Recorded) {
    state.seq = recorded.seq;
    keep_key(state, recorded);
    let at = recorded.at;
    match &recorded.event {
        Event::DeploymentStarted { .. } => start(state, recorded),
        Event::DeploymentQueued { .. } => queue(state, recorded),
        Event::SlotWanted { .. }
        | Event::SlotChanged { .. }
        | Event::SplitWanted { .. }
        | Event::SplitConfirmed { .. }
        | Event::SplitRefused { .. }
        | Event::SplitLost { .. }
        | Event::SplitOverridden { .. }
        | Event::RolesMoved { .. } => apply_to_part(state, recorded),
        Event::DeploymentEnded { deployment, .. } => end(state, recorded, deployment),
        Event::MessageQueued { .. }
        | Event::MessageSent { .. }
        | Event::MessageFailed { .. }
        | Event::MessageRetried { .. }
        | Event::MessageDropped { .. } => outbox::fold(&mut state.outbox, recorded),
        Event::IncidentOpened { .. }
        | Event::IncidentAcknowledged { .. }
        | Event::IncidentCalled { .. }
        | Event::IncidentAssigned { .. }
        | Event::IncidentNoted { .. }
        | Event::IncidentWeighed { .. }
        | Event::IncidentOverdue { .. }
        | Event::IncidentResolved { .. }
        | Event::IncidentLearnt { .. } => incident::fold(state, recorded),
        Event::Faulted { code, what } => {
            state.fault = Some(Fault { code: code.clone(), what: what.clone(), at });
        }
        Event::BackupMade { .. }
        | Event::BackupDrilled { .. }
        | Event::BackupHeld { .. }
        | Event::BackupExpired { .. }
        | Event::BackupDropped { .. }
        | Event::DutyDone { .. } => backups::fold(state, recorded),
        Event::EvidenceAdded { .. }
        | Event::GateWaived { .. }
        | Event::FreezeBegan { .. }
        | Event::FreezeEnded { .. } => known_of_gates(state, recorded),
        Event::ReviewOpened { .. } => approving::review(state, recorded),
        Event::PhaseEntered { deployment, .. }
        | Event::TaskBegan { deployment, .. }
        | Event::TaskLost { deployment, .. }
        | Event::TaskSettled { deployment, .. }
        | Event::StepGave { deployment, .. }
        | Event::StepSkipped { deployment, .. }
        | Event::TaskFinished { deployment, .. }
        | Event::TaskRetried { deployment, .. }
        | Event::ArtifactPinned { deployment, .. }
        | Event::GatesWeighed { deployment, .. }
        | Event::ApprovalGiven { deployment, .. }
        | Event::ApprovalWithdrawn { deployment, .. }
        | Event::RightsSeen { deployment, .. }
        | Event::Attested { deployment, .. }
        | Event::ConditionConfirmed { deployment }
        | Event::StepConverged { deployment, .. }
        | Event::StepPassed { deployment, .. }
        | Event::StepBraked { deployment, .. }
        | Event::VerdictChanged { deployment, .. }
        | Event::HoldBegan { deployment, .. }
        | Event::HoldEnded { deployment, .. }
        | Event::PersonCalled { deployment, .. }
        | Event::RollbackBegan { deployment, .. } => {
            apply_to_current(state, recorded, deployment);
        }
    }
}

fn apply_to_current(state: &mut State, recorded: &Recorded, deployment: &DeploymentId) {
    if matches!(recorded.event, Event::RollbackBegan { .. }) {
        state.fault = None;
    }
    let current = state.current.as_mut().filter(|d| d.id == *deployment);
    let Some(current) = current else { return };
    apply_to_deployment(current, &recorded.event, recorded.at, &recorded.actor);
    custom::fold(current, &recorded.event, recorded.at);
    approving::fold(state, recorded, deployment);
}

fn keep_key(state: &mut State, recorded: &Recorded) {
    if let Some(key) = &recorded.key
        && state.keys.last() != Some(key)
    {
        state.keys.push(key.clone());
        keep_newest(&mut state.keys, KEYS_MAX);
    }
}

/// What gates and windows rest on, whatever deployment asks for it.
fn known_of_gates(state: &mut State, recorded: &Recorded) {
    match &recorded.event {
        Event::EvidenceAdded { evidence } => {
            let (evidence, by) = (evidence.clone(), recorded.actor.clone());
            state.evidence.push(Kept { evidence, at: recorded.at, by });
            keep_newest(&mut state.evidence, EVIDENCE_MAX);
        }
        Event::GateWaived { gate, version, commit, reason, until } => {
            state.waivers.push(Waiver {
                gate: gate.clone(),
                version: version.clone(),
                commit: commit.clone(),
                reason: reason.clone(),
                until: *until,
                by: recorded.actor.to_string(),
            });
            keep_newest(&mut state.waivers, WAIVERS_MAX);
        }
        Event::FreezeBegan { name, reason, from, until } => {
            state.freezes.retain(|freeze| freeze.name != *name && freeze.until > recorded.at);
            state.freezes.push(Freeze {
                name: name.clone(),
                reason: reason.clone(),
                from: *from,
                until: *until,
                by: recorded.actor.to_string(),
            });
        }
        Event::FreezeEnded { name, .. } => state.freezes.retain(|freeze| freeze.name != *name),
        _ => {}
    }
}

fn start(state: &mut State, recorded: &Recorded) {
    let Event::DeploymentStarted { deployment, kind, plan, candidates, targets } = &recorded.event
    else {
        return;
    };
    state.fault = None;
    state.scope = Some(plan.scope.clone());
    duty::declare(&mut state.duties, plan, recorded.at);
    // Who asked for it began it, however long it waited for its turn.
    let queued = state.queued.take_if(|queued| queued.deployment == *deployment);
    let started_by = queued.map_or_else(|| recorded.actor.clone(), |queued| queued.actor);
    state.tags.insert(plan.release.version.clone(), plan.release.commit.clone());
    if state.tags.len() > TAGS_MAX {
        state.tags.pop_first();
    }
    for part in &plan.parts {
        let entry = state.parts.entry(part.name.clone()).or_insert_with(|| PartState {
            slots: std::collections::BTreeMap::new(),
            live: None,
            table: None,
        });
        for slot in &part.slots {
            entry.slots.entry(slot.clone()).or_default();
        }
    }
    let mut current = Deployment {
        id: deployment.clone(),
        kind: kind.clone(),
        plan: plan.clone(),
        started_at: recorded.at,
        started_by,
        candidates: candidates.clone(),
        targets: targets.clone(),
        phase: Phase::Ready,
        phase_since: recorded.at,
        passed: Vec::new(),
        tasks: std::collections::BTreeMap::new(),
        steps: std::collections::BTreeMap::new(),
        artifact: None,
        binding: None,
        gates: Vec::new(),
        parts: std::collections::BTreeMap::new(),
        votes: Vec::new(),
        rights: None,
        attested: std::collections::BTreeMap::new(),
        confirmed: Vec::new(),
        converged_at: None,
        opened_at: None,
        step_passed: None,
        verdict: None,
        hold: None,
        going_back: None,
    };
    give_out_tasks(&mut current, recorded.at);
    if !current.is_return() {
        let moved =
            current.targets.iter().filter(|(part, target)| moves(state, plan, part, target));
        let ids: Vec<_> = moved.map(|(part, _)| TaskId::Address(part.clone())).collect();
        current.tasks.extend(ids.into_iter().map(|id| (id, TaskState::given_out(recorded.at))));
    }
    state.current = Some(current);
}

/// Whether users of this part are to come in at another place than they do.
fn moves(state: &State, plan: &Plan, part: &PartName, target: &Target) -> bool {
    let live = state.parts.get(part).and_then(|part| part.slots.get(&target.slot));
    let from = live.and_then(|slot| slot.want.as_ref()).and_then(|tenant| tenant.part.route());
    let to = plan.part(part).and_then(Part::route);
    matches!((from, to), (Some(from), Some(to)) if !to.enters_like(from))
}

fn end(state: &mut State, recorded: &Recorded, deployment: &DeploymentId) {
    let Event::DeploymentEnded { ending, why, .. } = &recorded.event else {
        return;
    };
    if state.queued.as_ref().is_some_and(|queued| queued.deployment == *deployment) {
        return end_queued(state, recorded);
    }
    state.fault = None;
    incident::verified(state, deployment, *ending);
    let Some(mut current) = state.current.take_if(|d| d.id == *deployment) else {
        return;
    };
    custom::cut_short(&mut current, recorded.at);
    if let (Some(back), Some(artifact)) = (&current.going_back, &current.artifact)
        && back.reason.blames_the_artifact()
        // What comes back was good once: that it does not start is not proof against it.
        && !current.is_return()
        && !state.quarantine.contains(artifact)
    {
        state.quarantine.push(artifact.clone());
        keep_newest(&mut state.quarantine, TAGS_MAX);
    }
    let mut passed = current.passed;
    passed.push(PhaseRecord {
        phase: current.phase,
        result: if current.going_back.is_some() {
            PhaseResult::Failed
        } else {
            PhaseResult::Passed
        },
        since: current.phase_since,
        until: recorded.at,
    });
    state.history.push(Ended {
        deployment: current.id,
        plan: current.plan,
        kind: current.kind,
        artifact: current.artifact,
        started_at: current.started_at,
        started_by: current.started_by,
        ended_at: recorded.at,
        ending: *ending,
        why: why.clone(),
        went_back_at: current.going_back.map(|back| back.since),
        passed,
        approved_by: current.votes.iter().map(|vote| vote.by.to_string()).collect(),
        parts: current.parts,
        steps: current.steps,
    });
    trim(&mut state.history);
}

fn queue(state: &mut State, recorded: &Recorded) {
    let Event::DeploymentQueued { deployment, plan, despite_quarantine } = &recorded.event else {
        return;
    };
    state.queued = Some(Queued {
        deployment: deployment.clone(),
        plan: plan.clone(),
        actor: recorded.actor.clone(),
        despite_quarantine: *despite_quarantine,
    });
}

/// A deployment that never had its turn.
fn end_queued(state: &mut State, recorded: &Recorded) {
    let (Event::DeploymentEnded { ending, why, .. }, Some(queued)) =
        (&recorded.event, state.queued.take())
    else {
        return;
    };
    state.history.push(Ended {
        deployment: queued.deployment,
        plan: queued.plan,
        kind: DeploymentKind::Release { despite_quarantine: queued.despite_quarantine },
        artifact: None,
        started_at: recorded.at,
        started_by: queued.actor,
        ended_at: recorded.at,
        ending: *ending,
        why: why.clone(),
        went_back_at: None,
        passed: Vec::new(),
        approved_by: Vec::new(),
        parts: std::collections::BTreeMap::new(),
        steps: std::collections::BTreeMap::new(),
    });
    trim(&mut state.history);
}

fn apply_to_part(state: &mut State, recorded: &Recorded) {
    let (Event::SlotWanted { part: name, .. }
    | Event::SlotChanged { part: name, .. }
    | Event::SplitWanted { part: name, .. }
    | Event::SplitConfirmed { part: name, .. }
    | Event::SplitRefused { part: name, .. }
    | Event::SplitLost { part: name, .. }
    | Event::SplitOverridden { part: name, .. }
    | Event::RolesMoved { part: name, .. }) = &recorded.event
    else {
        return;
    };
    let Some(part) = state.parts.get_mut(name) else {
        return;
    };
    match &recorded.event {
        Event::SlotWanted { slot, tenant, .. } => {
            let slot: &mut SlotState = part.slots.entry(slot.clone()).or_default();
            slot.want.clone_from(tenant);
            slot.wanted_at = Some(recorded.at);
        }
        Event::SlotChanged { slot, observed, .. } => {
            let slot = part.slots.entry(slot.clone()).or_default();
            slot.absent_since =
                if observed.ready > 0 { None } else { slot.absent_since.or(Some(recorded.at)) };
            slot.observed = observed.clone();
        }
        Event::SplitWanted { split, backends, fallback, leased, .. } => {
            let adopted = part.table.as_ref().and_then(|table| table.adopted_override);
            part.table = Some(TableState {
                split: split.clone(),
                backends: backends.clone(),
                fallback: fallback.clone(),
                leased: *leased,
                generation: recorded.seq,
                confirmed: false,
                wanted_at: recorded.at,
                problem: None,
                adopted_override: adopted,
            });
        }
        Event::SplitConfirmed { generation, .. } => {
            if let Some(table) = part.table.as_mut().filter(|t| t.generation == *generation) {
                table.confirmed = true;
                table.problem = None;
            }
        }
        Event::SplitRefused { why, .. } => {
            if let Some(table) = part.table.as_mut() {
                table.problem = Some(why.clone());
            }
        }
        Event::SplitLost { .. } => {
            if let Some(table) = part.table.as_mut() {
                table.confirmed = false;
            }
        }
        Event::SplitOverridden { sequence, .. } => {
            if let Some(table) = part.table.as_mut() {
                table.adopted_override = Some(*sequence);
                table.confirmed = false;
            }
        }
        Event::RolesMoved { live, .. } => part.live.clone_from(live),
        _ => {}
    }
}

fn apply_to_deployment(current: &mut Deployment, event: &Event, at: Timestamp, actor: &Actor) {
    match event {
        Event::PhaseEntered { phase, before, .. } => enter(current, *phase, *before, at),
        Event::TaskFinished { .. } => finish_task(current, event),
        Event::TaskRetried { task, attempt, .. } => {
            if let Some(state) = current.tasks.get_mut(task) {
                state.attempt = *attempt;
                state.progress = TaskProgress::Running;
            }
        }
        Event::ArtifactPinned { artifact, binding, parts, .. } => {
            current.artifact = Some(artifact.clone());
            current.binding = Some(binding.clone());
            current.parts.clone_from(parts);
        }
        Event::GatesWeighed { results, .. } => current.gates.clone_from(results),
        Event::StepConverged { .. } => {
            current.converged_at = Some(at);
            current.verdict = None;
        }
        Event::StepPassed { step, .. } => current.step_passed = Some(*step),
        Event::StepBraked { to, .. } => {
            enter(current, Phase::Traffic { step: *to }, PhaseResult::Failed, at);
            // Only a person ends a person's hold.
            current.hold = current.hold.take().filter(|hold| hold.cause == HoldCause::Person);
        }
        Event::VerdictChanged { verdict, .. } => current.verdict = Some(verdict.clone()),
        Event::HoldBegan { hold, .. } => current.hold = Some(hold.clone()),
        Event::HoldEnded { .. } => {
            let hold = current.hold.take();
            if hold.is_some_and(|hold| hold.cause == HoldCause::Window) {
                current.opened_at = Some(at);
            }
        }
        Event::PersonCalled { .. } => {
            if let Some(hold) = current.hold.as_mut() {
                hold.until = None;
            }
        }
        Event::RollbackBegan { reason, why, .. } => turn_back(current, *reason, why, at, actor),
        _ => {}
    }
}

fn turn_back(current: &mut Deployment, reason: Reason, why: &str, at: Timestamp, actor: &Actor) {
    current.hold = None;
    custom::cut_short(current, at);
    custom::forget(current, Moment::Rollback);
    current.tasks.clear();
    // The way back begins once; begun anew, it keeps its cause.
    if current.going_back.is_some() {
        return;
    }
    let had_traffic = matches!(current.phase, Phase::Traffic { .. } | Phase::Bake | Phase::Finish);
    current.going_back =
        Some(GoingBack { reason, why: why.to_owned(), since: at, had_traffic, by: actor.clone() });
}

fn finish_task(current: &mut Deployment, event: &Event) {
    let Event::TaskFinished { task, attempt, outcome, summary, retry_at, .. } = event else {
        return;
    };
    let Some(state) = current.tasks.get_mut(task).filter(|t| t.attempt == *attempt) else {
        return;
    };
    state.progress = match retry_at {
        Some(until) => TaskProgress::Waiting { until: *until, said: summary.clone() },
        None => TaskProgress::Done { outcome: *outcome, summary: summary.clone() },
    };
}

fn enter(current: &mut Deployment, phase: Phase, before: PhaseResult, at: Timestamp) {
    current.passed.push(PhaseRecord {
        phase: current.phase,
        result: before,
        since: current.phase_since,
        until: at,
    });
    custom::cut_short(current, at);
    if let Some(moment) = custom::anew(phase) {
        custom::forget(current, moment);
    }
    current.phase = phase;
    current.phase_since = at;
    current.converged_at = None;
    current.verdict = None;
    give_out_tasks(current, at);
}

/// The tasks of a phase exist from the moment it is entered: entering it is the intent.
fn give_out_tasks(current: &mut Deployment, at: Timestamp) {
    let ids: Vec<TaskId> = match current.phase {
        Phase::Ready if !current.is_first() && !current.is_return() => vec![TaskId::CheckLive],
        Phase::Gates if current.plan.required.gates => vec![TaskId::Gates],
        Phase::Plan if current.artifact.is_none() => vec![TaskId::Prepare],
        Phase::Backup if current.plan.required.backup => vec![TaskId::Backup],
        // What still runs was healthy when it was left: it takes the traffic first and is asked
        // in the bake, so that going back takes no longer than a table.
        Phase::Health if current.comes_back_hot() => Vec::new(),
        Phase::Bake if !current.comes_back_hot() => Vec::new(),
        Phase::Health | Phase::Bake => {
            let web = current.plan.parts.iter().filter(|part| part.route().is_some());
            web.map(|part| TaskId::Health(part.name.clone())).collect()
        }
        Phase::Smoke if !current.is_return() => {
            let with_smoke = current.plan.parts.iter().filter(|part| part.smoke.is_some());
            with_smoke.map(|part| TaskId::Smoke(part.name.clone())).collect()
        }
        Phase::Rollback { stage: crate::state::Stage::Verify } if !current.is_first() => {
            vec![TaskId::VerifyLive]
        }
        _ => Vec::new(),
    };
    current.tasks = ids.into_iter().map(|id| (id, TaskState::given_out(at))).collect();
}

/// Forgets the oldest, but not a release that was live because of many that never were: it is
/// what a rollback goes back to.
fn trim(history: &mut Vec<Ended>) {
    while history.len() > HISTORY_MAX {
        let live = history.iter().filter(|ended| ended.ending.is_live()).count();
        let oldest = if live > HISTORY_MAX / 2 {
            None
        } else {
            history.iter().position(|ended| !ended.ending.is_live())
        };
        history.remove(oldest.unwrap_or(0));
    }
}

pub(super) fn keep_newest<T>(items: &mut Vec<T>, most: usize) {
    if items.len() > most {
        items.drain(..items.len() - most);
    }
}

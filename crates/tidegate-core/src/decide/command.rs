//! What people ask for. A command names what the person saw; when that is not what is, it is
//! refused with what is. Must never take effect in part.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

use super::Draft;
use super::approving;
use super::back::{go_back, go_back_again};
use super::backups;
use super::custom;
use super::duties;
use super::forward::{deployment_ended, dwell_left, enter_finish, may_advance, pass_step, started};
use super::gates;
use super::incidents;
use super::telling;
use crate::approval::gate::conditions;
use crate::digest::Digest;
use crate::event::{DeploymentKind, Ending, Event};
use crate::gate::GATES_MAX;
use crate::ids::DeploymentId;
use crate::input::Command;
use crate::plan::{
    CUSTOM_MAX, HoldEnd, INSTANCES_MAX, Moment, PARTS_MAX, Plan, STEPS_MAX, disorder,
};
use crate::rejection::Rejection;
use crate::state::{Deployment, Ended, Hold, HoldCause, Phase, PhaseResult, Reason, State};
use crate::verdict::{Call, HoldReason};
use crate::weight::Weight;

/// How long a person's hold lasts when they do not say.
const HOLD_DEFAULT: SignedDuration = SignedDuration::from_hours(1);

pub(super) fn decide(draft: &mut Draft, command: &Command) -> Result<(), Rejection> {
    let beside = matches!(command, Command::Message { .. } | Command::Incident { .. });
    if let Some(fault) = &draft.state.fault
        && !beside
        && !matches!(command, Command::Rollback { .. } | Command::Abort { .. })
    {
        return Err(Rejection::Frozen { code: fault.code.clone(), what: fault.what.clone() });
    }
    match command {
        Command::Deploy { deployment, plan, supersede, despite_quarantine } => {
            deploy(draft, deployment, plan, *supersede, *despite_quarantine)
        }
        Command::Hold { deployment, reason, lasts } => hold(draft, deployment, reason, *lasts),
        Command::Resume { deployment } => resume(draft, deployment),
        Command::Advance { deployment, step } => advance(draft, deployment, *step),
        Command::Approve { deployment, binding, approval } => {
            approving::approve(draft, deployment, binding, approval)
        }
        Command::Withdraw { deployment, reason } => approving::withdraw(draft, deployment, reason),
        Command::Attest { deployment, item, note, expires, facts } => {
            approving::attest(draft, deployment, item, (note.as_ref(), *expires), facts)
        }
        Command::Reject { deployment, category, reason } => {
            approving::reject(draft, deployment, *category, reason)
        }
        Command::Settle { deployment, step, done, reason } => {
            custom::settle(draft, deployment, step, *done, reason)
        }
        Command::AddBackup { backup } => {
            backups::made(draft, backup);
            Ok(())
        }
        Command::AddDrill { drill } => {
            backups::drilled(draft, drill);
            Ok(())
        }
        Command::DoneDuty { duty, evidence } => duties::done(draft, duty, evidence),
        Command::HoldBackup { id, held, reason } => backups::hold(draft, id, *held, reason),
        Command::AddEvidence { evidence } => gates::add(draft, evidence),
        Command::Waive { .. } => gates::waive(draft, command),
        Command::Freeze { name, reason, from, until } => {
            gates::freeze(draft, name, reason, *from, *until)
        }
        Command::Thaw { name, reason } => gates::thaw(draft, name, reason),
        Command::Message { number, handling } => telling::handle(draft, *number, handling),
        Command::Incident { incident, handling } => incidents::handle(draft, incident, handling),
        Command::Abort { deployment, reason } => {
            if draft.state.queued.as_ref().is_some_and(|queued| queued.deployment == *deployment) {
                drop_queued(draft, Ending::Aborted, reason);
                return Ok(());
            }
            in_flight(&draft.state, deployment)?;
            leave(draft, Reason::Abort, reason);
            Ok(())
        }
        Command::Rollback { deployment, to, reason } => {
            rollback(draft, deployment, to.as_deref(), reason)
        }
    }
}

pub(super) fn in_flight<'a>(
    state: &'a State,
    id: &DeploymentId,
) -> Result<&'a Deployment, Rejection> {
    state
        .current
        .as_ref()
        .filter(|current| current.id == *id)
        .ok_or_else(|| Rejection::NotInFlight { deployment: id.clone() })
}

/// In flight and not on its way back.
pub(super) fn going_forward<'a>(
    state: &'a State,
    id: &DeploymentId,
) -> Result<&'a Deployment, Rejection> {
    let current = in_flight(state, id)?;
    match &current.going_back {
        Some(back) => Err(Rejection::GoingBack { deployment: id.clone(), why: back.why.clone() }),
        None => Ok(current),
    }
}

fn deploy(
    draft: &mut Draft,
    id: &DeploymentId,
    plan: &Plan,
    supersede: bool,
    despite_quarantine: bool,
) -> Result<(), Rejection> {
    check_plan(&draft.state, plan)?;
    duties::none_is_overdue(&draft.state, plan, draft.now)?;
    let plan = Arc::new(plan.clone());
    let Some(current) = &draft.state.current else {
        let kind = DeploymentKind::Release { despite_quarantine };
        let event = started(&draft.state, id.clone(), kind, plan);
        slots_are_free(&draft.state, &event)?;
        draft.emit(event);
        return Ok(());
    };
    if !supersede {
        return Err(Rejection::Occupied {
            deployment: current.id.clone(),
            version: current.plan.release.version.clone(),
            phase: current.phase.word().to_owned(),
        });
    }
    let why = format!("{} takes its place", plan.release.version);
    let going_back = current.phase.is_going_back();
    drop_queued(draft, Ending::Superseded, &why);
    draft.emit(Event::DeploymentQueued { deployment: id.clone(), plan, despite_quarantine });
    if !going_back {
        leave(draft, Reason::Superseded, &why);
    }
    Ok(())
}

/// Ends the deployment that waits for its turn, if one does.
fn drop_queued(draft: &mut Draft, ending: Ending, why: &str) {
    if let Some(queued) = &draft.state.queued {
        let deployment = queued.deployment.clone();
        draft.emit(Event::DeploymentEnded { deployment, ending, why: why.to_owned() });
    }
}

/// No slot that would be used has a share of user requests.
fn slots_are_free(state: &State, started: &Event) -> Result<(), Rejection> {
    let Event::DeploymentStarted { candidates, .. } = started else {
        return Ok(());
    };
    let in_use = candidates.iter().find(|(part, slot)| {
        let table = state.parts.get(*part).and_then(|part| part.table.as_ref());
        let split = table.and_then(|table| table.split.as_ref());
        split.is_some_and(|split| split.share(slot) > Weight::ZERO)
    });
    match in_use {
        Some((_, slot)) => Err(Rejection::SlotInUse { slot: slot.clone() }),
        None => Ok(()),
    }
}

/// What no file check can know, and what must hold whoever made the plan.
fn check_plan(state: &State, plan: &Plan) -> Result<(), Rejection> {
    let invalid = |what: &str| Err(Rejection::PlanInvalid { what: what.to_owned() });
    let steps = &plan.traffic.steps;
    if steps.is_empty() || steps.len() > STEPS_MAX {
        return invalid("it has no traffic steps, or too many");
    }
    if !steps.is_sorted_by(|a, b| a < b) || steps.last() != Some(&Weight::WHOLE) {
        return invalid("its steps do not grow to 100 %");
    }
    if plan.parts.is_empty() || plan.parts.len() > PARTS_MAX {
        return invalid("it has no parts, or too many");
    }
    for (index, part) in plan.parts.iter().enumerate() {
        if plan.parts[..index].iter().any(|other| other.name == part.name) {
            return invalid("two parts have the same name");
        }
        if part.slots[0] == part.slots[1] {
            return invalid("a part has the same slot twice");
        }
        if part.instances == 0 || part.instances > INSTANCES_MAX {
            return invalid("a part has no instances, or too many");
        }
    }
    check_gates(plan)?;
    if plan.custom.len() > CUSTOM_MAX {
        return invalid("it has too many custom steps");
    }
    if let Some((step, what)) = disorder(&plan.custom) {
        return invalid(&format!("the step {step} {what}"));
    }
    if let Some(scope) = state.scope.as_ref().filter(|scope| **scope != plan.scope) {
        return Err(Rejection::PlanInvalid {
            what: format!("it belongs to another service than {scope}"),
        });
    }
    let release = &plan.release;
    match state.tags.get(&release.version) {
        Some(first) if *first != release.commit => Err(Rejection::TagMoved {
            version: release.version.clone(),
            first: first.clone(),
            found: release.commit.clone(),
        }),
        _ => Ok(()),
    }
}

/// A gate that is demanded is in the list, and a name means one gate.
fn check_gates(plan: &Plan) -> Result<(), Rejection> {
    let invalid = |what: &str| Err(Rejection::PlanInvalid { what: what.to_owned() });
    if plan.gates.len() > GATES_MAX {
        return invalid("it has too many gates");
    }
    for (index, gate) in plan.gates.iter().enumerate() {
        if plan.gates[..index].iter().any(|other| other.name == gate.name) {
            return invalid("two gates have the same name");
        }
    }
    if plan.gates.is_empty() || plan.required.gates {
        return Ok(());
    }
    invalid("it has gates and does not require them")
}

fn hold(
    draft: &mut Draft,
    id: &DeploymentId,
    reason: &str,
    lasts: Option<SignedDuration>,
) -> Result<(), Rejection> {
    let current = going_forward(&draft.state, id)?;
    if current.phase == Phase::Finish {
        return Err(wrong_phase(current, "its roles have moved, there is nothing left to hold"));
    }
    let then = if current.phase == Phase::Bake { HoldEnd::Page } else { HoldEnd::Rollback };
    let until = draft.now.checked_add(lasts.unwrap_or(HOLD_DEFAULT)).ok();
    let hold =
        Hold { cause: HoldCause::Person, why: reason.to_owned(), since: draft.now, until, then };
    draft.emit(Event::HoldBegan { deployment: id.clone(), hold });
    Ok(())
}

fn resume(draft: &mut Draft, id: &DeploymentId) -> Result<(), Rejection> {
    let current = going_forward(&draft.state, id)?;
    match &current.hold {
        None => Err(Rejection::NotHeld { deployment: id.clone() }),
        Some(hold) if hold.cause == HoldCause::Person => {
            draft.emit(Event::HoldEnded { deployment: id.clone(), why: "resumed".to_owned() });
            Ok(())
        }
        Some(hold) if hold.cause == HoldCause::Condition => {
            let hold = hold.clone();
            approving::confirm(draft, id, &hold)
        }
        Some(hold) if hold.cause == HoldCause::Window => {
            Err(Rejection::WindowClosed { deployment: id.clone(), why: hold.why.clone() })
        }
        Some(hold) => Err(Rejection::HeldByJudge { deployment: id.clone(), why: hold.why.clone() }),
    }
}

fn advance(draft: &mut Draft, id: &DeploymentId, named: u32) -> Result<(), Rejection> {
    let current = going_forward(&draft.state, id)?;
    check_advance(current, named)?;
    let early = dwell_left(current, draft.now).is_some();
    let bypassed = may_advance(&draft.state, current).err();
    let events = if current.phase == Phase::Bake {
        let result = if bypassed.is_some() { PhaseResult::Skipped } else { PhaseResult::Passed };
        let bypassed = bypassed.or_else(|| early.then(|| "its watch was not over".to_owned()));
        let mut events = vec![Event::StepPassed { deployment: id.clone(), step: named, bypassed }];
        events.extend(enter_finish(&draft.state, current, result));
        events
    } else {
        let bypassed = bypassed.or_else(|| early.then(|| "its dwell was not over".to_owned()));
        pass_step(&draft.state, current, named, bypassed)
    };
    if current.hold.is_some() {
        draft.emit(Event::HoldEnded { deployment: id.clone(), why: "advanced".to_owned() });
    }
    for event in events {
        draft.emit(event);
    }
    Ok(())
}

/// A person may go on before the rules allow it, but not past a hold of a person, not on the
/// wrong step, and not without readings: absence never advances.
fn check_advance(current: &Deployment, named: u32) -> Result<(), Rejection> {
    let deployment = current.id.clone();
    let Some(running) = current.judged_step() else {
        return Err(wrong_phase(current, "only a traffic step or the bake can be advanced"));
    };
    if running != named {
        let running = if current.phase == Phase::Bake {
            "the bake runs".to_owned()
        } else {
            format!("step {} runs", running + 1)
        };
        return Err(Rejection::WrongStep { named: named.saturating_add(1), running });
    }
    if let Some(hold) = current.hold.as_ref().filter(|hold| hold.cause == HoldCause::Person) {
        return Err(Rejection::HeldByPerson { deployment, why: hold.why.clone() });
    }
    if let Some(hold) = current.hold.as_ref().filter(|hold| hold.cause == HoldCause::Window) {
        return Err(Rejection::WindowClosed { deployment, why: hold.why.clone() });
    }
    if let Some(vote) = conditions(current).next() {
        return Err(Rejection::NotConfirmedByYou { deployment, who: vote.by.to_string() });
    }
    let missing = match current.verdict.as_ref().map(|verdict| verdict.call) {
        _ if current.converged_at.is_none() => "the split is not confirmed by the data plane",
        None => "there is no verdict on this step yet",
        Some(Call::Hold(HoldReason::Telemetry)) => "readings are missing",
        Some(_) => return Ok(()),
    };
    Err(Rejection::NoReadings { deployment, what: missing.to_owned() })
}

/// Ends the deployment in flight on the shortest safe way from where it is.
fn leave(draft: &mut Draft, reason: Reason, why: &str) {
    let Some(current) = &draft.state.current else {
        return;
    };
    let stuck = matches!(current.phase, Phase::NeedsPerson { .. }) || draft.state.fault.is_some();
    let events = if current.phase.rollback_is_armed() {
        go_back(&draft.state, reason, why)
    } else if current.phase.is_going_back() {
        // Asking again starts a way back that is stuck anew, with fresh limits.
        if stuck { go_back_again(&draft.state) } else { Vec::new() }
    } else {
        let ending = match reason {
            Reason::Superseded => Ending::Superseded,
            _ => Ending::Aborted,
        };
        vec![deployment_ended(current, ending, why)]
    };
    for event in events {
        draft.emit(event);
    }
}

fn rollback(
    draft: &mut Draft,
    id: &DeploymentId,
    to: Option<&str>,
    reason: &str,
) -> Result<(), Rejection> {
    if let Some(current) = &draft.state.current {
        // Asking twice for the same return is asking once.
        let comes = current.is_return() && current.going_back.is_none();
        let same = to.is_none_or(|to| current.plan.release.version == to);
        if comes && same && draft.state.fault.is_none() {
            return Ok(());
        }
        let other = to.filter(|to| !returns_to(&draft.state, current, to));
        if let Some(to) = other {
            return Err(Rejection::NothingToGoBackTo {
                what: format!(
                    "{} is in flight and goes back to what is live; roll it back first, then to {to}",
                    current.id
                ),
            });
        }
        // Whoever rolls back wants what was: nothing new begins after it by itself.
        drop_queued(draft, Ending::Aborted, "a rollback was asked for");
        leave(draft, Reason::Person, reason);
        return Ok(());
    }
    let earlier = earlier_release(&draft.state, to)?;
    let mut plan = earlier.plan.as_ref().clone();
    // Coming back is one step and asks nobody.
    plan.traffic.steps = vec![Weight::WHOLE];
    plan.required = crate::plan::Required::default();
    plan.backup = None;
    plan.custom.retain(|step| step.at == Moment::Rollback);
    let artifact = earlier.artifact.clone();
    let binding = artifact.clone();
    let hot = still_runs(&draft.state, &plan, artifact.as_ref());
    let kind = DeploymentKind::Return { reason: reason.to_owned(), hot };
    let event = started(&draft.state, id.clone(), kind, Arc::new(plan));
    slots_are_free(&draft.state, &event)?;
    draft.emit(event);
    if let (Some(artifact), Some(binding)) = (artifact, binding) {
        draft.emit(Event::ArtifactPinned {
            deployment: id.clone(),
            artifact,
            binding,
            parts: BTreeMap::new(),
        });
    }
    Ok(())
}

/// Whether every web part of an earlier release is ready in a slot that is not live.
fn still_runs(state: &State, plan: &Plan, artifact: Option<&Digest>) -> bool {
    let mut web = plan.parts.iter().filter(|part| part.route().is_some());
    web.all(|part| {
        let Some(known) = state.parts.get(&part.name) else { return false };
        let mut free = known.slots.iter().filter(|(slot, _)| known.live.as_ref() != Some(*slot));
        free.any(|(_, slot)| {
            let tenant = slot.want.as_ref();
            let same = tenant.map(|t| t.revision.artifact.as_str()) == artifact.map(Digest::as_str);
            same && tenant.is_some() && slot.ready()
        })
    })
}

fn returns_to(state: &State, current: &Deployment, version: &str) -> bool {
    current.targets.iter().any(|(part, target)| {
        let slot = state.parts.get(part).and_then(|p| p.slots.get(&target.slot));
        slot.and_then(|s| s.want.as_ref()).is_some_and(|t| t.revision.version == version)
    })
}

/// The release that was live before the one that is. A release that somebody went back from is
/// gone back to only by name: asking twice must not bring it up again.
fn earlier_release<'a>(state: &'a State, to: Option<&str>) -> Result<&'a Ended, Rejection> {
    let live: Vec<&str> = state
        .parts
        .values()
        .filter_map(|part| part.slots.get(part.live.as_ref()?)?.want.as_ref())
        .map(|tenant| tenant.revision.artifact.as_str())
        .collect();
    let is_live = |ended: &&Ended| {
        ended.artifact.as_ref().is_some_and(|artifact| live.contains(&artifact.as_str()))
    };
    let good = || state.history.iter().filter(|ended| ended.ending.is_live());
    let found = match to {
        Some(version) => good()
            .rev()
            .find(|ended| ended.plan.release.version == version)
            .filter(|ended| !is_live(ended)),
        None => {
            // Each release lies on the one it replaced; a return takes off what lay above.
            let mut pile: Vec<&Ended> = Vec::new();
            for ended in good() {
                if let Some(at) = pile.iter().position(|below| below.artifact == ended.artifact) {
                    pile.truncate(at);
                }
                pile.push(ended);
            }
            let top = pile.iter().position(is_live).unwrap_or(pile.len());
            pile.into_iter().take(top).next_back()
        }
    };
    found.ok_or_else(|| Rejection::NothingToGoBackTo {
        what: match to {
            Some(version) => format!("{version} was never live here, or is live"),
            None => {
                "nothing was live before this; what was gone back from returns only by name (--to)"
                    .to_owned()
            }
        },
    })
}

pub(super) fn wrong_phase(current: &Deployment, what: &str) -> Rejection {
    Rejection::WrongPhase {
        deployment: current.id.clone(),
        phase: current.phase.word().to_owned(),
        what: what.to_owned(),
    }
}

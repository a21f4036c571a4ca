//! Events and states as the lines of a transcript: short enough to read a whole deployment.
//! Must never leave out what a decision changed; digests are cut from revision labels.

use std::fmt::Write as _;

use jiff::Timestamp;
use tidegate_core::effect::Effect;
use tidegate_core::event::{DeploymentKind, Event, Recorded};
use tidegate_core::ids::Actor;
use tidegate_core::plan::HoldEnd;
use tidegate_core::state::{
    Hold, HoldCause, Phase, PhaseResult, SlotObserved, State, TaskProgress, Tenant,
};
use tidegate_core::verdict::{Call, Verdict};
use tidegate_core::waiting::{sentence, words};
use tidegate_core::weight::Split;
use tidegate_core::{next_deadline, outstanding, waiting_on};

use crate::world::{effect_name, task_name};

/// One event: `seq  time  kind details  (actor)`.
pub(crate) fn event(recorded: &Recorded, start: Timestamp) -> String {
    let time = offset(start, recorded.at);
    let by = match &recorded.actor {
        Actor::Tidegate => String::new(),
        other => format!("  ({other})"),
    };
    let kind = recorded.event.kind();
    let line = format!("{:>3} {time:>7}  {kind} {}", recorded.seq, details(recorded, start));
    format!("{}{by}", line.trim_end())
}

fn details(recorded: &Recorded, start: Timestamp) -> String {
    match &recorded.event {
        Event::DeploymentStarted { .. } | Event::DeploymentQueued { .. } => {
            beginning(&recorded.event)
        }
        Event::PhaseEntered { phase, before, .. } => {
            format!("{}, before: {}", phase_words(*phase), result_word(*before))
        }
        Event::TaskFinished { task, attempt, outcome, summary, retry_at, .. } => {
            let retry = retry_at.map(|at| format!(", again at {}", offset(start, at)));
            format!(
                "{} #{attempt} {}: {summary}{}",
                task_name(task),
                outcome.word(),
                retry.unwrap_or_default()
            )
        }
        Event::TaskRetried { task, attempt, .. } => format!("{} #{attempt}", task_name(task)),
        Event::ArtifactPinned { artifact, binding, .. } => {
            format!("{:.8}, D {:.8}", artifact.as_str(), binding.as_str())
        }
        Event::EvidenceAdded { evidence } => {
            format!("{} of {}: {}", evidence.name, evidence.version, evidence.summary)
        }
        Event::GateWaived { gate, version, reason, until, .. } => {
            format!("{gate} of {version} until {}: {reason}", offset(start, *until))
        }
        Event::FreezeBegan { name, reason, from, until } => {
            let (from, until) = (offset(start, *from), offset(start, *until));
            format!("{name} from {from} until {until}: {reason}")
        }
        Event::FreezeEnded { name, reason } => format!("{name}: {reason}"),
        Event::GatesWeighed { results, .. } => {
            let results = results.iter().map(|result| match result.needed {
                true => format!("{} {}", result.gate, result.outcome.word()),
                false => format!("{} not needed", result.gate),
            });
            results.collect::<Vec<_>>().join(", ")
        }
        Event::ApprovalGiven { .. }
        | Event::ApprovalWithdrawn { .. }
        | Event::RightsSeen { .. }
        | Event::Attested { .. }
        | Event::ConditionConfirmed { .. }
        | Event::ReviewOpened { .. } => opinion(&recorded.event),
        Event::StepConverged { step, .. } => format!("step {}", step + 1),
        Event::StepPassed { step, bypassed, .. } => {
            let bypassed = bypassed.as_ref().map(|what| format!(", bypassed: {what}"));
            format!("step {}{}", step + 1, bypassed.unwrap_or_default())
        }
        Event::StepBraked { to, why, .. } => format!("to step {}: {why}", to + 1),
        Event::VerdictChanged { verdict, .. } => verdict_words(verdict),
        Event::HoldBegan { hold, .. } => hold_words(hold, start),
        Event::HoldEnded { why, .. } | Event::PersonCalled { why, .. } => why.clone(),
        Event::RollbackBegan { reason, why, .. } => format!("{reason:?}: {why}"),
        Event::DeploymentEnded { deployment, ending, why } => {
            format!("{deployment} {}: {why}", ending.words())
        }
        Event::Faulted { code, what } => format!("{code} {what}"),
        Event::TaskBegan { .. }
        | Event::TaskLost { .. }
        | Event::TaskSettled { .. }
        | Event::StepGave { .. }
        | Event::StepSkipped { .. } => crate::custom::details(&recorded.event),
        Event::DutyDone { duty, evidence } => format!("{duty}: {evidence}"),
        other => {
            let told = crate::telling::details(other, |at| offset(start, at));
            let said = told.or_else(|| crate::backups::details(other));
            said.unwrap_or_else(|| part_details(other))
        }
    }
}

fn opinion(event: &Event) -> String {
    match event {
        Event::ApprovalGiven { binding, condition, note, .. } => {
            let condition = condition.map(|share| format!(", holds at {share}"));
            let note = note.as_ref().map(|note| format!(": {note}"));
            let (condition, note) = (condition.unwrap_or_default(), note.unwrap_or_default());
            format!("D {:.8}{condition}{note}", binding.as_str())
        }
        Event::RightsSeen { facts, .. } => {
            let known: Vec<String> = facts
                .iter()
                .map(|(name, facts)| {
                    let groups: Vec<&str> = facts.groups.iter().map(String::as_str).collect();
                    format!("{name}[{}]", groups.join(" "))
                })
                .collect();
            known.join(" ")
        }
        Event::Attested { item, note, .. } => {
            format!("{item}{}", note.as_ref().map(|note| format!(": {note}")).unwrap_or_default())
        }
        Event::ReviewOpened { category, reason, .. } => format!("{}: {reason}", category.word()),
        Event::ApprovalWithdrawn { why, .. } => why.clone(),
        _ => String::new(),
    }
}

/// Where the decision of people stands, for `standing`.
pub(crate) fn standing(state: &State, now: Timestamp) -> Vec<String> {
    let Some(current) = &state.current else {
        return vec!["nobody is asked".to_owned()];
    };
    let standing = tidegate_core::approval::gate::standing(state, current, now);
    let mut lines = vec![format!("counted: {}", standing.counted.join(" "))];
    lines.extend(standing.rules.iter().map(|rule| {
        let open = if rule.open { "" } else { ", not yet open" };
        format!("{} {}/{} {}{open}", rule.name, rule.by.len(), rule.need, rule.by.join(" "))
    }));
    lines.extend(standing.barred.iter().map(|(who, bar)| format!("{who} {}", bar.words())));
    lines.extend(standing.missing.iter().map(|what| format!("missing: {what}")));
    lines.extend((!standing.fresh).then(|| "the directory was not asked since".to_owned()));
    let voided = tidegate_core::approval::past::voided(state);
    lines.extend(voided.map(|voided| voided.sentence()));
    let review = tidegate_core::approval::past::open_review(state);
    lines.extend(review.map(|review| {
        format!(
            "answers {}, refused for {}: {}",
            review.deployment,
            review.category.word(),
            review.reason
        )
    }));
    lines
}

fn beginning(event: &Event) -> String {
    match event {
        Event::DeploymentStarted { deployment, kind, plan, candidates, targets } => {
            let mut line = format!("{deployment} {}", plan.release.version);
            if let DeploymentKind::Return { reason, .. } = kind {
                write!(line, " comes back ({reason})").unwrap();
            }
            for (part, slot) in candidates {
                write!(line, ", {part} to {slot}").unwrap();
            }
            for (part, target) in targets {
                let revision = version_of(&target.revision);
                write!(line, ", {part} back to {} {revision}", target.slot).unwrap();
            }
            line
        }
        Event::DeploymentQueued { deployment, plan, .. } => {
            format!("{deployment} {}", plan.release.version)
        }
        _ => String::new(),
    }
}

fn part_details(event: &Event) -> String {
    match event {
        Event::SlotWanted { part, slot, tenant } => {
            format!("{part}/{slot} {}", tenant_words(tenant.as_ref()))
        }
        Event::SlotChanged { part, slot, observed } => {
            format!("{part}/{slot} {}", observed_words(observed))
        }
        Event::SplitWanted { part, split, backends, fallback, leased } => {
            let slots: Vec<&str> = backends.iter().map(|b| b.slot.as_str()).collect();
            let fallback = fallback.as_ref().map(|split| format!(", fallback {split}"));
            format!(
                "{part} {} [{}]{}{}",
                split_words(split.as_ref()),
                slots.join(" "),
                fallback.unwrap_or_default(),
                if *leased { ", leased" } else { "" }
            )
        }
        Event::SplitConfirmed { part, generation } => format!("{part} generation {generation}"),
        Event::SplitRefused { part, why } => format!("{part}: {why}"),
        Event::SplitLost { part, found } => format!("{part}: found {found}"),
        Event::SplitOverridden { part, sequence, kind, why, split } => {
            format!("{part} #{sequence} {kind:?} to {}: {why}", split_words(split.as_ref()))
        }
        Event::RolesMoved { part, live: Some(live) } => format!("{part}: {live} is live"),
        Event::RolesMoved { part, live: None } => format!("{part}: nothing is live"),
        _ => String::new(),
    }
}

/// Where everything stands, for `show`.
pub(crate) fn state(state: &State, start: Timestamp, now: Timestamp) -> Vec<String> {
    let mut lines = vec![sentence(state, now)];
    if let Some(current) = &state.current {
        lines.push(format!(
            "{} {} in {}{}",
            current.id,
            current.plan.release.version,
            phase_words(current.phase),
            current.hold.as_ref().map(|_| ", held").unwrap_or_default()
        ));
        for (task, state) in &current.tasks {
            let progress = match &state.progress {
                TaskProgress::Running => "runs".to_owned(),
                TaskProgress::Waiting { until, .. } => {
                    format!("again at {}", offset(start, *until))
                }
                TaskProgress::Lost { .. } => "lost".to_owned(),
                TaskProgress::Done { outcome, .. } => outcome.word().to_owned(),
            };
            lines.push(format!("task {} #{} {progress}", task_name(task), state.attempt));
        }
    }
    for (name, part) in &state.parts {
        for (slot, slot_state) in &part.slots {
            let live = if part.live.as_ref() == Some(slot) { ", live" } else { "" };
            lines.push(format!(
                "{name}/{slot} {}, {}{live}",
                tenant_words(slot_state.want.as_ref()),
                observed_words(&slot_state.observed)
            ));
        }
        if let Some(table) = &part.table {
            let fallback = table.fallback.as_ref().map(|split| format!(", fallback {split}"));
            lines.push(format!(
                "{name} serves {}{}{}{}",
                split_words(table.split.as_ref()),
                fallback.unwrap_or_default(),
                if table.leased { ", leased" } else { "" },
                if table.confirmed { "" } else { ", unconfirmed" }
            ));
        }
    }
    for artifact in &state.quarantine {
        lines.push(format!("quarantined {:.8}", artifact.as_str()));
    }
    lines
}

/// What everything waits for, for `why`.
pub(crate) fn why(state: &State, now: Timestamp) -> Vec<String> {
    let Some(waiting) = waiting_on(state) else {
        return vec!["it waits for nothing".to_owned()];
    };
    let until = waiting.until.map_or_else(
        || "no deadline".to_owned(),
        |at| format!("in {}", tidegate_core::waiting::left(now, at)),
    );
    let mut lines = vec![
        format!("on {}", waiting.on),
        format!(
            "for {} so far, ended by {}",
            words(now.duration_since(waiting.since)),
            waiting.who
        ),
        format!("{until}: {}", waiting.then),
    ];
    lines.extend(waiting.command.map(|command| format!("$ {command}")));
    lines
}

/// What is to be done in the world, for `effects`.
pub(crate) fn effects(state: &State) -> Vec<String> {
    let lines: Vec<String> = outstanding(state)
        .iter()
        .map(|effect| match effect {
            Effect::EnsureSlot { tenant, .. } => {
                format!("{} {}", effect_name(effect), tenant_words(tenant.as_ref()))
            }
            Effect::EnsureSplit { table } => {
                let lease = table.lease.map(|lease| format!(", lease {lease:#}"));
                format!(
                    "{} generation {} {}{}",
                    effect_name(effect),
                    table.generation,
                    split_words(table.split.as_ref()),
                    lease.unwrap_or_default()
                )
            }
            Effect::DropBackup { .. } => effect_name(effect),
            Effect::Tell { letter, follows } => {
                let follows = follows.as_ref().map(|first| format!(", after {first}"));
                format!(
                    "{} {} #{}{}",
                    effect_name(effect),
                    letter.number,
                    letter.attempt,
                    follows.unwrap_or_default()
                )
            }
            Effect::AskRights { accounts, .. } => {
                let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
                format!("{} of {}", effect_name(effect), accounts.join(" "))
            }
            Effect::Run { attempt, timeout, .. } => {
                format!("{} #{attempt} within {timeout:#}", effect_name(effect))
            }
        })
        .collect();
    if lines.is_empty() { vec!["nothing is outstanding".to_owned()] } else { lines }
}

/// When to look again, for `deadline`.
pub(crate) fn deadline(state: &State, now: Timestamp) -> Vec<String> {
    vec![next_deadline(state).map_or_else(
        || "none".to_owned(),
        |next| format!("{} in {}", next.what, words(next.at.duration_since(now))),
    )]
}

fn phase_words(phase: Phase) -> String {
    match phase {
        Phase::Traffic { step } => format!("traffic step {}", step + 1),
        Phase::Rollback { stage } | Phase::NeedsPerson { stage } => {
            format!("{} {}", phase.word(), stage.word())
        }
        _ => phase.word().to_owned(),
    }
}

fn result_word(result: PhaseResult) -> &'static str {
    match result {
        PhaseResult::Passed => "passed",
        PhaseResult::NotRequired => "not required",
        PhaseResult::Skipped => "skipped",
        PhaseResult::Failed => "failed",
    }
}

fn verdict_words(verdict: &Verdict) -> String {
    let call = match verdict.call {
        Call::Advance => "advance".to_owned(),
        Call::Hold(reason) => format!("hold ({})", reason.words()),
        Call::Brake => "brake".to_owned(),
        Call::Rollback => "rollback".to_owned(),
    };
    format!("{call}: {}", verdict.sentence)
}

fn hold_words(hold: &Hold, start: Timestamp) -> String {
    let cause = match hold.cause {
        HoldCause::Person => "by a person",
        HoldCause::Verdict => "by the judge",
        HoldCause::Unconfirmed => "unconfirmed",
        HoldCause::Condition => "on a condition",
        HoldCause::Window => "by the window",
        HoldCause::Lost => "for a lost step",
    };
    let then = match hold.then {
        HoldEnd::Rollback => "roll back",
        HoldEnd::Page => "page",
    };
    let until = hold.until.map(|at| offset(start, at)).unwrap_or_default();
    format!("{cause} until {until}, then {then}: {}", hold.why)
}

fn tenant_words(tenant: Option<&Tenant>) -> String {
    tenant.map_or_else(
        || "wants nothing".to_owned(),
        |tenant| format!("wants {} x{}", tenant.revision.version, tenant.instances),
    )
}

fn observed_words(observed: &SlotObserved) -> String {
    let revision = observed.revision.as_deref().map(version_of).unwrap_or("nothing");
    let problem = observed.problem.as_ref().map(|problem| format!(" ({problem})"));
    format!("runs {revision} {}/{}{}", observed.ready, observed.total, problem.unwrap_or_default())
}

fn split_words(split: Option<&Split>) -> String {
    split.map_or_else(|| "503".to_owned(), ToString::to_string)
}

/// `v2` of `v2-1f3a9c0d`.
fn version_of(label: &str) -> &str {
    label.rsplit_once('-').map_or(label, |(version, _)| version)
}

/// `+2m30s`: the time since the script began.
fn offset(start: Timestamp, at: Timestamp) -> String {
    let left = at.duration_since(start);
    if left.is_negative() {
        return "before".to_owned();
    }
    format!("+{}", words(left).replace(' ', ""))
}

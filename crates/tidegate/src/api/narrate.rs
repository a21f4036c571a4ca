//! Events in words: the line that is printed in a pipe, in a timeline and over the API.
//! One event, one line, with the values. Must never leave out an event.

mod told;

use tidegate_core::event::{DeploymentKind, Event, OverrideKind, Recorded};
use tidegate_core::ids::Actor;
use tidegate_core::plan::HoldEnd;
use tidegate_core::state::{Phase, PhaseResult};
use tidegate_core::verdict::{Call, reason};
use tidegate_core::weight::Split;

use crate::view;

use super::depict;

/// Words the events of one stream, in order: a phase change names the phase before it.
#[derive(Debug, Default)]
pub(crate) struct Narrator {
    phase: Option<Phase>,
}

impl Narrator {
    /// One event as it travels.
    pub(crate) fn line(&mut self, recorded: &Recorded) -> view::Line {
        view::Line {
            schema: view::LINE_SCHEMA,
            seq: recorded.seq,
            at: recorded.at,
            actor: recorded.actor.to_string(),
            kind: recorded.event.kind().to_owned(),
            text: self.text(recorded),
            event: serde_json::to_value(&recorded.event).unwrap_or_default(),
        }
    }

    fn text(&mut self, recorded: &Recorded) -> String {
        let actor = &recorded.actor;
        match &recorded.event {
            Event::DeploymentStarted { kind, plan, targets, .. } => {
                self.phase = Some(Phase::Ready);
                let from = targets
                    .values()
                    .next()
                    .map_or("nothing", |target| depict::version_of_label(&target.revision));
                let version = &plan.release.version;
                match kind {
                    DeploymentKind::Release { .. } => {
                        format!("started {from} -> {version} by {actor}")
                    }
                    DeploymentKind::Return { reason, .. } => {
                        format!("return {from} -> {version} by {actor}: {reason}")
                    }
                }
            }
            Event::DeploymentQueued { deployment, .. } => {
                format!("{deployment} takes its place, asked by {actor}")
            }
            Event::PhaseEntered { phase, before, .. } => {
                let old = self.phase.replace(*phase);
                let old = old.map_or_else(|| "?".to_owned(), step_word);
                format!("{old}->{} ({})", step_word(*phase), result(*before))
            }
            Event::TaskFinished { task, attempt, outcome, summary, retry_at, .. } => {
                let again = match retry_at {
                    Some(at) => format!(", attempt {} at {at:.0}", attempt + 1),
                    None => String::new(),
                };
                format!("{}: {}: {summary}{again}", task.words(), outcome.word())
            }
            Event::TaskRetried { task, attempt, .. } => {
                format!("{}: attempt {attempt}", task.words())
            }
            Event::TaskBegan { .. }
            | Event::TaskLost { .. }
            | Event::TaskSettled { .. }
            | Event::StepGave { .. }
            | Event::StepSkipped { .. } => text_of_steps(recorded),
            Event::ArtifactPinned { artifact, binding, .. } => {
                format!("artifact {} binding {}", short(artifact), short(binding))
            }
            Event::EvidenceAdded { .. }
            | Event::GateWaived { .. }
            | Event::FreezeBegan { .. }
            | Event::FreezeEnded { .. }
            | Event::GatesWeighed { .. } => text_of_gates(recorded),
            Event::ApprovalGiven { .. }
            | Event::ApprovalWithdrawn { .. }
            | Event::RightsSeen { .. }
            | Event::Attested { .. }
            | Event::ConditionConfirmed { .. }
            | Event::ReviewOpened { .. } => text_of_people(recorded),
            Event::StepConverged { step, .. } => {
                format!("{} carries its weight", self.judged(*step))
            }
            Event::StepPassed { step, bypassed: None, .. } => {
                format!("{} passed", self.judged(*step))
            }
            Event::StepPassed { step, bypassed: Some(missing), .. } => {
                format!("{} ended by {actor} despite: {missing}", self.judged(*step))
            }
            other => {
                text_of_backups(other, &recorded.actor).unwrap_or_else(|| text_of_world(recorded))
            }
        }
    }

    /// What is judged: a step by its number, or the bake, which comes after the last of them.
    fn judged(&self, step: u32) -> String {
        match self.phase {
            Some(Phase::Bake) => "the bake".to_owned(),
            _ => format!("step {}", step + 1),
        }
    }
}

/// What an event says of backups and duties; `None` for any other.
fn text_of_backups(event: &Event, actor: &Actor) -> Option<String> {
    Some(match event {
        Event::BackupMade { backup } => format!("backup {}", backup.sentence()),
        Event::BackupDrilled { drill } => {
            let word = drill.outcome.word();
            format!("drill of {}: {word} in {} ms: {}", drill.backup, drill.took_ms, drill.summary)
        }
        Event::BackupHeld { id, held, reason } => {
            let word = if *held { "is held" } else { "is let go" };
            format!("backup {id} {word} by {actor}: {reason}")
        }
        Event::BackupExpired { id } => format!("backup {id} is past its time"),
        Event::BackupDropped { id } => format!("backup {id} is gone"),
        Event::DutyDone { duty, evidence } => {
            format!("duty {duty} done, says {actor}: {evidence}")
        }
        _ => return None,
    })
}

/// Events about custom steps.
fn text_of_steps(recorded: &Recorded) -> String {
    match &recorded.event {
        Event::TaskBegan { task, .. } => format!("{} began", task.words()),
        Event::TaskLost { task, why, .. } => {
            format!("nobody knows whether {} was done: {why}", task.words())
        }
        Event::TaskSettled { task, done, reason, .. } => {
            let done = if *done { "was done" } else { "was not done" };
            format!("{} {done}, says {}: {reason}", task.words(), recorded.actor)
        }
        Event::StepGave { step, given, .. } => {
            let values = given.outputs.iter().map(|(name, value)| format!("{name}={value}"));
            let files =
                given.artifacts.iter().map(|(path, digest)| format!("{path} {}", short(digest)));
            let all: Vec<String> = values.chain(files).collect();
            format!("the step {step} left {}", all.join(", "))
        }
        Event::StepSkipped { step, why, .. } => format!("the step {step} is not needed: {why}"),
        _ => String::new(),
    }
}

/// Events about reports, gates and freezes.
fn text_of_gates(recorded: &Recorded) -> String {
    let actor = &recorded.actor;
    match &recorded.event {
        Event::EvidenceAdded { evidence } => format!(
            "{} {} of {} added by {actor}: {}",
            evidence.format.word(),
            evidence.name,
            evidence.version,
            evidence.summary
        ),
        Event::GateWaived { gate, version, reason, until, .. } => {
            format!("gate {gate} of {version} waived by {actor} until {until:.0}: {reason}")
        }
        Event::FreezeBegan { name, reason, from, until } => {
            format!("freeze {name} by {actor} from {from:.0} until {until:.0}: {reason}")
        }
        Event::FreezeEnded { name, reason } => format!("freeze {name} ended by {actor}: {reason}"),
        Event::GatesWeighed { results, .. } => {
            let results = results.iter().map(|result| {
                let word = if result.needed { result.outcome.word() } else { "not needed" };
                format!("{} {word}", result.gate)
            });
            format!("gates: {}", results.collect::<Vec<_>>().join(", "))
        }
        other => other.kind().to_owned(),
    }
}

/// Events about what people said.
fn text_of_people(recorded: &Recorded) -> String {
    let actor = &recorded.actor;
    let noted = |note: &Option<String>| match note {
        Some(note) => format!(": {note}"),
        None => String::new(),
    };
    match &recorded.event {
        Event::ApprovalGiven { binding, condition, note, .. } => {
            let condition = match condition {
                Some(share) => format!(" on the condition of a look at {share}"),
                None => String::new(),
            };
            format!("approved by {actor} for {}{condition}{}", short(binding), noted(note))
        }
        Event::ApprovalWithdrawn { why, .. } => format!("{actor} took the approval back: {why}"),
        Event::RightsSeen { facts, .. } => {
            let known: Vec<&str> = facts.keys().map(String::as_str).collect();
            format!("the directory knows {}", known.join(", "))
        }
        Event::Attested { item, note, .. } => format!("{actor} vouches: {item}{}", noted(note)),
        Event::ConditionConfirmed { .. } => format!("{actor} has looked and lets it go on"),
        Event::ReviewOpened { category, reason, .. } => {
            format!("refused by {actor} for {}: {reason}", category.word())
        }
        _ => String::new(),
    }
}

/// Events about slots, splits, steps and ends.
fn text_of_world(recorded: &Recorded) -> String {
    let actor = &recorded.actor;
    match &recorded.event {
        Event::SlotWanted { part, slot, tenant } => match tenant {
            Some(tenant) => format!(
                "{part} in {slot} wanted: {} x {}",
                tenant.instances,
                tenant.revision.label()
            ),
            None => format!("{part} in {slot} wanted: empty"),
        },
        Event::SlotChanged { part, slot, observed } => {
            let runs = observed.revision.as_deref().unwrap_or("nothing");
            let problem = match &observed.problem {
                Some(problem) => format!(" ({problem})"),
                None => String::new(),
            };
            format!(
                "{part} in {slot} seen: {} of {} ready, {runs}{problem}",
                observed.ready, observed.total
            )
        }
        Event::SplitWanted { part, split, .. } => {
            format!("{part} split wanted: {} (generation {})", shares(split.as_ref()), recorded.seq)
        }
        Event::SplitConfirmed { part, generation } => {
            format!("{part} split read back (generation {generation})")
        }
        Event::SplitRefused { part, why } => format!("{part} split refused: {why}"),
        Event::SplitLost { part, found } => {
            format!("{part} split lost: the data plane has {found}")
        }
        Event::SplitOverridden { part, kind, why, split, .. } => format!(
            "{part} split moved by the data plane ({}): {why}, now {}",
            override_word(*kind),
            shares(split.as_ref())
        ),
        Event::StepBraked { to, why, .. } => format!("brake to step {}: {why}", to + 1),
        Event::VerdictChanged { verdict, .. } => {
            format!("verdict {}: {}", call(verdict.call), verdict.sentence)
        }
        Event::HoldBegan { hold, .. } => {
            let end = match (hold.until, hold.then) {
                (Some(until), HoldEnd::Rollback) => format!(" deadline={until:.0} then rollback"),
                (Some(until), HoldEnd::Page) => format!(" deadline={until:.0} then page"),
                (None, _) => String::new(),
            };
            format!("running->holding by {actor}: {}{end}", hold.why)
        }
        Event::HoldEnded { why, .. } => format!("holding->running by {actor}: {why}"),
        Event::PersonCalled { why, .. } => format!("a person is called: {why}"),
        Event::RollbackBegan { why, .. } => format!("rolling back, by {actor}: {why}"),
        Event::RolesMoved { part, live: Some(live) } => format!("{part} live is {live}"),
        Event::RolesMoved { part, live: None } => {
            format!("{part} is not in this release: stopped")
        }
        Event::DeploymentEnded { ending, why, .. } => {
            format!("{}: {}", ending.words(), reason(why))
        }
        Event::Faulted { code, what } => format!("frozen, traffic held: {code} {what}"),
        _ => told::text(recorded),
    }
}

/// A phase as one word with its step: `traffic.step2`, `rollback.verify`.
fn step_word(phase: Phase) -> String {
    match phase {
        Phase::Traffic { step } => format!("traffic.step{}", step + 1),
        Phase::Rollback { stage } => format!("rollback.{}", stage.word()),
        Phase::NeedsPerson { stage } => format!("needs-person.{}", stage.word()),
        phase => phase.word().to_owned(),
    }
}

fn result(result: PhaseResult) -> &'static str {
    match result {
        PhaseResult::Passed => "passed",
        PhaseResult::NotRequired => "not required",
        PhaseResult::Skipped => "skipped",
        PhaseResult::Failed => "failed",
    }
}

fn override_word(kind: OverrideKind) -> &'static str {
    match kind {
        OverrideKind::Lease => "it heard nothing of the server",
        OverrideKind::Brake => "its own rule fired",
        OverrideKind::Emergency => "emergency",
    }
}

fn call(call: Call) -> String {
    match depict::call_words(call) {
        (word, Some(reason)) => format!("{word} ({})", reason.words()),
        (word, None) => word.to_owned(),
    }
}

fn shares(split: Option<&Split>) -> String {
    split.map_or_else(|| "503 for all".to_owned(), ToString::to_string)
}

fn short(digest: &tidegate_core::digest::Digest) -> String {
    digest.as_str().chars().take(12).collect()
}

//! A kind world: it answers every outstanding effect at once and well, but for what a script has
//! told it to keep quiet about. Must never answer a question that was not asked.

use std::collections::BTreeMap;

use tidegate_core::approval::Facts;
use tidegate_core::digest::{Component, Digest};
use tidegate_core::effect::{Effect, Job};
use tidegate_core::event::Recorded;
use tidegate_core::ids::{PartName, SlotName};
use tidegate_core::input::{Input, Made, Observation, SplitRead, TaskReport};
use tidegate_core::message::Delivery;
use tidegate_core::outstanding;
use tidegate_core::state::{SlotObserved, State, TaskId, Tenant};
use tidegate_core::verdict::{Call, Outcome, Verdict};

use crate::machine::Machine;

/// More answers than any script asks for at one moment.
const ANSWERS_MAX: usize = 500;

/// Who answers, and what not.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) auto: bool,
    /// Give every judged step this advice as soon as it converged.
    pub(crate) judge: Option<Call>,
    /// Names of effects that stay unanswered, by prefix: `slot:web/south`, `split`, `task:smoke`.
    pub(crate) silent: Vec<String>,
    /// What the directory knows; everybody else is a person who may approve.
    pub(crate) directory: BTreeMap<String, Option<Facts>>,
}

impl World {
    /// A world that answers everything and whose judge always advances.
    pub(crate) fn kind() -> Self {
        Self { auto: true, judge: Some(Call::Advance), ..Self::default() }
    }

    /// Answers until nothing follows from an answer any more.
    pub(crate) fn answer(&self, machine: &mut Machine) -> Vec<Recorded> {
        let mut events = Vec::new();
        if !self.auto {
            return events;
        }
        for _ in 0..ANSWERS_MAX {
            let followed = self.answer_once(machine);
            if followed.is_empty() {
                return events;
            }
            events.extend(followed);
        }
        machine.complaints.push("the world is asked in a circle".to_owned());
        events
    }

    /// Everything outstanding at this moment is answered, as a round of dispatch would.
    fn answer_once(&self, machine: &mut Machine) -> Vec<Recorded> {
        let mut answers: Vec<Observation> = outstanding(&machine.state)
            .into_iter()
            .filter(|effect| {
                let name = effect_name(effect);
                !self.silent.iter().any(|silent| name.starts_with(silent.as_str()))
            })
            .map(|effect| self.answer_to(&machine.state, &effect))
            .collect();
        answers.extend(self.verdict(&machine.state));
        let mut events = Vec::new();
        for observation in answers {
            events.extend(machine.put(&Input::Observation(observation)).unwrap_or_default());
        }
        events
    }

    fn answer_to(&self, state: &State, effect: &Effect) -> Observation {
        let Effect::AskRights { deployment, newest, accounts } = effect else {
            return answer(state, effect);
        };
        let facts = accounts.iter().filter_map(|name| Some((name.clone(), self.facts(name)?)));
        Observation::Rights {
            deployment: deployment.clone(),
            newest: *newest,
            facts: facts.collect(),
        }
    }

    /// What the directory says of an account; `None` for one that it does not know.
    pub(crate) fn facts(&self, name: &str) -> Option<Facts> {
        self.directory.get(name).cloned().unwrap_or_else(|| Some(person(name)))
    }

    fn verdict(&self, state: &State) -> Option<Observation> {
        let call = self.judge?;
        let current = state.current.as_ref()?;
        if current.verdict.is_some() || current.converged_at.is_none() {
            return None;
        }
        Some(Observation::Verdict {
            deployment: current.id.clone(),
            step: current.judged_step()?,
            verdict: Verdict::plain(call, "everything is good", Vec::new()),
        })
    }
}

/// What an effect is called in scripts.
pub(crate) fn effect_name(effect: &Effect) -> String {
    match effect {
        Effect::EnsureSlot { part, slot, .. } => format!("slot:{part}/{slot}"),
        Effect::EnsureSplit { table } => format!("split:{}", table.part),
        Effect::Run { task, .. } => format!("task:{}", task_name(task)),
        Effect::DropBackup { backup } => format!("drop:{}", backup.id),
        Effect::AskRights { .. } => "rights".to_owned(),
        Effect::Tell { letter, .. } => format!("message:{}", letter.message.to.family.word()),
    }
}

/// What a task is called in scripts.
pub(crate) fn task_name(task: &TaskId) -> String {
    match task {
        TaskId::CheckLive => "live".to_owned(),
        TaskId::Address(part) => format!("address:{part}"),
        TaskId::Gates => "gates".to_owned(),
        TaskId::Prepare => "build".to_owned(),
        TaskId::Backup => "backup".to_owned(),
        TaskId::Health(part) => format!("health:{part}"),
        TaskId::Smoke(part) => format!("smoke:{part}"),
        TaskId::VerifyLive => "verify".to_owned(),
        TaskId::Custom(step) => format!("custom:{step}"),
    }
}

/// The kind answer to one effect.
pub(crate) fn answer(state: &State, effect: &Effect) -> Observation {
    match effect {
        Effect::EnsureSlot { part, slot, tenant } => Observation::Slot {
            part: part.clone(),
            slot: slot.clone(),
            observed: tenant.as_ref().map_or_else(SlotObserved::default, |tenant| {
                running(state, part, slot, tenant, tenant.instances)
            }),
        },
        Effect::EnsureSplit { table } => Observation::Split {
            part: table.part.clone(),
            read: SplitRead { generation: Some(table.generation), overridden: None },
        },
        Effect::Run { deployment, task: TaskId::Custom(step), attempt, .. } => {
            crate::custom::answer(deployment, step, *attempt)
        }
        Effect::Run { deployment, task, attempt, job, .. } => Observation::Task {
            deployment: deployment.clone(),
            task: task.clone(),
            attempt: *attempt,
            report: TaskReport {
                outcome: Outcome::Pass,
                summary: "good".to_owned(),
                retryable: false,
                made: made(job),
            },
        },
        Effect::DropBackup { backup } => Observation::BackupDropped { id: backup.id.clone() },
        Effect::Tell { letter, .. } => Observation::Message {
            number: letter.number,
            attempt: letter.attempt,
            delivery: Delivery::Taken { receipt: None },
        },
        Effect::AskRights { deployment, newest, accounts } => Observation::Rights {
            deployment: deployment.clone(),
            newest: *newest,
            facts: accounts.iter().map(|name| (name.clone(), person(name))).collect(),
        },
    }
}

/// A person who may approve and belongs to nothing.
pub(crate) fn person(name: &str) -> Facts {
    Facts { person: name.to_owned(), human: true, entitled: true, ..Facts::default() }
}

/// A slot in which so many instances of a tenant are ready.
pub(crate) fn running(
    state: &State,
    part: &PartName,
    slot: &SlotName,
    tenant: &Tenant,
    ready: u32,
) -> SlotObserved {
    let part_at = state.parts.keys().position(|name| name == part).unwrap_or(0);
    let slot_at = usize::from(slot.as_str() == "south");
    let base = 9_000 + 100 * part_at + 50 * slot_at;
    SlotObserved {
        revision: (tenant.instances > 0).then(|| tenant.revision.label()),
        ready,
        total: tenant.instances,
        endpoints: (0..ready).map(|n| format!("127.0.0.1:{}", base + n as usize)).collect(),
        problem: None,
    }
}

/// What a build makes: the version's own digest, and D over it.
pub(crate) fn made(job: &Job) -> Option<Made> {
    let Job::Prepare(plan) = job else {
        return None;
    };
    Some(made_of(&plan.release.version, &artifact(&plan.release.version)))
}

/// What a build of a version made, with the two parts of D that differ between versions.
pub(crate) fn made_of(version: &str, artifact: &Digest) -> Made {
    let parts = [
        (Component::Artifacts, Digest::of(artifact.as_str().as_bytes())),
        (Component::Source, Digest::of(version.as_bytes())),
        (Component::Environment, Digest::of(b"production")),
    ];
    Made {
        artifact: artifact.clone(),
        binding: Digest::of(format!("D of {version}").as_bytes()),
        parts: parts.into_iter().collect(),
    }
}

/// The digest of what a version builds to.
pub(crate) fn artifact(version: &str) -> Digest {
    Digest::of(version.as_bytes())
}

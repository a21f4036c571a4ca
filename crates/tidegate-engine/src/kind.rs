//! The kind world: every effect is brought about at once and answers well.
//! Must never answer for what was not asked: rehearsals and simulations stand on it.

use std::collections::BTreeMap;

use tidegate_core::digest::Digest;
use tidegate_core::effect::{Effect, Job};
use tidegate_core::input::{Made, Observation, SplitRead, TaskReport};
use tidegate_core::message::Delivery;
use tidegate_core::state::{SlotObserved, Tenant};
use tidegate_core::verdict::Outcome;

/// What is observed once an effect was brought about.
pub(crate) fn answer(effect: Effect) -> Observation {
    match effect {
        Effect::EnsureSlot { part, slot, tenant } => {
            let observed = tenant.as_ref().map_or_else(SlotObserved::default, running);
            Observation::Slot { part, slot, observed }
        }
        Effect::EnsureSplit { table } => {
            let read = SplitRead { generation: Some(table.generation), overridden: None };
            Observation::Split { part: table.part, read }
        }
        Effect::DropBackup { backup } => Observation::BackupDropped { id: backup.id },
        // Nobody is there: the directory knows no account.
        Effect::AskRights { deployment, newest, .. } => {
            Observation::Rights { deployment, newest, facts: BTreeMap::new() }
        }
        Effect::Tell { letter, .. } => Observation::Message {
            number: letter.number,
            attempt: letter.attempt,
            delivery: Delivery::Taken { receipt: None },
        },
        Effect::Run { deployment, task, attempt, job, .. } => {
            let made = match &job {
                Job::Prepare(plan) => {
                    let artifact = Digest::of(plan.release.version.as_bytes());
                    let binding = Digest::of(plan.release.commit.as_bytes());
                    Some(Made { artifact, binding, parts: BTreeMap::new() })
                }
                _ => None,
            };
            let summary = "as it should be".to_owned();
            let report = TaskReport { outcome: Outcome::Pass, summary, retryable: false, made };
            Observation::Task { deployment, task, attempt, report }
        }
    }
}

fn running(tenant: &Tenant) -> SlotObserved {
    SlotObserved {
        revision: Some(tenant.revision.label()),
        ready: tenant.instances,
        total: tenant.instances,
        endpoints: (1..=tenant.instances).map(|port| format!("127.0.0.1:{port}")).collect(),
        problem: None,
    }
}

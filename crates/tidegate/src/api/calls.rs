//! What is asked of the world, in words: at this moment, and what a rollback would ask first.
//! The core says both. Must never carry anything out.

use jiff::Timestamp;
use tidegate_core::effect::Effect;
use tidegate_core::ids::Actor;
use tidegate_core::input::{Command, Input};
use tidegate_core::state::State;
use tidegate_core::weight::Split;
use tidegate_core::{apply, decide, outstanding};

use super::deployments::foreseen_id;

/// What is being brought about.
pub(super) fn now(state: &State) -> Vec<String> {
    outstanding(state).iter().map(words).collect()
}

/// What a rollback would begin with, asked at this moment; what follows depends on the answers.
pub(super) fn of_rollback(state: &State, at: Timestamp) -> Vec<String> {
    let Some(deployment) = foreseen_id() else { return Vec::new() };
    let command = Command::Rollback { deployment, to: None, reason: "foreseen".to_owned() };
    let input = Input::Command { actor: Actor::Tidegate, key: None, command };
    let Ok(events) = decide(state, &input, at) else { return Vec::new() };
    let mut after = state.clone();
    for event in &events {
        apply(&mut after, event);
    }
    outstanding(&after).iter().map(words).collect()
}

fn words(effect: &Effect) -> String {
    match effect {
        Effect::EnsureSlot { part, slot, tenant: Some(tenant) } => format!(
            "run {} of {part} in slot {slot}, {} instances",
            tenant.revision.label(),
            tenant.instances
        ),
        Effect::EnsureSlot { part, slot, tenant: None } => {
            format!("stop what runs of {part} in slot {slot}")
        }
        Effect::EnsureSplit { table } => {
            let shares = table.split.as_ref().map_or_else(|| "503 to everybody".to_owned(), shares);
            format!(
                "route {} by table {}: {shares}; then read it back",
                table.part, table.generation
            )
        }
        Effect::Run { task, attempt, .. } => format!("{}, attempt {attempt}", task.words()),
        Effect::DropBackup { backup } => format!("remove {}, which is past its time", backup.place),
        Effect::Tell { letter, .. } => {
            format!("tell {}: {}", letter.message.to, letter.message.title)
        }
        Effect::AskRights { accounts, .. } => {
            format!("ask the directory about {} people", accounts.len())
        }
    }
}

fn shares(split: &Split) -> String {
    let shares = split.shares().map(|(slot, weight)| format!("{slot} {weight}"));
    shares.collect::<Vec<_>>().join(", ")
}

//! The invariants of one service's state, as a pure linter. It runs after every decision in
//! production, in the scripts and in the simulation; a violation freezes the deployment with its
//! traffic held. Must never repair anything.

use crate::ids::SlotName;
use crate::state::{Deployment, PartState, Phase, PhaseResult, State};
use crate::weight::Weight;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The code.
    pub code: &'static str,
    /// What was found.
    pub what: String,
}

/// Everything that is wrong with a state; empty when nothing is.
#[must_use]
pub fn check(state: &State) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, part) in &state.parts {
        violations.extend(used_slots(part).into_iter().filter(|slot| !is_kept(part, slot)).map(
            |slot| Violation {
                code: "TG9002",
                what: format!("{name}: slot {slot} carries user requests and is not kept running"),
            },
        ));
        violations.extend(
            used_slots(part).into_iter().filter(|slot| !has_endpoint(part, slot)).map(|slot| {
                Violation {
                    code: "TG9003",
                    what: format!(
                        "{name}: slot {slot} has a share of user requests and no address"
                    ),
                }
            }),
        );
    }
    if let Some(deployment) = &state.current {
        violations.extend(unproven_traffic(state, deployment));
        violations.extend(lost_target(state, deployment));
    }
    violations
}

/// Slots that requests may be sent to: by the wanted shares, or by the way back.
fn used_slots(part: &PartState) -> Vec<SlotName> {
    let Some(table) = &part.table else {
        return Vec::new();
    };
    let splits = table.split.iter().chain(&table.fallback);
    let mut slots: Vec<SlotName> = splits
        .flat_map(|split| split.shares())
        .filter(|(_, weight)| *weight > Weight::ZERO)
        .map(|(slot, _)| slot.clone())
        .collect();
    slots.sort();
    slots.dedup();
    slots
}

fn is_kept(part: &PartState, slot: &SlotName) -> bool {
    part.slots
        .get(slot)
        .and_then(|slot| slot.want.as_ref())
        .is_some_and(|tenant| tenant.instances > 0)
}

fn has_endpoint(part: &PartState, slot: &SlotName) -> bool {
    part.table
        .iter()
        .flat_map(|table| &table.backends)
        .any(|backend| backend.slot == *slot && !backend.endpoints.is_empty())
}

/// A candidate has user requests only after every phase before traffic ended well.
fn unproven_traffic(state: &State, deployment: &Deployment) -> Option<Violation> {
    let carries = deployment.candidates.iter().any(|(part, slot)| {
        let target = deployment.targets.get(part).map(|target| &target.slot);
        let table = state.parts.get(part).and_then(|part| part.table.as_ref());
        target != Some(slot)
            && table
                .and_then(|table| table.split.as_ref())
                .is_some_and(|split| split.share(slot) > Weight::ZERO)
    });
    if !carries {
        return None;
    }
    const BEFORE_TRAFFIC: [Phase; 8] = [
        Phase::Ready,
        Phase::Gates,
        Phase::Plan,
        Phase::Approvals,
        Phase::Backup,
        Phase::Deploy,
        Phase::Health,
        Phase::Smoke,
    ];
    let missing = BEFORE_TRAFFIC.iter().find(|phase| {
        !deployment
            .passed
            .iter()
            .any(|record| record.phase == **phase && record.result != PhaseResult::Failed)
    })?;
    Some(Violation {
        code: "TG9004",
        what: format!("the candidate has user requests, but {} did not pass", missing.word()),
    })
}

/// What a deployment goes back to is kept as it was until it ended.
fn lost_target(state: &State, deployment: &Deployment) -> Option<Violation> {
    deployment.targets.iter().find_map(|(part, target)| {
        let slot = state.parts.get(part).and_then(|p| p.slots.get(&target.slot))?;
        let kept =
            slot.want.as_ref().is_some_and(|tenant| tenant.revision.label() == target.revision);
        (!kept).then(|| Violation {
            code: "TG9005",
            what: format!("{part}: slot {} does not hold {}", target.slot, target.revision),
        })
    })
}

//! The beginning of a deployment: which slots it uses and what it goes back to.
//! Must never pick the slot that carries the live role.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{DeploymentKind, Event, Target};
use crate::ids::DeploymentId;
use crate::plan::Plan;
use crate::state::State;

pub(super) fn start_queued(state: &State) -> Vec<Event> {
    let Some(queued) = &state.queued else {
        return Vec::new();
    };
    let kind = DeploymentKind::Release { despite_quarantine: queued.despite_quarantine };
    vec![started(state, queued.deployment.clone(), kind, queued.plan.clone())]
}

/// The event that begins a deployment: which slots it uses and what it goes back to.
pub(in crate::decide) fn started(
    state: &State,
    deployment: DeploymentId,
    kind: DeploymentKind,
    plan: Arc<Plan>,
) -> Event {
    let mut candidates = BTreeMap::new();
    let mut targets = BTreeMap::new();
    for part in &plan.parts {
        let known = state.parts.get(&part.name);
        let live = known.and_then(|known| known.live.as_ref());
        let free = part.slots.iter().find(|slot| Some(*slot) != live).unwrap_or(&part.slots[0]);
        candidates.insert(part.name.clone(), free.clone());
        let tenant = known
            .zip(live)
            .and_then(|(known, live)| known.slots.get(live))
            .and_then(|slot| slot.want.as_ref());
        if let (Some(live), Some(tenant)) = (live, tenant) {
            let target = Target { slot: live.clone(), revision: tenant.revision.label() };
            targets.insert(part.name.clone(), target);
        }
    }
    Event::DeploymentStarted { deployment, kind, plan, candidates, targets }
}

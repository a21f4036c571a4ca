//! The tables that the data plane is meant to serve: shares, where they go, and the way back.
//! Must never name a slot for which nobody answers, nor one that holds something unproven.

use crate::event::Event;
use crate::ids::{PartName, SlotName};
use crate::plan::Part;
use crate::state::{Backend, Deployment, State, TableState};
use crate::weight::{Split, Weight};

/// A slot as a backend: the addresses that were last seen of what it is meant to run, or the ones
/// that the table knows when none is seen.
pub(in crate::decide) fn backend_of(
    state: &State,
    part: &PartName,
    slot: &SlotName,
) -> Option<Backend> {
    let part_state = state.parts.get(part)?;
    let slot_state = part_state.slots.get(slot)?;
    let tenant = slot_state.want.as_ref()?;
    let (revision, protocol) = (tenant.revision.label(), tenant.part.run.protocol);
    let seen = &slot_state.observed;
    if seen.revision.as_deref() == Some(revision.as_str()) && !seen.endpoints.is_empty() {
        let endpoints = seen.endpoints.clone();
        return Some(Backend { slot: slot.clone(), revision, endpoints, protocol });
    }
    let mut known = part_state.table.iter().flat_map(|table| &table.backends);
    let known = known.find(|backend| backend.slot == *slot && backend.revision == revision);
    let endpoints = known.map(|backend| backend.endpoints.clone()).unwrap_or_default();
    Some(Backend { slot: slot.clone(), revision, endpoints, protocol })
}

/// The candidate gets a share, the rest stays where it was.
pub(super) fn shared(
    state: &State,
    deployment: &Deployment,
    part: &Part,
    candidate: &SlotName,
    weight: Weight,
    leased: bool,
) -> Event {
    let live = deployment.targets.get(&part.name).map(|target| &target.slot);
    // A part that is new in this release was used by nobody: all of it is the candidate's.
    let split = live.map_or_else(
        || Split::all_to(candidate.clone()),
        |live| Split::between(candidate, live, weight),
    );
    let slots = std::iter::once(candidate).chain(live);
    // What a person goes away from is no place to go back to without asking.
    let back = live.filter(|_| !deployment.is_return());
    Event::SplitWanted {
        part: part.name.clone(),
        split: Some(split),
        backends: slots.filter_map(|slot| backend_of(state, &part.name, slot)).collect(),
        fallback: back.map(|live| Split::all_to(live.clone())),
        leased: leased && back.is_some(),
    }
}

/// The same shares without a slot that is about to hold something else.
pub(super) fn without(table: &TableState, part: &PartName, slot: &SlotName) -> Option<Event> {
    let names = |split: &Split| split.share(slot) > Weight::ZERO;
    let named = table.backends.iter().any(|backend| backend.slot == *slot);
    if !named && !table.fallback.as_ref().is_some_and(names) {
        return None;
    }
    Some(Event::SplitWanted {
        part: part.clone(),
        split: table.split.clone(),
        backends: table.backends.iter().filter(|b| b.slot != *slot).cloned().collect(),
        fallback: table.fallback.clone().filter(|split| !names(split)),
        leased: false,
    })
}

/// A slot whose instances moved to other ports has to be published again with the same shares.
pub(super) fn moved_endpoints(state: &State) -> Vec<Event> {
    state
        .parts
        .iter()
        .filter_map(|(name, part)| {
            let table = part.table.as_ref()?;
            let fresh: Vec<_> = table
                .backends
                .iter()
                .map(|backend| {
                    let seen = backend_of(state, name, &backend.slot);
                    match seen.filter(|seen| !seen.endpoints.is_empty()) {
                        Some(seen) => seen,
                        None => backend.clone(),
                    }
                })
                .collect();
            (fresh != table.backends).then(|| Event::SplitWanted {
                part: name.clone(),
                split: table.split.clone(),
                backends: fresh,
                fallback: table.fallback.clone(),
                leased: table.leased,
            })
        })
        .collect()
}

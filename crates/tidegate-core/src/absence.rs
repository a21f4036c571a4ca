//! Candidates that were started and have no instance left: what sends a deployment back without a
//! rule. Must never take one look for the truth: an absence counts once it has lasted.

use jiff::{SignedDuration, Timestamp};

use crate::ids::{PartName, SlotName};
use crate::plan::PartKind;
use crate::state::{Phase, State};

/// How long no instance may be ready before the candidate counts as lost. A restart by the shim
/// and a look that came late are over by then; the rules on failed requests are not waited for.
pub(crate) const LOST_AFTER: SignedDuration = SignedDuration::from_secs(3);

/// A candidate without a ready instance.
pub(crate) struct Absence<'a> {
    /// Its part.
    pub(crate) part: &'a PartName,
    /// Its slot.
    pub(crate) slot: &'a SlotName,
    /// When it counts as lost.
    pub(crate) lost_at: Timestamp,
    /// What is wrong, in one line.
    pub(crate) problem: &'a str,
}

/// The absences of the deployment in flight, once its candidates were started.
pub(crate) fn absences(state: &State) -> impl Iterator<Item = Absence<'_>> {
    let past_start = |phase| {
        matches!(
            phase,
            Phase::Health | Phase::Smoke | Phase::Traffic { .. } | Phase::Bake | Phase::Finish
        )
    };
    let deployment = state.current.as_ref().filter(|deployment| past_start(deployment.phase));
    deployment.into_iter().flat_map(move |deployment| {
        deployment.candidates.iter().filter_map(move |(part, slot)| {
            let seen = state.parts.get(part)?.slots.get(slot)?;
            let tenant = seen.want.as_ref()?;
            // A worker's first instances of a step are still starting until the step converges.
            let starting =
                tenant.part.kind == PartKind::Worker && deployment.converged_at.is_none();
            if tenant.instances == 0 || seen.observed.ready > 0 || starting {
                return None;
            }
            let since = seen.absent_since.unwrap_or(deployment.phase_since);
            Some(Absence {
                part,
                slot,
                lost_at: since.checked_add(LOST_AFTER).unwrap_or(since),
                problem: seen.observed.problem.as_deref().unwrap_or("no instance is ready"),
            })
        })
    })
}

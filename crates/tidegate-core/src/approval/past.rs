//! What people said about an earlier plan, and why it does not count for this one.
//! Must never carry an approval over: it tells what is gone, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::Review;
use crate::digest::{Component, Digest};
use crate::ids::DeploymentId;
use crate::state::State;

/// Approvals of the deployment before this one that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voided {
    /// The deployment that was approved.
    pub deployment: DeploymentId,
    /// The version it brought.
    pub version: String,
    /// Who had approved it.
    pub by: Vec<String>,
    /// The parts of D that are not what they approved, in their order.
    pub differs: Vec<Component>,
}

impl Voided {
    /// The whole as one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let differs: Vec<&str> = self.differs.iter().map(|part| part.words()).collect();
        let because = if differs.is_empty() {
            String::new()
        } else {
            format!(": {} changed", differs.join(", "))
        };
        format!(
            "the approvals of {} ({}) by {} are void{because}",
            self.deployment,
            self.version,
            self.by.join(", ")
        )
    }
}

/// What the last deployment was approved for and this one is not, once its D is known.
#[must_use]
pub fn voided(state: &State) -> Option<Voided> {
    let current = state.current.as_ref()?;
    current.binding.as_ref()?;
    let before = state.history.last().filter(|ended| !ended.ending.is_live())?;
    if before.approved_by.is_empty() || current.is_return() {
        return None;
    }
    Some(Voided {
        deployment: before.deployment.clone(),
        version: before.plan.release.version.clone(),
        by: before.approved_by.clone(),
        differs: differing(&before.parts, &current.parts),
    })
}

/// The parts of two Ds that differ, in their order.
#[must_use]
pub fn differing(
    one: &BTreeMap<Component, Digest>,
    other: &BTreeMap<Component, Digest>,
) -> Vec<Component> {
    let named: BTreeSet<Component> = one.keys().chain(other.keys()).copied().collect();
    named.into_iter().filter(|part| one.get(part) != other.get(part)).collect()
}

/// The newest refusal that nobody has answered.
#[must_use]
pub fn open_review(state: &State) -> Option<&Review> {
    state.reviews.iter().rev().find(|review| review.answered.is_none())
}

//! Where the decision about the deployment in flight stands: which policies it has to meet, and
//! what of them is missing. Must never look at anything but the state and the time.

use jiff::{SignedDuration, Timestamp};

use super::quorum::{Question, Standing, weigh};
use super::{Approve, Vote};
use crate::event::DeploymentKind;
use crate::state::{Deployment, Ended, Phase, State};

/// The policies that a deployment has to meet: its own, and the one that the live release brought.
/// So whoever loosens a policy needs the approvals that it asks for.
#[must_use]
pub fn policies(state: &State, deployment: &Deployment) -> Vec<Approve> {
    let own = deployment.plan.approve.clone();
    let by_layer = deployment.plan.layers.iter().any(|added| added.approve.is_some());
    let asks = deployment.plan.required.approvals && !by_layer;
    let own = own.or_else(|| asks.then(Approve::anyone));
    // Which of its rules this change touches was said for another change: all of them apply.
    let in_force = adopted(state).map(Approve::declared);
    let in_force =
        in_force.filter(|in_force| own.as_ref().map(Approve::declared).as_ref() != Some(in_force));
    let organisation = deployment.plan.layers.iter().filter_map(|added| added.approve.clone());
    own.into_iter().chain(in_force).chain(organisation).collect()
}

/// The policy in force: that of the newest release that became live.
#[must_use]
pub fn adopted(state: &State) -> Option<&Approve> {
    let release = |kind: &DeploymentKind| matches!(kind, DeploymentKind::Release { .. });
    let newest = state.history.iter().rev().find(|e| e.ending.is_live() && release(&e.kind));
    newest?.plan.approve.as_ref()
}

/// Where the decision about a deployment stands.
#[must_use]
pub fn standing(state: &State, deployment: &Deployment, now: Timestamp) -> Standing {
    let policies = policies(state, deployment);
    weigh(&Question {
        policies: policies.iter().collect(),
        change: deployment.plan.change.as_ref(),
        trigger: &deployment.started_by,
        votes: &deployment.votes,
        rights: deployment.rights.as_ref(),
        newest: newest_word(deployment).unwrap_or(0),
        attested: &deployment.attested,
        now,
    })
}

/// Sequence of the newest vote or attestation, once there is a vote.
#[must_use]
pub fn newest_word(deployment: &Deployment) -> Option<u64> {
    let votes = deployment.votes.iter().map(|vote| vote.seq).max()?;
    let attested = deployment.attested.values().map(|attested| attested.seq).max();
    Some(votes.max(attested.unwrap_or(0)))
}

/// How long all of it is waited for: the shortest of the policies.
#[must_use]
pub fn within(state: &State, deployment: &Deployment) -> Option<SignedDuration> {
    policies(state, deployment).iter().map(|policy| policy.within).min()
}

/// The commit of the release that is live.
#[must_use]
pub fn live_commit(state: &State) -> Option<&str> {
    Some(brought_live(state)?.plan.release.commit.as_str())
}

/// The deployment that brought what is live; `None` where nothing is.
#[must_use]
pub fn brought_live(state: &State) -> Option<&Ended> {
    let live: Vec<&str> = state
        .parts
        .values()
        .filter_map(|part| part.slots.get(part.live.as_ref()?)?.want.as_ref())
        .map(|tenant| tenant.revision.artifact.as_str())
        .collect();
    state.history.iter().rev().find(|ended| {
        let artifact = ended.artifact.as_ref().map(|artifact| artifact.as_str());
        ended.ending.is_live() && artifact.is_some_and(|artifact| live.contains(&artifact))
    })
}

/// Votes whose condition holds the running step and is not confirmed.
pub fn conditions(current: &Deployment) -> impl Iterator<Item = &Vote> {
    let next = match current.phase {
        Phase::Traffic { step } => {
            let after = usize::try_from(step).unwrap_or(usize::MAX).saturating_add(1);
            current.plan.traffic.steps.get(after).copied()
        }
        _ => None,
    };
    current.votes.iter().filter(move |vote| {
        let passes = vote.condition.zip(next).is_some_and(|(share, next)| next > share);
        passes && !current.confirmed.contains(&vote.by)
    })
}

//! What the words of people change: votes, rights, attestations, reviews.
//! Must never weigh them.

use super::keep_newest;
use crate::approval::quorum;
use crate::approval::{Attestation, Credential, EXPIRES, Facts, REVIEWS_MAX, Review, Rights, Vote};
use crate::event::{Event, Recorded};
use crate::ids::{Actor, DeploymentId};
use crate::state::{Deployment, Phase, PhaseResult, State};

/// Folds one event about approvals of the deployment in flight.
pub(super) fn fold(state: &mut State, recorded: &Recorded, deployment: &DeploymentId) {
    if let Event::PhaseEntered { phase: Phase::Backup, before: PhaseResult::Passed, .. } =
        recorded.event
    {
        answer(state, deployment);
    }
    let Some(current) = state.current.as_mut() else { return };
    match &recorded.event {
        Event::ApprovalGiven { .. } => vote(current, recorded),
        Event::ApprovalWithdrawn { .. } => current.votes.retain(|vote| vote.by != recorded.actor),
        Event::RightsSeen { facts, .. } => {
            current.rights =
                Some(Rights { seq: recorded.seq, at: recorded.at, facts: facts.clone() });
        }
        Event::Attested { item, note, expires, .. } => {
            let attestation = Attestation {
                by: recorded.actor.clone(),
                seq: recorded.seq,
                at: recorded.at,
                note: note.clone(),
                expires: *expires,
            };
            current.attested.insert(item.clone(), attestation);
        }
        // What the directory said before a hold is old when the hold is over.
        Event::HoldBegan { .. } => current.rights = None,
        Event::ConditionConfirmed { .. } => current.confirmed.push(recorded.actor.clone()),
        _ => {}
    }
}

/// An account has one vote: a newer one takes the place of the older.
fn vote(current: &mut Deployment, recorded: &Recorded) {
    let Event::ApprovalGiven { facts, credential, expires, condition, note, .. } = &recorded.event
    else {
        return;
    };
    current.votes.retain(|vote| vote.by != recorded.actor);
    let later = || recorded.at.checked_add(EXPIRES).unwrap_or(recorded.at);
    current.votes.push(Vote {
        by: recorded.actor.clone(),
        seq: recorded.seq,
        at: recorded.at,
        expires: expires.unwrap_or_else(later),
        facts: facts.clone().unwrap_or_else(|| known_before_accounts(&recorded.actor)),
        credential: credential_of(credential),
        condition: *condition,
        note: note.clone(),
    });
}

fn credential_of(credential: &Credential) -> Credential {
    if credential.door.is_empty() {
        // Before there were accounts the kernel's word was the only way in.
        return Credential { door: "socket".to_owned(), factor: "kernel".to_owned(), at: None };
    }
    credential.clone()
}

/// A journal of before accounts names the user of the operating system, and no more was known.
fn known_before_accounts(actor: &Actor) -> Facts {
    Facts {
        person: quorum::name(actor),
        human: matches!(actor, Actor::Person(_)),
        entitled: true,
        ..Facts::default()
    }
}

/// Somebody refused the deployment in flight.
pub(super) fn review(state: &mut State, recorded: &Recorded) {
    let Event::ReviewOpened { deployment, category, reason } = &recorded.event else {
        return;
    };
    let Some(current) = state.current.as_ref().filter(|d| d.id == *deployment) else {
        return;
    };
    state.reviews.push(Review {
        deployment: deployment.clone(),
        plan: current.plan.clone(),
        binding: current.binding.clone(),
        parts: current.parts.clone(),
        category: *category,
        reason: reason.clone(),
        by: recorded.actor.clone(),
        at: recorded.at,
        answered: None,
    });
    keep_newest(&mut state.reviews, REVIEWS_MAX);
}

/// People agreed to another plan: what was refused before is answered.
fn answer(state: &mut State, deployment: &DeploymentId) {
    for review in state.reviews.iter_mut().filter(|review| review.answered.is_none()) {
        review.answered = Some(deployment.clone());
    }
}

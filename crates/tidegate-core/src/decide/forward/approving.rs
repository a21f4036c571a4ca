//! The gate of people: opens when the quorum is met by rights that were read after the last vote.
//! Must never open on what an account was allowed when it voted.

use jiff::Timestamp;

use super::{deployment_ended, phase_entered};
use crate::approval::CONFIRM_WITHIN;
use crate::approval::gate::{conditions, live_commit, standing, within};
use crate::event::{Ending, Event};
use crate::plan::HoldEnd;
use crate::state::{Deployment, Hold, HoldCause, Phase, PhaseResult, State};

/// What follows in the phase in which people decide.
pub(super) fn following(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Event> {
    if deployment.is_return() {
        return vec![phase_entered(deployment, Phase::Backup, PhaseResult::Skipped)];
    }
    let Some(within) = within(state, deployment) else {
        return vec![phase_entered(deployment, Phase::Backup, PhaseResult::NotRequired)];
    };
    if let Some(why) = stale_base(state, deployment) {
        return vec![deployment_ended(deployment, Ending::Stopped, why)];
    }
    let standing = standing(state, deployment, now);
    if standing.met() {
        return vec![phase_entered(deployment, Phase::Backup, PhaseResult::Passed)];
    }
    if now.duration_since(deployment.phase_since) < within {
        return Vec::new();
    }
    let why = format!("not approved within {within:#}: {}", standing.missing.join("; "));
    vec![deployment_ended(deployment, Ending::Stopped, why)]
}

/// Owners and authors were read against what was live then; when that changed they say nothing.
fn stale_base(state: &State, deployment: &Deployment) -> Option<String> {
    let change = deployment.plan.change.as_ref()?;
    let live = live_commit(state);
    (change.base.as_deref() != live).then(|| {
        let named = change.base.as_deref().unwrap_or("nothing");
        let live = live.unwrap_or("nothing");
        format!("owners were read against {named}, and {live} is live: deploy it again")
    })
}

/// The hold that an approver asked for before the next step, where one is open.
pub(super) fn asked_hold(deployment: &Deployment, now: Timestamp) -> Option<Vec<Event>> {
    let vote = conditions(deployment).next()?;
    let share = vote.condition?;
    let hold = Hold {
        cause: HoldCause::Condition,
        why: format!("{} approved on the condition to look at {share}", vote.by),
        since: now,
        until: now.checked_add(CONFIRM_WITHIN).ok(),
        then: HoldEnd::Rollback,
    };
    Some(vec![Event::HoldBegan { deployment: deployment.id.clone(), hold }])
}

/// A plan that was refused is not put before people again as it was.
pub(super) fn refused_before(state: &State, deployment: &Deployment) -> Option<String> {
    let binding = deployment.binding.as_ref()?;
    let refused = state
        .reviews
        .iter()
        .rev()
        .find(|review| review.answered.is_none() && review.binding.as_ref() == Some(binding))?;
    Some(format!(
        "{} refused exactly this as {} ({}: {}), and nothing has changed since",
        refused.by,
        refused.deployment,
        refused.category.word(),
        refused.reason
    ))
}

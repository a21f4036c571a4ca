//! Holds: who stopped it, what ends that, and what happens at the deadline.
//! Must never end a person's hold for any other reason than a person, a danger or its deadline.

use jiff::{SignedDuration, Timestamp};

use super::{custom, deployment_ended, shifting, windows};
use crate::approval::gate::conditions;
use crate::event::{Ending, Event};
use crate::plan::HoldEnd;
use crate::state::{Deployment, Hold, HoldCause, Phase, State};
use crate::verdict::{Call, HoldReason};

/// A hold because the live side breaches too lasts so long and then calls a person: going back
/// would change nothing.
const ENVIRONMENT_HOLD: SignedDuration = SignedDuration::from_hours(2);

/// What follows in a hold. Before anything was changed its deadline ends the deployment; its own
/// reasons may end it earlier.
pub(super) fn held(
    state: &State,
    deployment: &Deployment,
    hold: &Hold,
    now: Timestamp,
) -> Vec<Event> {
    if hold.cause == HoldCause::Window && !deployment.phase.rollback_is_armed() {
        return windows::waiting(state, deployment, hold, now);
    }
    let overdue = hold.until.is_some_and(|until| now >= until);
    if overdue && !deployment.phase.rollback_is_armed() {
        let why = format!("held to its deadline: {}", hold.why);
        return vec![deployment_ended(deployment, Ending::Aborted, why)];
    }
    if let Some(events) = shifting::brake(state, deployment) {
        return events;
    }
    let over = match hold.cause {
        HoldCause::Person => None,
        HoldCause::Window => {
            windows::is_open(state, deployment, now).then_some("the window opened")
        }
        HoldCause::Lost => {
            (!custom::any_lost(deployment)).then_some("somebody said what became of the step")
        }
        HoldCause::Condition => {
            conditions(deployment).next().is_none().then_some("who asked for it has looked")
        }
        HoldCause::Verdict => {
            shifting::may_advance(state, deployment).is_ok().then_some("the judge says advance")
        }
        HoldCause::Unconfirmed => {
            let served = match deployment.phase {
                Phase::Finish => shifting::tables_confirmed(state, deployment),
                _ => shifting::converged(state, deployment),
            };
            served.then_some("what serves the users is what was set")
        }
    };
    if let Some(why) = over {
        return vec![Event::HoldEnded { deployment: deployment.id.clone(), why: why.to_owned() }];
    }
    // A hold that turns out to be the environment's, or no longer to be, gets the end of its kind.
    if hold.cause == HoldCause::Verdict && hold.then != terms(deployment).1 {
        let why = deployment.verdict.as_ref().map(|verdict| verdict.sentence.clone());
        let why = why.unwrap_or_else(|| hold.why.clone());
        return vec![hold_began(deployment, HoldCause::Verdict, why, now)];
    }
    // The clock of the step starts even while a person holds.
    shifting::convergence(state, deployment)
}

/// How long a hold of the judge or of the data plane lasts, and how it ends.
fn terms(deployment: &Deployment) -> (SignedDuration, HoldEnd) {
    let otherwise = deployment.plan.traffic.otherwise;
    let verdict = deployment.verdict.as_ref().map(|verdict| verdict.call);
    if verdict == Some(Call::Hold(HoldReason::Environment)) {
        (ENVIRONMENT_HOLD, HoldEnd::Page)
    } else if matches!(deployment.phase, Phase::Bake | Phase::Finish) {
        // At 100 % there is nothing safer to go back to than a verdict that says so.
        (otherwise.hold, HoldEnd::Page)
    } else {
        (otherwise.hold, otherwise.then)
    }
}

pub(super) fn hold_began(
    deployment: &Deployment,
    cause: HoldCause,
    why: String,
    now: Timestamp,
) -> Event {
    let (lasts, then) = terms(deployment);
    let until = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
    let hold = Hold { cause, why, since: now, until: Some(until), then };
    Event::HoldBegan { deployment: deployment.id.clone(), hold }
}

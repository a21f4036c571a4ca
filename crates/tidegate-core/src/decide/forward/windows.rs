//! The calendar: a deployment waits at the door while the window is closed or a freeze is on, and
//! one that is under way then goes on or holds, as its plan says.
//! Must never concern a way back, nor leave a half-shifted deployment without an end: what holds
//! past the door has a deadline after which it goes back.

use jiff::Timestamp;

use super::{deployment_ended, holding};
use crate::event::{Ending, Event};
use crate::plan::HoldEnd;
use crate::state::{Deployment, Hold, HoldCause, Phase, State};
use crate::window::{Door, door, holds_at_end};

fn look(state: &State, deployment: &Deployment, now: Timestamp) -> Door {
    if deployment.is_return() {
        return Door::Open { closes: None };
    }
    door(state, &deployment.plan, now)
}

pub(super) fn is_open(state: &State, deployment: &Deployment, now: Timestamp) -> bool {
    matches!(look(state, deployment, now), Door::Open { .. })
}

/// What follows before the door, unless it leads through it while it is closed. People are asked
/// before, so that a release which they agreed to begins by itself when the window opens; a copy is
/// made behind it, so that it is fresh.
pub(super) fn at_the_door(
    state: &State,
    deployment: &Deployment,
    following: Vec<Event>,
    now: Timestamp,
) -> Vec<Event> {
    let through = following
        .iter()
        .any(|event| matches!(event, Event::PhaseEntered { phase: Phase::Backup, .. }));
    if !through {
        return following;
    }
    match look(state, deployment, now) {
        Door::Open { .. } => following,
        Door::Closed { why, opens } => waits(deployment, why, opens, now),
    }
}

/// What follows while it waits at the door.
pub(super) fn waiting(
    state: &State,
    deployment: &Deployment,
    hold: &Hold,
    now: Timestamp,
) -> Vec<Event> {
    match look(state, deployment, now) {
        Door::Open { .. } => {
            let why = "the window opened".to_owned();
            vec![Event::HoldEnded { deployment: deployment.id.clone(), why }]
        }
        Door::Closed { why, opens } if hold.until != opens || hold.why != why => {
            waits(deployment, why, opens, now)
        }
        Door::Closed { .. } => Vec::new(),
    }
}

fn waits(
    deployment: &Deployment,
    why: String,
    opens: Option<Timestamp>,
    now: Timestamp,
) -> Vec<Event> {
    let Some(until) = opens else {
        let why = format!("{why}, and no time is in sight at which it may begin");
        return vec![deployment_ended(deployment, Ending::Stopped, why)];
    };
    let hold =
        Hold { cause: HoldCause::Window, why, since: now, until: Some(until), then: HoldEnd::Page };
    vec![Event::HoldBegan { deployment: deployment.id.clone(), hold }]
}

/// The hold of a deployment that is under way while the window is closed, where its plan wants one.
pub(super) fn overrun(state: &State, deployment: &Deployment, now: Timestamp) -> Option<Event> {
    if !holds_at_end(deployment) {
        return None;
    }
    match look(state, deployment, now) {
        Door::Open { .. } => None,
        Door::Closed { why, .. } => {
            let then = HoldEnd::Rollback;
            Some(match holding::hold_began(deployment, HoldCause::Window, why, now) {
                Event::HoldBegan { deployment, hold } => {
                    Event::HoldBegan { deployment, hold: Hold { then, ..hold } }
                }
                other => other,
            })
        }
    }
}

//! What follows from an input: the events, and nothing else. Every decision of the product is
//! made here or in the files below; the order of checks is the order of importance.
//! Must never read a clock: `now` is an argument.
//!
//! A decision has two halves. First the input itself is turned into events ([`command`],
//! [`observe`]). Then everything that follows from the new state at `now` is added until nothing
//! follows any more ([`forward`], [`back`]). Deadlines need no case of their own: they are
//! conditions of the second half.

mod approving;
mod back;
mod backups;
mod command;
mod custom;
mod duties;
mod forward;
mod gates;
mod incidents;
mod observe;
mod telling;

use jiff::Timestamp;

use crate::apply::apply;
use crate::check;
use crate::event::{Event, Recorded};
use crate::ids::Actor;
use crate::input::Input;
use crate::rejection::Rejection;
use crate::state::State;

/// More rounds than any real decision takes; past it the state machine runs in a circle, which is
/// a fault of ours and freezes the deployment.
const ROUNDS_MAX: usize = 256;

/// Decides what follows from an input at a time.
///
/// # Guarantees
/// The events are numbered from `state.seq + 1`, carry `now` and their actor, and folding them
/// gives a state in which [`crate::check`] finds nothing, or which is frozen with a fault.
/// # Idempotency
/// A command whose key is remembered gives no events.
///
/// # Errors
/// A [`Rejection`] when a command does not fit the state. Observations and elapsed time are never
/// rejected: what is stale is ignored.
pub fn decide(state: &State, input: &Input, now: Timestamp) -> Result<Vec<Recorded>, Rejection> {
    let mut draft = Draft::new(state, now);
    match input {
        Input::Command { actor, key, command } => {
            if key.as_ref().is_some_and(|key| state.keys.contains(key)) {
                return Ok(Vec::new());
            }
            draft.actor = actor.clone();
            draft.key.clone_from(key);
            command::decide(&mut draft, command)?;
        }
        Input::Observation(observation) => observe::decide(&mut draft, observation),
        Input::Elapsed => {}
    }
    draft.settle(state);
    draft.freeze_if_broken(state);
    draft.tell(state);
    Ok(draft.events)
}

/// A decision in the making: the events so far and the state they give.
struct Draft {
    state: State,
    now: Timestamp,
    actor: Actor,
    key: Option<String>,
    events: Vec<Recorded>,
}

impl Draft {
    fn new(state: &State, now: Timestamp) -> Self {
        Self { state: state.clone(), now, actor: Actor::Tidegate, key: None, events: Vec::new() }
    }

    fn emit(&mut self, event: Event) {
        let recorded = Recorded {
            seq: self.state.seq + 1,
            at: self.now,
            actor: self.actor.clone(),
            key: self.key.clone(),
            event,
        };
        apply(&mut self.state, &recorded);
        self.events.push(recorded);
    }

    /// Adds what follows until nothing follows any more. What follows from a person's command by
    /// itself is Tidegate's doing.
    fn settle(&mut self, before: &State) {
        let own_events = self.events.len();
        for _ in 0..ROUNDS_MAX {
            let following = forward::following(&self.state, self.now);
            if following.is_empty() {
                return;
            }
            self.actor = Actor::Tidegate;
            for event in following {
                self.emit(event);
            }
        }
        self.events.truncate(own_events);
        self.state = before.clone();
        for event in &self.events {
            apply(&mut self.state, event);
        }
        self.emit(Event::Faulted {
            code: "TG9001".to_owned(),
            what: "the state machine ran in a circle".to_owned(),
        });
    }

    /// What people hear of the decision comes after it: nothing of it depends on that.
    fn tell(&mut self, before: &State) {
        self.actor = Actor::Tidegate;
        incidents::following(self);
        telling::news(self, before);
        telling::later_pages(self);
        telling::retries(self);
    }

    /// A broken invariant replaces the whole decision by a fault: nothing of it takes effect.
    fn freeze_if_broken(&mut self, before: &State) {
        if self.state.fault.is_some() || self.events.is_empty() {
            return;
        }
        let known = check::check(before);
        let mut found = check::check(&self.state).into_iter();
        let Some(violation) = found.find(|violation| !known.contains(violation)) else {
            return;
        };
        let (now, actor) = (self.now, self.actor.clone());
        *self = Self::new(before, now);
        self.actor = actor;
        self.emit(Event::Faulted { code: violation.code.to_owned(), what: violation.what });
    }
}

//! One service's state machine under observation: every input is decided twice, folded, and the
//! result is held against what must always be true. Must never decide anything itself.

use jiff::{SignedDuration, Timestamp};
use tidegate_core::effect::Effect;
use tidegate_core::event::{Event, Recorded};
use tidegate_core::input::Input;
use tidegate_core::rejection::Rejection;
use tidegate_core::state::{HoldCause, Phase, Stage, State};
use tidegate_core::weight::Weight;
use tidegate_core::{apply, check, decide, next_deadline, outstanding, waiting_on};

/// A state, the events that made it, and a clock.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) state: State,
    pub(crate) log: Vec<Recorded>,
    pub(crate) now: Timestamp,
    /// What was found that must never be.
    pub(crate) complaints: Vec<String>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            state: State::default(),
            log: Vec::new(),
            now: "2026-01-05T09:00:00Z".parse().unwrap(),
            complaints: Vec::new(),
        }
    }

    /// Decides about an input and folds what follows.
    pub(crate) fn put(&mut self, input: &Input) -> Result<Vec<Recorded>, Rejection> {
        let decided = decide(&self.state, input, self.now);
        if decided != decide(&self.state, input, self.now) {
            self.complain("the same input was decided in two ways");
        }
        let events = decided?;
        let held = self.state.current.as_ref().and_then(|current| current.hold.as_ref());
        let held = held.is_some_and(|hold| hold.cause == HoldCause::Person);
        let passed = events.iter().any(|event| matches!(event.event, Event::StepPassed { .. }));
        if held && passed && !matches!(input, Input::Command { .. }) {
            self.complain("a step passed while a person held it");
        }
        for event in &events {
            if matches!(event.event, Event::Faulted { .. }) {
                self.complain(&format!("it froze itself: {:?}", event.event));
            }
            self.fold(event.clone());
            self.lands_on_its_feet(&event.event);
        }
        self.inspect();
        Ok(events)
    }

    /// Folds an event that nobody decided, as a journal would bring it.
    pub(crate) fn fold(&mut self, event: Recorded) {
        if event.seq != self.state.seq + 1 {
            self.complain(&format!("event {} follows {}", event.seq, self.state.seq));
        }
        apply(&mut self.state, &event);
        self.log.push(event);
    }

    /// Lets time pass, stopping at every deadline; `between` answers for the world.
    pub(crate) fn wait(
        &mut self,
        length: SignedDuration,
        mut between: impl FnMut(&mut Self) -> Vec<Recorded>,
    ) -> Vec<Recorded> {
        let target = self.now.checked_add(length).unwrap();
        let mut events = between(self);
        while let Some(deadline) = next_deadline(&self.state).filter(|d| d.at <= target) {
            self.now = self.now.max(deadline.at);
            let followed = self.elapse();
            if followed.is_empty() {
                self.complain(&format!("{} passed and nothing followed", deadline.what));
                break;
            }
            events.extend(followed);
            events.extend(between(self));
        }
        self.now = target;
        events.extend(self.elapse());
        events.extend(between(self));
        events
    }

    pub(crate) fn elapse(&mut self) -> Vec<Recorded> {
        self.put(&Input::Elapsed).unwrap_or_default()
    }

    /// The state that the journal gives, through its bytes.
    pub(crate) fn refold(&self) -> State {
        let mut state = State::default();
        for event in &self.log {
            let bytes = serde_json::to_vec(event).unwrap();
            apply(&mut state, &serde_json::from_slice(&bytes).unwrap());
        }
        state
    }

    /// What must be true after every decision.
    fn inspect(&mut self) {
        let mut found = Vec::new();
        if self.state.fault.is_none() {
            found.extend(check(&self.state).into_iter().map(|v| format!("{}: {}", v.code, v.what)));
        }
        match waiting_on(&self.state) {
            Some(waiting) if waiting.on.is_empty() || waiting.who.is_empty() => {
                found.push("it waits and does not say for what or whom".to_owned());
            }
            None if self.state.current.is_some() => {
                found.push("it is in flight and waits for nothing".to_owned());
            }
            _ => {}
        }
        let written = serde_json::to_vec(&self.state).map_err(|error| error.to_string());
        match written.map(|bytes| serde_json::from_slice::<State>(&bytes)) {
            Ok(Ok(read)) if read == self.state => {}
            read => found.push(format!("a snapshot gives another state: {read:?}")),
        }
        found.extend(self.unserved());
        found.extend(self.stuck());
        for what in found {
            self.complain(&what);
        }
    }

    /// The way back sends nobody to a slot in which nobody works.
    fn lands_on_its_feet(&mut self, event: &Event) {
        let traffic = Phase::Rollback { stage: Stage::Traffic };
        let Event::PhaseEntered { phase, .. } = event else {
            return;
        };
        let targets = self.state.current.iter().filter(|_| *phase == traffic);
        let targets: Vec<_> = targets.flat_map(|current| &current.targets).collect();
        let dead = targets.into_iter().find(|(part, target)| {
            let slot = self.state.parts.get(*part).and_then(|part| part.slots.get(&target.slot));
            slot.is_none_or(|slot| slot.observed.ready == 0)
        });
        if let Some((part, _)) = dead.map(|(part, target)| (part.clone(), target.clone())) {
            self.complain(&format!("{part} goes back to a slot in which nobody works"));
        }
    }

    /// Once a part was live, some slot that carries requests is kept at every moment.
    fn unserved(&self) -> Vec<String> {
        let live = self.state.parts.iter().filter(|(_, part)| part.live.is_some());
        live.filter_map(|(name, part)| {
            let split = part.table.as_ref()?.split.as_ref();
            let kept = split.is_some_and(|split| {
                split.shares().any(|(slot, weight)| {
                    let tenant = part.slots.get(slot).and_then(|slot| slot.want.as_ref());
                    weight > Weight::ZERO && tenant.is_some_and(|tenant| tenant.instances > 0)
                })
            });
            (!kept).then(|| format!("{name} was live and nobody serves its requests"))
        })
        .collect()
    }

    /// What is in flight has a deadline, asks somebody for something, or waits for a person who was
    /// called or is asked to decide.
    fn stuck(&self) -> Option<String> {
        let current = self.state.current.as_ref().filter(|_| self.state.fault.is_none())?;
        let person = matches!(current.phase, Phase::Approvals | Phase::NeedsPerson { .. });
        let paged = current.hold.as_ref().is_some_and(|hold| hold.until.is_none());
        let works = outstanding(&self.state).iter().any(|e| matches!(e, Effect::Run { .. }));
        let ends = person || paged || works || next_deadline(&self.state).is_some();
        (!ends).then(|| format!("{:?} has no deadline and asks nobody", current.phase))
    }

    fn complain(&mut self, what: &str) {
        self.complaints.push(what.to_owned());
    }
}

//! What a deployment would do: the core decides it from beginning to end in a world that answers
//! well, and everything that it would have brought about is written down.
//! Must never touch the world, and never promise: one bad answer, and another way is taken.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_core::effect::{Effect, outstanding};
use tidegate_core::event::{Ending, Event, Recorded};
use tidegate_core::ids::{Actor, DeploymentId};
use tidegate_core::input::{Command, Input, Observation};
use tidegate_core::plan::Plan;
use tidegate_core::state::{Phase, State};
use tidegate_core::verdict::{Call as Advice, Verdict};
use tidegate_core::weight::Weight;
use tidegate_core::{apply, decide, next_deadline};

use crate::kind;

/// Decisions and elapsed times of one deployment: some hundred are usual.
const TURNS_MAX: usize = 10_000;

/// The whole way.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    /// Everything that would be brought about, in order.
    pub calls: Vec<Call>,
    /// How user requests would move; neighbours have different shares.
    pub shares: Vec<Share>,
    /// When it would be over at the earliest.
    pub ends_at: Timestamp,
    /// How it would end.
    pub ending: Ending,
    /// Everything that a rollback in its last watch would bring about; empty without a way back.
    pub back: Vec<Call>,
}

/// One thing that would be brought about.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// When, at the earliest.
    pub at: Timestamp,
    /// In which phase; `None` once the deployment is over.
    pub phase: Option<Phase>,
    /// What.
    pub effect: Effect,
}

/// A time in which the candidate has a share of the requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The share.
    pub weight: Weight,
    /// From when, at the earliest.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

/// It would not come to an end, or not even begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// Plays a plan from a state on, at `now`. Evidence and people are taken as given: whether they are
/// is for the gates and the approvals to say.
///
/// # Errors
/// [`Refused`] with the reason why the core would not begin it, or when it does not end.
pub fn foresee(state: &State, plan: &Plan, now: Timestamp) -> Result<Foreseen, Refused> {
    let deployment = DeploymentId::new("d-foreseen").map_err(|error| Refused(error.to_string()))?;
    let mut plan = plan.clone();
    plan.approve = None;
    plan.required.approvals = false;
    plan.checklist.clear();
    let mut play = Play { state: agreed(state), now, calls: Vec::new(), events: Vec::new() };
    play.command(Command::Deploy {
        deployment: deployment.clone(),
        plan: Box::new(plan),
        supersede: false,
        despite_quarantine: true,
    })?;
    let mut back = Vec::new();
    for _ in 0..TURNS_MAX {
        play.settle()?;
        let Some(current) = &play.state.current else { break };
        if back.is_empty() && current.phase == Phase::Bake && !current.targets.is_empty() {
            back = play.clone().back(&deployment)?;
        }
        if !play.advise()? {
            play.wait()?;
        }
    }
    let Some(ended) = play.state.history.last().filter(|last| last.deployment == deployment) else {
        return Err(Refused(format!("it does not end within {TURNS_MAX} decisions")));
    };
    let (ends_at, ending) = (ended.ended_at, ended.ending);
    Ok(Foreseen { shares: play.shares(ends_at), calls: play.calls, ends_at, ending, back })
}

/// The state as it would be if everybody had agreed: no policy of an earlier release is in force.
fn agreed(state: &State) -> State {
    let mut state = state.clone();
    for ended in &mut state.history {
        if ended.plan.approve.is_some() || ended.plan.required.approvals {
            let plan = Arc::make_mut(&mut ended.plan);
            plan.approve = None;
            plan.required.approvals = false;
        }
    }
    state
}

/// The machine with what it did so far.
#[derive(Clone)]
struct Play {
    state: State,
    now: Timestamp,
    calls: Vec<Call>,
    events: Vec<Recorded>,
}

impl Play {
    fn command(&mut self, command: Command) -> Result<(), Refused> {
        let actor = Actor::Person("rehearsal".to_owned());
        let input = Input::Command { actor, key: None, command };
        self.take(&input).map_err(|rejection| Refused(rejection.to_string())).map(|_some| ())
    }

    /// One decision; whether anything followed.
    fn take(&mut self, input: &Input) -> Result<bool, tidegate_core::rejection::Rejection> {
        let events = decide(&self.state, input, self.now)?;
        let some = !events.is_empty();
        for recorded in events {
            apply(&mut self.state, &recorded);
            self.events.push(recorded);
        }
        Ok(some)
    }

    /// What the world says; what the core does not want to hear changes nothing.
    fn hear(&mut self, observation: Observation) -> bool {
        self.take(&Input::Observation(observation)).unwrap_or(false)
    }

    fn settle(&mut self) -> Result<(), Refused> {
        for _ in 0..TURNS_MAX {
            let phase = self.state.current.as_ref().map(|current| current.phase);
            let mut moved = false;
            for effect in outstanding(&self.state) {
                if self.hear(kind::answer(effect.clone())) {
                    moved = true;
                    self.calls.push(Call { at: self.now, phase, effect });
                }
            }
            if !moved {
                return Ok(());
            }
        }
        Err(Refused(format!("{TURNS_MAX} decisions at one moment: the plan runs in a circle")))
    }

    /// The judge's word for a step that has not had it.
    fn advise(&mut self) -> Result<bool, Refused> {
        let Some(current) = &self.state.current else { return Ok(false) };
        let heard = current.verdict.as_ref().is_some_and(|v| v.call == Advice::Advance);
        let Some(step) = current.judged_step().filter(|_| !heard) else { return Ok(false) };
        if current.converged_at.is_none() {
            return Ok(false);
        }
        let verdict = Verdict::plain(Advice::Advance, "as it should be", Vec::new());
        let deployment = current.id.clone();
        Ok(self.hear(Observation::Verdict { deployment, step, verdict }))
    }

    /// The next deadline elapses.
    fn wait(&mut self) -> Result<(), Refused> {
        let Some(deadline) = next_deadline(&self.state) else {
            let why = tidegate_core::waiting::sentence(&self.state, self.now);
            return Err(Refused(format!("it would wait without an end: {why}")));
        };
        self.now = self.now.max(deadline.at);
        self.take(&Input::Elapsed).map_err(|rejection| Refused(rejection.to_string()))?;
        Ok(())
    }

    /// What a rollback would bring about from here.
    fn back(mut self, deployment: &DeploymentId) -> Result<Vec<Call>, Refused> {
        self.calls.clear();
        let (deployment, reason) = (deployment.clone(), "rehearsal".to_owned());
        self.command(Command::Rollback { deployment, to: None, reason })?;
        for _ in 0..TURNS_MAX {
            self.settle()?;
            if self.state.current.is_none() {
                break;
            }
            self.wait()?;
        }
        Ok(self.calls)
    }

    fn shares(&self, ends_at: Timestamp) -> Vec<Share> {
        let mut shares: Vec<Share> = Vec::new();
        let Some(plan) = self.state.history.last().map(|ended| &ended.plan) else { return shares };
        let end = |shares: &mut Vec<Share>, at: Timestamp| {
            if let Some(last) = shares.last_mut() {
                last.to = at;
            }
        };
        for recorded in &self.events {
            let Event::PhaseEntered { phase, .. } = &recorded.event else { continue };
            let weight = match phase {
                Phase::Traffic { step } => usize::try_from(*step)
                    .ok()
                    .and_then(|step| plan.traffic.steps.get(step).copied()),
                Phase::Bake => Some(Weight::WHOLE),
                _ => {
                    end(&mut shares, recorded.at);
                    continue;
                }
            };
            let Some(weight) = weight else { continue };
            end(&mut shares, recorded.at);
            if shares.last().is_none_or(|last| last.weight != weight) {
                shares.push(Share { weight, from: recorded.at, to: ends_at });
            }
        }
        shares.retain(|share| share.from < share.to || share.weight == Weight::WHOLE);
        shares
    }
}

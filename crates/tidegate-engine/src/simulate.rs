//! A whole deployment on a virtual clock: the plan as it is, synthetic users, and one fault.
//! Must never decide anything itself: events come from the core, verdicts from the judge, and
//! only the world is made up.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tidegate_core::effect::outstanding;
use tidegate_core::event::{Ending, Event, Recorded};
use tidegate_core::ids::{Actor, DeploymentId, PartName, SlotName};
use tidegate_core::input::{Command, Input, Observation};
use tidegate_core::plan::{Plan, Required};
use tidegate_core::state::State;
use tidegate_core::verdict::Verdict;
use tidegate_core::weight::{WHOLE_BP, Weight};
use tidegate_core::{apply, decide, next_deadline};

use crate::hearing::{self, Hearing};
use crate::kind;
use crate::recording::{self, Entry, Header, Recording};

mod scenario;
mod users;

pub use scenario::{Fault, SCENARIOS, Scenario};
pub use users::Users;

/// Longest simulation, in seconds of its clock: two days.
const SECONDS_MAX: u64 = 2 * 24 * 3_600;
/// Decisions without a second passing: past it the plan runs in a circle.
const TURNS_MAX: usize = 1_000;
/// Seconds in which the live side is listened to before the deployment.
const LEARNT_S: u64 = 600;
/// Points of the picture at most; of more, every n-th is kept.
const POINTS_MAX: usize = 2_000;

/// Who, what and how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// What goes wrong.
    pub scenario: Scenario,
    /// What users do.
    pub users: Users,
    /// Same seed, same run.
    pub seed: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Every event of the deployment, in order.
    pub events: Vec<Recorded>,
    /// When it began.
    pub began_at: Timestamp,
    /// When the fault began to show: at the candidate's first traffic or later. `None` without.
    pub fault_at: Option<Timestamp>,
    /// When the way back was decided.
    pub decided_at: Option<Timestamp>,
    /// The end; `None` when it did not end in two days.
    pub ending: Option<(Ending, String, Timestamp)>,
    /// Requests that the candidate served.
    pub exposed: u64,
    /// Requests of the candidate that failed.
    pub failed: u64,
    /// The verdict of each second, thinned out.
    pub points: Vec<Point>,
    /// What each part's judge heard.
    pub recordings: Vec<Recording>,
}

/// One second for the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// The candidate's share that is in force, in basis points.
    pub share_bp: u16,
    /// The verdict.
    pub verdict: Verdict,
}

/// The simulation cannot begin or go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Stuck(String);

/// Deploys `plan` over a live release of the same plan. Nobody is asked and no report is weighed:
/// gates, approvals and backup count as given, because none of them is there on a virtual clock.
///
/// # Errors
/// [`Stuck`] when the core refuses the deployment or its events run in a circle.
pub fn simulate(plan: &Plan, setting: &Setting) -> Result<Course, Stuck> {
    let mut stage = Stage::new(setting);
    let mut plan = plan.clone();
    plan.required = Required::default();
    plan.approve = None;
    plan.gates.clear();
    plan.checklist.clear();
    let mut before = plan.clone();
    before.release.version = format!("before-{}", plan.release.version);
    before.bake.watch = SignedDuration::ZERO;
    stage.deploy("d-0", before)?;
    while stage.state.current.is_some() {
        stage.second(false)?;
    }
    if stage.state.history.is_empty() {
        return Err(Stuck("the first release did not get live".to_owned()));
    }
    stage.begin_record();
    stage.deploy("d-1", plan)?;
    while stage.state.current.is_some() && stage.seconds < SECONDS_MAX {
        stage.second(true)?;
    }
    Ok(stage.end())
}

/// The made-up world with its clock.
struct Stage<'s> {
    setting: &'s Setting,
    rng: StdRng,
    now: Timestamp,
    seconds: u64,
    state: State,
    hearings: BTreeMap<PartName, (Hearing, Recording)>,
    first_traffic: Option<Timestamp>,
    course: Course,
}

impl<'s> Stage<'s> {
    fn new(setting: &'s Setting) -> Self {
        // Any day will do, and the same day makes the same run.
        let now = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
        let course = Course {
            events: Vec::new(),
            began_at: now,
            fault_at: None,
            decided_at: None,
            ending: None,
            exposed: 0,
            failed: 0,
            points: Vec::new(),
            recordings: Vec::new(),
        };
        Self {
            setting,
            rng: StdRng::seed_from_u64(setting.seed),
            now,
            seconds: 0,
            state: State::default(),
            hearings: BTreeMap::new(),
            first_traffic: None,
            course,
        }
    }

    fn begin_record(&mut self) {
        self.course.events.clear();
        self.course.began_at = self.now;
        self.course.ending = None;
        self.seconds = 0;
    }

    fn deploy(&mut self, id: &str, plan: Plan) -> Result<(), Stuck> {
        let deployment = DeploymentId::new(id).map_err(|error| Stuck(error.to_string()))?;
        let command = Command::Deploy {
            deployment,
            plan: Box::new(plan),
            supersede: false,
            despite_quarantine: false,
        };
        self.take(&command_of(command))?;
        self.settle()
    }

    fn end(mut self) -> Course {
        let heard = std::mem::take(&mut self.hearings);
        self.course.recordings = heard.into_values().map(|(_, recording)| recording).collect();
        self.course
    }

    /// One decision. A refusal is the end of the simulation only for a command.
    fn take(&mut self, input: &Input) -> Result<bool, Stuck> {
        let events = match decide(&self.state, input, self.now) {
            Ok(events) => events,
            Err(refused) if matches!(input, Input::Command { .. }) => {
                return Err(Stuck(refused.to_string()));
            }
            Err(_refused) => return Ok(false),
        };
        let some = !events.is_empty();
        for recorded in events {
            apply(&mut self.state, &recorded);
            self.note(&recorded.event);
            self.course.events.push(recorded);
        }
        Ok(some)
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::RollbackBegan { .. } if self.course.decided_at.is_none() => {
                self.course.decided_at = Some(self.now);
            }
            Event::DeploymentEnded { ending, why, .. } => {
                self.course.ending = Some((*ending, why.clone(), self.now));
            }
            _ => {}
        }
    }

    /// Brings about everything that is outstanding, until nothing follows from it any more.
    fn settle(&mut self) -> Result<(), Stuck> {
        for _ in 0..TURNS_MAX {
            let mut moved = false;
            for effect in outstanding(&self.state) {
                moved |= self.take(&Input::Observation(kind::answer(effect)))?;
            }
            if !moved {
                return Ok(());
            }
        }
        Err(Stuck(format!("{TURNS_MAX} decisions in one second: the plan runs in a circle")))
    }

    /// One second passes: users come, the judge hears, deadlines elapse.
    fn second(&mut self, judged: bool) -> Result<(), Stuck> {
        self.seconds += 1;
        self.now = self.now.saturating_add(SignedDuration::from_secs(1)).unwrap_or(self.now);
        if judged && let Some(verdict) = self.judge()? {
            let current = self.state.current.as_ref();
            if let Some((id, step)) =
                current.and_then(|current| Some((current.id.clone(), current.judged_step()?)))
            {
                let observation = Observation::Verdict { deployment: id, step, verdict };
                self.take(&Input::Observation(observation))?;
            }
        } else if !judged {
            self.pass_unheard()?;
        }
        let due = next_deadline(&self.state).is_some_and(|deadline| deadline.at <= self.now);
        if due {
            self.take(&Input::Elapsed)?;
        }
        self.settle()
    }

    /// The release before needs no judge: it is as good as the story needs it to be.
    fn pass_unheard(&mut self) -> Result<(), Stuck> {
        let current = self.state.current.as_ref();
        let Some((deployment, step)) =
            current.and_then(|current| Some((current.id.clone(), current.judged_step()?)))
        else {
            return Ok(());
        };
        let call = tidegate_core::verdict::Call::Advance;
        let verdict = Verdict::plain(call, "simulated", Vec::new());
        self.take(&Input::Observation(Observation::Verdict { deployment, step, verdict }))?;
        Ok(())
    }

    /// Lets every part's judge hear this second.
    fn judge(&mut self) -> Result<Option<Verdict>, Stuck> {
        let Some(current) = self.state.current.clone() else { return Ok(None) };
        let Some(step) = current.judged_step().filter(|_| !current.is_return()) else {
            return Ok(None);
        };
        let index = usize::try_from(step).unwrap_or(usize::MAX);
        let share = current.plan.traffic.steps.get(index).copied().unwrap_or(Weight::WHOLE);
        let first = *self.first_traffic.get_or_insert(self.now);
        let fault_at = self.setting.scenario.begins(first);
        self.course.fault_at = fault_at;
        for part in &current.plan.parts {
            let live = current.targets.contains_key(&part.name);
            if !self.hearings.contains_key(&part.name) {
                let seat = self.seat(&current.plan, &current.id, &part.name, live)?;
                self.hearings.insert(part.name.clone(), seat);
            }
            let in_force = self.share_in_force(&part.name, current.candidates.get(&part.name));
            let serves = hearing::serves(&current.plan, &part.name);
            let at_ms = u64::try_from(self.now.as_millisecond()).unwrap_or_default();
            let fault_age = fault_at.map(|at| self.now.duration_since(at));
            let served = self.setting.users.second(
                &mut self.rng,
                &hearing::rules::limits_ms(&current.plan),
                (at_ms, in_force, serves),
                (live, &self.setting.scenario, fault_age),
            );
            let Some(seat) = self.hearings.get_mut(&part.name) else { continue };
            if let Some(converged) = current.converged_at {
                let at_ms = u64::try_from(converged.as_millisecond()).unwrap_or_default();
                if seat.0.step() != Some((step, at_ms)) {
                    tell(seat, Entry::Step { at_ms, step, share_bp: share.bp() })?;
                }
            }
            if let Some(candidate) = &served.candidate {
                self.course.exposed += candidate.requests;
                self.course.failed += candidate.failures;
            }
            tell(seat, Entry::Tick(served))?;
        }
        let heard = self.hearings.values().map(|(hearing, _)| (hearing, true));
        let verdict = hearing::combine(heard);
        if let Some(verdict) = &verdict {
            let part = current.plan.parts.first().map(|part| part.name.clone());
            let share_bp =
                part.map_or(0, |part| self.share_in_force(&part, current.candidates.get(&part)));
            self.course.points.push(Point { at: self.now, share_bp, verdict: verdict.clone() });
            if self.course.points.len() > POINTS_MAX * 2 {
                let mut index = 0_usize;
                self.course.points.retain(|_| {
                    index += 1;
                    index.is_multiple_of(2)
                });
            }
        }
        Ok(verdict)
    }

    /// A judge that has listened to the live side for ten minutes.
    fn seat(
        &mut self,
        plan: &Arc<Plan>,
        deployment: &DeploymentId,
        part: &PartName,
        live: bool,
    ) -> Result<(Hearing, Recording), Stuck> {
        let instances = plan.part(part).map_or(1, |part| part.instances.max(1));
        let header = Header {
            schema: recording::RECORDING_SCHEMA,
            judge: env!("CARGO_PKG_VERSION").to_owned(),
            deployment: deployment.clone(),
            part: part.clone(),
            began_at: self.now,
            instances: (instances, instances),
            plan: Arc::clone(plan),
        };
        let stuck = |error: recording::Unreadable| Stuck(error.to_string());
        let header_bytes = recording::encode_header(&header).map_err(stuck)?;
        let (entries, whole_bytes) = (Vec::new(), 0);
        let recording = Recording { header: header.clone(), header_bytes, entries, whole_bytes };
        let mut seat = (Hearing::new(header).map_err(stuck)?, recording);
        if live && hearing::serves(plan, part) {
            let now_ms = u64::try_from(self.now.as_millisecond()).unwrap_or_default();
            let limits_ms = hearing::rules::limits_ms(plan);
            for ago in (1..=LEARNT_S).rev() {
                let mut served = self.setting.users.second(
                    &mut self.rng,
                    &limits_ms,
                    (now_ms.saturating_sub(ago * 1_000), 0, true),
                    (true, &self.setting.scenario, None),
                );
                served.candidate = None;
                tell(&mut seat, Entry::Tick(served))?;
            }
        }
        Ok(seat)
    }

    fn share_in_force(&self, part: &PartName, candidate: Option<&SlotName>) -> u16 {
        let Some(candidate) = candidate else { return 0 };
        let known = self.state.parts.get(part);
        let split = known.and_then(|part| part.table.as_ref()?.split.as_ref());
        split.map_or(0, |split| split.share(candidate).bp()).min(WHOLE_BP)
    }
}

fn tell(seat: &mut (Hearing, Recording), entry: Entry) -> Result<(), Stuck> {
    let frame = recording::encode_entry(&entry).map_err(|error| Stuck(error.to_string()))?;
    seat.0.take(&entry, &frame);
    seat.1.entries.push((entry, frame));
    Ok(())
}

fn command_of(command: Command) -> Input {
    let actor = Actor::Person("simulation".to_owned());
    Input::Command { actor, key: None, command }
}

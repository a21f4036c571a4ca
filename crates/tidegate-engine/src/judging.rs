//! Turns statistics into verdicts: reads the data plane's ticks, the instances' load and the
//! probes' answers, feeds one judge a part, and tells the loop when the advice changes.
//! Must never make up a reading: what does not answer is missing, and missing is its own verdict.
//!
//! Everything is recorded before it is judged, so that a restart hears the recording and goes on
//! with the same evidence and the same windows.

mod bench;
mod gauges;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::effect::ProbeTarget;
use tidegate_core::ids::{DeploymentId, PartName, Scope, SlotName};
use tidegate_core::input::{Input, Observation};
use tidegate_core::plan::{Part, Plan};
use tidegate_core::state::{Phase, State};
use tidegate_core::weight::Weight;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::engine::Shared;
use crate::hearing::rules::limits_ms;
use crate::ports::{Place, Ports};
use crate::service::Message;

use bench::Bench;

/// How often the data plane is asked for new ticks: well within one of them.
const ROUND: Duration = Duration::from_millis(250);

/// What is being judged.
#[derive(Debug, Clone, PartialEq)]
struct Course {
    deployment: DeploymentId,
    plan: Arc<Plan>,
    step: u32,
    share: Weight,
    traffic_since: Timestamp,
    converged_at: Option<Timestamp>,
    /// Whether the live side's latencies were counted in the cells of this plan before it began.
    same_cells: bool,
    sides: BTreeMap<PartName, Sides>,
}

/// The two sides of one part.
#[derive(Debug, Clone, PartialEq)]
struct Sides {
    candidate: Side,
    live: Option<Side>,
}

/// One slot with what is needed to ask it.
#[derive(Debug, Clone, PartialEq)]
struct Side {
    place: Place,
    target: ProbeTarget,
    version: String,
    revision: String,
}

/// The judge's room of one service. It ends with the service's loop.
#[derive(Debug)]
pub(crate) struct Judging {
    scope: Scope,
    course: watch::Sender<Option<Course>>,
    _judging: JoinSet<()>,
}

impl Judging {
    pub(crate) fn new(
        scope: Scope,
        ports: Ports,
        mailbox: mpsc::Sender<Message>,
        shared: Arc<Shared>,
    ) -> Self {
        let (course, followed) = watch::channel(None);
        let mut judging = JoinSet::new();
        judging.spawn(sit(scope.clone(), ports, mailbox, shared, followed));
        Self { scope, course, _judging: judging }
    }

    /// Takes what is to be judged from the state.
    pub(crate) fn follow(&mut self, state: &State) {
        let course = course(&self.scope, state);
        self.course.send_if_modified(|known| {
            let differs = *known != course;
            if differs {
                *known = course;
            }
            differs
        });
    }
}

fn course(scope: &Scope, state: &State) -> Option<Course> {
    let deployment = state.current.as_ref()?;
    let step = deployment.judged_step()?;
    if deployment.is_return() {
        return None;
    }
    let side = |part: &Part, slot: &SlotName| {
        let slot_state = state.parts.get(&part.name)?.slots.get(slot)?;
        let tenant = slot_state.want.as_ref()?;
        Some(Side {
            place: Place { scope: scope.clone(), part: part.name.clone(), slot: slot.clone() },
            target: ProbeTarget {
                part: tenant.part.clone(),
                slot: slot.clone(),
                artifact: tenant.revision.artifact.clone(),
                endpoints: slot_state.observed.endpoints.clone(),
                instances: tenant.instances,
            },
            version: tenant.revision.version.clone(),
            revision: tenant.revision.label(),
        })
    };
    let sides = deployment.plan.parts.iter().filter_map(|part| {
        let candidate = side(part, deployment.candidates.get(&part.name)?)?;
        let live = deployment.targets.get(&part.name).and_then(|t| side(part, &t.slot));
        Some((part.name.clone(), Sides { candidate, live }))
    });
    let first_traffic = deployment.passed.iter().find(|r| matches!(r.phase, Phase::Traffic { .. }));
    let steps = &deployment.plan.traffic.steps;
    let index = usize::try_from(step).unwrap_or(usize::MAX);
    Some(Course {
        deployment: deployment.id.clone(),
        plan: Arc::clone(&deployment.plan),
        step,
        share: steps.get(index).copied().unwrap_or(Weight::WHOLE),
        traffic_since: first_traffic.map_or(deployment.phase_since, |record| record.since),
        converged_at: deployment.converged_at,
        same_cells: state
            .history
            .last()
            .is_some_and(|ended| limits_ms(&ended.plan) == limits_ms(&deployment.plan)),
        sides: sides.collect(),
    })
}

/// The judge's room: one round after another, for as long as the service's loop lives.
async fn sit(
    scope: Scope,
    ports: Ports,
    mailbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    mut followed: watch::Receiver<Option<Course>>,
) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bench: Option<Bench> = None;
    loop {
        tokio::select! {
            biased;
            changed = followed.changed() => if changed.is_err() { return },
            _ = rounds.tick() => {}
        }
        let Some(course) = followed.borrow_and_update().clone() else {
            if bench.take().is_some() {
                shared.show_live(None);
            }
            continue;
        };
        let same = bench.as_ref().is_some_and(|bench| bench.course.deployment == course.deployment);
        if !same {
            bench = Some(Bench::new(scope.clone(), ports.clone(), course.clone()).await);
        }
        let Some(bench) = bench.as_mut() else { continue };
        bench.turn_to(course);
        let Some(verdict) = bench.round().await else { continue };
        shared.show_live(Some(bench.live(&verdict)));
        let observation = Observation::Verdict {
            deployment: bench.course.deployment.clone(),
            step: bench.course.step,
            verdict,
        };
        let message = Message::told(Input::Observation(observation));
        if mailbox.send(message).await.is_err() {
            return;
        }
    }
}

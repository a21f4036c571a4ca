//! Turns statistics into verdicts: reads the data plane's ticks, the instances' load and the
//! probes' answers, feeds one judge a part, and tells the loop when the advice changes.
//! Must never make up a reading: what does not answer is missing, and missing is its own verdict.
//!
//! Nothing here is kept over a crash: the data plane remembers its ticks, so a new judge is fed
//! the ticks of the whole rollout and comes to the same windows.

mod rules;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::effect::ProbeTarget;
use tidegate_core::ids::{DeploymentId, PartName, Scope, SlotName};
use tidegate_core::input::{Input, Observation};
use tidegate_core::plan::{Part, PartKind, Plan};
use tidegate_core::state::{Phase, State};
use tidegate_core::verdict::{Call, HoldReason, Verdict};
use tidegate_core::weight::{WHOLE_BP, Weight};
use tidegate_judge::histogram::{Cells, Histogram};
use tidegate_judge::judge::Judge;
use tidegate_judge::tick::{Arm, Tick};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::engine::{Live, Shared};
use crate::ports::{Asked, Place, Ports, SlotTick, TrafficTick, Usage};
use crate::service::Message;

/// How often the data plane is asked for new ticks: well within one of them.
const ROUND: Duration = Duration::from_millis(250);
/// One question to the world.
const QUESTION: Duration = Duration::from_secs(2);
/// Silence of the data plane after which a tick counts as missing.
const SILENCE_MS: i64 = 2_500;
/// Load readings older than this are not paired with a tick.
const LOAD_AGE_MS: i64 = 5_000;

/// What is being judged.
#[derive(Debug, Clone, PartialEq)]
struct Course {
    deployment: DeploymentId,
    plan: Arc<Plan>,
    step: u32,
    share: Weight,
    traffic_since: Timestamp,
    converged_at: Option<Timestamp>,
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
            bench = Some(Bench::new(scope.clone(), ports.clone(), course.clone()));
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

/// All judges of one deployment.
#[derive(Debug)]
struct Bench {
    scope: Scope,
    ports: Ports,
    course: Course,
    parts: BTreeMap<PartName, PartBench>,
}

/// The judge of one part, with what it has seen.
#[derive(Debug)]
struct PartBench {
    judge: Option<Judge>,
    cells: Cells,
    last_tick: u64,
    last_heard_ms: i64,
    begun: Option<(u32, Timestamp)>,
    loads: VecDeque<Load>,
    verdict: Option<Verdict>,
    step_requests: BTreeMap<SlotName, u64>,
    exposed: u64,
}

/// One reading of both sides' load and health.
#[derive(Debug, Clone, Copy)]
struct Load {
    at_ms: i64,
    candidate: SideLoad,
    live: SideLoad,
    /// Probe answers count once: for the first tick that they are paired with.
    fresh: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct SideLoad {
    usage: Usage,
    asked: Asked,
}

/// Load readings kept for pairing with ticks.
const LOADS_MAX: usize = 16;

impl Bench {
    fn new(scope: Scope, ports: Ports, course: Course) -> Self {
        let now_ms = ports.clock.now().as_millisecond();
        let parts = course.plan.parts.iter().map(|part| {
            let cells = Cells::new(&rules::limits_ms(&course.plan));
            let policy = rules::policy(&course.plan, part);
            let judge = Judge::new(policy, cells.clone())
                .inspect_err(|error| tracing::error!(%error, part = %part.name, "these rules cannot be judged"))
                .ok();
            let bench = PartBench {
                judge,
                cells,
                last_tick: 0,
                last_heard_ms: now_ms,
                begun: None,
                loads: VecDeque::new(),
                verdict: None,
                step_requests: BTreeMap::new(),
                exposed: 0,
            };
            (part.name.clone(), bench)
        });
        let parts = parts.collect();
        Self { scope, ports, course, parts }
    }

    fn turn_to(&mut self, course: Course) {
        self.course = course;
    }

    /// One round: reads what is new and gives the verdict over all parts.
    async fn round(&mut self) -> Option<Verdict> {
        let names: Vec<PartName> = self.parts.keys().cloned().collect();
        for name in names {
            let Some(sides) = self.course.sides.get(&name).cloned() else { continue };
            let load = self.load(&sides).await;
            let ticks = self.ticks(&name, &sides).await;
            let now_ms = self.ports.clock.now().as_millisecond();
            let course = &self.course;
            let Some(part) = self.parts.get_mut(&name) else { continue };
            part.begin_step(course);
            part.take_load(load);
            for tick in &ticks {
                part.hear(course, &sides, tick);
            }
            part.mind_silence(course, &sides, now_ms);
        }
        let verdicts: Option<Vec<(&PartName, &Verdict)>> =
            self.parts.iter().map(|(name, part)| Some((name, part.verdict.as_ref()?))).collect();
        verdicts.map(|verdicts| combine(&verdicts))
    }

    async fn load(&self, sides: &Sides) -> Load {
        let (candidate, live) = tokio::join!(self.side_load(&sides.candidate), async {
            match &sides.live {
                Some(live) => self.side_load(live).await,
                None => SideLoad::default(),
            }
        });
        Load { at_ms: self.ports.clock.now().as_millisecond(), candidate, live, fresh: true }
    }

    async fn side_load(&self, side: &Side) -> SideLoad {
        let usage = async {
            let question = self.ports.runtime.usage(&side.place);
            match tokio::time::timeout(QUESTION, question).await {
                Ok(Ok(usage)) => usage,
                _ => Usage::default(),
            }
        };
        let asked = async {
            let probes = u64::try_from(side.target.part.probes.len()).unwrap_or(u64::MAX);
            let all = probes.saturating_mul(u64::from(side.target.instances));
            match tokio::time::timeout(QUESTION, self.ports.checks.ask(&side.target)).await {
                Ok(asked) => asked,
                // Nobody answered in time: each question counts as failed.
                Err(_elapsed) => Asked { asked: all, failed: all },
            }
        };
        let (usage, asked) = tokio::join!(usage, asked);
        SideLoad { usage, asked }
    }

    async fn ticks(&self, name: &PartName, sides: &Sides) -> Vec<TrafficTick> {
        let Some(part) = self.parts.get(name) else { return Vec::new() };
        if sides.candidate.target.part.kind == PartKind::Worker {
            return part.own_tick(&self.ports, sides);
        }
        let question = self.ports.traffic.ticks(&self.scope, name, part.last_tick);
        match tokio::time::timeout(QUESTION, question).await {
            Ok(Ok(ticks)) => ticks,
            Ok(Err(failure)) => {
                tracing::debug!(scope = %self.scope, part = %name, %failure, "no statistics");
                Vec::new()
            }
            Err(_elapsed) => Vec::new(),
        }
    }

    fn live(&self, verdict: &Verdict) -> Live {
        let observed = self.parts.iter().map(|(name, part)| {
            let total: u64 = part.step_requests.values().sum();
            let share = |count: &u64| ratio(*count, total);
            let shares = part.step_requests.iter().map(|(slot, n)| (slot.clone(), share(n)));
            (name.clone(), shares.collect())
        });
        Live {
            at: self.ports.clock.now(),
            verdict: verdict.clone(),
            observed: observed.collect(),
            exposed: self.parts.values().map(|part| part.exposed).sum(),
        }
    }
}

impl PartBench {
    fn take_load(&mut self, load: Load) {
        self.loads.push_back(load);
        if self.loads.len() > LOADS_MAX {
            self.loads.pop_front();
        }
    }

    /// A worker serves no requests: its ticks are made of load and probes alone, one a second.
    fn own_tick(&self, ports: &Ports, sides: &Sides) -> Vec<TrafficTick> {
        let now_ms = ports.clock.now().as_millisecond();
        if now_ms < self.last_heard_ms.saturating_add(1_000) {
            return Vec::new();
        }
        let slots = [Some(&sides.candidate), sides.live.as_ref()];
        let silent = slots.into_iter().flatten();
        vec![TrafficTick {
            number: self.last_tick + 1,
            at_ms: u64::try_from(now_ms).unwrap_or_default(),
            length_ms: 1_000,
            generation: 0,
            slots: silent.map(|side| (side.place.slot.clone(), SlotTick::default())).collect(),
        }]
    }

    fn hear(&mut self, course: &Course, sides: &Sides, tick: &TrafficTick) {
        if tick.number <= self.last_tick {
            return;
        }
        self.last_tick = tick.number;
        self.last_heard_ms = i64::try_from(tick.at_ms).unwrap_or(i64::MAX);
        let since = course.traffic_since.as_millisecond();
        if self.last_heard_ms.saturating_sub(i64::try_from(tick.length_ms).unwrap_or(0)) < since {
            return;
        }
        let candidate = &sides.candidate.place.slot;
        let served = tick.slots.get(candidate).map_or(0, |slot| slot.requests);
        self.exposed = self.exposed.saturating_add(served);
        if self.counts_for_the_step(course, tick) {
            for (slot, counts) in &tick.slots {
                let requests = self.step_requests.entry(slot.clone()).or_default();
                *requests = requests.saturating_add(counts.requests);
            }
        }
        let load = self.load_for(self.last_heard_ms);
        let arm = |side: &Side, load: SideLoad| {
            let silent = SlotTick::default();
            let counts = tick.slots.get(&side.place.slot).unwrap_or(&silent);
            Some(arm(&self.cells, counts, load))
        };
        let judged = Tick {
            at_ms: tick.at_ms,
            length_ms: tick.length_ms,
            candidate: arm(&sides.candidate, load.candidate),
            live: sides.live.as_ref().and_then(|live| arm(live, load.live)),
        };
        self.judge(course, sides, &judged);
    }

    fn counts_for_the_step(&self, course: &Course, tick: &TrafficTick) -> bool {
        let from_ms = tick.at_ms.saturating_sub(tick.length_ms);
        course.converged_at.is_some_and(|converged| {
            i64::try_from(from_ms).unwrap_or(i64::MAX) >= converged.as_millisecond()
        })
    }

    /// The reading that belongs to a tick; the probes in it count once.
    fn load_for(&mut self, at_ms: i64) -> Load {
        let nearest = self
            .loads
            .iter_mut()
            .filter(|load| (load.at_ms - at_ms).abs() <= LOAD_AGE_MS)
            .min_by_key(|load| (load.at_ms - at_ms).abs());
        let missing = SideLoad::default();
        let Some(nearest) = nearest else {
            return Load { at_ms, candidate: missing, live: missing, fresh: false };
        };
        let mut load = *nearest;
        if !nearest.fresh {
            load.candidate.asked = Asked::default();
            load.live.asked = Asked::default();
        }
        nearest.fresh = false;
        load
    }

    fn begin_step(&mut self, course: &Course) {
        let Some(converged) = course.converged_at else { return };
        if self.begun == Some((course.step, converged)) {
            return;
        }
        self.begun = Some((course.step, converged));
        self.step_requests.clear();
        // What was said of the step before is not about this one.
        self.verdict = None;
        let at_ms = u64::try_from(converged.as_millisecond()).unwrap_or_default();
        if let Some(judge) = &mut self.judge {
            judge.step_began(at_ms, course.share.bp());
        }
    }

    /// Nothing heard for too long is a tick in which nothing was heard.
    fn mind_silence(&mut self, course: &Course, sides: &Sides, now_ms: i64) {
        if now_ms.saturating_sub(self.last_heard_ms) < SILENCE_MS {
            return;
        }
        self.last_heard_ms = now_ms.saturating_sub(SILENCE_MS).saturating_add(1_000);
        let at_ms = u64::try_from(now_ms).unwrap_or_default();
        let silent = Tick { at_ms, length_ms: 1_000, candidate: None, live: None };
        self.judge(course, sides, &silent);
    }

    fn judge(&mut self, course: &Course, sides: &Sides, tick: &Tick) {
        let Some(judge) = &mut self.judge else {
            self.verdict = Some(rules::unjudgeable());
            return;
        };
        let mut verdict = rules::translate(&judge.tick(tick));
        if let Some(doubt) = self.doubtful_share(course, sides)
            && verdict.call == Call::Advance
        {
            verdict.call = Call::Hold(HoldReason::Telemetry);
            verdict.sentence = doubt;
        }
        self.verdict = Some(verdict);
    }

    /// A share far from the one that was set: the numbers are not about what we think they are.
    fn doubtful_share(&self, course: &Course, sides: &Sides) -> Option<String> {
        /// Standard deviations: sticky users make a share rougher than coin throws.
        const DEVIATIONS: f64 = 6.0;
        /// Slack that is always allowed, absolute.
        const SLACK: f64 = 0.02;
        sides.live.as_ref()?;
        let begun = course.converged_at.is_some_and(|at| self.begun == Some((course.step, at)));
        if !begun {
            return None;
        }
        let set = f64::from(course.share.bp()) / f64::from(WHOLE_BP);
        let total: u64 = self.step_requests.values().sum();
        let candidate = self.step_requests.get(&sides.candidate.place.slot).copied().unwrap_or(0);
        if total == 0 {
            return None;
        }
        let seen = ratio(candidate, total);
        let spread = (set * (1.0 - set) / as_f64(total)).sqrt();
        ((seen - set).abs() > DEVIATIONS * spread + SLACK).then(|| {
            format!(
                "{:.1} % of {total} requests reached the candidate, but {} is set",
                seen * 100.0,
                course.share
            )
        })
    }
}

fn arm(cells: &Cells, counts: &SlotTick, load: SideLoad) -> Arm {
    let mut cell_counts = vec![0_u32; cells.len()];
    for (cell, count) in &counts.latency {
        if let Some(entry) = cell_counts.get_mut(usize::from(*cell)) {
            *entry = entry.saturating_add(*count);
        }
    }
    Arm {
        requests: counts.requests,
        failures: counts.failures,
        latency: Histogram::from_counts(cell_counts),
        cpu: load.usage.cpu_percent,
        memory: load.usage.memory_percent,
        probes: load.asked.asked,
        probes_failed: load.asked.failed,
        ..Arm::default()
    }
}

/// The worst call of all parts, with the worst reading of each metric.
fn combine(verdicts: &[(&PartName, &Verdict)]) -> Verdict {
    let rank = |call: Call| match call {
        Call::Advance => 0,
        Call::Hold(_) => 1,
        Call::Brake => 2,
        Call::Rollback => 3,
    };
    let worst = verdicts.iter().max_by_key(|(_, verdict)| rank(verdict.call));
    let Some((name, worst)) = worst else { return rules::unjudgeable() };
    let mut combined = (*worst).clone();
    if verdicts.len() > 1 {
        combined.sentence = format!("{name}: {}", worst.sentence);
    }
    for (_, verdict) in verdicts {
        for reading in &verdict.readings {
            match combined.readings.iter_mut().find(|known| known.metric == reading.metric) {
                Some(known) if rules::severity(reading.zone) > rules::severity(known.zone) => {
                    *known = reading.clone();
                }
                Some(_) => {}
                None => combined.readings.push(reading.clone()),
            }
        }
    }
    combined.readings.sort_by_key(|reading| reading.metric);
    combined
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { as_f64(part) / as_f64(whole) }
}

/// Exact below 2^53, which no counter of one rollout reaches.
#[expect(clippy::cast_precision_loss, reason = "counts of one rollout stay far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

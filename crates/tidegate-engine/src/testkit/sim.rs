//! The seeded simulation: the real engine in an unkind world, on a virtual clock, with crashes at
//! every boundary. First anything may fail (safety), then the faults stop and everything must
//! come to an end (liveness). A seed and a commit replay a run exactly.
//! Must never use real time, real randomness or real I/O.
//!
//! Run it inside a current-thread runtime whose time is paused.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tidegate_core::check;
use tidegate_core::event::{Ending, Event, Recorded};
use tidegate_core::ids::{Actor, DeploymentId, Scope};
use tidegate_core::input::Command;
use tidegate_core::plan::Plan;
use tidegate_core::state::{Phase, State};
use tidegate_core::waiting::sentence;
use tokio::time::Instant;

use super::memory_journal::MemoryJournal;
use super::sample;
use super::world::{Behaviour, Unkindness, World};
use crate::engine::Engine;
use crate::ports::{DeploymentRow, Journal, JournalError, Placed, Snapshot, Verified};

/// Virtual time in which faults may happen.
const UNKIND: Duration = Duration::from_secs(20 * 60);
/// Virtual time in which everything must end once the faults have stopped.
const KIND: Duration = Duration::from_secs(4 * 3600);
/// How often the operator looks.
const LOOK: Duration = Duration::from_secs(2);

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Faults, operators and crashes by chance.
    pub unkind: bool,
    /// Kill the engine at this boundary, counted from the start.
    pub crash_at: Option<u64>,
    /// How the second release behaves.
    pub second: Behaviour,
}

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What must not happen and did.
    pub violations: Vec<String>,
    /// How each deployment ended, in order.
    pub endings: Vec<(String, Ending)>,
    /// What users meet at the end: revision and basis points.
    pub met: Vec<String>,
    /// Boundaries passed.
    pub boundaries: u64,
    /// How often the engine was killed.
    pub crashes: u32,
    /// One aligned line an event.
    pub log: Vec<String>,
}

/// Runs one seed to its end.
pub async fn run(options: Options) -> Report {
    let mut sim = Sim::new(options);
    sim.play().await;
    sim.report().await
}

struct Sim {
    options: Options,
    world: World,
    store: MemoryJournal,
    scope: Scope,
    violations: Vec<String>,
    crashes: u32,
    next_id: u32,
}

impl Sim {
    fn new(options: Options) -> Self {
        let epoch_base = Timestamp::from_second(1_800_000_000).unwrap_or_default();
        let world = World::new(options.seed, epoch_base);
        world.behave("v2", options.second);
        if let Some(boundary) = options.crash_at {
            world.crash_at(boundary);
        }
        Self {
            options,
            world,
            store: MemoryJournal::default(),
            scope: sample::scope(),
            violations: Vec::new(),
            crashes: 0,
            next_id: 0,
        }
    }

    async fn start(&self) -> Engine {
        loop {
            // What was killed holds nothing: its lock went with its process.
            self.store.expire_lease();
            let journal = SimJournal { inner: self.store.reopened(), world: self.world.clone() };
            let ports = self.world.ports(Arc::new(journal));
            // A killed start is a start that never came back: the next one takes over.
            let crash = self.world.crash();
            tokio::select! {
                biased;
                started = Engine::start(ports, "sim") => if let Ok(engine) = started {
                    return engine;
                },
                () = crash.struck.notified() => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn play(&mut self) {
        let mut engine = self.start().await;
        for version in ["v1", "v2"] {
            let id = self.id();
            let plan = sample::plan(version);
            self.insist(&mut engine, id, plan).await;
            self.wait_for_end(&mut engine).await;
        }
        // Time for what is brought about after the end: a slot that stops, a table that is read.
        for _ in 0..30 {
            self.look(&mut engine).await;
        }
        self.check_end(&engine);
        engine.crash().await;
    }

    fn id(&mut self) -> DeploymentId {
        self.next_id += 1;
        sample::deployment(self.next_id)
    }

    /// Gives the command until it is known to have taken effect: the key makes that one effect.
    async fn insist(&mut self, engine: &mut Engine, deployment: DeploymentId, plan: Plan) {
        let key = format!("deploy-{deployment}");
        for _ in 0..200 {
            let command = Command::Deploy {
                deployment: deployment.clone(),
                plan: Box::new(plan.clone()),
                supersede: false,
                despite_quarantine: false,
            };
            let actor = Actor::Person("mira".to_owned());
            let handle = engine.clone();
            let crash = self.world.crash();
            let given = tokio::select! {
                biased;
                given = handle.command(&self.scope, actor, Some(key.clone()), command) => Some(given),
                () = crash.struck.notified() => None,
                () = tokio::time::sleep(Duration::from_secs(30)) => None,
            };
            match given {
                Some(Ok(_)) => return,
                Some(Err(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
                None => self.restart(engine).await,
            }
        }
        self.violations.push(format!("{deployment} could not be started"));
    }

    async fn restart(&mut self, engine: &mut Engine) {
        self.crashes += 1;
        self.world.note("the engine is killed");
        engine.crash().await;
        *engine = self.start().await;
    }

    async fn wait_for_end(&mut self, engine: &mut Engine) {
        let began = Instant::now();
        let mut kind = !self.options.unkind;
        if self.options.unkind {
            self.world.be(self.draw_unkindness());
        }
        loop {
            self.look(engine).await;
            let Some(state) = engine.state(&self.scope) else { continue };
            if state.current.is_none() && state.queued.is_none() {
                break;
            }
            if !kind && began.elapsed() >= UNKIND {
                kind = true;
                self.world.be(Unkindness::default());
                self.world.note("the faults stop");
            }
            if kind {
                self.answer(engine, &state).await;
            } else {
                self.meddle(engine, &state).await;
            }
            if began.elapsed() >= UNKIND + KIND {
                let now = sample::now(&self.world);
                let line = format!("it did not end: {}", sentence(&state, now));
                self.violations.push(line);
                break;
            }
        }
        self.world.be(Unkindness::default());
    }

    /// Waits a moment, or for the crash.
    async fn look(&mut self, engine: &mut Engine) {
        let crash = self.world.crash();
        let struck = tokio::select! {
            biased;
            () = crash.struck.notified() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        if struck || (self.options.unkind && self.world.draw(400) == 0) {
            self.restart(engine).await;
        }
        if let Some(state) = engine.state(&self.scope) {
            self.violations.extend(check(&state).into_iter().map(|v| v.what));
        }
        self.violations.extend(self.world.violations());
    }

    fn draw_unkindness(&self) -> Unkindness {
        let rate = |most| u32::try_from(self.world.draw(most)).unwrap_or(0);
        Unkindness {
            slow: rate(80),
            hang: rate(10),
            lost_reply: rate(80),
            refuse: rate(80),
            stale: rate(80),
        }
    }

    /// A person who answers what only a person can: a hold that pages, a way back that is stuck.
    async fn answer(&mut self, engine: &mut Engine, state: &State) {
        let Some(current) = &state.current else { return };
        let stuck = matches!(current.phase, Phase::NeedsPerson { .. });
        let paged = current.hold.as_ref().is_some_and(|hold| hold.until.is_none());
        if stuck || paged || state.fault.is_some() {
            let deployment = self.id();
            let command =
                Command::Rollback { deployment, to: None, reason: "the pager rang".to_owned() };
            self.give(engine, command).await;
        }
    }

    /// People and processes that do what they please.
    async fn meddle(&mut self, engine: &mut Engine, state: &State) {
        let Some(current) = &state.current else { return };
        let deployment = current.id.clone();
        let reason = "by chance".to_owned();
        let command = match self.world.draw(120) {
            0 => Command::Hold { deployment, reason, lasts: Some(SignedDuration::from_mins(2)) },
            1 | 2 => Command::Resume { deployment },
            3 => Command::Abort { deployment, reason },
            4 => Command::Rollback { deployment: self.id(), to: None, reason },
            5 | 6 => Command::Advance { deployment, step: current.judged_step().unwrap_or(0) },
            7 => {
                let id = self.id();
                let plan = Box::new(sample::plan(&format!("v{}", 10 + self.next_id)));
                Command::Deploy { deployment: id, plan, supersede: true, despite_quarantine: false }
            }
            8 => {
                self.world.note("an instance is killed");
                for (part, slot) in &current.candidates {
                    self.world.kill_instances(part, slot);
                }
                return;
            }
            9 => {
                self.world.note("emergency at the data plane");
                let part = current.candidates.keys().next().cloned();
                if let Some(part) = part {
                    self.world.emergency(&part);
                }
                return;
            }
            _ => return,
        };
        self.give(engine, command).await;
    }

    async fn give(&mut self, engine: &mut Engine, command: Command) {
        let actor = Actor::Person("mira".to_owned());
        let handle = engine.clone();
        let crash = self.world.crash();
        tokio::select! {
            biased;
            // A refusal is an answer like any other.
            _ = handle.command(&self.scope, actor, None, command) => {}
            () = crash.struck.notified() => self.restart(engine).await,
            () = tokio::time::sleep(Duration::from_secs(30)) => {}
        }
    }

    fn check_end(&mut self, engine: &Engine) {
        let Some(state) = engine.state(&self.scope) else {
            self.violations.push("the state is gone".to_owned());
            return;
        };
        if !self.world.obeys() {
            self.violations.push("the data plane serves something of its own".to_owned());
        }
        for (name, part) in state.parts.iter().filter(|(_, part)| part.table.is_some()) {
            let live = part.live.as_ref().and_then(|slot| part.slots.get(slot));
            let Some(tenant) = live.and_then(|slot| slot.want.as_ref()) else { continue };
            let met = self.world.met();
            let whole =
                met.get(name).is_some_and(|m| m.get(&tenant.revision.label()) == Some(&10_000));
            if !whole {
                let line =
                    format!("{name}: {} is live, users meet {met:?}", tenant.revision.label());
                self.violations.push(line);
            }
        }
    }

    async fn report(self) -> Report {
        let events = self.events().await;
        let endings = events.iter().filter_map(|recorded| match &recorded.event {
            Event::DeploymentEnded { deployment, ending, .. } => {
                Some((deployment.to_string(), *ending))
            }
            _ => None,
        });
        let met = self.world.met();
        let mut violations = self.violations;
        let mut state = State::default();
        for recorded in &events {
            if recorded.seq != state.seq + 1 {
                violations.push(format!("the journal has a gap at {}", recorded.seq));
            }
            tidegate_core::apply(&mut state, recorded);
        }
        violations.sort();
        violations.dedup();
        let base = events.first().map_or(Timestamp::UNIX_EPOCH, |first| first.at);
        let mut log: Vec<String> = events.iter().map(|r| line(r, base)).collect();
        log.extend(self.world.log());
        log.sort();
        Report {
            violations,
            endings: endings.collect(),
            met: met.into_iter().map(|(part, shares)| format!("{part} {shares:?}")).collect(),
            boundaries: self.world.boundaries(),
            crashes: self.crashes,
            log,
        }
    }

    async fn events(&self) -> Vec<Recorded> {
        self.store.read(&self.scope, 0, u32::MAX).await.unwrap_or_default()
    }
}

fn line(recorded: &Recorded, base: Timestamp) -> String {
    let at = recorded.at.duration_since(base).as_secs_f64();
    let detail = serde_json::to_string(&recorded.event).unwrap_or_default();
    let short: String = detail.chars().take(220).collect();
    format!("{at:>9.3}s  {:>6}  {short}", recorded.seq)
}

/// The memory journal behind boundaries, so that an engine can die on either side of an append.
#[derive(Debug, Clone)]
struct SimJournal {
    inner: MemoryJournal,
    world: World,
}

#[async_trait]
impl Journal for SimJournal {
    async fn acquire(&self, holder: &str, now: Timestamp) -> Result<u64, JournalError> {
        self.inner.acquire(holder, now).await
    }

    async fn append(
        &self,
        scope: &Scope,
        expected: u64,
        epoch: u64,
        events: &[Recorded],
    ) -> Result<(), JournalError> {
        self.world.boundary().await;
        let appended = self.inner.append(scope, expected, epoch, events).await;
        self.world.boundary().await;
        appended
    }

    async fn read(
        &self,
        scope: &Scope,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, JournalError> {
        self.inner.read(scope, after, limit).await
    }

    async fn streams(&self) -> Result<Vec<(Scope, u64)>, JournalError> {
        self.inner.streams().await
    }

    async fn put_snapshot(&self, scope: &Scope, snapshot: &Snapshot) -> Result<(), JournalError> {
        self.world.boundary().await;
        self.inner.put_snapshot(scope, snapshot).await
    }

    async fn snapshot(&self, scope: &Scope) -> Result<Option<Snapshot>, JournalError> {
        self.inner.snapshot(scope).await
    }

    async fn deployments(
        &self,
        scope: Option<&Scope>,
        before: Option<&DeploymentId>,
        limit: u32,
    ) -> Result<Vec<DeploymentRow>, JournalError> {
        self.inner.deployments(scope, before, limit).await
    }

    async fn recent(
        &self,
        scope: Option<&Scope>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Placed>, JournalError> {
        self.inner.recent(scope, before, limit).await
    }

    async fn find(&self, id: &DeploymentId) -> Result<Option<DeploymentRow>, JournalError> {
        self.inner.find(id).await
    }

    async fn verify(&self) -> Result<Verified, JournalError> {
        self.inner.verify().await
    }
}

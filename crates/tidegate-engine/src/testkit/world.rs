//! A world that is no kinder than the real one: it lags, hangs, loses replies after having acted,
//! restarts its data plane and kills instances. It also watches: whatever would have hurt a user
//! is a violation. Must never be more obedient than a driver's contract demands.

mod answers;
mod slots;
mod tables;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tidegate_core::event::OverrideKind;
use tidegate_core::ids::{PartName, SlotName};
use tidegate_core::state::{SlotObserved, Tenant};
use tidegate_core::weight::Weight;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ports::{Failure, FailureKind, Journal, Ports, RecordingName};
use tables::FakeTable;

/// How a version behaves once it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Failed requests of a thousand.
    pub errors_per_mille: u64,
    /// It never listens.
    pub deaf: bool,
    /// Its probes fail.
    pub sick: bool,
    /// Its smoke suite fails.
    pub smoke_fails: bool,
    /// Its build fails.
    pub build_fails: bool,
    /// It dies so long after its start.
    pub dies_after: Option<Duration>,
}

/// How unkind the world is, each in a thousandth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unkindness {
    /// A call takes seconds instead of milliseconds.
    pub slow: u32,
    /// A call never answers.
    pub hang: u32,
    /// A call acts and its reply is lost.
    pub lost_reply: u32,
    /// A call fails without acting.
    pub refuse: u32,
    /// A look shows what was a moment ago.
    pub stale: u32,
}

/// The world. Clones are views of the same one; it outlives every engine.
#[derive(Clone)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
    crash: Arc<Crash>,
    began: Instant,
    epoch_base: Timestamp,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// Where the engine is to be killed: at the so-many-th boundary, and whether it happened.
#[derive(Debug, Default)]
pub struct Crash {
    at: Mutex<Option<u64>>,
    passed: Mutex<u64>,
    /// Rings when the boundary is reached; the call that reached it never returns.
    pub struck: Notify,
}

#[derive(Debug)]
struct Inner {
    rng: StdRng,
    unkindness: Unkindness,
    behaviours: BTreeMap<String, Behaviour>,
    slots: BTreeMap<(PartName, SlotName), FakeSlot>,
    tables: BTreeMap<PartName, FakeTable>,
    recordings: BTreeMap<RecordingName, Vec<u8>>,
    highest_epoch: u64,
    violations: Vec<String>,
    log: Vec<String>,
}

#[derive(Debug, Clone)]
struct FakeSlot {
    tenant: Option<Tenant>,
    since: Instant,
    ready_at: Instant,
    port: u16,
}

impl World {
    /// A world at a time, with its seed.
    #[must_use]
    pub fn new(seed: u64, epoch_base: Timestamp) -> Self {
        let inner = Inner {
            rng: StdRng::seed_from_u64(seed),
            unkindness: Unkindness::default(),
            behaviours: BTreeMap::new(),
            slots: BTreeMap::new(),
            recordings: BTreeMap::new(),
            tables: BTreeMap::new(),
            highest_epoch: 0,
            violations: Vec::new(),
            log: Vec::new(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            crash: Arc::default(),
            began: Instant::now(),
            epoch_base,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how a version behaves.
    pub fn behave(&self, version: &str, behaviour: Behaviour) {
        self.lock().behaviours.insert(version.to_owned(), behaviour);
    }

    /// Sets how unkind the world is from now on.
    pub fn be(&self, unkindness: Unkindness) {
        self.lock().unkindness = unkindness;
    }

    /// A number below `bound`, from the seed.
    pub fn draw(&self, bound: u64) -> u64 {
        self.lock().rng.random_range(0..bound.max(1))
    }

    /// What would have hurt a user.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// One aligned line an event of the world, for reading a seed.
    pub fn note(&self, line: impl Into<String>) {
        let at = self.began.elapsed();
        let line = line.into();
        self.lock().log.push(format!("{:>9.3}s  world   {line}", at.as_secs_f64()));
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// Kills every instance in a slot: they come back by the shim after a moment.
    pub fn kill_instances(&self, part: &PartName, slot: &SlotName) {
        let now = Instant::now();
        if let Some(slot) = self.lock().slots.get_mut(&(part.clone(), slot.clone())) {
            slot.ready_at = now + Duration::from_millis(1_500);
        }
    }

    /// Ports that all lead to this world, but the journal.
    #[must_use]
    pub fn ports(&self, journal: Arc<dyn Journal>) -> Ports {
        let world = Arc::new(self.clone());
        Ports {
            journal,
            runtime: Arc::clone(&world) as _,
            traffic: Arc::clone(&world) as _,
            releases: Arc::clone(&world) as _,
            checks: Arc::clone(&world) as _,
            steps: Arc::clone(&world) as _,
            backups: Arc::clone(&world) as _,
            metrics: Arc::clone(&world) as _,
            recordings: Arc::clone(&world) as _,
            evidence: Arc::clone(&world) as _,
            clock: Arc::clone(&world) as _,
            bind: Arc::clone(&world) as _,
            people: Arc::clone(&world) as _,
            messages: world,
        }
    }

    /// A person asks the data plane for an emergency rollback.
    pub fn emergency(&self, part: &PartName) {
        let mut inner = self.lock();
        if let Some(table) = inner.tables.get_mut(part)
            && table.fallback.is_some()
        {
            table.act(OverrideKind::Emergency, "kofi", "asked at the socket");
        }
    }

    /// Arms the crash at the so-many-th boundary from the start.
    pub fn crash_at(&self, boundary: u64) {
        *self.crash.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(boundary);
    }

    /// Boundaries passed so far.
    #[must_use]
    pub fn boundaries(&self) -> u64 {
        *self.crash.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The crash bell.
    #[must_use]
    pub fn crash(&self) -> Arc<Crash> {
        Arc::clone(&self.crash)
    }

    /// A line between two steps of an engine: here it may be killed.
    pub async fn boundary(&self) {
        let strikes = {
            let mut passed = self.crash.passed.lock().unwrap_or_else(PoisonError::into_inner);
            *passed += 1;
            let mut at = self.crash.at.lock().unwrap_or_else(PoisonError::into_inner);
            let strikes = *at == Some(*passed);
            if strikes {
                *at = None;
            }
            strikes
        };
        if strikes {
            self.crash.struck.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// What lies between a call that changes something and its effect.
    async fn way_to_effect(&self) -> Result<(), Failure> {
        self.boundary().await;
        self.way_there().await
    }

    /// What lies between a call and its answer.
    async fn way_there(&self) -> Result<(), Failure> {
        let (wait, hang, refuse) = {
            let mut inner = self.lock();
            let unkind = inner.unkindness;
            let slow = inner.chance(unkind.slow);
            let wait = inner.rng.random_range(1..if slow { 8_000 } else { 40 });
            (wait, inner.chance(unkind.hang), inner.chance(unkind.refuse))
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if hang {
            std::future::pending::<()>().await;
        }
        if refuse { Err(Failure::retryable("TG6104", "the world refused")) } else { Ok(()) }
    }

    /// What lies between an effect and its reply.
    async fn way_back(&self) -> Result<(), Failure> {
        self.boundary().await;
        let lost = {
            let mut inner = self.lock();
            let rate = inner.unkindness.lost_reply;
            inner.chance(rate)
        };
        tokio::time::sleep(Duration::from_millis(1)).await;
        if lost { Err(Failure::retryable("TG6104", "the reply was lost")) } else { Ok(()) }
    }
}

impl Inner {
    fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.rng.random_range(0..1_000) < per_mille
    }

    fn behaviour(&self, version: &str) -> Behaviour {
        self.behaviours.get(version).copied().unwrap_or_default()
    }

    fn ready(&self, part: &PartName, slot: &SlotName, now: Instant) -> bool {
        self.slots.get(&(part.clone(), slot.clone())).is_some_and(|fake| {
            let Some(tenant) = &fake.tenant else { return false };
            let behaviour = self.behaviour(&tenant.revision.version);
            let dead = behaviour.dies_after.is_some_and(|after| now >= fake.since + after);
            tenant.instances > 0 && now >= fake.ready_at && !behaviour.deaf && !dead
        })
    }

    fn observe(&self, part: &PartName, slot: &SlotName, now: Instant) -> SlotObserved {
        let Some(fake) = self.slots.get(&(part.clone(), slot.clone())) else {
            return SlotObserved::default();
        };
        let Some(tenant) = &fake.tenant else { return SlotObserved::default() };
        let ready = self.ready(part, slot, now);
        let first = usize::from(fake.port);
        let endpoints = (0..usize::try_from(tenant.instances).unwrap_or(0))
            .map(|n| format!("127.0.0.1:{}", first + n));
        SlotObserved {
            revision: Some(tenant.revision.label()),
            ready: if ready { tenant.instances } else { 0 },
            total: tenant.instances,
            endpoints: if ready { endpoints.collect() } else { Vec::new() },
            problem: (!ready).then(|| "not listening".to_owned()),
        }
    }

    /// Traffic that would reach a slot in this table's force.
    fn carries(&self, part: &PartName, slot: &SlotName) -> bool {
        self.tables
            .get(part)
            .and_then(|table| table.in_force.as_ref())
            .is_some_and(|split| split.share(slot) > Weight::ZERO)
    }
}

fn conflict(what: &str) -> Failure {
    Failure { kind: FailureKind::Conflict, code: "TG6104", what: what.to_owned() }
}

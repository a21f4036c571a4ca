//! A world that is no kinder than the real one: it lags, hangs, loses replies after having acted,
//! restarts its data plane and kills instances. It also watches: whatever would have hurt a user
//! is a violation. Must never be more obedient than a driver's contract demands.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tidegate_core::digest::Digest;
use tidegate_core::effect::{ProbeTarget, RouteTable};
use tidegate_core::event::OverrideKind;
use tidegate_core::ids::{DeploymentId, PartName, Scope, SlotName};
use tidegate_core::input::{Overridden, SplitRead};
use tidegate_core::plan::{Part, Plan};
use tidegate_core::state::{SlotObserved, Tenant};
use tidegate_core::verdict::Outcome;
use tidegate_core::weight::{Split, WHOLE_BP, Weight};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ports::{
    Asked, Bind, CheckReport, Checks, Clock, Failure, FailureKind, Place, Releases, Runtime,
    SlotTick, Traffic, TrafficTick, Usage,
};

/// Requests that users send each second, over both sides.
const REQUESTS_PER_SECOND: u64 = 400;
/// Ticks that the data plane remembers.
const TICKS_KEPT: usize = 3_600;

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

#[derive(Debug, Clone)]
struct FakeTable {
    epoch: u64,
    generation: u64,
    set: Option<Split>,
    in_force: Option<Split>,
    fallback: Option<Split>,
    lease: Option<Duration>,
    heard_at: Instant,
    overridden: Option<Overridden>,
    overrides: u64,
    backends: BTreeMap<SlotName, String>,
    ticks: Vec<TrafficTick>,
    next_tick: u64,
    ticked_at: Instant,
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

impl FakeTable {
    fn act(&mut self, kind: OverrideKind, actor: &str, why: &str) {
        self.overrides += 1;
        self.in_force.clone_from(&self.fallback);
        self.lease = None;
        self.overridden = Some(Overridden {
            sequence: self.overrides,
            kind,
            actor: actor.to_owned(),
            why: why.to_owned(),
            split: self.fallback.clone(),
        });
    }

    /// What time alone changes: the lease, and the statistics of each second.
    fn catch_up(&mut self, now: Instant) {
        if let Some(lease) = self.lease
            && now >= self.heard_at + lease
            && self.fallback.is_some()
        {
            self.act(OverrideKind::Lease, "lease", "nothing was heard");
        }
    }
}

#[async_trait]
impl Runtime for World {
    async fn ensure(
        &self,
        place: &Place,
        tenant: Option<&Tenant>,
        epoch: u64,
    ) -> Result<(), Failure> {
        self.way_to_effect().await?;
        let now = Instant::now();
        {
            let mut inner = self.lock();
            if epoch < inner.highest_epoch {
                return Err(conflict("an older epoch"));
            }
            inner.highest_epoch = epoch;
            let key = (place.part.clone(), place.slot.clone());
            let same = inner.slots.get(&key).is_some_and(|fake| fake.tenant.as_ref() == tenant);
            if !same {
                let before = inner.slots.get(&key).and_then(|fake| fake.tenant.clone());
                let replaced = before.as_ref().map(|t| &t.revision) != tenant.map(|t| &t.revision);
                if replaced
                    && before.is_some_and(|t| t.instances > 0)
                    && inner.carries(&place.part, &place.slot)
                {
                    inner.violations.push(format!("{place} was emptied under traffic"));
                }
                let start = inner.rng.random_range(200..4_000);
                let port = inner.rng.random_range(20_000..60_000);
                let old = inner.slots.get(&key).cloned();
                let resized = !replaced;
                let fake = match old {
                    Some(old) if resized => FakeSlot { tenant: tenant.cloned(), ..old },
                    _ => FakeSlot {
                        tenant: tenant.cloned(),
                        since: now,
                        ready_at: now + Duration::from_millis(start),
                        port,
                    },
                };
                inner.slots.insert(key, fake);
            }
        }
        self.way_back().await
    }

    async fn observe(&self, place: &Place) -> Result<SlotObserved, Failure> {
        let stale = {
            let mut inner = self.lock();
            let rate = inner.unkindness.stale;
            let stale = inner.chance(rate);
            stale.then(|| inner.observe(&place.part, &place.slot, Instant::now()))
        };
        self.way_there().await?;
        Ok(stale.unwrap_or_else(|| self.lock().observe(&place.part, &place.slot, Instant::now())))
    }

    async fn usage(&self, place: &Place) -> Result<Usage, Failure> {
        self.way_there().await?;
        let ready = self.lock().ready(&place.part, &place.slot, Instant::now());
        let reading = ready.then_some(40.0);
        Ok(Usage { cpu_percent: reading, memory_percent: reading })
    }

    async fn logs(&self, _place: &Place, _bytes_max: u64) -> Result<Vec<u8>, Failure> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Traffic for World {
    async fn ensure(&self, _scope: &Scope, table: &RouteTable, epoch: u64) -> Result<(), Failure> {
        self.way_to_effect().await?;
        let now = Instant::now();
        {
            let mut inner = self.lock();
            if epoch < inner.highest_epoch {
                return Err(conflict("an older epoch"));
            }
            inner.highest_epoch = epoch;
            let old = inner.tables.get(&table.part).cloned();
            if let Some(old) = &old {
                if (epoch, table.generation) < (old.epoch, old.generation) {
                    return Err(conflict("an older generation"));
                }
                let known = table.adopted_override.unwrap_or(0);
                if old.overridden.as_ref().is_some_and(|o| o.sequence > known) {
                    return Err(conflict("an override nobody answered"));
                }
            }
            let shares = table.split.iter().flat_map(|split| split.shares());
            let unready: Vec<SlotName> = shares
                .filter(|(slot, weight)| {
                    let had = old
                        .as_ref()
                        .and_then(|old| old.in_force.as_ref())
                        .map_or(Weight::ZERO, |split| split.share(slot));
                    *weight > had && !inner.ready(&table.part, slot, now)
                })
                .map(|(slot, _)| slot.clone())
                .collect();
            let backends =
                table.backends.iter().map(|b| (b.slot.clone(), b.revision.clone())).collect();
            // A slot that died a moment ago is nobody's mistake; one that holds other bytes is.
            for slot in unready {
                let held = inner
                    .slots
                    .get(&(table.part.clone(), slot.clone()))
                    .and_then(|fake| fake.tenant.as_ref())
                    .map(|tenant| tenant.revision.label());
                let meant = table.backends.iter().find(|b| b.slot == slot);
                if held.as_ref() != meant.map(|b| &b.revision) {
                    let line =
                        format!("{}: a greater share for {slot}, which holds {held:?}", table.part);
                    inner.violations.push(line);
                }
            }
            let (ticks, next_tick, ticked_at, overrides) = old.map_or_else(
                || (Vec::new(), 1, now, 0),
                |old| (old.ticks, old.next_tick, old.ticked_at, old.overrides),
            );
            inner.tables.insert(
                table.part.clone(),
                FakeTable {
                    epoch,
                    generation: table.generation,
                    set: table.split.clone(),
                    in_force: table.split.clone(),
                    fallback: table.fallback.clone(),
                    lease: table.lease.and_then(|lease| Duration::try_from(lease).ok()),
                    heard_at: now,
                    overridden: None,
                    overrides,
                    backends,
                    ticks,
                    next_tick,
                    ticked_at,
                },
            );
        }
        self.way_back().await
    }

    async fn read(&self, _scope: &Scope) -> Result<BTreeMap<PartName, SplitRead>, Failure> {
        self.way_there().await?;
        let now = Instant::now();
        let mut inner = self.lock();
        let read = inner.tables.iter_mut().map(|(part, table)| {
            table.catch_up(now);
            let read = SplitRead {
                generation: Some(table.generation),
                overridden: table.overridden.clone(),
            };
            (part.clone(), read)
        });
        Ok(read.collect())
    }

    async fn renew(
        &self,
        _scope: &Scope,
        leases: &BTreeMap<PartName, u64>,
        epoch: u64,
    ) -> Result<(), Failure> {
        self.way_there().await?;
        let now = Instant::now();
        let mut inner = self.lock();
        for (part, generation) in leases {
            if let Some(table) = inner.tables.get_mut(part) {
                table.catch_up(now);
                if table.epoch <= epoch && table.generation == *generation {
                    table.heard_at = now;
                }
            }
        }
        Ok(())
    }

    async fn ticks(
        &self,
        _scope: &Scope,
        part: &PartName,
        after: u64,
    ) -> Result<Vec<TrafficTick>, Failure> {
        self.way_there().await?;
        self.tick(part);
        let inner = self.lock();
        let Some(table) = inner.tables.get(part) else { return Ok(Vec::new()) };
        Ok(table.ticks.iter().filter(|tick| tick.number > after).cloned().collect())
    }
}

impl World {
    /// Makes the ticks of the seconds that passed.
    fn tick(&self, part: &PartName) {
        let now = Instant::now();
        let mut inner = self.lock();
        let Some(mut table) = inner.tables.get(part).cloned() else { return };
        while table.ticked_at + Duration::from_secs(1) <= now {
            table.ticked_at += Duration::from_secs(1);
            table.catch_up(table.ticked_at);
            let shares: Vec<(SlotName, Weight)> = table
                .in_force
                .iter()
                .flat_map(|split| split.shares())
                .map(|(slot, weight)| (slot.clone(), weight))
                .collect();
            let mut slots = BTreeMap::new();
            for (slot, weight) in shares {
                let requests = REQUESTS_PER_SECOND * u64::from(weight.bp()) / u64::from(WHOLE_BP);
                let version = inner
                    .slots
                    .get(&(part.clone(), slot.clone()))
                    .and_then(|fake| fake.tenant.as_ref())
                    .map(|tenant| tenant.revision.version.clone())
                    .unwrap_or_default();
                let rate = inner.behaviour(&version).errors_per_mille;
                let failures = if inner.ready(part, &slot, table.ticked_at) {
                    (0..requests).filter(|_| inner.rng.random_range(0..1_000) < rate).count()
                } else {
                    usize::try_from(requests).unwrap_or(0)
                };
                let failures = u64::try_from(failures).unwrap_or(0);
                slots.insert(slot, SlotTick { requests, failures, latency: vec![(10, 1)] });
            }
            let at = self.at(table.ticked_at);
            table.ticks.push(TrafficTick {
                number: table.next_tick,
                at_ms: u64::try_from(at.as_millisecond()).unwrap_or(0),
                length_ms: 1_000,
                generation: table.generation,
                slots,
            });
            table.next_tick += 1;
        }
        let surplus = table.ticks.len().saturating_sub(TICKS_KEPT);
        table.ticks.drain(..surplus);
        inner.tables.insert(part.clone(), table);
    }

    fn at(&self, instant: Instant) -> Timestamp {
        let passed = SignedDuration::try_from(instant.duration_since(self.began));
        passed.ok().and_then(|passed| self.epoch_base.checked_add(passed).ok()).unwrap_or_default()
    }

    /// The shares in force, with the revision in each slot: what users meet.
    #[must_use]
    pub fn met(&self) -> BTreeMap<PartName, BTreeMap<String, u16>> {
        let inner = self.lock();
        let met = inner.tables.iter().map(|(part, table)| {
            let shares = table.in_force.iter().flat_map(|split| split.shares());
            let named =
                shares.filter(|(_, weight)| *weight > Weight::ZERO).map(|(slot, weight)| {
                    (table.backends.get(slot).cloned().unwrap_or_default(), weight.bp())
                });
            (part.clone(), named.collect())
        });
        met.collect()
    }

    /// Whether the data plane serves what was set last, and nothing of its own.
    #[must_use]
    pub fn obeys(&self) -> bool {
        self.lock().tables.values().all(|table| table.set == table.in_force)
    }
}

#[async_trait]
impl Releases for World {
    async fn resolve(&self, _repository: &str, version: &str) -> Result<String, Failure> {
        self.way_there().await?;
        Ok(Digest::of(version.as_bytes()).as_str().chars().take(40).collect())
    }

    async fn file(
        &self,
        _repository: &str,
        _commit: &str,
        _path: &str,
        _bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    async fn prepare(&self, _deployment: &DeploymentId, plan: &Plan) -> Result<Digest, Failure> {
        self.way_to_effect().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let version = &plan.release.version;
        if self.lock().behaviour(version).build_fails {
            return Err(Failure::permanent("TG6104", "the build exited 1"));
        }
        self.way_back().await?;
        Ok(Digest::of(version.as_bytes()))
    }

    async fn logs(&self, _deployment: &DeploymentId, _bytes_max: u64) -> Result<Vec<u8>, Failure> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Checks for World {
    async fn probe(&self, targets: &[ProbeTarget], timeout: SignedDuration) -> CheckReport {
        let limit = Duration::try_from(timeout).unwrap_or(Duration::ZERO);
        if let Err(failure) = self.way_to_effect().await {
            return CheckReport {
                outcome: Outcome::NoData,
                summary: failure.what,
                retryable: true,
            };
        }
        let asked = Instant::now();
        loop {
            let all_good = targets.iter().all(|target| self.is_well(target));
            if all_good && !targets.is_empty() {
                let summary = "every probe answered".to_owned();
                return CheckReport { outcome: Outcome::Pass, summary, retryable: false };
            }
            if asked.elapsed() >= limit.min(Duration::from_secs(20)) {
                let summary = "a probe failed".to_owned();
                return CheckReport { outcome: Outcome::Fail, summary, retryable: false };
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn ask(&self, target: &ProbeTarget) -> Asked {
        let asked = u64::from(target.instances);
        let well = self.way_there().await.is_ok() && self.is_well(target);
        Asked { asked, failed: if well { 0 } else { asked } }
    }

    async fn smoke(
        &self,
        _deployment: &DeploymentId,
        part: &Part,
        artifact: &str,
        _endpoint: &str,
        _timeout: SignedDuration,
    ) -> CheckReport {
        if let Err(failure) = self.way_to_effect().await {
            return CheckReport {
                outcome: Outcome::NoData,
                summary: failure.what,
                retryable: true,
            };
        }
        let fails = {
            let inner = self.lock();
            inner.slots.values().filter_map(|fake| fake.tenant.as_ref()).any(|tenant| {
                tenant.part.name == part.name
                    && tenant.revision.artifact == artifact
                    && inner.behaviour(&tenant.revision.version).smoke_fails
            })
        };
        let outcome = if fails { Outcome::Fail } else { Outcome::Pass };
        CheckReport { outcome, summary: "the suite".to_owned(), retryable: false }
    }
}

impl World {
    fn is_well(&self, target: &ProbeTarget) -> bool {
        let inner = self.lock();
        let sick = inner
            .slots
            .get(&(target.part.name.clone(), target.slot.clone()))
            .and_then(|fake| fake.tenant.as_ref())
            .is_none_or(|tenant| inner.behaviour(&tenant.revision.version).sick);
        !sick && inner.ready(&target.part.name, &target.slot, Instant::now())
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }
}

impl Bind for World {
    fn bind(&self, plan: &Plan, artifact: &Digest) -> Digest {
        Digest::of(format!("{}{artifact}", plan.release.commit).as_bytes())
    }
}

fn conflict(what: &str) -> Failure {
    Failure { kind: FailureKind::Conflict, code: "TG6104", what: what.to_owned() }
}

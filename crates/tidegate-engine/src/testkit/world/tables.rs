//! The data plane of the unkind world: fenced tables, leases, overrides, statistics.
//! Must never take an older table, nor one that does not know of an override.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rand::RngExt as _;
use tidegate_core::effect::RouteTable;
use tidegate_core::event::OverrideKind;
use tidegate_core::ids::{PartName, Scope, SlotName};
use tidegate_core::input::{Overridden, SplitRead};
use tidegate_core::weight::{Split, WHOLE_BP, Weight};
use tokio::time::Instant;

use super::{World, conflict};
use crate::ports::{Failure, SlotTick, Traffic, TrafficTick};

/// Requests that users send each second, over both sides.
const REQUESTS_PER_SECOND: u64 = 400;
/// Ticks that the data plane remembers.
const TICKS_KEPT: usize = 3_600;

#[derive(Debug, Clone)]
pub(super) struct FakeTable {
    pub(super) epoch: u64,
    pub(super) generation: u64,
    pub(super) set: Option<Split>,
    pub(super) in_force: Option<Split>,
    pub(super) fallback: Option<Split>,
    pub(super) lease: Option<Duration>,
    pub(super) heard_at: Instant,
    pub(super) overridden: Option<Overridden>,
    pub(super) overrides: u64,
    pub(super) backends: BTreeMap<SlotName, String>,
    pub(super) ticks: Vec<TrafficTick>,
    pub(super) next_tick: u64,
    pub(super) ticked_at: Instant,
}

impl FakeTable {
    pub(super) fn act(&mut self, kind: OverrideKind, actor: &str, why: &str) {
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

impl super::Inner {
    /// The table that this one would follow.
    fn admit(&self, table: &RouteTable, epoch: u64) -> Result<Option<FakeTable>, Failure> {
        if epoch < self.highest_epoch {
            return Err(conflict("an older epoch"));
        }
        let old = self.tables.get(&table.part).cloned();
        if let Some(old) = &old {
            if (epoch, table.generation) < (old.epoch, old.generation) {
                return Err(conflict("an older generation"));
            }
            let known = table.adopted_override.unwrap_or(0);
            if old.overridden.as_ref().is_some_and(|o| o.sequence > known) {
                return Err(conflict("an override nobody answered"));
            }
        }
        Ok(old)
    }
}

#[async_trait]
impl Traffic for World {
    async fn ensure(&self, _scope: &Scope, table: &RouteTable, epoch: u64) -> Result<(), Failure> {
        self.way_to_effect().await?;
        let now = Instant::now();
        {
            let mut inner = self.lock();
            let old = inner.admit(table, epoch)?;
            inner.highest_epoch = epoch;
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

    async fn rehearse(
        &self,
        _scope: &Scope,
        table: &RouteTable,
        epoch: u64,
    ) -> Result<(), Failure> {
        self.way_there().await?;
        self.lock().admit(table, epoch)?;
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
                    // One draw a tick for the broken rest: a draw a request is most of a run.
                    let expected = requests * rate;
                    let rest = u64::from(inner.rng.random_range(0..1_000) < expected % 1_000);
                    expected / 1_000 + rest
                } else {
                    requests
                };
                slots.insert(
                    slot,
                    SlotTick { requests, failures, latency: vec![(10, 1)], ..SlotTick::default() },
                );
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

    pub(super) fn at(&self, instant: Instant) -> Timestamp {
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

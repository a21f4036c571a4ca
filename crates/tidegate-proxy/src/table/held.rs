//! One service in the store: its record, what is compiled from it, and its running tick. Nothing
//! here touches disk or sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::wall_ms;
use crate::disk::Record;
use crate::refusal::Refused;
use crate::route::{RevisionView, ServiceView};
use crate::stats::RevisionStats;
use crate::ticks::Ring;
use crate::upstream::{Endpoint, Endpoints};
use crate::wire::{
    Override, OverrideKind, RevisionStatus, RevisionTick, Share, Status, Table, Tick,
};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) record: Record,
    pub(super) view: Option<Arc<ServiceView>>,
    pub(super) ring: Ring,
    /// Number of the first tick that counts for the brake.
    pub(super) trial_since: u64,
    /// False while the record in force is not on disk.
    pub(super) is_durable: bool,
    live: BTreeMap<String, Live>,
    no_backend: Arc<AtomicU64>,
    tick_began: Instant,
    lease_ends: Option<Instant>,
}

/// A revision with traffic, or with traffic left.
#[derive(Debug)]
struct Live {
    stats: Arc<RevisionStats>,
    endpoints: BTreeMap<SocketAddr, Arc<Endpoint>>,
}

impl Held {
    /// Holds a record that is on disk.
    pub(super) fn new(record: Record, first_tick: u64) -> Self {
        let mut held = Self {
            record,
            view: None,
            ring: Ring::new(first_tick),
            trial_since: 0,
            is_durable: true,
            live: BTreeMap::new(),
            no_backend: Arc::default(),
            tick_began: Instant::now(),
            lease_ends: None,
        };
        held.begin_lease();
        held.compile();
        held
    }

    /// Replaces the record by a newer one that is on disk.
    pub(super) fn enter(&mut self, record: Record) {
        self.cut_tick();
        if self.record.in_override.is_some() {
            self.trial_since = self.ring.next();
        }
        self.record = record;
        self.is_durable = true;
        self.begin_lease();
        self.compile();
    }

    /// Leaves the split of the table for its fallback.
    pub(super) fn override_split(
        &mut self,
        kind: OverrideKind,
        actor: &str,
        reason: String,
    ) -> Result<(), Refused> {
        let table = self.record.table.as_ref().ok_or(Refused::NoService)?;
        let split = table.fallback.clone().ok_or(Refused::NoFallback)?;
        self.cut_tick();
        self.record.sequence += 1;
        let (sequence, at_ms, actor) = (self.record.sequence, wall_ms(), actor.to_owned());
        self.record.in_override = Some(Override { sequence, kind, at_ms, actor, reason, split });
        self.is_durable = false;
        self.lease_ends = None;
        self.compile();
        Ok(())
    }

    /// Milliseconds the lease lasts from here; `None` when the table has none.
    pub(super) fn renew(&mut self, offered: (u64, u64)) -> Result<Option<u64>, Refused> {
        let applied = (self.record.epoch, self.record.generation);
        if let Some(held) = &self.record.in_override {
            return Err(Refused::Override(Box::new(held.clone())));
        }
        let table = self.record.table.as_ref().ok_or(Refused::NoService)?;
        if offered != applied {
            return Err(Refused::Renewal { offered, applied });
        }
        let lease_ms = table.lease_ms;
        self.begin_lease();
        Ok(lease_ms)
    }

    /// Set when the lease is over.
    pub(super) fn lease_reason(&self, now: Instant) -> Option<String> {
        let lease_ms = self.record.table.as_ref()?.lease_ms?;
        let is_over = self.lease_ends? <= now;
        is_over.then(|| format!("the control plane was silent for {lease_ms} ms"))
    }

    /// The table, while nothing overrides it.
    pub(super) fn table_in_force(&self) -> Option<&Table> {
        self.record.table.as_ref().filter(|_| self.record.in_override.is_none())
    }

    pub(super) fn shares_in_force(&self) -> Vec<Share> {
        match (&self.record.in_override, &self.record.table) {
            (Some(held), _) => held.split.clone(),
            (None, Some(table)) => table.shares(),
            (None, None) => Vec::new(),
        }
    }

    pub(super) fn stats(&self, revision: &str) -> Option<Arc<RevisionStats>> {
        self.live.get(revision).map(|live| Arc::clone(&live.stats))
    }

    /// Ends the running tick under the table it ran under.
    pub(super) fn cut_tick(&mut self) {
        let began = std::mem::replace(&mut self.tick_began, Instant::now());
        let Some(table) = &self.record.table else {
            return;
        };
        let revisions = self.live.iter().map(|(name, live)| (name, live.stats.take()));
        let told = revisions.filter(|(name, tick)| {
            let idle = RevisionTick { revision: tick.revision.clone(), ..RevisionTick::default() };
            table.backend(name).is_some() || *tick != idle
        });
        self.ring.push(Tick {
            service: self.record.service.clone(),
            seq: 0,
            at_ms: wall_ms(),
            length_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            epoch: self.record.epoch,
            generation: self.record.generation,
            override_sequence: self.record.in_override.as_ref().map(|held| held.sequence),
            no_backend: self.no_backend.swap(0, Ordering::Relaxed),
            revisions: told.map(|(_, tick)| tick).collect(),
        });
    }

    /// Forgets revisions that no table names and no request is on, and closes old connections.
    pub(super) fn prune(&mut self) {
        let table = self.record.table.as_ref();
        self.live.retain(|revision, live| {
            for endpoint in live.endpoints.values() {
                endpoint.sweep();
            }
            let named = table.is_some_and(|table| table.backend(revision).is_some());
            named || live.stats.in_flight() > 0 || live.stats.tunnels() > 0
        });
    }

    pub(super) fn status(&self, table: &Table, listening: bool) -> Status {
        let now = Instant::now();
        let left = self.lease_ends.map(|ends| ends.saturating_duration_since(now));
        let revisions = self.live.iter().map(|(revision, live)| RevisionStatus {
            revision: revision.clone(),
            slot: table.backend(revision).map(|backend| backend.slot.clone()),
            in_flight: live.stats.in_flight(),
            tunnels: live.stats.tunnels(),
            idle_connections: live.endpoints.values().map(|endpoint| endpoint.sweep()).sum(),
            requests_total: live.stats.started_total(),
        });
        Status {
            service: self.record.service.clone(),
            epoch: self.record.epoch,
            generation: self.record.generation,
            checksum: table.checksum().to_owned(),
            applied_at_ms: self.record.applied_at_ms,
            listening,
            persisted: self.is_durable,
            shares_set: table.shares(),
            shares_in_force: self.shares_in_force(),
            in_override: self.record.in_override.clone(),
            lease_left_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            certificates: Vec::new(),
            revisions: revisions.collect(),
        }
    }

    fn begin_lease(&mut self) {
        let lease_ms = self.table_in_force().and_then(|table| table.lease_ms);
        self.lease_ends = lease_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    }

    /// Builds the view requests read. Counters and connections of revisions that stay are kept.
    fn compile(&mut self) {
        let shares = self.shares_in_force();
        let Some(table) = &self.record.table else {
            self.view = None;
            return;
        };
        let mut views = BTreeMap::new();
        for backend in &table.backends {
            let live = self.live.entry(backend.revision.clone()).or_insert_with(|| Live {
                stats: Arc::new(RevisionStats::new(&backend.revision, &table.limits_ms)),
                endpoints: BTreeMap::new(),
            });
            live.stats.set_limits(&table.limits_ms);
            live.endpoints.retain(|address, endpoint| {
                backend.endpoints.contains(address) && endpoint.protocol() == backend.protocol
            });
            let list = backend.endpoints.iter().map(|address| {
                let new = || Arc::new(Endpoint::new(*address, backend.protocol));
                Arc::clone(live.endpoints.entry(*address).or_insert_with(new))
            });
            let endpoints = Arc::new(Endpoints::new(list.collect()));
            let stats = Arc::clone(&live.stats);
            views.insert(backend.revision.clone(), RevisionView { endpoints, stats });
        }
        let no_backend = Arc::clone(&self.no_backend);
        self.view = Some(Arc::new(ServiceView::new(table, &shares, &views, no_backend)));
    }
}

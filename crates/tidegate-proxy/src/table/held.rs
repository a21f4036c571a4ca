//! One service in the store: its record, what is compiled from it, and its running tick. Nothing
//! here touches disk or sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_judge::histogram::Cells;
use tokio::time::Instant;

use super::wall_ms;
use crate::brake::Brake;
use crate::disk::Record;
use crate::metrics::{OfRevision, OfService, Totals};
use crate::refusal::Refused;
use crate::route::{Counts, RevisionView, ServiceView};
use crate::stats::RevisionStats;
use crate::ticks::{Ring, Under};
use crate::upgrade::{Heirloom, Residue};
use crate::upstream::{Endpoint, Endpoints};
use crate::wire::{
    InstanceTick, Override, OverrideKind, RevisionStatus, RevisionTick, Share, Status, Table, Tick,
    limits,
};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) record: Record,
    pub(super) view: Option<Arc<ServiceView>>,
    pub(super) ring: Ring,
    /// The judge over the trial that the table in force runs.
    brake: Option<Brake>,
    /// False after a change of the table, until the judge has been seated for it.
    is_seated: bool,
    /// Why to go back, since the last look.
    brake_reason: Option<String>,
    /// Number of the first tick with the latency cells of the table in force.
    cells_since: u64,
    /// The latency cells of the table in force.
    cells: Cells,
    /// False while the record in force is not on disk.
    pub(super) is_durable: bool,
    live: BTreeMap<String, Live>,
    /// What each revision did since this process began, as long as it is named or in use.
    totals: BTreeMap<String, Totals>,
    no_backend_total: u64,
    workers: usize,
    /// What the elder proxy counted and no tick has yet, by revision; its gauges are its last.
    elder: BTreeMap<String, RevisionTick>,
    pub(super) counts: Arc<Counts>,
    tick_began: Instant,
    lease_ends: Option<Instant>,
}

/// A revision with traffic, or with traffic left.
#[derive(Debug)]
struct Live {
    stats: Arc<RevisionStats>,
    endpoints: BTreeMap<SocketAddr, Arc<Endpoint>>,
}

impl Live {
    /// Takes what the revision and its instances counted since the last call.
    fn take(&self) -> RevisionTick {
        let endpoints = self.endpoints.iter();
        let mut instances: Vec<InstanceTick> =
            endpoints.map(|(address, endpoint)| endpoint.stats.take(*address)).collect();
        // One instance is the whole.
        if !(2..=limits::INSTANCES_TOLD).contains(&instances.len()) {
            instances.clear();
        }
        RevisionTick { instances, ..self.stats.take() }
    }

    /// Nothing has happened since the last call of [`Live::take`], and nothing is in progress.
    fn is_quiet(&self) -> bool {
        self.stats.is_quiet() && self.endpoints.values().all(|endpoint| endpoint.stats.is_quiet())
    }
}

impl Held {
    /// Holds a record that is on disk.
    pub(super) fn new(record: Record, first_tick: u64, workers: usize) -> Self {
        let mut held = Self {
            view: None,
            ring: Ring::new(&record.service, first_tick),
            record,
            brake: None,
            is_seated: false,
            brake_reason: None,
            cells_since: 0,
            cells: Cells::new(&[]),
            is_durable: true,
            live: BTreeMap::new(),
            totals: BTreeMap::new(),
            no_backend_total: 0,
            workers,
            elder: BTreeMap::new(),
            counts: Arc::default(),
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
        if self.limits_ms() != record.table.as_ref().map(|table| table.limits_ms.as_slice()) {
            self.cells_since = self.ring.next();
        }
        self.follow(record);
    }

    /// Serves by a record without a tick of its own: a successor has the ticks.
    pub(super) fn follow(&mut self, record: Record) {
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

    /// Set once when the judge over the running trial has seen enough.
    pub(super) fn brake_reason(&mut self) -> Option<String> {
        self.brake_reason.take()
    }

    /// The table, while nothing overrides it.
    fn table_in_force(&self) -> Option<&Table> {
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

    /// Requests and tunnels in progress on a revision, the elder's included.
    pub(super) fn load(&self, revision: &str) -> (u64, u64) {
        let own = self.live.get(revision);
        let (requests, tunnels) =
            own.map_or((0, 0), |live| (live.stats.in_flight(), live.stats.tunnels()));
        let elder = self.elder.get(revision).map_or((0, 0), |e| (e.in_flight, e.tunnels));
        (requests + elder.0, tunnels + elder.1)
    }

    /// What a successor needs and no disk has.
    pub(super) fn heirloom(&self) -> Heirloom {
        Heirloom {
            service: self.record.service.clone(),
            lease_left_ms: self.lease_left_ms(),
            next_tick: self.ring.next(),
            ticks: self.ring.oldest().collect(),
        }
    }

    /// Goes on where the elder is.
    pub(super) fn inherit(&mut self, heirloom: Heirloom) {
        let Heirloom { service: _, lease_left_ms, next_tick, ticks } = heirloom;
        self.ring = Ring::resume(&self.record.service, next_tick, ticks);
        self.is_seated = false;
        self.lease_ends = lease_left_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    }

    /// Counts that a successor's ticks must have.
    pub(super) fn residue(&mut self) -> Residue {
        Residue {
            service: self.record.service.clone(),
            no_backend: self.counts.no_backend.swap(0, Ordering::Relaxed),
            limits_ms: self.limits_ms().unwrap_or_default().to_vec(),
            revisions: take_counts(&self.live, &mut self.elder),
        }
    }

    /// Counts of the elder, for the running tick.
    pub(super) fn absorb(&mut self, residue: Residue) {
        let same_cells = self.limits_ms() == Some(residue.limits_ms.as_slice());
        self.counts.no_backend.fetch_add(residue.no_backend, Ordering::Relaxed);
        for mut counted in residue.revisions {
            if !same_cells {
                // Cells of another policy mean other latencies.
                counted.latency.clear();
            }
            self.elder.entry(counted.revision.clone()).or_default().add(counted);
        }
    }

    /// The elder is gone, and with it what was in progress there.
    pub(super) fn forget_elder(&mut self) {
        for counted in self.elder.values_mut() {
            (counted.in_flight, counted.tunnels) = (0, 0);
        }
    }

    fn lease_left_ms(&self) -> Option<u64> {
        let left = self.lease_ends?.saturating_duration_since(Instant::now());
        Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    /// Ends the running tick under the table it ran under.
    pub(super) fn cut_tick(&mut self) {
        let began = std::mem::replace(&mut self.tick_began, Instant::now());
        self.seat();
        let Some(table) = &self.record.table else {
            return;
        };
        let (at_ms, length) = (wall_ms(), self.tick_began.duration_since(began));
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let override_sequence = self.record.in_override.as_ref().map(|held| held.sequence);
        let (epoch, generation) = (self.record.epoch, self.record.generation);
        let under = Under { epoch, generation, override_sequence };
        if !self.is_quiet() || !self.ring.repeat(under, at_ms, length_ms) {
            let revisions = take_counts(&self.live, &mut self.elder);
            let no_backend = self.counts.no_backend.swap(0, Ordering::Relaxed);
            self.no_backend_total += no_backend;
            for tick in revisions.iter().filter(|tick| tick.started + tick.requests > 0) {
                self.totals.entry(tick.revision.clone()).or_default().add(tick, &self.cells);
            }
            let told = revisions
                .into_iter()
                .filter(|tick| table.backend(&tick.revision).is_some() || !tick.is_idle());
            self.ring.push(Tick {
                service: self.record.service.clone(),
                seq: 0,
                at_ms,
                length_ms,
                epoch,
                generation,
                override_sequence,
                no_backend,
                revisions: told.collect(),
            });
        }
        self.hear();
    }

    /// Nothing has happened since the last tick was cut, and nothing is in progress.
    fn is_quiet(&self) -> bool {
        self.elder.is_empty()
            && self.counts.no_backend.load(Ordering::Relaxed) == 0
            && self.live.values().all(Live::is_quiet)
    }

    /// Seats the judge over the trial of the table in force. What ended with an override has been
    /// answered for: a later trial begins anew.
    fn seat(&mut self) {
        self.brake_reason = None;
        if std::mem::replace(&mut self.is_seated, true) {
            return;
        }
        let held = self.brake.take();
        let table = self.record.table.as_ref().filter(|_| self.record.in_override.is_none());
        self.brake = table.and_then(|table| Brake::of(table, held, &self.ring, self.cells_since));
    }

    /// Lets the judge hear the newest tick.
    fn hear(&mut self) {
        let judged = self.brake.as_mut().zip(self.record.table.as_ref());
        self.brake_reason =
            judged.and_then(|(brake, table)| brake.hear(table, &self.ring.newest()?));
    }

    fn limits_ms(&self) -> Option<&[f64]> {
        self.record.table.as_ref().map(|table| table.limits_ms.as_slice())
    }

    /// Forgets revisions that no table names and no request is on.
    pub(super) fn prune(&mut self) {
        let table = self.record.table.as_ref();
        // Those of the table are always here; mostly there is nobody else.
        if table.map_or(0, |table| table.backends.len()) != self.live.len() {
            self.live.retain(|revision, live| {
                let named = table.is_some_and(|table| table.backend(revision).is_some());
                named || live.stats.in_flight() > 0 || live.stats.tunnels() > 0
            });
        }
        let (live, elder) = (&self.live, &self.elder);
        self.totals
            .retain(|revision, _| live.contains_key(revision) || elder.contains_key(revision));
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = Arc<Endpoint>> {
        self.live.values().flat_map(|live| live.endpoints.values().cloned())
    }

    pub(super) fn status(&self, table: &Table, listening: bool) -> Status {
        let names: BTreeSet<&String> = self.live.keys().chain(self.elder.keys()).collect();
        let revisions = names.into_iter().map(|revision| {
            let live = self.live.get(revision);
            let endpoints = live.into_iter().flat_map(|live| live.endpoints.values());
            let (in_flight, tunnels) = self.load(revision);
            RevisionStatus {
                revision: revision.clone(),
                slot: table.backend(revision).map(|backend| backend.slot.clone()),
                in_flight,
                tunnels,
                idle_connections: endpoints.map(|endpoint| endpoint.sweep()).sum(),
                requests_total: live.map_or(0, |live| live.stats.started_total()),
            }
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
            lease_left_ms: self.lease_left_ms(),
            certificates: Vec::new(),
            revisions: revisions.collect(),
        }
    }

    /// What the metrics say of the service and of its revisions.
    pub(super) fn metrics(&self) -> (OfService, Vec<OfRevision>) {
        let service = &self.record.service;
        let shares = self.shares_in_force();
        let weight = |revision: &str| {
            let share = shares.iter().find(|share| share.revision == revision);
            share.map_or(0, |share| share.weight.basis_points())
        };
        let revisions = self.live.iter().map(|(revision, live)| {
            let (in_flight, tunnels) = self.load(revision);
            let ejected = live.endpoints.values().filter(|endpoint| endpoint.health.is_resting());
            OfRevision {
                service: service.clone(),
                revision: revision.clone(),
                weight_basis_points: weight(revision),
                in_flight,
                tunnels,
                endpoints_ejected: ejected.count() as u64,
                totals: self.totals.get(revision).cloned().unwrap_or_default(),
            }
        });
        let mirror = &self.counts.mirror;
        let of_service = OfService {
            service: service.clone(),
            generation: self.record.generation,
            is_overridden: self.record.in_override.is_some(),
            no_backend: self.no_backend_total,
            mirrored: [&mirror.answered, &mirror.failed, &mirror.dropped]
                .map(|count| count.load(Ordering::Relaxed)),
        };
        (of_service, revisions.collect())
    }

    fn begin_lease(&mut self) {
        let lease_ms = self.table_in_force().and_then(|table| table.lease_ms);
        self.lease_ends = lease_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    }

    /// Builds the view requests read. Counters and connections of revisions that stay are kept.
    fn compile(&mut self) {
        let shares = self.shares_in_force();
        self.is_seated = false;
        let Some(table) = &self.record.table else {
            self.view = None;
            return;
        };
        self.cells = Cells::new(&table.limits_ms);
        let mut views = BTreeMap::new();
        for backend in &table.backends {
            let live = self.live.entry(backend.revision.clone()).or_insert_with(|| Live {
                stats: Arc::new(RevisionStats::new(
                    &backend.revision,
                    &table.limits_ms,
                    self.workers,
                )),
                endpoints: BTreeMap::new(),
            });
            live.stats.set_limits(&table.limits_ms);
            live.endpoints.retain(|address, endpoint| {
                backend.endpoints.contains(address) && endpoint.protocol() == backend.protocol
            });
            let list = backend.endpoints.iter().map(|address| {
                let new = || {
                    let protocol = backend.protocol;
                    Arc::new(Endpoint::new(*address, protocol, &table.limits_ms, self.workers))
                };
                let endpoint = live.endpoints.entry(*address).or_insert_with(new);
                endpoint.stats.set_limits(&table.limits_ms);
                Arc::clone(endpoint)
            });
            let endpoints = Arc::new(Endpoints::new(list.collect()));
            let stats = Arc::clone(&live.stats);
            views.insert(backend.revision.clone(), RevisionView { endpoints, stats });
        }
        let counts = Arc::clone(&self.counts);
        self.view = Some(Arc::new(ServiceView::new(table, &shares, &views, counts)));
    }
}

/// Takes what the revisions counted since the last call, and what the elder said since.
fn take_counts(
    live: &BTreeMap<String, Live>,
    elder: &mut BTreeMap<String, RevisionTick>,
) -> Vec<RevisionTick> {
    let mut counts: BTreeMap<&str, RevisionTick> =
        live.iter().map(|(name, live)| (name.as_str(), live.take())).collect();
    for (name, said) in elder.iter_mut() {
        let (in_flight, tunnels) = (said.in_flight, said.tunnels);
        let said = std::mem::replace(
            said,
            RevisionTick { revision: name.clone(), in_flight, tunnels, ..RevisionTick::default() },
        );
        let sum = counts.entry(name.as_str()).or_default();
        let own = (sum.in_flight, sum.tunnels);
        sum.add(said);
        (sum.in_flight, sum.tunnels) = (own.0 + in_flight, own.1 + tunnels);
    }
    let counts = counts.into_values().collect();
    elder.retain(|_, said| said.in_flight + said.tunnels > 0);
    counts
}

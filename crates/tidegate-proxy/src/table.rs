//! The tables a proxy holds in memory: which may be applied, and what is in force. Nothing here
//! waits: durability and its order are the business of `keep.rs`. A request never comes here; it
//! reads the routing this module publishes.

mod held;
mod succession;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::disk::Record;
use crate::listen::{Listeners, Plane};
use crate::metrics::Snapshot;
use crate::refusal::Refused;
use crate::route::{self, Conflict, Routing};
use crate::upgrade::{Heirloom, Order};
use crate::upstream::Endpoint;
use crate::wire::{
    Ack, LeaseOutcome, LeaseRenewal, OverrideKind, Refusal, StatusReport, Table, Ticks, limits,
};
use held::Held;

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug)]
pub(crate) struct Store {
    plane: Arc<Plane>,
    listeners: Listeners,
    services: BTreeMap<String, Held>,
    highest_epoch: u64,
    started_at_ms: u64,
    standing: Standing,
    /// How long the last tick took to cut.
    pulse_took: Duration,
    /// The proxy whose place this one took, while it still lives.
    elder: Option<UnboundedSender<Order>>,
}

/// What this proxy may do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    /// Everything.
    Serving,
    /// A newcomer is taking over: nothing is written and no tick is cut.
    Frozen,
    /// Another has taken over: what is in progress ends, by its tables.
    Retired,
}

/// What to do with a table that is valid.
#[derive(PartialEq)]
enum Admission {
    Apply,
    AlreadyApplied,
}

impl Store {
    /// Serves what was loaded at once.
    pub(crate) fn new(
        records: Vec<Record>,
        plane: Arc<Plane>,
        sockets: Vec<TcpListener>,
        heirlooms: Vec<Heirloom>,
    ) -> Self {
        let started_at_ms = wall_ms();
        let workers = plane.workers.count();
        let hold =
            |record: Record| (record.service.clone(), Held::new(record, started_at_ms, workers));
        let mut services: BTreeMap<_, _> = records.into_iter().map(hold).collect();
        for heirloom in heirlooms {
            if let Some(held) = services.get_mut(&heirloom.service) {
                held.inherit(heirloom);
            }
        }
        let listeners = Listeners::new(Arc::clone(&plane), sockets);
        let highest_epoch = services.values().map(|held| held.record.epoch).max().unwrap_or(0);
        let standing = Standing::Serving;
        let mut store = Self {
            plane,
            listeners,
            services,
            highest_epoch,
            started_at_ms,
            standing,
            pulse_took: Duration::ZERO,
            elder: None,
        };
        store.publish();
        store.bind_missing();
        store
    }

    /// Admits a table and opens its address. Gives the record to make durable, or `None` when
    /// the table is applied already.
    pub(crate) fn prepare(&mut self, table: Table) -> Result<Option<Record>, Refused> {
        self.may_change()?;
        if self.admit(&table)? == Admission::AlreadyApplied {
            return Ok(None);
        }
        for route::Entrance { address, .. } in route::entrances(&table) {
            self.listeners.open(address).map_err(|source| Refused::Listen { address, source })?;
        }
        let held = self.services.get(&table.service);
        Ok(Some(Record {
            service: table.service.clone(),
            epoch: table.epoch,
            generation: table.generation,
            sequence: held.map_or(0, |held| held.record.sequence),
            in_override: None,
            applied_at_ms: wall_ms(),
            table: Some(table),
        }))
    }

    /// The fence, the override, and the places other services hold.
    fn admit(&self, table: &Table) -> Result<Admission, Refused> {
        let (offered, highest) = (table.epoch, self.highest_epoch);
        let held = self.services.get(&table.service);
        if let Some(record) = held.map(|held| &held.record) {
            let applied = (record.epoch, record.generation);
            if table.fence() == applied {
                return match &record.table {
                    Some(ours) if ours.checksum() == table.checksum() => {
                        Ok(Admission::AlreadyApplied)
                    }
                    _ => Err(Refused::Twin { fence: applied }),
                };
            }
            if table.fence() < applied {
                return Err(Refused::Older { offered: table.fence(), applied });
            }
        }
        if offered < highest {
            return Err(Refused::Deposed { offered, highest });
        }
        if let Some(record) = held.map(|held| &held.record) {
            if let Some(ours) = &record.in_override
                && table.acknowledges_override != Some(ours.sequence)
            {
                return Err(Refused::Override(Box::new(ours.clone())));
            }
            if table.is_empty() && record.table.as_ref().is_some_and(|ours| !ours.is_empty()) {
                return Err(Refused::Emptied);
            }
        } else if self.services.len() >= limits::SERVICES {
            return Err(Refused::Full(self.services.len()));
        }
        for other in self.services.values().filter_map(|held| held.record.table.as_ref()) {
            let owner = other.service.clone();
            match route::conflict(table, other) {
                None => {}
                Some(Conflict::Route(route, listen)) => {
                    return Err(Refused::Route { route, listen, owner });
                }
                Some(Conflict::Entrance(address)) => {
                    return Err(Refused::Entrance { address, owner });
                }
            }
        }
        Ok(Admission::Apply)
    }

    /// The record that takes a service out, or `None` when it is out already. Its fence stays,
    /// so that no late table brings it back.
    pub(crate) fn prepare_removal(
        &self,
        service: &str,
        offered: (u64, u64),
    ) -> Result<Option<Record>, Refused> {
        self.may_change()?;
        let record = &self.services.get(service).ok_or(Refused::NoService)?.record;
        let applied = (record.epoch, record.generation);
        if record.table.is_none() && offered == applied {
            return Ok(None);
        }
        if offered <= applied {
            return Err(Refused::Older { offered, applied });
        }
        if offered.0 < self.highest_epoch {
            return Err(Refused::Deposed { offered: offered.0, highest: self.highest_epoch });
        }
        let mut record = record.clone();
        (record.epoch, record.generation) = offered;
        (record.table, record.in_override) = (None, None);
        record.applied_at_ms = wall_ms();
        Ok(Some(record))
    }

    /// Puts a durable record in force, unless the service was overridden while it was written:
    /// the override stands then, and the disk has to be put right.
    pub(crate) fn enter(&mut self, record: Record) -> Result<(), Refused> {
        if let Some(held) = self.services.get_mut(&record.service)
            && held.record.sequence != record.sequence
            && let Some(given) = held.record.in_override.clone()
        {
            held.is_durable = false;
            self.close_unused();
            return Err(Refused::Override(Box::new(given)));
        }
        self.put_in_force(record);
        self.close_unused();
        Ok(())
    }

    fn put_in_force(&mut self, record: Record) {
        self.highest_epoch = self.highest_epoch.max(record.epoch);
        let service = record.service.clone();
        match self.services.get_mut(&service) {
            Some(held) if self.standing == Standing::Retired => held.follow(record),
            Some(held) => held.enter(record),
            None => {
                let workers = self.plane.workers.count();
                let held = Held::new(record, self.started_at_ms, workers);
                self.services.insert(service.clone(), held);
            }
        }
        self.publish();
        self.tell_elder(&service);
    }

    /// Leaves the split of a table for its fallback, at once.
    pub(crate) fn override_split(
        &mut self,
        service: &str,
        kind: OverrideKind,
        actor: &str,
        reason: String,
    ) -> Result<(), Refused> {
        if self.standing == Standing::Retired {
            return Err(Refused::Replaced);
        }
        let held = self.services.get_mut(service).ok_or(Refused::NoService)?;
        held.override_split(kind, actor, reason)?;
        self.publish();
        self.tell_elder(service);
        Ok(())
    }

    /// Renews leases. Each entry stands for itself.
    pub(crate) fn renew(&mut self, renewals: Vec<LeaseRenewal>) -> Vec<LeaseOutcome> {
        let outcomes = renewals.into_iter().map(|renewal| {
            let offered = (renewal.epoch, renewal.generation);
            let allowed = self.may_change();
            let held = self.services.get_mut(&renewal.service).ok_or(Refused::NoService);
            let renewed = allowed.and(held).and_then(|held| held.renew(offered));
            let (left_ms, refusal) = match renewed {
                Ok(left_ms) => (left_ms, None),
                Err(refused) => (None, Some(self.refusal(&renewal.service, refused))),
            };
            LeaseOutcome { service: renewal.service, left_ms, refusal }
        });
        outcomes.collect()
    }

    pub(crate) fn status(&self) -> StatusReport {
        let services = self.services.values().filter_map(|held| {
            let table = held.record.table.as_ref()?;
            let mut entrances = route::entrances(table);
            let listening = entrances.all(|entrance| self.listeners.is_open(entrance.address));
            let mut status = held.status(table, listening);
            let tls = table.tls.as_ref();
            status.certificates = tls.map(|tls| self.plane.keys.status(tls)).unwrap_or_default();
            Some(status)
        });
        StatusReport {
            pid: std::process::id(),
            started_at_ms: self.started_at_ms,
            highest_epoch: self.highest_epoch,
            services: services.collect(),
        }
    }

    pub(crate) fn metrics(&self) -> Snapshot {
        let held = self.services.values().filter(|held| held.record.table.is_some());
        let (services, revisions): (Vec<_>, Vec<_>) = held.map(Held::metrics).unzip();
        Snapshot {
            pulse_seconds: self.pulse_took.as_secs_f64(),
            connections: self.plane.connections(),
            access_log_lost: self.plane.access.lost(),
            services,
            revisions: revisions.into_iter().flatten().collect(),
        }
    }

    pub(crate) fn ticks(&self, service: &str, after: u64) -> Result<Ticks, Refusal> {
        let held = self.services.get(service).filter(|held| held.record.table.is_some());
        let held = held.ok_or_else(|| self.refusal(service, Refused::NoService))?;
        Ok(held.ring.after(after))
    }

    /// Requests and tunnels on a revision that may be emptied.
    pub(crate) fn drainable(&self, service: &str, revision: &str) -> Result<(u64, u64), Refusal> {
        let refuse = |refused| Err(self.refusal(service, refused));
        let Some(held) = self.services.get(service) else {
            return refuse(Refused::NoService);
        };
        let in_force = held.shares_in_force();
        match in_force.iter().find(|share| share.revision == revision) {
            Some(share) if share.weight.basis_points() > 0 => {
                let basis_points = share.weight.basis_points();
                refuse(Refused::InUse { revision: revision.to_owned(), basis_points })
            }
            _ => Ok(held.load(revision)),
        }
    }

    /// Once a tick: closes the tick of every service, ends leases and pulls brakes.
    pub(crate) fn pulse(&mut self) {
        if self.standing != Standing::Serving {
            return;
        }
        let now = Instant::now();
        let mut overrides = Vec::new();
        let count = self.services.len();
        for (service, held) in &mut self.services {
            held.cut_tick();
            held.ring.trim(count);
            held.prune();
            if let Some(reason) = held.lease_reason(now) {
                overrides.push((service.clone(), OverrideKind::Lease, reason));
            } else if let Some(reason) = held.brake_reason() {
                overrides.push((service.clone(), OverrideKind::Brake, reason));
            }
        }
        for (service, kind, reason) in overrides {
            tracing::warn!(%service, ?kind, %reason, "back to the fallback");
            if let Err(refused) = self.override_split(&service, kind, "proxy", reason) {
                tracing::error!(%service, %refused, code = refused.code(), "cannot go back");
            }
        }
        self.pulse_took = now.elapsed();
    }

    /// Every endpoint, of all services.
    pub(crate) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.services.values().flat_map(Held::endpoints).collect()
    }

    /// The records in force that are not on disk.
    pub(crate) fn not_durable(&self) -> Vec<Record> {
        let late = self.services.values().filter(|held| !held.is_durable);
        late.map(|held| held.record.clone()).collect()
    }

    /// A record reached the disk; it may have been overtaken since it was taken.
    pub(crate) fn is_on_disk(&mut self, record: &Record) {
        if let Some(held) = self.services.get_mut(&record.service) {
            held.is_durable = held.record == *record;
        }
    }

    /// Opens the addresses of tables that were loaded while the port was taken.
    pub(crate) fn bind_missing(&mut self) {
        for address in self.addresses() {
            if let Err(error) = self.listeners.open(address) {
                tracing::warn!(%address, %error, "TG5006 cannot listen, trying again");
            }
        }
    }

    /// Stops accepting everywhere; requests in progress go on.
    pub(crate) fn close_all(&mut self) {
        self.listeners.end();
    }

    /// Closes the addresses that no table uses.
    pub(crate) fn close_unused(&mut self) {
        let in_use = self.addresses();
        self.listeners.retain(|address| in_use.contains(&address));
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        let tables = self.services.values().filter_map(|held| held.record.table.as_ref());
        tables.flat_map(route::entrances).map(|entrance| entrance.address).collect()
    }

    /// Requests that arrive from here on follow the tables as they stand.
    fn publish(&self) {
        let views = self.services.values().filter_map(|held| {
            Some((held.record.table.as_ref()?, Arc::clone(held.view.as_ref()?)))
        });
        let tables = self.services.values().filter_map(|held| held.record.table.as_ref());
        let doors = self.plane.keys.publish(tables);
        self.plane.publish(Routing::new(views, &doors));
    }

    /// The state of a service after a request about it.
    pub(crate) fn ack(&self, service: &str) -> Result<Ack, Refusal> {
        let held = self.services.get(service);
        let record = &held.ok_or_else(|| self.refusal(service, Refused::NoService))?.record;
        Ok(Ack {
            service: record.service.clone(),
            epoch: record.epoch,
            generation: record.generation,
            applied_at_ms: record.applied_at_ms,
            in_override: record.in_override.clone(),
        })
    }

    pub(crate) fn refusal(&self, service: &str, refused: Refused) -> Refusal {
        let held = self.services.get(service);
        refused.into_wire(held.map(|held| (held.record.epoch, held.record.generation)))
    }
}

#[cfg(test)]
mod tests;

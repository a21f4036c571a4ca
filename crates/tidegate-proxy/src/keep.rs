//! What is in force and what is on disk, in the right order.
//!
//! A table: admitted, its address bound, durable, then in force. An override: in force, then
//! durable, because the way back must not wait for a disk, nor for a table that waits for one.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::timeout;

use crate::disk::{Disk, Record};
use crate::listen::Plane;
use crate::refusal::Refused;
use crate::table::Store;
use crate::upgrade::{Failed, Go, Heirloom};
use crate::wire::{Ack, OverrideKind, Refusal, Rehearsed, RollbackRequest, UncheckedTable};

/// How long a write may take before a table is refused. A disk that hangs must not hang the
/// control socket.
const DISK_WAIT: Duration = Duration::from_secs(5);
/// How long the answer to a rollback waits for its durability; the rollback itself does not.
const DURABLE_WAIT: Duration = Duration::from_millis(500);

/// Owns the store and its disk.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Held for moments, never across a wait.
    store: Mutex<Store>,
    plane: Arc<Plane>,
    disk: Arc<Disk>,
    /// Held from taking a record to knowing what became of it on disk, so that an older record
    /// never overwrites a newer one.
    turn: tokio::sync::Mutex<()>,
}

impl Keeper {
    /// Loads the last good state and serves it at once, on sockets that were given along where
    /// there are any.
    pub(crate) fn open(
        disk: Disk,
        plane: Arc<Plane>,
        sockets: Vec<TcpListener>,
        heirlooms: Vec<Heirloom>,
    ) -> io::Result<Self> {
        let records = disk.load()?;
        plane.keys.load_at_start(records.iter().filter_map(|record| record.table.as_ref()));
        let store = Mutex::new(Store::new(records, Arc::clone(&plane), sockets, heirlooms));
        Ok(Self { store, plane, disk: Arc::new(disk), turn: tokio::sync::Mutex::new(()) })
    }

    /// Writes nothing and takes no table while the guard lives and until
    /// [`Store::unfreeze`]. An override is in force all the same.
    pub(crate) async fn freeze(&self) -> Result<MutexGuard<'_, ()>, Failed> {
        let turn = self.turn.lock().await;
        self.store().freeze()?;
        Ok(turn)
    }

    /// A copy of the lock on the state directory.
    pub(crate) fn lock(&self) -> io::Result<File> {
        self.disk.lock()
    }

    /// Leaves sockets and disk to a successor.
    pub(crate) fn retire(&self) -> Go {
        let last = self.store().retire();
        self.disk.leave();
        last
    }

    /// The store, for what needs no disk.
    pub(crate) fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a table that is newer than the one in force.
    pub(crate) async fn put(&self, table: UncheckedTable) -> Result<Ack, Refusal> {
        let service = table.service().to_owned();
        let _turn = self.turn.lock().await;
        let prepared = self.prepare(table).await;
        self.apply(&service, prepared).await
    }

    /// Whether a table would be applied: its address is opened for as long as it takes to know.
    pub(crate) async fn rehearse(&self, table: UncheckedTable) -> Result<Rehearsed, Refusal> {
        let service = table.service().to_owned();
        let _turn = self.turn.lock().await;
        let prepared = self.prepare(table).await;
        let mut store = self.store();
        store.close_unused();
        prepared.map(|_record| Rehearsed {}).map_err(|refused| store.refusal(&service, refused))
    }

    async fn prepare(&self, table: UncheckedTable) -> Result<Option<Record>, Refused> {
        let table = table.verify().map_err(Refused::Table)?;
        if let Some(tls) = &table.tls {
            self.plane.keys.ensure(tls).await.map_err(Refused::Certificate)?;
        }
        self.store().prepare(table)
    }

    /// Takes a service out.
    pub(crate) async fn delete(&self, service: &str, fence: (u64, u64)) -> Result<Ack, Refusal> {
        let _turn = self.turn.lock().await;
        let prepared = self.store().prepare_removal(service, fence);
        self.apply(service, prepared).await
    }

    async fn apply(
        &self,
        service: &str,
        prepared: Result<Option<Record>, Refused>,
    ) -> Result<Ack, Refusal> {
        let entered = match prepared {
            Ok(None) => Ok(()),
            Err(refused) => Err(refused),
            Ok(Some(record)) => match self.save(&record).await {
                Ok(()) => self.store().enter(record),
                Err(error) => {
                    self.store().close_unused();
                    Err(Refused::Disk(error))
                }
            },
        };
        let store = self.store();
        entered.map_err(|refused| store.refusal(service, refused))?;
        store.ack(service)
    }

    /// Goes back to the fallback at a person's word.
    pub(crate) async fn rollback(&self, request: RollbackRequest) -> Result<Ack, Refusal> {
        let RollbackRequest { service, actor, reason } = request;
        {
            let mut store = self.store();
            let overridden =
                store.override_split(&service, OverrideKind::Emergency, &actor, reason);
            overridden.map_err(|refused| store.refusal(&service, refused))?;
        }
        if timeout(DURABLE_WAIT, self.save_missing()).await.is_err() {
            tracing::error!(service, "TG5007 a rollback is in force and not durable yet");
        }
        self.store().ack(&service)
    }

    /// Tries again what a disk or a port refused.
    pub(crate) async fn mend(&self) {
        self.save_missing().await;
        {
            let mut store = self.store();
            if !store.is_serving() {
                return;
            }
            store.bind_missing();
        }
        self.plane.keys.mend().await;
    }

    async fn save_missing(&self) {
        if self.store().not_durable().is_empty() {
            return;
        }
        let _turn = self.turn.lock().await;
        if !self.store().is_serving() {
            return;
        }
        let late = self.store().not_durable();
        for record in late {
            match self.save(&record).await {
                Ok(()) => self.store().is_on_disk(&record),
                Err(error) => {
                    let service = &record.service;
                    tracing::error!(service, %error, "TG5007 an override is not durable yet");
                }
            }
        }
    }

    async fn save(&self, record: &Record) -> io::Result<()> {
        let (disk, record) = (Arc::clone(&self.disk), record.clone());
        let write = tokio::task::spawn_blocking(move || disk.save(&record));
        match timeout(DISK_WAIT, write).await {
            Ok(written) => written.map_err(io::Error::other)?,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the disk hangs")),
        }
    }
}

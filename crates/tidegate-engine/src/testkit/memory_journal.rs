//! A journal in memory that behaves like the one on disk, and fails where a test tells it to.
//!
//! It encodes and decodes every event as a real store does, so that what would not survive a
//! disk does not survive here. Must never be kinder than the world: a lost reply looks like a
//! failed append. Must never use a clock or a random number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::digest::Digest;
use tidegate_core::event::{Event, Recorded};
use tidegate_core::ids::{DeploymentId, Scope};

use crate::ports::{DeploymentRow, Journal, JournalError, Placed, Snapshot, Verified};

/// Most bytes of one event, as in the store on disk.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// What becomes of one append, before or after it takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The caller is told that the store did not answer. Before: nothing was written. After: it
    /// was, and the reply is lost.
    Fail,
    /// The caller never gets an answer: its process dies here.
    Hang,
}

/// Where an append is.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The stream.
    pub scope: &'a Scope,
    /// The sequence that its writer expects.
    pub expected: u64,
    /// The writer's epoch.
    pub epoch: u64,
    /// The events.
    pub events: &'a [Recorded],
}

/// Decides which appends fail. Called in the order of the appends, never for one that is refused.
pub trait Faults: Send + Sync + std::fmt::Debug {
    /// Before anything is written.
    fn before(&self, _attempt: Attempt<'_>) -> Fault {
        Fault::None
    }

    /// After it was written, before the caller hears of it.
    fn after(&self, _attempt: Attempt<'_>) -> Fault {
        Fault::None
    }
}

/// No faults.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}

/// One process's view of a shared storage. Clones are the same process; [`Self::reopened`] is
/// another one on the same storage.
#[derive(Debug, Clone)]
pub struct MemoryJournal {
    storage: Arc<Mutex<Storage>>,
    process: Arc<Process>,
}

/// Frees the lease when the last clone is gone, as a lock of the operating system does.
#[derive(Debug)]
struct Process {
    number: u64,
    storage: Arc<Mutex<Storage>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut storage = locked(&self.storage);
        if storage.lease.as_ref().is_some_and(|lease| lease.process == self.number) {
            storage.lease = None;
        }
    }
}

#[derive(Debug)]
struct Storage {
    streams: BTreeMap<Scope, Vec<Row>>,
    snapshots: BTreeMap<Scope, Snapshot>,
    /// In the order in which they began.
    deployments: Vec<DeploymentRow>,
    lease: Option<Lease>,
    epoch: u64,
    processes: u64,
    faults: Arc<dyn Faults>,
}

#[derive(Debug)]
struct Row {
    position: u64,
    payload: String,
}

#[derive(Debug)]
struct Lease {
    process: u64,
    holder: String,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new(Arc::new(NoFaults))
    }
}

fn locked(storage: &Mutex<Storage>) -> MutexGuard<'_, Storage> {
    // Nothing here panics between two changes that belong together.
    storage.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryJournal {
    /// An empty storage, and the first process on it.
    #[must_use]
    pub fn new(faults: Arc<dyn Faults>) -> Self {
        let storage = Arc::new(Mutex::new(Storage {
            streams: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            deployments: Vec::new(),
            lease: None,
            epoch: 0,
            processes: 1,
            faults,
        }));
        let process = Arc::new(Process { number: 1, storage: Arc::clone(&storage) });
        Self { storage, process }
    }

    /// Another process on the same storage.
    #[must_use]
    pub fn reopened(&self) -> Self {
        let mut storage = self.storage();
        storage.processes += 1;
        let number = storage.processes;
        drop(storage);
        let process = Arc::new(Process { number, storage: Arc::clone(&self.storage) });
        Self { storage: Arc::clone(&self.storage), process }
    }

    /// Takes the lease from whoever has it, without telling them: what a database does with a
    /// writer that was silent too long. They learn it from their next append, once another
    /// writer has acquired.
    pub fn expire_lease(&self) {
        self.storage().lease = None;
    }

    /// Puts other faults in place, for all processes.
    pub fn set_faults(&self, faults: Arc<dyn Faults>) {
        self.storage().faults = faults;
    }

    /// Changes the stored text of one event, as a failing disk or an unknown hand would.
    /// Says whether there is such an event.
    #[must_use]
    pub fn tamper(&self, scope: &Scope, seq: u64, change: impl FnOnce(&mut String)) -> bool {
        let mut storage = self.storage();
        let row = storage.streams.get_mut(scope).and_then(|rows| rows.get_mut(index(seq)?));
        row.is_some_and(|row| {
            change(&mut row.payload);
            true
        })
    }

    fn storage(&self) -> MutexGuard<'_, Storage> {
        locked(&self.storage)
    }
}

/// Place of a sequence in its stream.
fn index(seq: u64) -> Option<usize> {
    usize::try_from(seq.checked_sub(1)?).ok()
}

fn unavailable(code: &'static str, what: String) -> JournalError {
    JournalError::Unavailable { code, what }
}

/// Encodes the events, checked as the store on disk does.
fn payloads(
    scope: &Scope,
    expected: u64,
    events: &[Recorded],
) -> Result<Vec<String>, JournalError> {
    let mut payloads = Vec::with_capacity(events.len());
    for (offset, event) in (1..).zip(events) {
        let due = expected.saturating_add(offset);
        if event.seq != due {
            let what = format!("{scope} entry {} stands where {due} is due", event.seq);
            return Err(unavailable("TG6008", what));
        }
        let payload = serde_json::to_string(event)
            .map_err(|error| unavailable("TG6008", format!("{scope} entry {due}: {error}")))?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            let what = format!("{scope} entry {due} has {} bytes", payload.len());
            return Err(unavailable("TG6007", what));
        }
        if serde_json::from_str::<Recorded>(&payload).ok().as_ref() != Some(event) {
            let what = format!("{scope} entry {due} does not read back as it was given");
            return Err(unavailable("TG6008", what));
        }
        payloads.push(payload);
    }
    Ok(payloads)
}

impl Storage {
    fn check(&self, attempt: Attempt<'_>) -> Result<(), JournalError> {
        let Attempt { scope, expected, epoch, events } = attempt;
        if epoch != self.epoch || epoch == 0 {
            return Err(JournalError::Fenced { epoch, current: self.epoch });
        }
        let actual = self.head(scope);
        if actual != expected {
            return Err(JournalError::Conflict { expected, actual });
        }
        let mut fresh: Vec<&DeploymentId> = Vec::new();
        for event in events {
            let Event::DeploymentStarted { deployment, .. } = &event.event else { continue };
            let known = self.deployments.iter().any(|row| row.deployment == *deployment);
            if known || fresh.contains(&deployment) {
                let what = format!("deployment {deployment} exists already");
                return Err(unavailable("TG6008", what));
            }
            fresh.push(deployment);
        }
        Ok(())
    }

    fn write(&mut self, scope: &Scope, events: &[Recorded], payloads: Vec<String>) {
        let base: u64 = self.streams.values().map(|rows| rows.len() as u64).sum();
        let rows = self.streams.entry(scope.clone()).or_default();
        rows.extend((base..).zip(payloads).map(|(position, payload)| Row { position, payload }));
        for event in events {
            self.list(scope, event);
        }
    }

    fn list(&mut self, scope: &Scope, recorded: &Recorded) {
        match &recorded.event {
            Event::DeploymentStarted { deployment, plan, .. } => {
                self.deployments.push(DeploymentRow {
                    deployment: deployment.clone(),
                    scope: scope.clone(),
                    version: plan.release.version.clone(),
                    first_seq: recorded.seq,
                    last_seq: None,
                    started_at: whole_microseconds(recorded.at),
                    started_by: recorded.actor.clone(),
                    ended_at: None,
                    ending: None,
                    why: None,
                });
            }
            Event::DeploymentEnded { deployment, ending, why } => {
                let row = self.deployments.iter_mut().find(|row| row.deployment == *deployment);
                if let Some(row) = row {
                    row.last_seq = Some(recorded.seq);
                    row.ended_at = Some(whole_microseconds(recorded.at));
                    row.ending = Some(*ending);
                    row.why = Some(why.clone());
                }
            }
            _ => {}
        }
    }

    fn head(&self, scope: &Scope) -> u64 {
        self.streams.get(scope).map_or(0, |rows| rows.len() as u64)
    }
}

/// Stores keep microseconds.
fn whole_microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

fn decoded(scope: &Scope, seq: u64, row: &Row) -> Result<Recorded, JournalError> {
    serde_json::from_str::<Recorded>(&row.payload).ok().filter(|event| event.seq == seq).ok_or_else(
        || JournalError::Damaged {
            code: "TG6010",
            what: format!("{scope} entry {seq}: it is not what was written"),
        },
    )
}

/// What a fault means for the caller.
async fn suffer(fault: Fault) -> Result<(), JournalError> {
    match fault {
        Fault::None => Ok(()),
        Fault::Fail => Err(unavailable("TG6006", "the journal has not answered".to_owned())),
        Fault::Hang => std::future::pending().await,
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn acquire(&self, holder: &str, _now: Timestamp) -> Result<u64, JournalError> {
        let mut storage = self.storage();
        match &storage.lease {
            Some(lease) if lease.process != self.process.number => {
                Err(JournalError::Held { holder: lease.holder.clone() })
            }
            _ => {
                let process = self.process.number;
                storage.lease = Some(Lease { process, holder: holder.to_owned() });
                storage.epoch += 1;
                Ok(storage.epoch)
            }
        }
    }

    async fn append(
        &self,
        scope: &Scope,
        expected: u64,
        epoch: u64,
        events: &[Recorded],
    ) -> Result<(), JournalError> {
        let payloads = payloads(scope, expected, events)?;
        let attempt = Attempt { scope, expected, epoch, events };
        let before = {
            let storage = self.storage();
            storage.check(attempt)?;
            storage.faults.before(attempt)
        };
        suffer(before).await?;
        let after = {
            let mut storage = self.storage();
            // Again: another task may have written while this one had no lock.
            storage.check(attempt)?;
            storage.write(scope, events, payloads);
            storage.faults.after(attempt)
        };
        suffer(after).await
    }

    async fn read(
        &self,
        scope: &Scope,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, JournalError> {
        let storage = self.storage();
        let Some(rows) = storage.streams.get(scope) else { return Ok(Vec::new()) };
        let from = usize::try_from(after).unwrap_or(usize::MAX);
        (1..)
            .zip(rows)
            .skip(from)
            .take(limit as usize)
            .map(|(seq, row)| decoded(scope, seq, row))
            .collect()
    }

    async fn streams(&self) -> Result<Vec<(Scope, u64)>, JournalError> {
        let storage = self.storage();
        Ok(storage.streams.keys().map(|scope| (scope.clone(), storage.head(scope))).collect())
    }

    async fn put_snapshot(&self, scope: &Scope, snapshot: &Snapshot) -> Result<(), JournalError> {
        self.storage().snapshots.insert(scope.clone(), snapshot.clone());
        Ok(())
    }

    async fn snapshot(&self, scope: &Scope) -> Result<Option<Snapshot>, JournalError> {
        let storage = self.storage();
        let head = storage.head(scope);
        Ok(storage.snapshots.get(scope).filter(|snapshot| snapshot.seq <= head).cloned())
    }

    async fn deployments(
        &self,
        scope: Option<&Scope>,
        before: Option<&DeploymentId>,
        limit: u32,
    ) -> Result<Vec<DeploymentRow>, JournalError> {
        let storage = self.storage();
        let rows = &storage.deployments;
        let known = match before {
            None => rows.len(),
            Some(id) => rows.iter().position(|row| row.deployment == *id).unwrap_or(0),
        };
        let newest_first = rows.iter().take(known).rev();
        let wanted = newest_first.filter(|row| scope.is_none_or(|scope| row.scope == *scope));
        Ok(wanted.take(limit as usize).cloned().collect())
    }

    async fn recent(
        &self,
        scope: Option<&Scope>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Placed>, JournalError> {
        let storage = self.storage();
        let streams = storage.streams.iter().filter(|(of, _)| scope.is_none_or(|one| one == *of));
        let mut found: Vec<Placed> = streams
            .flat_map(|(of, rows)| (1..).zip(rows).map(move |(seq, row)| (of, seq, row)))
            .filter(|(_, _, row)| before.is_none_or(|before| row.position < before))
            .map(|(of, seq, row)| Placed {
                position: row.position,
                scope: Some(of.clone()),
                recorded: decoded(of, seq, row),
            })
            .collect();
        found.sort_by_key(|placed| std::cmp::Reverse(placed.position));
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn find(&self, id: &DeploymentId) -> Result<Option<DeploymentRow>, JournalError> {
        let storage = self.storage();
        Ok(storage.deployments.iter().find(|row| row.deployment == *id).cloned())
    }

    async fn verify(&self) -> Result<Verified, JournalError> {
        let storage = self.storage();
        let mut payloads = BTreeMap::new();
        for (scope, rows) in &storage.streams {
            for (seq, row) in (1..).zip(rows) {
                decoded(scope, seq, row)?;
                payloads.insert(row.position, row.payload.as_bytes());
            }
        }
        let written: Vec<&[u8]> = payloads.into_values().collect();
        Ok(Verified {
            events: written.len() as u64,
            streams: storage.streams.len() as u64,
            // Not a tree: one hash over everything is enough to see a change in memory.
            root: Digest::of(&written.concat()).as_str().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;

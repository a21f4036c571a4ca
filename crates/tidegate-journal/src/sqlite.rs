//! The journal in one SQLite file: its writer, its readers, its lock.
//! Must never be opened twice: a second process is refused before it reads a byte.

mod append;
mod copy;
mod failure;
mod open;
mod read;
mod sql;
mod trail;
mod verify;
mod writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{SqliteConnection, SqlitePool};
use tidegate_audit::Entry;
use tidegate_core::event::Recorded;
use tidegate_core::ids::{DeploymentId, Scope};
use tidegate_engine::ports::{
    DeploymentRow, Journal, JournalError, Placed, Proofs, Snapshot, Trail, TreeHead, Verified,
    Wanted,
};

use crate::checkpoint::{self, Checkpoint};
use crate::codes;
use crate::entry::{entries, stream_of};
use crate::lock::{self, StateLock};
use crate::projection::Change;
use append::{Acquire, Append, PutSnapshot, Staged};
use read::{READ_WAIT, VERIFY_WAIT};
use writer::{Command, Writer};

pub use copy::{Copied, copy, inspect};

/// Most bytes of a snapshot: a state with full history stays below a hundredth of it.
pub const SNAPSHOT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most characters kept of a holder's name.
const HOLDER_CHARS_MAX: usize = 128;

/// How much was made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Transactions, each with one fsync.
    pub transactions: u64,
    /// Appends, leases and snapshots in them, the refused ones as well.
    pub commands: u64,
}

/// The journal of one state directory.
///
/// Dropping it lets the writer finish what is queued and then frees the directory;
/// [`Sqlite::close`] does the same and returns when it is done.
#[derive(Debug)]
pub struct Sqlite {
    writer: Writer,
    readers: SqlitePool,
    checkpoint_path: PathBuf,
    /// The highest epoch that the checkpoint outside speaks of.
    epoch_outside: u64,
}

impl Sqlite {
    /// Opens the journal of a state directory; creates both when they are missing.
    /// Must be called within a Tokio runtime, where its writer then lives.
    ///
    /// # Errors
    /// [`JournalError::Held`] when another process has it open. [`JournalError::Unavailable`] when
    /// the directory cannot be written, lies on a network file system, or holds a newer layout.
    /// [`JournalError::Damaged`] when the file is no database or does not fit its checkpoint.
    pub async fn open(state_dir: &Path) -> Result<Self, JournalError> {
        open::create_dir(state_dir)?;
        lock::refuse_network(state_dir)?;
        let lock = StateLock::take(state_dir)?;
        let checkpoint_path = checkpoint::path_in(state_dir);
        let outside = Checkpoint::read(&checkpoint_path)?;
        let mut opened = open::open(state_dir).await?;
        let ends = ends(&mut opened.writer).await?;
        if let Some(outside) = &outside {
            ends.refuse_older_than(outside)?;
        }
        let epoch_outside = outside.map_or(0, |outside| outside.epoch);
        let writer =
            Writer::start(opened.writer, opened.options, ends, checkpoint_path.clone(), lock);
        Ok(Self { writer, readers: opened.readers, checkpoint_path, epoch_outside })
    }

    /// What was made durable since it was opened: commands, and the transactions they shared.
    #[must_use]
    pub fn written(&self) -> Written {
        let counters = &self.writer.counters;
        Written {
            transactions: counters.transactions.load(Ordering::Relaxed),
            commands: counters.commands.load(Ordering::Relaxed),
        }
    }

    /// Writes what is queued, then the checkpoint, closes the file and frees the directory.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the writer did not end in time, or has already.
    pub async fn close(&self) -> Result<(), JournalError> {
        self.readers.close().await;
        self.writer.ask(Command::Close, 0).await.map(drop)
    }
}

/// Where the journal ends, as the database has it.
async fn ends(connection: &mut SqliteConnection) -> Result<Checkpoint, JournalError> {
    let epoch = append::read_epoch(connection).await?;
    let tree = append::read_tree(connection).await?;
    Ok(Checkpoint { size: tree.size(), root: tree.root(), epoch })
}

#[async_trait]
impl Journal for Sqlite {
    async fn acquire(&self, holder: &str, now: Timestamp) -> Result<u64, JournalError> {
        let command = Command::Acquire(Acquire {
            holder: holder.chars().take(HOLDER_CHARS_MAX).collect(),
            at_us: now.as_microsecond(),
            above: self.epoch_outside,
        });
        self.writer.ask(command, 0).await
    }

    async fn append(
        &self,
        scope: &Scope,
        expected: u64,
        epoch: u64,
        events: &[Recorded],
    ) -> Result<(), JournalError> {
        let mut bytes = 0;
        let mut staged = Vec::with_capacity(events.len());
        for (entry, event) in entries(scope, expected, epoch, events)?.into_iter().zip(events) {
            bytes += entry.payload.len();
            let (leaf, change) = (entry.leaf(), Change::of(scope, event)?);
            staged.push(Staged { leaf, change, entry });
        }
        let stream = stream_of(scope);
        let command = Command::Append(Append { stream, expected, epoch, staged });
        self.writer.ask(command, bytes).await.map(drop)
    }

    async fn read(
        &self,
        scope: &Scope,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, JournalError> {
        read::within(READ_WAIT, "a stream", read::events(&self.readers, scope, after, limit)).await
    }

    async fn streams(&self) -> Result<Vec<(Scope, u64)>, JournalError> {
        read::within(READ_WAIT, "the streams", read::streams(&self.readers)).await
    }

    async fn put_snapshot(&self, scope: &Scope, snapshot: &Snapshot) -> Result<(), JournalError> {
        if snapshot.bytes.len() > SNAPSHOT_BYTES_MAX {
            return Err(JournalError::Unavailable {
                code: codes::TOO_LARGE,
                what: format!(
                    "a snapshot of {scope} has {} bytes, more than {SNAPSHOT_BYTES_MAX}",
                    snapshot.bytes.len()
                ),
            });
        }
        let (stream, seq) = (stream_of(scope), append::number(snapshot.seq)?);
        let bytes = snapshot.bytes.clone();
        let digest = read::snapshot_digest(&stream, seq, snapshot.schema, &bytes);
        let size = bytes.len();
        let schema = snapshot.schema;
        let command = Command::Snapshot(PutSnapshot { stream, seq, schema, bytes, digest });
        self.writer.ask(command, size).await.map(drop)
    }

    async fn snapshot(&self, scope: &Scope) -> Result<Option<Snapshot>, JournalError> {
        read::within(READ_WAIT, "a snapshot", read::snapshot(&self.readers, scope)).await
    }

    async fn deployments(
        &self,
        scope: Option<&Scope>,
        before: Option<&DeploymentId>,
        limit: u32,
    ) -> Result<Vec<DeploymentRow>, JournalError> {
        let list = read::deployments(&self.readers, scope, before, limit);
        read::within(READ_WAIT, "the deployments", list).await
    }

    async fn recent(
        &self,
        scope: Option<&Scope>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Placed>, JournalError> {
        let entries = read::recent(&self.readers, scope, before, limit);
        read::within(READ_WAIT, "the newest entries", entries).await
    }

    async fn find(&self, id: &DeploymentId) -> Result<Option<DeploymentRow>, JournalError> {
        read::within(READ_WAIT, "a deployment", read::find(&self.readers, id)).await
    }

    async fn verify(&self) -> Result<Verified, JournalError> {
        let verified = verify::verify(&self.readers, &self.checkpoint_path);
        read::within(VERIFY_WAIT, "the verification", verified).await
    }
}

#[async_trait]
impl Trail for Sqlite {
    async fn head(&self) -> Result<TreeHead, JournalError> {
        read::within(READ_WAIT, "the tree", trail::head(&self.readers)).await
    }

    async fn entries(
        &self,
        wanted: &Wanted,
        limit: u32,
    ) -> Result<Vec<(u64, Entry)>, JournalError> {
        read::within(READ_WAIT, "entries", trail::entries(&self.readers, wanted, limit)).await
    }

    async fn prove(
        &self,
        size: u64,
        positions: &BTreeSet<u64>,
    ) -> Result<Option<Proofs>, JournalError> {
        let proven = trail::prove(&self.readers, size, positions);
        read::within(VERIFY_WAIT, "the proofs", proven).await
    }
}

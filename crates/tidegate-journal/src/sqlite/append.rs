//! What one command does inside the writer's transaction.
//!
//! Everything is read again in every transaction: after a failed commit there is no memory that
//! could disagree with the file. Must never look at a clock, nor at what readers see.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use tidegate_engine::ports::JournalError;

use super::{failure, sql};
use crate::checkpoint::Checkpoint;
use crate::codes;
use crate::entry::{Entry, actor_text, stream_of};
use crate::merkle::{Frontier, Hash};
use crate::projection::{Change, ending_text};

/// Entries between two roots that are kept for ever.
pub(super) const CHECKPOINT_EVERY: u64 = 1000;

/// Events of one stream, checked and encoded.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) stream: String,
    pub(super) expected: u64,
    pub(super) epoch: u64,
    pub(super) staged: Vec<Staged>,
}

/// An event with all that can be computed before it is the writer's turn.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) leaf: Hash,
    pub(super) change: Option<Change>,
    pub(super) entry: Entry,
}

/// A new writer.
#[derive(Debug)]
pub(super) struct Acquire {
    pub(super) holder: String,
    pub(super) at_us: i64,
    /// No epoch at or below it is given out: the database may be a restored copy.
    pub(super) above: u64,
}

/// A snapshot with its digest.
#[derive(Debug)]
pub(super) struct PutSnapshot {
    pub(super) stream: String,
    pub(super) seq: i64,
    pub(super) schema: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Hash,
}

/// What the writer did or did not do for one caller.
pub(super) type Answer = Result<u64, JournalError>;

/// The journal's ends as they stand inside one transaction.
#[derive(Debug)]
pub(super) struct Ends {
    tree: Frontier,
    size_before: u64,
    epoch: u64,
    heads: BTreeMap<String, Head>,
    last_at_us: i64,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    seq: u64,
    moved: bool,
}

/// Numbers of ours never come near the end of `i64`; a caller's may.
pub(super) fn number(value: u64) -> Result<i64, JournalError> {
    i64::try_from(value).map_err(|error| JournalError::Unavailable {
        code: codes::REFUSED,
        what: format!("{value} is no number of an entry: {error}; nothing was written"),
    })
}

/// Reads a number back.
pub(super) fn unsigned(value: i64, what: &str) -> Result<u64, JournalError> {
    u64::try_from(value).map_err(|error| JournalError::Damaged {
        code: codes::CHANGED,
        what: format!("{what} is {value}: {error}"),
    })
}

impl Ends {
    /// Reads them.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when the tree's row is not one.
    pub(super) async fn read(tx: &mut SqliteConnection) -> Result<Self, JournalError> {
        let epoch = read_epoch(tx).await?;
        let tree = read_tree(tx).await?;
        let size_before = tree.size();
        Ok(Self { tree, size_before, epoch, heads: BTreeMap::new(), last_at_us: 0 })
    }

    /// Leaves, root and epoch.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint { size: self.tree.size(), root: self.tree.root(), epoch: self.epoch }
    }

    /// Writes what changed.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn write(&self, tx: &mut SqliteConnection) -> Result<(), JournalError> {
        if self.tree.size() == self.size_before {
            return Ok(());
        }
        for (stream, head) in self.heads.iter().filter(|(_, head)| head.moved) {
            sqlx::query(sql::PUT_HEAD)
                .bind(stream)
                .bind(number(head.seq)?)
                .execute(&mut *tx)
                .await
                .map_err(failure::of)?;
        }
        let (size, root) = (self.tree.size(), self.tree.root());
        sqlx::query(sql::PUT_TREE)
            .bind(number(size)?)
            .bind(self.tree.bytes())
            .bind(root.as_slice())
            .execute(&mut *tx)
            .await
            .map_err(failure::of)?;
        if size / CHECKPOINT_EVERY > self.size_before / CHECKPOINT_EVERY {
            sqlx::query(sql::PUT_CHECKPOINT)
                .bind(number(size)?)
                .bind(root.as_slice())
                .bind(self.last_at_us)
                .execute(&mut *tx)
                .await
                .map_err(failure::of)?;
        }
        Ok(())
    }

    /// Appends, or says why not. Either all entries of it are in the transaction, or none.
    ///
    /// # Errors
    /// Those of the store: the whole transaction is void then.
    pub(super) async fn append(
        &mut self,
        tx: &mut SqliteConnection,
        append: &Append,
    ) -> Result<Answer, JournalError> {
        let head = self.head(tx, &append.stream).await?;
        if append.epoch != self.epoch || self.epoch == 0 {
            let (epoch, current) = (append.epoch, self.epoch);
            return Ok(Err(JournalError::Fenced { epoch, current }));
        }
        if append.expected != head {
            let expected = append.expected;
            return Ok(Err(JournalError::Conflict { expected, actual: head }));
        }
        if let Some(refusal) = twice(tx, append).await? {
            return Ok(Err(refusal));
        }
        for staged in &append.staged {
            let position = number(self.tree.size())?;
            put_event(tx, position, staged).await?;
            if let Some(change) = &staged.change {
                put_change(tx, position, change).await?;
            }
            self.tree.push(staged.leaf);
            self.last_at_us = staged.entry.at_us;
        }
        if let Some(last) = append.staged.last() {
            self.heads.insert(append.stream.clone(), Head { seq: last.entry.seq, moved: true });
        }
        Ok(Ok(0))
    }

    /// Gives out the next epoch.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn acquire(
        &mut self,
        tx: &mut SqliteConnection,
        acquire: &Acquire,
    ) -> Result<Answer, JournalError> {
        let epoch = self.epoch.max(acquire.above).saturating_add(1);
        sqlx::query(sql::PUT_LEASE)
            .bind(&acquire.holder)
            .bind(number(epoch)?)
            .bind(acquire.at_us)
            .execute(tx)
            .await
            .map_err(failure::of)?;
        self.epoch = epoch;
        Ok(Ok(epoch))
    }

    async fn head(&mut self, tx: &mut SqliteConnection, stream: &str) -> Result<u64, JournalError> {
        if let Some(head) = self.heads.get(stream) {
            return Ok(head.seq);
        }
        let seq = read_head(tx, stream).await?.unwrap_or(0);
        self.heads.insert(stream.to_owned(), Head { seq, moved: false });
        Ok(seq)
    }
}

/// The current epoch; 0 before the first writer.
///
/// # Errors
/// Those of the store.
pub(super) async fn read_epoch(tx: &mut SqliteConnection) -> Result<u64, JournalError> {
    let epoch: Option<i64> =
        sqlx::query_scalar(sql::LEASE).fetch_optional(tx).await.map_err(failure::of)?;
    unsigned(epoch.unwrap_or(0), "the epoch")
}

/// The last sequence of a stream; `None` when it has none.
///
/// # Errors
/// Those of the store.
pub(super) async fn read_head(
    tx: &mut SqliteConnection,
    stream: &str,
) -> Result<Option<u64>, JournalError> {
    let head: Option<i64> =
        sqlx::query_scalar(sql::HEAD).bind(stream).fetch_optional(tx).await.map_err(failure::of)?;
    head.map(|head| unsigned(head, "the end of a stream")).transpose()
}

/// The tree as its row has it.
///
/// # Errors
/// [`JournalError::Damaged`] when size, frontier and root do not belong together.
pub(super) async fn read_tree(tx: &mut SqliteConnection) -> Result<Frontier, JournalError> {
    let row: Option<(i64, Vec<u8>, Vec<u8>)> =
        sqlx::query_as(sql::TREE).fetch_optional(tx).await.map_err(failure::of)?;
    let Some((size, frontier, root)) = row else {
        return Ok(Frontier::default());
    };
    let size = unsigned(size, "the size of the tree")?;
    Frontier::from_bytes(size, &frontier).filter(|tree| tree.root().as_slice() == root).ok_or_else(
        || JournalError::Damaged {
            code: codes::CHANGED,
            what: format!("the stored tree of {size} entries does not have its stored root"),
        },
    )
}

/// A deployment id names one deployment for ever.
async fn twice(
    tx: &mut SqliteConnection,
    append: &Append,
) -> Result<Option<JournalError>, JournalError> {
    let mut fresh = Vec::new();
    for staged in &append.staged {
        let Some(Change::Started(row)) = &staged.change else { continue };
        let owner: Option<String> = sqlx::query_scalar(sql::OWNER)
            .bind(row.deployment.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(failure::of)?;
        let again = fresh.contains(&&row.deployment);
        if let Some(owner) = owner.or_else(|| again.then(|| append.stream.clone())) {
            return Ok(Some(JournalError::Unavailable {
                code: codes::REFUSED,
                what: format!(
                    "deployment {} exists already in {owner}; nothing was written",
                    row.deployment
                ),
            }));
        }
        fresh.push(&row.deployment);
    }
    Ok(None)
}

async fn put_event(
    tx: &mut SqliteConnection,
    position: i64,
    staged: &Staged,
) -> Result<(), JournalError> {
    let entry = &staged.entry;
    let put = sqlx::query(sql::PUT_EVENT)
        .bind(position)
        .bind(&entry.stream)
        .bind(number(entry.seq)?)
        .bind(number(entry.epoch)?)
        .bind(entry.at_us)
        .bind(&entry.kind)
        .bind(i64::from(entry.schema))
        .bind(&entry.actor)
        .bind(&entry.payload)
        .bind(staged.leaf.as_slice());
    put.execute(tx).await.map(drop).map_err(failure::of)
}

async fn put_change(
    tx: &mut SqliteConnection,
    position: i64,
    change: &Change,
) -> Result<(), JournalError> {
    let put = match change {
        Change::Started(row) => sqlx::query(sql::PUT_STARTED)
            .bind(position)
            .bind(row.deployment.as_str())
            .bind(stream_of(&row.scope))
            .bind(&row.version)
            .bind(number(row.first_seq)?)
            .bind(row.started_at.as_microsecond())
            .bind(actor_text(&row.started_by)),
        Change::Ended(closing) => sqlx::query(sql::PUT_ENDED)
            .bind(closing.deployment.as_str())
            .bind(number(closing.last_seq)?)
            .bind(closing.ended_us)
            .bind(ending_text(closing.ending))
            .bind(&closing.why),
    };
    put.execute(tx).await.map(drop).map_err(failure::of)
}

/// Keeps a snapshot in place of the stream's older one.
///
/// # Errors
/// Those of the store.
pub(super) async fn put_snapshot(
    tx: &mut SqliteConnection,
    snapshot: &PutSnapshot,
) -> Result<Answer, JournalError> {
    let put = sqlx::query(sql::PUT_SNAPSHOT)
        .bind(&snapshot.stream)
        .bind(snapshot.seq)
        .bind(i64::from(snapshot.schema))
        .bind(&snapshot.bytes)
        .bind(snapshot.digest.as_slice());
    put.execute(tx).await.map(|_| Ok(0)).map_err(failure::of)
}

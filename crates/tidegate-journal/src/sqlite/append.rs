//! What one command does inside the writer's transaction.
//!
//! Everything is read again in every transaction: after a failed commit there is no memory that
//! could disagree with the file. Must never look at a clock, nor at what readers see.

use std::collections::BTreeMap;

use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use tidegate_audit::Entry;
use tidegate_audit::merkle::{Frontier, Hash};
use tidegate_engine::ports::{JournalError, actor_text};

use super::{failure, sql};
use crate::checkpoint::Checkpoint;
use crate::codes;
use crate::entry::stream_of;
use crate::projection::{Change, ending_text};

/// Entries between two roots that are kept for ever.
pub(super) const CHECKPOINT_EVERY: u64 = 1000;
/// Rows of one statement. A statement costs two changes of thread, a row in it next to nothing;
/// above this the gain is gone, and SQLite would have to prepare ever longer texts.
const ROWS_MAX: usize = 32;

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
pub(super) struct Ends<'a> {
    tree: Frontier,
    size_before: u64,
    epoch: u64,
    heads: BTreeMap<&'a str, Head>,
    /// Entries that have their position and are not yet in the transaction.
    fresh: Vec<(i64, &'a Staged)>,
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

impl<'a> Ends<'a> {
    /// Reads them, with the ends of these streams.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when the tree's row is not one.
    pub(super) async fn read(
        tx: &mut SqliteConnection,
        streams: impl Iterator<Item = &'a str>,
    ) -> Result<Self, JournalError> {
        let epoch = read_epoch(tx).await?;
        let tree = read_tree(tx).await?;
        let size_before = tree.size();
        let heads = read_heads(tx, streams).await?;
        Ok(Self { tree, size_before, epoch, heads, fresh: Vec::new(), last_at_us: 0 })
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
        put_events(tx, &self.fresh).await?;
        put_heads(tx, &self.heads).await?;
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
        append: &'a Append,
    ) -> Result<Answer, JournalError> {
        let head = self.heads.get(append.stream.as_str()).map_or(0, |head| head.seq);
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
            self.fresh.push((position, staged));
            if let Some(change) = &staged.change {
                put_change(tx, position, change).await?;
            }
            self.tree.push(staged.leaf);
            self.last_at_us = staged.entry.at_us;
        }
        if let Some(last) = append.staged.last() {
            self.heads.insert(&append.stream, Head { seq: last.entry.seq, moved: true });
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

/// The ends of streams; one that has no entry is not among them.
async fn read_heads<'a>(
    tx: &mut SqliteConnection,
    streams: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<&'a str, Head>, JournalError> {
    let wanted: Vec<&str> =
        streams.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    let mut heads = BTreeMap::new();
    for some in in_pieces(&wanted) {
        let mut query = QueryBuilder::<Sqlite>::new(sql::HEADS_OF);
        query.push_tuples(some, |mut row, stream| {
            row.push_bind(*stream);
        });
        let found: Vec<(String, i64)> =
            query.build_query_as().fetch_all(&mut *tx).await.map_err(failure::of)?;
        for (stream, head) in found {
            let seq = unsigned(head, "the end of a stream")?;
            if let Some(stream) = some.iter().find(|wanted| **wanted == stream) {
                heads.insert(*stream, Head { seq, moved: false });
            }
        }
    }
    Ok(heads)
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

/// Rows in pieces of few lengths, so that each length is prepared once.
fn in_pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = rows.len().min(ROWS_MAX).checked_ilog2().map(|power| 1_usize << power)?;
        let (piece, rest) = rows.split_at(length);
        rows = rest;
        Some(piece)
    })
}

async fn put_events(
    tx: &mut SqliteConnection,
    fresh: &[(i64, &Staged)],
) -> Result<(), JournalError> {
    for some in in_pieces(fresh) {
        let mut query = QueryBuilder::<Sqlite>::new(sql::PUT_EVENTS);
        query.push_values(some, |row, (position, staged)| bind_event(row, *position, staged));
        query.build().execute(&mut *tx).await.map_err(failure::of)?;
    }
    Ok(())
}

/// In the order of the columns of [`sql::PUT_EVENTS`]. Sequence and epoch were compared with what
/// the database has, so they are in its range.
fn bind_event(mut row: Separated<'_, Sqlite, &'static str>, position: i64, staged: &Staged) {
    let entry = &staged.entry;
    row.push_bind(position)
        .push_bind(entry.stream.clone())
        .push_bind(entry.seq.cast_signed())
        .push_bind(entry.epoch.cast_signed())
        .push_bind(entry.at_us)
        .push_bind(entry.kind.clone())
        .push_bind(i64::from(entry.schema))
        .push_bind(entry.actor.clone())
        .push_bind(entry.payload.clone())
        .push_bind(staged.leaf.to_vec());
}

async fn put_heads(
    tx: &mut SqliteConnection,
    heads: &BTreeMap<&str, Head>,
) -> Result<(), JournalError> {
    let moved: Vec<(&str, u64)> = heads
        .iter()
        .filter(|(_, head)| head.moved)
        .map(|(stream, head)| (*stream, head.seq))
        .collect();
    for some in in_pieces(&moved) {
        let mut query = QueryBuilder::<Sqlite>::new(sql::PUT_HEADS);
        query.push_values(some, |mut row, (stream, seq)| {
            row.push_bind(*stream).push_bind(seq.cast_signed());
        });
        query.push(sql::PUT_HEADS_AGAIN);
        query.build().execute(&mut *tx).await.map_err(failure::of)?;
    }
    Ok(())
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
